//! Every kind of server on each side of every other: two users edit at random, one on each side, and what comes of it is
//! what it would be between any two servers.

use interimap::mail::Both;

use crate::support::bed::Bed;
use crate::support::editor::Editor;
use crate::support::kind::Kind;
use crate::support::rounds::edit_in_rounds;
use crate::support::scale;

/// How often the users edit before a run.
const ROUNDS: u64 = 2;

/// How often they try to, in each round.
const EDITS: u64 = 25;

fn between(local: Kind, remote: Kind) {
    let kinds = Both { local, remote };
    // No two pairs have the same story.
    let seed = 100 * (local as u64 + 1) + remote as u64 + 1;
    let mut editor = Editor::on(kinds, seed);
    let rounds = ROUNDS * scale();
    edit_in_rounds(&mut Bed::between(kinds), &mut editor, rounds, EDITS);
    println!("{local:?} and {remote:?}, seed {seed}: {rounds} rounds, {} operations", editor.operations());
}

/// A module for each local kind, with a test for each remote one.
macro_rules! matrix {
    ($($local:ident $kind:ident,)*) => {
        $(mod $local {
            use super::{Kind, between};

            remotes!($kind);
        })*
    };
}

macro_rules! remotes {
    ($local:ident) => {
        remotes!($local: and_dovecot Dovecot, and_dovecot_without_qresync DovecotWithoutQresync,
            and_dovecot_without_condstore DovecotWithoutCondstore, and_dovecot_without_uidplus DovecotWithoutUidplus,
            and_dovecot_bare DovecotBare, and_cyrus Cyrus, and_courier Courier,);
    };
    ($local:ident: $($name:ident $remote:ident,)*) => {
        $(#[test]
        fn $name() {
            between(Kind::$local, Kind::$remote);
        })*
    };
}

matrix! {
    dovecot Dovecot,
    dovecot_without_qresync DovecotWithoutQresync,
    dovecot_without_condstore DovecotWithoutCondstore,
    dovecot_without_uidplus DovecotWithoutUidplus,
    dovecot_bare DovecotBare,
    cyrus Cyrus,
    courier Courier,
    files MaildirFs,
}

#[test]
fn files_beside_each_other_and_cyrus() {
    between(Kind::MaildirPlusPlus, Kind::Cyrus);
}

#[test]
fn courier_and_files_beside_each_other() {
    between(Kind::Courier, Kind::MaildirPlusPlus);
}

#[test]
fn cyrus_and_cyrus_that_names_otherwise() {
    between(Kind::Cyrus, Kind::CyrusDots);
}

#[test]
fn cyrus_that_names_otherwise_and_courier() {
    between(Kind::CyrusDots, Kind::Courier);
}
