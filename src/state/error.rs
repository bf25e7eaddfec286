//! Why the state could not be read or written; each a sentence that says what to do.

use std::path::PathBuf;

use crate::database;
use crate::mail::Side;

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be used, or a change contradicts what is in it.
    #[error(transparent)]
    Database(#[from] database::Error),

    /// The file remembers two other addresses.
    #[error(
        "{} belongs to another account: its {side} side is {found}, that of the configuration is {wanted}; \
         name another \"database\" for this account, or move the file away if its mail is really meant to be at the new address",
        .path.display()
    )]
    OtherAccount {
        /// The state.
        path: PathBuf,
        /// The first side that differs.
        side: Side,
        /// Its address in the file.
        found: String,
        /// Its address in the configuration.
        wanted: String,
    },

    /// The hook beside a commit said to stop.
    #[error("stopped {0} a commit")]
    Stopped(super::Moment),
}
