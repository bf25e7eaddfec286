//! Servers that lie, forget and rewrite, clocks that jump, and several synchronizers over the same mail. The numbers are
//! those of the scenario list.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use interimap::mail::{Both, Flag, Side, Uid, UidSet};

use super::memory::{Fuse, Observer, Oddity, Server};
use super::world::{User, World, changes};

const QRESYNC: Both<Observer> = Both { local: Observer::Qresync, remote: Observer::Qresync };

fn numbers(user: &User) -> Vec<u32> {
    user.holds().iter().map(|(number, _)| *number).collect()
}

fn flag(text: &str) -> Flag {
    Flag::parse(text).unwrap()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

#[test]
fn s038_a_message_that_cannot_be_read_is_named_and_hinders_no_other() {
    let mut world = World::in_line(QRESYNC);
    let (local, remote) = (world.at(Side::Local), world.at(Side::Remote));
    local.is_odd(Some(Oddity::Unreadable(uid(local.uid_next() + 1))));
    (3..6).for_each(|number| local.deliver(number, ""));
    remote.expunge(1);
    let report = world.run().unwrap();
    assert_eq!(report.skipped.len(), 1, "{report:?}");
    assert_eq!((numbers(&local), numbers(&remote)), (vec![2, 3, 4, 5], vec![2, 3, 5]));
    world.runs_until_quiet();
    assert_eq!(numbers(&local), [2, 3, 4, 5], "what could not be copied is not taken for expunged");
    // It is tried again after a while.
    local.is_odd(None);
    world.now += 100 * 24 * 3600;
    world.runs_until_quiet();
    assert_eq!(numbers(&remote), [2, 3, 4, 5]);
}

#[test]
fn s059_where_the_server_does_not_say_where_a_message_went_it_is_found() {
    for crash in 0..30 {
        let mut world = World::in_line(QRESYNC);
        for side in Side::BOTH {
            let user = world.at(side);
            user.is_odd(Some(Oddity::TellsNoUid));
            // Two equal ones among them, and equal ones on both sides.
            [3, 3, 4, 10 + side as u32].into_iter().for_each(|number| user.deliver(number, "\\Seen"));
        }
        world.run_until(crash);
        world.runs_until_quiet();
        for side in Side::BOTH {
            assert_eq!(numbers(&world.at(side)), [1, 2, 3, 3, 4, 10, 11], "cut off at {crash}");
        }
        assert_eq!(world.intents(), 0);
    }
}

#[test]
fn s064_mod_sequences_may_end_and_begin_again() {
    for odd in Side::BOTH {
        let mut world = World::in_line(QRESYNC);
        let mut next = 3;
        for oddity in [Some(Oddity::NoModSeq), None, Some(Oddity::NoModSeq), None] {
            world.at(odd).is_odd(oddity);
            world.runs_until_quiet();
            for side in Side::BOTH {
                world.at(side).deliver(next, "");
                next += 1;
            }
            world.at(odd).reflag(next - 1, "\\Seen", "");
            world.at(odd).reflag(1, "", "\\Flagged");
            world.at(odd.other()).reflag(1, "\\Flagged", "");
            world.at(odd).expunge(next - 3);
            world.runs_until_quiet();
            assert_eq!(world.holds(Side::Local), world.holds(Side::Remote));
        }
        assert_eq!(numbers(&world.at(odd)).len(), 2 + 8 - 4);
    }
}

#[test]
fn s068_s069_what_a_server_only_says_to_be_gone_is_not_expunged_on_the_other_side() {
    let mut everything = UidSet::new();
    everything.insert_range(Uid::MIN..=uid(u32::MAX));
    let mut known: UidSet = [1, 2].into_iter().map(uid).collect();
    known.insert_range(uid(1000)..=uid(u32::MAX));
    let mut unknown = UidSet::new();
    unknown.insert_range(uid(1000)..=uid(u32::MAX));
    for (claimed, side) in
        [everything, known, unknown].into_iter().flat_map(|claimed| Side::BOTH.map(|side| (claimed.clone(), side)))
    {
        let mut world = World::in_line(QRESYNC);
        world.at(side).is_odd(Some(Oddity::SaysGone(claimed.clone())));
        world.at(side).deliver(3, "");
        world.at(side.other()).deliver(4, "");
        world.runs_until_quiet();
        for side in Side::BOTH {
            assert_eq!(numbers(&world.at(side)), [1, 2, 3, 4], "{claimed}");
        }
    }
}

#[test]
fn an_expunge_that_leaves_the_mod_sequence_alone_is_seen() {
    for (observer, odd) in
        [Observer::Qresync, Observer::Full].into_iter().flat_map(|o| Side::BOTH.map(|side| (o, side)))
    {
        let mut world = World::in_line(Both::from_fn(|_| observer));
        world.at(odd).deliver(3, "");
        world.runs_until_quiet();
        world.at(odd).is_odd(Some(Oddity::ExpungesQuietly));
        world.at(odd).expunge(1);
        world.runs_until_quiet();
        assert_eq!(numbers(&world.at(odd.other())), [2, 3], "{observer:?} {odd}");
        // An arrival beside it does not hide it.
        world.at(odd).expunge(2);
        world.at(odd).deliver(4, "");
        world.runs_until_quiet();
        assert_eq!(numbers(&world.at(odd.other())), [3, 4], "{observer:?} {odd}");
        // Nor do our own expunges there, which are as quiet, keep a run from being so.
        world.at(odd.other()).expunge(3);
        world.runs_until_quiet();
        assert_eq!(numbers(&world.at(odd)), [4], "{observer:?} {odd}");
        assert_eq!(world.steps_of_a_run(), 2, "two listings, no look");
    }
}

#[test]
fn s073_a_message_that_changes_while_its_expunge_is_on_its_way_is_looked_at_again() {
    for at in 1..20 {
        let mut world = World::in_line(QRESYNC);
        world.at(Side::Local).expunge(2);
        let user = world.at(Side::Remote);
        let act_at = Some((at, Box::new(move || user.reflag(2, "\\Flagged", "")) as Box<dyn FnOnce() + Send>));
        *world.fuse.lock().unwrap() = Fuse { act_at, ..Fuse::default() };
        world.run().unwrap();
        world.runs_until_quiet();
        for side in Side::BOTH {
            assert_eq!(numbers(&world.at(side)), [1], "changed at step {at}: an expunge wins over a flag");
        }
    }
}

#[test]
fn s092_a_mailbox_that_only_looks_empty_loses_nothing() {
    for side in Side::BOTH {
        let mut world = World::in_line(QRESYNC);
        world.policy.max_delete = None;
        (10..30).for_each(|number| world.at(side).deliver(number, ""));
        world.runs_until_quiet();
        world.at(side).reflag(1, "\\Flagged", "");
        world.at(side).is_odd(Some(Oddity::LooksEmpty));
        let report = world.run().unwrap();
        assert!(!report.troubles.is_empty(), "{report:?}");
        assert_eq!(numbers(&world.at(side.other())).len(), 22);
        world.at(side).is_odd(None);
        world.runs_until_quiet();
        assert_eq!(world.holds(Side::Local), world.holds(Side::Remote));
        assert_eq!(numbers(&world.at(side)).len(), 22);
    }
}

#[test]
fn s092_a_mailbox_renamed_or_deleted_under_a_run_loses_nothing_else() {
    for (at, is_renamed) in (1..40).flat_map(|at| [(at, true), (at, false)]) {
        let mut world = World::in_line(QRESYNC);
        world.policy.max_delete = None;
        world.at(Side::Remote).in_mailbox("a").deliver(3, "");
        world.runs_until_quiet();
        world.at(Side::Local).in_mailbox("a").deliver(4, "");
        world.at(Side::Local).in_mailbox("a").reflag(3, "\\Seen", "");
        let user = world.at(Side::Remote).in_mailbox("a");
        let act = move || if is_renamed { user.rename("b") } else { user.delete() };
        let act_at = Some((at, Box::new(act) as Box<dyn FnOnce() + Send>));
        *world.fuse.lock().unwrap() = Fuse { act_at, ..Fuse::default() };
        let _ = world.run();
        world.runs_until_quiet();
        let held = Side::BOTH.map(|side| {
            let user = world.at(side);
            user.names().iter().map(|name| (name.clone(), numbers(&user.in_mailbox(name)))).collect::<Vec<_>>()
        });
        assert_eq!(held[0], held[1], "at step {at}");
        let has = |number: u32| held[0].iter().any(|(_, numbers)| numbers.contains(&number));
        assert!(has(1) && has(2), "at step {at}: {held:?}");
        // Deleted after it had arrived there, it is gone; deleted before, it was new and is kept.
        assert!(!is_renamed || (has(3) && has(4)), "at step {at}: {held:?}");
    }
}

#[test]
fn s146_a_flag_that_a_server_takes_and_does_not_keep_stays_where_it_was_set() {
    for oddity in [Oddity::Drops(flag("$Junk")), Oddity::Respells(flag("$Junk"), flag("Junk"))] {
        let mut world = World::in_line(QRESYNC);
        world.at(Side::Remote).is_odd(Some(oddity.clone()));
        world.at(Side::Local).reflag(1, "$Junk", "");
        for run in 0..10 {
            let report = world.run().unwrap();
            assert!(changes(&report) <= 4, "{oddity:?}, run {run}: {report:?}");
            assert!(!report.troubles.is_empty(), "{oddity:?}: it must be told");
            let flags = &world.holds(Side::Local)[0].1;
            assert!(flags.contains("$Junk"), "{oddity:?}, run {run}: {flags}");
        }
    }
}

/// Runs one after the other until none has anything to do.
fn come_to_rest(worlds: &mut [World]) {
    for _ in 0..6 {
        let done: u64 = worlds.iter_mut().map(|world| changes(&world.run().unwrap())).sum();
        if done == 0 {
            return;
        }
    }
    panic!("no end to it: {:?}", worlds.iter().map(|world| world.holds(Side::Local)).collect::<Vec<_>>());
}

#[test]
fn s129_two_synchronizers_of_one_pair_come_to_rest() {
    for at in 0..45 {
        let mut first = World::in_line(QRESYNC);
        let mut second = first.beside();
        second.runs_until_quiet();
        first.at(Side::Local).deliver(3, "");
        first.at(Side::Remote).deliver(4, "\\Seen");
        first.at(Side::Local).reflag(1, "\\Flagged", "");
        first.at(Side::Remote).expunge(2);
        // All of the second one's run happens between two steps of the first one's; at 0, after it.
        let (give_back, back) = mpsc::channel();
        let act = move || {
            let runs = move || {
                let _ = second.run();
                second
            };
            give_back.send(thread::spawn(runs).join().unwrap()).unwrap();
        };
        *first.fuse.lock().unwrap() = Fuse { act_at: Some((at, Box::new(act))), ..Fuse::default() };
        let _ = first.run();
        let late = first.fuse.lock().unwrap().act_at.take();
        let is_apart = late.is_some();
        if let Some((_, act)) = late {
            act();
        }
        *first.fuse.lock().unwrap() = Fuse::default();
        let mut both = [first, back.recv().unwrap()];
        come_to_rest(&mut both);
        let held = Side::BOTH.map(|side| both[0].holds(side));
        assert_eq!(held[0], held[1], "at step {at}");
        let copies = |number: u32| held[0].iter().filter(|(n, _)| *n == number).count();
        let copies = [1, 2, 3, 4].map(copies);
        match is_apart {
            true => assert_eq!(copies, [1, 0, 1, 1], "{held:?}"),
            // Where both append the same message at the same time nobody can tell that they meant the same.
            false => assert!(
                copies[..2] == [1, 0] && copies[2..].iter().all(|copies| (1..=2).contains(copies)),
                "at step {at}: {held:?}"
            ),
        }
    }
}

#[test]
fn s130_a_ring_of_three_comes_to_rest_without_a_copy_too_many() {
    let servers: [Arc<Mutex<Server>>; 3] = Default::default();
    let mut ring = [0, 1, 2].map(|at: usize| World::between(&servers[at], &servers[(at + 1) % 3]));
    for (at, world) in ring.iter().enumerate() {
        world.at(Side::Local).deliver(at as u32, "");
        world.at(Side::Local).deliver(9, "\\Seen");
    }
    come_to_rest(&mut ring);
    ring[1].at(Side::Local).deliver(7, "");
    ring[2].at(Side::Local).expunge(0);
    ring[0].at(Side::Local).reflag(1, "\\Flagged", "");
    come_to_rest(&mut ring);
    for world in &ring {
        let held = world.holds(Side::Local);
        let expected = [(1, "\\Flagged"), (2, ""), (7, ""), (9, "\\Seen")].map(|(n, flags)| (n, flags.to_owned()));
        assert_eq!(held, expected);
    }
}

#[test]
fn s139_no_clock_decides_what_is_the_same() {
    const YEAR: i64 = 366 * 24 * 3600;
    let mut world = World::in_line(QRESYNC);
    for (number, now) in
        (10..).zip([YEAR, 0, i64::from(i32::MAX), i64::from(i32::MAX) + 1, 1_000_000, 140 * YEAR, -YEAR])
    {
        world.now = now;
        world.at(Side::Local).deliver(number, "");
        world.at(Side::Remote).reflag(number - 1, "\\Seen", "");
        world.at(Side::Remote).expunge(number - 2);
        world.runs_until_quiet();
        assert_eq!(world.holds(Side::Local), world.holds(Side::Remote), "at {now}");
    }
    assert_eq!(numbers(&world.at(Side::Remote)), [1, 2, 15, 16]);
}

#[test]
fn s141_a_first_run_that_is_interrupted_again_and_again_appends_each_message_once() {
    const MESSAGES: u32 = 60;
    let mut world = World::empty(QRESYNC);
    (0..MESSAGES).for_each(|number| world.at(Side::Local).deliver(number, ""));
    for resumed in 0..50 {
        world.run_until(8 + resumed % 5);
    }
    world.runs_until_quiet();
    assert_eq!(numbers(&world.at(Side::Remote)), (0..MESSAGES).collect::<Vec<_>>());
    assert_eq!(world.at(Side::Remote).uid_next(), MESSAGES + 1, "so many were appended");
    assert_eq!(world.at(Side::Local).uid_next(), MESSAGES + 1);
}

/// What was gathered for a mailbox before it failed is not sent any more: to one that is full, it would be for nothing.
#[test]
fn a_mailbox_that_fails_is_sent_no_further_batch() {
    let mut failures = 0;
    for step in 1..30 {
        let mut world = World::in_line(QRESYNC);
        let (local, remote) = (world.at(Side::Local).in_mailbox("b"), world.at(Side::Remote).in_mailbox("b"));
        remote.deliver(1, "");
        world.runs_until_quiet();
        // None of them has an equal one in another mailbox.
        (1002..1602).for_each(|number| local.deliver(number, ""));
        let there = world.servers.remote.clone();
        let name = interimap::mail::MailboxName::new("b").unwrap();
        let act = Box::new(move || drop(there.lock().unwrap().mailboxes.remove(&name)));
        *world.fuse.lock().unwrap() = Fuse { act_at: Some((step, act)), ..Fuse::default() };
        world.run().unwrap();
        *world.fuse.lock().unwrap() = Fuse::default();
        let open = world.intents();
        failures += usize::from(open > 0);
        assert!(open == 0 || open == 500, "{open} messages were sent, the mailbox gone at step {step}");
        world.runs_until_quiet();
        assert_eq!(numbers(&local), numbers(&remote), "gone at step {step}");
    }
    assert!(failures > 0, "it has to be gone while messages are appended");
}
