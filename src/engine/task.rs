//! A mailbox with what is to be done in it: what a survey yields and the execution works off.

use std::collections::BTreeSet;

use crate::mail::{Both, Checkpoint, FlagMap, MailboxName, MailboxStatus, Observation, PermanentFlags, UidSet};
use crate::plan::{MailboxKey, MailboxPlan, PairId, Place};
use crate::store::UidScope;

/// A mailbox with what is to be done in it.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The row.
    pub(super) key: MailboxKey,
    /// What was remembered of it before this run.
    pub(super) checkpoints: Both<Option<Checkpoint>>,
    /// Its local name.
    pub(super) name: MailboxName,
    /// What each side said of it.
    pub(super) sides: Both<SideView>,
    /// What has arrived on each side, until it is known what of it has moved.
    pub(super) arrived: Both<FlagMap>,
    /// The pairs whose flags have changed on each side, as long as that matters.
    pub(super) changed: Both<BTreeSet<PairId>>,
    /// What is to be done.
    pub(super) plan: MailboxPlan,
    /// The messages that are to get their `\Deleted` back, where this run may not do that.
    pub(super) lifted: Both<UidSet>,
    /// The subscriptions to be changed, and what is to be remembered of them.
    pub(super) place: Place,
}

/// What one side said of a mailbox.
#[derive(Clone, Debug)]
pub(crate) enum SideView {
    /// It is there.
    Seen(Sight),
    /// It has to be created under this name of the side's.
    ToCreate(MailboxName),
}

/// What remains of an observation once the plan is made.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// Where its UIDs mean something.
    pub(super) scope: UidScope,
    /// The status before anything was done: what a checkpoint may be made of.
    pub(super) status: MailboxStatus,
    /// Which flags the side can keep.
    pub(super) permanent_flags: PermanentFlags,
}

impl Sight {
    pub(super) fn of(name: MailboxName, seen: &Observation) -> Sight {
        Sight {
            scope: UidScope { name, uid_validity: seen.status.uid_validity },
            status: seen.status,
            permanent_flags: seen.permanent_flags.clone(),
        }
    }
}

impl SideView {
    pub(super) fn seen(&self) -> Option<&Sight> {
        match self {
            SideView::Seen(sight) => Some(sight),
            SideView::ToCreate(_) => None,
        }
    }
}
