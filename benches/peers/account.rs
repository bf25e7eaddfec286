//! An account of mail as it is before any program has seen it.

use interimap::mail::Side;

use crate::letters::Letters;
use crate::servers::Servers;
use crate::support::imap::{Appended, Client};
use crate::wire;

/// Most messages in one APPEND.
const BATCH: u32 = 500;

/// Most octets in one APPEND, but for a message that is longer.
const BATCH_OCTETS: usize = 4 << 20;

/// What is in it.
pub(crate) struct Account {
    /// Its user on the remote server, whom no program is.
    pub(crate) name: String,
    /// Its mailboxes and how many messages each holds.
    pub(crate) mailboxes: Vec<(String, u32)>,
    /// Its messages.
    pub(crate) letters: Letters,
}

impl Account {
    /// An account with nothing but INBOX.
    pub(crate) fn of_one(name: impl Into<String>, messages: u32, letters: Letters) -> Account {
        Account { name: name.into(), mailboxes: vec![("INBOX".to_owned(), messages)], letters }
    }

    /// An account with that many mailboxes, INBOX among them.
    pub(crate) fn of_many(name: impl Into<String>, mailboxes: u32, in_each: u32, letters: Letters) -> Account {
        let named = |number| if number == 0 { "INBOX".to_owned() } else { format!("box-{number:04}") };
        Account {
            name: name.into(),
            mailboxes: (0..mailboxes).map(|number| (named(number), in_each)).collect(),
            letters,
        }
    }

    /// The names of its mailboxes.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.mailboxes.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Puts it on the remote server. All is read once, so that no program pays for making the server's caches.
    pub(crate) fn fill(&self, servers: &Servers) {
        eprintln!(">> filling {}", self.name);
        let mut client = servers.both.remote.witness_of(&self.name);
        let mut number = 0;
        let mut said = String::new();
        for (mailbox, messages) in &self.mailboxes {
            if mailbox != "INBOX" {
                client.about("CREATE {}", &[mailbox]);
            }
            append(&mut client, mailbox, number..number + messages, &self.letters);
            number += messages;
            said.push_str(&format!(
                "a EXAMINE {mailbox}\r\na UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\r\n"
            ));
        }
        wire::converse(servers.both.remote.port(), &self.name, &[said.into_bytes()]);
    }

    /// Takes it off again.
    pub(crate) fn clear(&self, servers: &Servers) {
        let _ = std::fs::remove_dir_all(servers.home(Side::Remote, &self.name));
    }
}

fn append(client: &mut Client, mailbox: &str, numbers: std::ops::Range<u32>, letters: &Letters) {
    let (mut batch, mut octets) = (Vec::new(), 0);
    for number in numbers.clone() {
        let letter = letters.write(number);
        octets += letter.len();
        batch.push((date(number), letter));
        if batch.len() as u32 == BATCH || octets > BATCH_OCTETS || number + 1 == numbers.end {
            let appended: Vec<_> =
                batch.iter().map(|(date, body)| Appended { flags: "\\Seen", date: Some(date), body }).collect();
            client.append_many(mailbox, &appended.iter().collect::<Vec<_>>());
            batch.clear();
            octets = 0;
        }
    }
}

/// When the message with that number was received.
pub(crate) fn date(number: u32) -> String {
    format!("{:2}-Mar-2025 10:00:00 +0000", 1 + number % 28)
}
