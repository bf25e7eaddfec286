//! Moves: what goes from one mailbox to another on one side goes there on the other side too, once, with its flags,
//! wherever a run is cut off, refused, or joined by a user.

use std::collections::BTreeMap;

use interimap::mail::{Access, Both, Side};
use interimap::plan::{Flow, MaxDelete};

use super::memory::{Fuse, Observer, Oddity, Relocation};
use super::scenarios::{Depth, OBSERVERS, Tally, settles};
use super::world::{Choices, World, changes};
use crate::engine::event::Report;
use crate::engine::fault::{Fault, plant};

/// Who moves messages, and how the other side behaves, on which they are to be moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The side on which the user moves messages.
    pub(super) side: Side,
    relocation: Relocation,
    /// Whether it says where messages are then.
    pub(super) tells: bool,
    observers: Both<Observer>,
}

pub(super) const MANNERS: [Manner; 4] = [
    Manner { side: Side::Local, relocation: Relocation::Move, tells: true, observers: OBSERVERS[0] },
    Manner { side: Side::Remote, relocation: Relocation::Move, tells: false, observers: OBSERVERS[1] },
    Manner { side: Side::Remote, relocation: Relocation::Copy, tells: true, observers: OBSERVERS[2] },
    Manner { side: Side::Local, relocation: Relocation::Copy, tells: false, observers: OBSERVERS[0] },
];

/// What users do: the one on the side at which it is looked, and the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Moves,
    MovesAndFlags,
    /// The other user flags the message where it was.
    MovesWhileTheOtherFlags,
    /// The other user moves it to `c`.
    BothMoveApart,
    /// The other user moves it to the same mailbox.
    BothMoveAlike,
    MovesWhileTheOtherExpunges,
    MovesIntoANewMailbox,
    MovesOneOfTwoEqual,
    MovesTwoEqual,
    /// Two messages, one out of the mailbox into which the other one goes.
    MovesInAChain,
    /// One message, twice.
    MovesOn,
    MovesAndLeavesACopy,
}

const DEEDS: [Deed; 12] = [
    Deed::Moves,
    Deed::MovesAndFlags,
    Deed::MovesWhileTheOtherFlags,
    Deed::BothMoveApart,
    Deed::BothMoveAlike,
    Deed::MovesWhileTheOtherExpunges,
    Deed::MovesIntoANewMailbox,
    Deed::MovesOneOfTwoEqual,
    Deed::MovesTwoEqual,
    Deed::MovesInAChain,
    Deed::MovesOn,
    Deed::MovesAndLeavesACopy,
];

/// What each mailbox holds.
pub(super) type Contents = BTreeMap<&'static str, Vec<u32>>;

/// Both sides hold 3 and twice 5 in `a`, and 6 in `b`.
pub(super) fn world(manner: Manner) -> World {
    let side = manner.side;
    let world = World::in_line(manner.observers);
    for name in ["a", "b", "c"] {
        world.at(side).in_mailbox(name).create();
    }
    world.at(side).in_mailbox("a").deliver(3, "\\Answered");
    world.at(side).in_mailbox("a").deliver(5, "");
    world.at(side).in_mailbox("a").deliver(5, "\\Draft");
    world.at(side).in_mailbox("b").deliver(6, "");
    let mut world = world;
    world.runs_until_quiet();
    let target = world.at(side.other());
    target.relocates_by(manner.relocation);
    if !manner.tells {
        ["INBOX", "b", "c"].iter().for_each(|name| target.in_mailbox(name).is_odd(Some(Oddity::TellsNoUid)));
    }
    world
}

/// Does it, and says what the mailboxes have to hold then.
fn act(world: &World, side: Side, deed: Deed) -> Contents {
    let (here, there) = (world.at(side), world.at(side.other()));
    let (a, b) = (here.in_mailbox("a"), here.in_mailbox("b"));
    let with = |rows: &[(&'static str, &[u32])]| {
        let mut contents = Contents::from([
            ("INBOX", vec![1, 2]),
            ("a", vec![5, 5]),
            ("b", vec![3, 6]),
            ("c", vec![]),
            ("new", vec![]),
        ]);
        contents.extend(rows.iter().map(|(name, numbers)| (*name, numbers.to_vec())));
        contents
    };
    if !matches!(deed, Deed::MovesIntoANewMailbox | Deed::MovesOneOfTwoEqual | Deed::MovesTwoEqual) {
        assert!(a.carry(3, "b"));
    }
    match deed {
        Deed::Moves => with(&[]),
        Deed::MovesAndFlags => {
            b.reflag(3, "\\Flagged", "");
            with(&[])
        }
        Deed::MovesWhileTheOtherFlags => {
            there.in_mailbox("a").reflag(3, "\\Flagged", "");
            with(&[])
        }
        Deed::BothMoveApart => {
            there.in_mailbox("a").carry(3, "c");
            with(&[("c", &[3])])
        }
        Deed::BothMoveAlike => {
            there.in_mailbox("a").carry(3, "b");
            with(&[])
        }
        Deed::MovesWhileTheOtherExpunges => {
            there.in_mailbox("a").expunge(3);
            with(&[])
        }
        Deed::MovesIntoANewMailbox => {
            a.carry(3, "new");
            with(&[("b", &[6]), ("new", &[3])])
        }
        Deed::MovesOneOfTwoEqual => {
            a.carry(5, "b");
            with(&[("a", &[3, 5]), ("b", &[5, 6])])
        }
        Deed::MovesTwoEqual => {
            a.carry(5, "b");
            a.carry(5, "b");
            with(&[("a", &[3]), ("b", &[5, 5, 6])])
        }
        Deed::MovesInAChain => {
            b.carry(6, "c");
            with(&[("b", &[3]), ("c", &[6])])
        }
        Deed::MovesOn => {
            b.carry(3, "INBOX");
            with(&[("b", &[6]), ("INBOX", &[1, 2, 3])])
        }
        Deed::MovesAndLeavesACopy => {
            here.in_mailbox("c").deliver(3, "\\Answered");
            with(&[("c", &[3])])
        }
    }
}

/// How many steps a run takes that carries it over.
fn steps(manner: Manner, deed: Deed) -> usize {
    let mut world = world(manner);
    act(&world, manner.side, deed);
    *world.fuse.lock().unwrap() = Fuse::default();
    world.run().unwrap();
    let steps = world.fuse.lock().unwrap().steps;
    steps as usize
}

/// Every deed on every manner, with the steps of the run that carries it over.
fn every_deed() -> Vec<(Manner, Deed, usize)> {
    let all = MANNERS.into_iter().flat_map(|manner| DEEDS.map(|deed| (manner, deed)));
    all.map(|(manner, deed)| (manner, deed, steps(manner, deed))).collect()
}

/// What is wrong with what the sides hold.
pub(super) fn problem(
    world: &World,
    expected: &Contents,
    outcome: Result<(), String>,
    flagged: &[(&str, u32, &str)],
) -> Option<String> {
    let held = |side: Side, name: &str| world.at(side).in_mailbox(name).holds();
    if let Err(problem) = outcome {
        return Some(problem);
    }
    for (name, expected) in expected {
        let (local, remote) = (held(Side::Local, name), held(Side::Remote, name));
        let numbers: Vec<u32> = local.iter().map(|(number, _)| *number).collect();
        if local != remote {
            return Some(format!("the sides differ in {name}: {local:?} {remote:?}"));
        }
        if numbers != *expected {
            return Some(format!("lost, revived or doubled in {name}: {numbers:?}, {expected:?} expected"));
        }
    }
    let lacks = |(name, number, flag): &&(&str, u32, &str)| {
        held(Side::Local, name).iter().any(|(held, flags)| held == number && !flags.contains(flag))
    };
    if let Some((name, number, flag)) = flagged.iter().find(lacks) {
        return Some(format!("{flag} of {number} was lost in {name}"));
    }
    (world.intents() > 0).then(|| "an intent was never settled".to_owned())
}

/// The flags that a deed leaves on what it moves.
fn flags_of(deed: Deed) -> Vec<(&'static str, u32, &'static str)> {
    match deed {
        Deed::MovesAndFlags | Deed::MovesWhileTheOtherFlags => vec![("b", 3, "\\Flagged"), ("b", 3, "\\Answered")],
        Deed::MovesIntoANewMailbox => vec![("new", 3, "\\Answered")],
        Deed::MovesOn => vec![("INBOX", 3, "\\Answered")],
        _ => vec![("b", 3, "\\Answered")],
    }
}

/// A run is cut off at any step, and a user acts on what has been moved before the next one.
fn cut_off_anywhere(depth: Depth) -> Tally {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    let every_deed = every_deed();
    while depth.goes_on(&tally) && choices.another() {
        let (manner, deed, steps) = every_deed[choices.one_of(every_deed.len())];
        let side = manner.side;
        let mut world = world(manner);
        let mut expected = act(&world, side, deed);
        let mut flags = flags_of(deed);
        let crash = choices.one_of(steps + 1) as u32;
        let ended = world.run_until(crash);
        let after = choices.one_of(if ended { 1 } else { 3 });
        let place = expected.keys().copied().find(|name| *name != "a" && expected[name].contains(&3));
        if let Some(place) = place {
            match after {
                // Where both have moved it, the other one's is still there.
                1 if deed == Deed::BothMoveAlike => {}
                1 if world.at(side).in_mailbox(place).expunge(3) => {
                    expected.entry(place).and_modify(|numbers| numbers.retain(|number| *number != 3));
                }
                2 => {
                    world.at(side).in_mailbox(place).reflag(3, "$Later", "");
                    flags.push((place, 3, "$Later"));
                }
                _ => {}
            }
        }
        let outcome = settles(&mut world);
        let problem = problem(&world, &expected, outcome, &flags);
        tally.count(&world, || format!("{manner:?} {deed:?} crash {crash} after {after}"), problem);
    }
    tally
}

#[test]
fn s032_s033_s034_what_was_moved_is_in_its_new_place_once_wherever_a_run_is_cut_off() {
    cut_off_anywhere(Depth::Everything).expect_none("moves, cut off anywhere");
}

#[test]
fn planted_faults_in_moving_are_caught() {
    for fault in [Fault::MoveWithoutIntent, Fault::MoveForgetsFlags] {
        plant(Some(fault));
        let tally = cut_off_anywhere(Depth::FirstFailure);
        plant(None);
        println!("{fault:?}: caught by scenario {}: {}", tally.scenarios, tally.first);
        assert!(tally.failures > 0, "{fault:?} went unnoticed");
    }
}

#[test]
fn s036_a_move_that_is_refused_half_way_loses_and_doubles_nothing() {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    let every_deed = every_deed();
    while choices.another() {
        let (manner, deed, steps) = every_deed[choices.one_of(every_deed.len())];
        let side = manner.side;
        let mut world = world(manner);
        let expected = act(&world, side, deed);
        let refused = choices.one_of(steps) as u32 + 1;
        *world.fuse.lock().unwrap() = Fuse { refuse_at: Some(refused), ..Fuse::default() };
        let report = world.run();
        world.now += 7 * 24 * 3600;
        let there = world.at(side.other());
        let everywhere: Vec<u32> =
            there.names().iter().flat_map(|name| there.in_mailbox(name).holds()).map(|it| it.0).collect();
        let missing = expected.values().flatten().find(|number| !everywhere.contains(number));
        let missing = missing.filter(|_| deed != Deed::MovesWhileTheOtherExpunges);
        let outcome = settles(&mut world);
        let mut flags = flags_of(deed);
        // Copied and expunged after all, it has the flags of the side that has moved it, and that is said.
        if report.is_ok_and(|report| !report.conflicts.is_empty()) {
            flags.retain(|(_, _, flag)| *flag == "\\Answered");
        }
        let problem = missing
            .map(|number| format!("{number} has left its mailbox, and is nowhere else"))
            .or_else(|| problem(&world, &expected, outcome, &flags));
        tally.count(&world, || format!("{manner:?} {deed:?} refused {refused}"), problem);
    }
    tally.expect_none("moves, refused anywhere");
}

#[test]
fn what_a_user_does_to_a_moved_message_meanwhile_is_not_lost() {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    while choices.another() {
        let manner = MANNERS[choices.one_of(4)];
        let side = manner.side;
        let mut world = world(manner);
        let mut expected = act(&world, side, Deed::Moves);
        let mut flags = flags_of(Deed::Moves);
        let at = choices.one_of(26) as u32 + 1;
        let what = choices.one_of(5);
        let (here, there) = (world.at(side).in_mailbox("b"), world.at(side.other()));
        let deed: Box<dyn FnOnce() + Send> = match what {
            0 => {
                flags.push(("b", 3, "\\Flagged"));
                Box::new(move || here.reflag(3, "\\Flagged", ""))
            }
            1 => {
                expected.insert("b", vec![6]);
                expected.insert("c", vec![3]);
                Box::new(move || assert!(here.carry(3, "c")))
            }
            2 => {
                expected.insert("b", vec![6]);
                Box::new(move || assert!(here.expunge(3)))
            }
            // Where it is flagged is where it is at that time; expunged there after it has moved, it is gone.
            3 => Box::new(move || {
                there.in_mailbox("a").reflag(3, "$Seen", "");
                there.in_mailbox("b").reflag(3, "$Seen", "");
            }),
            _ => {
                expected.insert("b", vec![3, 3, 6]);
                Box::new(move || here.deliver(3, "\\Answered"))
            }
        };
        *world.fuse.lock().unwrap() = Fuse { act_at: Some((at, deed)), ..Fuse::default() };
        let _ = world.run();
        let late = std::mem::take(&mut *world.fuse.lock().unwrap()).act_at;
        if let Some((_, act)) = late {
            act();
        }
        let outcome = settles(&mut world);
        let problem = problem(&world, &expected, outcome, &flags);
        tally.count(&world, || format!("{manner:?} at {at} what {what}"), problem);
    }
    tally.expect_none("moves, a user acts meanwhile");
}

/// The report of one run, by the side on which messages are to be moved: moved, copied, expunged.
fn deeds(report: &Report, side: Side) -> (u64, u64, u64) {
    let report = &report.sides[side];
    (report.moved, report.copied, report.expunged)
}

#[test]
fn s032_s147_what_was_moved_is_moved_and_not_copied() {
    for manner in MANNERS {
        for (deed, expected) in [
            (Deed::Moves, (1, 0, 0)),
            (Deed::MovesAndFlags, (1, 0, 0)),
            (Deed::MovesWhileTheOtherFlags, (1, 0, 0)),
            (Deed::BothMoveApart, (0, 1, 0)),
            (Deed::BothMoveAlike, (0, 0, 0)),
            (Deed::MovesIntoANewMailbox, (1, 0, 0)),
            (Deed::MovesOneOfTwoEqual, (1, 0, 0)),
            (Deed::MovesTwoEqual, (2, 0, 0)),
            (Deed::MovesInAChain, (2, 0, 0)),
            (Deed::MovesOn, (1, 0, 0)),
            (Deed::MovesAndLeavesACopy, (1, 1, 0)),
        ] {
            let mut world = world(manner);
            act(&world, manner.side, deed);
            let report = world.run().unwrap();
            let (moved, copied, expunged) = deeds(&report, manner.side.other());
            // A copy of which nobody says where it is is found by the next run, and counted by none.
            let copied = if manner.tells { copied } else { expected.1 };
            assert_eq!((moved, copied, expunged), expected, "{manner:?} {deed:?}");
            assert_eq!((report.troubles, report.conflicts), (vec![], vec![]), "{manner:?} {deed:?}");
            assert_eq!(changes(&world.run().unwrap()), 0, "{manner:?} {deed:?}: a further run has something to do");
            assert_eq!(world.intents(), 0, "{manner:?} {deed:?}");
        }
    }
}

#[test]
fn a_rehearsal_shows_moves() {
    let mut world = world(MANNERS[0]);
    act(&world, Side::Local, Deed::MovesIntoANewMailbox);
    act(&world, Side::Local, Deed::MovesTwoEqual);
    let (_, steps) = world.rehearse();
    let steps: Vec<String> = steps.iter().map(|step| step.to_string()).collect();
    assert_eq!(
        steps,
        [
            "remote create      new",
            "remote move        a: 2 messages, UID 2:3 -> b",
            "remote move        a: 1 message, UID 1 -> new",
        ]
    );
}

#[test]
fn what_may_not_be_expunged_is_not_moved() {
    type Case = (&'static str, fn(&mut World), (u64, u64, u64), usize);
    let forbidden: [Case; 4] = [
        ("gone", |world| world.policy.flow.local.retain(|flow| *flow != Flow::Gone), (0, 1, 0), 0),
        ("new", |world| world.policy.flow.local.retain(|flow| *flow != Flow::New), (0, 0, 1), 0),
        ("a is shut", |world| world.at(Side::Remote).in_mailbox("a").set_access(Access::ReadOnly), (0, 1, 0), 1),
        ("b is shut", |world| world.at(Side::Remote).in_mailbox("b").set_access(Access::ReadOnly), (0, 0, 1), 1),
    ];
    for (what, forbid, expected, troubles) in forbidden {
        let mut world = world(MANNERS[0]);
        forbid(&mut world);
        act(&world, Side::Local, Deed::Moves);
        let report = world.run().unwrap();
        assert_eq!(deeds(&report, Side::Remote), expected, "{what}");
        assert_eq!(report.troubles.len(), troubles, "{what}: {report:?}");
    }
}

#[test]
fn the_guard_counts_moves_as_expunges() {
    let mut world = world(MANNERS[0]);
    (10..40).for_each(|number| world.at(Side::Local).in_mailbox("a").deliver(number, ""));
    world.runs_until_quiet();
    for number in 10..40 {
        world.at(Side::Local).in_mailbox("a").carry(number, "b");
    }
    world.policy.max_delete = Some(MaxDelete::Percent(50));
    let report = world.run().unwrap();
    assert_eq!(report.guarded.len(), 1);
    assert_eq!(deeds(&report, Side::Remote), (0, 30, 0), "what the guard holds back is copied at least");
    assert_eq!(world.at(Side::Remote).in_mailbox("a").holds().len(), 33);
    world.policy.max_delete = None;
    world.runs_until_quiet();
    assert_eq!(world.at(Side::Remote).in_mailbox("a").holds(), world.at(Side::Local).in_mailbox("a").holds());
}

#[test]
fn another_message_in_its_place_is_not_moved() {
    let mut world = world(MANNERS[0]);
    act(&world, Side::Local, Deed::Moves);
    // A server restored from a backup, of which nothing shows yet: the UID is somebody else's now.
    {
        let mut server = world.servers.remote.lock().unwrap();
        let name = interimap::mail::MailboxName::new("a").unwrap();
        let mailbox = server.mailboxes.get_mut(&name).unwrap();
        let uid = *mailbox.messages.keys().next().unwrap();
        mailbox.messages.get_mut(&uid).unwrap().octets = "Message-ID: <9@x>\r\nSubject: 9\r\n\r\nother\r\n".into();
    }
    let report = world.run().unwrap();
    assert_eq!((report.sides.remote.moved, report.sides.remote.copied, report.sides.remote.expunged), (0, 1, 0));
    assert!(world.at(Side::Remote).in_mailbox("b").holds().iter().any(|(number, _)| *number == 3));
    world.runs_until_quiet();
    for side in Side::BOTH {
        let held = world.at(side).in_mailbox("a").holds();
        assert!(held.iter().any(|(number, _)| *number == 9), "nor is it expunged on the {side} side: {held:?}");
    }
}

#[test]
fn a_keyword_that_gets_lost_on_the_way_is_not_taken_from_where_it_was_moved() {
    let mut world = world(MANNERS[0]);
    world.at(Side::Local).in_mailbox("a").reflag(3, "$Work", "");
    world.runs_until_quiet();
    world.at(Side::Remote).in_mailbox("b").is_odd([Oddity::KeywordLimit(0)]);
    act(&world, Side::Local, Deed::Moves);
    for _ in 0..3 {
        world.run().unwrap();
    }
    let of = |side: Side| world.at(side).in_mailbox("b").holds().into_iter().find(|(number, _)| *number == 3);
    assert_eq!(of(Side::Local), Some((3, "\\Answered $Work".to_owned())));
    assert_eq!(of(Side::Remote), Some((3, "\\Answered".to_owned())));
}

#[test]
fn a_keyword_that_somebody_removes_while_its_message_is_moved_stays_removed() {
    for side in Side::BOTH {
        let mut world = world(MANNERS[0]);
        world.at(Side::Local).in_mailbox("a").reflag(3, "$Work", "");
        world.runs_until_quiet();
        act(&world, Side::Local, Deed::Moves);
        let at = if side == Side::Local { "b" } else { "a" };
        world.at(side).in_mailbox(at).reflag(3, "", "$Work");
        world.runs_until_quiet();
        for each in Side::BOTH {
            assert!(world.at(each).in_mailbox("b").holds().contains(&(3, "\\Answered".to_owned())), "{side} {each}");
        }
    }
}
