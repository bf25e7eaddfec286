//! This program, between two servers or between a server and a tree of Maildirs.

use std::process::Command;

use super::{Gone, Local, Place, Program, version};
use crate::support::dovecot::PASSWORD;

/// The binary that was built with the benchmark.
const PROGRAM: &str = env!("CARGO_BIN_EXE_interimap");

/// It, with that on its local side.
pub(crate) struct Ours(pub(crate) Local);

impl Program for Ours {
    fn name(&self) -> &'static str {
        match self.0 {
            Local::Server => "ours",
            Local::Maildir => "ours-maildir",
        }
    }

    fn title(&self) -> Option<String> {
        let version = version(PROGRAM, "--version")?;
        Some(match self.0 {
            Local::Server => format!("interimap {version}"),
            Local::Maildir => "interimap, Maildir".to_owned(),
        })
    }

    fn local(&self) -> Local {
        self.0
    }

    fn gone(&self) -> Gone {
        Gone::Vanished
    }

    fn configure(&self, place: &Place) {
        let server = |user: &str, port: u16| {
            format!(
                "type = \"imap\"\nhost = \"127.0.0.1\"\nport = {port}\nusername = \"{user}\"\n\
                 password = \"{PASSWORD}\"\nstarttls = false\n"
            )
        };
        let local = match self.0 {
            Local::Server => server(&place.user, place.local_port),
            // The servers of this benchmark do not wait for the disk either.
            Local::Maildir => format!("type = \"maildir\"\npath = \"{}\"\nfsync = false\n", place.tree().display()),
        };
        let remote = server(&place.user, place.remote_port);
        let database = place.path("state.db");
        place.write(
            "interimap.toml",
            &format!(
                "[account.bench]\ndatabase = \"{}\"\n\n[account.bench.local]\n{local}\n[account.bench.remote]\n{remote}",
                database.display()
            ),
        );
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["sync", "--quiet", "--config"]).arg(place.path("interimap.toml"));
        command
    }
}
