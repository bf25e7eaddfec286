//! What the system refuses: no room, no permission, a disk that is not there. The program says so and what to do, and
//! nothing is lost, doubled or left half done.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::programs::file_of;
use crate::support::bed::{Bed, Link, Run};
use crate::support::disk::{Disk, Use};
use crate::support::kind::{Kind, Server};
use crate::support::mail::Made;
use crate::support::maildir::{Layout, Tree};
use crate::support::rounds::NO_GUARD;

/// A Dovecot, and a tree of Maildirs.
fn bed() -> Bed {
    Bed::between(Both { local: Kind::MaildirFs, remote: Kind::Dovecot })
}

/// The same with the tree on a disk.
fn bed_on(disk: &Disk) -> Bed {
    let mut bed = bed();
    let tree = Tree::plant_in(&disk.path(), Layout::Fs);
    bed.links.local = Link::Lines(tree.lines());
    bed.servers.local = Server::Maildir(tree);
    bed
}

/// A message of so many KiB.
fn large(token: &str, kib: usize) -> Made {
    Made::with(token, &"This line has sixty-four octets, its end counted among them...\r\n".repeat(kib * 16))
}

fn put(bed: &Bed, side: Side, mailbox: &str, letter: &Made) {
    bed.editor(side).append(mailbox, std::slice::from_ref(letter), &[].into());
}

/// Checks that a run has said so, and failed with `status`.
fn check_said(bed: &Bed, run: &Run, status: i32, words: &[&str]) {
    bed.check(run.status == status, &format!("the run must end with {status}"), run);
    for word in words {
        bed.check(run.stderr.contains(word), &format!("it must say {word:?}"), run);
    }
}

/// Takes away what fills a disk when the test ends.
fn fill(place: &Path) -> PathBuf {
    let file = place.join("ballast");
    let _ = fs::write(&file, vec![b'x'; 64 << 20]);
    file
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn s140_a_full_disk_takes_no_half_messages_and_doubles_none_when_there_is_room() {
    let Some(disk) = Disk::of(4096) else { return };
    let bed = bed_on(&disk);
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![b'x'; 3 << 20]).unwrap();
    bed.about(Remote, "CREATE {}", &["Work"]);
    bed.put(Remote, "INBOX", "small");
    bed.put(Local, "INBOX", "mine");
    bed.sync_well();
    let letters: Vec<Made> = (0..20).map(|number| large(&format!("large{number:02}"), 100)).collect();
    letters.iter().for_each(|letter| put(&bed, Remote, "Work", letter));
    let before = bed.snapshot(Remote);
    for _ in 0..3 {
        let run = bed.sync();
        check_said(&bed, &run, 1, &["no space is left on the disk", "Work", "help: make room"]);
        let tree = bed.tree(Local);
        bed.check(tree.leftovers().is_empty(), "nothing is left in tmp", &run);
        bed.check(tree.harm().is_empty(), "nobody's mail is harmed", &run);
        bed.check(bed.snapshot(Remote) == before, "the other side is as it was", &run);
        let (ours, theirs) = (bed.snapshot(Local), before.mailbox("Work").contents());
        let arrived = ours.mailbox("Work").contents();
        bed.check(arrived.len() < 20, "there is no room for all", &run);
        bed.check(arrived.iter().all(|letter| theirs.contains(letter)), "what arrived is whole", &run);
        let tokens = ours.mailbox("Work").tokens();
        bed.check(tokens.windows(2).all(|pair| pair[0] != pair[1]), "none is there twice", &run);
    }
    fs::remove_file(ballast).unwrap();
    let run = bed.settle();
    bed.check(bed.snapshot(Local).mailbox("Work").messages.len() == 20, "all arrive", &run);
}

#[test]
fn s140_a_full_disk_of_the_database_ends_the_run_and_doubles_nothing() {
    let Some(disk) = Disk::of(2048) else { return };
    let mut bed = bed();
    bed.state = disk.mount().to_owned();
    bed.program.splice(0..0, disk.entrance());
    for (round, room) in [0_usize, 8, 40, 100].into_iter().enumerate() {
        for number in 0..60 {
            bed.put(Remote, "INBOX", &format!("theirs{round}-{number:02}"));
            bed.put(Local, "INBOX", &format!("ours{round}-{number:02}"));
        }
        let reserve = disk.path().join("reserve");
        fs::write(&reserve, vec![b'x'; room << 10]).unwrap();
        let ballast = fill(&disk.path());
        fs::remove_file(&reserve).unwrap();
        for _ in 0..3 {
            let run = bed.sync();
            bed.check(run.status != 0, "there is no room for all that is to be remembered", &run);
            let words = ["no room left", "no space", "disk I/O error"];
            bed.check(words.iter().any(|word| run.stderr.contains(word)), "it must say why", &run);
            for side in Side::BOTH {
                let snapshot = bed.snapshot(side);
                let tokens = snapshot.mailbox("INBOX").tokens();
                bed.check(tokens.windows(2).all(|pair| pair[0] != pair[1]), &format!("{side} has none twice"), &run);
            }
        }
        fs::remove_file(ballast).unwrap();
        let run = bed.settle();
        let count = bed.snapshot(Local).mailbox("INBOX").messages.len();
        bed.check(count == (round + 1) * 120, &format!("{count} messages are there"), &run);
    }
}

#[test]
fn a_disk_that_can_only_be_read_is_said_to_be_so() {
    let Some(disk) = Disk::of(1024) else { return };
    let bed = bed_on(&disk);
    bed.put(Remote, "INBOX", "one");
    bed.sync_well();
    bed.put(Remote, "INBOX", "two");
    bed.put(Local, "INBOX", "three");
    disk.allow(Use::ReadOnly);
    let before = bed.snapshot(Local);
    for _ in 0..2 {
        let run = bed.sync();
        check_said(&bed, &run, 1, &["INBOX", "read"]);
        bed.check(bed.snapshot(Local) == before, "nothing has changed there", &run);
        let there = bed.snapshot(Remote);
        bed.check(there.mailbox("INBOX").tokens() == ["one", "three", "two"], "what can be done is done", &run);
    }
    disk.allow(Use::ReadWrite);
    bed.settle();
}

#[test]
fn directories_that_may_not_be_written_to_keep_what_is_in_them() {
    let mut bed = bed();
    bed.bind_by_permissions();
    for mailbox in ["Work", "Other"] {
        bed.about(Remote, "CREATE {}", &[mailbox]);
        bed.put(Remote, mailbox, "one");
        bed.put(Remote, mailbox, "two");
    }
    bed.sync_well();
    let work = bed.tree(Local).path("Work");
    for (at, parts) in [&["cur", "new", "tmp"][..], &["new"], &["tmp"], &["cur"], &["."]].into_iter().enumerate() {
        let (token, one) = (format!("three{at}"), if at % 2 == 0 { "one" } else { "two" });
        bed.put(Remote, "Work", &token);
        bed.put(Remote, "Other", &token);
        bed.store(Remote, "Work", one, "+FLAGS (\\Flagged)");
        parts.iter().for_each(|part| set_mode(&work.join(part), 0o555));
        let before = bed.snapshot(Local);
        let run = bed.sync();
        let untouched = bed.snapshot(Local);
        parts.iter().for_each(|part| set_mode(&work.join(part), 0o755));
        if parts != ["."] {
            check_said(&bed, &run, 1, &["Work"]);
        }
        if parts.len() == 3 {
            bed.check(untouched.mailbox("Work") == before.mailbox("Work"), "nothing has changed there", &run);
        }
        bed.check(untouched.mailbox("Other").tokens().contains(&token.as_str()), "others go on", &run);
        bed.check(bed.tree(Local).leftovers().is_empty(), "nothing is left in tmp", &run);
        bed.check(bed.snapshot(Remote).mailbox("Work").messages.len() == 3 + at, "nothing is lost", &run);
        bed.store(Remote, "Work", one, "-FLAGS (\\Flagged)");
        bed.settle();
    }
}

/// Whatever of a mailbox may not be looked into, the mailbox is there.
#[test]
fn a_directory_that_may_not_be_read_is_not_taken_for_deleted() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let mut bed = Bed::between(Both { local: kind, remote: Kind::Dovecot });
        bed.bind_by_permissions();
        bed.settings = NO_GUARD.to_owned();
        for mailbox in ["Work", "Work/deep", "Other"] {
            bed.about(Remote, "CREATE {}", &[mailbox]);
            bed.put(Remote, mailbox, &format!("in {mailbox}"));
        }
        bed.sync_well();
        let work = bed.tree(Local).path("Work");
        for (at, (part, mode)) in
            [(".", 0), (".", 0o400), (".", 0o600), (".", 0o100), ("cur", 0), ("cur", 0o400), ("new", 0)]
                .into_iter()
                .enumerate()
        {
            let token = format!("more{at}");
            bed.put(Remote, "Other", &token);
            set_mode(&work.join(part), mode);
            let run = bed.sync();
            set_mode(&work.join(part), 0o700);
            let story = format!("{kind:?}, {part} with mode {mode:o}");
            bed.check(run.status == 1, &format!("{story}: the run must end with 1"), &run);
            bed.check(run.stderr.contains("Work"), &format!("{story}: it must say which"), &run);
            let (ours, theirs) = (bed.snapshot(Local), bed.snapshot(Remote));
            for snapshot in [&ours, &theirs] {
                for mailbox in ["Work", "Work/deep"] {
                    let tokens = snapshot.mailbox(mailbox).tokens();
                    bed.check(tokens == [format!("in {mailbox}")], &format!("{story}: {mailbox} stays"), &run);
                }
            }
            bed.check(
                ours.mailbox("Other").tokens().contains(&token.as_str()),
                &format!("{story}: others go on"),
                &run,
            );
            let run = bed.sync_well();
            bed.check(run.numbers("copied") == [0, 0], &format!("{story}: nothing is copied again"), &run);
        }
    }
}

#[test]
fn s138_a_file_that_may_not_be_read_is_named_and_the_rest_goes_on() {
    let mut bed = bed();
    bed.bind_by_permissions();
    bed.put(Local, "INBOX", "old");
    bed.sync_well();
    for token in ["a", "b", "c"] {
        bed.put(Local, "INBOX", token);
    }
    let file = file_of(&bed, "INBOX", "b");
    set_mode(&file, 0);
    for _ in 0..2 {
        let run = bed.sync();
        check_said(&bed, &run, 1, &["INBOX"]);
        let snapshot = bed.snapshot(Remote);
        bed.check(snapshot.mailbox("INBOX").tokens() == ["a", "c", "old"], "the rest goes on", &run);
        bed.check(file.exists(), "the file stays", &run);
    }
    set_mode(&file, 0o600);
    let run = bed.run(&["repair"]);
    bed.check(run.status == 0, "what is readable is copied", &run);
    bed.settle();
    // The same of a message that the index does not know, and the state does not: who it is must be read.
    for token in ["d", "e"] {
        bed.put(Local, "INBOX", token);
        bed.put(Remote, "INBOX", token);
    }
    let file = file_of(&bed, "INBOX", "d");
    set_mode(&file, 0);
    bed.lose_state();
    let run = bed.sync();
    bed.check(run.status == 1, "the run says that something is left", &run);
    set_mode(&file, 0o600);
    let run = bed.sync_well();
    bed.check(bed.snapshot(Local).mailbox("INBOX").messages.len() == 6, "nothing is doubled", &run);
}

/// What may stand where a tree was whose disk is not mounted.
#[derive(Clone, Copy, Debug)]
enum Absence {
    Missing,
    Empty,
    Dangling,
    /// Directories are there, and nothing is in them.
    Hollow,
}

impl Absence {
    const ALL: [Absence; 4] = [Absence::Missing, Absence::Empty, Absence::Dangling, Absence::Hollow];

    fn put_at(self, root: &Path) {
        match self {
            Absence::Missing => {}
            Absence::Empty => fs::create_dir(root).unwrap(),
            Absence::Dangling => symlink("/nowhere/at/all", root).unwrap(),
            Absence::Hollow => fs::create_dir_all(root.join("Work")).unwrap(),
        }
    }

    fn take_from(self, root: &Path) {
        match self {
            Absence::Missing => assert!(!root.exists(), "nothing was made there"),
            Absence::Empty => fs::remove_dir(root).expect("nothing was made there"),
            Absence::Dangling => fs::remove_file(root).unwrap(),
            Absence::Hollow => {
                fs::remove_dir(root.join("Work")).expect("nothing was made there");
                fs::remove_dir(root).expect("nothing was made there");
            }
        }
    }
}

#[test]
fn s137_a_tree_that_is_not_there_is_refused_and_nothing_is_deleted() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let mut bed = Bed::between(Both { local: kind, remote: Kind::Dovecot });
        bed.settings = NO_GUARD.to_owned();
        bed.about(Remote, "CREATE {}", &["Work"]);
        bed.put(Remote, "Work", "one");
        bed.sync_well();
        let root = bed.tree(Local).root();
        let away = root.with_extension("away");
        for absence in Absence::ALL {
            let before = bed.snapshot(Remote);
            fs::rename(&root, &away).unwrap();
            absence.put_at(&root);
            for arguments in [&["sync"][..], &["sync", "--dry-run"], &["sync", "-m", "Work"], &["repair"], &["status"]]
            {
                let run = bed.run(arguments);
                let story = format!("{kind:?}, {absence:?}, {arguments:?}");
                if arguments != ["status"] {
                    bed.check(run.status != 0, &format!("{story}: it must be refused"), &run);
                    bed.check(run.stderr.contains("mounted"), &format!("{story}: it must say why"), &run);
                }
                bed.check(bed.snapshot(Remote) == before, &format!("{story}: the other side is as it was"), &run);
            }
            absence.take_from(&root);
            fs::rename(&away, &root).unwrap();
            let run = bed.sync_well();
            bed.check(run.numbers("copied") == [0, 0], "nothing is copied", &run);
        }
    }
}

#[test]
fn s137_a_tree_that_is_gone_with_its_index_costs_the_other_side_nothing() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let mut bed = Bed::between(Both { local: kind, remote: Kind::Dovecot });
        bed.settings = NO_GUARD.to_owned();
        bed.put(Remote, "INBOX", "in INBOX");
        for mailbox in ["Work", "Play"] {
            bed.about(Remote, "CREATE {}", &[mailbox]);
            bed.put(Remote, mailbox, "one");
        }
        bed.sync_well();
        let root = bed.tree(Local).root();
        let before = bed.snapshot(Remote);
        fs::rename(&root, root.with_extension("away")).unwrap();
        for absence in Absence::ALL {
            absence.put_at(&root);
            bed.lose_index(Local);
            for round in 0..2 {
                let run = bed.sync();
                let there = bed.snapshot(Remote);
                // What is missing begins anew, so that the next run has nothing left to name.
                let ends_well = round > 0 && run.status == 0;
                bed.check(run.status != 0 || ends_well, &format!("{kind:?}, {absence:?}: it is named"), &run);
                bed.check(there == before, &format!("{kind:?}, {absence:?}: the other side is as it was"), &run);
            }
            let _ = fs::remove_file(&root);
            let _ = fs::remove_dir_all(&root);
        }
        fs::rename(root.with_extension("away"), &root).unwrap();
        let run = bed.sync_well();
        bed.check(bed.snapshot(Remote).count() == before.count(), "nothing is lost or doubled", &run);
    }
}

/// A mailbox that is a disk of its own, and INBOX that lies elsewhere.
#[test]
fn s137_an_inbox_elsewhere_that_is_not_there_is_refused() {
    for absence in Absence::ALL {
        let mut bed = bed();
        bed.settings = NO_GUARD.to_owned();
        let elsewhere = tempfile::tempdir().unwrap();
        let inbox = elsewhere.path().join("inbox");
        let Link::Lines(lines) = &bed.links.local else { panic!("it is a tree") };
        bed.links.local = Link::Lines(format!("{lines}\ninbox = \"{}\"", inbox.display()));
        fs::remove_dir_all(bed.tree(Local).path("INBOX")).unwrap();
        bed.about(Remote, "CREATE {}", &["Work"]);
        bed.put(Remote, "INBOX", "one");
        bed.put(Remote, "Work", "two");
        let run = bed.sync();
        bed.check(run.status == 0, "the run must end well", &run);
        assert_eq!(fs::read_dir(inbox.join("new")).unwrap().count(), 1);
        let before = bed.snapshot(Remote);
        fs::rename(&inbox, elsewhere.path().join("away")).unwrap();
        absence.put_at(&inbox);
        let run = bed.sync();
        bed.check(run.status != 0, &format!("{absence:?}: it must be refused"), &run);
        bed.check(run.stderr.contains("mounted"), &format!("{absence:?}: it must say why"), &run);
        bed.check(bed.snapshot(Remote) == before, "the other side is as it was", &run);
        absence.take_from(&inbox);
        fs::rename(elsewhere.path().join("away"), &inbox).unwrap();
        let run = bed.sync();
        bed.check(run.status == 0 && run.numbers("copied") == [0, 0], "nothing is copied", &run);
    }
}

/// Files cannot be renamed from one disk to another.
#[test]
fn messages_move_between_disks() {
    let Some(disk) = Disk::of(1024) else { return };
    let mut bed = bed();
    let inbox = disk.path().join("inbox");
    let Link::Lines(lines) = &bed.links.local else { panic!("it is a tree") };
    bed.links.local = Link::Lines(format!("{lines}\ninbox = \"{}\"", inbox.display()));
    fs::remove_dir_all(bed.tree(Local).path("INBOX")).unwrap();
    bed.about(Remote, "CREATE {}", &["Work"]);
    bed.put(Remote, "INBOX", "one");
    bed.put_flagged(Remote, "INBOX", "two", "\\Seen");
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    bed.relocate(Remote, "INBOX", "two", "Work");
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    bed.check(bed.snapshot(Local).mailbox("Work").flags("two") == "\\seen", "it is where it belongs", &run);
    let left = ["new", "cur"].map(|part| fs::read_dir(inbox.join(part)).unwrap().count());
    bed.check(left == [1, 0], "it is where it belongs and nowhere else", &run);
    let run = bed.sync();
    bed.check(run.status == 0 && run.report["mailboxes_changed"] == 0, "that was all", &run);
}

/// Whoever writes that file takes a lock, and may have been killed with it.
#[test]
fn a_lock_that_was_left_behind_does_not_stop_a_mailbox_for_good() {
    let bed = bed();
    let inbox = bed.tree(Local).path("INBOX");
    fs::write(inbox.join("dovecot-keywords"), "0 todo\n").unwrap();
    bed.put_flagged(Remote, "INBOX", "one", "todo");
    bed.sync_well();
    let lock = inbox.join("dovecot-keywords.lock");
    fs::write(&lock, "").unwrap();
    bed.put_flagged(Remote, "INBOX", "two", "other");
    let begun = Instant::now();
    let run = bed.sync();
    bed.check(begun.elapsed() < Duration::from_secs(10), "nobody is waited for that long", &run);
    bed.check(lock.exists(), "somebody may hold it", &run);
    fs::File::open(&lock).unwrap().set_modified(std::time::SystemTime::now() - Duration::from_secs(3600)).unwrap();
    bed.settle();
    assert!(!lock.exists(), "nobody holds it any more");
}
