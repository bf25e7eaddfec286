//! What each side of an account is and can do, as text and as JSON.

use serde::Serialize;

use crate::engine::event::Trouble;
use crate::mail::{Both, Side};
use crate::store::Profile;

use super::hint::hint;
use super::json::{cause_word, line};
use super::{Invocation, printable};

/// The extensions that make a difference to us, and what each is for. One of the names is enough.
const EXTENSIONS: &[(&[&str], &str)] = &[
    (&["QRESYNC"], "changes and expunges in one answer"),
    (&["CONDSTORE", "QRESYNC"], "changes since the last run"),
    (&["UIDPLUS", "IMAP4REV2"], "the UID of what was appended, exact expunges"),
    (&["LIST-STATUS", "IMAP4REV2"], "all mailboxes and their states in one answer"),
    (&["LIST-EXTENDED", "IMAP4REV2"], "subscriptions in the same answer"),
    (&["NAMESPACE", "IMAP4REV2"], "where the mailboxes are"),
    (&["ESEARCH", "IMAP4REV2"], "short lists of UIDs"),
    (&["LITERAL+", "LITERAL-", "IMAP4REV2"], "appends without a round trip"),
    (&["MULTIAPPEND"], "many messages in one command"),
    (&["BINARY", "IMAP4REV2"], "messages that hold NUL"),
    (&["OBJECTID"], "mailboxes recognized after a rename"),
];

/// A side that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedSide {
    /// What it is.
    pub profile: Profile,
    /// What it holds; `None` where it would not say.
    pub mailboxes: Option<Mailboxes>,
}

/// What a side holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailboxes {
    /// How many mailboxes take part.
    pub taking_part: u64,
    /// How many there are.
    pub all: u64,
    /// Those that would be left out though they were chosen, and why.
    pub skipped: Vec<(String, String)>,
}

/// What was found, with a line end behind every line.
pub fn check_text(account: &str, sides: &Both<Option<CheckedSide>>) -> String {
    let mut text = format!("{}: the configuration is in order\n", printable(account));
    for side in Side::BOTH {
        let Some(CheckedSide { profile, mailboxes }) = &sides[side] else {
            text.push_str(&format!("{side} side: not opened\n"));
            continue;
        };
        text.push_str(&format!("{side} side: {}\n", printable(&profile.address)));
        let mut row = |name: &str, value: &str| {
            text.push_str(format!("  {name:<10}  {}", printable(value)).trim_end());
            text.push('\n');
        };
        row("server", &profile.server);
        row("protection", &profile.protection);
        row("login", &profile.login);
        row("method", &format!("{}: {}", profile.method, profile.reason));
        let (used, missing) = extensions(profile);
        row("offers", if used.is_empty() { "none of the extensions that help" } else { &used });
        for (names, purpose) in missing {
            row("lacks", &format!("{names} ({purpose})"));
        }
        let delimiter =
            profile.delimiter.map_or_else(|| "none, so one level only".to_owned(), |sign| format!("\"{sign}\""));
        row("delimiter", &delimiter);
        row("prefix", if profile.prefix.is_empty() { "none" } else { &profile.prefix });
        match mailboxes {
            Some(mailboxes) => {
                row("mailboxes", &format!("{} of {} take part", mailboxes.taking_part, mailboxes.all));
                for (name, reason) in &mailboxes.skipped {
                    row("left out", &format!("{name}: {reason}"));
                }
            }
            None => row("mailboxes", "not told"),
        }
    }
    text
}

/// The extensions that the side offers, and those it does not, each with its purpose.
fn extensions(profile: &Profile) -> (String, Vec<(&'static str, &'static str)>) {
    let mut offered: Vec<&str> = Vec::new();
    let mut missing = Vec::new();
    for (names, purpose) in EXTENSIONS {
        match names.iter().find(|name| profile.capabilities.contains(**name)) {
            Some(name) if offered.contains(name) => {}
            Some(name) => offered.push(name),
            None => missing.push((names[0], *purpose)),
        }
    }
    (offered.join(" "), missing)
}

#[derive(Serialize)]
struct AccountJson<'a> {
    account: &'a str,
    result: &'static str,
    local: Option<SideJson<'a>>,
    remote: Option<SideJson<'a>>,
    errors: Vec<FailureJson<'a>>,
}

#[derive(Serialize)]
struct SideJson<'a> {
    address: &'a str,
    server: &'a str,
    protection: &'a str,
    login: &'a str,
    method: &'static str,
    reason: &'a str,
    capabilities: Vec<&'a str>,
    delimiter: Option<char>,
    prefix: &'a str,
    mailboxes: Option<u64>,
    mailboxes_taking_part: Option<u64>,
    left_out: Vec<LeftOutJson<'a>>,
}

#[derive(Serialize)]
struct LeftOutJson<'a> {
    mailbox: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    side: Option<&'static str>,
    cause: &'static str,
    text: &'a str,
    help: Option<String>,
}

/// What was found, as one line of JSON without its line end.
pub fn check_json(
    account: &str,
    sides: &Both<Option<CheckedSide>>,
    troubles: &[Trouble],
    again: &Invocation,
) -> String {
    let errors = troubles.iter().map(|trouble| FailureJson {
        side: trouble.side.map(Side::as_str),
        cause: cause_word(trouble.cause),
        text: &trouble.text,
        help: hint(trouble, again),
    });
    line(&AccountJson {
        account,
        result: if troubles.is_empty() { "ready" } else { "failed" },
        local: sides.local.as_ref().map(side_json),
        remote: sides.remote.as_ref().map(side_json),
        errors: errors.collect(),
    })
}

fn side_json(side: &CheckedSide) -> SideJson<'_> {
    let CheckedSide { profile, mailboxes } = side;
    let left_out = mailboxes.iter().flat_map(|mailboxes| &mailboxes.skipped);
    SideJson {
        address: &profile.address,
        server: &profile.server,
        protection: &profile.protection,
        login: &profile.login,
        method: profile.method.as_str(),
        reason: &profile.reason,
        capabilities: profile.capabilities.iter().map(String::as_str).collect(),
        delimiter: profile.delimiter,
        prefix: &profile.prefix,
        mailboxes: mailboxes.as_ref().map(|mailboxes| mailboxes.all),
        mailboxes_taking_part: mailboxes.as_ref().map(|mailboxes| mailboxes.taking_part),
        left_out: left_out.map(|(mailbox, reason)| LeftOutJson { mailbox, reason }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::engine::event::{Extent, TroubleCause};
    use crate::report::Whose;
    use crate::store::{Cause, Method};

    fn checked() -> Both<Option<CheckedSide>> {
        let capabilities = ["CONDSTORE", "ENABLE", "QRESYNC", "UIDPLUS", "NAMESPACE", "LITERAL+", "ESEARCH"];
        let profile = Profile {
            address: "tunnel: doveadm exec imap".to_owned(),
            server: "Dovecot".to_owned(),
            protection: "none (tunnel)".to_owned(),
            login: "preauthenticated".to_owned(),
            method: Method::Qresync,
            reason: "the server offers QRESYNC".to_owned(),
            capabilities: capabilities.map(str::to_owned).into_iter().collect::<BTreeSet<String>>(),
            delimiter: Some('/'),
            prefix: String::new(),
        };
        let skipped = vec![("a\u{1b}b".to_owned(), "it holds a control character".to_owned())];
        let mailboxes = Some(Mailboxes { taking_part: 11, all: 12, skipped });
        Both { local: Some(CheckedSide { profile, mailboxes }), remote: None }
    }

    #[test]
    fn a_check_says_what_each_side_can_do_and_why() {
        assert_eq!(
            check_text("work", &checked()),
            "work: the configuration is in order
local side: tunnel: doveadm exec imap
  server      Dovecot
  protection  none (tunnel)
  login       preauthenticated
  method      qresync: the server offers QRESYNC
  offers      QRESYNC CONDSTORE UIDPLUS NAMESPACE ESEARCH LITERAL+
  lacks       LIST-STATUS (all mailboxes and their states in one answer)
  lacks       LIST-EXTENDED (subscriptions in the same answer)
  lacks       MULTIAPPEND (many messages in one command)
  lacks       BINARY (messages that hold NUL)
  lacks       OBJECTID (mailboxes recognized after a rename)
  delimiter   \"/\"
  prefix      none
  mailboxes   11 of 12 take part
  left out    a\\u{1b}b: it holds a control character
remote side: not opened
"
        );
    }

    #[test]
    fn a_check_is_one_line_of_json() {
        let trouble = Trouble {
            reach: Extent::Side,
            side: Some(Side::Remote),
            mailbox: None,
            cause: TroubleCause::Store(Cause::Login),
            text: "the server refused the login".to_owned(),
        };
        let again = Invocation { program: "interimap".to_owned(), whose: Whose::Account("work".to_owned()) };
        let json = check_json("work", &checked(), &[trouble], &again);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(!json.contains('\n'));
        assert_eq!(value["result"], "failed");
        assert_eq!(value["remote"], serde_json::Value::Null);
        assert_eq!(value["local"]["method"], "qresync");
        assert_eq!(value["local"]["mailboxes_taking_part"], 11);
        assert_eq!(value["local"]["left_out"][0]["mailbox"], "a\u{1b}b");
        assert_eq!(value["errors"][0]["cause"], "login");
        assert_eq!(
            value["errors"][0]["help"],
            "see whether this side's \"username\" and password are right, then try: interimap check work"
        );
    }
}
