//! Decides what to do from what is known. Pure: no clock, no randomness, no input, no output.

mod baseline;
mod names;
mod policy;

pub use baseline::{Intent, IntentId, MailboxKey, Pair, PairId, Remembered, SkipReason, Skipped};
pub use names::{NameConflict, NameMap, Rename};
pub use policy::{Choice, Creation, DeleteMailboxes, Flow, MaxDelete, Policy, Selection, Writing};
