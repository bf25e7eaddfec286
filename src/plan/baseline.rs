//! What is remembered of an account: the base that both sides are compared with.

use crate::mail::{
    Both, Checkpoint, Fingerprint, FlagSet, MailboxId, MailboxName, MailboxStatus, Side, Subscription, Uid, UidSet,
    UidValidity,
};

/// Names a remembered mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxKey(pub i64);

/// Names a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairId(pub i64);

/// Names an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(pub i64);

/// A message that both sides hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its UID on each side.
    pub uids: Both<Uid>,
    /// The flags that both sides held when they last agreed: the base of the three-way merge.
    pub flags: FlagSet,
    /// Who it is, should a UID lose its meaning.
    pub fingerprint: Fingerprint,
}

/// An append, or a move within a side, that is about to happen, and may have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The side the message comes from; it goes to the other one.
    pub from: Side,
    /// Its UID there.
    pub uid: Uid,
    /// The flags it is appended with; of a move, those last agreed on.
    pub flags: FlagSet,
    /// Who it is.
    pub fingerprint: Fingerprint,
    /// The generation of the target's UIDs at that time.
    pub target_uid_validity: UidValidity,
    /// The target's UIDNEXT at that time: the copy, if there is one, is not below it.
    pub floor: Uid,
    /// What the target said of it.
    pub answer: Answer,
}

/// What a target has said of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, as far as is known: the message may be there or not.
    Awaited,
    /// That it took the message, but not where it is (no UIDPLUS). It is never sent again by itself.
    Taken,
}

/// A message whose `\Deleted` was taken off, so that an EXPUNGE that is not meant for it passes it by. It is somebody
/// else's wish, and put back before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// The side that holds it.
    pub side: Side,
    /// Its UID there.
    pub uid: Uid,
    /// The generation of that UID.
    pub uid_validity: UidValidity,
}

/// A message that one side holds and that was not copied to the other, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The side that holds it.
    pub side: Side,
    /// Its UID there.
    pub uid: Uid,
    /// Why it was left out.
    pub why: SkipReason,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last, in seconds since 1970.
    pub last_attempt: i64,
}

impl Skipped {
    /// After a refusal, a message is tried again after an hour, then after two, four … and at last every week.
    const FIRST_PAUSE: i64 = 3600;
    const LONGEST_PAUSE: i64 = 7 * 24 * 3600;

    /// The UIDs of those that a side holds.
    pub fn on(skipped: &[Skipped], side: Side) -> UidSet {
        skipped.iter().filter(|row| row.side == side).map(|row| row.uid).collect()
    }

    /// Whether `repair` tries again what is not due.
    pub fn is_wanted(&self) -> bool {
        match self.why {
            SkipReason::Policy | SkipReason::Refused(_) | SkipReason::Merged => true,
            SkipReason::Kept | SkipReason::Unfound => false,
        }
    }

    /// Whether it is to be tried again at `now` (seconds since 1970). A time of refusal that lies in the future says
    /// nothing: the clock was wrong then, or is now.
    pub fn is_due(&self, now: i64) -> bool {
        match self.why {
            SkipReason::Kept | SkipReason::Merged | SkipReason::Unfound => false,
            SkipReason::Policy => true,
            SkipReason::Refused(_) => {
                let doublings = self.attempts.saturating_sub(1).min(16);
                let pause = (Skipped::FIRST_PAUSE << doublings).min(Skipped::LONGEST_PAUSE);
                !(0..pause).contains(&(now - self.last_attempt))
            }
        }
    }
}

/// Why a message was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The configuration does not let it flow; nothing to be told, and tried again once it does.
    Policy,
    /// The other side's copy was expunged, and the configuration keeps this one: never tried again.
    Kept,
    /// A side refused it, in these words.
    Refused(String),
    /// The other side keeps one copy of equal messages (Gmail), and has one already. Tried again by `repair`: the same
    /// comes of it, unless that one is gone.
    Merged,
    /// The other side took it, but shows no such message. Never tried again, not even by `repair`: the other side may
    /// hold it, rewritten beyond recognition, and each attempt would add another one. A message that is moved out and
    /// back has a new UID and is a new message.
    Unfound,
}

impl SkipReason {
    /// Whether the other side has said that it took the message, so that it may show it later.
    pub fn was_taken(&self) -> bool {
        matches!(self, SkipReason::Merged | SkipReason::Unfound)
    }

    /// The reason in words, where it is one that the user is told.
    pub fn words(&self) -> Option<&str> {
        match self {
            SkipReason::Policy | SkipReason::Kept => None,
            SkipReason::Refused(words) => Some(words),
            SkipReason::Merged => Some(
                "the other side keeps one copy of equal messages, and has one that belongs to another message here",
            ),
            SkipReason::Unfound => Some(
                "the other side took it but shows no such message, so it is not sent again; move it to another mailbox \
                 and back to have it sent anew",
            ),
        }
    }
}

/// What is remembered of a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// The row.
    pub key: MailboxKey,
    /// Its local name.
    pub name: MailboxName,
    /// The subscription last agreed on, once there was one.
    pub subscription: Option<Subscription>,
    /// Where each side's next run may start from.
    pub checkpoints: Both<Option<Checkpoint>>,
    /// Each side's identity for it that survives renaming.
    pub ids: Both<Option<MailboxId>>,
    /// How many pairs there are.
    pub pairs: u64,
    /// How many messages each side holds that were left out.
    pub skipped: Both<u64>,
    /// How many appends are unsettled.
    pub intents: u64,
    /// How many messages are to get their `\Deleted` back.
    pub lifted: u64,
    /// When it was last in line, in seconds since 1970.
    pub last_success: Option<i64>,
}

impl Remembered {
    /// How many messages of a side are remembered at all: each is in a pair, or was left out.
    pub fn held(&self, side: Side) -> u64 {
        self.pairs + self.skipped[side]
    }

    /// Whether a side's `status` proves that nothing has changed there since the checkpoint.
    pub fn is_unchanged(&self, side: Side, status: &MailboxStatus) -> bool {
        self.checkpoints[side].is_some_and(|checkpoint| checkpoint.proves_unchanged(status, self.held(side)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_messages_are_tried_again_at_growing_intervals() {
        let skipped =
            |why, attempts| Skipped { side: Side::Local, uid: Uid::MIN, why, attempts, last_attempt: 1_000_000 };
        let refused = || SkipReason::Refused("too large".to_owned());
        for (why, attempts, after, due) in [
            (SkipReason::Policy, 0, 0, true),
            (SkipReason::Kept, 0, 1 << 40, false),
            (SkipReason::Merged, 1, 1 << 40, false),
            (SkipReason::Unfound, 1, 1 << 40, false),
            (refused(), 1, 3599, false),
            (refused(), 1, 3600, true),
            (refused(), 2, 7199, false),
            (refused(), 2, 7200, true),
            (refused(), u32::MAX, 7 * 24 * 3600, true),
            (refused(), 1, -5, true),
        ] {
            assert_eq!(skipped(why.clone(), attempts).is_due(1_000_000 + after), due, "{why:?} {attempts} {after}");
        }
    }
}
