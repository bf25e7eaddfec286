//! What happens to a tree behind the program's back, and must not be taken for anybody's wish.

use std::fs;
use std::os::unix::fs::symlink;

use interimap::mail::Both;
use interimap::mail::Side::{Local, Remote};

use crate::support::bed::Bed;
use crate::support::kind::Kind;

fn between_trees() -> Bed {
    Bed::between(Both { local: Kind::MaildirFs, remote: Kind::MaildirFs })
}

/// Whether the index is there that knows of the mailbox.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Index {
    Kept,
    Lost,
}

#[test]
fn s137_a_mailbox_that_cannot_be_looked_into_is_not_taken_for_a_deleted_one() {
    type Change = fn(&std::path::Path, &std::path::Path);
    let cases: [(&str, Change); 5] = [
        ("its directory became a link to where it is now", |work, elsewhere| {
            fs::rename(work, elsewhere).unwrap();
            symlink(elsewhere, work).unwrap();
        }),
        ("its directory became a link that leads nowhere", |work, elsewhere| {
            fs::rename(work, elsewhere).unwrap();
            symlink("/nowhere", work).unwrap();
        }),
        ("its cur became a link", |work, elsewhere| {
            fs::rename(work.join("cur"), elsewhere).unwrap();
            symlink(elsewhere, work.join("cur")).unwrap();
        }),
        ("its disk is not mounted", |work, elsewhere| {
            fs::rename(work, elsewhere).unwrap();
            fs::create_dir(work).unwrap();
        }),
        ("a file stands there", |work, elsewhere| {
            fs::rename(work, elsewhere).unwrap();
            fs::write(work, "").unwrap();
        }),
    ];
    for index in [Index::Kept, Index::Lost] {
        for (what, change) in cases {
            let bed = between_trees();
            bed.editor(Remote).create("Work");
            bed.put(Remote, "Work", "one");
            bed.put_flagged(Remote, "Work", "two", "\\Seen");
            bed.sync_well();
            let elsewhere = tempfile::tempdir().unwrap();
            change(&bed.tree(Local).path("Work"), &elsewhere.path().join("moved"));
            if index == Index::Lost {
                bed.lose_index(Local);
            }
            let run = bed.sync();
            let story = format!("{what}, index {index:?}");
            let snapshot = bed.snapshot(Remote);
            let held = snapshot.mailboxes.get("Work").map(|mailbox| mailbox.tokens());
            bed.check(held == Some(vec!["one", "two"]), &format!("{story}: mail is gone: {held:?}"), &run);
            bed.check(run.status != 0 && run.stderr.contains("Work"), &format!("{story}: nothing is said"), &run);
        }
    }
}

#[test]
fn a_mailbox_that_was_removed_is_removed_on_the_other_side() {
    let bed = between_trees();
    for mailbox in ["Work", "Lists", "Lists/a"] {
        bed.editor(Remote).create(mailbox);
        bed.put(Remote, mailbox, &mailbox.replace('/', "-"));
    }
    bed.sync_well();
    fs::remove_dir_all(bed.tree(Local).path("Work")).unwrap();
    // What is below it stays.
    for own in ["cur", "new", "tmp"] {
        fs::remove_dir_all(bed.tree(Local).path("Lists").join(own)).unwrap();
    }
    bed.settle();
    let left: Vec<_> = bed.snapshot(Remote).mailboxes.into_keys().collect();
    assert_eq!(left, ["INBOX", "Lists/a"]);
}
