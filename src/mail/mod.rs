//! The field's vocabulary as values that cannot be wrong; no input, no output.

mod flag_map;
mod flags;
mod listing;
mod mailbox;
mod message;
mod name;
mod side;
mod uid;

pub use flag_map::FlagMap;
pub use flags::{Flag, FlagChange, FlagSet, Keyword, NewKeywords, PermanentFlags};
pub use listing::{Listed, Listing, MailboxKind, Unnamable};
pub use mailbox::{Access, Checkpoint, MailboxId, MailboxStatus, Observation, Silence, Subscription};
pub use message::{Fingerprint, HeaderDigest, InternalDate, Measure};
pub use name::{InvalidName, MailboxName, Pattern};
pub use side::{Both, Side};
pub use uid::{ModSeq, Uid, UidSet, UidValidity};
