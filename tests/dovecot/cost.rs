//! What a run costs on the wire when nothing has changed.

use std::time::Duration;

use interimap::mail::Both;
use interimap::mail::Side::{self, Local};

use crate::support::bed::Bed;
use crate::support::mail::Made;
use crate::support::proxy::Passed;

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
