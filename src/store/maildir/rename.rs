//! Gives a file another name, but never that of another file.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, RenameFlags, linkat, renameat_with, unlinkat};
use rustix::io::Errno;

/// Renames a file; `EXIST` where the new name is taken.
pub(super) fn without_replacing(from: impl AsFd, old: &[u8], to: impl AsFd, new: &[u8]) -> Result<(), Errno> {
    match renameat_with(&from, old, &to, new, RenameFlags::NOREPLACE) {
        // Not every file system can refuse to replace (NFS before 4.2, some in user space): link(2) always does.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            linkat(&from, old, &to, new, AtFlags::empty())?;
            unlinkat(&from, old, AtFlags::empty())
        }
        renamed => renamed,
    }
}
