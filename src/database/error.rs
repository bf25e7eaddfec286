//! Why a database could not be opened, read or written; each a sentence that says what to do.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use super::Schema;

/// Why a database could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another run holds the account (exit status 5).
    #[error("another run holds this account ({}): wait for it to end", .lock.display())]
    Locked {
        /// The file that is locked.
        lock: PathBuf,
    },

    /// A newer interimap wrote the file.
    #[error(
        "{} was written by a newer interimap (its schema is number {found}, this one knows {known}): use that one again, \
         or put back the copy it kept beside the file before it changed the schema",
        .path.display()
    )]
    Newer {
        /// The file.
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
        /// The file.
        path: PathBuf,
        /// The number of its schema.
        found: u32,
        /// The number needed.
        known: u32,
    },

    /// What stands in the file cannot be believed.
    #[error(
        "{} cannot be trusted ({what}): move it away together with its -wal and -shm; {without}",
        .path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was seen.
        what: String,
        /// What comes of moving the file away; see [`Schema::without`].
        without: &'static str,
    },

    /// No room is left.
    #[error(
        "there is no room left to write {}: make some and run again; what was remembered before stands, this change does not",
        .path.display()
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
    },

    /// Another program keeps the database locked.
    #[error("another program keeps {} locked: close it and run again", .path.display())]
    Busy {
        /// The file.
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
        /// The file.
        path: PathBuf,
    },

    /// A file or directory could not be made or opened.
    #[error("cannot {act} {}: {source}; see whose it is and who may write there, or name another \"database\"", .path.display())]
    File {
        /// What was tried: `create`, `open`, `lock`, …
        act: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A database opened by [`Database::inspect`](super::Database::inspect) was to be changed: a fault of ours.
    #[error("{} was opened to be read only: this is a fault of interimap", .path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },

    /// A change contradicts what the database holds: a fault of ours. Nothing of the change was kept.
    #[error("a change contradicts what is remembered ({what}) and was not kept: this is a fault of interimap")]
    Contradiction {
        /// The rule that was broken.
        what: String,
    },

    /// SQLite failed in another way, an error of the disk for example.
    #[error("{} cannot be used: {source}", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Box<rusqlite::Error>,
    },
}

impl Error {
    /// Says in our words what SQLite said about the database at `path`.
    pub(super) fn from_sqlite(path: &Path, schema: &Schema, error: rusqlite::Error) -> Error {
        use rusqlite::Error as Said;
        let path = path.to_owned();
        let what = error.to_string();
        let without = schema.without;
        match &error {
            // What was read is not what is ever written.
            Said::FromSqlConversionFailure(..)
            | Said::IntegralValueOutOfRange(..)
            | Said::InvalidColumnType(..)
            | Said::Utf8Error(..) => Error::Corrupt { path, what, without },
            // Our statements fit our schema; where one does not, the schema is damaged.
            Said::SqlInputError { .. } => Error::Corrupt { path, what, without },
            Said::SqliteFailure(_, Some(message)) if message.starts_with("no such ") => {
                Error::Corrupt { path, what, without }
            }
            Said::ToSqlConversionFailure(..) => Error::Contradiction { what },
            Said::SqliteFailure(failure, _) => match (failure.code, failure.extended_code) {
                (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Error::Corrupt { path, what, without },
                (_, ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS) => {
                    Error::Corrupt { path, what, without }
                }
                (ErrorCode::DiskFull, _) => Error::DiskFull { path },
                (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Error::Busy { path },
                (ErrorCode::ReadOnly, _) => {
                    Error::File { act: "write", path, source: io::ErrorKind::PermissionDenied.into() }
                }
                (ErrorCode::ConstraintViolation, _) => Error::Contradiction { what },
                _ => Error::Sqlite { path, source: Box::new(error) },
            },
            _ => Error::Sqlite { path, source: Box::new(error) },
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

    const SCHEMA: Schema =
        Schema { noun: "list", application_id: 1, migrations: &[], counters: &[], without: "it is written anew" };

    #[test]
    fn what_may_not_be_written_says_what_to_do() {
        let path = Path::new("/d/mail.db");
        let read_only = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None);
        let next = "see whose it is and who may write there, or name another \"database\"";
        assert_eq!(
            Error::from_sqlite(path, &SCHEMA, read_only).to_string(),
            format!("cannot write /d/mail.db: permission denied; {next}")
        );
        let denied = Error::from_io("create", path)(io::ErrorKind::NotADirectory.into());
        assert_eq!(denied.to_string(), format!("cannot create /d/mail.db: not a directory; {next}"));
    }

    #[test]
    fn what_cannot_be_trusted_says_what_comes_of_moving_it_away() {
        let damaged = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), None);
        let told = Error::from_sqlite(Path::new("/d/mail.db"), &SCHEMA, damaged).to_string();
        assert!(told.ends_with("move it away together with its -wal and -shm; it is written anew"), "{told}");
    }
}
