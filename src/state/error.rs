//! Why the state could not be read or written; each a sentence that says what to do.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use crate::mail::Side;

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another run holds the account (exit status 5).
    #[error("another run holds this account ({}): wait for it to end", .lock.display())]
    Locked {
        /// The file that is locked.
        lock: PathBuf,
    },

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

    /// A newer interimap wrote the file.
    #[error(
        "{} was written by a newer interimap (its schema is number {found}, this one knows {known}): use that one again, \
         or put back the copy it kept beside the file before it changed the schema",
        .path.display()
    )]
    Newer {
        /// The state.
        path: PathBuf,
        /// The number of its schema.
        found: u32,
        /// The highest number known here.
        known: u32,
    },

    /// An older interimap wrote the file, and it is only to be looked at.
    #[error(
        "{} was written by an older interimap (its schema is number {found}, this one needs {known}): the next sync brings it up",
        .path.display()
    )]
    Older {
        /// The state.
        path: PathBuf,
        /// The number of its schema.
        found: u32,
        /// The number needed.
        known: u32,
    },

    /// What stands in the file cannot be believed.
    #[error(
        "{} cannot be trusted ({what}): move it away together with its -wal and -shm; \
         the next sync pairs the messages anew by fingerprint and copies nothing twice",
        .path.display()
    )]
    Corrupt {
        /// The state.
        path: PathBuf,
        /// What was seen.
        what: String,
    },

    /// No room is left.
    #[error(
        "there is no room left to write {}: make some and run again; what was remembered before stands, this change does not",
        .path.display()
    )]
    DiskFull {
        /// The state.
        path: PathBuf,
    },

    /// Another program keeps the database locked.
    #[error("another program keeps {} locked: close it and run again", .path.display())]
    Busy {
        /// The state.
        path: PathBuf,
    },

    /// The path names a directory, a pipe or a device.
    #[error("{} is not a regular file: name another \"database\"", .path.display())]
    NotAFile {
        /// The path as it was given.
        path: PathBuf,
    },

    /// The file system cannot do what the write-ahead log needs.
    #[error(
        "the file system of {} cannot share memory between processes, as network file systems cannot: \
         name a \"database\" on a local disk",
        .path.display()
    )]
    NoSharedMemory {
        /// The state.
        path: PathBuf,
    },

    /// A file or directory of the state could not be made or opened.
    #[error("cannot {act} {}: {source}; see whose it is and who may write there, or name another \"database\"", .path.display())]
    File {
        /// What was tried: `create`, `open`, `lock`, …
        act: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A state opened by [`State::inspect`](super::State::inspect) was to be changed: a fault of ours.
    #[error("{} was opened to be read only: this is a fault of interimap", .path.display())]
    ReadOnly {
        /// The state.
        path: PathBuf,
    },

    /// A change contradicts what the state holds: a fault of ours. Nothing of the change was kept.
    #[error("a change contradicts what is remembered ({what}) and was not kept: this is a fault of interimap")]
    Contradiction {
        /// The rule that was broken.
        what: String,
    },

    /// The hook beside a commit said to stop.
    #[error("stopped {0} a commit")]
    Stopped(super::Moment),

    /// SQLite failed in another way, an error of the disk for example.
    #[error("{} cannot be used: {source}", .path.display())]
    Database {
        /// The state.
        path: PathBuf,
        /// What SQLite said.
        source: Box<rusqlite::Error>,
    },
}

impl Error {
    /// Says in our words what SQLite said about the state at `path`.
    pub(super) fn from_sqlite(path: &Path, error: rusqlite::Error) -> Error {
        use rusqlite::Error as Sqlite;
        let path = path.to_owned();
        let what = error.to_string();
        match &error {
            // What was read is not what is ever written.
            Sqlite::FromSqlConversionFailure(..)
            | Sqlite::IntegralValueOutOfRange(..)
            | Sqlite::InvalidColumnType(..)
            | Sqlite::Utf8Error(..) => Error::Corrupt { path, what },
            // Our statements fit our schema; where one does not, the schema is damaged.
            Sqlite::SqlInputError { .. } => Error::Corrupt { path, what },
            Sqlite::SqliteFailure(_, Some(message)) if message.starts_with("no such ") => Error::Corrupt { path, what },
            Sqlite::ToSqlConversionFailure(..) => Error::Contradiction { what },
            Sqlite::SqliteFailure(failure, _) => match (failure.code, failure.extended_code) {
                (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Error::Corrupt { path, what },
                (_, ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS) => Error::Corrupt { path, what },
                (ErrorCode::DiskFull, _) => Error::DiskFull { path },
                (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Error::Busy { path },
                (ErrorCode::ReadOnly, _) => {
                    Error::File { act: "write", path, source: io::ErrorKind::PermissionDenied.into() }
                }
                (ErrorCode::ConstraintViolation, _) => Error::Contradiction { what },
                _ => Error::Database { path, source: Box::new(error) },
            },
            _ => Error::Database { path, source: Box::new(error) },
        }
    }

    /// The error of a file operation, for `map_err`.
    pub(super) fn from_io(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path },
            _ => Error::File { act, path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_written_says_what_to_do() {
        let path = Path::new("/d/mail.db");
        let read_only = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None);
        let next = "see whose it is and who may write there, or name another \"database\"";
        assert_eq!(
            Error::from_sqlite(path, read_only).to_string(),
            format!("cannot write /d/mail.db: permission denied; {next}")
        );
        let denied = Error::from_io("create", path)(io::ErrorKind::NotADirectory.into());
        assert_eq!(denied.to_string(), format!("cannot create /d/mail.db: not a directory; {next}"));
    }
}
