//! What a side says about a mailbox, and what a later run may start from.

use std::fmt;

use super::{FlagMap, ModSeq, PermanentFlags, Uid, UidSet, UidValidity};

/// What SELECT or STATUS answers about a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxStatus {
    /// The generation of its UIDs.
    pub uid_validity: UidValidity,
    /// No message that arrives later has a lower UID.
    pub uid_next: Uid,
    /// Above every change made so far; `None` where the mailbox keeps no mod-sequences (NOMODSEQ).
    pub highest_modseq: Option<ModSeq>,
    /// How many messages there are (EXISTS, or MESSAGES of STATUS).
    pub messages: u32,
}

/// A status that a later run may start from: everything up to it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The generation that the remembered UIDs belong to.
    pub uid_validity: UidValidity,
    /// UIDNEXT when it was seen.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ when it was seen; `None`: the next run has to look at every message.
    pub highest_modseq: Option<ModSeq>,
}

impl Checkpoint {
    /// The checkpoint at which nothing is settled but the generation of the UIDs.
    pub fn start_of(uid_validity: UidValidity) -> Checkpoint {
        Checkpoint { uid_validity, uid_next: Uid::MIN, highest_modseq: None }
    }

    /// Whether `status` proves that nothing at all has changed since, when `held` messages are remembered of that side.
    /// Only a mod-sequence can: UIDNEXT and MESSAGES alone say nothing about flags, nor about one expunge beside one
    /// arrival. Nor is it enough by itself: an expunge raises it only where QRESYNC is supported (RFC 7162 §3.2).
    pub fn proves_unchanged(&self, status: &MailboxStatus, held: u64) -> bool {
        self.highest_modseq.is_some() && *self == Checkpoint::from(*status) && u64::from(status.messages) == held
    }
}

impl From<MailboxStatus> for Checkpoint {
    fn from(status: MailboxStatus) -> Checkpoint {
        Checkpoint {
            uid_validity: status.uid_validity,
            uid_next: status.uid_next,
            highest_modseq: status.highest_modseq,
        }
    }
}

/// Whether a mailbox's messages can be changed in this session (RFC 9051 §7.1, READ-ONLY and READ-WRITE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// They can.
    ReadWrite,
    /// The server refuses every change.
    ReadOnly,
}

/// What one side reported about one mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The status at the moment of looking: at or before every message listed here.
    pub status: MailboxStatus,
    /// Which flags the mailbox can keep.
    pub permanent_flags: PermanentFlags,
    /// Whether it can be changed at all.
    pub access: Access,
    /// The messages that were reported, with their flags of now.
    pub messages: FlagMap,
    /// What it means that a message is not among them.
    pub silence: Silence,
}

impl Observation {
    /// Whether it says of a message, should there have been one, that it is gone.
    pub fn lacks(&self, uid: Uid) -> bool {
        let told = match &self.silence {
            Silence::Unchanged { vanished } => vanished.contains(uid),
            Silence::Gone => true,
        };
        told && !self.messages.contains(uid)
    }

    /// The UIDs of which it says something, where silence means that a message is unchanged; `None`: of every one.
    pub fn spoken_of(&self) -> Option<UidSet> {
        match &self.silence {
            Silence::Unchanged { vanished } => Some(self.messages.uids().union(vanished)),
            Silence::Gone => None,
        }
    }
}

/// What it means that a known UID is not among [`Observation::messages`].
#[derive(Clone, Debug, PartialEq)]
pub enum Silence {
    /// The message is unchanged, unless its UID is listed here (RFC 7162 §3.2.10). The server may list UIDs that never were.
    Unchanged {
        /// The UIDs that the server says are expunged.
        vanished: UidSet,
    },
    /// The message is gone: every message was listed.
    Gone,
}

/// Whether the user is subscribed to a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subscription {
    /// `\Subscribed`
    Subscribed,
    /// Not so.
    Unsubscribed,
}

/// An identity that survives RENAME (RFC 8474 §4): 1 … 255 of `A-Za-z0-9_-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxId(String);

impl MailboxId {
    /// `None` for what RFC 8474 §7 does not allow: Cyrus 3.6 to 3.10 send freed memory in some answers (seen in 2026).
    pub fn new(text: &str) -> Option<MailboxId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        (matches!(text.len(), 1..=255) && text.bytes().all(allowed)).then(|| MailboxId(text.to_owned()))
    }

    /// The identity as the server wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mod_sequence_and_as_many_messages_prove_that_nothing_changed() {
        let status = |modseq| MailboxStatus {
            uid_validity: UidValidity::new(1).unwrap(),
            uid_next: Uid::new(5).unwrap(),
            highest_modseq: ModSeq::new(modseq),
            messages: 3,
        };
        let seen = |modseq| Checkpoint::from(status(modseq));
        assert!(seen(7).proves_unchanged(&status(7), 3));
        assert!(!seen(7).proves_unchanged(&status(8), 3));
        assert!(!seen(0).proves_unchanged(&status(0), 3));
        for held in [0, 2, 4] {
            assert!(!seen(7).proves_unchanged(&status(7), held), "an expunge that left HIGHESTMODSEQ alone");
        }
    }

    #[test]
    fn garbage_is_no_mailbox_id() {
        for (text, valid) in [("F2212ea87-6097", true), ("", false), ("a b", false), ("\u{fffd}", false)] {
            assert_eq!(MailboxId::new(text).is_some(), valid, "{text}");
        }
        assert!(MailboxId::new(&"x".repeat(256)).is_none());
    }
}
