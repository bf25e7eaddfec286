//! Two users edit at random, one on each side; in the end both sides hold what the edits imply, byte for byte.

use interimap::mail::{Both, Side};

use crate::support::bed::{Bed, Link};
use crate::support::dovecot::{Format, Options};
use crate::support::editor::Editor;
use crate::support::scale;

/// The edits of a round are more than the guard lets pass, so it is told that all may go.
const NO_GUARD: &str = "max-delete = \"100%\"";

/// How often the users edit before a run.
const ROUNDS: u64 = 4;

fn edit_in_rounds(seed: u64, options: Both<Options>, local: Link) {
    let mut bed = Bed::with(options);
    bed.settings = NO_GUARD.to_owned();
    bed.links.local = local;
    let mut editor = Editor::new(seed);
    for round in 0..ROUNDS {
        editor.edit(&mut Both::from_fn(|side| bed.on(side)), 30);
        let run = bed.sync();
        let status = i32::from(editor.keeps_a_deleted_mailbox());
        bed.check(
            run.status == status,
            &format!("round {round}: status {status} was expected\n{}", editor.log()),
            &run,
        );
        bed.check_equal(&run);
        bed.check_quiet();
        let snapshot = bed.snapshot(Side::Local);
        let surprises = editor.surprises(&snapshot);
        let story = || format!("round {round}: this is not what the edits imply:\n{surprises}\n{}", editor.log());
        bed.check(surprises.is_empty(), &story(), &run);
        editor.adopt(&snapshot);
    }
    println!("random edits, seed {seed}: {ROUNDS} rounds, {} operations", editor.operations());
}

fn alike() -> Both<Options> {
    Both::from_fn(|_| Options::default())
}

/// As unlike as two Dovecots can be.
fn unlike() -> Both<Options> {
    let local = Options { separator: '.', prefix: "INBOX.", format: Format::Maildir, ..Options::default() };
    Both { local, remote: Options { separator: '\\', ..Options::default() } }
}

#[test]
fn random_edits_end_in_equality_seed_1() {
    edit_in_rounds(1, alike(), Link::Proxy);
}

#[test]
fn random_edits_end_in_equality_seed_2() {
    edit_in_rounds(2, alike(), Link::Tunnel);
}

#[test]
fn random_edits_end_in_equality_seed_3_over_unlike_servers() {
    edit_in_rounds(3, unlike(), Link::Proxy);
}

#[test]
fn random_edits_end_in_equality_seed_4_over_unlike_servers() {
    edit_in_rounds(4, unlike(), Link::Tunnel);
}

#[test]
fn random_edits_end_in_equality_more_seeds() {
    for seed in 5..5 + 3 * scale() {
        edit_in_rounds(seed, if seed % 2 == 0 { alike() } else { unlike() }, Link::Proxy);
    }
}
