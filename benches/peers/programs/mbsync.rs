//! mbsync, between a server and a tree of Maildirs.

use std::process::Command;

use super::{Gone, Local, Place, Program, version};
use crate::support::dovecot::PASSWORD;

/// It.
pub(crate) struct Mbsync;

impl Program for Mbsync {
    fn name(&self) -> &'static str {
        "mbsync"
    }

    fn title(&self) -> Option<String> {
        Some(format!("mbsync {}", version("mbsync", "--version")?))
    }

    fn local(&self) -> Local {
        Local::Maildir
    }

    fn gone(&self) -> Gone {
        Gone::Otherwise
    }

    fn configure(&self, place: &Place) {
        let version = version("mbsync", "--version").unwrap_or_default();
        let old = ["1.0.", "1.1.", "1.2.", "1.3.", "1.4."].iter().any(|old| version.starts_with(old));
        let tls = if old { "SSLType" } else { "TLSType" };
        let (tree, user, port) = (place.tree(), &place.user, place.remote_port);
        let (tree, state) = (tree.display(), place.path("mbsync").display().to_string());
        std::fs::create_dir_all(&state).unwrap();
        place.write(
            "mbsyncrc",
            &format!(
                "FSync no\nSyncState {state}/\n\nIMAPAccount bench\nHost 127.0.0.1\nPort {port}\nUser {user}\n\
                 Pass {PASSWORD}\nAuthMechs LOGIN\n{tls} None\n\nIMAPStore remote\nAccount bench\n\n\
                 MaildirStore local\nPath {tree}/\nInbox {tree}/INBOX\nSubFolders Verbatim\n\n\
                 Channel bench\nFar :remote:\nNear :local:\nPatterns *\nCreate Both\nRemove Both\nSync All\n\
                 Expunge Both\nCopyArrivalDate yes\n"
            ),
        );
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new("mbsync");
        command.arg("--quiet").arg("--config").arg(place.path("mbsyncrc")).arg("bench");
        command
    }
}
