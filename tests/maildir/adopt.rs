//! Trees that mbsync and OfflineIMAP have filled from a server: the first run pairs everything and copies nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use interimap::mail::Both;
use interimap::mail::Side::{Local, Remote};

use crate::support::bed::{Bed, Run};
use crate::support::imap::Appended;
use crate::support::kind::Kind;
use crate::support::mail::{Made, Writer};
use crate::support::maildir::names::Style;
use crate::support::snapshot::Snapshot;

const MAILBOXES: [&str; 3] = ["INBOX", "Lists/rust", "Archive/2025"];

const FLAGS: [&str; 4] = ["", "\\Seen", "\\Seen \\Answered", "\\Flagged"];

/// When the other program fetched all that, in seconds of Unix time: neither keeps INTERNALDATE unless it is told to.
const FETCHED: &str = " 3-Nov-2026 08:00:00 +0000";

/// What becomes of a message on its way into the tree.
type Fetch = fn(&Made) -> Made;

fn as_it_is(letter: &Made) -> Made {
    letter.clone()
}

fn dated_when_fetched(letter: &Made) -> Made {
    Made { date: FETCHED.to_owned(), ..letter.clone() }
}

/// mbsync puts twelve characters into the header of everything that it copies.
fn with_a_mark(letter: &Made) -> Made {
    let mut letter = dated_when_fetched(letter);
    let at = letter.body.windows(4).position(|octets| octets == b"\r\n\r\n").expect("a header has an end") + 2;
    letter.body.splice(at..at, format!("X-TUID: {:.12}\r\n", format!("{}AbCdEf012+/=", letter.token)).into_bytes());
    letter
}

/// A Dovecot, and a tree that holds as much in that style.
fn filled(kind: Kind, style: Style, fetch: Fetch) -> Bed {
    let bed = Bed::between(Both { local: kind, remote: Kind::Dovecot });
    let (mut client, tree) = (bed.on(Remote), bed.tree(Local));
    let mut program = tree.program();
    let mut writer = Writer::new("adopted", 5);
    for mailbox in MAILBOXES {
        if mailbox != "INBOX" {
            client.about("CREATE {}", &[mailbox]);
            program.create(mailbox);
        }
        let mut letters: Vec<Made> = (0..30).map(|_| writer.write()).collect();
        // Some mail is there twice.
        letters.push(letters[4].clone());
        for (letter, flags) in letters.iter().zip(FLAGS.iter().cycle()) {
            client.append(mailbox, &Appended { flags, date: Some(&letter.date), body: &letter.body });
            let flags: BTreeSet<&str> = flags.split_whitespace().collect();
            program.deliver_as(style, mailbox, &fetch(letter), &flags);
        }
        // In INBOX such files are already.
        if style == Style::Mbsync && mailbox != "INBOX" {
            let mut state = "FarUidValidity 1\nNearUidValidity 1700000000\nMaxPulledUid 31\n\n".to_owned();
            (1..=31).for_each(|uid| _ = writeln!(state, "{uid} {uid} S"));
            fs::write(tree.path(mailbox).join(".mbsyncstate"), state).unwrap();
            fs::write(tree.path(mailbox).join(".uidvalidity"), "1700000000\n31\n").unwrap();
        }
    }
    bed
}

/// Runs `sync` for the first time, over sides that are alike.
fn adopt(bed: &Bed) -> Run {
    let before = bed.tree(Local).snapshot();
    let stamps = bed.tree(Local).stamps();
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    for what in ["copied", "expunged", "moved", "flagged", "created", "deleted", "renamed"] {
        bed.check(run.numbers(what) == [0, 0], &format!("nothing is {what}"), &run);
    }
    let difference = stamps.difference(&bed.tree(Local).stamps());
    bed.check(difference.is_empty(), &format!("files are touched:\n{difference}"), &run);
    let after = bed.tree(Local).snapshot();
    bed.check(before.difference(&after, ["before", "after"]).is_empty(), "the tree is as it was", &run);
    bed.check_idle();
    run
}

/// What all these programs leave as it is: which messages there are, and their flags.
fn tokens_and_flags(snapshot: &Snapshot) -> Vec<(String, String, BTreeSet<String>)> {
    let mut all = Vec::new();
    for (name, mailbox) in &snapshot.mailboxes {
        let contents = mailbox.messages.iter().map(|message| &message.content);
        all.extend(contents.map(|content| (name.clone(), content.token.clone(), content.flags.clone())));
    }
    all.sort();
    all
}

/// Changes on either side go where they belong, which shows that the right messages were paired.
fn check_pairs(bed: &Bed) {
    let mut user = bed.editor(Local);
    let tokens: Vec<String> = bed.snapshot(Local).mailbox("INBOX").tokens().into_iter().map(str::to_owned).collect();
    // What is there twice cannot be told apart.
    let tokens: Vec<&String> =
        tokens.iter().filter(|token| tokens.iter().filter(|other| other == token).count() == 1).collect();
    user.expunge("INBOX", tokens[0]);
    user.relocate("INBOX", tokens[1], "Lists/rust");
    bed.store(Remote, "INBOX", tokens[2], "+FLAGS (\\Draft)");
    bed.expunge(Remote, "INBOX", tokens[3]);
    let run = bed.sync();
    bed.check(run.status == 0 && run.numbers("copied") == [0, 0], "only what has changed is changed", &run);
    let found = Both::from_fn(|side| tokens_and_flags(&bed.snapshot(side)));
    bed.check(found.local == found.remote, &format!("{:?}\nis not {:?}", found.local, found.remote), &run);
    assert_eq!(found.local.len(), MAILBOXES.len() * 31 - 2);
    bed.check_idle();
}

#[test]
fn a_tree_that_mbsync_filled_is_paired_and_nothing_is_copied() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let bed = filled(kind, Style::Mbsync, as_it_is);
        let run = adopt(&bed);
        bed.check_equal(&run);
        check_pairs(&bed);
    }
}

#[test]
fn a_tree_that_mbsync_filled_without_arrival_dates_is_paired_and_nothing_is_copied() {
    let bed = filled(Kind::MaildirFs, Style::Mbsync, dated_when_fetched);
    adopt(&bed);
    check_pairs(&bed);
}

#[test]
fn a_tree_that_mbsync_filled_with_marks_in_headers_is_paired_and_nothing_is_copied() {
    let bed = filled(Kind::MaildirFs, Style::Mbsync, with_a_mark);
    adopt(&bed);
    check_pairs(&bed);
}

#[test]
fn a_tree_that_offlineimap_filled_is_paired_and_nothing_is_copied() {
    for kind in [Kind::MaildirFs, Kind::MaildirPlusPlus] {
        let bed = filled(kind, Style::Offlineimap, as_it_is);
        let run = adopt(&bed);
        bed.check_equal(&run);
        check_pairs(&bed);
    }
}

#[test]
fn a_tree_that_offlineimap_filled_without_arrival_dates_is_paired_and_nothing_is_copied() {
    let bed = filled(Kind::MaildirFs, Style::Offlineimap, dated_when_fetched);
    adopt(&bed);
    check_pairs(&bed);
}
