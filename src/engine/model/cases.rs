//! Single stories that the enumerations do not tell: policies that change, listings that lie, hands that meet.

use std::collections::BTreeSet;

use interimap::mail::{Access, Both, MailboxName, Side, Subscription};
use interimap::plan::{Creation, Policy, Writing};

use super::memory::{Fuse, Observer};
use super::world::{World, changes};
use crate::engine::Scrutiny;

const QRESYNC: Both<Observer> = Both { local: Observer::Qresync, remote: Observer::Qresync };

/// Only what happens on the remote side reaches the other one.
fn pull_only() -> Policy {
    let mut policy = Policy::two_way();
    policy.flow.local = BTreeSet::new();
    policy
}

fn numbers(world: &World, side: Side, mailbox: &str) -> Vec<u32> {
    world.at(side).in_mailbox(mailbox).holds().into_iter().map(|(number, _)| number).collect()
}

#[test]
fn what_a_policy_left_out_is_copied_once_however_often_the_run_is_cut_off() {
    for crash in 0..30 {
        let mut world = World::in_line(QRESYNC);
        world.policy = pull_only();
        world.at(Side::Local).deliver(10, "");
        world.runs_until_quiet();
        world.policy = Policy::two_way();
        world.run_until(crash);
        world.runs_until_quiet();
        for side in Side::BOTH {
            assert_eq!(numbers(&world, side, "INBOX"), [1, 2, 10], "crash {crash} {side}");
        }
    }
}

#[test]
fn the_run_after_a_copy_asks_for_nothing_however_much_was_copied() {
    let steps = |messages: u32| {
        let mut world = World::in_line(QRESYNC);
        (0..messages).for_each(|number| world.at(Side::Local).deliver(100 + number, ""));
        assert!(world.run().is_ok());
        world.steps_of_a_run()
    };
    assert_eq!(steps(1000), steps(3));
}

#[test]
fn a_listing_without_inbox_deletes_and_doubles_nothing() {
    for side in Side::BOTH {
        let mut world = World::in_line(QRESYNC);
        world.at(side.other()).deliver(10, "");
        world.servers[side].lock().unwrap().unlisted.insert(MailboxName::inbox());
        world.runs_until_quiet();
        for each in Side::BOTH {
            assert_eq!(numbers(&world, each, "INBOX"), [1, 2, 10], "{side}: INBOX is there, listed or not");
        }
        world.servers[side].lock().unwrap().unlisted.clear();
        world.runs_until_quiet();
        for side in Side::BOTH {
            assert_eq!(numbers(&world, side, "INBOX"), [1, 2, 10]);
        }
    }
}

#[test]
fn s108_a_mailbox_that_is_hidden_from_the_listing_is_not_taken_for_a_deleted_one() {
    for side in Side::BOTH {
        let mut world = World::in_line(QRESYNC);
        let name = MailboxName::new("hidden").unwrap();
        world.at(side).in_mailbox("hidden").create();
        world.at(side).in_mailbox("hidden").deliver(10, "");
        world.runs_until_quiet();
        world.servers[side].lock().unwrap().unlisted.insert(name.clone());
        for _ in 0..2 {
            let report = world.run().unwrap();
            let told: Vec<_> = report.troubles.iter().map(|trouble| (trouble.side, trouble.mailbox.clone())).collect();
            assert_eq!(told, [(Some(side), Some(name.clone()))], "{side}: {:?}", report.troubles);
            assert_eq!(numbers(&world, side.other(), "hidden"), [10], "{side}");
        }
        world.servers[side].lock().unwrap().unlisted.clear();
        world.at(side.other()).in_mailbox("hidden").deliver(11, "");
        world.runs_until_quiet();
        for side in Side::BOTH {
            assert_eq!(numbers(&world, side, "hidden"), [10, 11]);
        }
        // Gone for good, it is.
        world.at(side).in_mailbox("hidden").delete();
        world.runs_until_quiet();
        assert!(!world.servers[side.other()].lock().unwrap().mailboxes.contains_key(&name), "{side}");
    }
}

#[test]
fn a_mailbox_that_somebody_creates_meanwhile_is_neither_passed_over_nor_doubled() {
    for at in 1..20 {
        for (mine, theirs, both) in [(&[][..], 6, &[6][..]), (&[5], 5, &[5]), (&[5], 6, &[5, 6])] {
            let mut world = World::in_line(QRESYNC);
            let here = world.at(Side::Local).in_mailbox("c");
            here.create();
            mine.iter().for_each(|number| here.deliver(*number, ""));
            let there = world.at(Side::Remote).in_mailbox("c");
            let act = move || {
                // Into a mailbox that we have made, an equal message is a second one.
                if mine != [theirs] || !there.names().contains(&"c".to_owned()) {
                    there.deliver(theirs, "");
                }
            };
            *world.fuse.lock().unwrap() = Fuse { act_at: Some((at, Box::new(act))), ..Fuse::default() };
            world.run().unwrap();
            if world.fuse.lock().unwrap().act_at.is_some() {
                continue;
            }
            world.runs_until_quiet();
            let there = numbers(&world, Side::Remote, "c");
            assert_eq!(numbers(&world, Side::Local, "c"), there, "at {at} {mine:?} {theirs}");
            assert!(there == both || there == mine, "at {at} {mine:?} {theirs}: {there:?}");
        }
    }
}

#[test]
fn a_subscribed_mailbox_is_renamed_and_still_known() {
    let mut world = World::in_line(QRESYNC);
    let a = |world: &World, side: Side| world.at(side).in_mailbox("a");
    a(&world, Side::Local).deliver(3, "");
    a(&world, Side::Local).deliver(4, "\\Flagged");
    a(&world, Side::Local).subscribe(Subscription::Subscribed);
    world.runs_until_quiet();
    a(&world, Side::Local).expunge(3);
    a(&world, Side::Local).reflag(4, "", "\\Flagged");
    a(&world, Side::Local).rename("b");
    // This server takes the subscription along, and knows nothing any more of the old name.
    let report = world.run().unwrap();
    world.runs_until_quiet();
    for side in Side::BOTH {
        let b = world.at(side).in_mailbox("b");
        assert_eq!(b.holds(), [(4, String::new())], "{side} {report:?}");
        assert_eq!(b.subscription(), Some(Subscription::Subscribed));
    }
}

#[test]
fn a_refused_subscription_is_asked_for_again_and_taken_from_nobody() {
    for refused in 1..20 {
        let mut world = World::in_line(QRESYNC);
        world.at(Side::Local).subscribe(Subscription::Subscribed);
        let n = world.at(Side::Local).in_mailbox("n");
        n.create();
        n.subscribe(Subscription::Subscribed);
        *world.fuse.lock().unwrap() = Fuse { refuse_at: Some(refused), ..Fuse::default() };
        let _ = world.run();
        world.runs_until_quiet();
        for side in Side::BOTH {
            for name in ["INBOX", "n"] {
                let is = world.at(side).in_mailbox(name).subscription();
                assert_eq!(is, Some(Subscription::Subscribed), "refused {refused} {side} {name}");
            }
        }
    }
}

#[test]
fn flags_reach_a_mailbox_that_was_shut_for_a_while() {
    let mut world = World::in_line(QRESYNC);
    world.at(Side::Remote).set_access(Access::ReadOnly);
    world.at(Side::Local).reflag(1, "\\Flagged", "");
    let report = world.run().unwrap();
    assert_eq!(report.troubles.len(), 1, "what does not arrive is told");
    world.at(Side::Remote).set_access(Access::ReadWrite);
    world.runs_until_quiet();
    assert_eq!(world.holds(Side::Remote), world.holds(Side::Local));
}

#[test]
fn a_rehearsal_survives_what_a_run_survives() {
    for new in [false, true] {
        let mut world = World::in_line(QRESYNC);
        let a = |world: &World, side: Side| world.at(side).in_mailbox("a");
        a(&world, Side::Local).deliver(3, "");
        world.runs_until_quiet();
        a(&world, Side::Local).rename("b");
        if new {
            world.at(Side::Local).in_mailbox("b").deliver(4, "");
        }
        a(&world, Side::Remote).delete();
        let (report, steps) = world.rehearse();
        let state = report.troubles.iter().filter(|trouble| trouble.side.is_none()).count();
        assert_eq!(state, 0, "{report:?}");
        assert!(!steps.is_empty());
    }
}

#[test]
fn a_side_that_may_not_be_written_to_gets_no_mailbox_back() {
    for create in [Creation::Allowed, Creation::Refused] {
        let mut world = World::in_line(QRESYNC);
        let a = |world: &World, side: Side| world.at(side).in_mailbox("a");
        a(&world, Side::Local).deliver(3, "");
        world.runs_until_quiet();
        match create {
            Creation::Allowed => world.policy.writing.local = Writing::Refused,
            Creation::Refused => world.policy.creation.local = Creation::Refused,
        }
        a(&world, Side::Local).delete();
        a(&world, Side::Remote).deliver(4, "");
        for _ in 0..3 {
            let _ = world.run();
            assert_eq!(world.at(Side::Local).names(), ["INBOX"], "{create:?}");
            assert_eq!(numbers(&world, Side::Remote, "a"), [3, 4], "{create:?}");
        }
    }
}

#[test]
fn repair_revives_nothing() {
    for side in Side::BOTH {
        let mut world = World::in_line(QRESYNC);
        // Equal messages that are told apart by their UIDs only.
        world.at(Side::Local).deliver(3, "");
        world.at(Side::Local).deliver(3, "\\Flagged");
        world.runs_until_quiet();
        world.at(side).expunge(1);
        world.at(side).expunge(3);
        world.run_closely(Scrutiny::Everything).unwrap();
        world.runs_until_quiet();
        for side in Side::BOTH {
            let left = [(2, "\\Seen".to_owned()), (3, "\\Flagged".to_owned())];
            assert_eq!(world.holds(side), left, "{side}");
        }
    }
}

#[test]
fn repair_gives_nothing_back_that_was_kept_on_one_side_only() {
    let mut world = World::in_line(QRESYNC);
    world.policy.flow.remote.remove(&interimap::plan::Flow::Gone);
    world.at(Side::Remote).expunge(1);
    world.runs_until_quiet();
    assert_eq!((numbers(&world, Side::Local, "INBOX"), numbers(&world, Side::Remote, "INBOX")), (vec![1, 2], vec![2]));
    world.run_closely(Scrutiny::Everything).unwrap();
    world.runs_until_quiet();
    assert_eq!((numbers(&world, Side::Local, "INBOX"), numbers(&world, Side::Remote, "INBOX")), (vec![1, 2], vec![2]));
}

#[test]
fn a_second_rebuild_while_we_look_deletes_nothing() {
    for at in 1..16 {
        for side in Side::BOTH {
            let mut world = World::in_line(QRESYNC);
            for number in 3..9 {
                world.at(Side::Local).deliver(number, "");
            }
            world.runs_until_quiet();
            for number in 3..6 {
                world.at(Side::Local).expunge(number);
            }
            world.runs_until_quiet();
            world.at(side).rebuild();
            let user = world.at(side.other());
            let act = move || user.rebuild();
            *world.fuse.lock().unwrap() = Fuse { act_at: Some((at, Box::new(act))), ..Fuse::default() };
            let _ = world.run();
            world.runs_until_quiet();
            for side in Side::BOTH {
                assert_eq!(numbers(&world, side, "INBOX"), [1, 2, 6, 7, 8], "at {at} {side}");
            }
        }
    }
}

#[test]
fn a_message_that_was_not_delivered_is_not_passed_over() {
    let mut world = World::in_line(QRESYNC);
    world.at(Side::Local).deliver(3, "");
    let uid = world.servers.local.lock().unwrap().mailboxes[&MailboxName::inbox()].messages.keys().next_back().copied();
    world.servers.local.lock().unwrap().withheld = uid.into_iter().collect();
    let report = world.run().unwrap();
    assert!(!report.troubles.is_empty(), "a message that does not come is told");
    world.servers.local.lock().unwrap().withheld = Default::default();
    world.runs_until_quiet();
    assert_eq!(numbers(&world, Side::Remote, "INBOX"), [1, 2, 3]);
    assert_eq!(changes(&world.run().unwrap()), 0);
}

#[test]
fn mailboxes_that_rotate_arrive() {
    for fresh in [false, true] {
        let mut world = World::in_line(QRESYNC);
        let here = |world: &World, name: &str| world.at(Side::Local).in_mailbox(name);
        here(&world, "new").deliver(3, "");
        here(&world, "old").deliver(4, "");
        world.runs_until_quiet();
        here(&world, "old").delete();
        here(&world, "new").rename("old");
        if fresh {
            here(&world, "new").deliver(5, "");
        }
        world.runs_until_quiet();
        for name in ["old", "new"] {
            assert_eq!(numbers(&world, Side::Local, name), numbers(&world, Side::Remote, name), "{name}");
        }
        assert!(numbers(&world, Side::Remote, "old").contains(&3));
        assert_eq!(numbers(&world, Side::Remote, "new"), if fresh { &[5][..] } else { &[] });
    }
}

#[test]
fn what_the_guard_holds_back_in_a_later_round_is_told_too() {
    let mut told = 0;
    for at in 1..20 {
        let mut world = World::in_line(QRESYNC);
        (10..50).for_each(|number| world.at(Side::Local).deliver(number, ""));
        world.runs_until_quiet();
        world.at(Side::Local).reflag(1, "\\Flagged", "");
        let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
        let act = move || {
            there.reflag(1, "\\Answered", "");
            for number in 10..50 {
                here.expunge(number);
            }
        };
        *world.fuse.lock().unwrap() = Fuse { act_at: Some((at, Box::new(act))), ..Fuse::default() };
        let report = world.run().unwrap();
        if std::mem::take(&mut *world.fuse.lock().unwrap()).act_at.is_some() {
            break;
        }
        let again = world.run().unwrap();
        assert_eq!(numbers(&world, Side::Remote, "INBOX").len(), 42, "at {at}");
        assert_eq!(again.guarded.len(), 1, "at {at}");
        // Behind the first look, which takes four steps, only a second one can have seen it.
        told += if at > 4 { report.guarded.len() } else { 0 };
    }
    assert!(told > 0);
}
