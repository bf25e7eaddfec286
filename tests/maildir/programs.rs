//! What other programs leave in a tree: names of every kind, files under one name, contents that change in place, trees
//! that are restored, directories that are renamed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::{Bed, Link};
use crate::support::dovecot::{Format, Options};
use crate::support::kind::{Kind, Server};
use crate::support::mail::{Made, Writer};
use crate::support::maildir::{Layout, Tree, in_file_form};
use crate::support::snapshot::digest;

const TREES: [Kind; 2] = [Kind::MaildirFs, Kind::MaildirPlusPlus];

fn bed(kind: Kind) -> Bed {
    Bed::between(Both { local: kind, remote: Kind::Dovecot })
}

fn write(path: &Path, token: &str) {
    fs::write(path, in_file_form(&Made::simple(token).body)).unwrap();
}

fn entries(path: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The file of the only message of a mailbox with that token.
pub(crate) fn file_of(bed: &Bed, mailbox: &str, token: &str) -> PathBuf {
    let home = bed.tree(Local).path(mailbox);
    let line = format!("X-Token: {token}");
    let holds =
        |path: &PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).lines().any(|it| it == line);
    let mut found = ["new", "cur"].into_iter().flat_map(|part| entries(&home.join(part))).filter(holds);
    let file = found.next().unwrap_or_else(|| panic!("no file holds {token}"));
    assert_eq!(found.next(), None, "another file holds {token}");
    file
}

#[test]
fn s138_names_of_every_kind_are_messages_and_keep_what_is_foreign_in_them() {
    let bed = bed(Kind::MaildirFs);
    let inbox = bed.tree(Local).path("INBOX");
    let names = [
        ("cur/a", "a", ""),
        ("cur/b:1,", "b", ""),
        ("cur/c:2,", "c", ""),
        ("cur/d:2,XZ", "d", ""),
        ("cur/e:2,SXF", "e", "\\flagged \\seen"),
        ("cur/f,U=5:2,S", "f", "\\seen"),
        ("cur/g,U=5:2,S", "g", "\\seen"),
        ("new/h,U=5", "h", ""),
        ("new/i:2,S", "i", "\\seen"),
        ("cur/j:2,SS", "j", "\\seen"),
        ("cur/k k\u{1}\u{fc}:2,R", "k", "\\answered"),
        ("cur/l!2,S", "l", ""),
        ("cur/m:2,S,more", "m", "\\seen"),
        ("cur/n:3,S", "n", ""),
    ];
    for (name, token, _) in names {
        write(&inbox.join(name), token);
    }
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    let there = bed.snapshot(Remote);
    for (name, token, flags) in names {
        assert!(inbox.join(name).exists(), "{name} stays as it is");
        assert_eq!(there.mailbox("INBOX").flags(token), flags, "{name}");
    }
    bed.check(there.mailbox("INBOX").messages.len() == names.len(), "none is doubled", &run);
    bed.check_idle();
    // A flag comes and goes: then the name says what it said.
    for command in ["+FLAGS (\\Draft)", "-FLAGS (\\Draft)"] {
        for (_, token, _) in names {
            bed.store(Remote, "INBOX", token, command);
        }
        let run = bed.sync();
        bed.check(run.status == 0 && run.numbers("copied") == [0, 0], "nothing is copied", &run);
    }
    let left: BTreeSet<String> =
        entries(&inbox.join("cur")).iter().map(|it| it.file_name().unwrap().to_string_lossy().into_owned()).collect();
    for name in ["d:2,XZ", "e:2,FSX", "f,U=5:2,S", "g,U=5:2,S", "m:2,S,more"] {
        assert!(left.contains(name), "{name} is not in {left:?}");
    }
    for (_, token, _) in names {
        bed.expunge(Remote, "INBOX", token);
    }
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    assert_eq!(bed.snapshot(Local).count(), 0, "{}", bed.tree(Local).listing());
    bed.check_idle();
}

#[test]
fn s138_files_that_share_a_unique_name_are_messages_of_their_own() {
    let bed = bed(Kind::MaildirFs);
    let inbox = bed.tree(Local).path("INBOX");
    // Two messages, and one that has two names for a moment.
    write(&inbox.join("cur/x:2,S"), "one");
    write(&inbox.join("cur/x:2,F"), "two and longer");
    write(&inbox.join("new/x"), "three and longer still");
    write(&inbox.join("new/y"), "four");
    fs::hard_link(inbox.join("new/y"), inbox.join("cur/y:2,S")).unwrap();
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    let tokens = |side: Side| bed.snapshot(side).mailbox("INBOX").tokens().iter().map(|it| (*it).to_owned()).collect();
    let there: Vec<String> = tokens(Remote);
    bed.check(there == ["four", "one", "three and longer still", "two and longer"], "each is there once", &run);
    bed.check_idle();
    fs::remove_file(inbox.join("new/y")).unwrap();
    for token in ["one", "two and longer", "three and longer still", "four"] {
        bed.store(Remote, "INBOX", token, "+FLAGS (\\Answered)");
    }
    bed.sync_well();
    bed.check_quiet();
    // The one that has the name goes, and the others stay.
    bed.expunge(Remote, "INBOX", "one");
    bed.sync_well();
    bed.check_quiet();
    let program = fs::remove_file(file_of(&bed, "INBOX", "two and longer"));
    assert!(program.is_ok());
    bed.sync_well();
    let left: Vec<String> = tokens(Remote);
    assert_eq!(left, ["four", "three and longer still"]);
    bed.check_quiet();
}

#[test]
fn s138_what_lies_in_tmp_is_no_message_and_only_what_is_old_and_ours_goes() {
    let bed = bed(Kind::MaildirFs);
    bed.put(Remote, "INBOX", "one");
    let tmp = bed.tree(Local).path("INBOX").join("tmp");
    write(&tmp.join("interimap-1.M1P1.host"), "ours");
    write(&tmp.join("1.M1P1.host"), "theirs");
    bed.put(Remote, "INBOX", "two");
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    assert_eq!(bed.snapshot(Remote).mailbox("INBOX").tokens(), ["one", "two"]);
    assert_eq!(entries(&tmp).len(), 2, "somebody may be at work there");
}

#[test]
fn s138_an_empty_file_is_named_and_the_rest_goes_on() {
    let bed = bed(Kind::MaildirFs);
    let inbox = bed.tree(Local).path("INBOX");
    fs::write(inbox.join("cur/empty:2,S"), "").unwrap();
    write(&inbox.join("cur/full:2,S"), "full");
    for _ in 0..2 {
        let run = bed.sync();
        bed.check(run.status == 1 && run.stderr.contains("empty"), "it must be named", &run);
        bed.check(bed.snapshot(Remote).mailbox("INBOX").tokens() == ["full"], "the rest goes on", &run);
        assert!(inbox.join("cur/empty:2,S").exists());
    }
    // Somebody fills it.
    write(&inbox.join("cur/empty:2,S"), "late");
    bed.put(Local, "INBOX", "more");
    let run = bed.run(&["repair"]);
    bed.check(bed.snapshot(Remote).mailbox("INBOX").tokens() == ["full", "late", "more"], "it is copied then", &run);
    let run = bed.sync();
    bed.check(run.status == 0, "nothing is left to be said", &run);
}

/// How a program changes a message that it must not change.
#[derive(Clone, Copy, Debug)]
enum Rewriting {
    /// The file is written over.
    InPlace,
    /// Another file gets the name.
    Replaced,
}

#[test]
fn a_message_that_was_given_other_contents_is_a_new_one() {
    for how in [Rewriting::InPlace, Rewriting::Replaced] {
        // Of as many octets, and of more.
        for token in ["twa", "two-and-more"] {
            let bed = bed(Kind::MaildirFs);
            for token in ["one", "two", "six"] {
                bed.put(Remote, "INBOX", token);
            }
            bed.sync_well();
            let file = file_of(&bed, "INBOX", "two");
            let text = in_file_form(&Made::simple(token).body);
            match how {
                Rewriting::InPlace => fs::write(&file, text).unwrap(),
                Rewriting::Replaced => {
                    let other = file.with_extension("other");
                    fs::write(&other, text).unwrap();
                    fs::rename(other, &file).unwrap();
                }
            }
            let story = format!("{how:?}, {token}");
            // Nobody reads it before there is a reason to: here the other side wants it gone.
            if matches!(how, Rewriting::InPlace) {
                bed.expunge(Remote, "INBOX", "two");
            }
            let mut reported = 0;
            let mut last = None;
            for _ in 0..3 {
                let run = bed.sync();
                reported += run.stderr.matches("other contents").count();
                last = Some(run);
            }
            let run = last.expect("there were three");
            bed.check(reported == 1, &format!("{story}: it was reported {reported} times"), &run);
            for side in Side::BOTH {
                let snapshot = bed.snapshot(side);
                let tokens = snapshot.mailbox("INBOX").tokens();
                let mut wanted = vec!["one", "six", token];
                wanted.sort_unstable();
                bed.check(tokens == wanted, &format!("{story}: {side} holds {tokens:?}"), &run);
            }
            bed.check_quiet();
        }
    }
}

#[test]
fn a_message_that_was_only_touched_is_the_one_it_was() {
    let bed = bed(Kind::MaildirFs);
    for token in ["one", "two"] {
        bed.put(Remote, "INBOX", token);
    }
    bed.sync_well();
    let there = bed.snapshot(Remote);
    for token in ["one", "two"] {
        let file = file_of(&bed, "INBOX", token);
        File::open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    }
    bed.put(Remote, "INBOX", "three");
    let run = bed.sync();
    bed.check(run.status == 0 && run.numbers("copied") == [1, 0], "nothing else is copied", &run);
    bed.expunge(Remote, "INBOX", "one");
    let run = bed.sync();
    bed.check(run.status == 0 && run.numbers("expunged") == [1, 0], "it is the one that was meant", &run);
    bed.check(!run.stderr.contains("contents"), "nothing was given other contents", &run);
    assert_eq!(bed.snapshot(Local).mailbox("INBOX").tokens(), ["three", "two"]);
    let date = |token: &str| bed.snapshot(Remote).mailbox("INBOX").message(token).content.date;
    assert_eq!(date("two"), there.mailbox("INBOX").message("two").content.date, "its date there is as it was");
}

#[test]
fn a_tree_that_was_restored_is_recognized() {
    for kind in TREES {
        for how in ["-a", "-r"] {
            let bed = bed(kind);
            bed.about(Remote, "CREATE {}", &["Work/deep"]);
            let mut writer = Writer::new("restored", 3);
            for mailbox in ["INBOX", "Work/deep"] {
                let letters: Vec<Made> = (0..30).map(|_| writer.write()).collect();
                bed.editor(Remote).append(mailbox, &letters, &["\\Seen"].into());
            }
            bed.sync_well();
            let root = bed.tree(Local).root();
            let copy = root.with_extension("copy");
            let copied = Command::new("cp").arg(how).args([&root, &copy]).status().unwrap();
            assert!(copied.success());
            fs::remove_dir_all(&root).unwrap();
            fs::rename(&copy, &root).unwrap();
            let run = bed.sync();
            for what in ["copied", "expunged", "moved", "created", "deleted", "renamed", "flagged"] {
                bed.check(run.numbers(what) == [0, 0], &format!("{kind:?}, cp {how}: nothing is {what}"), &run);
            }
            bed.check(run.status == 0, "the run must end well", &run);
            bed.check_idle();
            bed.expunge(Remote, "INBOX", "restored-00001");
            let run = bed.sync();
            bed.check(run.status == 0 && run.numbers("expunged") == [1, 0], "the right one goes", &run);
            assert!(!bed.snapshot(Local).mailbox("INBOX").tokens().contains(&"restored-00001"));
        }
    }
}

/// Text that line ends have been treated in every way in.
fn odd_bodies() -> Vec<(String, Vec<u8>)> {
    let head =
        |token: &str| format!("Subject: {token}\r\nX-Token: {token}\r\nMessage-ID: <{token}@x>\r\n\r\n").into_bytes();
    let mut bodies: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |token: &str, body: &[u8]| bodies.push((token.to_owned(), [head(token), body.to_vec()].concat()));
    add("plain", b"a\r\nb\r\n");
    add("barecr", b"a\rb\r\rc\r\n");
    add("noend", b"the last line has no end");
    add("nobody", b"");
    add("blank", b"\r\n\r\n\r\n");
    add("eightbit", b"D\xe9j\xe0 vu \xa9\xff\x80\r\n");
    add("long", &[&[b'x'; 70_000][..], b"\r\n"].concat());
    add("from", b"From here\r\n>From there\r\n.\r\n..\r\n");
    // The line ends fall on both sides of every border that pieces of a large message have.
    for shift in 0..4 {
        let mut body = vec![b'y'; shift];
        while body.len() < 700_000 {
            body.extend_from_slice(b"thirty-two octets with its ends\r\n");
        }
        add(&format!("large{shift}"), &body);
    }
    let mut body = Vec::new();
    while body.len() < 600_000 {
        body.extend_from_slice(b"\r\n");
    }
    add("largeblank", &body);
    bodies
}

fn check_octets(bed: &Bed, side: Side, bodies: &[(String, Vec<u8>)]) {
    let snapshot = bed.snapshot(side);
    for (token, body) in bodies {
        let content = &snapshot.mailbox("INBOX").message(token).content;
        assert_eq!(content.size, body.len(), "{token} on {side}");
        assert_eq!(content.digest, digest(body), "{token} on {side}");
    }
    assert_eq!(snapshot.mailbox("INBOX").messages.len(), bodies.len());
}

#[test]
fn s050_octets_go_down_and_up_as_they_are() {
    for local in TREES {
        // Down from a server, and across to another tree.
        let bodies = odd_bodies();
        let bed = bed(local);
        let mut client = bed.on(Remote);
        for (token, body) in &bodies {
            let letter =
                Made { token: token.clone(), date: " 2-Nov-2026 10:00:05 +0100".to_owned(), body: body.clone() };
            client.append("INBOX", &letter.plain());
        }
        let run = bed.sync_well();
        check_octets(&bed, Local, &bodies);
        // Up to another server: the same tree, and nothing else that is remembered.
        let mut up = Bed::between(Both { local, remote: Kind::Dovecot });
        up.servers.local = replace_tree(&bed, &mut up);
        up.sync_well();
        check_octets(&up, Remote, &bodies);
        bed.check(run.status == 0, "the run must end well", &run);
        bed.check_quiet();
    }
}

/// Puts the tree of one bed into another one.
fn replace_tree(from: &Bed, to: &mut Bed) -> Server {
    let (source, layout) = (from.tree(Local).root(), from.tree(Local).layout());
    let tree = Tree::plant(layout);
    fs::remove_dir_all(tree.root()).unwrap();
    let copied = Command::new("cp").arg("-a").args([source, tree.root()]).status().unwrap();
    assert!(copied.success());
    to.links.local = Link::Lines(tree.lines());
    Server::Maildir(tree)
}

#[test]
fn octets_go_from_files_to_files_as_they_are() {
    let bed = Bed::between(Both { local: Kind::MaildirFs, remote: Kind::MaildirPlusPlus });
    let mut bodies = odd_bodies();
    let crs = b"Subject: crs\r\nX-Token: crs\r\nMessage-ID: <crs@x>\r\n\r\na\r\r\nb\r\r\r\nc\r\n".to_vec();
    bodies.push(("crs".to_owned(), crs));
    let end = b"Subject: end\r\nX-Token: end\r\nMessage-ID: <end@x>\r\n\r\nit ends with CR\r".to_vec();
    bodies.push(("end".to_owned(), end));
    let nul = b"Subject: nul\r\nX-Token: nul\r\nMessage-ID: <nul@x>\r\n\r\na\0b\r\n\0".to_vec();
    bodies.push(("nul".to_owned(), nul));
    for (at, (token, body)) in bodies.iter().enumerate() {
        let letter = Made { token: token.clone(), date: " 2-Nov-2026 10:00:05 +0100".to_owned(), body: body.clone() };
        let side = if at % 2 == 0 { Local } else { Remote };
        bed.editor(side).append("INBOX", &[letter], &[].into());
    }
    bed.settle();
    for side in Side::BOTH {
        check_octets(&bed, side, &bodies);
    }
}

/// Dovecot makes one of several CRs before a LF, and leaves out one at the end: a message is the one that it was.
#[test]
fn what_a_server_makes_of_line_ends_copies_nothing_twice() {
    let bed = bed(Kind::MaildirFs);
    let cur = bed.tree(Local).path("INBOX").join("cur");
    fs::write(cur.join("crs:2,S"), "Subject: crs\nX-Token: crs\nMessage-ID: <crs@x>\n\na\r\r\nb\r\r\r\nc\n").unwrap();
    fs::write(cur.join("end:2,S"), "Subject: end\nX-Token: end\nMessage-ID: <end@x>\n\nit ends with CR\r").unwrap();
    let run = bed.sync();
    bed.check(run.status == 0 && run.numbers("copied") == [0, 2], "they are copied", &run);
    bed.check_idle();
    bed.lose_state();
    for _ in 0..2 {
        let run = bed.sync();
        bed.check(run.status == 0 && run.numbers("copied") == [0, 0], "they are recognized", &run);
    }
}

/// Bare LF cannot travel; what a tree holds of it comes there as CRLF.
#[test]
fn mixed_line_ends_of_files_arrive_as_those_of_the_wire() {
    let bed = bed(Kind::MaildirFs);
    let cur = bed.tree(Local).path("INBOX").join("cur");
    let head = "Subject: x\nX-Token: mixed\r\nMessage-ID: <mixed@x>\n\n";
    fs::write(cur.join("mixed:2,S"), format!("{head}a\nb\r\nd\re\n")).unwrap();
    fs::write(cur.join("wire:2,S"), Made::simple("wire").body).unwrap();
    let run = bed.settle();
    bed.check(run.numbers("copied") == [0, 2], "both are copied", &run);
    let there = bed.snapshot(Remote);
    let body = format!("{}a\r\nb\r\nd\re\r\n", head.replace("\r\n", "\n").replace('\n', "\r\n"));
    assert_eq!(there.mailbox("INBOX").message("mixed").content.digest, digest(body.as_bytes()));
    assert_eq!(there.mailbox("INBOX").message("wire").content.digest, digest(&Made::simple("wire").body));
}

#[test]
fn a_nul_in_a_file_arrives_or_is_named() {
    let bed = bed(Kind::MaildirFs);
    let cur = bed.tree(Local).path("INBOX").join("cur");
    fs::write(cur.join("nul:2,S"), "Subject: x\nX-Token: nul\nMessage-ID: <nul@x>\n\na\0b\n").unwrap();
    bed.put(Local, "INBOX", "one");
    let run = bed.sync();
    let there = bed.snapshot(Remote);
    let arrived = there.mailbox("INBOX").tokens().contains(&"nul");
    bed.check(arrived || run.status == 1 && run.stderr.contains("NUL"), "it arrives or is named", &run);
    bed.check(there.mailbox("INBOX").tokens().contains(&"one"), "the rest goes on", &run);
    if arrived {
        // That is how a server shows NUL to those who do not ask for BINARY.
        let body = b"Subject: x\r\nX-Token: nul\r\nMessage-ID: <nul@x>\r\n\r\na\x80b\r\n";
        assert_eq!(there.mailbox("INBOX").message("nul").content.digest, digest(body));
    }
}

#[test]
fn dates_go_both_ways_before_1970_and_after_2038() {
    let dates = [
        ("apollo", "20-Jul-1969 20:17:40 +0000", -14_182_940),
        ("last", "31-Dec-1969 23:59:59 +0000", -1),
        ("zero", " 1-Jan-1970 00:00:00 +0000", 0),
        ("future", "29-Feb-2040 12:00:00 +0000", 2_214_129_600),
        ("zone", " 1-Apr-2024 00:30:00 +0530", 1_711_911_600),
    ];
    let seconds = |path: &Path| fs::metadata(path).unwrap().mtime();
    let dated = |path: &Path, since: i64| {
        assert!(Command::new("touch").arg(format!("--date=@{since}")).arg(path).status().unwrap().success());
    };
    let across = Bed::between(Both { local: Kind::MaildirFs, remote: Kind::MaildirPlusPlus });
    for side in Side::BOTH {
        for (token, _, since) in dates {
            let file = across.tree(side).path("INBOX").join(format!("cur/{token}:2,S"));
            write(&file, &format!("{token}-of-{side}"));
            dated(&file, since);
        }
    }
    across.settle();
    for side in Side::BOTH {
        for (token, _, since) in dates {
            let there = across.snapshot(side.other());
            assert_eq!(there.mailbox("INBOX").message(&format!("{token}-of-{side}")).content.date, since, "{token}");
        }
    }
    // Dovecot takes what is yet to come for now, and remembers no date before 1970, although it shows it at first.
    let format = || Options { format: Format::Maildir, ..Options::default() };
    let mut bed = Bed::with(Both { local: format(), remote: format() });
    let tree = Tree::plant(Layout::Fs);
    bed.links.local = Link::Lines(tree.lines());
    bed.servers.local = Server::Maildir(tree);
    for (token, date, since) in dates {
        let file = bed.tree(Local).path("INBOX").join(format!("cur/{token}:2,S"));
        write(&file, &format!("up-{token}"));
        dated(&file, since);
        let letter = Made { date: date.to_owned(), ..Made::simple(&format!("down-{token}")) };
        bed.on(Remote).append("INBOX", &letter.plain());
    }
    let run = bed.sync();
    bed.check(run.status == 0 && run.numbers("copied") == [5, 5], "all are copied", &run);
    let sent = bed.proxies.remote.transcript();
    for (token, date, since) in dates {
        let down = seconds(&file_of(&bed, "INBOX", &format!("down-{token}")));
        assert!(down == since || since < 0 || token == "future", "{token} came at {down}");
        bed.check(token == "zone" || sent.contains(date.trim_start()), &format!("{date} is sent"), &run);
    }
    bed.check_idle();
}

/// Fills a mailbox on a server.
fn fill(bed: &Bed, mailbox: &str, count: usize) {
    bed.about(Remote, "CREATE {}", &[mailbox]);
    let name = mailbox.replace('/', "-");
    let letters: Vec<Made> = (0..count).map(|number| Made::simple(&format!("{name}-{number}"))).collect();
    bed.editor(Remote).append(mailbox, &letters, &[].into());
}

#[test]
fn a_renamed_directory_is_a_renamed_mailbox() {
    for kind in TREES {
        let bed = bed(kind);
        for mailbox in ["Work", "Work/deep", "Work/deep/er", "Other"] {
            fill(&bed, mailbox, 5);
        }
        bed.sync_well();
        let before = bed.snapshot(Remote);
        bed.editor(Local).rename("Work", "Archive/2026");
        // And somebody works on it before the program looks.
        bed.editor(Local).expunge("Archive/2026", "Work-0");
        bed.put(Local, "Archive/2026", "new");
        let run = bed.sync_well();
        bed.check(run.numbers("copied") == [0, 1], &format!("{kind:?}: only what is new is copied"), &run);
        bed.check(run.numbers("expunged") == [0, 1], &format!("{kind:?}: only what is gone goes"), &run);
        bed.check(run.numbers("deleted") == [0, 0], &format!("{kind:?}: nothing is deleted"), &run);
        let after = bed.snapshot(Remote);
        for (old, new) in
            [("Work", "Archive/2026"), ("Work/deep", "Archive/2026/deep"), ("Work/deep/er", "Archive/2026/deep/er")]
        {
            let (old, new) = (before.mailbox(old).uid_validity, after.mailbox(new).uid_validity);
            bed.check(old == new, &format!("{kind:?}: it is the one that it was"), &run);
        }
        bed.check(!after.names().contains(&"Work"), "the old name is gone", &run);
        bed.check_quiet();
        // And the other way round.
        let stamps = file_of(&bed, "Archive/2026/deep", "Work-deep-1");
        let inode = fs::metadata(stamps).unwrap().ino();
        bed.about(Remote, "RENAME {} {}", &["Archive/2026", "Elsewhere"]);
        let run = bed.sync_well();
        bed.check(run.numbers("copied") == [0, 0], &format!("{kind:?}: nothing is copied"), &run);
        let file = file_of(&bed, "Elsewhere/deep", "Work-deep-1");
        assert_eq!(fs::metadata(file).unwrap().ino(), inode, "the file itself was moved");
        bed.check_quiet();
    }
}

#[test]
fn two_directories_that_were_swapped_copy_nothing() {
    for kind in TREES {
        let bed = bed(kind);
        for mailbox in ["Work", "Other"] {
            fill(&bed, mailbox, 5);
        }
        bed.sync_well();
        let (one, other) = (bed.tree(Local).path("Work"), bed.tree(Local).path("Other"));
        let between = bed.tree(Local).root().with_extension("between");
        fs::rename(&one, &between).unwrap();
        fs::rename(&other, &one).unwrap();
        fs::rename(&between, &other).unwrap();
        bed.put(Local, "Work", "new");
        let run = bed.sync_well();
        bed.check(run.numbers("copied") == [0, 1], &format!("{kind:?}: only what is new is copied"), &run);
        let there = bed.snapshot(Remote);
        bed.check(there.mailbox("Work").tokens().contains(&"Other-3"), "they are swapped there", &run);
        bed.check(there.mailbox("Other").messages.len() == 5, "they are swapped there", &run);
        bed.check_quiet();
    }
}

#[test]
fn what_nobody_has_seen_lies_in_new() {
    for (kind, line) in [(Kind::MaildirFs, "fsync = false"), (Kind::MaildirPlusPlus, "fsync = true")] {
        let mut bed = bed(kind);
        let Link::Lines(lines) = &bed.links.local else { panic!("it is a tree") };
        bed.links.local = Link::Lines(format!("{lines}\n{line}"));
        bed.put(Remote, "INBOX", "one");
        bed.put_flagged(Remote, "INBOX", "two", "\\Seen");
        bed.put_flagged(Remote, "INBOX", "three", "todo");
        bed.sync_well();
        let part = |token: &str| {
            let file = file_of(&bed, "INBOX", token);
            file.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned()
        };
        assert_eq!([part("one"), part("two"), part("three")], ["new", "cur", "new"], "{kind:?}");
        bed.store(Remote, "INBOX", "one", "+FLAGS (\\Flagged)");
        bed.store(Remote, "INBOX", "two", "-FLAGS (\\Seen)");
        bed.settle();
        assert_eq!([part("one"), part("two")], ["cur", "cur"], "{kind:?}: what was taken up stays so");
    }
}
