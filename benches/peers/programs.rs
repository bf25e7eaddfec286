//! The programs that are compared: for each, what it has to be told and how it is run.

mod dsync;
mod mbsync;
mod offlineimap;
mod ours;
mod perl;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the programs are called on the command line.
pub(crate) const NAMES: [&str; 6] = ["ours", "ours-maildir", "perl", "dsync", "mbsync", "offlineimap"];

/// What a program keeps in line with the remote server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Local {
    /// Another IMAP server.
    Server,
    /// A tree of Maildirs, `Mail/NAME` for each mailbox.
    Maildir,
}

/// What the remote server tells of what is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// By VANISHED (RFC 7162 §3.2.10).
    Vanished,
    /// In another way.
    Otherwise,
}

/// Where a program works.
pub(crate) struct Place {
    /// For its configuration, its state, and its Maildirs.
    pub(crate) directory: PathBuf,
    /// Who it is, on both servers.
    pub(crate) user: String,
    /// Where the remote server is reached, past the distance.
    pub(crate) remote_port: u16,
    /// Where the local server is reached.
    pub(crate) local_port: u16,
    /// Where the remote server listens to `doveadm sync`, past the distance.
    pub(crate) dsync_port: u16,
    /// The configuration of the local server.
    pub(crate) local_server: PathBuf,
}

/// A program.
pub(crate) trait Program {
    /// What it is called on the command line.
    fn name(&self) -> &'static str;

    /// What it is called in the table, and its version; none where it is not installed.
    fn title(&self) -> Option<String>;

    /// What it keeps in line with the remote server.
    fn local(&self) -> Local;

    /// What it is told of what is gone.
    fn gone(&self) -> Gone;

    /// Writes what it has to know.
    fn configure(&self, place: &Place);

    /// What runs it once.
    fn command(&self, place: &Place) -> Command;
}

/// A program that is there.
pub(crate) struct Installed {
    /// It.
    pub(crate) program: Box<dyn Program>,
    /// What it is called in the table.
    pub(crate) title: String,
}

/// Those of the programs that are installed, of those that are wanted; of all, if none is named.
pub(crate) fn installed(wanted: &[String]) -> Vec<Installed> {
    let all: [Box<dyn Program>; NAMES.len()] = [
        Box::new(ours::Ours(Local::Server)),
        Box::new(ours::Ours(Local::Maildir)),
        Box::new(perl::Perl),
        Box::new(dsync::Dsync),
        Box::new(mbsync::Mbsync),
        Box::new(offlineimap::Offlineimap),
    ];
    let wanted = |program: &dyn Program| wanted.is_empty() || wanted.iter().any(|name| name == program.name());
    let mut installed = Vec::new();
    for program in all.into_iter().filter(|program| wanted(program.as_ref())) {
        match program.title() {
            Some(title) => installed.push(Installed { program, title }),
            None => eprintln!(">> {} is not installed", program.name()),
        }
    }
    installed
}

impl Place {
    /// A file or directory of it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The tree of Maildirs.
    pub(crate) fn tree(&self) -> PathBuf {
        self.path("Mail")
    }

    /// Writes a file that holds a password.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).unwrap();
    }
}

/// What a program that is looked for on the path says of its version.
fn version(program: impl AsRef<Path>, argument: &str) -> Option<String> {
    let output = Command::new(program.as_ref()).arg(argument).output().ok().filter(|output| output.status.success())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_version =
        |word: &&str| word.contains('.') && word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    said.split(|c: char| c.is_whitespace() || c == ',').find(is_version).map(str::to_owned)
}
