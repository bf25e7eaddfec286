//! OfflineIMAP, between a server and a tree of Maildirs.

use std::process::Command;

use super::{Gone, Local, Place, Program, version};
use crate::support::dovecot::PASSWORD;

/// It.
pub(crate) struct Offlineimap;

impl Program for Offlineimap {
    fn name(&self) -> &'static str {
        "offlineimap"
    }

    fn title(&self) -> Option<String> {
        Some(format!("OfflineIMAP {}", version("offlineimap", "--version")?))
    }

    fn local(&self) -> Local {
        Local::Maildir
    }

    fn gone(&self) -> Gone {
        Gone::Otherwise
    }

    fn configure(&self, place: &Place) {
        let (tree, user, port) = (place.tree(), &place.user, place.remote_port);
        let (tree, state) = (tree.display(), place.path("offlineimap"));
        place.write(
            "offlineimaprc",
            &format!(
                "[general]\naccounts = bench\nmetadata = {}\nfsync = False\nui = quiet\n\n\
                 [Account bench]\nlocalrepository = local\nremoterepository = remote\n\n\
                 [Repository local]\ntype = Maildir\nlocalfolders = {tree}\nsep = /\n\n\
                 [Repository remote]\ntype = IMAP\nremotehost = 127.0.0.1\nremoteport = {port}\nremoteuser = {user}\n\
                 remotepass = {PASSWORD}\nssl = no\nstarttls = no\nauth_mechanisms = PLAIN, LOGIN\n",
                state.display()
            ),
        );
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new("offlineimap");
        command.args(["-o", "-c"]).arg(place.path("offlineimaprc"));
        command
    }
}
