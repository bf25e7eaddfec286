//! What happens to a tree behind the program's back, and must not be taken for anybody's wish.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use interimap::mail::Side::{Local, Remote};
use interimap::mail::{
    Access, Both, Checkpoint, FlagSet, InternalDate, MailboxName, Observation, Silence, Uid, UidSet,
};
use interimap::store::maildir::{Durability, Endpoint, IndexFile, KeywordStorage, Layout, Maildir, NameEncoding, open};
use interimap::store::{Appended, Body, Fetched, Form, Message, Passage, Store, UidScope, Wanted};

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
    type Change = fn(&Path, &Path);
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

/// A tree and its index, without the program.
struct Ground {
    directory: tempfile::TempDir,
}

impl Ground {
    fn new() -> Ground {
        Ground { directory: tempfile::tempdir().unwrap() }
    }

    fn index(&self) -> PathBuf {
        self.directory.path().join("index")
    }

    fn path(&self, mailbox: &str) -> PathBuf {
        self.directory.path().join("Mail").join(mailbox)
    }

    async fn open(&self) -> Maildir {
        let endpoint = Endpoint {
            path: self.directory.path().join("Mail"),
            layout: Layout::Fs,
            inbox: None,
            names: NameEncoding::Utf8,
            keywords: KeywordStorage::Index,
            durability: Durability::Unsynced,
            access: Access::ReadWrite,
        };
        open(&endpoint, IndexFile::Kept(self.index())).await.unwrap()
    }
}

fn name(mailbox: &str) -> MailboxName {
    MailboxName::new(mailbox).unwrap()
}

async fn see(store: &mut Maildir, mailbox: &str, since: Option<Checkpoint>) -> Observation {
    let wanted = [Wanted { name: name(mailbox), since }];
    store.observe(&wanted).await.unwrap().remove(0).unwrap()
}

async fn put(store: &mut Maildir, mailbox: &str, token: &str, flags: &str) -> Uid {
    let scope = UidScope { name: name(mailbox), uid_validity: see(store, mailbox, None).await.status.uid_validity };
    let text = Bytes::from(format!("Message-ID: <{token}@test>\r\n\r\n{token}\r\n"));
    let message = Message {
        uid: Uid::MIN,
        flags: FlagSet::parse(flags),
        internal_date: InternalDate::from_unix(1_700_000_000).unwrap(),
        size: text.len() as u64,
        form: Form::Text,
        body: Body::Whole(text),
    };
    match store.append(&scope, vec![message]).await.unwrap().remove(0) {
        Appended::At { uid, .. } => uid,
        other => panic!("{token} was not taken: {other:?}"),
    }
}

/// The only file of a mailbox.
fn only_file(mailbox: &Path) -> PathBuf {
    let files = ["new", "cur"].map(|folder| fs::read_dir(mailbox.join(folder)).unwrap());
    let mut files: Vec<PathBuf> = files.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[tokio::test]
async fn keywords_that_no_program_sees_follow_a_file_to_another_mailbox() {
    for (from, to) in [("A", "B"), ("B", "A")] {
        // Mail programs keep the names of files that they move, or make new ones.
        for new_name in [None, Some("1700000000.another:2,S")] {
            let ground = Ground::new();
            let mut store = ground.open().await;
            for mailbox in [from, to] {
                store.create(&name(mailbox)).await.unwrap();
            }
            put(&mut store, from, "one", "\\Seen todo").await;
            drop(store);
            let file = only_file(&ground.path(from));
            let called = new_name.unwrap_or_else(|| file.file_name().unwrap().to_str().unwrap());
            fs::rename(&file, ground.path(to).join("cur").join(called)).unwrap();
            let mut store = ground.open().await;
            store.mailboxes().await.unwrap();
            let seen = see(&mut store, to, None).await;
            let flags: Vec<String> = seen.messages.iter().map(|(_, flags)| flags.to_string()).collect();
            assert_eq!(flags, [FlagSet::parse("\\Seen todo").to_string()], "{from} to {to}, {new_name:?}");
            assert_eq!(see(&mut store, from, None).await.status.messages, 0);
        }
    }
}

#[tokio::test]
async fn the_lock_of_somebody_who_was_killed_holds_nobody_up_for_ever() {
    let ground = Ground::new();
    let mut store = ground.open().await;
    let keywords = ground.path("INBOX").join("dovecot-keywords");
    fs::write(&keywords, "0 $Junk\n").unwrap();
    let lock = fs::File::create(ground.path("INBOX").join("dovecot-keywords.lock")).unwrap();
    lock.set_modified(SystemTime::now() - Duration::from_secs(600)).unwrap();
    put(&mut store, "INBOX", "one", "todo").await;
    assert_eq!(fs::read_to_string(&keywords).unwrap(), "0 $Junk\n1 todo\n");
    assert!(only_file(&ground.path("INBOX")).to_str().unwrap().ends_with(":2,b"));
}

#[tokio::test]
async fn letters_that_get_another_meaning_show_in_files_that_were_restored() {
    let ground = Ground::new();
    let mut store = ground.open().await;
    let inbox = ground.path("INBOX");
    fs::write(inbox.join("cur/one:2,a"), "Message-ID: <one@test>\n\none\n").unwrap();
    let before = see(&mut store, "INBOX", None).await;
    drop(store);
    fs::write(inbox.join("dovecot-keywords"), "0 todo\n").unwrap();
    fs::copy(inbox.join("cur/one:2,a"), inbox.join("tmp/one")).unwrap();
    fs::rename(inbox.join("tmp/one"), inbox.join("cur/one:2,a")).unwrap();
    let mut store = ground.open().await;
    let after = see(&mut store, "INBOX", Some(Checkpoint::from(before.status))).await;
    let flags: Vec<String> = after.messages.iter().map(|(_, flags)| flags.to_string()).collect();
    assert_eq!(flags, ["todo"]);
}

async fn scope_of(store: &mut Maildir, mailbox: &str) -> UidScope {
    UidScope { name: name(mailbox), uid_validity: see(store, mailbox, None).await.status.uid_validity }
}

#[tokio::test]
async fn a_file_that_lost_its_contents_is_not_taken_for_a_message_that_somebody_removed() {
    let ground = Ground::new();
    let mut store = ground.open().await;
    let uid = put(&mut store, "INBOX", "one", "").await;
    let before = see(&mut store, "INBOX", None).await.status;
    // As a power cut leaves it.
    fs::File::options().write(true).truncate(true).open(only_file(&ground.path("INBOX"))).unwrap();
    let scope = scope_of(&mut store, "INBOX").await;
    let prints = store.fingerprints(&scope, &[uid].into_iter().collect()).await.unwrap();
    assert!(prints.contains_key(&uid), "it is who it was");
    let (deliver, mut delivered) = tokio::sync::mpsc::channel(4);
    store.fetch(&scope, &[uid].into_iter().collect(), deliver).await.unwrap();
    let fetched = delivered.recv().await;
    assert!(matches!(fetched, Some(Fetched::Unreadable { .. })), "{fetched:?}");
    drop(store);
    let mut store = ground.open().await;
    let after = see(&mut store, "INBOX", Some(Checkpoint::from(before))).await;
    assert_eq!(after.silence, Silence::Unchanged { vanished: UidSet::new() });
    assert_eq!(after.status, before);
}

#[tokio::test]
async fn a_move_that_fails_in_the_middle_tells_what_has_moved() {
    let ground = Ground::new();
    let mut store = ground.open().await;
    store.create(&name("Work")).await.unwrap();
    let plain = put(&mut store, "INBOX", "one", "").await;
    let marked = put(&mut store, "INBOX", "two", "todo").await;
    // Somebody holds the lock without which the second one cannot have its letter.
    fs::write(ground.path("Work").join("dovecot-keywords"), "0 $Junk\n").unwrap();
    fs::write(ground.path("Work").join("dovecot-keywords.lock"), "").unwrap();
    let (from, to) = (scope_of(&mut store, "INBOX").await, scope_of(&mut store, "Work").await);
    let relocated = store.relocate(&from, &[plain, marked].into_iter().collect(), &to, Passage::Move).await.unwrap();
    assert_eq!(relocated.at.keys().copied().collect::<Vec<_>>(), [plain]);
    assert_eq!(relocated.gone, UidSet::from_iter([plain]));
    assert_eq!(relocated.refused, UidSet::from_iter([marked]));
    let [inbox, work] = [see(&mut store, "INBOX", None).await, see(&mut store, "Work", None).await];
    assert_eq!(inbox.messages.keys().collect::<Vec<_>>(), [marked]);
    assert_eq!(work.messages.keys().collect::<Vec<_>>(), relocated.at.values().copied().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_that_gets_another_unique_name_stays_the_message_that_it_was() {
    let ground = Ground::new();
    let mut store = ground.open().await;
    let uid = put(&mut store, "INBOX", "one", "\\Seen todo").await;
    let before = see(&mut store, "INBOX", None).await;
    // As mbsync does it, which puts down a UID of its own.
    let file = only_file(&ground.path("INBOX"));
    let called = file.to_str().unwrap().replace(":2,S", ",U=7:2,FS");
    fs::rename(&file, called).unwrap();
    let mut store = ground.open().await;
    let after = see(&mut store, "INBOX", Some(Checkpoint::from(before.status))).await;
    assert_eq!(after.silence, Silence::Unchanged { vanished: UidSet::new() });
    let flags: Vec<(Uid, String)> = after.messages.iter().map(|(uid, flags)| (uid, flags.to_string())).collect();
    assert_eq!(flags, [(uid, FlagSet::parse("\\Flagged \\Seen todo").to_string())]);
    assert_eq!(after.status.uid_next, before.status.uid_next);
}

/// A file that is removed leaves its inode to the next one, which may be as large and as old.
#[tokio::test]
async fn what_took_over_the_inode_of_a_message_is_not_taken_for_it() {
    for to in ["INBOX", "Elsewhere"] {
        let ground = Ground::new();
        let mut store = ground.open().await;
        store.create(&name("Elsewhere")).await.unwrap();
        let one = put(&mut store, "INBOX", "one", "\\Seen todo").await;
        drop(store);
        let old = only_file(&ground.path("INBOX"));
        let new = ground.path(to).join("cur/1700000000.two:2,S");
        let text = fs::read_to_string(&old).unwrap().replace("one", "two");
        let modified = fs::metadata(&old).unwrap().modified().unwrap();
        fs::rename(&old, &new).unwrap();
        fs::write(&new, text).unwrap();
        fs::File::options().write(true).open(&new).unwrap().set_modified(modified).unwrap();

        let mut store = ground.open().await;
        store.mailboxes().await.unwrap();
        let seen = see(&mut store, "INBOX", None).await;
        assert!(!seen.messages.contains(one), "{to}: {seen:?}");
        let (_, flags) =
            see(&mut store, to, None).await.messages.iter().map(|(uid, it)| (uid, it.clone())).next().unwrap();
        assert_eq!(flags, FlagSet::parse("\\Seen"), "{to}: nobody gave it a keyword");
    }
}
