//! The file `dovecot-keywords` of a mailbox: read with a limit, and replaced as Dovecot does it, under its lock.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, fsync, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::mail::Keyword;

use super::endpoint::Durability;
use super::folders::{Folders, KEYWORDS_FILE};
use super::keywords::{KeywordLetter, Keywords};
use super::measure::errno_of;
use super::refresh::now;

/// Larger files are not Dovecot's: 26 keywords take a few hundred octets.
const LIMIT: u64 = 1 << 20;
/// Who replaces the file writes here first, and nobody else may meanwhile.
const LOCK: &str = "dovecot-keywords.lock";
/// Nobody writes so small a file for as many seconds.
const ABANDONED: i64 = 120;
/// How often, and how long apart, it is tried to get the lock.
const ATTEMPTS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// What letters mean in a mailbox; nothing where there is no such file.
pub(super) fn read(folders: &Folders) -> Result<Keywords, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(&folders.home, KEYWORDS_FILE, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(Keywords::default()),
        Err(error) => return Err(error),
    };
    let mut octets = Vec::new();
    file.take(LIMIT).read_to_end(&mut octets).map_err(errno_of)?;
    Ok(Keywords::parse(&octets))
}

/// Gives letters to keywords that have none, as far as there are letters, and answers what letters mean then.
///
/// `borne` are the letters that stand in names of files; none of them is given to another keyword.
pub(super) fn add(
    folders: &Folders,
    keywords: &[Keyword],
    borne: &BTreeSet<KeywordLetter>,
    durability: Durability,
) -> Result<Keywords, Errno> {
    let mut file = lock(folders)?;
    let written = (|| {
        // Only with the lock in hand is what is read what will be replaced.
        let mut table = read(folders)?;
        let before = table.clone();
        for keyword in keywords {
            // What gets no letter is kept in the index.
            table.add(keyword, borne);
        }
        if table == before {
            unlinkat(&folders.home, LOCK, AtFlags::empty())?;
            return Ok(table);
        }
        file.write_all(&table.format()).map_err(errno_of)?;
        if durability == Durability::Synced {
            fsync(&file)?;
        }
        renameat(&folders.home, LOCK, &folders.home, KEYWORDS_FILE)?;
        Ok(table)
    })();
    if written.is_err() {
        unlinkat(&folders.home, LOCK, AtFlags::empty()).ok();
    }
    written
}

fn lock(folders: &Folders) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut attempt = 0;
    loop {
        match openat(&folders.home, LOCK, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => return Ok(File::from(file)),
            Err(Errno::EXIST) if is_abandoned(folders) => match unlinkat(&folders.home, LOCK, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            },
            Err(Errno::EXIST) if attempt < ATTEMPTS => {
                attempt += 1;
                sleep(PAUSE);
            }
            Err(Errno::EXIST) => return Err(Errno::BUSY),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a lock is so old that whoever took it was killed with it.
fn is_abandoned(folders: &Folders) -> bool {
    statat(&folders.home, LOCK, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| now() / 1_000_000_000 - stat.st_mtime > ABANDONED)
}
