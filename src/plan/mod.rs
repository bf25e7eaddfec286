//! Decides what to do from what is known. Pure: no clock, no randomness, no input, no output.

mod baseline;
mod diff;
mod merge;
mod messages;
mod moves;
mod names;
mod pairing;
mod policy;
mod tree;

pub use baseline::{Answer, Intent, IntentId, Lifted, MailboxKey, Pair, PairId, Remembered, SkipReason, Skipped};
pub use diff::{Baseline, Changes, Diff, exists_equation_holds};
pub use merge::{Merged, agreed, merge};
pub use messages::{MailboxPlan, Reflag, View, plan_mailbox};
pub use moves::{Copy, Move, find_copies, find_moves};
pub use names::{NameConflict, NameMap, Rename};
pub use pairing::{
    Likeness, Prints, Rediscovered, Text, contested, find_landed, find_rewritten, match_texts, match_wholes, pair_up,
    rediscover,
};
pub use policy::{Choice, Creation, DeleteMailboxes, Flow, MaxDelete, Policy, Selection, Writing};
pub use tree::{
    Deletion, DeletionCondition, Evidence, NameTrouble, Place, Presence, RenameKind, RenameStep, Roster, Standing,
    Suspicion, TreePlan, TreeTrouble, TreeView, plan_tree, suspect_renames,
};
