//! How much memory a run takes where every message is listed: what a server without mod-sequences costs in each run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::time::Duration;

use interimap::engine::event::Silent;
use interimap::engine::{Order, Scrutiny, sync};
use interimap::mail::{
    Both, Checkpoint, Fingerprint, FlagSet, HeaderDigest, InternalDate, MailboxName, ModSeq, Side, Subscription, Uid,
    UidValidity,
};
use interimap::plan::{MailboxKey, Pair, Policy};
use interimap::state::State;
use interimap::store::imap::{Compression, Endpoint, Link, TunnelStderr, connect_over};
use interimap::store::{Cause, Store, Wanted};
use peak_alloc::PeakAlloc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

/// What Rust allocates; SQLite, which is C, is not in it.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// How many messages the mailbox has, on both sides.
const MESSAGES: u32 = 200_000;

/// Most octets a message, both sides together.
const OCTETS_A_MESSAGE: usize = 24;

/// What two sessions and a run take, however many messages there are.
const ALLOWANCE: usize = 1 << 20;

/// What a session takes that is sent a bomb: windows, rooms, and a line as long as it may get, twice while it grows.
const ALLOWANCE_OF_A_BOMB: usize = 5 << 20;

/// A gigabyte that never ends its line, in some megabyte on the wire.
async fn cost_of_a_bomb() -> usize {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let piece = {
        let mut deflater = flate2::Compress::new(flate2::Compression::best(), false);
        let mut piece = Vec::with_capacity(1 << 16);
        deflater.compress_vec(&vec![b'x'; 1 << 20], &mut piece, flate2::FlushCompress::Full).unwrap();
        piece
    };
    let served = tokio::spawn(async move {
        let (mut line, mut stream) = (String::new(), BufReader::new(&mut theirs));
        stream.write_all(b"* PREAUTH [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] ready\r\n").await.unwrap();
        for _ in 0..2 {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            let tag = line.split(' ').next().unwrap();
            stream.write_all(format!("{tag} OK done\r\n").as_bytes()).await.unwrap();
        }
        // Behind a full flush the stream is as at its beginning, so that the piece can be repeated.
        for _ in 0..1024 {
            if stream.write_all(&piece).await.is_err() {
                break;
            }
        }
    });
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let mut store = connect_over(ours, &endpoint(Compression::Wanted)).await.unwrap();
    let session = MEMORY.current_usage() - before;
    println!("a session that deflates: {session} octets");
    assert!(session < 640 << 10, "{session} octets");
    let error = store.mailboxes().await.unwrap_err();
    assert_eq!(error.cause, Cause::Limit, "{error}");
    assert!(store.traffic().bytes_received < 1 << 17, "{:?}", store.traffic());
    drop(store);
    served.await.unwrap();
    MEMORY.peak_usage() - before
}

/// Five million UIDs of which a server says that they are gone, though there never were messages that had them.
async fn cost_of_a_vanished_range() -> usize {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let served = tokio::spawn(async move {
        let (mut line, mut stream) = (String::new(), BufReader::new(&mut theirs));
        stream.write_all(b"* PREAUTH [CAPABILITY IMAP4rev1 ENABLE QRESYNC] ready\r\n").await.unwrap();
        while stream.read_line(&mut line).await.is_ok_and(|octets| octets > 0) {
            let said = match line.split(' ').nth(1).unwrap().trim_end() {
                "ENABLE" => "* ENABLED QRESYNC\r\n",
                "SELECT" => {
                    "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 6000000] x\r\n\
                     * OK [HIGHESTMODSEQ 9] x\r\n* VANISHED (EARLIER) 1:5000000\r\n"
                }
                _ => "",
            };
            let tag = line.split(' ').next().unwrap().to_owned();
            stream.write_all(format!("{said}{tag} OK done\r\n").as_bytes()).await.unwrap();
            line.clear();
        }
    });
    let mut store = connect_over(ours, &endpoint(Compression::Unwanted)).await.unwrap();
    let since = Checkpoint {
        uid_validity: UidValidity::new(7).unwrap(),
        uid_next: Uid::new(6_000_000).unwrap(),
        highest_modseq: ModSeq::new(5),
    };
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let wanted = [Wanted { name: MailboxName::inbox(), since: Some(since) }];
    let seen = store.observe(&wanted).await.unwrap().remove(0).unwrap();
    let spoken_of = seen.spoken_of().unwrap();
    assert_eq!((spoken_of.len(), spoken_of.ranges().count()), (5_000_000, 1));
    // So many lookups a run makes in the state: one for each range.
    let state = State::in_memory().unwrap();
    let read = state.rows_read();
    assert_eq!(state.pairs_touching(MailboxKey(1), Side::Local, &spoken_of).unwrap().len(), 0);
    assert_eq!(state.rows_read(), read);
    let octets = MEMORY.peak_usage() - before;
    drop(store);
    served.await.unwrap();
    octets
}

/// The only test here, for all that runs beside it would be counted.
#[test]
fn s066_a_mailbox_that_is_listed_in_full_costs_few_octets_a_message() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let octets = runtime.block_on(cost_of_a_bomb());
    println!("a bomb: {octets} octets");
    assert!(octets < ALLOWANCE_OF_A_BOMB, "{octets} octets");
    let octets = runtime.block_on(cost_of_a_vanished_range());
    println!("five million UIDs in a range: {octets} octets");
    assert!(octets < 64 << 10, "{octets} octets");
    for (gap, order) in [(20, Listed::Ascending), (3, Listed::Descending)] {
        let (octets, rows) = runtime.block_on(cost_of_a_quiet_run(gap, order));
        println!("UIDs {gap} apart, {order:?}: {octets} octets, {} a message", octets / MESSAGES as usize);
        assert!(octets <= MESSAGES as usize * OCTETS_A_MESSAGE + ALLOWANCE, "{gap} {order:?}: {octets} octets");
        // Each pair once for both sides; the mailbox and its counters a few times.
        assert!((MESSAGES.into()..u64::from(MESSAGES) + 10).contains(&rows), "{gap} {order:?}: {rows} rows");
    }
}

/// How a server lists its messages.
#[derive(Clone, Copy, Debug)]
enum Listed {
    Ascending,
    /// No server is known to, but nothing forbids it.
    Descending,
}

/// The peak above what was there before the run, and how many rows of the state were read.
async fn cost_of_a_quiet_run(gap: u32, order: Listed) -> (usize, u64) {
    let mut state = filled(gap);
    let mut stores = Both { local: opened(gap, order).await, remote: opened(gap, order).await };
    let (before, rows) = (MEMORY.current_usage(), state.rows_read());
    MEMORY.reset_peak_usage();
    let run = Order { scrutiny: Scrutiny::Changes, now: 1_000_000 };
    let report = sync(&mut stores, &mut state, &Policy::two_way(), &run, &mut Silent).await;
    let octets = MEMORY.peak_usage() - before;
    assert!(report.troubles.is_empty(), "{report:?}");
    for side in Side::BOTH {
        let (done, traffic) = (&report.sides[side], report.sides[side].traffic);
        assert_eq!((done.copied, done.flagged, done.expunged, done.paired), (0, 0, 0, 0), "{report:?}");
        assert!(traffic.bytes_received > u64::from(MESSAGES) * 20, "every message was listed: {traffic:?}");
    }
    (octets, state.rows_read() - rows)
}

fn uid(at: u32, gap: u32) -> Uid {
    Uid::new(1 + at * gap).unwrap()
}

/// Most messages share a few sets of flags.
fn flags(at: u32) -> &'static str {
    ["\\Seen", "\\Seen", "", "\\Answered \\Seen", "\\Flagged \\Seen $Label1", "\\Seen", "\\Seen NonJunk"]
        [at as usize % 7]
}

/// What earlier runs have left behind.
fn filled(gap: u32) -> State {
    let mut state = State::in_memory().unwrap();
    let internal_date = InternalDate::from_unix(0).unwrap();
    let fingerprint = Fingerprint { size: 1, internal_date, header: HeaderDigest::of(b"") };
    let filled = state.commit(|change| {
        let key = change.add_mailbox(&MailboxName::inbox())?;
        for at in 0..MESSAGES {
            let uids = Both { local: uid(at, gap), remote: uid(at, gap) };
            change.add_pair(key, &Pair { uids, flags: FlagSet::parse(flags(at)), fingerprint })?;
        }
        change.set_subscription(key, Some(Subscription::Unsubscribed))?;
        let uid_validity = UidValidity::new(7).unwrap();
        let seen = Checkpoint { uid_validity, uid_next: uid(MESSAGES, gap), highest_modseq: None };
        Side::BOTH.into_iter().try_for_each(|side| change.set_checkpoint(key, side, Some(seen)))
    });
    filled.unwrap();
    state
}

async fn opened(gap: u32, order: Listed) -> Box<dyn Store> {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(serve(theirs, gap, order));
    Box::new(connect_over(ours, &endpoint(Compression::Unwanted)).await.unwrap())
}

fn endpoint(compression: Compression) -> Endpoint {
    Endpoint {
        link: Link::Tunnel { command: "not run".to_owned(), stderr: TunnelStderr::Discarded },
        login: None,
        timeout: Duration::from_secs(60),
        compression,
        disable_extensions: Vec::new(),
        prefix: None,
        trace: None,
    }
}

/// A server that keeps no mod-sequences of its only mailbox, and holds no message: it says what one would look like.
async fn serve(stream: DuplexStream, gap: u32, order: Listed) {
    let numbers = format!("MESSAGES {MESSAGES} UIDNEXT {} UIDVALIDITY 7 HIGHESTMODSEQ 0", uid(MESSAGES, gap));
    let mut stream = BufReader::new(stream);
    let greeting = "* PREAUTH [CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDPLUS LIST-EXTENDED LIST-STATUS NAMESPACE \
                    UNSELECT ESEARCH LITERAL+] ready\r\n";
    stream.write_all(greeting.as_bytes()).await.unwrap();
    let mut line = String::new();
    while matches!(stream.read_line(&mut line).await, Ok(1..)) {
        let (tag, command) = line.trim_end().split_once(' ').unwrap();
        let said = match command.split(' ').next().unwrap() {
            "ENABLE" => "* ENABLED CONDSTORE QRESYNC\r\n".to_owned(),
            "NAMESPACE" => "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n".to_owned(),
            "LIST" => format!("* LIST () \"/\" INBOX\r\n* STATUS INBOX ({numbers})\r\n"),
            "SELECT" => format!(
                "* {MESSAGES} EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT {}] ok\r\n* OK [NOMODSEQ] none\r\n\
                 * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] ok\r\n",
                uid(MESSAGES, gap)
            ),
            "UID" if command.starts_with("UID FETCH 1:") => {
                list(&mut stream, gap, order).await;
                String::new()
            }
            _ => String::new(),
        };
        let answer = format!("{said}{tag} OK done\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        line.clear();
    }
}

async fn list(stream: &mut BufReader<DuplexStream>, gap: u32, order: Listed) {
    let mut lines = String::new();
    for place in 0..MESSAGES {
        let at = match order {
            Listed::Ascending => place,
            Listed::Descending => MESSAGES - 1 - place,
        };
        write!(lines, "* {} FETCH (UID {} FLAGS ({}))\r\n", at + 1, uid(at, gap), flags(at)).unwrap();
        if lines.len() > 1 << 14 || place == MESSAGES - 1 {
            stream.write_all(lines.as_bytes()).await.unwrap();
            lines.clear();
        }
    }
}
