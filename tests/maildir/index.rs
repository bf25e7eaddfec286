//! The index of a tree is lost, or replaced by an older copy of itself, between runs: it is derived data, so that nothing
//! may be copied, deleted, lost or doubled for that.

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::{Bed, Run};
use crate::support::editor::Editor;
use crate::support::kind::Kind;
use crate::support::rounds::{NO_GUARD, edit_in_rounds};
use crate::support::user::Change;

const PAIRS: [Both<Kind>; 3] = [
    Both { local: Kind::MaildirFs, remote: Kind::Dovecot },
    Both { local: Kind::MaildirPlusPlus, remote: Kind::DovecotBare },
    Both { local: Kind::MaildirFs, remote: Kind::MaildirPlusPlus },
];

/// Runs `sync`, which may learn much and must change nothing.
fn check_nothing_is_moved(bed: &Bed, story: &str) -> Run {
    let stamps = bed.tree(Local).stamps();
    let run = bed.sync_well();
    for what in ["copied", "expunged", "moved", "flagged", "created", "deleted", "renamed"] {
        bed.check(run.numbers(what) == [0, 0], &format!("{story}: nothing is {what}"), &run);
    }
    let difference = stamps.difference(&bed.tree(Local).stamps());
    bed.check(difference.is_empty(), &format!("{story}: files are touched:\n{difference}"), &run);
    bed.check_quiet();
    run
}

fn trees(kinds: Both<Kind>) -> impl Iterator<Item = Side> {
    Side::BOTH.into_iter().filter(move |side| kinds[*side].is_maildir())
}

#[test]
fn an_index_lost_between_rounds_of_edits_moves_nothing() {
    for (seed, kinds) in (1..).zip(PAIRS) {
        let (mut bed, mut editor) = (Bed::between(kinds), Editor::on(kinds, seed));
        for round in 0..3 {
            edit_in_rounds(&mut bed, &mut editor, 1, 30);
            trees(kinds).for_each(|side| bed.lose_index(side));
            check_nothing_is_moved(&bed, &format!("{kinds:?}, round {round}"));
        }
    }
}

#[test]
fn an_index_replaced_by_an_older_one_between_rounds_of_edits_moves_nothing() {
    for (seed, kinds) in (11..).zip(PAIRS) {
        let (mut bed, mut editor) = (Bed::between(kinds), Editor::on(kinds, seed));
        for round in 0..3 {
            edit_in_rounds(&mut bed, &mut editor, 1, 30);
            let kept = Both::from_fn(|_| tempfile::tempdir().unwrap());
            trees(kinds).for_each(|side| bed.keep_index(side, kept[side].path()));
            edit_in_rounds(&mut bed, &mut editor, 1, 30);
            trees(kinds).for_each(|side| bed.put_index_back(side, kept[side].path()));
            check_nothing_is_moved(&bed, &format!("{kinds:?}, round {round}"));
        }
    }
}

#[test]
fn state_and_index_lost_together_copy_nothing() {
    for (seed, kinds) in (21..).zip(PAIRS) {
        let (mut bed, mut editor) = (Bed::between(kinds), Editor::on(kinds, seed));
        edit_in_rounds(&mut bed, &mut editor, 2, 30);
        bed.lose_state();
        let run = bed.sync_well();
        bed.check(run.numbers("copied") == [0, 0] && run.numbers("expunged") == [0, 0], "nothing is copied", &run);
        bed.check_quiet();
    }
}

/// A bed with mail on both sides and in line, and what has happened to it since.
fn changed_on_both_sides(bed: &Bed) {
    let mut user = bed.editor(Local);
    bed.put(Local, "INBOX", "new-local");
    bed.put(Remote, "INBOX", "new-remote");
    user.flag("INBOX", "one", &[Change::Set], "\\Flagged");
    user.relocate("INBOX", "two", "Work");
    user.expunge("INBOX", "three");
    bed.store(Remote, "INBOX", "four", "+FLAGS (\\Answered)");
    bed.expunge(Remote, "INBOX", "five");
}

/// What was expunged while nothing was known may come back; what was not is there, once.
fn check_all_is_there(bed: &Bed, run: &Run, story: &str) {
    let snapshot = bed.fullest_snapshot();
    let inbox = snapshot.mailbox("INBOX").tokens();
    for token in ["one", "four", "six", "new-local", "new-remote"] {
        let count = inbox.iter().filter(|other| **other == token).count();
        bed.check(count == 1, &format!("{story}: {count} of {token} in INBOX"), run);
    }
    for token in ["three", "five"] {
        let count = inbox.iter().filter(|other| **other == token).count();
        bed.check(count <= 1, &format!("{story}: {count} of {token} in INBOX"), run);
    }
    bed.check(snapshot.mailbox("Work").tokens() == ["two"], &format!("{story}: two was moved"), run);
    bed.check(snapshot.mailbox("INBOX").flags("one").contains("\\flagged"), &format!("{story}: one is flagged"), run);
    bed.check(snapshot.mailbox("INBOX").flags("four").contains("\\answered"), &format!("{story}: four as well"), run);
}

fn with_six_messages(kind: Kind) -> Bed {
    let mut bed = Bed::between(Both { local: kind, remote: Kind::Dovecot });
    bed.settings = NO_GUARD.to_owned();
    bed.editor(Local).create("Work");
    for token in ["one", "two", "three", "four", "five", "six"] {
        bed.put(Local, "INBOX", token);
    }
    bed.sync_well();
    bed
}

#[test]
fn with_its_index_lost_edits_of_both_sides_lose_and_double_nothing() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let bed = with_six_messages(kind);
        changed_on_both_sides(&bed);
        bed.lose_index(Local);
        let run = bed.settle();
        check_all_is_there(&bed, &run, &format!("{kind:?}"));
    }
}

#[test]
fn with_an_older_index_edits_of_both_sides_lose_and_double_nothing() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let bed = with_six_messages(kind);
        let kept = tempfile::tempdir().unwrap();
        bed.keep_index(Local, kept.path());
        // The UIDs of these the older index will give once more, to others.
        for token in ["seven", "eight"] {
            bed.put(Remote, "INBOX", token);
        }
        bed.sync_well();
        changed_on_both_sides(&bed);
        bed.put_index_back(Local, kept.path());
        let run = bed.settle();
        check_all_is_there(&bed, &run, &format!("{kind:?}"));
        let snapshot = bed.snapshot(Local);
        for token in ["seven", "eight"] {
            assert_eq!(snapshot.mailbox("INBOX").message(token).content.token, token);
        }
    }
}
