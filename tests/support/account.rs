//! The mail behind a server in memory. A test holds it too and edits it as another client would, also while a session
//! looks at it.

use std::collections::{BTreeMap, BTreeSet};

/// What other clients do.
pub(crate) type Others = Box<dyn FnMut(&mut Account) + Send>;

/// Everything of one user.
pub(crate) struct Account {
    /// By name as it stands on the wire.
    pub(crate) mailboxes: BTreeMap<String, Mailbox>,
    pub(crate) subscribed: BTreeSet<String>,
    /// What mailboxes are for: `\\Sent` (RFC 6154).
    pub(crate) special_uses: BTreeMap<String, String>,
    /// What other clients do at the next occasion: before a command of a session, or in the middle of SELECT or FETCH.
    pub(crate) meanwhile: Option<Others>,
    /// What was answered with BAD: nothing that a client may say.
    pub(crate) offences: Vec<String>,
    /// Every command that was heard, without tag and arguments.
    pub(crate) heard: Vec<String>,
    generations: u32,
}

/// A mailbox.
#[derive(Clone)]
pub(crate) struct Mailbox {
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    /// Raised by every change.
    pub(crate) modseq: u64,
    /// The last change that was no expunge: what a server without QRESYNC may show as HIGHESTMODSEQ (RFC 7162 §3.1.2.1).
    pub(crate) modseq_of_messages: u64,
    /// Whether mod-sequences are shown (NOMODSEQ where they are not).
    pub(crate) shows_modseqs: bool,
    pub(crate) messages: BTreeMap<u32, Held>,
    /// UIDs that are gone, with the mod-sequence of that.
    pub(crate) expunged: Vec<(u32, u64)>,
}

/// A message.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) flags: Vec<String>,
    pub(crate) internal_date: String,
    pub(crate) octets: Vec<u8>,
    pub(crate) modseq: u64,
}

impl Default for Account {
    fn default() -> Account {
        let mut account = Account {
            mailboxes: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            special_uses: BTreeMap::new(),
            meanwhile: None,
            offences: Vec::new(),
            heard: Vec::new(),
            generations: 1_000_000_000,
        };
        account.create("INBOX");
        account
    }
}

impl Account {
    /// Creates a mailbox of a new generation.
    pub(crate) fn create(&mut self, name: &str) -> &mut Mailbox {
        self.generations += 1;
        let mailbox = Mailbox {
            uid_validity: self.generations,
            uid_next: 1,
            modseq: 1,
            modseq_of_messages: 1,
            shows_modseqs: true,
            messages: BTreeMap::new(),
            expunged: Vec::new(),
        };
        self.mailboxes.entry(name.to_owned()).or_insert(mailbox)
    }

    /// Gives a mailbox a new generation: its messages are the same, their UIDs are not.
    pub(crate) fn renew(&mut self, name: &str) {
        let Some(old) = self.mailboxes.remove(name) else { return };
        let new = self.create(name);
        new.shows_modseqs = old.shows_modseqs;
        for held in old.messages.into_values() {
            new.deliver(&held.flags.join(" "), &held.internal_date, held.octets);
        }
    }

    /// Lets the others do what they do.
    pub(crate) fn pass_time(&mut self) {
        if let Some(mut others) = self.meanwhile.take() {
            others(self);
            self.meanwhile.get_or_insert(others);
        }
    }
}

impl Mailbox {
    /// A message arrives.
    pub(crate) fn deliver(&mut self, flags: &str, internal_date: &str, octets: impl Into<Vec<u8>>) -> u32 {
        let uid = self.uid_next;
        self.uid_next += 1;
        let modseq = self.change();
        let mut held =
            Held { flags: Vec::new(), internal_date: internal_date.to_owned(), octets: octets.into(), modseq };
        held.reflag(flags, "");
        self.messages.insert(uid, held);
        uid
    }

    /// Flags come and go.
    pub(crate) fn reflag(&mut self, uid: u32, add: &str, remove: &str) {
        let modseq = self.modseq + 1;
        if self.messages.get_mut(&uid).is_some_and(|held| {
            let changed = held.reflag(add, remove);
            held.modseq = if changed { modseq } else { held.modseq };
            changed
        }) {
            self.change();
        }
    }

    /// A message goes.
    pub(crate) fn expunge(&mut self, uid: u32) {
        if self.messages.remove(&uid).is_some() {
            self.modseq += 1;
            self.expunged.push((uid, self.modseq));
        }
    }

    fn change(&mut self) -> u64 {
        self.modseq += 1;
        self.modseq_of_messages = self.modseq;
        self.modseq
    }
}

impl Held {
    /// Whether that changed anything.
    fn reflag(&mut self, add: &str, remove: &str) -> bool {
        let before = self.flags.len();
        self.flags.retain(|flag| !remove.split_whitespace().any(|other| other.eq_ignore_ascii_case(flag)));
        let kept = self.flags.len();
        for flag in add.split_whitespace() {
            if !self.bears(flag) {
                self.flags.push(flag.to_owned());
            }
        }
        kept != before || self.flags.len() != kept
    }

    pub(crate) fn bears(&self, flag: &str) -> bool {
        self.flags.iter().any(|other| other.eq_ignore_ascii_case(flag))
    }
}
