//! Users edit at random, one on each side, one or both with programs that know files only; in the end both sides hold what
//! the edits imply, byte for byte.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::Bed;
use crate::support::editor::Editor;
use crate::support::kind::Kind;
use crate::support::random::Random;
use crate::support::rounds::{NO_GUARD, edit_during_runs, edit_in_rounds};
use crate::support::scale;
use crate::support::user::{Change, User};

/// How often the users edit before a run.
const ROUNDS: u64 = 4;

fn edit(seed: u64, local: Kind, remote: Kind) {
    let kinds = Both { local, remote };
    let mut editor = Editor::on(kinds, seed);
    edit_in_rounds(&mut Bed::between(kinds), &mut editor, ROUNDS, 30);
    println!("{local:?} and {remote:?}, seed {seed}: {ROUNDS} rounds, {} operations", editor.operations());
}

fn edit_meanwhile(seed: u64, local: Kind, remote: Kind) {
    let kinds = Both { local, remote };
    let mut editor = Editor::on(kinds, seed);
    let drawn = edit_during_runs(&mut Bed::between(kinds), &mut editor, ROUNDS);
    println!("{local:?} and {remote:?}, seed {seed}: {} operations, {drawn} during runs", editor.operations());
    assert!(drawn > 0, "nobody edited during a run");
}

#[test]
fn random_edits_of_files_and_on_a_dovecot_end_in_equality() {
    for seed in 101..103 + scale() {
        edit(seed, Kind::MaildirFs, Kind::Dovecot);
    }
}

#[test]
fn random_edits_of_files_beside_each_other_and_on_a_dovecot_end_in_equality() {
    for seed in 201..203 + scale() {
        edit(seed, Kind::MaildirPlusPlus, Kind::Dovecot);
    }
}

#[test]
fn random_edits_on_a_dovecot_and_of_files_end_in_equality() {
    edit(301, Kind::Dovecot, Kind::MaildirFs);
    edit(302, Kind::Dovecot, Kind::MaildirPlusPlus);
}

#[test]
fn random_edits_of_files_and_on_a_bare_server_end_in_equality() {
    edit(351, Kind::MaildirFs, Kind::DovecotBare);
}

#[test]
fn random_edits_of_files_on_both_sides_end_in_equality() {
    edit(401, Kind::MaildirFs, Kind::MaildirPlusPlus);
    edit(402, Kind::MaildirFs, Kind::MaildirFs);
    edit(403, Kind::MaildirPlusPlus, Kind::MaildirPlusPlus);
}

#[test]
fn random_edits_during_runs_end_in_equality() {
    edit_meanwhile(501, Kind::MaildirFs, Kind::Dovecot);
    edit_meanwhile(502, Kind::MaildirPlusPlus, Kind::Dovecot);
}

#[test]
fn random_edits_of_files_on_both_sides_during_runs_end_in_equality() {
    edit_meanwhile(503, Kind::MaildirFs, Kind::MaildirPlusPlus);
}

/// Nobody but the users of files moves anything, and nobody deletes: whatever a run saw of it, each message stays one.
#[test]
fn messages_that_are_moved_and_flagged_all_the_time_stay_one_each() {
    const MAILBOXES: [&str; 3] = ["INBOX", "Work", "Lists/rust"];
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let mut bed = Bed::between(Both { local: kind, remote: Kind::Dovecot });
        bed.settings = NO_GUARD.to_owned();
        let tokens: Vec<String> = (0..40).map(|number| format!("m{number:02}")).collect();
        let mut user = bed.editor(Local);
        MAILBOXES[1..].iter().for_each(|name| user.create(name));
        tokens.iter().for_each(|token| bed.put(Local, "INBOX", token));
        bed.sync_well();

        let mut random = Random::new(kind as u64);
        let mut places = vec![0; tokens.len()];
        let mut moves = 0;
        for _ in 0..5 * scale() {
            let mut running = bed.start(&["sync"]);
            while running.runs() {
                let at = random.below(40) as usize;
                let (token, from) = (&tokens[at], MAILBOXES[places[at]]);
                let change = [Change::Set, Change::Clear][random.below(2) as usize];
                let flag = ["\\Seen", "\\Flagged", "\\Answered"][random.below(3) as usize];
                match random.below(3) {
                    0 => user.flag(from, token, &[change], flag),
                    1 => {
                        let to = random.below(3) as usize;
                        if to != places[at] {
                            user.relocate(from, token, MAILBOXES[to]);
                            places[at] = to;
                            moves += 1;
                        }
                    }
                    _ => flag_where_it_is(&bed, token, change, flag, &MAILBOXES),
                }
                sleep(Duration::from_millis(3));
            }
            let run = running.finish();
            bed.check([0, 1].contains(&run.status), "it goes on", &run);
        }
        bed.sync();
        let run = bed.settle();
        assert!(moves > 5, "only {moves} messages were moved during the runs");
        for side in Side::BOTH {
            let snapshot = bed.snapshot(side);
            let mut found: Vec<&str> = snapshot.mailboxes.values().flat_map(|mailbox| mailbox.tokens()).collect();
            found.sort_unstable();
            bed.check(found == tokens, &format!("{side} holds {found:?}"), &run);
            for (token, at) in tokens.iter().zip(&places) {
                let held: BTreeSet<&str> = snapshot.mailbox(MAILBOXES[*at]).tokens().into_iter().collect();
                bed.check(held.contains(token.as_str()), &format!("{side}: {token} is in {}", MAILBOXES[*at]), &run);
            }
        }
        println!("{kind:?}: {moves} moves during runs");
    }
}

/// Nobody moves or deletes anything, but names change all the time, from `cur` to `new` and back as well. Who reads a
/// directory meanwhile may miss some.
#[test]
fn messages_whose_files_are_renamed_all_the_time_are_not_taken_for_gone() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let mut bed = Bed::between(Both { local: kind, remote: Kind::Dovecot });
        bed.settings = NO_GUARD.to_owned();
        let tokens: Vec<String> = (0..100).map(|number| format!("m{number:03}")).collect();
        tokens.iter().for_each(|token| bed.put(Local, "INBOX", token));
        bed.sync_well();
        let uids = |bed: &Bed| -> Vec<u32> {
            bed.snapshot(Remote).mailbox("INBOX").messages.iter().map(|message| message.uid).collect()
        };
        let before = uids(&bed);
        let mut user = bed.editor(Local);
        let mut random = Random::new(kind as u64);
        let mut renames = 0;
        for _ in 0..10 * scale() {
            let running = bed.start(&["sync"]);
            // Never so many that the directory knows no rest until the run gives up on it.
            for _ in 0..150 {
                let token = random.pick(&tokens).expect("there are messages");
                let change = [Change::Set, Change::Clear][random.below(2) as usize];
                user.flag("INBOX", token, &[change], "\\Seen");
                renames += 1;
            }
            let run = running.finish();
            bed.check(run.status == 0, "it is not disturbed", &run);
            for what in ["copied", "expunged"] {
                bed.check(run.numbers(what) == [0, 0], &format!("nothing is {what}"), &run);
            }
        }
        bed.settle();
        assert_eq!(uids(&bed), before, "{kind:?}: the very same messages");
        println!("{kind:?}: {renames} renames");
    }
}

/// Changes a flag on the server, wherever the message may be there just now.
fn flag_where_it_is(bed: &Bed, token: &str, change: Change, flag: &str, mailboxes: &[&str]) {
    let User::Client(mut client) = bed.editor(Remote) else { panic!("there is a server on {Remote}") };
    for mailbox in mailboxes {
        client.select(mailbox);
        for uid in client.search(&format!("HEADER X-Token \"{token}\"")) {
            let word = if change == Change::Set { "+FLAGS" } else { "-FLAGS" };
            // It may be gone by now.
            let _ = client.ask(format!("UID STORE {uid} {word} ({flag})").as_bytes());
        }
    }
}
