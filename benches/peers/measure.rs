//! One run of a program: how long, with how much memory, and what of it passed to the remote server and back.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::servers::Servers;

/// What does not end by then is ended.
const PATIENCE: Duration = Duration::from_secs(3600);

/// How often memory is looked at. What counts is the most that there was, which the system keeps.
const GLANCE: Duration = Duration::from_millis(2);

/// What passed between a program and the remote server.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Passage {
    /// How many connections were made.
    pub(crate) connections: u64,
    /// How often the client began to speak after the server had spoken, over all connections.
    pub(crate) turns: u64,
    /// Octets to the server.
    pub(crate) up: u64,
    /// Octets from the server.
    pub(crate) down: u64,
}

/// What a run cost.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Figures {
    /// From its start to its end.
    pub(crate) seconds: f64,
    /// The most memory that the process had, in KiB; none of a conversation that the benchmark led itself.
    pub(crate) peak_kib: Option<u64>,
    /// What passed.
    #[serde(flatten)]
    pub(crate) passage: Passage,
}

/// Runs a program with the remote server so many milliseconds away. What it says goes to files of that directory. The
/// error tells that it ended badly, and how.
pub(crate) fn run(
    servers: &Servers,
    mut command: Command,
    directory: &Path,
    milliseconds: u64,
) -> (Figures, Result<(), String>) {
    let file = |name: &str| File::create(directory.join(name)).unwrap();
    command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr")).current_dir(directory);
    servers.move_away(milliseconds);
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let memory = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        peak_kib = peak_kib.max(peak(&memory).unwrap_or(0));
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        sleep(GLANCE);
    };
    let seconds = begun.elapsed().as_secs_f64();
    let ended = match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{status}: {}", last_words(directory))),
        None => Err(format!("not done after {} s", PATIENCE.as_secs())),
    };
    (Figures { seconds, peak_kib: Some(peak_kib), passage: servers.passage() }, ended)
}

fn peak(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The last line that a program said, on standard error or else on standard output.
fn last_words(directory: &Path) -> String {
    let last = |name: &str| {
        let said = fs::read(directory.join(name)).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        said.lines().rfind(|line| !line.trim().is_empty()).map(|line| line.chars().take(200).collect::<String>())
    };
    last("stderr").or_else(|| last("stdout")).unwrap_or_else(|| "it said nothing".to_owned())
}
