//! Copies: what goes into another mailbox on one side, and stays where it was as well, is copied on the other side by that
//! side itself, once, with its flags, wherever a run is cut off, refused, or joined by a user.

use interimap::mail::{Access, Both, MailboxName, Side};
use interimap::plan::Flow;

use super::memory::{Fuse, Observer, Oddity};
use super::moves::{Contents, MANNERS, Manner, problem, world};
use super::scenarios::{Depth, Tally, settles};
use super::world::{Choices, World, changes};
use crate::engine::event::Report;
use crate::engine::fault::{Fault, plant};

/// What users do: the one on the side at which it is looked, and the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Copies,
    CopiesAndFlags,
    /// The other user flags the message where it was.
    CopiesWhileTheOtherFlags,
    CopiesWhileTheOtherExpunges,
    CopiesBesideItself,
    /// One message into two mailboxes.
    CopiesTwice,
    CopiesTwiceIntoOne,
    CopiesTwoEqual,
    CopiesIntoANewMailbox,
    /// The other user copies it into the same mailbox.
    BothCopy,
    CopiesAndMoves,
    MovesAndDeletesTheMailbox,
}

const DEEDS: [Deed; 12] = [
    Deed::Copies,
    Deed::CopiesAndFlags,
    Deed::CopiesWhileTheOtherFlags,
    Deed::CopiesWhileTheOtherExpunges,
    Deed::CopiesBesideItself,
    Deed::CopiesTwice,
    Deed::CopiesTwiceIntoOne,
    Deed::CopiesTwoEqual,
    Deed::CopiesIntoANewMailbox,
    Deed::BothCopy,
    Deed::CopiesAndMoves,
    Deed::MovesAndDeletesTheMailbox,
];

/// Does it, and says what the mailboxes have to hold then. Both sides hold 3 and twice 5 in `a`, and 6 in `b`.
fn act(world: &World, side: Side, deed: Deed) -> Contents {
    let (here, there) = (world.at(side), world.at(side.other()));
    let (a, b) = (here.in_mailbox("a"), here.in_mailbox("b"));
    let with = |rows: &[(&'static str, &[u32])]| {
        let mut contents = Contents::from([
            ("INBOX", vec![1, 2]),
            ("a", vec![3, 5, 5]),
            ("b", vec![3, 6]),
            ("c", vec![]),
            ("new", vec![]),
        ]);
        contents.extend(rows.iter().map(|(name, numbers)| (*name, numbers.to_vec())));
        contents
    };
    match deed {
        Deed::Copies => {
            a.duplicate(3, "b");
            with(&[])
        }
        Deed::CopiesAndFlags => {
            a.duplicate(3, "b");
            b.reflag(3, "\\Flagged", "");
            with(&[])
        }
        Deed::CopiesWhileTheOtherFlags => {
            a.duplicate(3, "b");
            there.in_mailbox("a").reflag(3, "\\Deleted", "");
            with(&[])
        }
        Deed::CopiesWhileTheOtherExpunges => {
            a.duplicate(3, "b");
            there.in_mailbox("a").expunge(3);
            with(&[("a", &[5, 5])])
        }
        Deed::CopiesBesideItself => {
            a.duplicate(3, "a");
            with(&[("a", &[3, 3, 5, 5]), ("b", &[6])])
        }
        Deed::CopiesTwice => {
            a.duplicate(3, "b");
            a.duplicate(3, "c");
            with(&[("c", &[3])])
        }
        Deed::CopiesTwiceIntoOne => {
            a.duplicate(3, "b");
            a.duplicate(3, "b");
            with(&[("b", &[3, 3, 6])])
        }
        Deed::CopiesTwoEqual => {
            a.duplicate(5, "b");
            a.duplicate(5, "b");
            with(&[("b", &[5, 5, 6])])
        }
        Deed::CopiesIntoANewMailbox => {
            a.duplicate(3, "new");
            with(&[("b", &[6]), ("new", &[3])])
        }
        Deed::BothCopy => {
            a.duplicate(3, "b");
            there.in_mailbox("a").duplicate(3, "b");
            with(&[])
        }
        Deed::CopiesAndMoves => {
            a.duplicate(3, "c");
            a.carry(3, "b");
            with(&[("a", &[5, 5]), ("c", &[3])])
        }
        Deed::MovesAndDeletesTheMailbox => {
            a.carry(3, "b");
            a.carry(5, "b");
            a.carry(5, "c");
            a.delete();
            with(&[("a", &[]), ("b", &[3, 5, 6]), ("c", &[5])])
        }
    }
}

/// The flags that a deed leaves on what it copies.
fn flags_of(deed: Deed) -> Vec<(&'static str, u32, &'static str)> {
    match deed {
        Deed::CopiesAndFlags => vec![("b", 3, "\\Flagged"), ("b", 3, "\\Answered")],
        Deed::CopiesBesideItself => vec![("a", 3, "\\Answered")],
        Deed::CopiesIntoANewMailbox => vec![("new", 3, "\\Answered")],
        Deed::CopiesTwoEqual => vec![("b", 5, "")],
        _ => vec![("b", 3, "\\Answered")],
    }
}

/// Every deed on every manner, with the steps of the run that carries it over.
fn every_deed() -> Vec<(Manner, Deed, usize)> {
    let steps = |manner: Manner, deed: Deed| {
        let mut world = world(manner);
        act(&world, manner.side, deed);
        world.steps_of_a_run() as usize
    };
    let all = MANNERS.into_iter().flat_map(|manner| DEEDS.map(|deed| (manner, deed)));
    all.map(|(manner, deed)| (manner, deed, steps(manner, deed))).collect()
}

/// What a user marks as deleted in one mailbox must not be marked in another one.
fn marked_elsewhere(world: &World) -> Option<String> {
    let marked = |side: Side| world.at(side).in_mailbox("b").holds().iter().any(|(_, it)| it.contains("\\Deleted"));
    Side::BOTH.into_iter().any(marked).then(|| "a copy is marked as deleted by nobody".to_owned())
}

/// A run is cut off at any step, and a user flags or expunges what has been copied before the next one.
fn cut_off_anywhere(depth: Depth) -> Tally {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    let every_deed = every_deed();
    while depth.goes_on(&tally) && choices.another() {
        let (manner, deed, steps) = every_deed[choices.one_of(every_deed.len())];
        let mut world = world(manner);
        let mut expected = act(&world, manner.side, deed);
        let mut flags = flags_of(deed);
        let crash = choices.one_of(steps + 1) as u32;
        let ended = world.run_until(crash);
        let after = choices.one_of(if ended { 1 } else { 3 });
        if let Some((place, number, _)) = flags.first().copied() {
            let user = world.at(manner.side).in_mailbox(place);
            match after {
                1 => {
                    user.reflag(number, "$Later", "");
                    flags.push((place, number, "$Later"));
                }
                // Where both have copied it, the other one's is still there.
                2 if deed != Deed::BothCopy && user.expunge(number) => {
                    let Some(numbers) = expected.get_mut(place) else { continue };
                    if let Some(at) = numbers.iter().position(|held| *held == number) {
                        numbers.remove(at);
                    }
                }
                _ => {}
            }
        }
        let outcome = settles(&mut world);
        let problem = problem(&world, &expected, outcome, &flags).or_else(|| marked_elsewhere(&world));
        tally.count(&world, || format!("{manner:?} {deed:?} crash {crash} after {after}"), problem);
    }
    tally
}

#[test]
fn s035_what_was_copied_is_in_both_places_once_wherever_a_run_is_cut_off() {
    cut_off_anywhere(Depth::Everything).expect_none("copies, cut off anywhere");
}

#[test]
fn planted_faults_in_copying_within_a_side_are_caught() {
    for fault in [Fault::MoveWithoutIntent, Fault::MoveForgetsFlags] {
        plant(Some(fault));
        let tally = cut_off_anywhere(Depth::FirstFailure);
        plant(None);
        println!("{fault:?}: caught by scenario {}: {}", tally.scenarios, tally.first);
        assert!(tally.failures > 0, "{fault:?} went unnoticed");
    }
}

#[test]
fn a_copy_that_is_refused_anywhere_loses_and_doubles_nothing() {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    let every_deed = every_deed();
    while choices.another() {
        let (manner, deed, steps) = every_deed[choices.one_of(every_deed.len())];
        let mut world = world(manner);
        let expected = act(&world, manner.side, deed);
        let refused = choices.one_of(steps) as u32 + 1;
        *world.fuse.lock().unwrap() = Fuse { refuse_at: Some(refused), ..Fuse::default() };
        let _ = world.run();
        world.now += 7 * 24 * 3600;
        let outcome = settles(&mut world);
        let problem = problem(&world, &expected, outcome, &flags_of(deed)).or_else(|| marked_elsewhere(&world));
        tally.count(&world, || format!("{manner:?} {deed:?} refused {refused}"), problem);
    }
    tally.expect_none("copies, refused anywhere");
}

/// The report of one run, by the side on which messages are to be copied: moved, copied, expunged, and what crossed.
fn deeds(report: &Report, side: Side) -> (u64, u64, u64, bool) {
    let report = &report.sides[side];
    (report.moved, report.copied, report.expunged, report.copied_bytes > 0)
}

#[test]
fn s035_what_the_other_side_holds_is_copied_there_and_not_sent() {
    for manner in MANNERS {
        for (deed, expected) in [
            (Deed::Copies, (0, 1, 0, false)),
            (Deed::CopiesAndFlags, (0, 1, 0, false)),
            (Deed::CopiesBesideItself, (0, 1, 0, true)),
            (Deed::CopiesTwice, (0, 2, 0, false)),
            (Deed::CopiesTwiceIntoOne, (0, 2, 0, false)),
            (Deed::CopiesTwoEqual, (0, 2, 0, false)),
            (Deed::CopiesIntoANewMailbox, (0, 1, 0, false)),
            (Deed::BothCopy, (0, 0, 0, false)),
            (Deed::CopiesAndMoves, (1, 1, 0, false)),
            (Deed::MovesAndDeletesTheMailbox, (0, 3, 0, false)),
        ] {
            let mut world = world(manner);
            act(&world, manner.side, deed);
            let report = world.run().unwrap();
            // What is sent to a server that does not say where it is counts when it is there.
            if deed != Deed::CopiesBesideItself || manner.tells {
                assert_eq!(deeds(&report, manner.side.other()), expected, "{manner:?} {deed:?}");
            }
            assert_eq!((report.troubles, report.conflicts), (vec![], vec![]), "{manner:?} {deed:?}");
            assert_eq!(changes(&world.run().unwrap()), 0, "{manner:?} {deed:?}: a further run has something to do");
            assert_eq!(world.intents(), 0, "{manner:?} {deed:?}");
        }
    }
}

#[test]
fn what_somebody_has_touched_or_expunged_there_is_sent() {
    for deed in [Deed::CopiesWhileTheOtherFlags, Deed::CopiesWhileTheOtherExpunges] {
        let mut world = world(MANNERS[0]);
        act(&world, Side::Local, deed);
        let report = world.run().unwrap();
        let (_, copied, _, sent) = deeds(&report, Side::Remote);
        assert_eq!((copied, sent), (1, true), "{deed:?}");
    }
}

#[test]
fn another_message_in_its_place_is_not_copied() {
    let mut world = world(MANNERS[0]);
    act(&world, Side::Local, Deed::Copies);
    // A server restored from a backup, of which nothing shows yet: the UID is somebody else's now.
    {
        let mut server = world.servers.remote.lock().unwrap();
        let mailbox = server.mailboxes.get_mut(&MailboxName::new("a").unwrap()).unwrap();
        let uid = *mailbox.messages.keys().next().unwrap();
        mailbox.messages.get_mut(&uid).unwrap().octets = "Message-ID: <9@x>\r\nSubject: 9\r\n\r\nother\r\n".into();
    }
    let report = world.run().unwrap();
    assert_eq!(deeds(&report, Side::Remote), (0, 1, 0, true));
    let numbers: Vec<u32> = world.at(Side::Remote).in_mailbox("b").holds().iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [3, 6]);
}

#[test]
fn where_one_is_not_who_it_was_another_equal_one_is_copied() {
    let mut world = world(MANNERS[0]);
    world.at(Side::Local).in_mailbox("a").duplicate(3, "b");
    world.runs_until_quiet();
    {
        let mut server = world.servers.remote.lock().unwrap();
        let mailbox = server.mailboxes.get_mut(&MailboxName::new("a").unwrap()).unwrap();
        let uid = *mailbox.messages.keys().next().unwrap();
        mailbox.messages.get_mut(&uid).unwrap().octets = "Message-ID: <9@x>\r\nSubject: 9\r\n\r\nother\r\n".into();
    }
    world.at(Side::Local).in_mailbox("a").duplicate(3, "c");
    let report = world.run().unwrap();
    assert_eq!(deeds(&report, Side::Remote), (0, 1, 0, false));
    assert_eq!(world.at(Side::Remote).in_mailbox("c").holds(), [(3, "\\Answered".to_owned())]);
}

#[test]
fn a_server_that_keeps_one_of_equal_messages_is_not_asked_for_a_copy_again_and_again() {
    let mut world = world(MANNERS[0]);
    world.at(Side::Remote).in_mailbox("a").is_odd([Oddity::Merges]);
    act(&world, Side::Local, Deed::CopiesBesideItself);
    world.run().unwrap();
    assert_eq!(world.intents(), 0);
    let report = world.run().unwrap();
    assert_eq!(changes(&report), 0);
    assert_eq!(world.at(Side::Remote).in_mailbox("a").holds().len(), 3, "the server keeps one of them");
    assert_eq!(world.at(Side::Local).in_mailbox("a").holds().len(), 4);
}

#[test]
fn what_may_not_be_added_is_not_copied() {
    type Case = (&'static str, fn(&mut World), (u64, u64, u64, bool));
    let forbidden: [Case; 3] = [
        ("new", |world| world.policy.flow.local.retain(|flow| *flow != Flow::New), (0, 0, 0, false)),
        ("b is shut", |world| world.at(Side::Remote).in_mailbox("b").set_access(Access::ReadOnly), (0, 0, 0, false)),
        ("a is shut", |world| world.at(Side::Remote).in_mailbox("a").set_access(Access::ReadOnly), (0, 1, 0, false)),
    ];
    for (what, forbid, expected) in forbidden {
        let mut world = world(MANNERS[0]);
        forbid(&mut world);
        act(&world, Side::Local, Deed::Copies);
        assert_eq!(deeds(&world.run().unwrap(), Side::Remote), expected, "{what}");
    }
}

#[test]
fn a_rehearsal_shows_copies_before_moves() {
    let mut world = world(MANNERS[0]);
    act(&world, Side::Local, Deed::CopiesAndMoves);
    let (_, steps) = world.rehearse();
    let steps: Vec<String> = steps.iter().map(|step| step.to_string()).collect();
    assert_eq!(steps, ["remote copy        a: 1 message, UID 1 -> c", "remote move        a: 1 message, UID 1 -> b"]);
}

#[test]
fn new_mail_costs_one_more_question_and_a_first_run_none() {
    let steps = |world: &mut World| world.steps_of_a_run();
    let qresync = Both { local: Observer::Qresync, remote: Observer::Qresync };
    let mut first = World::empty(qresync);
    first.at(Side::Local).deliver(1, "");
    assert_eq!(steps(&mut first), 17);
    first.at(Side::Local).deliver(2, "");
    // Four for what is not remembered for the first time; and one more to ask for the newest message that is remembered, and
    // one to ask what the new one measures.
    assert_eq!(steps(&mut first), 17 - 4 + 2);
}
