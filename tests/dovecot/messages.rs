//! What becomes of messages and their flags when both sides are at work. The numbers are those of the scenario list.

use std::time::Duration;

use interimap::mail::Side::{Local, Remote};
use interimap::mail::{Both, Side};

use crate::support::bed::{Bed, in_line};
use crate::support::dovecot::{Options, USER};
use crate::support::imap::Appended;
use crate::support::mail::{Made, Writer};
use crate::support::proxy::{Direction, Fault};
use crate::support::scale;

/// The tokens in a mailbox of each side.
fn tokens(bed: &Bed, mailbox: &str) -> Both<Vec<String>> {
    Both::from_fn(|side| {
        let snapshot = bed.snapshot(side);
        snapshot.mailbox(mailbox).tokens().into_iter().map(str::to_owned).collect()
    })
}

fn flags(bed: &Bed, token: &str) -> String {
    bed.snapshot(Local).mailbox("INBOX").flags(token)
}

#[test]
fn s001_new_mail_on_both_sides_goes_both_ways_and_costs_one_append_each() {
    let bed = in_line(&["old"]);
    bed.put(Local, "INBOX", "here");
    bed.put(Remote, "INBOX", "there");
    let run = bed.sync_well();
    for side in Side::BOTH {
        assert_eq!(bed.proxies[side].writes().len(), 1, "{}", bed.explain(&run));
        assert_eq!(bed.proxies[side].count("APPEND"), 1, "{}", bed.explain(&run));
    }
    assert_eq!(run.numbers("copied"), [1, 1]);
    assert_eq!(tokens(&bed, "INBOX").local, ["here", "old", "there"]);
    bed.check_quiet();
}

#[test]
fn s002_s003_mail_that_arrives_during_a_run_is_copied_once() {
    for after in [300, 900, 1_400, 2_000] {
        let bed = in_line(&["old"]);
        bed.put(Local, "INBOX", "before, local");
        bed.put(Remote, "INBOX", "before, remote");
        bed.proxies.remote.arm(Direction::ToClient, after, Fault::Stall);
        let running = bed.start(&["sync"]);
        let stalled = bed.proxies.remote.wait_for_fault(Duration::from_secs(5));
        bed.put(Local, "INBOX", "during, local");
        bed.put(Remote, "INBOX", "during, remote");
        bed.proxies.remote.heal();
        let run = running.finish();
        bed.check(run.status == 0, &format!("the run must end well (stalled: {stalled})"), &run);
        bed.settle();
        let all = ["before, local", "before, remote", "during, local", "during, remote", "old"];
        assert_eq!(tokens(&bed, "INBOX").remote, all);
    }
}

#[test]
fn s004_a_strangers_append_beside_ours_is_seen_as_new() {
    let bed = in_line(&["old"]);
    let large = Made::with("large", &"A line of a large message.\r\n".repeat(2_000));
    bed.on(Local).append("INBOX", &large.plain());
    bed.proxies.remote.arm(Direction::ToServer, 30_000, Fault::Stall);
    let running = bed.start(&["sync"]);
    assert!(bed.proxies.remote.wait_for_fault(Duration::from_secs(20)), "{}", bed.proxies.remote.transcript());
    bed.put(Remote, "INBOX", "stranger");
    bed.proxies.remote.heal();
    let run = running.finish();
    bed.check(run.status == 0, "the run must end well", &run);
    bed.settle();
    assert_eq!(tokens(&bed, "INBOX").local, ["large", "old", "stranger"]);
}

#[test]
fn s005_what_we_appended_does_not_come_back() {
    let bed = in_line(&["one", "two", "three"]);
    let run = bed.sync_well();
    assert_eq!(run.numbers("copied"), [0, 0]);
    assert_eq!(bed.proxies.remote.commands().iter().filter(|line| line.contains("BODY")).count(), 0);
}

#[test]
fn s006_an_expunge_wins_over_a_changed_flag_and_is_reported() {
    let bed = in_line(&["one", "two"]);
    bed.expunge(Local, "INBOX", "one");
    bed.store(Remote, "INBOX", "one", "+FLAGS (\\Flagged)");
    let run = bed.sync_well();
    assert_eq!(run.number(Remote, "expunged"), 1);
    assert_eq!(run.report["conflicts"].as_array().map(Vec::len), Some(1), "{}", run.stdout);
    assert_eq!(tokens(&bed, "INBOX").remote, ["two"]);
    bed.check_quiet();
}

#[test]
fn s007_what_both_sides_expunged_costs_no_command() {
    let bed = in_line(&["one", "two"]);
    bed.expunge(Local, "INBOX", "one");
    bed.expunge(Remote, "INBOX", "one");
    bed.check_quiet();
    assert_eq!(tokens(&bed, "INBOX").local, ["two"]);
}

#[test]
fn s009_s010_a_message_marked_as_deleted_stays_until_a_user_expunges_it() {
    let bed = in_line(&["marked", "going", "staying"]);
    bed.store(Remote, "INBOX", "marked", "+FLAGS (\\Deleted)");
    bed.expunge(Local, "INBOX", "going");
    bed.settle();
    assert_eq!(tokens(&bed, "INBOX").remote, ["marked", "staying"]);
    assert_eq!(flags(&bed, "marked"), "\\deleted");
}

#[test]
fn s011_no_run_ends_with_close() {
    let bed = in_line(&["one", "two"]);
    bed.expunge(Local, "INBOX", "one");
    bed.store(Remote, "INBOX", "two", "+FLAGS (\\Seen)");
    bed.sync_well();
    for side in Side::BOTH {
        assert_eq!(bed.proxies[side].count("CLOSE"), 0, "{}", bed.proxies[side].transcript());
    }
}

#[test]
fn s012_different_flags_on_both_sides_are_merged() {
    let bed = in_line(&["one"]);
    bed.store(Local, "INBOX", "one", "+FLAGS (\\Seen)");
    bed.store(Remote, "INBOX", "one", "+FLAGS (\\Flagged)");
    let run = bed.settle();
    assert_eq!(flags(&bed, "one"), "\\flagged \\seen");
    assert_eq!(run.numbers("flagged"), [1, 1]);
}

#[test]
fn s012_flags_removed_on_different_sides_stay_removed() {
    let bed = Bed::new();
    bed.put_flagged(Local, "INBOX", "one", "\\Seen \\Flagged \\Answered todo");
    bed.sync_well();
    bed.store(Local, "INBOX", "one", "-FLAGS (\\Flagged todo)");
    bed.store(Remote, "INBOX", "one", "-FLAGS (\\Answered)");
    bed.settle();
    assert_eq!(flags(&bed, "one"), "\\seen");
}

#[test]
fn s013_a_flag_set_and_cleared_again_costs_no_command() {
    let bed = in_line(&["one"]);
    bed.store(Local, "INBOX", "one", "+FLAGS (\\Seen)");
    bed.store(Local, "INBOX", "one", "-FLAGS (\\Seen)");
    bed.check_quiet();
    assert_eq!(flags(&bed, "one"), "");
}

#[test]
fn s014_the_same_flag_set_on_both_sides_costs_no_command() {
    let bed = in_line(&["one"]);
    for side in Side::BOTH {
        bed.store(side, "INBOX", "one", "+FLAGS (\\Seen todo)");
    }
    bed.check_quiet();
    assert_eq!(flags(&bed, "one"), "\\seen todo");
}

#[test]
fn s017_keywords_spelled_differently_are_equal() {
    let bed = in_line(&["one"]);
    bed.store(Local, "INBOX", "one", "+FLAGS ($forwarded)");
    bed.store(Remote, "INBOX", "one", "+FLAGS ($Forwarded)");
    bed.check_quiet();
    bed.put_flagged(Local, "INBOX", "two", "$forwarded");
    bed.settle();
    assert_eq!(flags(&bed, "two"), "$forwarded");
}

#[test]
fn s018_keywords_arrive_with_the_message() {
    let bed = Bed::new();
    let keywords = "$Junk NonJunk $NotJunk $MDNSent $Phishing \\Seen";
    bed.put_flagged(Local, "INBOX", "here", keywords);
    bed.put_flagged(Remote, "INBOX", "there", keywords);
    let run = bed.sync_well();
    for side in Side::BOTH {
        assert_eq!(bed.proxies[side].count("STORE"), 0, "{}", bed.explain(&run));
    }
    assert_eq!(flags(&bed, "there"), "$junk $mdnsent $notjunk $phishing \\seen nonjunk");
    bed.check_quiet();
}

#[test]
fn s019_recent_is_neither_compared_nor_sent() {
    let bed = in_line(&["one"]);
    // A message that nobody has selected yet is recent; one that somebody has is not.
    bed.put(Remote, "INBOX", "two");
    bed.settle();
    bed.on(Local).select("INBOX");
    bed.check_quiet();
}

#[test]
fn s021_thousands_of_keywords_make_no_line_too_long() {
    let bed = in_line(&["plain"]);
    let keywords: Vec<String> = (0..2000).map(|number| format!("keyword{number:04}")).collect();
    bed.put_flagged(Local, "INBOX", "decorated", &keywords.join(" "));
    bed.store(Remote, "INBOX", "plain", &format!("+FLAGS ({})", keywords.join(" ")));
    bed.settle();
    for side in Side::BOTH {
        for token in ["plain", "decorated"] {
            let held = bed.snapshot(side).mailbox("INBOX").flags(token);
            assert_eq!(held.split(' ').count(), 2000, "{side} {token}");
        }
    }
    bed.store(Local, "INBOX", "decorated", &format!("-FLAGS ({})", keywords[..1500].join(" ")));
    bed.settle();
}

#[test]
fn s022_identical_messages_stay_as_many() {
    let bed = in_line(&["twin", "twin", "other"]);
    assert_eq!(tokens(&bed, "INBOX").remote, ["other", "twin", "twin"]);
    let mut client = bed.on(Remote);
    client.select("INBOX");
    let uid = client.search("HEADER X-Token twin")[1];
    client.run(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
    client.run(&format!("UID EXPUNGE {uid}"));
    drop(client);
    bed.settle();
    assert_eq!(tokens(&bed, "INBOX").local, ["other", "twin"]);
}

#[test]
fn s024_different_messages_with_one_message_id_are_all_copied() {
    let bed = Bed::new();
    for (side, text) in [(Local, "One text."), (Local, "A third."), (Remote, "Another text.")] {
        bed.on(side).append("INBOX", &Made::with("same", text).plain());
    }
    bed.settle();
    assert_eq!(tokens(&bed, "INBOX").local, ["same", "same", "same"]);
}

#[test]
fn s025_messages_without_any_identification_are_copied_and_known_again() {
    let bed = Bed::new();
    let bodies =
        ["\r\nOnly a body.\r\n", "\r\nOnly another.\r\n", "Subject: draft\r\n\r\n", "\r\n\r\n", "no header at all"];
    for (at, body) in bodies.iter().enumerate() {
        let side = Side::BOTH[at % 2];
        bed.on(side).append("INBOX", &Appended { flags: "\\Draft", date: None, body: body.as_bytes() });
    }
    bed.settle();
    assert_eq!(bed.snapshot(Remote).count(), bodies.len());
    bed.lose_state();
    let run = bed.sync_well();
    assert_eq!(run.numbers("copied"), [0, 0]);
}

#[test]
fn s026_a_jump_of_the_uids_costs_nothing() {
    let bed = Bed::new();
    bed.about(Local, "CREATE {}", &["jumper"]);
    bed.settle();
    bed.servers.local.doveadm(&["mailbox", "update", "-u", USER, "--min-next-uid", "1000000", "jumper"]);
    bed.put(Local, "jumper", "far");
    assert_eq!(bed.snapshot(Local).mailbox("jumper").message("far").uid, 1_000_000);
    bed.sync_well();
    assert!(bed.proxies.local.passed().turns < 20, "{}", bed.proxies.local.transcript());
    bed.check_quiet();
}

#[test]
fn s027_the_highest_uids_are_uids() {
    let bed = in_line(&["one"]);
    bed.about(Local, "CREATE {}", &["last"]);
    bed.sync_well();
    bed.servers.local.doveadm(&["mailbox", "update", "-u", USER, "--min-next-uid", "4294967290", "last"]);
    bed.put(Local, "last", "last but one");
    bed.put(Local, "INBOX", "two");
    bed.settle();
    assert_eq!(tokens(&bed, "last").remote, ["last but one"]);
    bed.store(Remote, "last", "last but one", "+FLAGS (\\Seen)");
    bed.settle();
    bed.expunge(Remote, "last", "last but one");
    bed.settle();
    assert!(tokens(&bed, "last").local.is_empty());
}

#[test]
fn s028_s076_many_gaps_between_the_uids_make_no_line_too_long() {
    let mut bed = Bed::new();
    bed.settings = "max-delete = \"100%\"".to_owned();
    let letters: Vec<Made> = (0..4_000 * scale()).map(|number| Made::with(&format!("n{number:06}"), "")).collect();
    let mut client = bed.on(Local);
    let plain: Vec<_> = letters.iter().map(Made::plain).collect();
    let uids = client.append_many("INBOX", &plain.iter().collect::<Vec<_>>());
    client.select("INBOX");
    // Every other message goes; what stays lies in as many ranges as there are messages.
    let mut mark = |word: &str, uids: &[u32]| {
        for chunk in uids.chunks(500) {
            let set: Vec<String> = chunk.iter().map(u32::to_string).collect();
            client.run(&format!("UID {} {}", word.replace("{}", &set.join(",")), ""));
        }
    };
    let odd: Vec<u32> = uids.iter().copied().filter(|uid| uid % 2 == 1).collect();
    let even: Vec<u32> = uids.iter().copied().filter(|uid| uid % 2 == 0).collect();
    mark("STORE {} +FLAGS.SILENT (\\Deleted)", &odd);
    mark("EXPUNGE {}", &odd);
    bed.sync_well();
    assert_eq!(bed.snapshot(Remote).count(), even.len());
    // Now every fourth gets a flag on one side, and the others of these go.
    let quarter: Vec<u32> = even.iter().copied().filter(|uid| uid % 4 == 0).collect();
    mark("STORE {} +FLAGS.SILENT (\\Seen)", &quarter);
    let run = bed.sync_well();
    assert_eq!(run.number(Remote, "flagged"), quarter.len() as u64);
    let rest: Vec<u32> = even.iter().copied().filter(|uid| uid % 4 != 0).collect();
    mark("STORE {} +FLAGS.SILENT (\\Deleted)", &rest);
    mark("EXPUNGE {}", &rest);
    let run = bed.sync_well();
    assert_eq!(run.number(Remote, "expunged"), rest.len() as u64);
    bed.check_quiet();
}

#[test]
fn s029_s030_the_first_and_the_last_message_may_go() {
    let bed = in_line(&["first", "middle", "last"]);
    bed.expunge(Local, "INBOX", "last");
    bed.settle();
    assert_eq!(tokens(&bed, "INBOX").remote, ["first", "middle"]);
    bed.expunge(Remote, "INBOX", "first");
    bed.settle();
    assert_eq!(tokens(&bed, "INBOX").local, ["middle"]);
    bed.expunge(Remote, "INBOX", "middle");
    bed.settle();
    assert_eq!(bed.snapshot(Local).count(), 0);
}

#[test]
fn s031_what_came_and_went_between_two_runs_costs_no_command() {
    let bed = in_line(&["one"]);
    bed.put(Local, "INBOX", "short-lived");
    bed.expunge(Local, "INBOX", "short-lived");
    bed.check_quiet();
}

#[test]
fn s032_a_message_moved_here_is_in_its_new_place_there_before_it_leaves_the_old_one() {
    let bed = in_line(&["one", "two", "three"]);
    for side in Side::BOTH {
        bed.about(side, "CREATE {}", &["Archive"]);
    }
    bed.sync_well();
    bed.relocate(Local, "INBOX", "two", "Archive");
    let run = bed.sync_well();
    let writes = bed.proxies.remote.writes();
    let place = |words: &[&str]| writes.iter().position(|write| words.iter().any(|word| write.contains(word)));
    let (arrival, departure) = (place(&["APPEND", "COPY", "MOVE"]), place(&["EXPUNGE", "MOVE"]));
    assert!(arrival.is_some() && arrival <= departure, "{}", bed.explain(&run));
    assert_eq!(tokens(&bed, "Archive").remote, ["two"]);
    assert_eq!(tokens(&bed, "INBOX").remote, ["one", "three"]);
    bed.check_quiet();
}

#[test]
fn s033_a_message_moved_to_two_places_ends_in_both() {
    let bed = in_line(&["one", "two"]);
    bed.about(Local, "CREATE {}", &["here"]);
    bed.about(Remote, "CREATE {}", &["there"]);
    bed.relocate(Local, "INBOX", "one", "here");
    bed.relocate(Remote, "INBOX", "one", "there");
    bed.settle();
    assert_eq!(tokens(&bed, "here").remote, ["one"]);
    assert_eq!(tokens(&bed, "there").local, ["one"]);
    assert_eq!(tokens(&bed, "INBOX").local, ["two"]);
}

#[test]
fn s034_flags_changed_there_meanwhile_follow_a_message_moved_here() {
    let bed = in_line(&["one", "two"]);
    bed.about(Local, "CREATE {}", &["Archive"]);
    bed.sync_well();
    bed.store(Local, "INBOX", "one", "+FLAGS (\\Seen)");
    bed.relocate(Local, "INBOX", "one", "Archive");
    bed.store(Remote, "INBOX", "one", "+FLAGS (\\Flagged $Work)");
    let run = bed.sync_well();
    assert_eq!(run.numbers("moved"), [0, 1], "{}", bed.explain(&run));
    assert_eq!(run.report["conflicts"].as_array().map(Vec::len), Some(0), "{}", run.stdout);
    for side in Side::BOTH {
        assert_eq!(bed.snapshot(side).mailbox("Archive").flags("one"), "$work \\flagged \\seen");
    }
    bed.check_quiet();
}

/// Both sides hold so many messages in INBOX and an empty Archive; then all are moved there on the local side.
fn moved_to_the_archive(remote: Options, messages: usize) -> Bed {
    let bed = Bed::with(Both { local: Options::default(), remote });
    let letters: Vec<Made> = (0..messages).map(|number| Made::simple(&format!("m{number:02}"))).collect();
    let plain: Vec<_> = letters.iter().map(Made::plain).collect();
    bed.on(Local).append_many("INBOX", &plain.iter().collect::<Vec<_>>());
    bed.about(Local, "CREATE {}", &["Archive"]);
    bed.settle();
    let mut client = bed.on(Local);
    client.select("INBOX");
    client.about("UID MOVE 1:* {}", &["Archive"]);
    bed
}

#[test]
fn what_was_moved_here_is_moved_there_by_the_server_and_no_body_crosses() {
    const MESSAGES: usize = 20;
    let without_move = Options { unannounced: &["MOVE"], ..Options::default() };
    for (remote, way, expunges) in [(Options::default(), "MOVE", 0), (without_move, "COPY", 1)] {
        let bed = moved_to_the_archive(remote, MESSAGES);
        let run = bed.sync_well();
        assert_eq!((run.numbers("moved"), run.numbers("copied")), ([0, 20], [0, 0]), "{}", bed.explain(&run));
        assert_eq!(run.numbers("expunged"), [0, 0], "{}", bed.explain(&run));
        for word in ["MOVE", "COPY", "EXPUNGE", "APPEND"] {
            let expected = if word == way { 1 } else { 0 } + if word == "EXPUNGE" { expunges } else { 0 };
            assert_eq!(bed.proxies.remote.count(word), expected, "{word}: {}", bed.explain(&run));
        }
        for side in Side::BOTH {
            let bodies = bed.proxies[side].commands().iter().filter(|line| line.contains("BODY.PEEK[]")).count();
            assert_eq!(bodies, 0, "{}", bed.explain(&run));
        }
        assert_eq!(tokens(&bed, "Archive").remote.len(), MESSAGES);
        assert_eq!(tokens(&bed, "INBOX").remote.len(), 0);
        bed.check_quiet();
    }
}

/// How often bodies were asked for on either side.
fn bodies(bed: &Bed) -> usize {
    let of = |side: Side| bed.proxies[side].commands().iter().filter(|line| line.contains("BODY.PEEK[]")).count();
    of(Local) + of(Remote)
}

#[test]
fn s035_what_was_copied_here_is_copied_there_by_the_server_and_no_body_crosses() {
    const MESSAGES: usize = 200;
    let bed = Bed::new();
    let letters: Vec<Made> = (0..MESSAGES).map(|number| Made::simple(&format!("m{number:03}"))).collect();
    let plain: Vec<_> = letters.iter().map(Made::plain).collect();
    bed.on(Local).append_many("INBOX", &plain.iter().collect::<Vec<_>>());
    bed.about(Local, "CREATE {}", &["Archive"]);
    bed.settle();
    let mut client = bed.on(Local);
    client.select("INBOX");
    client.about("UID COPY 1:* {}", &["Archive"]);
    drop(client);
    let run = bed.sync_well();
    assert_eq!((run.numbers("moved"), run.numbers("copied")), ([0, 0], [0, 200]), "{}", bed.explain(&run));
    assert_eq!(run.numbers("copied_bytes"), [0, 0], "{}", bed.explain(&run));
    assert_eq!((bodies(&bed), bed.proxies.remote.count("APPEND")), (0, 0), "{}", bed.explain(&run));
    assert_eq!(bed.proxies.remote.count("COPY"), 1, "{}", bed.explain(&run));
    let sent = run.number(Remote, "bytes_sent");
    assert!(sent < 2_000, "{sent} octets were sent for {MESSAGES} messages");
    assert_eq!(tokens(&bed, "Archive").remote.len(), MESSAGES);
    assert_eq!(tokens(&bed, "INBOX").remote.len(), MESSAGES);
    bed.check_quiet();
}

#[test]
fn what_was_moved_out_of_a_mailbox_that_was_deleted_then_is_not_sent() {
    let bed = Bed::new();
    for side in [Local, Remote] {
        bed.about(side, "CREATE {}", &["Archive"]);
    }
    bed.about(Local, "CREATE {}", &["Old"]);
    for token in ["one", "two", "three"] {
        bed.put(Local, "Old", token);
    }
    bed.settle();
    let mut client = bed.on(Local);
    client.select("Old");
    client.about("UID MOVE 1:* {}", &["Archive"]);
    client.unselect();
    client.about("DELETE {}", &["Old"]);
    drop(client);
    let run = bed.sync_well();
    assert_eq!((run.numbers("copied"), run.numbers("deleted")), ([0, 3], [0, 1]), "{}", bed.explain(&run));
    assert_eq!((bodies(&bed), bed.proxies.remote.count("APPEND")), (0, 0), "{}", bed.explain(&run));
    assert_eq!(tokens(&bed, "Archive").remote, ["one", "three", "two"]);
    bed.check_quiet();
}

#[test]
fn labels_cost_no_body() {
    let bed = in_line(&["one", "two", "three"]);
    for label in ["Work", "Home"] {
        bed.about(Local, "CREATE {}", &[label]);
    }
    bed.sync_well();
    let mut client = bed.on(Local);
    client.select("INBOX");
    client.about("UID COPY 1:2 {}", &["Work"]);
    client.about("UID COPY 2:3 {}", &["Home"]);
    drop(client);
    let run = bed.sync_well();
    assert_eq!(run.numbers("copied"), [0, 4], "{}", bed.explain(&run));
    assert_eq!((bodies(&bed), bed.proxies.remote.count("COPY")), (0, 2), "{}", bed.explain(&run));
    assert_eq!(tokens(&bed, "Work").remote, ["one", "two"]);
    bed.check_quiet();
    // A label that is taken off is an expunge, and nothing else.
    bed.expunge(Local, "Work", "one");
    let run = bed.sync_well();
    assert_eq!((run.numbers("expunged"), run.numbers("copied")), ([0, 1], [0, 0]), "{}", bed.explain(&run));
    assert_eq!(tokens(&bed, "INBOX").remote, ["one", "three", "two"]);
}

#[test]
fn new_mail_is_asked_for_its_size_and_date_once_and_at_a_first_run_not_at_all() {
    let measured = |bed: &Bed| {
        let asks = |line: &&String| line.contains("(INTERNALDATE RFC822.SIZE)");
        Both::from_fn(|side| bed.proxies[side].commands().iter().filter(asks).count())
    };
    let bed = Bed::new();
    (0..5).for_each(|number| bed.put(Local, "INBOX", &format!("old {number}")));
    bed.sync_well();
    assert_eq!(measured(&bed), Both { local: 0, remote: 0 });
    // Of another size than any that is remembered.
    (0..5).for_each(|number| bed.put(Local, "INBOX", &format!("new and longer {number}")));
    let run = bed.sync_well();
    assert_eq!(measured(&bed), Both { local: 1, remote: 0 }, "{}", bed.explain(&run));
    let headers = bed.proxies.local.commands().iter().filter(|line| line.contains("HEADER.FIELDS")).count();
    assert_eq!(headers, 1, "only the newest message that is remembered shows its header: {}", bed.explain(&run));
}

#[test]
fn s147_what_a_full_side_holds_already_is_moved_there_although_nothing_new_is_taken() {
    let mut bed = moved_to_the_archive(Options::default(), 3);
    bed.restart(Remote, full("1B"));
    bed.put(Local, "INBOX", "new");
    let run = bed.sync();
    bed.check(run.status == 1, "something was left undone", &run);
    assert_eq!((run.number(Remote, "moved"), run.number(Remote, "copied")), (3, 0), "{}", bed.explain(&run));
    assert_eq!(tokens(&bed, "Archive").remote.len(), 3);
    bed.restart(Remote, Options::default());
    let run = bed.settle();
    assert_eq!(run.number(Remote, "copied"), 1);
}

#[test]
fn s036_a_move_cut_half_way_leaves_each_message_somewhere_and_the_next_run_mends_it() {
    let names: Vec<String> = (0..10).map(|number| format!("m{number}")).collect();
    for (direction, text) in [
        (Direction::ToServer, "MOVE"),
        (Direction::ToClient, "COPYUID"),
        (Direction::ToServer, "EXPUNGE"),
        (Direction::ToClient, "VANISHED"),
    ] {
        let bed = Bed::new();
        for name in &names {
            bed.put(Local, "INBOX", name);
        }
        bed.about(Local, "CREATE {}", &["Archive"]);
        bed.sync_well();
        let mut client = bed.on(Local);
        client.select("INBOX");
        client.about("UID MOVE 1:* {}", &["Archive"]);
        drop(client);
        bed.proxies.remote.arm_at(direction, text, Fault::Reset);
        let run = bed.sync();
        bed.proxies.remote.heal();
        let there = bed.snapshot(Remote);
        for name in &names {
            let copies = there.mailboxes.values().flat_map(|mailbox| mailbox.tokens()).filter(|token| token == name);
            assert!(copies.count() >= 1, "{name} is gone: {}", bed.explain(&run));
        }
        bed.settle();
        assert_eq!(tokens(&bed, "Archive").remote, names);
        assert_eq!(bed.snapshot(Remote).count(), names.len());
    }
}

#[test]
fn s037_the_new_draft_is_there_before_the_old_one_goes() {
    let bed = in_line(&["first draft"]);
    bed.put_flagged(Local, "INBOX", "second draft", "\\Draft");
    bed.expunge(Local, "INBOX", "first draft");
    let run = bed.sync_well();
    let words: Vec<String> = bed.proxies.remote.writes();
    let place = |word: &str| words.iter().position(|command| command.contains(word));
    assert!(place("APPEND").is_some() && place("APPEND") < place("EXPUNGE"), "{}", bed.explain(&run));
    assert_eq!(tokens(&bed, "INBOX").remote, ["second draft"]);
}

#[test]
fn s042_s050_every_octet_of_odd_messages_survives() {
    let bed = Bed::new();
    let signed = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\ntrailing blanks  \t\r\n-- \r\n--b--";
    let bodies: Vec<Vec<u8>> = [
        "Subject: x\r\n\r\nno final newline",
        "Subject: header only\r\n",
        "Subject: header only\r\n\r\n",
        "\r\n",
        "\r\nbody only\r\n",
        "From alice Mon Nov  2 10:00:00 2026\r\nSubject: From line\r\n\r\nx\r\n",
        "Subject: From in the body\r\n\r\nFrom me\r\n>From you\r\n",
        "Subject: dots\r\n\r\n.\r\n..\r\n.\r\n",
        "Subject: IMAP\r\n\r\n)\r\n* 1 EXPUNGE\r\nA1 OK done\r\n{3}\r\n\"\\\r\n",
        "Subject: é 8 bit in the header\r\n\r\né\r\n",
        "Subject: blanks\r\n\r\n \t \r\n\t\r\n\r\n\r\n",
        "no header",
        "Subject: bare CR\r\n\r\na\rb\r\n",
        "Subject: bare LF\n\na\nb\n",
        "Subject: NUL\r\n\r\na\0b\r\n",
        signed,
    ]
    .iter()
    .map(|body| body.as_bytes().to_vec())
    .chain([[b"Subject: long\r\n\r\n".to_vec(), vec![b'z'; 1 << 20], b"\r\n".to_vec()].concat()])
    .chain([
        [b"Subject: all\r\n\r\n".to_vec(), (1..=255).filter(|octet| *octet != 13 && *octet != 10).collect()].concat()
    ])
    .collect();
    let mut writer = Writer::new("odd", 42);
    for side in Side::BOTH {
        let mut client = bed.on(side);
        client.about("CREATE {}", &[side.as_str()]);
        for body in &bodies {
            client.append(side.as_str(), &Appended { flags: "", date: None, body });
        }
        for _ in 0..30 {
            client.append("INBOX", &writer.write().plain());
        }
    }
    let run = bed.settle();
    assert_eq!(run.numbers("copied"), [bodies.len() as u64 + 30; 2]);
}

#[test]
fn s049_odd_dates_are_kept_as_instants() {
    let bed = Bed::new();
    let dates = [
        " 2-Jan-1970 00:00:00 +0000",
        " 1-Jan-2000 00:00:00 +1400",
        " 1-Jan-2000 00:00:00 -0000",
        "28-Feb-2000 23:59:59 +2359",
        "29-Feb-2024 12:00:00 -1200",
        "31-Dec-2016 23:59:60 +0000",
        // Dovecot makes the present of these two.
        "19-Jan-2038 03:14:08 +0000",
        " 1-Jan-2100 00:00:00 +0000",
    ];
    for (at, date) in dates.iter().enumerate() {
        let letter = Made { date: (*date).to_owned(), ..Made::simple(&format!("d{at}")) };
        bed.on(Local).append("INBOX", &letter.plain());
    }
    bed.settle();
    // What lies before 1970 no server stores well; it must arrive all the same, and once.
    for (token, date) in [("moon", "20-Jul-1969 20:17:40 +0000"), ("ancient", " 1-Jan-1900 00:00:00 +0000")] {
        let letter = Made { date: date.to_owned(), ..Made::simple(token) };
        bed.on(Local).append("INBOX", &letter.plain());
    }
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    let run = bed.sync();
    bed.check(run.status == 0 && bed.proxies.remote.writes().is_empty(), "the next run must be quiet", &run);
    assert_eq!(tokens(&bed, "INBOX").remote.len(), dates.len() + 2);
}

#[test]
fn s045_a_large_message_flows_by_and_is_not_kept() {
    let bed = in_line(&["small"]);
    let usual = bed.peak_of_a_run();
    let line = "A line of a very large message, which is said again and again.\r\n";
    let large = Made::with("large", &line.repeat((64 << 20) / line.len()));
    bed.on(Local).append("INBOX", &large.plain());
    let peak = bed.peak_of_a_run();
    assert!(peak < usual + (32 << 10), "{peak} KiB at most, {usual} KiB without it");
    let landed = bed.snapshot(Remote).mailbox("INBOX").message("large").content.clone();
    assert_eq!(landed, bed.snapshot(Local).mailbox("INBOX").message("large").content);
    bed.check_quiet();
}

/// A server that takes no more than that.
fn full(storage: &str) -> Options {
    let extra = format!(
        "plugin {{\n  quota = count:user\n  quota_vsizes = yes\n  quota_grace = 0\n  quota_rule = *:storage={storage}\n}}\n"
    );
    Options { plugins: Some(("quota", "quota imap_quota")), extra, ..Options::default() }
}

#[test]
fn s048_what_a_full_side_does_not_take_arrives_once_there_is_room() {
    let mut bed = in_line(&["old one", "old two"]);
    bed.restart(Remote, full("20K"));
    for number in 0..10 {
        bed.on(Local)
            .append("INBOX", &Made::with(&format!("n{number}"), &"Four thousand octets. ".repeat(180)).plain());
    }
    bed.expunge(Remote, "INBOX", "old one");
    let run = bed.sync();
    bed.check(run.status == 1, "something was left undone", &run);
    let landed = tokens(&bed, "INBOX").remote.len() - 1;
    bed.check((1..10).contains(&landed), &format!("{landed} of ten landed"), &run);
    assert_eq!(tokens(&bed, "INBOX").local.len(), 11, "what is expunged there is expunged here, and nothing else");
    let run = bed.sync();
    bed.check(run.number(Remote, "copied") == 0, "it is as full as it was", &run);
    bed.restart(Remote, Options::default());
    let run = bed.settle();
    assert_eq!(run.number(Remote, "copied"), 10 - landed as u64);
}
