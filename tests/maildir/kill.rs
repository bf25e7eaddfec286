//! The program is killed at every kind of moment of its work on files; the next runs lose nothing and double nothing.

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::Bed;
use crate::support::editor::Editor;
use crate::support::kind::Kind;
use crate::support::rounds::{KILLED, NO_GUARD, die_over, live_and_die};
use crate::support::scale;

/// How many rounds of edits and deaths a life has.
const ROUNDS: u64 = 3;

/// Lives of the program between these, each with a seed of its own.
fn live(local: Kind, remote: Kind, lives: u64) {
    let kinds = Both { local, remote };
    let mut kills = 0;
    for life in 0..lives * scale() {
        let seed = 10_000 * (local as u64 + 1) + 100 * remote as u64 + life;
        let mut editor = Editor::on(kinds, seed);
        let killed = live_and_die(&mut Bed::between(kinds), &mut editor, seed, ROUNDS);
        println!(
            "{local:?} and {remote:?}, seed {seed}: {ROUNDS} rounds, {} operations, {killed} kills",
            editor.operations()
        );
        kills += killed;
    }
    assert!(kills > 0, "the program was never killed");
}

#[test]
fn killed_between_files_and_a_dovecot() {
    live(Kind::MaildirFs, Kind::Dovecot, 3);
}

#[test]
fn killed_between_files_beside_each_other_and_a_dovecot() {
    live(Kind::MaildirPlusPlus, Kind::Dovecot, 3);
}

#[test]
fn killed_between_a_server_that_tells_nothing_and_files() {
    live(Kind::DovecotBare, Kind::MaildirFs, 2);
}

#[test]
fn killed_between_files_and_files() {
    live(Kind::MaildirFs, Kind::MaildirPlusPlus, 3);
}

/// A run that delivers, flags, moves and removes files is killed after each name that comes or goes.
#[test]
fn killed_after_any_change_of_the_tree_it_goes_on_where_it_was() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let mut bed = Bed::between(Both { local: kind, remote: Kind::Dovecot });
        bed.settings = NO_GUARD.to_owned();
        bed.editor(Remote).create("Work");
        let mut expected = Vec::new();
        for number in 0..30 {
            let token = format!("old{number:02}");
            bed.put(Remote, "INBOX", &token);
            expected.push(token);
        }
        bed.sync_well();
        let mut kills = 0;
        for events in 0..20 {
            for number in 0..4 {
                let token = format!("new{events:02}-{number}");
                bed.put(Remote, "INBOX", &token);
                expected.push(token);
            }
            bed.expunge(Remote, "INBOX", &expected.remove(0));
            bed.store(Remote, "INBOX", &expected[0], "+FLAGS (\\Flagged)");
            // Each of them once, so that there is one left to move each time.
            let moved = expected.iter().position(|token| token.starts_with("new")).expect("there are new ones");
            bed.relocate(Remote, "INBOX", &expected.remove(moved), "Work");
            let (run, story) = die_over(&bed, bed.tree(Local), events);
            kills += u64::from(run.status == KILLED);
            let run = bed.settle();
            let mut tokens = expected.clone();
            tokens.sort();
            for side in Side::BOTH {
                let snapshot = bed.snapshot(side);
                let found = snapshot.mailbox("INBOX").tokens();
                bed.check(found == tokens, &format!("killed {story}, {side} holds {found:?}"), &run);
                assert_eq!(snapshot.mailbox("Work").messages.len() as u64, events + 1, "killed {story}, {side}");
            }
        }
        println!("{kind:?}: {kills} kills");
        assert!(kills > 10, "only {kills} runs were killed");
    }
}
