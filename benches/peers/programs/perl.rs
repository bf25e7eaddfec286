//! interimap in Perl, as Debian has it, between two servers.

use std::process::Command;

use super::{Gone, Local, Place, Program, version};
use crate::support::dovecot::PASSWORD;

/// Only Debian's own: what is called interimap elsewhere on the path may be ours.
const PROGRAM: &str = "/usr/bin/interimap";

/// It.
pub(crate) struct Perl;

impl Program for Perl {
    fn name(&self) -> &'static str {
        "perl"
    }

    fn title(&self) -> Option<String> {
        let source = std::fs::read(PROGRAM).ok()?;
        let first = source.split(|octet| *octet == b'\n').next()?;
        if !String::from_utf8_lossy(first).contains("perl") {
            return None;
        }
        Some(format!("interimap {} (Perl)", version(PROGRAM, "--version")?))
    }

    fn local(&self) -> Local {
        Local::Server
    }

    fn gone(&self) -> Gone {
        Gone::Vanished
    }

    fn configure(&self, place: &Place) {
        let server = |user: &str, port: u16| {
            format!(
                "type = imap\nhost = 127.0.0.1\nport = {port}\nusername = {user}\npassword = {PASSWORD}\n\
                 STARTTLS = NO\ncompress = NO\n"
            )
        };
        place.write(
            "perl.conf",
            &format!(
                "database = {}\n\n[local]\n{}\n[remote]\n{}",
                place.path("perl.db").display(),
                server(&place.user, place.local_port),
                server(&place.user, place.remote_port),
            ),
        );
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg(format!("--config={}", place.path("perl.conf").display())).arg("--quiet");
        command
    }
}
