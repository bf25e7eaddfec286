//! A mailbox's directories, opened one below the other without following a symbolic link.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, fsync, mkdirat, openat};
use rustix::io::Errno;

use super::endpoint::Durability;
use super::stamp::{Stamp, Stamps};

/// The mode of directories that are made: mail is nobody else's business.
pub(super) const DIRECTORY_MODE: Mode = Mode::RWXU;
/// What says which letters stand for which keywords.
pub(super) const KEYWORDS_FILE: &str = "dovecot-keywords";

/// Which of the two directories of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Folder {
    /// What no program has shown to anybody yet.
    New,
    /// What a program has taken up.
    Cur,
}

impl Folder {
    /// The directory's name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Folder::New => "new",
            Folder::Cur => "cur",
        }
    }
}

/// A mailbox's directories.
pub(super) struct Folders {
    /// The one that holds the others.
    pub(super) home: OwnedFd,
    cur: OwnedFd,
    new: Option<OwnedFd>,
}

impl Folders {
    /// Opens those of a mailbox; `NOENT` where it has no `cur`.
    pub(super) fn open(home: OwnedFd) -> Result<Folders, Errno> {
        let cur = open_directory(&home, "cur")?;
        let new = match open_directory(&home, "new") {
            Ok(new) => Some(new),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error),
        };
        Ok(Folders { home, cur, new })
    }

    /// One of the two, where it is there.
    pub(super) fn get(&self, folder: Folder) -> Option<BorrowedFd<'_>> {
        match folder {
            Folder::Cur => Some(self.cur.as_fd()),
            Folder::New => self.new.as_ref().map(AsFd::as_fd),
        }
    }

    /// One of the two, made where it is missing.
    pub(super) fn made(&mut self, folder: Folder) -> Result<BorrowedFd<'_>, Errno> {
        if folder == Folder::New && self.new.is_none() {
            make_directory(&self.home, "new")?;
            self.new = Some(open_directory(&self.home, "new")?);
        }
        self.get(folder).ok_or(Errno::NOENT)
    }

    /// Where messages are written before they are delivered, made where it is missing.
    pub(super) fn tmp(&self) -> Result<OwnedFd, Errno> {
        make_directory(&self.home, "tmp")?;
        open_directory(&self.home, "tmp")
    }

    /// What they show of their contents.
    pub(super) fn stamps(&self) -> Result<Stamps, Errno> {
        Ok(Stamps {
            cur: Stamp::of_open(&self.cur)?,
            new: self.new.as_ref().map(Stamp::of_open).transpose()?,
            keywords: Stamp::of_name(&self.home, KEYWORDS_FILE)?,
        })
    }

    /// Makes the names in these directories survive a power cut.
    pub(super) fn sync(&self, folders: impl IntoIterator<Item = Folder>, durability: Durability) -> Result<(), Errno> {
        if durability == Durability::Unsynced {
            return Ok(());
        }
        folders.into_iter().filter_map(|folder| self.get(folder)).try_for_each(fsync)
    }
}

/// Opens a directory below another one; a symbolic link is none.
pub(super) fn open_directory<N: AsRef<OsStr> + ?Sized>(parent: impl AsFd, name: &N) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name.as_ref(), flags, Mode::empty())
}

/// Makes a directory; one that is there is no error.
pub(super) fn make_directory<N: AsRef<OsStr> + ?Sized>(parent: impl AsFd, name: &N) -> Result<(), Errno> {
    match mkdirat(parent, name.as_ref(), DIRECTORY_MODE) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}
