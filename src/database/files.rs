//! The files of a database: made for their owner alone, and held by one run at a time where that is wanted.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Error;

/// The mode of every file here: mailbox names and flags are nobody else's business.
const FILE_MODE: u32 = 0o600;
/// The mode of directories that are missing and made.
const DIRECTORY_MODE: u32 = 0o700;
/// The bits that give something to anyone but the owner.
const OTHERS: u32 = 0o077;

/// Makes sure that there is a file at `path` that only its owner can read, and says its real name: two links to one
/// database share one lock. A file that is there is not opened: closing it would drop the locks that SQLite may hold on
/// it elsewhere in this process (fcntl(2)).
pub(super) fn prepare(path: &Path) -> Result<PathBuf, Error> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(Error::from_io("create", directory))?;
    match exists(path)? {
        Presence::There => {
            let mode = fs::metadata(path).map_err(Error::from_io("open", path))?.permissions().mode();
            if mode & OTHERS != 0 {
                let own = Permissions::from_mode(mode & !OTHERS);
                fs::set_permissions(path, own).map_err(Error::from_io("make private", path))?;
            }
        }
        Presence::Missing => {
            let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path);
            match made {
                // Two first runs may meet here; the lock decides between them.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => drop(made.map_err(Error::from_io("create", path))?),
            }
            sync_directory(directory)?;
        }
    }
    fs::canonicalize(path).map_err(Error::from_io("open", path))
}

/// Whether a file is at `path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// A regular file is, perhaps behind links.
    There,
    /// Nothing is.
    Missing,
}

/// Whether there is a file at `path`; anything but a regular file is refused.
pub(super) fn exists(path: &Path) -> Result<Presence, Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Presence::There),
        Ok(_) => Err(Error::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Presence::Missing),
        Err(error) => Err(Error::from_io("open", path)(error)),
    }
}

/// Makes an empty file for its owner alone, in place of one that is there.
pub(super) fn create_empty(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::from_io("replace", path)(error)),
        _ => {}
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path);
    made.map(drop).map_err(Error::from_io("create", path))
}

/// Gives the file at `from` its final name, for good.
pub(super) fn publish(from: &Path, to: &Path) -> Result<(), Error> {
    File::open(from).and_then(|file| file.sync_all()).map_err(Error::from_io("write", from))?;
    fs::rename(from, to).map_err(Error::from_io("create", to))?;
    sync_directory(to.parent().unwrap_or(Path::new("/")))
}

/// Makes new names in a directory survive a power cut.
fn sync_directory(directory: &Path) -> Result<(), Error> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(Error::from_io("write", directory))
}

/// How the run before ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It closed the database, or there was none.
    Orderly,
    /// It was killed, or the power failed, or a reader was still there when it closed.
    Sudden,
}

/// SQLite empties the write-ahead log into the database when the last connection closes it. With the lock in hand,
/// a log that holds anything was left by a run that did not come to that.
/// Without it, the others that have the database open may be at work.
pub(super) fn end_of_last_run(path: &Path) -> Result<End, Error> {
    let log = beside(path, "-wal");
    match fs::metadata(&log) {
        Ok(metadata) if metadata.len() > 0 => Ok(End::Sudden),
        Ok(_) => Ok(End::Orderly),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(End::Orderly),
        Err(error) => Err(Error::from_io("open", &log)(error)),
    }
}

/// The path with something added to the name of its last part: `work.db` becomes `work.db-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Gives the file of a database that cannot be trusted another name, which is answered. Its log is of no use without it.
pub fn put_aside(path: &Path) -> Result<PathBuf, Error> {
    let aside = beside(path, ".damaged");
    fs::rename(path, &aside).map_err(Error::from_io("rename", path))?;
    for suffix in ["-wal", "-shm"] {
        // What is not there needs no removal.
        fs::remove_file(beside(path, suffix)).ok();
    }
    Ok(aside)
}

/// The account's lock. The kernel frees it when the process ends, in whatever way (flock(2)). Its file stays:
/// were it deleted, one run could hold the old file and another the new one.
#[derive(Debug)]
pub(super) struct Lock {
    #[expect(dead_code, reason = "the lock is held as long as the file is open")]
    file: File,
}

impl Lock {
    /// Takes the lock beside `path`, or says at once that another has it.
    pub(super) fn take(path: &Path) -> Result<Lock, Error> {
        let lock = beside(path, ".lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = options.open(&lock).map_err(Error::from_io("open", &lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { lock }),
            Err(TryLockError::Error(error)) => Err(Error::from_io("lock", &lock)(error)),
        }
    }
}
