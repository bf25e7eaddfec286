//! What those rely on who run the program: one run at a time, lost and foreign state, dry runs, reports, the guard.
//! The numbers are those of the scenario list.

use std::fs;
use std::time::Duration;

use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::{Bed, Link, Run, in_line};
use crate::support::dovecot::PASSWORD;
use crate::support::proxy::{Direction, Fault};

fn tokens(bed: &Bed, side: Side) -> Vec<String> {
    bed.snapshot(side).mailbox("INBOX").tokens().into_iter().map(str::to_owned).collect()
}

fn nothing_is_written(bed: &Bed, run: &Run) {
    for side in Side::BOTH {
        let writes = bed.proxies[side].writes();
        bed.check(writes.is_empty(), &format!("{side} is written to: {writes:?}"), run);
    }
}

#[test]
fn s128_a_second_run_at_the_same_time_ends_with_5_and_a_dead_one_bars_nobody() {
    let bed = Bed::new();
    bed.put(Local, "INBOX", "one");
    bed.proxies.remote.arm_at(Direction::ToServer, "APPEND", Fault::Stall);
    let first = bed.start(&["sync"]);
    assert!(bed.proxies.remote.wait_for_fault(Duration::from_secs(20)));
    let second = bed.start(&["sync"]).finish();
    bed.check(second.status == 5, "the account is held", &second);
    first.kill();
    bed.proxies.remote.lose();
    bed.settle();
    assert_eq!(tokens(&bed, Remote), ["one"]);
}

#[test]
fn s131_without_its_state_it_copies_nothing_twice_and_deletes_nothing() {
    let bed = in_line(&["one", "two", "three", "three"]);
    bed.store(Remote, "INBOX", "one", "+FLAGS (\\Seen)");
    bed.sync_well();
    bed.lose_state();
    let run = bed.sync_well();
    nothing_is_written(&bed, &run);
    bed.check_quiet();
    // What was expunged on one side while nothing is remembered comes back.
    bed.expunge(Local, "INBOX", "two");
    bed.lose_state();
    let run = bed.settle();
    assert_eq!(run.numbers("copied"), [1, 0]);
    assert_eq!(run.numbers("expunged"), [0, 0]);
    assert_eq!(tokens(&bed, Remote), ["one", "three", "three", "two"]);
}

#[test]
fn s132_an_old_backup_of_the_state_copies_nothing_twice_and_deletes_nothing() {
    let bed = in_line(&["one", "two", "three", "four"]);
    let backup = fs::read(bed.database()).unwrap();
    bed.put(Local, "INBOX", "new, local");
    bed.put(Remote, "INBOX", "new, remote");
    bed.expunge(Local, "INBOX", "one");
    bed.store(Remote, "INBOX", "two", "+FLAGS (\\Seen)");
    bed.about(Local, "CREATE {}", &["fresh"]);
    bed.put(Local, "fresh", "inside");
    bed.sync_well();
    bed.lose_state();
    fs::write(bed.database(), &backup).unwrap();
    let run = bed.sync_well();
    assert_eq!((run.numbers("copied"), run.numbers("expunged")), ([0, 0], [0, 0]), "{}", bed.explain(&run));
    bed.check_quiet();
    assert_eq!(tokens(&bed, Remote), ["four", "new, local", "new, remote", "three", "two"]);
    // What only one side has expunged since is still somebody's wish.
    bed.lose_state();
    fs::write(bed.database(), &backup).unwrap();
    bed.expunge(Local, "INBOX", "three");
    bed.expunge(Local, "INBOX", "new, local");
    let run = bed.settle();
    assert_eq!((run.numbers("copied"), run.numbers("expunged")), ([1, 0], [0, 1]), "{}", bed.explain(&run));
    assert_eq!(tokens(&bed, Local), ["four", "new, local", "new, remote", "two"]);
}

#[test]
fn s133_a_state_of_another_account_is_refused() {
    let mut bed = in_line(&["one", "two"]);
    drop(bed.servers.remote.witness_of("mallory"));
    let port = bed.proxies.remote.port();
    bed.links.remote = Link::Lines(format!(
        "type = \"imap\"\nhost = \"127.0.0.1\"\nport = {port}\nusername = \"mallory\"\npassword = \"{PASSWORD}\"\n\
         starttls = false"
    ));
    let run = bed.sync();
    bed.check(run.status != 0, "a state of alice's mail is not mallory's", &run);
    nothing_is_written(&bed, &run);
    assert_eq!(tokens(&bed, Local), ["one", "two"]);
    bed.links.remote = Link::Proxy;
    bed.check_quiet();
}

#[test]
fn s142_an_excluded_mailbox_is_left_alone_and_taken_up_again() {
    let mut bed = in_line(&["one"]);
    bed.about(Local, "CREATE {}", &["Lists"]);
    bed.put(Local, "Lists", "before");
    bed.sync_well();
    bed.settings = "mailboxes = [\"*\", \"!Lists\"]".to_owned();
    bed.put(Local, "Lists", "meanwhile, local");
    bed.put(Remote, "Lists", "meanwhile, remote");
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    nothing_is_written(&bed, &run);
    bed.settings = String::new();
    let run = bed.settle();
    assert_eq!(run.numbers("copied"), [1, 1]);
    let snapshot = bed.snapshot(Local);
    assert_eq!(snapshot.mailbox("Lists").tokens(), ["before", "meanwhile, local", "meanwhile, remote"]);
}

#[test]
fn s142_a_run_over_some_mailboxes_leaves_the_others_alone() {
    let bed = in_line(&["one"]);
    for mailbox in ["Work", "Work/new", "Lists"] {
        bed.about(Local, "CREATE {}", &[mailbox]);
        bed.put(Local, mailbox, "inside");
    }
    let run = bed.run(&["sync", "--mailbox", "Work/*"]);
    bed.check(run.status == 0, "the run must end well", &run);
    assert_eq!(bed.snapshot(Remote).names(), ["INBOX", "Work/new"]);
    bed.settle();
}

/// Everything that a user can have done since the last run.
fn much_to_do() -> Bed {
    let bed = in_line(&["one", "two", "three", "four"]);
    bed.about(Local, "CREATE {}", &["going"]);
    bed.about(Local, "CREATE {}", &["old"]);
    bed.put(Local, "old", "inside");
    bed.sync_well();
    bed.put(Local, "INBOX", "new, local");
    bed.put_flagged(Remote, "INBOX", "new, remote", "\\Seen");
    bed.store(Local, "INBOX", "one", "+FLAGS (\\Flagged)");
    bed.store(Remote, "INBOX", "two", "+FLAGS (\\Seen)");
    bed.expunge(Remote, "INBOX", "three");
    bed.about(Remote, "CREATE {}", &["fresh"]);
    bed.relocate(Remote, "INBOX", "four", "fresh");
    bed.about(Local, "DELETE {}", &["going"]);
    bed.about(Local, "RENAME {} {}", &["old", "new"]);
    bed.about(Local, "SUBSCRIBE {}", &["new"]);
    bed
}

#[test]
fn s143_a_dry_run_changes_nothing_and_tells_what_the_next_run_does() {
    let bed = much_to_do();
    let before = Side::BOTH.map(|side| bed.snapshot(side));
    let remembered = fs::read(bed.database()).unwrap();
    let dry = bed.run(&["sync", "--dry-run"]);
    nothing_is_written(&bed, &dry);
    assert_eq!(Side::BOTH.map(|side| bed.snapshot(side)), before);
    assert!(fs::read(bed.database()).unwrap() == remembered, "a dry run writes to the state");
    let real = bed.settle();
    for side in ["local", "remote"] {
        for what in ["copied", "flagged", "expunged", "moved", "created", "deleted", "renamed"] {
            let (told, done) = (&dry.report[side][what], &real.report[side][what]);
            assert_eq!(told, done, "{side}.{what}\n{}\n{}", dry.stdout, real.stdout);
        }
    }
}

#[test]
fn s143_a_dry_first_run_makes_no_state() {
    let bed = Bed::new();
    bed.put(Local, "INBOX", "one");
    let run = bed.run(&["sync", "--dry-run"]);
    nothing_is_written(&bed, &run);
    let run = bed.settle();
    assert_eq!(run.numbers("copied"), [0, 1]);
}

#[test]
fn s144_the_report_says_what_the_proxy_saw() {
    let bed = much_to_do();
    let run = bed.sync_well();
    for side in Side::BOTH {
        let passed = bed.proxies[side].passed();
        assert_eq!(run.number(side, "bytes_sent"), passed.to_server, "{}", bed.explain(&run));
        assert_eq!(run.number(side, "bytes_received"), passed.to_client, "{}", bed.explain(&run));
        assert_eq!(run.report[side.as_str()]["method"], "qresync");
        let appends = bed.proxies[side].commands().into_iter().filter(|command| command.starts_with("APPEND "));
        let messages: usize = appends.map(|command| command.matches('{').count()).sum();
        assert_eq!(run.number(side, "copied"), messages as u64, "{}", bed.explain(&run));
    }
    assert_eq!(run.report["account"], "test");
    assert_eq!(run.numbers("flagged"), [1, 1]);
    // A message that was moved is gone from where it was, whichever way that came about.
    assert_eq!(run.number(Local, "expunged") + run.number(Local, "moved"), 2);
    assert_eq!(run.number(Local, "copied") + run.number(Local, "moved"), 2);
    assert_eq!([run.number(Remote, "copied"), run.number(Remote, "expunged")], [1, 0]);
    assert_eq!(run.numbers("created"), [1, 0]);
    assert_eq!(run.numbers("deleted"), [0, 1]);
    assert_eq!(run.numbers("renamed"), [0, 1]);
    assert_eq!(run.report["mailboxes"], 3, "{}", run.stdout);
    assert!(run.report["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    for list in ["skipped", "conflicts", "errors"] {
        assert_eq!(run.report[list].as_array().map(Vec::len), Some(0), "{}", run.stdout);
    }
}

#[test]
fn s150_the_guard_stops_a_mailbox_that_would_lose_most_of_its_mail_until_it_is_told_otherwise() {
    let names: Vec<String> = (0..40).map(|number| format!("n{number:02}")).collect();
    let bed = in_line(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut client = bed.on(Local);
    client.select("INBOX");
    client.run("UID STORE 1:30 +FLAGS.SILENT (\\Deleted)");
    client.run("UID EXPUNGE 1:30");
    drop(client);
    bed.put(Remote, "INBOX", "new");
    let run = bed.sync();
    bed.check(run.status == 4, "the guard must stop it", &run);
    bed.check(run.stderr.contains("--allow-deletes"), "it must say how to go on", &run);
    assert_eq!(tokens(&bed, Remote).len(), 41);
    let run = bed.run(&["sync", "--allow-deletes"]);
    bed.check(run.status == 0, "it was told otherwise", &run);
    assert_eq!(run.number(Remote, "expunged"), 30);
    bed.check_quiet();
    assert_eq!(tokens(&bed, Remote).len(), 11);
}

#[test]
fn a_read_only_side_is_never_written_to() {
    let mut bed = in_line(&["one", "two"]);
    let Link::Proxy = bed.links.remote else { panic!("the bed starts with proxies") };
    bed.links.remote = Link::Lines(format!("{}\nread-only = true", bed.lines(Remote)));
    bed.expunge(Local, "INBOX", "one");
    bed.store(Local, "INBOX", "two", "+FLAGS (\\Seen)");
    bed.put(Local, "INBOX", "here");
    bed.put(Remote, "INBOX", "there");
    for _ in 0..2 {
        let run = bed.sync();
        let writes = bed.proxies.remote.writes();
        bed.check(writes.is_empty(), &format!("remote is written to: {writes:?}"), &run);
    }
    assert_eq!(tokens(&bed, Remote), ["one", "there", "two"]);
    assert!(tokens(&bed, Local).contains(&"there".to_owned()));
}
