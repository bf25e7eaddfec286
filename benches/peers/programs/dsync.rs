//! `doveadm sync` between two Dovecots, in its own protocol: it needs one on either side, and keeps no IMAP server in line.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Gone, Local, Place, Program, version};

/// It.
pub(crate) struct Dsync;

impl Program for Dsync {
    fn name(&self) -> &'static str {
        "dsync"
    }

    fn title(&self) -> Option<String> {
        Some(format!("doveadm sync {}", version("doveadm", "--version").or_else(|| version("dovecot", "--version"))?))
    }

    fn local(&self) -> Local {
        Local::Server
    }

    fn gone(&self) -> Gone {
        Gone::Otherwise
    }

    fn configure(&self, _: &Place) {}

    fn command(&self, place: &Place) -> Command {
        // What the last run remembers is the last line that it said.
        let said = fs::read_to_string(self.said(place)).unwrap_or_default();
        let state = said.lines().last().unwrap_or_default();
        let mut command = Command::new("doveadm");
        command.arg("-c").arg(&place.local_server).args(["sync", "-u", &place.user]);
        command.args(["-s", state, &format!("tcp:127.0.0.1:{}", place.dsync_port)]);
        command
    }
}

impl Dsync {
    fn said(&self, place: &Place) -> PathBuf {
        place.path("stdout")
    }
}
