//! A command whose stdin and stdout speak IMAP: how it is started, listened to and ended.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Join};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::endpoint::TunnelStderr;
use super::parse::printable;
use crate::store::{Cause, Error};

/// How long a command that has closed its output may take to end before nobody waits for its exit status any more.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much of a line of stderr is kept, in octets.
const STDERR_LINE_LIMIT: usize = 1024;

/// What `sh` exits with where there is no such command, or where it cannot be run.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// A running command. It leads a process group of its own, which ends with this value.
pub(super) struct Tunnel {
    child: Child,
    last_line: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

/// The environment variables that may hold a password.
const SECRETS: [&str; 2] = ["INTERIMAP_LOCAL_PASSWORD", "INTERIMAP_REMOTE_PASSWORD"];

impl Tunnel {
    /// Starts `sh -c command`.
    pub(super) fn start(command: &str, stderr: TunnelStderr) -> Result<(Tunnel, Join<ChildStdout, ChildStdin>), Error> {
        let failed = || Error::side(Cause::Unreachable, "the tunnel command cannot be started");
        let mut shell = Command::new("/bin/sh");
        // The passwords of our own sides are no business of the command, nor of what it starts elsewhere.
        for name in SECRETS {
            shell.env_remove(name);
        }
        let mut child = shell
            .arg("-c")
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(match stderr {
                TunnelStderr::Logged => Stdio::piped(),
                TunnelStderr::Discarded => Stdio::null(),
            })
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|_| failed())?;
        let (stdin, stdout) = child.stdin.take().zip(child.stdout.take()).ok_or_else(failed)?;
        let last_line = Arc::new(Mutex::new(String::new()));
        let listener = child.stderr.take().map(|stderr| tokio::spawn(listen(stderr, last_line.clone())));
        Ok((Tunnel { child, last_line, listener }, tokio::io::join(stdout, stdin)))
    }

    /// Why the stream has ended.
    pub(super) async fn obituary(&mut self) -> Error {
        let status = timeout(LAST_WORDS, self.child.wait()).await;
        if let Some(listener) = self.listener.as_mut() {
            let _ = timeout(LAST_WORDS, listener).await;
        }
        let said = self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        match status {
            Ok(Ok(status)) => ended(status, &said),
            _ => Error::side(Cause::ConnectionLost, format!("the tunnel command closed its output{said}")),
        }
    }

    /// Waits until the command has ended of itself, for as long as `patience` allows.
    pub(super) async fn ended_within(&mut self, patience: Duration) {
        let _ = timeout(patience, self.child.wait()).await;
    }
}

fn ended(status: ExitStatus, said: &str) -> Error {
    match status.code() {
        Some(NOT_FOUND) => {
            Error::side(Cause::Unreachable, format!("the tunnel command was not found{said}")).for_good()
        }
        Some(NOT_EXECUTABLE) => {
            Error::side(Cause::Unreachable, format!("the tunnel command cannot be run{said}")).for_good()
        }
        Some(0) => Error::side(Cause::ConnectionLost, format!("the tunnel command ended{said}")),
        Some(code) => {
            Error::side(Cause::ConnectionLost, format!("the tunnel command ended with exit status {code}{said}"))
        }
        None => Error::side(Cause::ConnectionLost, format!("the tunnel command was killed ({status}){said}")),
    }
}

/// Logs what the command says on stderr, line by line; what is too long of a line is dropped.
async fn listen(stderr: ChildStderr, last_line: Arc<Mutex<String>>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    while let Ok(octets) = stderr.fill_buf().await {
        let ended = octets.is_empty();
        let end = octets.iter().position(|octet| *octet == b'\n');
        let part = &octets[..end.unwrap_or(octets.len())];
        line.extend_from_slice(&part[..part.len().min(STDERR_LINE_LIMIT.saturating_sub(line.len()))]);
        let used = part.len() + usize::from(end.is_some());
        stderr.consume(used);
        if (ended || end.is_some()) && !line.is_empty() {
            let text = printable(line.trim_ascii_end());
            tracing::info!(target: "interimap::tunnel", "{text}");
            *last_line.lock().unwrap_or_else(PoisonError::into_inner) = text;
            line.clear();
        }
        if ended {
            return;
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
        // Only while the leader has not been waited for is its number sure to be its own.
        let leader = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(group) = leader {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
