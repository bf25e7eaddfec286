//! Makes, removes and renames the directories of mailboxes, and leaves alone what others keep in them.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, fsync, mkdirat, openat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::endpoint::{Durability, Layout};
use super::folders::{DIRECTORY_MODE, Folder, Folders, make_directory, open_directory};
use super::path::Place;
use super::tree::Tree;

/// What says in Maildir++ that a directory is a mailbox below another one, and not the tree's root.
const FOLDER_MARK: &str = "maildirfolder";
/// What mail programs keep in a mailbox about the mailbox: files that begin so go with it.
const BELONGINGS: [&str; 4] = ["dovecot", FOLDER_MARK, ".uidvalidity", ".mbsyncstate"];

impl Tree {
    /// Makes the directories of a mailbox, as far as they are missing; `cur` last, for it makes a mailbox of them.
    pub(super) fn make(&self, place: &Place) -> Result<(), Errno> {
        let mut directory = self.root(place.root)?;
        for level in place.levels.iter() {
            make_level(&directory, level)?;
            self.sync_directory(&directory)?;
            directory = open_directory(&directory, level)?;
        }
        if self.names.layout == Layout::MaildirPlusPlus && place.levels.iter().next().is_some() {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            openat(&directory, FOLDER_MARK, flags, Mode::RUSR | Mode::WUSR)?;
        }
        ["tmp", "new", "cur"].into_iter().try_for_each(|name| make_directory(&directory, name))?;
        self.sync_directory(&directory)
    }

    /// Removes these files of a mailbox and the directories that held them: what is left is no mailbox. `NOTEMPTY` where
    /// anything else is in them.
    pub(super) fn unmake(&self, place: &Place, files: &[(Folder, Vec<u8>)]) -> Result<(), Errno> {
        let home = match self.home(place) {
            Err(Errno::NOENT) => return Ok(()),
            home => home?,
        };
        let folders = match Folders::open(home.try_clone().map_err(super::measure::errno_of)?) {
            Err(Errno::NOENT) => return Ok(()),
            folders => folders?,
        };
        for (folder, name) in files {
            match folders.get(*folder).map(|directory| unlinkat(directory, name, AtFlags::empty())) {
                None | Some(Ok(()) | Err(Errno::NOENT)) => {}
                Some(Err(error)) => return Err(error),
            }
        }
        // What begins with a dot is no message.
        for folder in [Folder::New, Folder::Cur] {
            folders.get(folder).map_or(Ok(()), |directory| clear(directory, |name| name.starts_with(b".")))?;
        }
        drop(folders);
        for name in ["new", "cur"] {
            match unlinkat(&home, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        self.sync_directory(&home)
    }

    /// Removes what is left of a mailbox that is none any more, as far as it is nobody else's. Only then is its directory
    /// empty, which could as well mean that its disk is not mounted: nobody may remember the mailbox by then.
    pub(super) fn tidy(&self, place: &Place) {
        let Ok(home) = self.home(place) else { return };
        if let Ok(tmp) = open_directory(&home, "tmp") {
            // It is no message yet.
            clear(&tmp, |_| true).ok();
        }
        unlinkat(&home, "tmp", AtFlags::REMOVEDIR).ok();
        clear(&home, |name| BELONGINGS.iter().any(|own| name.starts_with(own.as_bytes()))).ok();
        drop(home);
        self.prune(place);
    }

    /// Moves a directory; what stands there already and is no mailbox takes up what is in it.
    pub(super) fn transfer(&self, old: &Place, new: &Place) -> Result<(), Errno> {
        let Some((above, name)) = new.parent() else { return Err(Errno::EXIST) };
        let mut target = self.root(above.root)?;
        for level in above.levels.iter() {
            make_level(&target, level)?;
            target = open_directory(&target, level)?;
        }
        let Some((above, old_name)) = old.parent() else { return Err(Errno::INVAL) };
        let source = self.home(&above)?;
        // An empty directory in the way is nothing to anybody.
        match unlinkat(&target, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            Err(error) => return Err(error),
        }
        match rename(&source, &old_name, &target, &name) {
            Err(Errno::EXIST | Errno::NOTEMPTY) => {
                merge(&open_directory(&source, &old_name)?, &open_directory(&target, &name)?)?;
            }
            renamed => renamed?,
        }
        self.sync_directory(&target)?;
        self.sync_directory(&source)?;
        self.prune(old);
        Ok(())
    }

    /// Removes directories from a place upwards that hold nothing any more.
    fn prune(&self, place: &Place) {
        let mut place = place.clone();
        while let Some((above, name)) = place.parent() {
            let removed = self.home(&above).and_then(|directory| unlinkat(&directory, &name, AtFlags::REMOVEDIR));
            if !matches!(removed, Ok(()) | Err(Errno::NOENT)) {
                return;
            }
            place = above;
        }
    }

    fn sync_directory(&self, directory: &OwnedFd) -> Result<(), Errno> {
        if self.durability == Durability::Synced { fsync(directory) } else { Ok(()) }
    }
}

/// Makes a directory of exactly that name. `ILSEQ` where the disk gives it another one: it does not tell apart what differs
/// in case or in the form of its letters only, so that two mailboxes would be one.
fn make_level(parent: &OwnedFd, level: &OsStr) -> Result<(), Errno> {
    let made = mkdirat(parent, level, DIRECTORY_MODE);
    if !matches!(made, Ok(()) | Err(Errno::EXIST)) {
        return made;
    }
    // What is new and in ASCII is called as it was meant to be.
    if made.is_ok() && level.as_bytes().is_ascii() || names_in(parent)?.iter().any(|name| name == level) {
        return Ok(());
    }
    if made.is_ok() {
        unlinkat(parent, level, AtFlags::REMOVEDIR).ok();
    }
    Err(Errno::ILSEQ)
}

fn rename(source: &OwnedFd, old: &OsStr, target: &OwnedFd, new: &OsStr) -> Result<(), Errno> {
    match renameat_with(source, old, target, new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match statat(target, new, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => rustix::fs::renameat(source, old, target, new),
            Ok(_) => Err(Errno::EXIST),
            Err(error) => Err(error),
        },
        renamed => renamed,
    }
}

/// Moves everything from one directory into another one that has nothing of the same names.
fn merge(source: &OwnedFd, target: &OwnedFd) -> Result<(), Errno> {
    let names = names_in(source)?;
    for name in &names {
        match statat(target, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Ok(_) => return Err(Errno::EXIST),
            Err(error) => return Err(error),
        }
    }
    // `cur` last: then the new mailbox is there, and the old one is not.
    let (cur, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name == "cur");
    others.iter().chain(&cur).try_for_each(|name| rename(source, name, target, name))
}

/// Removes files from a directory.
fn clear(directory: impl std::os::fd::AsFd, wanted: impl Fn(&[u8]) -> bool) -> Result<(), Errno> {
    for name in names_in(&directory)? {
        let stat = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW);
        let is_file = stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory);
        if wanted(name.as_bytes()) && is_file {
            unlinkat(&directory, &name, AtFlags::empty())?;
        }
    }
    Ok(())
}

fn names_in(directory: impl std::os::fd::AsFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}
