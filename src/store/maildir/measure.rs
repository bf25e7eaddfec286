//! Reads a file to find out who the message in it is.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::mail::HeaderDigest;

use super::folders::{Folder, Folders};
use super::index::Print;
use super::line_ends::Measure;
use super::stamp::FileStamp;

/// How much of a file is read at once.
pub(super) const CHUNK: usize = 256 * 1024;
/// In how much of a file its header is looked for.
const HEADER_LIMIT: usize = 256 * 1024;

/// A message's file, open.
pub(super) struct Opened {
    /// Its contents.
    pub(super) file: File,
    /// What it shows of itself.
    pub(super) stamp: FileStamp,
}

/// Opens a message's file; `None` where nothing has that name, or nothing that is a message. A name that became a FIFO
/// meanwhile blocks nobody.
pub(super) fn open_file(folders: &Folders, folder: Folder, name: &[u8]) -> Result<Option<Opened>, Errno> {
    let Some(directory) = folders.get(folder) else { return Ok(None) };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: OwnedFd = match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error),
    };
    let stat = fstat(file.as_fd())?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(is_file.then(|| Opened { file: File::from(file), stamp: FileStamp::of(&stat) }))
}

/// Who the message of that name is; `None` where there is none.
pub(super) fn print_of(folders: &Folders, folder: Folder, name: &[u8]) -> Result<Option<Print>, Errno> {
    open_file(folders, folder, name)?.map(|opened| measured(opened.file)).transpose()
}

/// Who the message in a file is.
pub(super) fn measured(mut file: File) -> Result<Print, Errno> {
    let mut measure = Measure::default();
    let mut head = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).map_err(errno_of)?;
        let octets = &chunk[..read];
        if octets.is_empty() {
            break;
        }
        measure.push(octets);
        let room = HEADER_LIMIT.saturating_sub(head.len());
        head.extend_from_slice(&octets[..room.min(octets.len())]);
    }
    Ok(print(&measure, &head))
}

/// Who a message is that was measured and has this header.
pub(super) fn print(measure: &Measure, head: &[u8]) -> Print {
    let size = measure.octets();
    Print { size, mark: mark_of(head).min(size), form: measure.form(), header: HeaderDigest::of(head) }
}

/// How many octets mbsync has added to a message that it copied, with the line end of the wire. Whoever has the message
/// without them has the same one.
pub(super) fn mark_of(head: &[u8]) -> u64 {
    const FIELD: &[u8] = b"X-TUID:";
    let lines = head.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let of_header = lines.take_while(|line| !line.is_empty());
    let marks = of_header.filter(|line| line.get(..FIELD.len()).is_some_and(|it| it.eq_ignore_ascii_case(FIELD)));
    marks.map(|line| line.len() as u64 + 2).sum()
}

/// What the system said.
pub(super) fn errno_of(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
