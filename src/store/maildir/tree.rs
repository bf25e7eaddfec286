//! The tree itself: its roots, its index, and the way from a mailbox's name to its open directories.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::mail::MailboxName;
use crate::store::{Cause, Error, Reach, UidScope};

use super::endpoint::{Durability, Endpoint, IndexFile, KeywordStorage, Layout};
use super::fault;
use super::file_name::FreshNames;
use super::folders::{Folders, open_directory};
use super::index::{Index, Key, Mailbox};
use super::measure::errno_of;
use super::path::{InboxPlace, Levels, Names, Place, Root};

/// A tree of Maildirs, open.
pub(super) struct Tree {
    pub(super) index: Index,
    pub(super) names: Names,
    pub(super) keywords: KeywordStorage,
    pub(super) durability: Durability,
    /// What new files are called.
    pub(super) fresh_names: FreshNames,
    /// The mailboxes whose directories this session has read.
    pub(super) read: HashSet<Key>,
    /// Where it is, for messages.
    pub(super) path: PathBuf,
    /// `None` where there is none yet, and it is only looked at.
    root: Option<OwnedFd>,
    inbox: Option<OwnedFd>,
}

impl Tree {
    /// Opens a tree, and makes it where there is none and the index knows of none.
    pub(super) fn open(endpoint: &Endpoint, file: &IndexFile) -> Result<Tree, Error> {
        let index = Index::open(file)?;
        let known = index.mailboxes()?;
        let root = open_root(&endpoint.path, &known, file)?;
        let place = inbox_place(endpoint, root.as_ref())?;
        let inbox = match (&place, &endpoint.inbox) {
            (InboxPlace::Outside(_), Some(path)) => open_root(path, &known, file)?,
            _ => None,
        };
        let mut tree = Tree {
            index,
            names: Names { layout: endpoint.layout, encoding: endpoint.names, inbox: place },
            keywords: endpoint.keywords,
            durability: endpoint.durability,
            fresh_names: FreshNames::new(std::process::id(), rustix::system::uname().nodename().to_bytes()),
            read: HashSet::new(),
            path: endpoint.path.clone(),
            root,
            inbox,
        };
        if known.is_empty() && matches!(file, IndexFile::Kept(_)) {
            // Every side has one. Where mail was known before and INBOX is missing, something is wrong with the disk.
            tree.create(&MailboxName::inbox())?;
        }
        Ok(tree)
    }

    /// A root; `NOENT` where there is none yet.
    pub(super) fn root(&self, root: Root) -> Result<OwnedFd, Errno> {
        let root = match root {
            Root::Tree => &self.root,
            Root::Inbox => &self.inbox,
        };
        root.as_ref().ok_or(Errno::NOENT)?.try_clone().map_err(errno_of)
    }

    /// The directory of a place, opened level by level: no symbolic link leads out of the tree.
    pub(super) fn home(&self, place: &Place) -> Result<OwnedFd, Errno> {
        place.levels.iter().try_fold(self.root(place.root)?, |directory, level| open_directory(&directory, level))
    }

    /// Where a mailbox lies, or has to.
    pub(super) fn place_of(&self, name: &MailboxName) -> Result<Place, Error> {
        let refused = |why| Error::mailbox(Cause::CannotHold, format!("there can be no mailbox \"{name}\": {why}"));
        self.names.place_of(name).map_err(refused)
    }

    /// The directories of a mailbox. `does` is what is about to be done with them.
    pub(super) fn folders(&self, name: &MailboxName, done: &str) -> Result<Folders, Error> {
        let place = self.place_of(name)?;
        self.home(&place).and_then(Folders::open).map_err(|errno| fault::of_mailbox(errno, name, done))
    }

    /// A mailbox and its directories, if it is of the generation that is meant.
    pub(super) fn scoped(&self, scope: &UidScope) -> Result<(Mailbox, Folders), Error> {
        let mailbox = self.index.mailbox(&scope.name)?.ok_or_else(|| fault::gone(&scope.name))?;
        if mailbox.status.uid_validity != scope.uid_validity {
            let text = format!("the UIDVALIDITY of \"{}\" is {} by now", scope.name, mailbox.status.uid_validity);
            return Err(Error::mailbox(Cause::UidValidityChanged, text));
        }
        let folders = self.folders(&scope.name, "opened")?;
        Ok((mailbox, folders))
    }
}

/// Opens the directory that everything lies below. Where the user says that it is, a symbolic link may lead to it.
fn open_root(path: &Path, known: &[Mailbox], file: &IndexFile) -> Result<Option<OwnedFd>, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || openat(CWD, path, flags, Mode::empty());
    let told = |errno| fault::of_system(errno, Reach::Side, format_args!("{} cannot be opened", path.display()));
    match open() {
        Err(Errno::NOENT) if known.is_empty() && matches!(file, IndexFile::LookedAt(_)) => Ok(None),
        Err(Errno::NOENT) if known.is_empty() => {
            use std::os::unix::fs::DirBuilderExt;
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|error| told(errno_of(error)))?;
            open().map(Some).map_err(told)
        }
        Err(Errno::NOENT) => {
            let text = format!("{} is not there, although mail was in it: its disk may not be mounted", path.display());
            Err(Error::side(Cause::Storage, text).for_good())
        }
        opened => opened.map(Some).map_err(told),
    }
}

/// Where INBOX is.
fn inbox_place(endpoint: &Endpoint, root: Option<&OwnedFd>) -> Result<InboxPlace, Error> {
    if let Some(path) = &endpoint.inbox {
        let refused = |why| Error::side(Cause::CannotHold, format!("INBOX cannot be there: {why}")).for_good();
        return InboxPlace::of(&endpoint.path, path).map_err(refused);
    }
    if endpoint.layout == Layout::MaildirPlusPlus || root.is_some_and(|root| is_directory(root, "cur")) {
        return Ok(InboxPlace::Root);
    }
    let told = |errno| fault::of_system(errno, Reach::Side, format_args!("{} cannot be read", endpoint.path.display()));
    let mut candidates = Vec::new();
    if let Some(root) = root {
        for entry in rustix::fs::Dir::read_from(root).map_err(told)? {
            let entry = entry.map_err(told)?;
            let name = entry.file_name().to_bytes();
            let holds_mail = || open_directory(root, os(name)).is_ok_and(|level| is_directory(&level, "cur"));
            if name.eq_ignore_ascii_case(b"INBOX") && holds_mail() {
                candidates.push(os(name).to_owned());
            }
        }
    }
    // INBOX itself before inbox and Inbox.
    candidates.sort();
    let level = candidates.into_iter().next().unwrap_or_else(|| "INBOX".into());
    Ok(InboxPlace::Inside(Levels::default().child(&level).unwrap_or_default()))
}

/// Octets as the system's text.
pub(super) fn os(octets: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(octets)
}

/// Whether a name in a directory is a directory, and no link to one.
pub(super) fn is_directory(parent: impl AsFd, name: &str) -> bool {
    kind_of(parent, name).is_ok_and(|kind| kind == Some(FileType::Directory))
}

/// What a name in a directory is; `None` where nothing has it.
pub(super) fn kind_of(parent: impl AsFd, name: &str) -> Result<Option<FileType>, Errno> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
