//! How much memory runs take between two trees of Maildirs: one in which everything is new, and those in which nothing is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use interimap::engine::event::Silent;
use interimap::engine::{Order, Scrutiny, sync};
use interimap::mail::{Both, Side};
use interimap::plan::Policy;
use interimap::state::State;
use interimap::store::Store;
use interimap::store::maildir::{Durability, Endpoint, IndexFile, KeywordStorage, Layout, NameEncoding, open};
use peak_alloc::PeakAlloc;

/// What Rust allocates; SQLite, which is C, is not in it.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// How many messages the mailbox has, on both sides. Disks are slow to make ten times as many, which cost as much each.
const MESSAGES: usize = 20_000;

/// Most octets a message, both sides together, of a run that finds every message and pairs it: on each side 45 of its name,
/// 24 of where that is, and 32 of its stamp until it has a row. The rest is room to grow.
const OCTETS_OF_FIRST: usize = 270;

/// Of one that reads the directories of both sides at once, and finds what it knows: the names, and where they are.
const OCTETS_OF_READING: usize = 195;

/// Of one that copies every message into an empty tree.
const OCTETS_OF_COPYING: usize = 16;

/// What messages take that are on their way.
const ALLOWANCE_OF_COPYING: usize = 1 << 20;

/// What two stores and a run take, however many messages there are.
const ALLOWANCE: usize = 1 << 16;

/// The only test here, for all that runs beside it would be counted.
#[test]
fn a_maildir_costs_few_octets_a_message() {
    let directory = tempfile::tempdir().unwrap();
    plant(directory.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut state = State::in_memory().unwrap();
    let mut run = |what, octets_a_message| {
        let (octets, paired) = runtime.block_on(cost_of_a_run(directory.path(), &mut state));
        println!("{what}: {octets} octets, {} a message", octets / MESSAGES);
        assert!(octets <= MESSAGES * octets_a_message + ALLOWANCE, "{what}: {octets} octets");
        // A directory is believed once it was read a while after it changed.
        sleep(Duration::from_millis(100));
        paired
    };
    assert_eq!(run("everything is new", OCTETS_OF_FIRST), MESSAGES as u64);
    assert_eq!(run("nothing is new, and the directories are read", OCTETS_OF_READING), 0);
    assert_eq!(run("nothing is new, and nothing is read", 0), 0);
    // One that is delivered into: nothing is held but what is on its way.
    fs::remove_dir_all(directory.path().join("remote")).unwrap();
    fs::remove_file(directory.path().join("work.db.remote-index")).unwrap();
    state = State::in_memory().unwrap();
    let (octets, copied) = runtime.block_on(cost_of_a_run(directory.path(), &mut state));
    println!("everything is copied: {octets} octets, {} a message", octets / MESSAGES);
    assert!(octets <= MESSAGES * OCTETS_OF_COPYING + ALLOWANCE_OF_COPYING, "{octets} octets");
    assert_eq!(copied, MESSAGES as u64);
}

/// Two trees that hold the same messages, which are the same files: they are not changed.
fn plant(directory: &Path) {
    for folder in ["cur", "new", "tmp"] {
        for side in Side::BOTH {
            fs::create_dir_all(directory.join(format!("{side}/INBOX/{folder}"))).unwrap();
        }
    }
    for number in 0..MESSAGES {
        // Names as long as they are in the wild.
        let name = format!("17951896{:02}.M{number}P22359Q0.mail.example.org:2,S", number % 100);
        let path = |side: Side| directory.join(format!("{side}/INBOX/cur/{name}"));
        fs::write(path(Side::Local), format!("Message-ID: <{number}@example.org>\n\nHello\n")).unwrap();
        fs::hard_link(path(Side::Local), path(Side::Remote)).unwrap();
    }
}

async fn opened(directory: &Path, side: Side) -> Box<dyn Store> {
    let endpoint = Endpoint {
        path: directory.join(side.to_string()),
        layout: Layout::Fs,
        inbox: None,
        names: NameEncoding::Utf8,
        keywords: KeywordStorage::Index,
        durability: Durability::Unsynced,
        access: interimap::mail::Access::ReadWrite,
    };
    let index = IndexFile::Kept(directory.join(format!("work.db.{side}-index")));
    Box::new(open(&endpoint, index).await.unwrap())
}

/// The peak above what was there before the run, and how many messages were paired.
async fn cost_of_a_run(directory: &Path, state: &mut State) -> (usize, u64) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let mut stores =
        Both { local: opened(directory, Side::Local).await, remote: opened(directory, Side::Remote).await };
    let order = Order { scrutiny: Scrutiny::Changes, now: 1_000_000 };
    let report = sync(&mut stores, state, &Policy::two_way(), &order, &mut Silent).await;
    let octets = MEMORY.peak_usage() - before;
    assert!(report.troubles.is_empty(), "{report:?}");
    for side in Side::BOTH {
        let done = &report.sides[side];
        assert_eq!((done.flagged, done.expunged), (0, 0), "{report:?}");
    }
    let done = |side: Side| report.sides[side].copied + report.sides[side].paired;
    (octets, Side::BOTH.into_iter().map(done).max().unwrap_or(0))
}
