//! A Dovecot serves the very tree that the program works on, and its users go on: flags and keywords of both come to all.

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::{Bed, Link, Run};
use crate::support::dovecot::{Format, Options, USER};
use crate::support::imap::Client;
use crate::support::mail::{Made, Writer};
use crate::support::maildir::{Layout, snapshot_of};
use crate::support::random::Random;
use crate::support::rounds::NO_GUARD;
use crate::support::scale;

const MAILBOXES: [&str; 2] = ["INBOX", "Work"];

const FLAGS: [&str; 8] = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "todo", "$Junk", "later", "Work-2"];

/// A tree that a Dovecot serves as well, and another Dovecot.
fn bed(keywords: &str) -> Bed {
    let served = Options { format: Format::Maildir, ..Options::default() };
    let mut bed = Bed::with(Both { local: served, remote: Options::default() });
    // Its users come first.
    bed.on(Local).examine("INBOX");
    let path = bed.servers.local.home(USER).join("Maildir");
    let path = path.display();
    bed.links.local = Link::Lines(format!(
        "type = \"maildir\"\npath = \"{path}\"\nlayout = \"maildir++\"\nkeywords = \"{keywords}\""
    ));
    bed.settings = NO_GUARD.to_owned();
    bed.run_as_the_mail_account();
    bed
}

/// What the Dovecot beside the program shows, the other side, and the files themselves.
fn check_all_alike(bed: &Bed, run: &Run) {
    bed.check_equal(run);
    let files = snapshot_of(&bed.servers.local.home(USER).join("Maildir"), Layout::PlusPlus);
    let difference = files.difference(&bed.snapshot(Remote), ["files", "remote"]);
    bed.check(difference.is_empty(), &format!("the files differ:\n{difference}"), run);
    let served = files.difference(&bed.snapshot(Local), ["files", "served"]);
    bed.check(served.is_empty(), &format!("what is served differs:\n{served}"), run);
}

/// Edits once, in whatever is there by now.
fn edit(client: &mut Client, random: &mut Random, writer: &mut Writer) {
    let mailbox = *random.pick(&MAILBOXES).expect("there are two");
    let kind = random.below(10);
    if kind < 2 {
        let letter = writer.write();
        let flag = ["", "\\Seen", "todo", "later \\Flagged"][usize::try_from(random.below(4)).unwrap()];
        client.append(mailbox, &letter.flagged(flag));
        return;
    }
    client.select(mailbox);
    let uids = client.search("ALL");
    if let Some(uid) = random.pick(&uids) {
        match kind {
            2 => client.expunge(*uid),
            3 => client.relocate(*uid, if mailbox == "INBOX" { "Work" } else { "INBOX" }),
            _ => {
                let flag = random.pick(&FLAGS).expect("there are some");
                let sign = if random.percent(60) { '+' } else { '-' };
                client.run(&format!("UID STORE {uid} {sign}FLAGS ({flag})"));
            }
        }
    }
    client.unselect();
}

#[test]
fn a_dovecot_beside_the_program_sees_all_and_is_seen() {
    for (seed, keywords) in [(1, "dovecot"), (2, "index")] {
        let bed = bed(keywords);
        let mut random = Random::new(seed);
        let mut writer = Writer::new("beside", seed);
        bed.about(Local, "CREATE {}", &["Work"]);
        for mailbox in MAILBOXES {
            for side in Side::BOTH {
                let letters: Vec<Made> = (0..8).map(|_| writer.write()).collect();
                bed.editor(side).append(mailbox, &letters, &["todo"].into());
                if side == Local && mailbox == "INBOX" {
                    // That makes the other one's mailbox.
                    bed.sync();
                }
            }
        }
        let mut clients = Both::from_fn(|side| bed.on(side));
        for _ in 0..4 * scale() {
            for side in Side::BOTH {
                (0..6).for_each(|_| edit(&mut clients[side], &mut random, &mut writer));
            }
            let mut running = bed.start(&["sync"]);
            // Not for as long as it runs: it waits for a moment in which nobody edits.
            for _ in 0..10 {
                if running.runs() {
                    edit(&mut clients[Local], &mut random, &mut writer);
                }
            }
            let run = running.finish();
            bed.check((0..=1).contains(&run.status), "the run must end by itself", &run);
        }
        let mut last = bed.sync();
        for _ in 0..2 {
            last = bed.sync();
        }
        bed.check(last.status == 0, "the run must end well", &last);
        check_all_alike(&bed, &last);
        bed.check_quiet();
    }
}

/// There are 26 letters.
#[test]
fn keywords_beyond_26_are_kept_and_none_is_taken_off() {
    let bed = bed("dovecot");
    let keywords: Vec<String> = (0..30).map(|number| format!("k{number:02}")).collect();
    bed.put_flagged(Remote, "INBOX", "many", &keywords.join(" "));
    bed.put_flagged(Remote, "INBOX", "few", "k29 k00");
    for _ in 0..3 {
        let run = bed.sync();
        bed.check(run.status == 0, "the run must end well", &run);
    }
    assert_eq!(bed.snapshot(Remote).mailbox("INBOX").flags("many"), keywords.join(" "));
    let shown = bed.snapshot(Local);
    assert_eq!(shown.mailbox("INBOX").flags("many").split(' ').count(), 26);
    assert_eq!(shown.mailbox("INBOX").flags("many"), keywords[..26].join(" "));
    // What has no letter can be taken off there, and what has one here.
    bed.store(Remote, "INBOX", "many", "-FLAGS (k28)");
    bed.store(Local, "INBOX", "many", "-FLAGS (k01)");
    bed.store(Local, "INBOX", "few", "+FLAGS (\\Seen)");
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    let there = bed.snapshot(Remote);
    let left: Vec<&str> = keywords.iter().map(String::as_str).filter(|it| !["k01", "k28"].contains(it)).collect();
    assert_eq!(there.mailbox("INBOX").flags("many"), left.join(" "));
    assert_eq!(there.mailbox("INBOX").flags("few"), "\\seen k00 k29");
    bed.check_idle();
}
