//! The trees themselves, before the program comes into it: programs work on them as they do, and a Dovecot sees the same in
//! them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use interimap::mail::{Both, Side};

use crate::support::dovecot::{Dovecot, Format, Options, USER};
use crate::support::editor::Editor;
use crate::support::host::MailAccount;
use crate::support::imap::Client;
use crate::support::kind::{Kind, Server};
use crate::support::mail::{Made, Writer};
use crate::support::maildir::names::Style;
use crate::support::maildir::{Change, Layout, Tree};
use crate::support::snapshot::{Snapshot, Teller};

const LAYOUTS: [Layout; 2] = [Layout::Fs, Layout::PlusPlus];

/// What a Dovecot finds in a copy of a tree.
fn as_dovecot_sees_it(tree: &Tree) -> (Snapshot, String) {
    let extra = match tree.layout() {
        Layout::Fs => "mail_location = maildir:~/Maildir:LAYOUT=fs:INBOX=~/Maildir/INBOX:UTF-8\n".to_owned(),
        Layout::PlusPlus => String::new(),
    };
    let dovecot = Dovecot::start(Options { format: Format::Maildir, extra, ..Options::default() });
    let home = dovecot.home(USER);
    fs::create_dir(&home).unwrap();
    let copied = Command::new("cp").arg("-a").arg(tree.root()).arg(home.join("Maildir")).status().unwrap();
    assert!(copied.success(), "the tree was not copied");
    // What Dovecot would believe to be its own, and what it would believe to be a mailbox.
    let _ = fs::remove_dir_all(home.join("Maildir/.notmuch"));
    for directory in [home.join("Maildir"), home.join("Maildir/INBOX")] {
        for name in ["dovecot-uidlist", "dovecot.index.log"] {
            let _ = fs::remove_file(directory.join(name));
        }
    }
    give(&home);
    let mut client: Client = dovecot.witness_of(USER);
    (Snapshot::take(&mut client), dovecot.log())
}

fn give(path: &Path) {
    MailAccount::ours().give(path);
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
    }
}

/// Edits by programs, for as long as it takes to have done everything once.
fn edited(kind: Kind, seed: u64) -> Server {
    let server = kind.start();
    let mut editor = Editor::on(Both::from_fn(|_| kind), seed);
    for _ in 0..3 {
        editor.edit_as(&[Side::Local], &mut Both::from_fn(|_| server.editor_of(USER)), 60);
        let snapshot = server.snapshot_of(USER);
        assert_eq!(editor.surprises(&snapshot), "", "{}", editor.log());
        editor.adopt(&snapshot);
    }
    let tree = server.tree().expect("it is a tree");
    assert_eq!(tree.harm() + &tree.leftovers(), "", "{}", editor.log());
    assert!(server.snapshot_of(USER).count() > 20);
    println!("{kind:?}, seed {seed}: {} operations", editor.operations());
    server
}

#[test]
fn programs_do_what_the_editor_expects() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        (1..=10).for_each(|seed| drop(edited(kind, seed)));
    }
}

#[test]
fn dovecot_sees_the_same_in_a_tree() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let server = edited(kind, 77);
        let tree = server.tree().expect("it is a tree");
        let mut ours = tree.snapshot();
        // Dovecot makes nothing of P.
        let all = ours.mailboxes.values_mut().flat_map(|mailbox| &mut mailbox.messages);
        all.for_each(|message| _ = message.content.flags.remove("$forwarded"));
        let (theirs, log) = as_dovecot_sees_it(tree);
        assert_eq!(ours.difference(&theirs, ["ours", "theirs"]), "", "{kind:?}\n{log}{}", tree.listing());
        ours.mailboxes.get_mut("INBOX").unwrap().messages.pop();
        assert_ne!(ours.difference(&theirs, ["ours", "theirs"]), "", "a message less is a difference");
    }
}

#[test]
fn dovecot_sees_the_same_keywords_in_a_tree() {
    let tree = Tree::plant(Layout::PlusPlus);
    fs::write(tree.path("INBOX").join("dovecot-keywords"), "0 $Junk\n1 todo\n").unwrap();
    let file = tree.program().deliver("INBOX", &Made::simple("one"), &BTreeSet::from(["\\Seen"]));
    fs::rename(&file, format!("{}b", file.display())).unwrap();
    let ours = tree.snapshot();
    assert_eq!(ours.mailbox("INBOX").flags("one"), "\\seen todo");
    assert_eq!(ours.mailbox("INBOX").teller, Teller::FilesWithKeywords);
    // A program that knows nothing of keywords leaves their letters alone.
    tree.program().flag("INBOX", "one", Change::Set, "\\Flagged");
    let (theirs, log) = as_dovecot_sees_it(&tree);
    assert_eq!(theirs.mailbox("INBOX").flags("one"), "\\flagged \\seen todo", "{log}");
    assert_eq!(tree.snapshot().difference(&theirs, ["ours", "theirs"]), "");
}

#[test]
fn every_style_of_names_is_delivered_flagged_moved_and_copied() {
    for layout in LAYOUTS {
        let tree = Tree::plant(layout);
        let mut program = tree.program();
        let mut writer = Writer::new("style", 1);
        program.create("Größe/x");
        for style in Style::ALL {
            let letter = writer.write();
            program.deliver_as(style, "INBOX", &letter, &BTreeSet::new());
            program.notice("INBOX");
            program.flag("INBOX", &letter.token, Change::Set, "\\Seen");
            program.flag("INBOX", &letter.token, Change::Set, "\\Deleted");
            program.copy("INBOX", &letter.token, "Größe/x");
            program.flag("INBOX", &letter.token, Change::Clear, "\\Deleted");
            let snapshot = tree.snapshot();
            assert_eq!(snapshot.mailbox("INBOX").flags(&letter.token), "\\seen", "{layout:?}, {style:?}");
            assert_eq!(snapshot.mailbox("Größe/x").flags(&letter.token), "\\deleted \\seen", "{layout:?}, {style:?}");
            program.unlink("Größe/x", &letter.token);
            program.relocate("INBOX", &letter.token, "Größe/x");
            let snapshot = tree.snapshot();
            assert_eq!(snapshot.mailbox("Größe/x").flags(&letter.token), "\\seen", "{layout:?}, {style:?}");
            assert!(!snapshot.mailbox("INBOX").tokens().contains(&letter.token.as_str()));
        }
        assert_eq!(tree.program().tokens("Größe/x").len(), Style::ALL.len());
        assert_eq!(tree.harm() + &tree.leftovers(), "");
    }
}

#[test]
fn a_tree_shows_what_was_touched_in_it() {
    let tree = Tree::plant(Layout::Fs);
    tree.program().deliver("INBOX", &Made::simple("one"), &BTreeSet::from(["\\Seen"]));
    let mut watch = tree.watch();
    let before = tree.stamps();
    assert_eq!(before.difference(&tree.stamps()), "");
    assert_eq!(watch.seen(), 0);
    tree.program().flag("INBOX", "one", Change::Set, "\\Flagged");
    assert!(before.difference(&tree.stamps()).contains(":2,FS"));
    assert!(watch.seen() > 0);
    fs::write(tree.path("INBOX").join("dovecot-uidlist"), "3 V1 N1\n").unwrap();
    assert!(tree.harm().contains("dovecot-uidlist"));
}
