//! What only a real server of its kind does. The numbers are those of the scenario list.

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::Bed;
use crate::support::kind::Kind;
use crate::support::mail::Made;

fn before(remote: Kind) -> Bed {
    Bed::between(Both { local: Kind::Dovecot, remote })
}

fn count(bed: &Bed, side: Side, mailbox: &str) -> usize {
    bed.snapshot(side).mailbox(mailbox).messages.len()
}

fn tokens(bed: &Bed, side: Side, mailbox: &str) -> Vec<String> {
    bed.snapshot(side).mailbox(mailbox).tokens().into_iter().map(str::to_owned).collect()
}

fn names(bed: &Bed, side: Side) -> Vec<String> {
    bed.snapshot(side).names().into_iter().map(str::to_owned).collect()
}

/// How many commands to a side ask for whole messages.
fn fetches(bed: &Bed, side: Side) -> usize {
    bed.proxies[side].commands().iter().filter(|command| command.contains("BODY.PEEK[])")).count()
}

/// Cyrus keeps ten copies of a message and refuses more with LIMIT.
#[test]
fn s023_the_eleventh_of_identical_messages_is_named_and_tried_again_when_asked_to() {
    let bed = before(Kind::CyrusRigorous);
    (0..11).for_each(|_| bed.put(Local, "INBOX", "same"));
    let run = bed.sync();
    bed.check(run.status == 1, "one is left out", &run);
    let skipped = run.report["skipped"].as_array().unwrap();
    bed.check(skipped.len() == 1, "one is named", &run);
    bed.check(skipped[0].to_string().contains("as many copies"), "and why", &run);
    for _ in 0..2 {
        assert_eq!((count(&bed, Local, "INBOX"), count(&bed, Remote, "INBOX")), (11, 10));
        let run = bed.sync();
        bed.check(run.report["skipped"].as_array().is_some_and(|all| all.len() == 1), "it stays named", &run);
        for side in Side::BOTH {
            bed.check(bed.proxies[side].writes().is_empty(), &format!("{side} is written to"), &run);
        }
    }
    // One that has its copy goes with it; there is room then for the one that has none.
    let mut client = bed.on(Remote);
    client.select("INBOX");
    let uid = client.search("ALL")[0];
    client.run(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
    client.expunge(uid);
    drop(client);
    bed.sync();
    assert_eq!((count(&bed, Local, "INBOX"), count(&bed, Remote, "INBOX")), (10, 9));
    let run = bed.run(&["repair"]);
    bed.check(run.number(Remote, "copied") == 1, "repair tries it again", &run);
    bed.check_quiet();
    assert_eq!(count(&bed, Remote, "INBOX"), 10);
}

#[test]
fn s041_a_header_that_the_server_rewrites_is_neither_sent_again_nor_fetched_back() {
    let bed = before(Kind::CyrusRigorous);
    let mut made = Made::simple("eight-bit");
    let text = String::from_utf8(made.body).unwrap().replace("Subject: About", "Subject: Grüße über");
    made.body = text.into_bytes();
    bed.on(Local).append("INBOX", &made.flagged("\\Flagged"));
    let run = bed.sync();
    bed.check(run.status == 0, "it is taken", &run);
    assert_eq!((fetches(&bed, Local), fetches(&bed, Remote)), (1, 0));
    let held = Both::from_fn(|side| bed.snapshot(side).mailbox("INBOX").message("eight-bit").content.clone());
    assert_eq!(held.local.size, held.remote.size);
    assert_ne!(held.local.digest, held.remote.digest, "the server has rewritten it");
    let rests = |what: &str| {
        let run = bed.sync();
        bed.check(run.status == 0, what, &run);
        assert_eq!((fetches(&bed, Local), fetches(&bed, Remote)), (0, 0), "{what}: nothing is fetched again");
        for side in Side::BOTH {
            bed.check(bed.proxies[side].writes().is_empty(), &format!("{what}: {side} is written to"), &run);
            assert_eq!(count(&bed, side, "INBOX"), 1, "{what}");
        }
    };
    rests("a second run");
    // Known again by what the server did not rewrite.
    bed.lose_state();
    rests("without its memory");
    bed.store(Remote, "INBOX", "eight-bit", "+FLAGS (\\Seen)");
    bed.sync();
    assert_eq!(bed.snapshot(Local).mailbox("INBOX").flags("eight-bit"), "\\flagged \\seen");
    bed.expunge(Local, "INBOX", "eight-bit");
    bed.sync();
    assert_eq!(count(&bed, Remote, "INBOX"), 0);
}

#[test]
fn s109_mailboxes_of_others_are_neither_copied_nor_missed() {
    let bed = before(Kind::Cyrus);
    bed.put(Remote, "INBOX", "mine");
    bed.sync_well();
    let mut other = bed.servers.remote.witness_of("bob");
    other.about("CREATE {}", &["shared"]);
    other.append("shared", &Made::simple("theirs").plain());
    for rights in ["lrswipkxtecda", ""] {
        other.run(&match rights {
            "" => "DELETEACL shared alice".to_owned(),
            rights => format!("SETACL shared alice {rights}"),
        });
        assert_eq!(names(&bed, Remote).iter().any(|name| name.ends_with("bob/shared")), !rights.is_empty());
        let run = bed.sync();
        bed.check(run.status == 0, "what is out of scope is no trouble", &run);
        assert_eq!(names(&bed, Local), ["INBOX"], "rights {rights:?}\n{}", bed.explain(&run));
        assert_eq!(tokens(&bed, Local, "INBOX"), ["mine"]);
    }
    other.select("shared");
    assert_eq!(other.search("ALL").len(), 1);
}

/// Courier with IMAP_MOVE_EXPUNGE_TO_TRASH, as Gmail: the message that is expunged turns up in the trash.
#[test]
fn s149_what_the_server_puts_into_its_trash_is_new_mail_there_and_comes_to_rest() {
    let bed = before(Kind::CourierTrash);
    bed.about(Remote, "CREATE {}", &["Trash"]);
    for token in ["one", "two", "three"] {
        bed.put(Local, "INBOX", token);
    }
    bed.sync_well();
    bed.expunge(Local, "INBOX", "one");
    bed.sync();
    assert_eq!(tokens(&bed, Remote, "Trash"), ["one"], "the server has put it there");
    bed.settle();
    assert_eq!(tokens(&bed, Local, "Trash"), ["one"]);
    // The user of the server itself expunges.
    bed.expunge(Remote, "INBOX", "two");
    bed.settle();
    for side in Side::BOTH {
        assert_eq!(tokens(&bed, side, "INBOX"), ["three"], "{side}");
        assert_eq!(tokens(&bed, side, "Trash"), ["one", "two"], "{side}");
    }
    // In the trash an expunge is one.
    bed.expunge(Local, "Trash", "one");
    bed.expunge(Remote, "Trash", "two");
    bed.settle();
    for side in Side::BOTH {
        assert_eq!(tokens(&bed, side, "Trash"), [""; 0], "{side}");
    }
}
