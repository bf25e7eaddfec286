//! What others do between two runs of a program.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use interimap::mail::Side;

use crate::account::date;
use crate::letters::Letters;
use crate::programs::Local;
use crate::stand::Stand;
use crate::support::imap::{Appended, Client};

/// The numbers of letters that arrive later than all that an account was filled with.
static NEXT: AtomicU32 = AtomicU32::new(100_000_000);

impl Stand<'_> {
    /// A message arrives in each of these mailboxes on the remote server.
    pub(crate) fn arrive_remotely(&self, mailboxes: &[&str], letters: &Letters) {
        arrive(&mut self.on(Side::Remote), mailboxes, letters);
    }

    /// The same on the local side.
    pub(crate) fn arrive_locally(&self, mailboxes: &[&str], letters: &Letters) {
        if self.installed.program.local() == Local::Server {
            return arrive(&mut self.on(Side::Local), mailboxes, letters);
        }
        for mailbox in mailboxes {
            let number = NEXT.fetch_add(1, Ordering::SeqCst);
            let mut letter = letters.write(number);
            letter.retain(|octet| *octet != b'\r');
            let file = self.place.tree().join(mailbox).join(format!("new/1741600000.{number}.bench"));
            fs::write(file, letter).unwrap();
        }
    }

    /// Messages that lie evenly in INBOX on the remote server are flagged, or no longer.
    pub(crate) fn flag_remotely(&self, messages: u32, of: u32, sign: char) {
        let mut client = self.on(Side::Remote);
        client.select("INBOX");
        let step = (of / messages).max(1);
        let set: Vec<_> = (0..messages).map(|number| (1 + number * step).to_string()).collect();
        client.run(&format!("STORE {} {sign}FLAGS.SILENT (\\Flagged)", set.join(",")));
    }

    /// The first messages of INBOX on the remote server go to Archive, or a copy of each does: MOVE or COPY.
    pub(crate) fn send_remotely(&self, verb: &str, messages: u32) {
        let mut client = self.on(Side::Remote);
        client.select("INBOX");
        client.run(&format!("{verb} 1:{messages} Archive"));
    }

    /// A mailbox of the remote server gets another name.
    pub(crate) fn rename_remotely(&self, from: &str, to: &str) {
        self.on(Side::Remote).about("RENAME {} {}", &[from, to]);
    }

    /// The next message of INBOX on the remote server gets a UID beyond that.
    pub(crate) fn skip_uids_remotely(&self, beyond: u32) {
        let (next, user) = ((beyond + 1).to_string(), &self.place.user);
        self.servers.both.remote.doveadm(&["mailbox", "update", "-u", user, "--min-next-uid", &next, "INBOX"]);
    }

    fn on(&self, side: Side) -> Client {
        self.servers.both[side].witness_of(&self.place.user)
    }
}

fn arrive(client: &mut Client, mailboxes: &[&str], letters: &Letters) {
    for mailbox in mailboxes {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        client.append(mailbox, &Appended { flags: "", date: Some(&date(number)), body: &letters.write(number) });
    }
}
