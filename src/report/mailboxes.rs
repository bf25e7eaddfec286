//! The mailboxes of both sides, as a table and as JSON.

use serde::Serialize;

use crate::engine::mailbox::Row;
use crate::mail::{Both, Listed, MailboxKind, Subscription};
use crate::plan::Choice;

use super::json::line;
use super::printable;
use super::status::{Alignment, table};

/// The mailboxes as a table, with a line end behind every line.
pub fn mailboxes_text(account: &str, rows: &[Row]) -> String {
    use Alignment::{Left, Right};
    let mut cells = vec![["MAILBOX", "LOCAL", "REMOTE", "SUBSCRIBED", "TAKES PART"].map(str::to_owned).to_vec()];
    cells.extend(rows.iter().map(|row| {
        let sides = row.listed.as_ref().map(|listed| listed.as_ref().map_or_else(|| "missing".to_owned(), holds));
        let subscribed = row.listed.as_ref().map(|listed| listed.as_ref().is_some_and(is_subscribed));
        let subscribed = match subscribed {
            Both { local: true, remote: true } => "both",
            Both { local: true, remote: false } => "local",
            Both { local: false, remote: true } => "remote",
            Both { local: false, remote: false } => "no",
        };
        let takes_part = if row.selected == Choice::Yes { "yes" } else { "no" };
        let name = printable(row.name.as_str()).into_owned();
        vec![name, sides.local, sides.remote, subscribed.to_owned(), takes_part.to_owned()]
    }));
    let head = match rows.len() {
        1 => "1 mailbox".to_owned(),
        number => format!("{number} mailboxes"),
    };
    format!("{}: {head}\n{}", printable(account), table(&cells, &[Left, Right, Right, Left, Left]))
}

fn holds(listed: &Listed) -> String {
    match (listed.kind, &listed.status) {
        (MailboxKind::Mailbox, Some(status)) => status.messages.to_string(),
        (MailboxKind::Mailbox, None) => "not told".to_owned(),
        (MailboxKind::Container, _) => "a level only".to_owned(),
        (MailboxKind::Missing, _) => "missing".to_owned(),
    }
}

fn is_subscribed(listed: &Listed) -> bool {
    listed.subscription == Some(Subscription::Subscribed)
}

/// The mailboxes as one line of JSON, without its line end.
pub fn mailboxes_json(account: &str, rows: &[Row]) -> String {
    #[derive(Serialize)]
    struct Account<'a> {
        account: &'a str,
        mailboxes: Vec<Mailbox<'a>>,
    }
    #[derive(Serialize)]
    struct Mailbox<'a> {
        mailbox: &'a str,
        local: Option<OneSide>,
        remote: Option<OneSide>,
        takes_part: bool,
    }
    #[derive(Serialize)]
    struct OneSide {
        messages: Option<u32>,
        subscribed: bool,
        kind: &'static str,
    }
    let one = |listed: &Option<Listed>| {
        listed.as_ref().map(|listed| OneSide {
            messages: listed.status.map(|status| status.messages),
            subscribed: is_subscribed(listed),
            kind: match listed.kind {
                MailboxKind::Mailbox => "mailbox",
                MailboxKind::Container => "container",
                MailboxKind::Missing => "missing",
            },
        })
    };
    let mailboxes = rows.iter().map(|row| Mailbox {
        mailbox: row.name.as_str(),
        local: one(&row.listed.local),
        remote: one(&row.listed.remote),
        takes_part: row.selected == Choice::Yes,
    });
    line(&Account { account, mailboxes: mailboxes.collect() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::mail::{MailboxName, MailboxStatus, Uid, UidValidity};

    fn listed(kind: MailboxKind, messages: Option<u32>, subscription: Subscription) -> Listed {
        let status = |messages| MailboxStatus {
            uid_validity: UidValidity::new(1).unwrap(),
            uid_next: Uid::MIN,
            highest_modseq: None,
            messages,
        };
        let subscription = Some(subscription);
        Listed { kind, subscription, special_use: BTreeSet::new(), id: None, status: messages.map(status) }
    }

    #[test]
    fn both_sides_stand_beside_each_other() {
        let rows = [
            Row {
                name: MailboxName::inbox(),
                listed: Both {
                    local: Some(listed(MailboxKind::Mailbox, Some(42), Subscription::Subscribed)),
                    remote: Some(listed(MailboxKind::Mailbox, Some(10_042), Subscription::Subscribed)),
                },
                remembered: None,
                selected: Choice::Yes,
            },
            Row {
                name: MailboxName::new("Lists").unwrap(),
                listed: Both {
                    local: None,
                    remote: Some(listed(MailboxKind::Container, None, Subscription::Unsubscribed)),
                },
                remembered: None,
                selected: Choice::No,
            },
        ];
        assert_eq!(
            mailboxes_text("work", &rows),
            "work: 2 mailboxes
MAILBOX    LOCAL        REMOTE  SUBSCRIBED  TAKES PART
INBOX         42         10042  both        yes
Lists    missing  a level only  no          no
"
        );
        assert_eq!(
            mailboxes_json("work", &rows),
            r#"{"account":"work","mailboxes":[{"mailbox":"INBOX","local":{"messages":42,"subscribed":true,"kind":"mailbox"},"remote":{"messages":10042,"subscribed":true,"kind":"mailbox"},"takes_part":true},{"mailbox":"Lists","local":null,"remote":{"messages":null,"subscribed":false,"kind":"container"},"takes_part":false}]}"#
        );
    }
}
