//! `doveadm sync` between two Dovecots, in its own protocol: it needs one on either side, and keeps no IMAP server in line.

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
        let mut command = Command::new("doveadm");
        // Without -s: told the state of its last run, 2.3 has been seen to miss all that was new on the remote server.
        command.arg("-c").arg(&place.local_server).args(["sync", "-u", &place.user]);
        command.arg(format!("tcp:127.0.0.1:{}", place.dsync_port));
        command
    }
}
