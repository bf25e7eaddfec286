//! Several connections to a side: how many there are, and what becomes of them.

use std::time::Duration;

use interimap::mail::Both;
use interimap::mail::Side::{Local, Remote};

use crate::support::bed::Bed;
use crate::support::dovecot::Options;
use crate::support::mail::Made;
use crate::support::proxy::{Direction, Fault};

/// How many connections there are where nobody says otherwise.
const USUAL: u64 = 4;

/// A bed whose remote side has so many messages of 64 KiB in INBOX.
fn filled(messages: u64, local: Options) -> Bed {
    let bed = Bed::with(Both { local, remote: Options::default() });
    let text = "It is a line of sixty-four octets, with its end, as many are.\r\n".repeat(1024);
    let mut client = bed.on(Remote);
    for hundred in 0..messages.div_ceil(100) {
        let numbers = hundred * 100..messages.min((hundred + 1) * 100);
        let letters: Vec<Made> = numbers.map(|number| Made::with(&format!("n{number:04}"), &text)).collect();
        let plain: Vec<_> = letters.iter().map(Made::plain).collect();
        client.append_many("INBOX", &plain.iter().collect::<Vec<_>>());
    }
    drop(client);
    // A server that is slower than we are, however slow we are.
    bed.proxies[Local].pace(Duration::from_millis(40));
    bed
}

fn connections(bed: &Bed) -> (u64, u64) {
    (bed.proxies[Local].passed().connections, bed.proxies[Remote].passed().connections)
}

#[test]
fn a_small_copy_uses_one_connection() {
    let bed = filled(100, Options::default());
    bed.sync_well();
    assert_eq!(connections(&bed), (1, 1));
    bed.check_quiet();
    assert_eq!(connections(&bed), (1, 1));
}

/// How many of four help depends on how fast we are; `tests/connections.rs` has the exact numbers.
#[test]
fn a_large_copy_uses_several_connections_and_no_more_than_it_may() {
    for (most, least) in [(2, 2), (USUAL, 3)] {
        let mut bed = filled(400, Options::default());
        if most != USUAL {
            bed.settings = format!("connections = {most}");
        }
        bed.sync_well();
        let (helping, reading) = connections(&bed);
        assert!((least..=most).contains(&helping), "{helping} connections");
        assert_eq!(reading, 1);
        bed.check_quiet();
        assert_eq!(connections(&bed), (1, 1));
    }
}

#[test]
fn a_server_that_grants_fewer_connections_gets_fewer() {
    let extra = "protocol imap {\n  mail_max_userip_connections = 2\n}\n".to_owned();
    let bed = filled(400, Options { extra, ..Options::default() });
    let run = bed.run(&["sync", "-v"]);
    bed.check(run.status == 0, "the run must end well", &run);
    bed.check_equal(&run);
    // The third was refused, and there was no fourth.
    assert_eq!(connections(&bed), (3, 1));
    assert_eq!(run.stderr.matches("no further connection is opened in this run").count(), 1, "{}", run.stderr);
    bed.check_quiet();
}

#[test]
fn a_connection_that_is_lost_while_it_helps_neither_loses_nor_doubles_a_message() {
    for (direction, after, fault) in [
        (Direction::ToServer, 700, Fault::Fin),
        (Direction::ToServer, 600_000, Fault::Reset),
        (Direction::ToServer, 3_000_000, Fault::Fin),
    ] {
        let bed = filled(400, Options::default());
        bed.proxies[Local].arm_connection(1, direction, after, fault);
        let cut = bed.sync();
        bed.check(cut.status == 1, "what was on its way is left open", &cut);
        assert!(cut.stderr.contains("one of several connections was lost"), "{}", cut.stderr);
        bed.proxies[Local].heal();
        bed.settle();
        let mut client = bed.on(Local);
        client.examine("INBOX");
        assert_eq!(client.search("ALL").len(), 400);
    }
}
