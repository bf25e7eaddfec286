//! By what a directory or a file shows that it is as it was.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{AtFlags, Stat, fstat, statat};
use rustix::io::Errno;

use crate::mail::InternalDate;

/// What changes whenever the entries of a directory do. ctime cannot be set back, as mtime can by `rsync -t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    /// Nanoseconds since 1970.
    mtime: i64,
    /// Nanoseconds since 1970.
    ctime: i64,
}

impl Stamp {
    /// How long one value is written.
    const OCTETS: usize = 24;

    fn of(stat: &Stat) -> Stamp {
        Stamp {
            inode: stat.st_ino,
            mtime: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// The stamp of what is open.
    pub(super) fn of_open(file: impl AsFd) -> Result<Stamp, Errno> {
        Ok(Stamp::of(&fstat(file)?))
    }

    /// The stamp of a name in a directory; `None` where nothing has it.
    pub(super) fn of_name(directory: impl AsFd, name: &str) -> Result<Option<Stamp>, Errno> {
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Stamp::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_in_whole_seconds(&self) -> bool {
        self.mtime % 1_000_000_000 == 0 && self.ctime % 1_000_000_000 == 0
    }
}

/// Nanoseconds since 1970, of what `stat` tells in two parts.
pub(super) fn nanoseconds(seconds: i64, rest: impl TryInto<i64>) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest.try_into().unwrap_or(0))
}

/// The stamps of everything that says what a mailbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamps {
    /// Of `cur`.
    pub(super) cur: Stamp,
    /// Of `new`, where there is one.
    pub(super) new: Option<Stamp>,
    /// Of `dovecot-keywords`, where there is one.
    pub(super) keywords: Option<Stamp>,
}

impl Stamps {
    /// How long it takes until a change is sure to leave another stamp: the clocks of file systems tick every ten
    /// milliseconds at most, those of some every two seconds.
    pub(super) fn tick(&self) -> Duration {
        let coarse = self.cur.is_in_whole_seconds() && self.new.is_none_or(|new| new.is_in_whole_seconds());
        if coarse { Duration::from_millis(2100) } else { Duration::from_millis(40) }
    }

    /// As they are kept in the index.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        const NOTHING: Stamp = Stamp { inode: 0, mtime: 0, ctime: 0 };
        let all = [self.cur, self.new.unwrap_or(NOTHING), self.keywords.unwrap_or(NOTHING)];
        let numbers = all.into_iter().flat_map(|stamp| [stamp.inode.cast_signed(), stamp.mtime, stamp.ctime]);
        numbers.flat_map(i64::to_be_bytes).collect()
    }

    /// The inverse of [`Stamps::to_bytes`].
    pub(super) fn from_bytes(octets: &[u8]) -> Option<Stamps> {
        let stamp = |at: usize| {
            let octets = octets.get(at * Stamp::OCTETS..(at + 1) * Stamp::OCTETS)?;
            let number = |at: usize| Some(i64::from_be_bytes(octets.get(at * 8..at * 8 + 8)?.try_into().ok()?));
            Some(Stamp { inode: number(0)?.cast_unsigned(), mtime: number(1)?, ctime: number(2)? })
        };
        let present = |stamp: Stamp| (stamp.inode != 0).then_some(stamp);
        Some(Stamps { cur: stamp(0)?, new: present(stamp(1)?), keywords: present(stamp(2)?) })
    }
}

/// By what a file is known to be the one that was seen, unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileStamp {
    /// Its inode.
    pub(super) inode: u64,
    /// Octets on the disk.
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) mtime: i64,
}

impl FileStamp {
    /// Of what `stat` tells of a file.
    pub(super) fn of(stat: &Stat) -> FileStamp {
        FileStamp {
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        }
    }

    /// When the message in it was received: when it was written last.
    pub(super) fn internal_date(&self) -> InternalDate {
        InternalDate::from_unix(self.mtime.div_euclid(1_000_000_000)).unwrap_or(InternalDate::EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_kept_as_they_are() {
        let stamp = |n: i64| Stamp { inode: u64::MAX - n.cast_unsigned(), mtime: -n, ctime: i64::MAX - n };
        for (new, keywords) in
            [(None, None), (Some(stamp(2)), None), (None, Some(stamp(3))), (Some(stamp(4)), Some(stamp(5)))]
        {
            let stamps = Stamps { cur: stamp(1), new, keywords };
            assert_eq!(Stamps::from_bytes(&stamps.to_bytes()), Some(stamps));
        }
        assert_eq!(Stamps::from_bytes(&[0; 71]), None);
    }

    #[test]
    fn a_clock_of_seconds_ticks_slowly() {
        let stamp = |mtime| Stamp { inode: 1, mtime, ctime: 3_000_000_000 };
        let stamps = |cur, new| Stamps { cur: stamp(cur), new: Some(stamp(new)), keywords: None };
        assert!(stamps(2_000_000_000, 1_000_000_000).tick() > Duration::from_secs(2));
        assert!(stamps(2_000_000_001, 1_000_000_000).tick() < Duration::from_secs(1));
    }
}
