//! The program is killed at every kind of moment, whatever way it has of observing; the next runs lose and double nothing.

use interimap::mail::Both;

use crate::support::bed::Bed;
use crate::support::editor::Editor;
use crate::support::kind::Kind;
use crate::support::rounds::live_and_die;
use crate::support::scale;

/// How many rounds of edits and deaths a life has.
const ROUNDS: u64 = 3;

/// Lives of the program between these, each with a seed of its own.
fn live(method: &str, local: Kind, remote: Kind, lives: u64) {
    let kinds = Both { local, remote };
    let mut kills = 0;
    for life in 0..lives * scale() {
        let seed = 1_000 * (local as u64 + 1) + 100 * remote as u64 + life;
        let mut editor = Editor::on(kinds, seed);
        let killed = live_and_die(&mut Bed::between(kinds), &mut editor, seed, ROUNDS);
        println!("{method}, seed {seed}: {ROUNDS} rounds, {} operations, {killed} kills", editor.operations());
        kills += killed;
    }
    println!("{method}, {local:?} and {remote:?}: {kills} kills");
    assert!(kills > 0, "the program was never killed");
}

#[test]
fn killed_with_qresync_on_both_sides() {
    live("qresync", Kind::Cyrus, Kind::Dovecot, 2);
}

#[test]
fn killed_with_condstore_on_both_sides() {
    live("condstore", Kind::DovecotWithoutQresync, Kind::DovecotWithoutQresync, 2);
}

#[test]
fn killed_where_everything_is_listed_each_time() {
    live("full", Kind::DovecotWithoutCondstore, Kind::DovecotWithoutCondstore, 2);
}

#[test]
fn killed_where_nothing_says_what_became_of_an_append() {
    live("full without UIDPLUS", Kind::DovecotBare, Kind::DovecotBare, 2);
}

#[test]
fn killed_with_qresync_on_one_side_and_nothing_on_the_other() {
    live("full without UIDPLUS and qresync", Kind::DovecotBare, Kind::Cyrus, 2);
}

#[test]
fn killed_before_a_courier() {
    live("full and qresync", Kind::Dovecot, Kind::Courier, 1);
}
