//! One reading of a mailbox's two directories: every name in them, in little room, and whether it can be relied on.

use std::ops::Range;

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
    names: Names,
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

/// Octets of names, in pieces: to make one larger takes room for two, and there may be a million names.
#[derive(Default)]
struct Names(Vec<Vec<u8>>);

impl Names {
    /// How many octets are put together; where one begins then takes 16 bits.
    const PIECE: usize = 1 << 16;

    /// Puts a name in, and says where it begins.
    fn push(&mut self, name: &[u8]) -> Option<(u32, u16)> {
        let has_room = |piece: &Vec<u8>| piece.len() + name.len() <= Names::PIECE;
        if !self.0.last().is_some_and(has_room) {
            self.0.push(Vec::new());
        }
        let at = u32::try_from(self.0.len() - 1).ok()?;
        let piece = self.0.last_mut()?;
        let start = u16::try_from(piece.len()).ok()?;
        piece.extend_from_slice(name);
        Some((at, start))
    }

    fn get(&self, (at, start): (u32, u16), len: u16) -> &[u8] {
        let start = usize::from(start);
        &self.0[at as usize][start..start + usize::from(len)]
    }
}

/// A name, in what [`Pass`] holds of them.
#[derive(Clone, Copy)]
struct Entry {
    start: (u32, u16),
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
    /// Which one it is in the reading.
    pub(super) at: u32,
}

impl Pass {
    /// So many files more than are expected need no more room.
    const MORE: usize = 256;

    /// Reads `new` first: what is taken up meanwhile is then seen twice rather than not at all. Room is made for as many
    /// files as are expected.
    pub(super) fn read(folders: &Folders, expected: u32) -> Result<Pass, Errno> {
        let stamps = folders.stamps()?;
        let mut pass = Pass {
            stamps,
            course: Course::Steady,
            names: Names::default(),
            entries: Vec::with_capacity(expected as usize + Pass::MORE),
        };
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
        if entries.len() + Pass::MORE < entries.capacity() {
            entries.shrink_to_fit();
        }
        entries.sort_unstable_by_key(|entry| (entry.unique_in(names), entry.folder, entry.name_in(names)));
        Ok(pass)
    }

    fn push(&mut self, folder: Folder, name: &[u8], inode: u64) {
        let Some(parsed) = FileName::parse(name) else { return };
        let (Ok(len), Ok(unique)) = (u16::try_from(name.len()), u16::try_from(parsed.unique.len())) else { return };
        let Some(start) = self.names.push(name) else { return };
        self.entries.push(Entry { start, len, unique, folder, inode });
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A file, by its place in the reading.
    pub(super) fn listed(&self, at: u32) -> Listed<'_> {
        let entry = &self.entries[at as usize];
        let Entry { folder, inode, .. } = *entry;
        Listed { folder, name: entry.name_in(&self.names), unique: entry.unique_in(&self.names), inode, at }
    }

    /// The files that share their unique name with no other, in the order of that name.
    pub(super) fn singles(&self) -> impl Iterator<Item = Listed<'_>> + '_ {
        self.groups().filter(|group| group.len() == 1).flatten().map(|at| self.listed(at))
    }

    /// Those that do not, in groups.
    pub(super) fn crowds(&self) -> impl Iterator<Item = Vec<Listed<'_>>> + '_ {
        self.groups().filter(|group| group.len() > 1).map(|group| group.map(|at| self.listed(at)).collect())
    }

    /// The places of the files with one unique name.
    fn groups(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        let groups = self.entries.chunk_by(|one, other| one.unique_in(&self.names) == other.unique_in(&self.names));
        groups.scan(0, |next, group| {
            let start = *next;
            *next += group.len() as u32;
            Some(start..*next)
        })
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
    fn name_in<'a>(&self, names: &'a Names) -> &'a [u8] {
        names.get(self.start, self.len)
    }

    fn unique_in<'a>(&self, names: &'a Names) -> &'a [u8] {
        names.get(self.start, self.unique)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_piece_of_names_is_filled_to_its_last_octet_and_no_further() {
        let mut names = Names::default();
        let rest = vec![b'a'; Names::PIECE - 1];
        assert_eq!(names.push(&rest), Some((0, 0)));
        assert_eq!(names.push(b"b"), Some((0, u16::MAX)));
        assert_eq!(names.push(b"c"), Some((1, 0)));
        assert_eq!(names.push(&rest), Some((1, 1)));
        assert_eq!(names.push(b"de"), Some((2, 0)));
        assert_eq!((names.get((0, u16::MAX), 1), names.get((1, 0), 1)), (&b"b"[..], &b"c"[..]));
        assert_eq!((names.get((1, 1), u16::MAX), names.get((2, 0), 2)), (&rest[..], &b"de"[..]));
    }

    #[test]
    fn a_reading_shows_every_name_whatever_number_was_expected() {
        let directory = tempfile::tempdir().unwrap();
        let mut planted = Vec::new();
        for (folder, parity) in [("new", 0), ("cur", 1)] {
            fs::create_dir(directory.path().join(folder)).unwrap();
            for number in (0..1000).filter(|number| number % 2 == parity) {
                // As long as names may be, so that they take several pieces.
                let name = format!("{number:0200}:2,S");
                fs::write(directory.path().join(folder).join(&name), "").unwrap();
                planted.push(name);
            }
        }
        planted.sort();
        for expected in [0, 100, 1000, 5000] {
            let home = fs::File::open(directory.path()).unwrap();
            let pass = Pass::read(&Folders::open(home.into()).unwrap(), expected).unwrap();
            let shown: Vec<Listed<'_>> = pass.singles().collect();
            assert!(shown.iter().map(|listed| listed.name).eq(planted.iter().map(String::as_bytes)), "{expected}");
            assert!(shown.iter().all(|listed| pass.listed(listed.at) == *listed));
            assert_eq!((pass.len(), pass.crowds().count()), (1000, 0));
        }
    }
}
