//! What the store costs, in numbers that are the same on every machine: rows read, transactions, directories listed and
//! files opened.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tempfile::TempDir;

use crate::mail::{Checkpoint, Flag, FlagChange, FlagSet, InternalDate, MailboxName, Uid, UidSet};
use crate::store::{Appended, Body, Form, Message, Stored, UidScope, Wanted};

use super::endpoint::{Durability, Endpoint, IndexFile, KeywordStorage, Layout, NameEncoding};
use super::index::Trust;
use super::tree::Tree;

/// How many messages the mailbox has.
const MESSAGES: u64 = 500;
/// How many are changed or delivered at once.
const BATCH: u32 = 100;
/// How many rows are read beside those of messages, however many there are.
const OTHER_ROWS: u64 = 16;

/// A tree that holds one mailbox, and a watch on its directories.
struct Bed {
    directory: TempDir,
    inotify: OwnedFd,
    tmp: i32,
}

/// What something has cost.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    rows: u64,
    transactions: u32,
    /// How often somebody read one of the directories of messages, at least.
    listings: usize,
    /// The same of `tmp`.
    sweeps: usize,
    /// How many files of messages were opened.
    opened: usize,
}

impl Bed {
    /// Plants messages that bear a flag, and waits until the index knows that it knows them.
    fn settled() -> Bed {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("Mail/INBOX");
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(home.join(name)).unwrap();
        }
        for number in 0..MESSAGES {
            fs::write(home.join(format!("cur/{number}.host:2,S")), format!("Subject: {number}\n\n")).unwrap();
        }
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let watch =
            |name| inotify::add_watch(&inotify, home.join(name), WatchFlags::ACCESS | WatchFlags::OPEN).unwrap();
        let tmp = ["cur", "new", "tmp"].map(watch)[2];
        let bed = Bed { directory, inotify, tmp };
        for _ in 0..100 {
            let mut tree = bed.open();
            tree.mailboxes().unwrap();
            let mailbox = tree.index.mailbox(&MailboxName::inbox()).unwrap().unwrap();
            if mailbox.look.is_some_and(|look| look.trust == Trust::Settled) {
                assert_eq!(u64::from(mailbox.status.messages), MESSAGES);
                return bed;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("the mailbox does not settle");
    }

    fn open(&self) -> Tree {
        let endpoint = Endpoint {
            path: self.directory.path().join("Mail"),
            layout: Layout::Fs,
            inbox: None,
            names: NameEncoding::Utf8,
            keywords: KeywordStorage::Index,
            durability: Durability::Synced,
            access: crate::mail::Access::ReadWrite,
        };
        Tree::open(&endpoint, &IndexFile::Kept(self.index())).unwrap()
    }

    fn index(&self) -> PathBuf {
        self.directory.path().join("work.db.local-index")
    }

    fn scope(&self, tree: &Tree) -> UidScope {
        let name = MailboxName::inbox();
        let uid_validity = tree.index.mailbox(&name).unwrap().unwrap().status.uid_validity;
        UidScope { name, uid_validity }
    }

    /// How many transactions have changed the index: SQLite counts them in the memory that its connections share
    /// (<https://www.sqlite.org/walformat.html>, iChange).
    fn transactions(&self) -> u32 {
        let mut name = self.index().into_os_string();
        name.push("-shm");
        let shared = fs::read(name).unwrap();
        u32::from_ne_bytes(shared[8..12].try_into().unwrap())
    }

    fn cost_of<T>(&self, tree: &mut Tree, work: impl FnOnce(&mut Tree) -> T) -> (T, Cost) {
        self.drain();
        let (rows, transactions) = (tree.index.rows_read(), self.transactions());
        let done = work(tree);
        let (listings, sweeps, opened) = self.drain();
        let (rows, transactions) = (tree.index.rows_read() - rows, self.transactions() - transactions);
        (done, Cost { rows, transactions, listings, sweeps, opened })
    }

    /// What was seen since it was asked last.
    fn drain(&self) -> (usize, usize, usize) {
        let (mut listings, mut sweeps, mut opened) = (0, 0, 0);
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            let seen = event.events();
            match (event.wd() == self.tmp, seen.contains(ReadFlags::ISDIR)) {
                (true, true) => sweeps += usize::from(seen.contains(ReadFlags::ACCESS)),
                (false, true) => listings += usize::from(seen.contains(ReadFlags::ACCESS)),
                (true, false) => {}
                (false, false) => opened += usize::from(seen.contains(ReadFlags::OPEN)),
            }
        }
        (listings, sweeps, opened)
    }
}

fn checkpoint(tree: &Tree) -> Checkpoint {
    let status = tree.index.mailbox(&MailboxName::inbox()).unwrap().unwrap().status;
    Checkpoint { uid_validity: status.uid_validity, uid_next: status.uid_next, highest_modseq: status.highest_modseq }
}

/// What a run asks first.
fn look(tree: &mut Tree, since: Checkpoint) -> usize {
    tree.mailboxes().unwrap();
    let wanted = Wanted { name: MailboxName::inbox(), since: Some(since) };
    tree.observe(&[wanted]).unwrap().remove(0).unwrap().messages.len()
}

fn first_uids() -> UidSet {
    let mut uids = UidSet::new();
    uids.insert_range(Uid::MIN..=Uid::new(BATCH).unwrap());
    uids
}

fn messages(flags: &str) -> Vec<Message> {
    let message = |number| {
        let octets = Bytes::from(format!("Subject: {number}\r\n\r\n"));
        Message {
            uid: Uid::new(number).unwrap(),
            flags: FlagSet::parse(flags),
            internal_date: InternalDate::EPOCH,
            size: octets.len() as u64,
            form: Form::Text,
            body: Body::Whole(octets),
        }
    };
    (1..=BATCH).map(message).collect()
}

#[test]
fn a_mailbox_that_is_as_it_was_is_not_read() {
    let bed = Bed::settled();
    let mut tree = bed.open();
    let since = checkpoint(&tree);
    let (messages, cost) = bed.cost_of(&mut tree, |tree| look(tree, since));
    assert_eq!(messages, 0);
    assert!(cost.rows < OTHER_ROWS, "{cost:?}");
    assert_eq!(cost, Cost { rows: cost.rows, transactions: 0, listings: 0, sweeps: 0, opened: 0 });
}

#[test]
fn a_change_costs_a_row_a_message_and_opens_no_file() {
    let bed = Bed::settled();
    let home = bed.directory.path().join("Mail/INBOX");
    fs::rename(home.join("cur/7.host:2,S"), home.join("cur/7.host:2,FS")).unwrap();
    fs::write(home.join("new/arrived.host"), "Subject: new\n\n").unwrap();
    let mut tree = bed.open();
    let since = checkpoint(&tree);
    let (messages, cost) = bed.cost_of(&mut tree, |tree| look(tree, since));
    assert_eq!(messages, 2);
    assert!((MESSAGES..MESSAGES + OTHER_ROWS).contains(&cost.rows), "{cost:?}");
    assert!(cost.listings > 0, "the watch sees nothing");
    assert_eq!(cost, Cost { rows: cost.rows, transactions: 1, listings: cost.listings, sweeps: 0, opened: 0 });

    // The same session does not read them again.
    let since = checkpoint(&tree);
    let (messages, cost) = bed.cost_of(&mut tree, |tree| look(tree, since));
    assert_eq!(messages, 0);
    assert!(cost.rows < OTHER_ROWS, "{cost:?}");
    assert_eq!(cost, Cost { rows: cost.rows, transactions: 0, listings: 0, sweeps: 0, opened: 0 });
}

#[test]
fn a_batch_of_messages_is_one_transaction() {
    let bed = Bed::settled();
    let mut tree = bed.open();
    let scope = bed.scope(&tree);
    for (flags, sweeps) in [("\\Seen", true), ("", false), ("\\Flagged", false)] {
        let (appended, cost) = bed.cost_of(&mut tree, |tree| tree.append(&scope, messages(flags)).unwrap());
        assert!(appended.iter().all(|appended| matches!(appended, Appended::At { .. })), "{appended:?}");
        // What killed runs have left is looked for once.
        assert_eq!(cost.sweeps > 0, sweeps, "{cost:?}");
        assert!(cost.rows < OTHER_ROWS, "{cost:?}");
        assert_eq!(cost, Cost { rows: cost.rows, transactions: 1, listings: 0, sweeps: cost.sweeps, opened: 0 });
    }
}

#[test]
fn flags_and_expunges_of_many_messages_are_one_transaction_and_open_no_file() {
    let bed = Bed::settled();
    let mut tree = bed.open();
    let scope = bed.scope(&tree);
    let rows = u64::from(BATCH)..u64::from(BATCH) + OTHER_ROWS;
    let flagged: FlagSet = [Flag::Flagged].into_iter().collect();
    let changes = [(first_uids(), FlagChange { add: flagged, ..FlagChange::default() })];
    let (stored, cost) = bed.cost_of(&mut tree, |tree| tree.store_flags(&scope, &changes, None).unwrap());
    assert!(stored.len() == BATCH as usize && stored.values().all(|it| matches!(it, Stored::Flags(_))), "{stored:?}");
    assert!(rows.contains(&cost.rows), "{cost:?}");
    assert_eq!(cost, Cost { rows: cost.rows, transactions: 1, listings: 0, sweeps: 0, opened: 0 });

    let (_, cost) = bed.cost_of(&mut tree, |tree| tree.expunge(&scope, &first_uids(), None).unwrap());
    assert!(rows.contains(&cost.rows), "{cost:?}");
    assert_eq!(cost, Cost { rows: cost.rows, transactions: 1, listings: 0, sweeps: 0, opened: 0 });
    let left = tree.index.mailbox(&scope.name).unwrap().unwrap().status.messages;
    assert_eq!(u64::from(left), MESSAGES - u64::from(BATCH));
}
