//! The two Dovecots that everything happens between, and the distance before the remote one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use interimap::mail::{Both, Side};
use tempfile::TempDir;

use crate::distance::Distance;
use crate::measure::Passage;
use crate::support::dovecot::{Dovecot, Options, PASSWORD};
use crate::support::host::{free_port, short_directory};

/// What is running, as long as it is kept.
pub(crate) struct Servers {
    /// The servers. The local one is left alone by what has a Maildir.
    pub(crate) both: Both<Dovecot>,
    /// To IMAP on the remote server.
    pub(crate) imap: Distance,
    /// To what `doveadm sync` speaks to on the remote server.
    pub(crate) dsync: Distance,
    directory: TempDir,
}

impl Servers {
    /// Starts them.
    pub(crate) fn start() -> Servers {
        let port = free_port();
        let both = Both::from_fn(|side| {
            let listener = match side {
                Side::Local => String::new(),
                Side::Remote => format!("service doveadm {{\n  inet_listener {{\n    port = {port}\n  }}\n}}\n"),
            };
            let extra = format!("doveadm_password = {PASSWORD}\n{listener}");
            Dovecot::start(Options { extra, ..Options::default() })
        });
        let imap = Distance::to(both.remote.port());
        Servers { imap, dsync: Distance::to(port), both, directory: short_directory() }
    }

    /// Where programs keep what is theirs.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the mail of a user lies.
    pub(crate) fn home(&self, side: Side, user: &str) -> PathBuf {
        self.both[side].home(user)
    }

    /// Gives another user of the remote server the same mail.
    pub(crate) fn duplicate(&self, user: &str, other: &str) {
        let (from, to) = (self.home(Side::Remote, user), self.home(Side::Remote, other));
        let copied = Command::new("cp").args(["-a", "--reflink=auto"]).args([&from, &to]).status().unwrap();
        assert!(copied.success(), "{} was not copied", from.display());
    }

    /// Moves the remote server so far away, and counts anew.
    pub(crate) fn move_away(&self, milliseconds: u64) {
        for road in [&self.imap, &self.dsync] {
            road.set(Duration::from_millis(milliseconds));
        }
    }

    /// What passed since.
    pub(crate) fn passage(&self) -> Passage {
        let mut passage = Passage::default();
        for passed in [self.imap.passed(), self.dsync.passed()] {
            passage.connections += passed.connections;
            passage.turns += passed.turns;
            passage.up += passed.to_server;
            passage.down += passed.to_client;
        }
        passage
    }
}
