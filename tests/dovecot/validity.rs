//! What happens when a server gives a mailbox a new UIDVALIDITY. The numbers are those of the scenario list.

use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::{Bed, Run};
use crate::support::dovecot::{Dovecot, Options};
use crate::support::imap::{Appended, Client, Fetched};
use crate::support::mail::Writer;
use crate::support::snapshot::Snapshot;

/// Both sides in line with some mail in `box`, flags and all.
fn in_line() -> Bed {
    let bed = Bed::new();
    let mut writer = Writer::new("v", 52);
    let mut client = bed.on(Local);
    client.about("CREATE {}", &["box"]);
    for number in 0..30 {
        let flags = if number % 3 == 0 { "\\Seen" } else { "" };
        client.append("box", &writer.write().flagged(flags));
    }
    drop(client);
    bed.sync_well();
    bed
}

/// Makes the mailbox anew, with the same messages.
fn make_anew(bed: &Bed, side: Side) {
    let mut client = bed.on(side);
    let before = client.select("box");
    let messages = client.fetch_all();
    client.run("UNSELECT");
    client.about("DELETE {}", &["box"]);
    fill(&mut client, &messages);
    assert_ne!(client.examine("box"), before, "a mailbox made anew has a new UIDVALIDITY");
}

fn fill(client: &mut Client, messages: &[Fetched]) {
    client.about("CREATE {}", &["box"]);
    for message in messages {
        let flags: Vec<&str> = message.flags.iter().map(String::as_str).collect();
        let again = Appended { flags: &flags.join(" "), date: Some(&message.date), body: &message.body };
        client.append("box", &again);
    }
}

fn nothing_travels(bed: &Bed, run: &Run) {
    for side in Side::BOTH {
        let writes = bed.proxies[side].writes();
        bed.check(writes.is_empty(), &format!("{side} is written to: {writes:?}"), run);
    }
}

#[test]
fn s052_messages_are_known_again_after_a_new_uid_validity() {
    for side in Side::BOTH {
        let bed = in_line();
        make_anew(&bed, side);
        let run = bed.sync_well();
        nothing_travels(&bed, &run);
        bed.check_quiet();
    }
}

#[test]
fn s052_a_uid_validity_that_changes_under_the_same_messages_costs_nothing_either() {
    let bed = in_line();
    bed.servers.remote.doveadm(&["mailbox", "update", "-u", bed.user, "--uid-validity", "4242", "box"]);
    let run = bed.sync_well();
    nothing_travels(&bed, &run);
    bed.check_quiet();
}

#[test]
fn s053_the_same_on_both_sides_at_once() {
    let bed = in_line();
    for side in Side::BOTH {
        make_anew(&bed, side);
    }
    let run = bed.sync_well();
    nothing_travels(&bed, &run);
    bed.check_quiet();
}

#[test]
fn s054_what_users_did_meanwhile_is_carried_over_once_the_messages_are_known_again() {
    let bed = in_line();
    make_anew(&bed, Remote);
    let before = bed.snapshot(Local);
    let token = before.mailbox("box").messages[7].content.token.clone();
    bed.store(Local, "box", &token, "+FLAGS (\\Flagged todo)");
    bed.put(Local, "box", "new, local");
    bed.put(Remote, "box", "new, remote");
    let run = bed.settle();
    assert_eq!(run.numbers("copied"), [1, 1]);
    let after: Snapshot = bed.snapshot(Remote);
    assert_eq!(after.mailbox("box").messages.len(), 32);
    assert!(after.mailbox("box").flags(&token).contains("todo"));
}

#[test]
fn s055_a_uid_validity_that_decreases_and_comes_back_is_another_one_each_time() {
    let bed = in_line();
    let validity = |bed: &Bed| bed.on(Remote).examine("box");
    let first = validity(&bed);
    for (number, next) in [4242, first, 4242, first].into_iter().enumerate() {
        bed.servers.remote.doveadm(&["mailbox", "update", "-u", bed.user, "--uid-validity", &next.to_string(), "box"]);
        assert_eq!(validity(&bed), next);
        let before = bed.snapshot(Local);
        let messages = &before.mailbox("box").messages;
        let (gone, changed) = (&messages[0].content.token, &messages[1].content.token);
        bed.put(Remote, "box", &format!("new {number}"));
        bed.store(Local, "box", changed, "+FLAGS (\\Flagged)");
        bed.expunge(Local, "box", gone);
        let run = bed.settle();
        assert_eq!((run.numbers("copied"), run.numbers("expunged")), ([1, 0], [0, 1]), "{}", bed.explain(&run));
        assert!(bed.snapshot(Remote).mailbox("box").flags(changed).contains("flagged"));
    }
}

#[test]
fn s120_another_server_with_the_same_mail_takes_over() {
    let bed = in_line();
    let mut client = bed.on(Remote);
    client.examine("box");
    let messages = client.fetch_all();
    let successor = Dovecot::start(Options::default());
    fill(&mut successor.witness_of(bed.user), &messages);
    bed.proxies.remote.point_at(successor.port());
    bed.put(Local, "box", "meanwhile");
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    assert_eq!((run.numbers("copied"), run.numbers("expunged")), ([0, 1], [0, 0]), "{}", bed.explain(&run));
    let run = bed.sync();
    nothing_travels(&bed, &run);
    // And back.
    bed.proxies.remote.point_at(bed.servers.remote.port());
    let run = bed.settle();
    assert_eq!((run.numbers("copied"), run.numbers("expunged")), ([0, 1], [0, 0]), "{}", bed.explain(&run));
}

/// In line, backed up, in line again with mail that the backup does not hold, and restored from the backup.
fn restored(side: Side) -> Bed {
    let mut bed = in_line();
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    bed.back_up(side, &backup);
    for number in 0..3 {
        bed.put(Local, "box", &format!("after the backup {number}, local"));
        bed.put(Remote, "box", &format!("after the backup {number}, remote"));
    }
    let token = bed.snapshot(Local).mailbox("box").messages[0].content.token.clone();
    bed.store(Local, "box", &token, "+FLAGS (\\Answered)");
    bed.sync_well();
    bed.back_up(side, &backup);
    bed
}

#[test]
fn s136_a_server_restored_from_a_backup_gets_back_what_it_lost() {
    for side in Side::BOTH {
        let bed = restored(side);
        let run = bed.settle();
        assert_eq!(run.number(side, "copied"), 6, "{}", bed.explain(&run));
        assert_eq!(run.number(side.other(), "copied"), 0);
        assert_eq!(run.numbers("expunged"), [0, 0]);
    }
}

#[test]
fn s136_also_where_new_mail_has_taken_the_numbers_of_what_it_lost() {
    for side in Side::BOTH {
        let bed = restored(side);
        for number in 0..9 {
            bed.put(side, "box", &format!("after the restoration {number}"));
        }
        let run = bed.settle();
        assert_eq!(run.number(side, "copied"), 6, "{}", bed.explain(&run));
        assert_eq!(run.number(side.other(), "copied"), 9);
        assert_eq!(run.numbers("expunged"), [0, 0]);
        assert_eq!(bed.snapshot(Local).mailbox("box").messages.len(), 45);
    }
}
