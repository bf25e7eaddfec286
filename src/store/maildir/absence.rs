//! Makes sure that a mailbox that is not found is gone, before somebody deletes it on the other side for that.

use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;

use super::folders::open_directory;
use super::path::Place;
use super::tree::Tree;

/// What is where a mailbox is not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// Nothing, or a directory without one for messages: it was removed.
    Certain,
    /// Something that may hide it. Why, as a sentence without a full stop.
    Doubtful(String),
}

impl Tree {
    /// Looks where a mailbox was. That it cannot be looked into, that a link leads elsewhere from there, that a disk is not
    /// mounted there or fails: none of that removes a mailbox.
    pub(super) fn absence_of(&self, place: &Place) -> Absence {
        match self.look_for(place) {
            Ok(absence) => absence,
            Err(Errno::ACCESS | Errno::PERM) => doubtful("the permissions of its directory forbid to look into it"),
            Err(errno) => Absence::Doubtful(format!("it cannot be looked for: {}", std::io::Error::from(errno))),
        }
    }

    fn look_for(&self, place: &Place) -> Result<Absence, Errno> {
        let mut directory = match self.root(place.root) {
            Err(Errno::NOENT) => return Ok(Absence::Certain),
            root => root?,
        };
        for (depth, level) in place.levels.iter().enumerate() {
            match statat(&directory, level, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) if depth == 0 && is_empty(&directory)? => {
                    return Ok(doubtful("the directory that held it is empty: its disk may not be mounted"));
                }
                Err(Errno::NOENT) => return Ok(Absence::Certain),
                stat => match FileType::from_raw_mode(stat?.st_mode) {
                    FileType::Directory => {}
                    FileType::Symlink => {
                        return Ok(doubtful("it is a symbolic link by now, and none is followed out of the tree"));
                    }
                    _ => return Ok(doubtful("a file stands in its way")),
                },
            }
            directory = open_directory(&directory, level)?;
        }
        match statat(&directory, "cur", AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) if is_empty(&directory)? => Ok(doubtful(
                "its directory is empty: its disk may not be mounted; if it was meant to go, remove the directory",
            )),
            Err(Errno::NOENT) => Ok(Absence::Certain),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                Ok(doubtful("it came back while the tree was looked at"))
            }
            Ok(_) => Ok(doubtful("its \"cur\" is no directory by now, and no symbolic link is followed")),
            Err(error) => Err(error),
        }
    }
}

fn doubtful(why: &str) -> Absence {
    Absence::Doubtful(why.to_owned())
}

fn is_empty(directory: impl std::os::fd::AsFd) -> Result<bool, Errno> {
    for entry in Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}
