//! What a run costs on the wire when nothing has changed, or next to nothing.

use std::time::Duration;

use interimap::mail::Both;
use interimap::mail::Side::{self, Local};

use crate::support::bed::Bed;
use crate::support::dovecot::Options;
use crate::support::mail::Made;
use crate::support::proxy::Passed;
use crate::support::scale;

/// How often a quiet run speaks after having listened: to log in, to introduce itself, to ask for all mailboxes and their
/// status, to take its leave.
const TURNS: u64 = 4;

/// Both sides in line with so many mailboxes besides INBOX; what a quiet run then costs on each side.
fn cost_of_a_quiet_run(mailboxes: u64, messages: u64) -> Both<Passed> {
    let bed = Bed::new();
    let mut client = bed.on(Local);
    let letters: Vec<Made> = (0..messages).map(|number| Made::simple(&format!("n{number:05}"))).collect();
    let plain: Vec<_> = letters.iter().map(Made::plain).collect();
    for number in 0..mailboxes {
        let name = format!("mailbox {number:03}");
        client.about("CREATE {}", &[&name]);
        client.append_many(&name, &plain.iter().collect::<Vec<_>>());
    }
    drop(client);
    bed.settle();
    // What is sent within a delay is one turn, however it is cut into writes.
    for side in Side::BOTH {
        bed.proxies[side].delay(Duration::from_millis(40));
    }
    bed.check_quiet();
    Both::from_fn(|side| {
        println!("{side}\n{}", bed.proxies[side].transcript());
        let passed = bed.proxies[side].passed();
        let Passed { turns, to_server, to_client, .. } = passed;
        println!(
            "quiet run: mailboxes {mailboxes}, messages in each {messages}, {side}: \
             turns {turns}, octets sent {to_server}, received {to_client}"
        );
        passed
    })
}

#[test]
fn a_quiet_run_takes_the_same_turns_whatever_there_is() {
    let few = cost_of_a_quiet_run(1, 2);
    let many = cost_of_a_quiet_run(200, 2);
    for side in Side::BOTH {
        assert_eq!(few[side].turns, TURNS);
        assert_eq!(many[side].turns, TURNS);
        assert_eq!(few[side].connections, 1);
        assert_eq!(many[side].connections, 1);
        // What is asked does not depend on what there is.
        assert_eq!(many[side].to_server, few[side].to_server);
        assert!(few[side].to_server < 600, "{:?}", few[side]);
        // A mailbox costs its line of LIST and its line of STATUS.
        let per_mailbox = (many[side].to_client - few[side].to_client) / 199;
        assert!(per_mailbox < 200, "{per_mailbox} octets a mailbox");
        assert!(few[side].to_client < 2_500, "{:?}", few[side]);
    }
}

#[test]
fn a_quiet_run_costs_the_same_however_many_messages_there_are() {
    let (few, many) = (cost_of_a_quiet_run(1, 1), cost_of_a_quiet_run(1, 2_000));
    for side in Side::BOTH {
        assert_eq!(many[side].turns, few[side].turns);
        assert_eq!(many[side].to_server, few[side].to_server);
        // The numbers themselves have more digits.
        assert!(many[side].to_client < few[side].to_client + 100, "{:?} and {:?}", many[side], few[side]);
    }
}

/// A way to find out what has changed, what a server of that kind does not announce, and how often a run speaks then: where
/// nothing has changed, and where one flag has.
struct Way {
    name: &'static str,
    unannounced: &'static [&'static str],
    turns: [u64; 2],
}

/// Looking into the mailbox, whatever is asked there, is one turn; where nothing is kept that proves it unchanged, it is
/// always looked into.
const WAYS: &[Way] = &[
    Way { name: "qresync", unannounced: &[], turns: [TURNS, TURNS + 1] },
    Way { name: "condstore", unannounced: &["QRESYNC"], turns: [TURNS, TURNS + 1] },
    Way { name: "condstore without ESEARCH", unannounced: &["QRESYNC", "ESEARCH"], turns: [TURNS, TURNS + 1] },
    Way { name: "full", unannounced: &["QRESYNC", "CONDSTORE"], turns: [TURNS + 1, TURNS + 1] },
];

/// Two sides in line with so many messages in INBOX.
fn in_line_with(messages: u64) -> Bed {
    let bed = Bed::new();
    let letters: Vec<Made> = (0..messages).map(|number| Made::simple(&format!("n{number:06}"))).collect();
    let plain: Vec<_> = letters.iter().map(Made::plain).collect();
    let mut client = bed.on(Local);
    for some in plain.chunks(1_000) {
        client.append_many("INBOX", &some.iter().collect::<Vec<_>>());
    }
    let run = bed.sync();
    bed.check(run.status == 0 && run.number(Side::Remote, "copied") == messages, "all must be copied", &run);
    bed
}

/// Runs by that method with so many changed flags on the remote side, and says what passed there.
fn cost_of_flags(bed: &Bed, method: &str, flags: u64) -> Passed {
    let run = bed.sync();
    let told = &run.report["remote"];
    bed.check(told["method"] == method, method, &run);
    bed.check(told["listed_in_full"] == serde_json::json!([]), "the method fits every mailbox", &run);
    let changed = run.number(Local, "flagged");
    bed.check(run.status == 0 && changed == flags, &format!("flags of {changed} messages were changed"), &run);
    bed.proxies.remote.passed()
}

#[test]
fn what_a_run_costs_depends_on_the_method() {
    // Many take minutes to be put there.
    let sizes: &[u64] = if scale() > 1 { &[1_000, 100_000] } else { &[1_000] };
    for messages in sizes {
        let mut bed = in_line_with(*messages);
        let mut received = Vec::new();
        for Way { name, unannounced, turns } in WAYS {
            bed.restart(Side::Remote, Options { unannounced, ..Options::default() });
            let method = name.split(' ').next().unwrap();
            // The first run still sees what the one before has done.
            cost_of_flags(&bed, method, 0);
            bed.proxies.remote.delay(Duration::from_millis(40));
            let quiet = cost_of_flags(&bed, method, 0);
            bed.with_message(Side::Remote, "INBOX", "n000500", "UID STORE {} +FLAGS (\\Flagged)");
            let busy = cost_of_flags(&bed, method, 1);
            bed.proxies.remote.delay(Duration::ZERO);
            bed.with_message(Side::Remote, "INBOX", "n000500", "UID STORE {} -FLAGS (\\Flagged)");
            cost_of_flags(&bed, method, 1);
            for (what, passed) in [("nothing", quiet), ("one flag", busy)] {
                let Passed { turns, to_server, to_client, .. } = passed;
                println!(
                    "cost of a run: {name}, {messages} messages, {what} changed: \
                     turns {turns}, octets sent {to_server}, received {to_client}"
                );
            }
            assert_eq!([quiet.turns, busy.turns], *turns, "{name}, {messages} messages");
            received.push([quiet.to_client, busy.to_client]);
        }
        let [qresync, condstore, searched, full] = received[..] else { panic!("there are four ways") };
        // A mailbox that is known not to have changed costs the same however it would be looked into; what is announced is
        // longer or shorter.
        assert!(condstore[0].abs_diff(qresync[0]) < 400 && searched[0].abs_diff(qresync[0]) < 400, "{received:?}");
        // Short lists of UIDs cost next to nothing, long ones a number for each message, flags a line for each.
        assert!(condstore[1] < qresync[1] + 500, "{received:?}");
        assert!(
            searched[1] - condstore[1] > 3 * messages && searched[1] - condstore[1] < 10 * messages,
            "{received:?}"
        );
        for octets in [full[0] - qresync[0], full[1] - qresync[1]] {
            assert!(octets > 20 * messages && octets < 60 * messages, "{received:?}");
        }
    }
}

/// Two sides in line with so many mailboxes besides INBOX, a message in each.
fn in_line_with_mailboxes(mailboxes: u64) -> Bed {
    let bed = Bed::new();
    put_into_each(&bed, Local, mailboxes, "CREATE", 0);
    bed.settle();
    bed
}

/// Puts a message into each of so many mailboxes, each of which may have to be created.
fn put_into_each(bed: &Bed, side: Side, mailboxes: u64, before: &str, number: u8) {
    let mut client = bed.on(side);
    for mailbox in 0..mailboxes {
        let name = format!("mailbox {mailbox:03}");
        if before == "CREATE" {
            client.about("CREATE {}", &[&name]);
        }
        // Each time of another size, so that none is taken for a copy of one that was there before.
        let text = "x".repeat(number.into());
        client.append(&name, &Made::with(&format!("n{number}x{mailbox:03}"), &text).plain());
    }
}

/// What a run costs that copies so many messages from a side, at a distance.
fn cost_of_copying(bed: &Bed, from: Side, copied: u64) -> Both<Passed> {
    for side in Side::BOTH {
        bed.proxies[side].delay(Duration::from_millis(60));
    }
    let run = bed.sync();
    bed.check(run.status == 0 && run.number(from.other(), "copied") == copied, "all must be copied", &run);
    for side in Side::BOTH {
        bed.proxies[side].delay(Duration::ZERO);
    }
    Both::from_fn(|side| {
        let Passed { turns, to_server, to_client, .. } = bed.proxies[side].passed();
        println!(
            "{copied} messages in as many mailboxes copied from {from}, on {side}: turns {turns}, octets sent {to_server}, \
             received {to_client}"
        );
        bed.proxies[side].passed()
    })
}

/// Where mail has arrived, a run looks into the mailboxes, makes sure of the newest message of each, asks what the new ones
/// measure, and fetches; where it goes to, it looks and appends. Each of it is one flight, however many mailboxes there are.
#[test]
fn new_mail_in_many_mailboxes_takes_as_many_turns_as_in_one() {
    let mut costs: Vec<[Both<Passed>; 2]> = Vec::new();
    for mailboxes in [1, 200] {
        let bed = in_line_with_mailboxes(mailboxes);
        let round = |from: Side, number| {
            put_into_each(&bed, from, mailboxes, "", number);
            let cost = cost_of_copying(&bed, from, mailboxes);
            assert_eq!((cost[from].turns, cost[from.other()].turns), (TURNS + 4, TURNS + 2), "from {from}");
            // What we have appended ourselves comes back once, in the one turn of a look, and asks for nothing.
            let echo = cost_of_copying(&bed, from, 0);
            assert_eq!((echo.local.turns, echo.remote.turns), (TURNS + 1, TURNS + 1), "behind a run from {from}");
            bed.check_quiet();
            cost
        };
        costs.push([round(Side::Remote, 1), round(Local, 2)]);
    }
    let [few, many] = costs[..] else { panic!("two sizes") };
    for (few, many) in few.iter().zip(many) {
        for side in Side::BOTH {
            let per_mailbox = |passed: fn(Passed) -> u64| (passed(many[side]) - passed(few[side])) / 199;
            let (sent, received) = (per_mailbox(|passed| passed.to_server), per_mailbox(|passed| passed.to_client));
            assert!(sent < 400 && received < 2_800, "{side}: {sent} octets sent and {received} received a mailbox");
        }
    }
}

/// Mailboxes that a side lacks are created in one flight, looked at in one, subscribed to in one, and filled in one.
#[test]
fn a_first_copy_of_many_mailboxes_takes_as_many_turns_as_of_one() {
    let turns = |mailboxes| {
        let bed = Bed::new();
        put_into_each(&bed, Local, mailboxes, "CREATE", 0);
        cost_of_copying(&bed, Local, mailboxes).map(|passed| passed.turns)
    };
    assert_eq!(turns(200), turns(1));
}

/// Two sides that are filled already are asked who their messages are in one flight each.
#[test]
fn many_mailboxes_that_meet_take_as_many_turns_as_one() {
    let turns = |mailboxes| {
        let bed = in_line_with_mailboxes(mailboxes);
        bed.lose_state();
        cost_of_copying(&bed, Local, 0).map(|passed| passed.turns)
    };
    assert_eq!(turns(200), turns(1));
}
