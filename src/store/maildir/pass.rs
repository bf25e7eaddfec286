//! One reading of a mailbox's two directories: every name in them, in little room, and whether it can be relied on.

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use super::file_name::FileName;
use super::folders::{Folder, Folders};
use super::stamp::Stamps;

/// What one reading has shown.
pub(super) struct Pass {
    /// How the directories looked before.
    pub(super) stamps: Stamps,
    /// Whether anything was done to them meanwhile. A name that is changed while its directory is read may be missed
    /// under both names, or seen under both (readdir(3)).
    pub(super) course: Course,
    names: Vec<u8>,
    entries: Vec<Entry>,
}

/// Whether directories changed while they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// They look as they did before.
    Steady,
    /// They do not.
    Disturbed,
}

/// A name, in what [`Pass`] holds of them.
#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    len: u16,
    unique: u16,
    folder: Folder,
    inode: u64,
}

/// A file as a directory lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed<'a> {
    /// Where it is.
    pub(super) folder: Folder,
    /// Its whole name.
    pub(super) name: &'a [u8],
    /// The part of the name by which the message is known.
    pub(super) unique: &'a [u8],
    /// Its inode, as the directory tells it.
    pub(super) inode: u64,
}

impl Pass {
    /// Reads `new` first: what is taken up meanwhile is then seen twice rather than not at all.
    pub(super) fn read(folders: &Folders) -> Result<Pass, Errno> {
        let stamps = folders.stamps()?;
        let mut pass = Pass { stamps, course: Course::Steady, names: Vec::new(), entries: Vec::new() };
        for folder in [Folder::New, Folder::Cur] {
            let Some(directory) = folders.get(folder) else { continue };
            for entry in Dir::read_from(directory)? {
                let entry = entry?;
                // What is unknown is looked at when it turns out to be new.
                if matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown) {
                    pass.push(folder, entry.file_name().to_bytes(), entry.ino());
                }
            }
        }
        if folders.stamps()? != stamps {
            pass.course = Course::Disturbed;
        }
        let Pass { names, entries, .. } = &mut pass;
        entries.sort_unstable_by_key(|entry| (entry.unique_in(names), entry.folder, entry.name_in(names)));
        Ok(pass)
    }

    fn push(&mut self, folder: Folder, name: &[u8], inode: u64) {
        let Some(parsed) = FileName::parse(name) else { return };
        let (Ok(len), Ok(unique)) = (u16::try_from(name.len()), u16::try_from(parsed.unique.len())) else { return };
        self.entries.push(Entry { start: self.names.len(), len, unique, folder, inode });
        self.names.extend_from_slice(name);
    }

    /// The files that share their unique name with no other, in the order of that name.
    pub(super) fn singles(&self) -> impl Iterator<Item = Listed<'_>> + '_ {
        self.groups().filter(|group| group.len() == 1).flatten().map(|entry| entry.listed_in(&self.names))
    }

    /// Those that do not, in groups.
    pub(super) fn crowds(&self) -> impl Iterator<Item = Vec<Listed<'_>>> + '_ {
        let crowds = self.groups().filter(|group| group.len() > 1);
        crowds.map(|group| group.iter().map(|entry| entry.listed_in(&self.names)).collect())
    }

    fn groups(&self) -> impl Iterator<Item = &[Entry]> + '_ {
        self.entries.chunk_by(|one, other| one.unique_in(&self.names) == other.unique_in(&self.names))
    }

    /// The unique names, in order.
    pub(super) fn unique_names(&self) -> impl Iterator<Item = &[u8]> + '_ {
        self.entries.iter().map(|entry| entry.unique_in(&self.names))
    }
}

impl<'a> Listed<'a> {
    /// What follows the unique part of its name.
    pub(super) fn info(&self) -> &'a [u8] {
        self.name.get(self.unique.len()..).unwrap_or_default()
    }
}

impl Entry {
    fn name_in<'a>(&self, names: &'a [u8]) -> &'a [u8] {
        &names[self.start..self.start + usize::from(self.len)]
    }

    fn unique_in<'a>(&self, names: &'a [u8]) -> &'a [u8] {
        &names[self.start..self.start + usize::from(self.unique)]
    }

    fn listed_in<'a>(&self, names: &'a [u8]) -> Listed<'a> {
        let (name, unique) = (self.name_in(names), self.unique_in(names));
        Listed { folder: self.folder, name, unique, inode: self.inode }
    }
}
