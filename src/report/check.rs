//! What each side of an account is and can do, as text and as JSON.

use serde::Serialize;

use crate::engine::event::Trouble;
use crate::mail::{Both, Side};
use crate::store::{Method, Profile};

use super::hint::hint;
use super::json::{cause_word, line};
use super::quantity::count;
use super::{Invocation, printable};

/// An extension that makes a difference to us.
struct Extension {
    /// Its names. One of them is enough.
    names: &'static [&'static str],
    /// What it is for.
    purpose: &'static str,
    /// What happens without it.
    instead: &'static str,
}

const EXTENSIONS: &[Extension] = &[
    Extension {
        names: &["QRESYNC"],
        purpose: "what has changed and what is gone in one answer",
        instead: "what is left is listed to tell what is gone",
    },
    Extension {
        names: &["CONDSTORE", "QRESYNC"],
        purpose: "what has changed since the last run",
        instead: "all messages are listed with their flags in every run",
    },
    Extension {
        names: &["UIDPLUS"],
        purpose: "where a copy is, and expunging single messages",
        instead: "copies are found by their fingerprints; \\Deleted marks of others are taken off during an expunge, and put back",
    },
    Extension {
        names: &["LIST-STATUS"],
        purpose: "all mailboxes and their states in one answer",
        instead: "STATUS is asked of each mailbox",
    },
    Extension {
        names: &["LIST-EXTENDED"],
        purpose: "subscriptions in the same answer",
        instead: "LSUB is asked for them",
    },
    Extension {
        names: &["NAMESPACE"],
        purpose: "where the mailboxes are",
        instead: "names have no prefix, unless \"prefix\" gives one",
    },
    Extension { names: &["ESEARCH"], purpose: "short lists of UIDs", instead: "UIDs are listed one by one" },
    Extension {
        names: &["LITERAL+", "LITERAL-"],
        purpose: "appends without a round trip",
        instead: "the server is waited for before each message",
    },
    Extension {
        names: &["MULTIAPPEND"],
        purpose: "many messages in one command",
        instead: "each message has a command of its own",
    },
    Extension {
        names: &["BINARY"],
        purpose: "messages that hold NUL",
        instead: "such a message is left out and named",
    },
    Extension {
        names: &["MOVE"],
        purpose: "moving messages in one command",
        instead: "they are copied by the server, and expunged where they were",
    },
    Extension {
        names: &["OBJECTID"],
        purpose: "mailboxes recognized after a rename",
        instead: "their UIDVALIDITY and some of their messages tell",
    },
];

/// So many mailboxes are named one by one; `--json` has all of them.
const NAMED_ONE_BY_ONE: usize = 3;

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
    /// Those that take part and keep no mod-sequences although the method of the side builds on them.
    pub listed_in_full: Vec<String>,
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
        // A Maildir has none of these.
        for (name, value) in [
            ("server", &profile.server),
            ("protection", &profile.protection),
            ("compressed", &profile.compression),
            ("login", &profile.login),
        ] {
            if !value.is_empty() {
                row(name, value);
            }
        }
        row("method", &format!("{}: {}", profile.method, profile.reason));
        match mailboxes.as_ref().map(|mailboxes| mailboxes.listed_in_full.as_slice()) {
            None | Some([]) => {}
            Some(names) => row("in full", &listed_in_full(names)),
        }
        // What follows is about servers: with an index of our own, there is nobody to offer anything.
        if profile.method != Method::Embedded {
            let (used, missing) = extensions(profile);
            row("offers", if used.is_empty() { "none of the extensions that help" } else { &used });
            for Extension { names, purpose, instead } in missing {
                row("lacks", &format!("{} ({purpose}): {instead}", names[0]));
            }
            let delimiter =
                profile.delimiter.map_or_else(|| "none, so one level only".to_owned(), |sign| format!("\"{sign}\""));
            row("delimiter", &delimiter);
            row("prefix", if profile.prefix.is_empty() { "none" } else { &profile.prefix });
        }
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

/// Which mailboxes the method does not fit: `2 mailboxes keep no mod-sequences, …: Archive, Old`.
fn listed_in_full(names: &[String]) -> String {
    let mailboxes = count(names.len() as u64, "mailbox", "mailboxes");
    let keep = if names.len() == 1 { "keeps" } else { "keep" };
    let mut named = names.iter().take(NAMED_ONE_BY_ONE).map(String::as_str).collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = names.len().checked_sub(NAMED_ONE_BY_ONE) {
        named.push_str(&format!(" and {more} more"));
    }
    format!("{mailboxes} {keep} no mod-sequences, so that all messages are listed in every run: {named}")
}

/// The extensions that the side offers, and those it does not.
fn extensions(profile: &Profile) -> (String, Vec<&'static Extension>) {
    let mut offered: Vec<&str> = Vec::new();
    let mut missing = Vec::new();
    for extension in EXTENSIONS {
        match extension.names.iter().find(|name| profile.capabilities.contains(**name)) {
            Some(name) if offered.contains(name) => {}
            Some(name) => offered.push(name),
            None => missing.push(extension),
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
    compression: &'a str,
    login: &'a str,
    method: &'static str,
    listed_in_full: &'a [String],
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
        compression: &profile.compression,
        login: &profile.login,
        method: profile.method.as_str(),
        listed_in_full: mailboxes.as_ref().map_or(&[], |mailboxes| &mailboxes.listed_in_full),
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
    use crate::store::Cause;

    fn checked() -> Both<Option<CheckedSide>> {
        let capabilities = ["CONDSTORE", "ENABLE", "QRESYNC", "UIDPLUS", "NAMESPACE", "LITERAL+", "ESEARCH"];
        let profile = Profile {
            address: "tunnel: doveadm exec imap".to_owned(),
            server: "Dovecot".to_owned(),
            protection: "none (tunnel)".to_owned(),
            compression: "DEFLATE".to_owned(),
            login: "preauthenticated".to_owned(),
            method: Method::Qresync,
            reason: "the server offers QRESYNC".to_owned(),
            capabilities: capabilities.map(str::to_owned).into_iter().collect::<BTreeSet<String>>(),
            delimiter: Some('/'),
            prefix: String::new(),
        };
        let skipped = vec![("a\u{1b}b".to_owned(), "it holds a control character".to_owned())];
        let listed_in_full = vec!["Archive".to_owned(), "x\u{1b}y".to_owned()];
        let mailboxes = Some(Mailboxes { taking_part: 11, all: 12, listed_in_full, skipped });
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
  compressed  DEFLATE
  login       preauthenticated
  method      qresync: the server offers QRESYNC
  in full     2 mailboxes keep no mod-sequences, so that all messages are listed in every run: Archive, x\\u{1b}y
  offers      QRESYNC CONDSTORE UIDPLUS NAMESPACE ESEARCH LITERAL+
  lacks       LIST-STATUS (all mailboxes and their states in one answer): STATUS is asked of each mailbox
  lacks       LIST-EXTENDED (subscriptions in the same answer): LSUB is asked for them
  lacks       MULTIAPPEND (many messages in one command): each message has a command of its own
  lacks       BINARY (messages that hold NUL): such a message is left out and named
  lacks       MOVE (moving messages in one command): they are copied by the server, and expunged where they were
  lacks       OBJECTID (mailboxes recognized after a rename): their UIDVALIDITY and some of their messages tell
  delimiter   \"/\"
  prefix      none
  mailboxes   11 of 12 take part
  left out    a\\u{1b}b: it holds a control character
remote side: not opened
"
        );
    }

    fn checked_maildir() -> Both<Option<CheckedSide>> {
        let profile = Profile {
            address: "maildir:/home/alice/Mail".to_owned(),
            server: String::new(),
            protection: String::new(),
            compression: String::new(),
            login: String::new(),
            method: Method::Embedded,
            reason: "an index of our own tells what has changed".to_owned(),
            capabilities: BTreeSet::new(),
            delimiter: Some('/'),
            prefix: String::new(),
        };
        let skipped = vec![("Old".to_owned(), "it is a symbolic link".to_owned())];
        let mailboxes = Some(Mailboxes { taking_part: 11, all: 11, listed_in_full: Vec::new(), skipped });
        Both { local: Some(CheckedSide { profile, mailboxes }), remote: None }
    }

    #[test]
    fn a_check_says_nothing_of_servers_where_there_is_none() {
        assert_eq!(
            check_text("work", &checked_maildir()),
            "work: the configuration is in order
local side: maildir:/home/alice/Mail
  method      embedded: an index of our own tells what has changed
  mailboxes   11 of 11 take part
  left out    Old: it is a symbolic link
remote side: not opened
"
        );
    }

    #[test]
    fn a_maildir_has_the_same_keys_of_json_as_a_server() {
        let again = Invocation { program: "interimap".to_owned(), whose: Whose::Account("work".to_owned()) };
        let keys = |sides: &Both<Option<CheckedSide>>| {
            let json: serde_json::Value = serde_json::from_str(&check_json("work", sides, &[], &again)).unwrap();
            json["local"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(&checked_maildir()), keys(&checked()));
    }

    #[test]
    fn mailboxes_without_mod_sequences_are_counted_and_a_few_are_named() {
        let told = |names: &[&str]| listed_in_full(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let so = "no mod-sequences, so that all messages are listed in every run";
        for (names, text) in [
            (&["a"][..], format!("1 mailbox keeps {so}: a")),
            (&["a", "b", "c"], format!("3 mailboxes keep {so}: a, b, c")),
            (&["a", "b", "c", "d", "e"], format!("5 mailboxes keep {so}: a, b, c and 2 more")),
        ] {
            assert_eq!(told(names), text);
        }
    }

    #[test]
    fn a_side_with_all_its_mailboxes_in_order_has_no_row_for_others() {
        let mut sides = checked();
        let mailboxes = sides.local.as_mut().and_then(|side| side.mailboxes.as_mut());
        mailboxes.unwrap().listed_in_full.clear();
        assert!(!check_text("work", &sides).contains("in full"));
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
        assert_eq!(value["local"]["listed_in_full"], serde_json::json!(["Archive", "x\u{1b}y"]));
        assert_eq!(value["local"]["mailboxes_taking_part"], 11);
        assert_eq!(value["local"]["left_out"][0]["mailbox"], "a\u{1b}b");
        assert_eq!(value["errors"][0]["cause"], "login");
        assert_eq!(
            value["errors"][0]["help"],
            "see whether this side's \"username\" and password are right, then try: interimap check work"
        );
    }
}
