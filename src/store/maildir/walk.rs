//! Goes through the tree and finds what is a mailbox in it. No symbolic link is followed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use rustix::fs::{Dir, FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::mail::{MailboxName, Unnamable};

use super::endpoint::Layout;
use super::folders::open_directory;
use super::path::{InboxPlace, Place, Root};
use super::tree::{Tree, is_directory, kind_of, os};

/// Deeper directories are not looked at: no name has as many levels.
const DEEPEST: usize = MailboxName::MAX_LEVELS + 64;

/// Why a directory is not looked into.
const FORBIDDEN: &str = "the permissions of its directory forbid to look into it";
const LINK: &str = "it is a symbolic link, and none is followed out of the tree";
const LINK_IN_IT: &str = "its cur is a symbolic link, and none is followed out of the tree";

/// What is found in a tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Directories that hold a directory `cur`.
    pub(super) mailboxes: BTreeMap<MailboxName, Place>,
    /// Directories that hold only mailboxes.
    pub(super) containers: BTreeSet<MailboxName>,
    /// What could be mailboxes and cannot be named.
    pub(super) unnamable: Vec<Unnamable>,
    /// What may not be looked into, or leads elsewhere: nobody knows what is there, or has a right to call it gone.
    pub(super) hidden: Vec<Place>,
}

impl Tree {
    /// Finds every mailbox.
    pub(super) fn walk(&self) -> Result<Found, Errno> {
        let mut found = Found::default();
        for root in [Root::Tree, Root::Inbox] {
            let has_own = matches!(self.names.inbox, InboxPlace::Outside(_));
            if root == Root::Inbox && !has_own {
                continue;
            }
            let place = Place::root(root);
            let directory = match self.home(&place) {
                Err(Errno::NOENT) => continue,
                directory => directory?,
            };
            found.visit(self, &directory, &place)?;
            match self.names.layout {
                Layout::Fs => self.descend(&directory, &place, 0, &mut found)?,
                Layout::MaildirPlusPlus => self.look_beside(&directory, &place, &mut found)?,
            }
        }
        self.look_for_inbox(&mut found)?;
        let names: Vec<MailboxName> = found.mailboxes.keys().cloned().collect();
        for name in names {
            let mut levels: Vec<&str> = name.levels().collect();
            while levels.pop().is_some() && !levels.is_empty() {
                let Ok(parent) = MailboxName::from_levels(levels.iter().copied()) else { continue };
                if !found.mailboxes.contains_key(&parent) {
                    found.containers.insert(parent);
                }
            }
        }
        Ok(found)
    }

    /// Looks where INBOX has to be: that may be a directory of a name that hides others.
    fn look_for_inbox(&self, found: &mut Found) -> Result<(), Errno> {
        let inbox = MailboxName::inbox();
        let Ok(place) = self.names.place_of(&inbox) else { return Ok(()) };
        if found.mailboxes.contains_key(&inbox) || found.hidden.iter().any(|hidden| place.is_within(hidden)) {
            return Ok(());
        }
        let directory = match self.home(&place) {
            Err(Errno::NOENT) => return Ok(()),
            directory => directory?,
        };
        found.visit(self, &directory, &place)?;
        match self.names.layout {
            Layout::Fs => self.descend(&directory, &place, 0, found),
            Layout::MaildirPlusPlus => Ok(()),
        }
    }

    fn descend(&self, directory: &OwnedFd, place: &Place, depth: usize, found: &mut Found) -> Result<(), Errno> {
        if depth > DEEPEST {
            return Ok(());
        }
        let levels = match directories_in(directory, |name| !name.starts_with(b".")) {
            Err(Errno::ACCESS) if place.parent().is_some() => {
                found.hide(place.clone(), FORBIDDEN);
                return Ok(());
            }
            levels => levels?,
        };
        for level in levels {
            // What is no place for a mailbox is `cur`, `new` or `tmp`.
            let Some(place) = place.child(os(&level.name)) else { continue };
            let Some(child) = self.enter(directory, level, &place, found)? else { continue };
            found.visit(self, &child, &place)?;
            self.descend(&child, &place, depth + 1, found)?;
        }
        Ok(())
    }

    fn look_beside(&self, directory: &OwnedFd, place: &Place, found: &mut Found) -> Result<(), Errno> {
        for level in directories_in(directory, |name| name.starts_with(b".") && name != b"." && name != b"..")? {
            let Some(place) = place.child(os(&level.name)) else { continue };
            if let Some(child) = self.enter(directory, level, &place, found)? {
                found.visit(self, &child, &place)?;
            }
        }
        Ok(())
    }

    /// Opens a directory; what a symbolic link leads to is named if it is a mailbox, and left alone.
    fn enter(
        &self,
        directory: &OwnedFd,
        level: Level,
        place: &Place,
        found: &mut Found,
    ) -> Result<Option<OwnedFd>, Errno> {
        match open_directory(directory, os(&level.name)) {
            Ok(child) => Ok(Some(child)),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                match level.kind == FileType::Symlink && leads_to_mailbox(directory, &level.name) {
                    true => found.hide(place.clone(), LINK),
                    // It may have been a mailbox: the disk that it leads to may not be there now.
                    false => found.hidden.push(place.clone()),
                }
                Ok(None)
            }
            // It went while the directory was read.
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::ACCESS) => {
                found.hide(place.clone(), FORBIDDEN);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Found {
    /// Takes a directory for a mailbox if it is one.
    fn visit(&mut self, tree: &Tree, directory: &OwnedFd, place: &Place) -> Result<(), Errno> {
        match kind_of(directory, "cur") {
            Ok(Some(FileType::Directory)) => match tree.names.name_of(place) {
                Ok(name) => drop(self.mailboxes.insert(name, place.clone())),
                Err(reason) => self.unnamable.push(Unnamable { name: place.to_string(), reason }),
            },
            Ok(Some(FileType::Symlink)) => self.hide(place.clone(), LINK_IN_IT),
            Ok(_) => {}
            Err(Errno::ACCESS) => self.hide(place.clone(), FORBIDDEN),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Says why nobody knows what is in a directory.
    fn hide(&mut self, place: Place, reason: &str) {
        self.unnamable.push(Unnamable { name: place.to_string(), reason: reason.to_owned() });
        self.hidden.push(place);
    }
}

/// A name in a directory that may be one.
struct Level {
    name: Vec<u8>,
    kind: FileType,
}

/// The directories in a directory, and what may lead to some, in order.
fn directories_in(directory: &OwnedFd, wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<Level>, Errno> {
    let mut levels = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name().to_bytes(), entry.file_type());
        if wanted(name) && matches!(kind, FileType::Directory | FileType::Symlink | FileType::Unknown) {
            levels.push(Level { name: name.to_vec(), kind });
        }
    }
    levels.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(levels)
}

fn leads_to_mailbox(directory: &OwnedFd, name: &[u8]) -> bool {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty()).is_ok_and(|target| is_directory(&target, "cur"))
}
