//! What the engine tells while it works, and what it has to show at the end: values, no words for the reader yet.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::mail::{Both, MailboxName, Side, Uid};
use crate::store::{self, Method, Passage, Profile, Traffic};

use super::Step;

/// Hears what happens, as it happens. Called between two waits, so it must not block for long.
pub trait Listener: Send {
    /// Something happened.
    fn hear(&mut self, event: Event<'_>);
}

/// A listener for those who only want the [`Report`].
#[derive(Debug, Default)]
pub struct Silent;

impl Listener for Silent {
    fn hear(&mut self, _: Event<'_>) {}
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A side has said what it is.
    Open(Side, &'a Profile),
    /// The mailboxes of both sides are known.
    Listed {
        /// How many take part.
        mailboxes: usize,
        /// How many of them have to be looked at.
        changed: usize,
    },
    /// The plan stands; so much is about to be done.
    Planned(Work),
    /// One message has arrived on a side.
    Copied {
        /// The side it arrived on.
        to: Side,
        /// Where.
        mailbox: &'a MailboxName,
        /// How large it is.
        octets: u64,
    },
    /// Flags of so many messages were changed on a side.
    Flagged(Side, &'a MailboxName, u64),
    /// So many messages were expunged on a side.
    Expunged(Side, &'a MailboxName, u64),
    /// So many messages were put from one mailbox into another by the side itself.
    Relocated {
        /// The side.
        side: Side,
        /// Whether they are still where they were.
        passage: Passage,
        /// The mailbox in which they were before.
        from: &'a MailboxName,
        /// The mailbox in which they are now.
        to: &'a MailboxName,
        /// How many.
        messages: u64,
    },
    /// A mailbox was changed as a whole.
    Mailbox(Side, &'a MailboxName, MailboxEvent<'a>),
    /// Something went wrong; it will stand in the report too.
    Trouble(&'a Trouble),
}

/// What happened to a mailbox as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxEvent<'a> {
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// It was renamed to this.
    Renamed(&'a MailboxName),
    /// The user is subscribed to it now.
    Subscribed,
    /// The user is no longer subscribed to it.
    Unsubscribed,
    /// So many of its messages were recognized on both sides without copying them.
    Paired(u64),
}

/// How much a plan asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Messages to copy.
    pub copies: u64,
    /// Messages to copy or move within a side.
    pub moves: u64,
    /// Messages whose flags are to change, counted once a side.
    pub flags: u64,
    /// Messages to expunge.
    pub expunges: u64,
}

/// What a run has done, and what it has not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// How many mailboxes took part.
    pub mailboxes: u64,
    /// How many of them were changed on a side by this run.
    pub mailboxes_changed: u64,
    /// How long it took.
    pub duration: Duration,
    /// What was done on each side.
    pub sides: Both<SideReport>,
    /// Messages that were left out, now or earlier, and still are.
    pub skipped: Vec<SkippedMessage>,
    /// True conflicts, and how they were decided.
    pub conflicts: Vec<Conflict>,
    /// Mailboxes whose expunges the guard held back.
    pub guarded: Vec<Guarded>,
    /// What went wrong.
    pub troubles: Vec<Trouble>,
    /// What `repair` found to be different: between the sides, and from what was remembered.
    pub differences: Vec<Step>,
}

/// What was done on one side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SideReport {
    /// Messages that arrived.
    pub copied: u64,
    /// Their octets.
    pub copied_bytes: u64,
    /// Messages whose flags were changed.
    pub flagged: u64,
    /// Messages that were expunged.
    pub expunged: u64,
    /// Messages that were moved within the side.
    pub moved: u64,
    /// Mailboxes created.
    pub created: u64,
    /// Mailboxes deleted.
    pub deleted: u64,
    /// Mailboxes renamed.
    pub renamed: u64,
    /// Mailboxes whose subscription was changed.
    pub subscriptions: u64,
    /// Messages recognized without copying them.
    pub paired: u64,
    /// What went over the wire.
    pub traffic: Traffic,
    /// How the side was observed; `None` where it was never reached.
    pub method: Option<Method>,
    /// The mailboxes, by their local names, that the method did not fit: they keep no mod-sequences, and every message of
    /// theirs was listed.
    pub listed_in_full: BTreeSet<MailboxName>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides hold the same.
    InSync,
    /// Something was left undone.
    Incomplete,
    /// A side was lost, or never reached.
    Failed,
}

impl Report {
    /// How the run ended.
    pub fn outcome(&self) -> Outcome {
        let lost = |trouble: &Trouble| trouble.reach >= Extent::Side;
        match () {
            () if self.troubles.iter().any(lost) => Outcome::Failed,
            () if self.troubles.is_empty() && self.skipped.is_empty() && self.guarded.is_empty() => Outcome::InSync,
            () => Outcome::Incomplete,
        }
    }
}

/// A message that one side holds and the other one does not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedMessage {
    /// Its mailbox.
    pub mailbox: MailboxName,
    /// The side that holds it.
    pub side: Side,
    /// Its UID there.
    pub uid: Uid,
    /// Why.
    pub reason: String,
}

/// Something that both sides did differently with one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its mailbox.
    pub mailbox: MailboxName,
    /// The side on which it was expunged; on the other one its flags had changed.
    pub expunged_on: Side,
    /// Its UID on that other side.
    pub uid: Uid,
}

/// A mailbox that the guard protects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Which; `None` where whole mailboxes were to be deleted.
    pub mailbox: Option<MailboxName>,
    /// The side that would have lost something.
    pub side: Side,
    /// How many messages (or mailboxes) would have gone.
    pub going: u64,
    /// Of how many.
    pub held: u64,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// How far it reaches.
    pub reach: Extent,
    /// The side it happened on, where it was one.
    pub side: Option<Side>,
    /// The mailbox it happened in, where it was one.
    pub mailbox: Option<MailboxName>,
    /// What kind of failure it is.
    pub cause: TroubleCause,
    /// What failed, as a sentence without a full stop.
    pub text: String,
}

/// How far a trouble reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// One message, or one wish concerning a mailbox.
    Message,
    /// The rest of a mailbox was left as it is.
    Mailbox,
    /// The rest of the run was left undone, for a side is lost.
    Side,
    /// The rest of the run was left undone, for the state cannot be written.
    Run,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleCause {
    /// A store failed.
    Store(store::Cause),
    /// The state could not be read or written.
    State,
    /// A mailbox name that a side cannot hold, or that the rules do not allow.
    Name,
    /// A mailbox could not be brought in line for what it holds (an ambiguous rename, a deletion that was refused).
    Mailbox,
    /// Messages that others have marked as deleted would have been expunged along (no UIDPLUS).
    Marked,
    /// A side does not keep flags that it was given.
    Unkept,
    /// The sides kept changing, or contradicted themselves, while we looked.
    Unsettled,
}

impl Trouble {
    /// What a store's failure means for the run.
    pub fn of_store(side: Side, mailbox: Option<&MailboxName>, error: &store::Error) -> Trouble {
        let reach = match error.reach {
            store::Reach::Message => Extent::Message,
            store::Reach::Mailbox => Extent::Mailbox,
            store::Reach::Side => Extent::Side,
        };
        Trouble {
            reach,
            side: Some(side),
            mailbox: mailbox.cloned(),
            cause: TroubleCause::Store(error.cause),
            text: error.text.clone(),
        }
    }
}
