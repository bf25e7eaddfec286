//! The program is killed at every kind of moment; the next runs lose nothing and double nothing.

use std::thread::sleep;
use std::time::Duration;

use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::Bed;
use crate::support::editor::Editor;
use crate::support::mail::Made;
use crate::support::proxy::{Direction, Fault};
use crate::support::rounds::{KILLED, live_and_die};
use crate::support::scale;

/// How many rounds of edits and deaths a life has.
const ROUNDS: u64 = 3;

/// Runs `sync` and kills it as soon as `text` is about to pass the remote proxy in that direction.
fn kill_before(bed: &Bed, direction: Direction, text: &'static str) {
    let proxy = &bed.proxies.remote;
    proxy.arm_at(direction, text, Fault::Stall);
    let running = bed.start(&["sync"]);
    let struck = proxy.wait_for_fault(Duration::from_secs(20));
    let run = running.kill();
    assert!(struck, "{text} never passed: {}", bed.explain(&run));
    // What a killed program has said is said; what it has not been told it will never know.
    if direction == Direction::ToServer {
        proxy.lose()
    } else {
        proxy.heal()
    }
    for side in Side::BOTH {
        bed.proxies[side].settle();
    }
}

fn tokens(bed: &Bed) -> Vec<String> {
    bed.snapshot(Remote).mailbox("INBOX").tokens().into_iter().map(str::to_owned).collect()
}

#[test]
fn s113_killed_before_it_hears_that_an_append_was_done_it_appends_nothing_twice() {
    let bed = Bed::new();
    for token in ["one", "two", "three", "three"] {
        bed.put(Local, "INBOX", token);
    }
    kill_before(&bed, Direction::ToClient, "APPENDUID");
    let landed = bed.snapshot(Remote).count();
    assert!(landed > 0, "the server had done it already");
    bed.settle();
    assert_eq!(tokens(&bed), ["one", "three", "three", "two"]);
}

#[test]
fn s113_the_same_with_new_mail_on_both_sides_before_the_next_run() {
    let bed = Bed::new();
    for token in ["one", "two"] {
        bed.put(Local, "INBOX", token);
    }
    kill_before(&bed, Direction::ToClient, "APPENDUID");
    bed.put(Local, "INBOX", "later, local");
    bed.put(Remote, "INBOX", "later, remote");
    // An equal message that a user put there is a message in its own right.
    bed.put(Local, "INBOX", "one");
    bed.settle();
    assert_eq!(tokens(&bed), ["later, local", "later, remote", "one", "one", "two"]);
}

#[test]
fn s114_killed_before_an_append_is_sent_it_believes_in_no_ghost() {
    let bed = Bed::new();
    for token in ["one", "two"] {
        bed.put(Local, "INBOX", token);
    }
    kill_before(&bed, Direction::ToServer, " APPEND ");
    assert_eq!(bed.snapshot(Remote).count(), 0);
    bed.settle();
    assert_eq!(tokens(&bed), ["one", "two"]);
}

#[test]
fn s114_killed_within_a_literal_it_sends_the_message_again() {
    let bed = Bed::new();
    bed.on(Local).append("INBOX", &Made::with("large", &"A line of a large message.\r\n".repeat(4_000)).plain());
    bed.proxies.remote.arm(Direction::ToServer, 50_000, Fault::Stall);
    let running = bed.start(&["sync"]);
    assert!(bed.proxies.remote.wait_for_fault(Duration::from_secs(20)));
    running.kill();
    bed.proxies.remote.lose();
    bed.settle();
    assert_eq!(tokens(&bed), ["large"]);
}

#[test]
fn s115_killed_before_it_hears_that_an_expunge_was_done_it_has_nothing_left_to_do() {
    let bed = Bed::new();
    for token in ["one", "two", "three"] {
        bed.put(Local, "INBOX", token);
    }
    bed.sync_well();
    bed.expunge(Local, "INBOX", "two");
    kill_before(&bed, Direction::ToClient, "VANISHED");
    assert_eq!(tokens(&bed), ["one", "three"]);
    bed.check_quiet();
}

/// Cut connections everywhere in a run that copies, changes flags and expunges in both directions.
#[test]
fn s111_s123_a_connection_that_is_cut_anywhere_costs_nothing() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let bed = Bed::new();
        for token in ["one", "two", "three", "four"] {
            bed.put(Local, "INBOX", token);
        }
        bed.sync_well();
        let mut expected = vec!["four".to_owned(), "one".to_owned(), "three".to_owned(), "two".to_owned()];
        let steps = 12 * scale();
        let mut whole = 1_500;
        for step in 0..steps {
            let side = Side::BOTH[(step % 2) as usize];
            let token = format!("n{step:03}");
            bed.put(side, "INBOX", &token);
            let change = ["+FLAGS (\\Seen)", "-FLAGS (\\Seen)"][(step / 2 % 2) as usize];
            bed.store(Local, "INBOX", "one", change);
            bed.store(Remote, "INBOX", "two", change);
            let old = expected.iter().position(|token| token.starts_with('n')).filter(|_| step > 4);
            if let Some(old) = old {
                bed.expunge(side.other(), "INBOX", &expected.remove(old));
            }
            expected.push(token);
            expected.sort();
            let fault = [Fault::Reset, Fault::Fin][(step / 4 % 2) as usize];
            let after = whole * step / steps;
            bed.proxies.remote.arm(direction, after, fault);
            let cut = bed.sync();
            bed.proxies.remote.heal();
            let run = bed.sync_well();
            assert_eq!(tokens(&bed), expected, "cut {direction:?} after {after} octets: {}", bed.explain(&cut));
            let passed = bed.proxies.remote.passed();
            let passed = if direction == Direction::ToServer { passed.to_server } else { passed.to_client };
            whole = whole.max(passed + 100);
            drop(run);
        }
        bed.check_quiet();
    }
}

/// Before the last octets of a message, between them and the line end behind it, and behind that.
#[test]
fn s112_a_connection_cut_around_the_end_of_a_message_leaves_one_copy() {
    let end = "And this is where it ends.";
    let large = |number: u64| Made::with(&format!("n{number}"), end);
    let bed = Bed::new();
    bed.sync_well();
    bed.on(Local).append("INBOX", &large(9).plain());
    bed.sync_well();
    let usual = bed.proxies.remote.said_up_to(end);
    for spared in 0..5 {
        bed.on(Local).append("INBOX", &large(spared).plain());
        bed.proxies.remote.arm(Direction::ToServer, usual - 2 + spared, Fault::Fin);
        let cut = bed.sync();
        bed.check(cut.status == 3, "the connection was lost", &cut);
        bed.proxies.remote.heal();
        bed.settle();
        let expected: Vec<String> = (0..=spared).chain([9]).map(|number| format!("n{number}")).collect();
        assert_eq!(tokens(&bed), expected, "{spared}: {}", bed.explain(&cut));
    }
}

#[test]
fn killed_before_it_hears_of_a_rename_it_does_not_make_the_mailbox_twice() {
    let bed = Bed::new();
    bed.about(Local, "CREATE {}", &["old"]);
    bed.put(Local, "old", "one");
    bed.sync_well();
    bed.about(Local, "RENAME {} {}", &["old", "new"]);
    kill_before(&bed, Direction::ToClient, "Rename completed");
    let run = bed.settle();
    assert_eq!(run.numbers("copied"), [0, 0]);
    assert_eq!(bed.snapshot(Remote).names(), ["INBOX", "new"]);
}

#[test]
fn s119_interrupted_it_ends_with_130_and_the_next_run_goes_on() {
    let bed = Bed::new();
    for number in 0..50 {
        bed.put(Local, "INBOX", &format!("n{number:02}"));
    }
    bed.proxies.remote.arm_at(Direction::ToClient, "APPENDUID", Fault::Stall);
    let running = bed.start(&["sync"]);
    assert!(bed.proxies.remote.wait_for_fault(Duration::from_secs(20)));
    running.interrupt();
    // Not healed before it has ended: it might come to its end before it hears the signal.
    let run = running.finish();
    bed.proxies.remote.heal();
    bed.check(run.status == 130, "an interrupted run ends with 130", &run);
    bed.settle();
    assert_eq!(tokens(&bed).len(), 50);
}

#[test]
fn killed_while_it_makes_its_state_it_makes_it_anew() {
    let bed = Bed::new();
    bed.put(Local, "INBOX", "one");
    let mut kills = 0;
    for wait in 0..40 * scale() {
        bed.lose_state();
        let running = bed.start(&["sync"]);
        sleep(Duration::from_micros(wait * 500 / scale()));
        kills += u64::from(running.kill().status == KILLED);
        for side in Side::BOTH {
            bed.proxies[side].settle();
        }
        let run = bed.sync();
        bed.check(run.status == 0, &format!("killed after {wait} half milliseconds"), &run);
    }
    bed.check_quiet();
    assert_eq!(tokens(&bed), ["one"]);
    println!("killed while it makes its state: {kills} kills");
}

/// One life: edits, runs killed at random moments with more edits between them, and a run that may live.
fn live(seed: u64) {
    let mut editor = Editor::new(seed);
    let kills = live_and_die(&mut Bed::new(), &mut editor, seed, ROUNDS);
    println!("killed at random, seed {seed}: {ROUNDS} rounds, {} operations, {kills} kills", editor.operations());
}

#[test]
fn killed_at_random_it_loses_and_doubles_nothing_seeds_1_to_4() {
    (1..=4).for_each(live);
}

#[test]
fn killed_at_random_it_loses_and_doubles_nothing_seeds_5_to_8() {
    (5..=8).for_each(live);
}

#[test]
fn killed_at_random_it_loses_and_doubles_nothing_more_seeds() {
    (9..9 + 3 * scale()).for_each(live);
}
