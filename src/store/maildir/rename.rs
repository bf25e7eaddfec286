//! Gives a file another name, but never that of another file.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

/// Renames a file; `EXIST` where another file has the new name.
pub(super) fn without_replacing(from: impl AsFd, old: &[u8], to: impl AsFd, new: &[u8]) -> Result<(), Errno> {
    match renameat_with(&from, old, &to, new, RenameFlags::NOREPLACE) {
        // Not every file system can refuse to replace (NFS before 4.2, some in user space): link(2) always does.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => by_linking(from, old, to, new),
        renamed => renamed,
    }
}

fn by_linking(from: impl AsFd, old: &[u8], to: impl AsFd, new: &[u8]) -> Result<(), Errno> {
    match linkat(&from, old, &to, new, AtFlags::empty()) {
        Ok(()) => {}
        // An attempt before was cut off in the middle, or its answer got lost on the way from a server.
        Err(Errno::EXIST) if is_same_file(&from, old, &to, new)? => {}
        // Nor has every one links (FAT, some in user space). Names are made so that nobody else makes the same.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
            return match statat(&to, new, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => renameat(from, old, to, new),
                Ok(_) => Err(Errno::EXIST),
                Err(error) => Err(error),
            };
        }
        Err(error) => return Err(error),
    }
    unlinkat(&from, old, AtFlags::empty())
}

fn is_same_file(from: impl AsFd, old: &[u8], to: impl AsFd, new: &[u8]) -> Result<bool, Errno> {
    let one = statat(from, old, AtFlags::SYMLINK_NOFOLLOW)?;
    let other = statat(to, new, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_system_that_replaces_is_made_to_refuse() {
        let directory = tempfile::tempdir().unwrap();
        let (at, names) = (fs::File::open(&directory).unwrap(), |name: &str| directory.path().join(name));
        fs::write(names("a"), "a").unwrap();
        fs::write(names("b"), "b").unwrap();
        assert_eq!(by_linking(&at, b"a", &at, b"b"), Err(Errno::EXIST));
        assert_eq!(by_linking(&at, b"x", &at, b"y"), Err(Errno::NOENT));
        by_linking(&at, b"a", &at, b"c").unwrap();
        // As a run leaves it that is killed between the two steps.
        fs::hard_link(names("c"), names("d")).unwrap();
        by_linking(&at, b"c", &at, b"d").unwrap();
        let mut left: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["b", "d"]);
        assert_eq!(fs::read(names("d")).unwrap(), b"a");
    }
}
