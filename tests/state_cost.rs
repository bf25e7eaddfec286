//! What runs read of the state: as much as has changed, however much is remembered.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/memory.rs"]
#[expect(unreachable_pub, dead_code, reason = "the model uses it from inside, and needs more of it")]
mod memory;

use std::sync::{Arc, Mutex};

use interimap::engine::event::{Report, SideReport, Silent};
use interimap::engine::{Order, Scrutiny, sync};
use interimap::mail::{Both, Flag, FlagChange, FlagSet, InternalDate, MailboxName, Side, Uid};
use interimap::plan::Policy;
use interimap::state::State;
use interimap::store::Store;
use memory::{MemoryStore, Observer, Server, SharedFuse};

/// Few messages, and many: whatever was read once a message would show. Where mail arrives, some 256 messages before it
/// are looked at to find the newest one.
const SIZES: [u32; 2] = [2_000, 20_000];

/// Two sides in line, and what is remembered of them.
struct Bed {
    servers: Both<Arc<Mutex<Server>>>,
    state: State,
    messages: u32,
}

impl Bed {
    /// So many messages in INBOX, and as many in another mailbox.
    async fn in_line(messages: u32) -> Bed {
        let servers = Both::from_fn(|_| Arc::new(Mutex::new(Server::default())));
        let mut bed = Bed { servers, state: State::in_memory().unwrap(), messages };
        for side in Side::BOTH {
            let mut server = bed.servers[side].lock().unwrap();
            for name in [MailboxName::inbox(), archive()] {
                let mailbox = server.create(&name);
                for number in 0..messages {
                    let text = format!("Message-ID: <{number}.{name}>\r\n\r\ntext\r\n");
                    mailbox.deliver(text, InternalDate::from_unix(number.into()).unwrap(), FlagSet::new());
                }
            }
        }
        let report = bed.run(Scrutiny::Changes).await;
        assert_eq!(report.sides.local.paired, 2 * u64::from(messages), "{report:?}");
        bed
    }

    async fn run(&mut self, scrutiny: Scrutiny) -> Report {
        let open = |side| -> Box<dyn Store> {
            Box::new(MemoryStore::new(self.servers[side].clone(), Observer::Qresync, SharedFuse::default()))
        };
        let mut stores = Both::from_fn(open);
        let order = Order { scrutiny, now: 1_000_000 };
        let report = sync(&mut stores, &mut self.state, &Policy::two_way(), &order, &mut Silent).await;
        assert!(report.troubles.is_empty(), "{report:?}");
        report
    }

    /// How many rows the next run reads.
    async fn rows(&mut self) -> (u64, Report) {
        let before = self.state.rows_read();
        let report = self.run(Scrutiny::Changes).await;
        (self.state.rows_read() - before, report)
    }

    /// A message in the middle.
    fn middle(&self) -> Uid {
        Uid::new(self.messages / 2).unwrap()
    }

    fn server<T>(&self, side: Side, act: impl FnOnce(&mut Server) -> T) -> T {
        act(&mut self.servers[side].lock().unwrap())
    }
}

fn archive() -> MailboxName {
    MailboxName::new("Archive").unwrap()
}

/// A mailbox goes here while a message in it is looked at there.
fn deleted(bed: &Bed) {
    let change = FlagChange { add: FlagSet::from_iter([Flag::Seen]), remove: FlagSet::new() };
    bed.server(Side::Local, |it| it.create(&archive()).reflag(Uid::MIN, &change));
    bed.server(Side::Remote, |it| it.mailboxes.remove(&archive()));
}

fn deliver(bed: &Bed, side: Side) {
    // Those of the two sides measure differently, so that none is looked at as a copy of the other.
    let text = format!("Message-ID: <{side}>\r\n\r\ntext\r\n");
    bed.server(side, |it| it.create(&MailboxName::inbox()).deliver(text, InternalDate::EPOCH, FlagSet::new()));
}

fn reflag(bed: &Bed, flag: Flag) {
    let change = FlagChange { add: FlagSet::from_iter([flag]), remove: FlagSet::new() };
    bed.server(Side::Remote, |it| it.create(&MailboxName::inbox()).reflag(bed.middle(), &change));
}

fn moved(bed: &Bed) {
    bed.server(Side::Remote, |it| {
        let inbox = it.create(&MailboxName::inbox());
        let held = inbox.messages[&bed.middle()].clone();
        inbox.expunge(bed.middle());
        it.create(&archive()).deliver(held.octets, held.internal_date, held.flags);
    });
}

/// A user's deed; what comes of it, as (copied, reflagged, expunged, moved) on both sides together; and how many rows are
/// read by the run that carries it over, and by the one that sees that run's own writes come back.
type Case = (&'static str, fn(&Bed), (u64, u64, u64, u64), [u64; 2]);

#[tokio::test]
async fn a_run_reads_as_many_rows_as_have_changed_however_many_there_are() {
    let cases: [Case; 7] = [
        ("nothing", |_| {}, (0, 0, 0, 0), [4, 4]),
        ("a message arrives on the remote side", |bed| deliver(bed, Side::Remote), (1, 0, 0, 0), [265, 11]),
        ("a message is put in on the local side", |bed| deliver(bed, Side::Local), (1, 0, 0, 0), [265, 11]),
        ("a flag is set", |bed| reflag(bed, Flag::Flagged), (0, 1, 0, 0), [10, 10]),
        ("a message is moved", moved, (0, 0, 0, 1), [271, 15]),
        (
            "a message is expunged",
            |bed| bed.server(Side::Remote, |it| it.create(&archive()).expunge(bed.middle())),
            (0, 0, 1, 0),
            [10, 8],
        ),
        ("a mailbox is deleted", deleted, (0, 0, 0, 0), [5, 2]),
    ];
    for messages in SIZES {
        let mut bed = Bed::in_line(messages).await;
        // What the sides were found with is seen once more, and then at rest.
        bed.run(Scrutiny::Changes).await;
        for (what, deed, wanted, rows) in &cases {
            deed(&bed);
            let (carrying, report) = bed.rows().await;
            let sum = |count: fn(&SideReport) -> u64| Side::BOTH.iter().map(|side| count(&report.sides[*side])).sum();
            let done: (u64, u64, u64, u64) =
                (sum(|it| it.copied), sum(|it| it.flagged), sum(|it| it.expunged), sum(|it| it.moved));
            assert_eq!(done, *wanted, "{what}: {report:?}");
            let echoing = bed.rows().await.0;
            assert_eq!([carrying, echoing], *rows, "{what}, {messages} messages");
        }
    }
}
