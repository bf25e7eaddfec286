//! Two users edit at random, one on each side; in the end both sides hold what the edits imply, byte for byte.

use interimap::mail::Both;

use crate::support::bed::{Bed, Link};
use crate::support::dovecot::{Format, Options};
use crate::support::editor::Editor;
use crate::support::rounds::edit_in_rounds;
use crate::support::scale;

/// How often the users edit before a run.
const ROUNDS: u64 = 4;

fn edit(seed: u64, options: Both<Options>, local: Link) {
    let mut bed = Bed::with(options);
    bed.links.local = local;
    let mut editor = Editor::new(seed);
    edit_in_rounds(&mut bed, &mut editor, ROUNDS, 30);
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
    edit(1, alike(), Link::Proxy);
}

#[test]
fn random_edits_end_in_equality_seed_2() {
    edit(2, alike(), Link::Tunnel);
}

#[test]
fn random_edits_end_in_equality_seed_3_over_unlike_servers() {
    edit(3, unlike(), Link::Proxy);
}

#[test]
fn random_edits_end_in_equality_seed_4_over_unlike_servers() {
    edit(4, unlike(), Link::Tunnel);
}

#[test]
fn random_edits_end_in_equality_more_seeds() {
    for seed in 5..5 + 3 * scale() {
        edit(seed, if seed % 2 == 0 { alike() } else { unlike() }, Link::Proxy);
    }
}
