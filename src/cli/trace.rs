//! The file of `--trace-wire`: what both ends of both sessions say, with the time. Secrets never reach it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::mail::Side;
use crate::report::printable;
use crate::store::imap::{Speaker, WireTrace};

/// The file, shared by all sessions of a run.
#[derive(Debug)]
pub(super) struct TraceFile {
    file: Mutex<File>,
    started: Instant,
    failed: AtomicBool,
}

impl TraceFile {
    /// Makes the file, or empties it. Only its owner may read it: it holds names, addresses and headers.
    pub(super) fn create(path: &Path) -> io::Result<Arc<TraceFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // One that was there may have been open to others.
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(Arc::new(TraceFile { file: Mutex::new(file), started: Instant::now(), failed: AtomicBool::new(false) }))
    }

    /// The part of one side of one account.
    pub(super) fn of(self: &Arc<TraceFile>, account: &str, side: Side) -> Arc<dyn WireTrace> {
        Arc::new(SideTrace { trace: self.clone(), account: printable(account).into_owned(), side })
    }

    fn write(&self, line: &str) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes())
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("the file of --trace-wire cannot be written, so it is incomplete: {error}");
        }
    }
}

#[derive(Debug)]
struct SideTrace {
    trace: Arc<TraceFile>,
    account: String,
    side: Side,
}

impl WireTrace for SideTrace {
    fn line(&self, speaker: Speaker, text: &str) {
        let sign = match speaker {
            Speaker::Client => 'C',
            Speaker::Server => 'S',
        };
        let milliseconds = self.trace.started.elapsed().as_millis();
        let SideTrace { account, side, .. } = self;
        self.trace.write(&format!("{milliseconds:>8} {account} {side} {sign}: {}\n", printable(text)));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_conversation_is_written_line_by_line_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let trace = TraceFile::create(&path).unwrap();
        trace.of("work", Side::Remote).line(Speaker::Server, "* OK\u{1b} hello");
        trace.of("work", Side::Local).line(Speaker::Client, "a1 NOOP");
        let written = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> =
            written.lines().map(|line| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit())).collect();
        assert_eq!(lines, ["work remote S: * OK\\u{1b} hello", "work local C: a1 NOOP"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
