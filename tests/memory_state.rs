//! How much memory runs take for what is remembered and planned, however many messages two mailboxes hold: the first
//! meeting of both, runs with little to do, and those that compare everything.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/memory.rs"]
#[expect(unreachable_pub, dead_code, reason = "the model uses it from inside, and needs more of it")]
mod memory;

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use interimap::engine::event::{Report, Silent};
use interimap::engine::{Order, Scrutiny, sync};
use interimap::mail::{Both, Flag, FlagChange, FlagSet, InternalDate, MailboxName, Side, Uid, UidValidity};
use interimap::plan::Policy;
use interimap::state::State;
use interimap::store::Store;
use memory::{MemoryStore, Observer, Server, SharedFuse};
use peak_alloc::PeakAlloc;

/// What Rust allocates; SQLite, which is C, is not in it.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// How many messages each mailbox has: `INTERIMAP_TEST_SCALE` times fifty thousand, a million with 20.
static MESSAGES: LazyLock<u32> = LazyLock::new(|| {
    let scale = std::env::var("INTERIMAP_TEST_SCALE");
    50_000 * scale.map_or(1, |scale| scale.parse::<u32>().expect("INTERIMAP_TEST_SCALE is a number"))
});

/// What a run takes, however many messages there are.
const ALLOWANCE: usize = 1 << 18;

struct Bed {
    servers: Both<Arc<Mutex<Server>>>,
    state: State,
    observer: Observer,
}

impl Bed {
    fn filled(observer: Observer, sides: &[Side], directory: &Path) -> Bed {
        let servers = Both::from_fn(|_| Arc::new(Mutex::new(Server::default())));
        let identity = Both { local: "here".to_owned(), remote: "there".to_owned() };
        let state = State::open(&directory.join(format!("{observer:?}-{}.db", sides.len())), &identity).unwrap();
        let bed = Bed { servers, state, observer };
        for side in sides {
            let mut server = bed.servers[*side].lock().unwrap();
            let inbox = server.create(&MailboxName::inbox());
            for number in 0..*MESSAGES {
                let text = format!("Message-ID: <{number}@example.org>\r\n\r\ntext\r\n");
                inbox.deliver(text, InternalDate::from_unix(number.into()).unwrap(), flags(number));
            }
        }
        bed
    }

    /// The most that a run takes above what was there before, but for what it leaves in the servers.
    fn run(&mut self, scrutiny: Scrutiny) -> (usize, Report) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let open = |side| -> Box<dyn Store> {
            Box::new(MemoryStore::new(self.servers[side].clone(), self.observer, SharedFuse::default()))
        };
        let mut stores = Both::from_fn(open);
        let order = Order { scrutiny, now: 1_000_000 };
        let (before, begun) = (MEMORY.current_usage(), Instant::now());
        MEMORY.reset_peak_usage();
        let report = runtime.block_on(sync(&mut stores, &mut self.state, &Policy::two_way(), &order, &mut Silent));
        let octets = MEMORY.peak_usage() - before.max(MEMORY.current_usage());
        println!("{:.2} s", begun.elapsed().as_secs_f64());
        assert!(report.troubles.is_empty(), "{report:?}");
        (octets, report)
    }

    fn server<T>(&self, side: Side, act: impl FnOnce(&mut Server) -> T) -> T {
        act(&mut self.servers[side].lock().unwrap())
    }
}

/// Most messages share a few sets of flags.
fn flags(number: u32) -> FlagSet {
    FlagSet::parse(["\\Seen", "\\Seen", "", "\\Answered \\Seen", "\\Flagged $Label1"][number as usize % 5])
}

/// What `status` reads of the state, while a run holds it.
fn look(path: &Path) {
    let begun = Instant::now();
    let state = State::inspect(path).unwrap().unwrap();
    assert_eq!(state.remembered().unwrap()[0].pairs, u64::from(*MESSAGES));
    assert_eq!(state.rows_read(), 1);
    let octets = std::fs::metadata(path).unwrap().len();
    println!("a look at the state: {:.4} s, {octets} octets on the disk", begun.elapsed().as_secs_f64());
}

fn expect(what: &str, octets: usize, octets_a_message: usize) {
    println!("{what}: {octets} octets, {} a message", octets / *MESSAGES as usize);
    assert!(octets <= *MESSAGES as usize * octets_a_message + ALLOWANCE, "{what}: {octets} octets");
}

/// The only test here, for all that runs beside it would be counted.
#[test]
fn what_a_run_takes_for_what_it_remembers() {
    let directory = tempfile::tempdir().unwrap();
    for (observer, one_change) in [(Observer::Qresync, 0), (Observer::Full, 24)] {
        let mut bed = Bed::filled(observer, &Side::BOTH, directory.path());
        let (octets, report) = bed.run(Scrutiny::Changes);
        assert_eq!(report.sides.local.paired, u64::from(*MESSAGES));
        expect(&format!("{observer:?}: two filled sides meet"), octets, 124);
        let (octets, _) = bed.run(Scrutiny::Changes);
        look(&directory.path().join(format!("{observer:?}-2.db")));
        expect(&format!("{observer:?}: nothing has changed"), octets, 0);

        let change = FlagChange { add: FlagSet::from_iter([Flag::Deleted]), remove: FlagSet::new() };
        bed.server(Side::Remote, |it| it.create(&MailboxName::inbox()).reflag(Uid::MIN, &change));
        let (octets, report) = bed.run(Scrutiny::Changes);
        assert_eq!(report.sides.local.flagged, 1);
        expect(&format!("{observer:?}: one flag has changed"), octets, one_change);

        let (octets, report) = bed.run(Scrutiny::Everything);
        assert_eq!(report.differences, []);
        expect(&format!("{observer:?}: repair"), octets, 116);

        bed.server(Side::Remote, |it| it.create(&MailboxName::inbox()).uid_validity = UidValidity::new(9999).unwrap());
        let (octets, report) = bed.run(Scrutiny::Changes);
        assert_eq!(report.sides.remote.copied, 0);
        expect(&format!("{observer:?}: another UIDVALIDITY"), octets, 148);
    }
    let mut bed = Bed::filled(Observer::Qresync, &[Side::Remote], directory.path());
    let (octets, report) = bed.run(Scrutiny::Changes);
    assert_eq!(report.sides.local.copied, u64::from(*MESSAGES));
    expect("a first copy", octets, 16);
}
