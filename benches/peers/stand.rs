//! A program before an account of its own: its copy of the mail on the remote server, its local side, its state.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use interimap::mail::Side;

use crate::account::Account;
use crate::census::{Count, census};
use crate::measure::{Figures, run};
use crate::programs::{Installed, Local, Place};
use crate::servers::Servers;

/// Servers end the sessions of a run a moment after it, and the clock of files has to tick.
const REST: Duration = Duration::from_millis(150);

/// How many there were, so that no two are called alike.
static STANDS: AtomicU32 = AtomicU32::new(0);

/// It.
pub(crate) struct Stand<'a> {
    /// The servers.
    pub(crate) servers: &'a Servers,
    /// The program.
    pub(crate) installed: &'a Installed,
    /// Where it works.
    pub(crate) place: Place,
}

/// What a run cost, and whether it did what it was to do.
pub(crate) struct Outcome {
    /// What it cost.
    pub(crate) figures: Figures,
    /// Or what it did not.
    pub(crate) well: Result<(), String>,
}

impl<'a> Stand<'a> {
    /// A copy of the account on the remote server, nothing on the local side, and no state.
    pub(crate) fn before(servers: &'a Servers, installed: &'a Installed, account: &Account) -> Stand<'a> {
        let number = STANDS.fetch_add(1, Ordering::SeqCst);
        let user = format!("{}-{}-{number}", account.name, installed.program.name());
        servers.duplicate(&account.name, &user);
        let directory = servers.directory().join(&user);
        fs::create_dir(&directory).unwrap();
        let place = Place {
            directory,
            remote_port: servers.imap.port(),
            local_port: servers.both.local.port(),
            dsync_port: servers.dsync.port(),
            local_server: servers.both.local.configuration(),
            user,
        };
        match installed.program.local() {
            // Whoever logs in first finds a home.
            Local::Server => drop(servers.both.local.witness_of(&place.user)),
            Local::Maildir => fs::create_dir(place.tree()).unwrap(),
        }
        installed.program.configure(&place);
        Stand { servers, installed, place }
    }

    /// Runs the program with the remote server so many milliseconds away, and looks whether both sides hold the same then.
    pub(crate) fn run(&self, milliseconds: u64) -> Outcome {
        let command = self.installed.program.command(&self.place);
        let (figures, ended) = run(self.servers, command, &self.place.directory, milliseconds);
        let well = ended.and_then(|()| self.in_line());
        if let Err(fault) = &well {
            eprintln!(">> {}, {}: {fault}", self.installed.title, self.place.user);
        }
        Outcome { figures, well }
    }

    /// Runs the program until it has nothing left to look at.
    pub(crate) fn settle(&self) {
        for _ in 0..2 {
            sleep(REST);
            let command = self.installed.program.command(&self.place);
            if let (_, Err(fault)) = run(self.servers, command, &self.place.directory, 0) {
                eprintln!(">> {}, {}: {fault}", self.installed.title, self.place.user);
            }
        }
        sleep(REST);
    }

    fn in_line(&self) -> Result<(), String> {
        let [remote, local] = [Side::Remote, Side::Local].map(|side| census(self, side));
        let names: BTreeSet<_> = remote.keys().chain(local.keys()).collect();
        let differing: Vec<_> = names.into_iter().filter(|name| remote.get(*name) != local.get(*name)).collect();
        let Some(name) = differing.first() else { return Ok(()) };
        let tell = |count: Option<&Count>| count.map_or_else(|| "nothing".to_owned(), |count| count.to_string());
        Err(format!(
            "not in line: {name} is {} remotely and {} locally, {} mailboxes differ",
            tell(remote.get(*name)),
            tell(local.get(*name)),
            differing.len()
        ))
    }

    /// Takes its mail off the servers. Its Maildirs stay until the end: where many files went, new ones are slow to make.
    pub(crate) fn clear(self) {
        for side in Side::BOTH {
            let _ = fs::remove_dir_all(self.servers.home(side, &self.place.user));
        }
    }
}
