//! COMPRESS with a Dovecot that offers it: the same runs in fewer octets.

use std::time::Duration;

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::{Bed, Link};
use crate::support::certificate::{Authority, Kind};
use crate::support::dovecot::{Options, PASSWORD, USER};
use crate::support::mail::{Made, Writer};
use crate::support::proxy::{Direction, Fault, Passed};

fn compressing() -> Options {
    Options { plugins: Some(("zlib", "zlib imap_zlib")), ..Options::default() }
}

/// Two servers that offer it; the sides are configured with that line.
fn bed(line: &str) -> Bed {
    let mut bed = Bed::with(Both::from_fn(|_| compressing()));
    configure(&mut bed, line);
    bed
}

fn configure(bed: &mut Bed, line: &str) {
    bed.links = Both::from_fn(|_| Link::Proxy);
    bed.links = Both::from_fn(|side| Link::Lines(bed.lines(side) + "\n" + line));
}

/// What a first copy both ways, a run with a change, and a quiet one cost.
fn cost(line: &str) -> [Both<Passed>; 3] {
    let bed = bed(line);
    for side in Side::BOTH {
        let mut writer = Writer::new(side.as_str(), 7);
        let letters: Vec<Made> = (0..200).map(|_| writer.write()).collect();
        bed.editor(side).append("INBOX", &letters, &Default::default());
    }
    let passed = |bed: &Bed| Both::from_fn(|side| bed.proxies[side].passed());
    let copy = bed.sync_well();
    let first = passed(&bed);
    for side in Side::BOTH {
        assert_eq!(copy.number(side, "copied"), 200);
        // The farewell comes after the report.
        let counted = (copy.number(side, "bytes_sent"), copy.number(side, "bytes_received"));
        assert_eq!(counted, (first[side].to_server, first[side].to_client), "{line}, {side}");
    }
    bed.put(Local, "INBOX", "one more");
    bed.sync_well();
    let changed = passed(&bed);
    // What is sent within a delay is one turn, however it is cut into writes.
    for side in Side::BOTH {
        bed.proxies[side].delay(Duration::from_millis(40));
    }
    bed.check_quiet();
    [first, changed, passed(&bed)]
}

#[test]
fn compressed_runs_do_the_same_in_fewer_octets_and_as_many_turns() {
    let (plain, deflated) = (cost("compress = false"), cost("compress = true"));
    for side in Side::BOTH {
        for (run, plain, deflated) in [
            ("a first copy", plain[0][side], deflated[0][side]),
            ("a change", plain[1][side], deflated[1][side]),
            ("nothing", plain[2][side], deflated[2][side]),
        ] {
            println!("{run}, {side}: {plain:?}, compressed {deflated:?}");
            // A flight of a few words gets no shorter by itself; to agree takes two lines.
            assert!(deflated.to_server < plain.to_server + 100, "{run}, {side}");
            assert!(deflated.to_client < plain.to_client, "{run}, {side}");
        }
        assert!(4 * deflated[0][side].to_server < plain[0][side].to_server, "{side}");
        assert!(4 * deflated[0][side].to_client < plain[0][side].to_client, "{side}");
        // COMPRESS is the last of a flight that is sent anyway.
        assert_eq!(deflated[2][side].turns, plain[2][side].turns, "{side}");
    }
}

#[test]
fn nothing_is_compressed_before_the_login_and_no_secret_behind_it() {
    let bed = bed("compress = true");
    bed.put(Remote, "INBOX", "one");
    let run = bed.sync_well();
    for side in Side::BOTH {
        let commands = bed.proxies[side].commands();
        let at = |word: &str| commands.iter().position(|command| command.starts_with(word));
        let (login, compress, quit) = (at("AUTHENTICATE"), at("COMPRESS"), at("LOGOUT"));
        bed.check(login.is_some() && login < compress && compress < quit, &format!("{commands:?}"), &run);
        bed.check(commands.iter().filter(|command| command.starts_with("AUTHENTICATE")).count() == 1, "once", &run);
    }
    bed.check_quiet();
}

#[test]
fn what_is_near_is_not_compressed_unless_it_is_wanted() {
    for (line, said) in [("", "none"), ("compress = \"auto\"", "none"), ("compress = true", "DEFLATE")] {
        let bed = bed(line);
        let run = bed.run(&["check"]);
        bed.check(run.status == 0 && run.report["remote"]["compression"] == said, line, &run);
        assert_eq!(bed.proxies.remote.count("COMPRESS"), usize::from(said == "DEFLATE"), "{line}");
    }
    let mut unable = Bed::new();
    configure(&mut unable, "compress = true");
    let run = unable.run(&["check"]);
    let told = run.report["remote"]["compression"].as_str().unwrap_or_default();
    unable.check(run.status == 0 && told.contains("does not offer it"), "without it, it goes on", &run);
    unable.check(run.stderr.is_empty(), "that is no trouble", &run);
}

#[test]
fn compression_goes_inside_of_tls() {
    let authority = Authority::new();
    let remote = Options { certificate: Some(authority.issue(Kind::Good)), ..compressing() };
    let mut bed = Bed::with(Both { local: compressing(), remote });
    bed.proxies.remote.point_at(bed.servers.remote.tls_port());
    bed.links.remote = Link::Lines(format!(
        "type = \"imaps\"\nhost = \"localhost\"\nport = {}\nusername = \"{USER}\"\npassword = \"{PASSWORD}\"\n\
         tls = {{ ca-file = \"{}\" }}\ncompress = true",
        bed.proxies.remote.port(),
        authority.file().display()
    ));
    let run = bed.run(&["check"]);
    bed.check(run.report["remote"]["compression"] == "DEFLATE", "inside of TLS", &run);
    let line = "A line of a message that is much like the others.\r\n";
    bed.on(Remote).append("INBOX", &Made::with("large", &line.repeat(10_000)).plain());
    bed.settle();
    assert!(bed.proxies.remote.passed().to_client < 100_000);
}

#[test]
fn a_compressed_connection_that_breaks_off_is_no_end_of_a_message() {
    let bed = bed("compress = true");
    bed.sync_well();
    let mut writer = Writer::new("large", 3);
    for (number, fault) in [Fault::Fin, Fault::Reset, Fault::Fin, Fault::Fin].into_iter().enumerate() {
        let letters: Vec<Made> = (0..100).map(|_| writer.write()).collect();
        bed.editor(Remote).append("INBOX", &letters, &Default::default());
        let direction = [Direction::ToClient, Direction::ToServer][number % 2];
        let proxy = if direction == Direction::ToClient { &bed.proxies.remote } else { &bed.proxies.local };
        proxy.arm(direction, 4_000 + 1_000 * number as u64, fault);
        let run = bed.sync();
        bed.check(run.status == 3, "the connection was lost", &run);
        bed.check(!run.stderr.contains("compress"), "compression is not to blame", &run);
        proxy.heal();
        bed.settle();
        assert_eq!(bed.snapshot(Local).count(), 100 * (number + 1));
    }
}
