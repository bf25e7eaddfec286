//! Decides what to do from what is known. Pure: no clock, no randomness, no input, no output.

mod names;
mod policy;

pub use names::{NameConflict, NameMap, Rename};
pub use policy::{Choice, Creation, DeleteMailboxes, Flow, MaxDelete, Policy, Selection, Writing};
