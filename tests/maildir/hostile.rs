//! What may lie in a tree to lead the program astray, and names that servers make up: nothing outside of the tree is read,
//! written or removed, and nothing blocks.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use interimap::mail::Side::{Local, Remote};
use interimap::mail::{Access, Both};
use interimap::mail::{Checkpoint, FlagSet, InternalDate, MailboxName, MailboxStatus, Uid};
use interimap::store::maildir::{Durability, Endpoint, IndexFile, KeywordStorage, Layout, Maildir, NameEncoding, open};
use interimap::store::{Appended, Body, Form, Message, Store, UidScope, Wanted};
use tempfile::TempDir;

use crate::programs::file_of;
use crate::support::bed::Bed;
use crate::support::kind::Kind;
use crate::support::mail::Made;
use crate::support::rounds::NO_GUARD;
use crate::support::scale;

const LAYOUTS: [(Layout, NameEncoding); 4] = [
    (Layout::Fs, NameEncoding::Utf8),
    (Layout::Fs, NameEncoding::Utf7),
    (Layout::MaildirPlusPlus, NameEncoding::Utf8),
    (Layout::MaildirPlusPlus, NameEncoding::Utf7),
];

/// A tree in a directory that holds nothing else, and a session on it.
struct Ground {
    store: Maildir,
    tree: PathBuf,
    directory: TempDir,
    _index: TempDir,
}

impl Ground {
    async fn with(layout: Layout, names: NameEncoding) -> Ground {
        let (directory, index) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tree = directory.path().join("Mail");
        let (keywords, durability) = (KeywordStorage::Index, Durability::Unsynced);
        let access = Access::ReadWrite;
        let endpoint = Endpoint { path: tree.clone(), layout, inbox: None, names, keywords, durability, access };
        let store = open(&endpoint, IndexFile::Kept(index.path().join("index"))).await.unwrap();
        Ground { store, tree, directory, _index: index }
    }

    async fn scope(&mut self, name: &MailboxName) -> UidScope {
        let wanted = Wanted { name: name.clone(), since: None };
        let seen = self.store.observe(&[wanted]).await.unwrap().remove(0).unwrap();
        UidScope { name: name.clone(), uid_validity: seen.status.uid_validity }
    }

    /// Nothing but the tree may be where it is.
    fn check_alone(&self, story: &str) {
        let names: Vec<_> = fs::read_dir(self.directory.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, ["Mail"], "{story}");
    }
}

fn message(token: &str) -> Message {
    let octets = Bytes::from(Made::simple(token).body);
    Message {
        uid: Uid::new(1).unwrap(),
        flags: FlagSet::new(),
        internal_date: InternalDate::from_unix(1_700_000_000).unwrap(),
        size: octets.len() as u64,
        form: Form::Text,
        body: Body::Whole(octets),
    }
}

#[tokio::test]
async fn s098_no_name_leads_out_of_the_tree() {
    let long = "ö".repeat(150);
    let names = [
        "..",
        ".",
        "../x",
        "../../x",
        "a/../b",
        "a/./b",
        "/etc/x",
        "a//b",
        "",
        "cur",
        "a/new",
        "a/tmp/b",
        ".hidden",
        "a/.b",
        "..x",
        "a/..",
        "x.y",
        "%2E%2E",
        "%2e%2e/x",
        "a%2Fb",
        "~",
        "~root/x",
        "-rf",
        "a\\b",
        "a:2,S",
        "INBOX/cur",
        "inbox/x",
        "maildirfolder",
        "a\u{202e}b",
        &long,
        &format!("a/{long}/b"),
        &"d/".repeat(200),
    ];
    for (layout, encoding) in LAYOUTS {
        let mut ground = Ground::with(layout, encoding).await;
        for text in names {
            let levels: Vec<&str> = text.split('/').collect();
            let Ok(name) = MailboxName::from_levels(levels) else { continue };
            let story = format!("{text:?} in {layout:?}, {encoding:?}");
            if ground.store.refuses_name(&name).is_some() {
                ground.store.create(&name).await.unwrap_err();
                continue;
            }
            ground.store.create(&name).await.unwrap_or_else(|error| panic!("{story}: {error:?}"));
            let scope = ground.scope(&name).await;
            let appended = ground.store.append(&scope, vec![message("one")]).await.unwrap();
            assert!(matches!(appended[..], [Appended::At { .. }]), "{story}");
            ground.check_alone(&story);
            let listing = ground.store.mailboxes().await.unwrap();
            assert!(listing.mailboxes.contains_key(&name), "{story} is found again");
            assert_eq!(listing.unnamable, [], "{story}");
            if !name.is_inbox() {
                ground.store.delete(&name).await.unwrap();
                assert!(!ground.store.mailboxes().await.unwrap().mailboxes.contains_key(&name), "{story} is gone");
            }
            ground.check_alone(&story);
        }
    }
}

/// Something else is put where a directory was between a look and a delivery.
#[tokio::test]
async fn m17_a_directory_that_becomes_a_link_is_not_written_through() {
    for (layout, encoding) in LAYOUTS {
        for part in [".", "tmp", "new", "cur"] {
            for flag in ["", "\\Seen"] {
                let mut ground = Ground::with(layout, encoding).await;
                let outside = tempfile::tempdir().unwrap();
                for part in ["tmp", "new", "cur"] {
                    fs::create_dir(outside.path().join(part)).unwrap();
                }
                let name = MailboxName::from_levels(["Work"]).unwrap();
                ground.store.create(&name).await.unwrap();
                let scope = ground.scope(&name).await;
                ground.store.append(&scope, vec![message("before")]).await.unwrap();
                let home = ground.tree.join(if layout == Layout::Fs { "Work" } else { ".Work" });
                let (place, target) = (home.join(part), outside.path().join(part));
                let (place, target) =
                    if part == "." { (home.clone(), outside.path().to_owned()) } else { (place, target) };
                fs::rename(&place, outside.path().join("away")).unwrap();
                symlink(&target, &place).unwrap();
                let mut letter = message("after");
                letter.flags = flag.split_whitespace().filter_map(interimap::mail::Flag::parse).collect();
                let story = format!("{part:?} of {layout:?}, {flag:?}");
                match ground.store.append(&scope, vec![letter]).await {
                    Ok(appended) => {
                        // Where nothing is done with the link, it does no harm.
                        let refused = matches!(appended[..], [Appended::Refused(_)]);
                        assert!(refused || part == "new" || part == "cur", "{story}: {appended:?}");
                    }
                    Err(error) => assert!(!error.text.is_empty()),
                }
                let _ = ground.store.expunge(&scope, &[Uid::new(1).unwrap()].into_iter().collect(), None).await;
                let _ = ground.store.delete(&name).await;
                for part in ["tmp", "new", "cur"] {
                    let held = fs::read_dir(outside.path().join(part)).unwrap().count();
                    assert_eq!(held, 0, "{story}: something was written to {part}");
                }
                let listing = ground.store.mailboxes().await.unwrap();
                assert!(part != "." || listing.mailboxes.contains_key(&name), "{story}: nobody deleted it");
            }
        }
    }
}

/// A user has moved a mailbox to another disk and put a link in its place.
#[test]
fn m17_a_mailbox_that_became_a_link_is_named_and_not_deleted() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let mut bed = Bed::between(Both { local: kind, remote: Kind::Dovecot });
        bed.settings = NO_GUARD.to_owned();
        for mailbox in ["Work", "Work/deep", "Other"] {
            bed.about(Remote, "CREATE {}", &[mailbox]);
            bed.put(Remote, mailbox, "one");
        }
        bed.sync_well();
        let mut held = 1;
        for part in [".", "cur", "new", "tmp"] {
            for dangling in [false, true] {
                let (outside, home) = (tempfile::tempdir().unwrap(), bed.tree(Local).path("Work"));
                let (place, away) = (home.join(part), outside.path().join("away"));
                let place = if part == "." { home } else { place };
                fs::rename(&place, &away).unwrap();
                symlink(if dangling { Path::new("/nowhere/at/all") } else { &away }, &place).unwrap();
                let token = format!("two{held}");
                bed.put(Remote, "Work", &token);
                bed.put(Remote, "Other", &token);
                held += 1;
                let before = count(&away);
                let run = bed.sync();
                let story = format!("{kind:?}, {part:?}, dangling: {dangling}");
                bed.check(run.status == 1 && run.stderr.contains("Work"), &format!("{story}: it must say so"), &run);
                bed.check(count(&away) == before, &format!("{story}: nothing changes there"), &run);
                let there = bed.snapshot(Remote);
                bed.check(there.mailbox("Work").messages.len() == held, &format!("{story}: Work stays"), &run);
                bed.check(there.mailbox("Work/deep").tokens() == ["one"], &format!("{story}: Work/deep stays"), &run);
                let others = bed.snapshot(Local).mailbox("Other").messages.len();
                bed.check(others == held, &format!("{story}: others go on"), &run);
                fs::remove_file(&place).unwrap();
                // Nothing was made in its place.
                fs::rename(&away, &place).unwrap();
                let run = bed.sync_well();
                let copied = run.numbers("copied");
                bed.check(copied == [1, 0], &format!("{story}: only what is new is copied, not {copied:?}"), &run);
            }
        }
    }
}

fn count(path: &Path) -> usize {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { 1 + count(&path) } else { 1 }).sum()
}

/// None of these is a message, and none is anybody's to remove.
#[test]
fn m17_what_is_no_file_is_left_alone_and_blocks_nobody() {
    for part in ["cur", "new"] {
        let bed = Bed::between(Both { local: Kind::MaildirFs, remote: Kind::Dovecot });
        bed.put(Local, "INBOX", "one");
        let outside = tempfile::tempdir().unwrap();
        let letter = outside.path().join("letter");
        fs::write(&letter, Made::simple("outside").body).unwrap();
        let folder = bed.tree(Local).path("INBOX").join(part);
        let at = |name: &str| folder.join(format!("{name}:2,S"));
        let fifo = std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
        assert!(fifo.success());
        symlink(&letter, at("link")).unwrap();
        symlink("/nowhere/at/all", at("dangling")).unwrap();
        symlink("/dev/zero", at("device")).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        fs::create_dir(at("directory")).unwrap();
        fs::write(at("directory").join("letter"), Made::simple("inside").body).unwrap();
        fs::write(folder.join(".hidden:2,S"), Made::simple("hidden").body).unwrap();
        fs::write(folder.join(":2,S"), Made::simple("nameless").body).unwrap();
        bed.sync();
        let run = bed.sync();
        bed.check(run.status == 0 && run.report["mailboxes_changed"] == 0, "the run must end well", &run);
        let there = bed.snapshot(Remote);
        bed.check(there.mailbox("INBOX").tokens() == ["one"], "only files are messages", &run);
        bed.expunge(Remote, "INBOX", "one");
        let run = bed.sync();
        bed.check(run.status == 0, "the run must end well", &run);
        for name in ["fifo", "link", "dangling", "device", "socket", "directory"] {
            assert!(fs::symlink_metadata(at(name)).is_ok(), "{name} was removed from {part}");
        }
        assert!(fs::symlink_metadata(at("fifo")).unwrap().file_type().is_fifo());
        assert!(at("directory").join("letter").exists() && folder.join(".hidden:2,S").exists());
        assert_eq!(fs::read(&letter).unwrap(), Made::simple("outside").body);
    }
}

/// A message's file becomes something else under the same name.
#[test]
fn m17_a_message_that_becomes_a_fifo_or_a_link_is_gone_and_blocks_nobody() {
    for kind in ["fifo", "link"] {
        let bed = Bed::between(Both { local: Kind::MaildirFs, remote: Kind::Dovecot });
        for token in ["one", "two", "three"] {
            bed.put(Remote, "INBOX", token);
        }
        bed.sync_well();
        // Not whichever file `new` lists first: one of them is nobody's mail, and on ext4 it is the first one by chance.
        let file = file_of(&bed, "INBOX", "two");
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("secret");
        fs::write(&secret, Made::simple("secret").body).unwrap();
        fs::remove_file(&file).unwrap();
        match kind {
            "fifo" => assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success()),
            _ => symlink(&secret, &file).unwrap(),
        }
        bed.put(Remote, "INBOX", "four");
        let run = bed.sync();
        bed.check(run.status == 0, &format!("{kind}: the run must end well"), &run);
        let there = bed.snapshot(Remote);
        let tokens = there.mailbox("INBOX").tokens();
        let story = format!("{kind}: one is gone, one is new, and nothing outside is read");
        bed.check(tokens == ["four", "one", "three"], &story, &run);
        assert!(fs::symlink_metadata(&file).is_ok(), "{kind}: it is not ours to remove");
        assert!(secret.exists());
    }
}

#[tokio::test]
async fn s138_very_many_files_are_taken_up_and_then_cost_nothing() {
    let mut ground = Ground::with(Layout::Fs, NameEncoding::Utf8).await;
    let cur = ground.tree.join("INBOX/cur");
    let count = 10_000 * scale().min(10);
    for number in 0..count {
        fs::write(cur.join(format!("1700000000.{number}.host:2,S")), "Subject: x\n\nx\n").unwrap();
    }
    let inbox = MailboxName::inbox();
    let first = ground.store.observe(&[Wanted { name: inbox.clone(), since: None }]).await.unwrap().remove(0).unwrap();
    assert_eq!(u64::from(first.status.messages), count);
    assert_eq!(first.messages.len() as u64, count);
    // Only after a while the index may believe that nothing changes.
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    ground.store.census(&inbox).await.unwrap().unwrap();
    let MailboxStatus { uid_validity, uid_next, highest_modseq, .. } = first.status;
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        let since = Some(Checkpoint { uid_validity, uid_next, highest_modseq });
        let again = ground.store.observe(&[Wanted { name: inbox.clone(), since }]).await.unwrap().remove(0).unwrap();
        assert_eq!(again.messages.len(), 0);
    }
    let each = begun.elapsed() / 10;
    assert!(each < std::time::Duration::from_millis(50), "{count} unchanged messages take {each:?}");
}

#[tokio::test]
async fn what_is_made_is_nobody_elses_business() {
    for (layout, encoding) in LAYOUTS {
        let mut ground = Ground::with(layout, encoding).await;
        let name = MailboxName::from_levels(["a", "b"]).unwrap();
        ground.store.create(&name).await.unwrap();
        let scope = ground.scope(&name).await;
        ground.store.append(&scope, vec![message("one")]).await.unwrap();
        check_modes(&ground.tree);
    }
}

fn check_modes(path: &Path) {
    let about = fs::symlink_metadata(path).unwrap();
    let wanted = if about.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(about.permissions().mode() & 0o777, wanted, "{}", path.display());
    if about.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| check_modes(&entry.unwrap().path()));
    }
}
