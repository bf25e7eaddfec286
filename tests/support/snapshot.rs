//! All that an account holds, as the witness sees it, and how two accounts differ, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::imap::{Client, Fetched};
use super::mail;

/// All that an account holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Each mailbox that exists, by its name with `/` between levels.
    pub(crate) mailboxes: BTreeMap<String, Mailbox>,
}

/// All that a mailbox holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mailbox {
    /// Whether the user is subscribed to it.
    pub(crate) subscribed: bool,
    /// Its UIDVALIDITY, which may differ between the sides.
    pub(crate) uid_validity: u32,
    /// Its messages in the order of their UIDs.
    pub(crate) messages: Vec<Message>,
    /// Who told all this, and so what was left out.
    pub(crate) teller: Teller,
}

/// Who tells what a mailbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Teller {
    /// Files, whose names tell flags. They know neither keywords nor subscriptions nor UIDs.
    Files,
    /// The same where letters in the names stand for keywords.
    FilesWithKeywords,
    /// A server, which tells everything.
    #[default]
    Server,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// Its UID, which may differ between the sides.
    pub(crate) uid: u32,
    /// What has to be the same on both sides.
    pub(crate) content: Content,
}

/// What has to be the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Content {
    /// The test's token, or nothing in other people's mail.
    pub(crate) token: String,
    /// Its flags in lower case, for keywords are case-insensitive (RFC 9051 §2.3.2).
    pub(crate) flags: BTreeSet<String>,
    /// Its INTERNALDATE, in seconds of Unix time.
    pub(crate) date: i64,
    /// Its size in octets.
    pub(crate) size: usize,
    /// The SHA-256 of all of it, in hexadecimal.
    pub(crate) digest: String,
}

impl Snapshot {
    /// Reads the whole account.
    pub(crate) fn take(client: &mut Client) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for listed in client.list() {
            if listed.exists {
                let uid_validity = client.examine(&listed.name);
                let messages = client.fetch_all().into_iter().map(Message::of).collect();
                let teller = Teller::Server;
                let mailbox = Mailbox { subscribed: listed.subscribed, uid_validity, messages, teller };
                let twin = snapshot.mailboxes.insert(listed.name.clone(), mailbox);
                assert!(twin.is_none(), "two mailboxes are called {}", listed.name);
            }
        }
        snapshot
    }

    /// The mailbox of that name, which must exist.
    pub(crate) fn mailbox(&self, name: &str) -> &Mailbox {
        self.mailboxes.get(name).unwrap_or_else(|| panic!("there is no {name} in {:?}", self.names()))
    }

    /// The names of the mailboxes.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.mailboxes.keys().map(String::as_str).collect()
    }

    /// How many messages the account holds.
    pub(crate) fn count(&self) -> usize {
        self.mailboxes.values().map(|mailbox| mailbox.messages.len()).sum()
    }

    /// How the other account differs from this one, a line for each difference; empty where they are equal.
    pub(crate) fn difference(&self, other: &Snapshot, names: [&str; 2]) -> String {
        let mut text = String::new();
        let all: BTreeSet<_> = self.mailboxes.keys().chain(other.mailboxes.keys()).collect();
        for name in all {
            match (self.mailboxes.get(name), other.mailboxes.get(name)) {
                (Some(this), Some(that)) => this.tell_difference(that, names, name, &mut text),
                (Some(this), None) => {
                    let _ = writeln!(text, "{name}: only {}, {} messages", names[0], this.messages.len());
                }
                (None, that) => {
                    let count = that.map_or(0, |mailbox| mailbox.messages.len());
                    let _ = writeln!(text, "{name}: only {}, {count} messages", names[1]);
                }
            }
        }
        text
    }
}

impl Mailbox {
    fn tell_difference(&self, other: &Mailbox, names: [&str; 2], name: &str, text: &mut String) {
        // Of what one of them does not tell, nobody knows whether it differs.
        let teller = self.teller.min(other.teller);
        if teller == Teller::Server && self.subscribed != other.subscribed {
            let which = if self.subscribed { names[0] } else { names[1] };
            let _ = writeln!(text, "{name}: subscribed only {which}");
        }
        // Multisets: how often each side holds each content.
        let mut counts: BTreeMap<Content, [usize; 2]> = BTreeMap::new();
        for (side, contents) in [self.contents(), other.contents()].into_iter().enumerate() {
            for content in contents {
                let content = Content { flags: teller.tellable(content.flags), ..content };
                counts.entry(content).or_default()[side] += 1;
            }
        }
        for (content, count) in counts {
            if count[0] != count[1] {
                let _ = writeln!(text, "{name}: {} {}, {} {}: {content:?}", count[0], names[0], count[1], names[1]);
            }
        }
    }

    /// What it holds, sorted, UIDs left aside.
    pub(crate) fn contents(&self) -> Vec<Content> {
        let mut contents: Vec<_> = self.messages.iter().map(|message| message.content.clone()).collect();
        contents.sort();
        contents
    }

    /// The tokens it holds, sorted, each as often as it is there.
    pub(crate) fn tokens(&self) -> Vec<&str> {
        let mut tokens: Vec<_> = self.messages.iter().map(|message| message.content.token.as_str()).collect();
        tokens.sort_unstable();
        tokens
    }

    /// The only message with that token.
    pub(crate) fn message(&self, token: &str) -> &Message {
        let found: Vec<_> = self.messages.iter().filter(|message| message.content.token == token).collect();
        assert_eq!(found.len(), 1, "messages with token {token}");
        found[0]
    }

    /// The flags of the only message with that token, with spaces between.
    pub(crate) fn flags(&self, token: &str) -> String {
        self.message(token).content.flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

impl Teller {
    /// Those of the flags that it can tell.
    pub(crate) fn tellable(self, mut flags: BTreeSet<String>) -> BTreeSet<String> {
        if self == Teller::Files {
            flags.retain(|flag| flag.starts_with('\\') || flag == "$forwarded");
        }
        flags
    }
}

impl Message {
    fn of(fetched: Fetched) -> Message {
        Message {
            uid: fetched.uid,
            content: Content {
                token: mail::token(&fetched.body).unwrap_or_default(),
                flags: fetched.flags.iter().map(|flag| flag.to_ascii_lowercase()).collect(),
                date: instant(&fetched.date),
                size: fetched.body.len(),
                digest: digest(&fetched.body),
            },
        }
    }
}

/// The SHA-256 of a message, in hexadecimal.
pub(crate) fn digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The seconds of Unix time of an RFC 3501 date-time such as ` 7-Nov-2026 11:32:09 +0530`.
pub(crate) fn instant(date: &str) -> i64 {
    let parts: Vec<&str> = date.split([' ', '-', ':']).filter(|part| !part.is_empty()).collect();
    let number = |text: &str| text.trim_start_matches('+').parse::<i64>().unwrap();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|month| *month == parts[1]).expect("a month") as i64 + 1;
    let (day, year) = (number(parts[0]), number(parts[2]));
    // Days since 1970-01-01 in the Gregorian calendar, the year beginning in March so that February is its end.
    let (march_year, march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * march_year + march_year.div_euclid(4) - march_year.div_euclid(100)
        + march_year.div_euclid(400)
        + (153 * march_month + 2) / 5
        + day
        - 1
        - 719_468;
    let zone = date.rsplit(' ').next().expect("a zone");
    let offset = number(&zone[1..3]) * 3600 + number(&zone[3..5]) * 60;
    let offset = if zone.starts_with('-') { -offset } else { offset };
    days * 86_400 + number(parts[3]) * 3600 + number(parts[4]) * 60 + number(parts[5]) - offset
}

#[test]
fn what_files_do_not_tell_makes_no_difference() {
    let holding = |flags: &[&str], teller: Teller| {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let content = Content { token: "one".to_owned(), flags, date: 0, size: 1, digest: String::new() };
        let subscribed = teller == Teller::Server;
        let mailbox = Mailbox { subscribed, uid_validity: 1, messages: vec![Message { uid: 1, content }], teller };
        Snapshot { mailboxes: BTreeMap::from([("INBOX".to_owned(), mailbox)]) }
    };
    let server = holding(&["\\seen", "$forwarded", "todo"], Teller::Server);
    for (flags, teller, is_equal) in [
        (&["\\seen", "$forwarded"][..], Teller::Files, true),
        (&["\\seen"], Teller::Files, false),
        (&["\\seen", "$forwarded"], Teller::FilesWithKeywords, false),
        (&["\\seen", "$forwarded", "todo"], Teller::FilesWithKeywords, true),
        (&["\\seen", "$forwarded"], Teller::Server, false),
    ] {
        let difference = holding(flags, teller).difference(&server, ["here", "there"]);
        assert_eq!(difference.is_empty(), is_equal, "{flags:?}, {teller:?}: {difference}");
    }
}

#[test]
fn dates_become_instants() {
    for (date, seconds) in [
        (" 1-Jan-1970 00:00:00 +0000", 0),
        ("29-Feb-2000 12:00:00 +0100", 951_822_000),
        ("31-Dec-1969 23:59:59 +0000", -1),
        ("19-Jan-2038 03:14:08 +0000", 1 << 31),
        ("10-Nov-2026 10:00:00 -0530", 1_794_324_600),
    ] {
        assert_eq!(instant(date), seconds, "{date}");
    }
}
