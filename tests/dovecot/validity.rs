//! What happens when a server gives a mailbox a new UIDVALIDITY. The numbers are those of the scenario list.

use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::{Bed, Run};
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
    client.about("CREATE {}", &["box"]);
    for message in &messages {
        let flags: Vec<&str> = message.flags.iter().map(String::as_str).collect();
        let flags = flags.join(" ");
        let again = crate::support::imap::Appended { flags: &flags, date: Some(&message.date), body: &message.body };
        client.append("box", &again);
    }
    assert_ne!(client.examine("box"), before, "a mailbox made anew has a new UIDVALIDITY");
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
