//! Servers without UIDPLUS, and servers that drop keywords, rewrite, merge or throw away what they are given: cut off
//! anywhere, nothing is lost, doubled or revived, and what others have marked as deleted stays, with its mark.

use interimap::mail::{Both, Side, Uid};

use super::memory::{Fuse, Observer, Oddity, Rewriting};
use super::scenarios::{Depth, OBSERVERS, Tally, settles};
use super::world::{Choices, World, changes};
use crate::engine::Scrutiny;
use crate::engine::event::{Report, TroubleCause};

const QRESYNC: Both<Observer> = OBSERVERS[0];

fn numbers(world: &World, side: Side) -> Vec<u32> {
    world.holds(side).iter().map(|(number, _)| *number).collect()
}

fn flags(world: &World, side: Side, number: u32) -> Option<String> {
    world.holds(side).into_iter().find(|(held, _)| *held == number).map(|(_, flags)| flags)
}

fn causes(report: &Report) -> Vec<TroubleCause> {
    report.troubles.iter().map(|trouble| trouble.cause).collect()
}

/// A user has marked message 2 where message 1 is to be expunged, before the run or in the middle of it. The run is cut
/// off, so may the next one be, and the marked message may change in between.
pub(super) fn expunges_around_marks(observers: Both<Observer>, depth: Depth) -> Tally {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    while depth.goes_on(&tally) && choices.another() {
        let mut world = World::in_line(observers);
        let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
        there.is_odd([Oddity::NoUidplus]);
        let marked = choices.one_of(4);
        match marked {
            0 => {}
            1 => there.reflag(2, "\\Deleted", ""),
            2 => {
                there.reflag(2, "\\Deleted", "");
                world.runs_until_quiet();
            }
            _ => {
                here.deliver(3, "\\Deleted");
                there.reflag(2, "\\Deleted", "");
                world.runs_until_quiet();
            }
        }
        here.expunge(1);
        if marked == 3 {
            here.deliver(10, "$Work");
        }
        let meanwhile = if marked == 0 { choices.one_of(7) as u32 * 3 + 1 } else { 0 };
        let crash = choices.one_of(if marked == 3 { 38 } else { 30 }) as u32;
        let act = {
            let there = there.clone();
            Box::new(move || there.reflag(2, "\\Deleted", "")) as Box<dyn FnOnce() + Send>
        };
        let act_at = (meanwhile > 0).then_some((meanwhile, act));
        let crash_at = (crash > 0).then_some(crash);
        *world.fuse.lock().unwrap() = Fuse { crash_at, act_at, ..Fuse::default() };
        let ended = world.run().is_ok();
        let late = world.fuse.lock().unwrap().act_at.is_some();
        *world.fuse.lock().unwrap() = Fuse::default();
        let after = if ended { 0 } else { choices.one_of(4) };
        match after {
            1 => drop(there.expunge(2)),
            2 => there.reflag(2, "\\Flagged", ""),
            3 => drop(world.run_until(choices.one_of(4) as u32 * 4 + 3)),
            _ => {}
        }
        let lifted = world.lifted();
        let outcome = settles(&mut world);
        let (local, remote) = (world.holds(Side::Local), world.holds(Side::Remote));
        let mut expected = vec![2];
        expected.extend((marked == 3).then_some(3));
        expected.retain(|number| *number != 2 || after != 1);
        let is_marked = |number: u32| local.iter().any(|(n, flags)| *n == number && flags.contains("\\Deleted"));
        let held: Vec<u32> = local.iter().map(|(number, _)| *number).filter(|number| *number != 10).collect();
        let marks = (marked > 0 || meanwhile > 0 && !late) && after != 1;
        let problem = match () {
            () if outcome.is_err() => outcome.err(),
            () if local != remote => Some("the sides differ".to_owned()),
            () if held != expected => Some(format!("lost, revived or doubled: {expected:?} expected")),
            () if local.iter().filter(|(number, _)| *number == 10).count() > 1 => Some("10 was doubled".to_owned()),
            () if is_marked(2) != marks => Some("the mark of another was lost".to_owned()),
            () if is_marked(3) != (marked == 3) => Some("the other mark of another was lost".to_owned()),
            () if after == 2 && !local.iter().any(|(n, flags)| *n == 2 && flags.contains("\\Flagged")) => {
                Some("\\Flagged was lost".to_owned())
            }
            () if world.lifted() > 0 => Some("a mark was never put back".to_owned()),
            () => None,
        };
        let scenario = || {
            format!(
                "{observers:?} marked {marked} meanwhile {meanwhile} crash {crash} after {after} lifted {lifted}\n\
                 local {local:?}\nremote {remote:?}"
            )
        };
        tally.count(&world, scenario, problem);
    }
    tally
}

#[test]
fn what_others_have_marked_stays_when_qresync_sees_both() {
    expunges_around_marks(OBSERVERS[0], Depth::Everything).expect_none("marks of others, qresync");
}

#[test]
fn what_others_have_marked_stays_when_remote_is_seen_in_full() {
    expunges_around_marks(OBSERVERS[2], Depth::Everything).expect_none("marks of others, full remote");
}

/// The server refuses any one command of it.
#[test]
fn what_others_have_marked_stays_whatever_is_refused() {
    for refused in 1..40 {
        let mut world = World::in_line(QRESYNC);
        let there = world.at(Side::Remote);
        there.is_odd([Oddity::NoUidplus]);
        there.reflag(2, "\\Deleted", "");
        world.at(Side::Local).expunge(1);
        *world.fuse.lock().unwrap() = Fuse { refuse_at: Some(refused), ..Fuse::default() };
        let report = world.run().unwrap();
        let is_off = world.lifted() > 0;
        assert!(!is_off || !report.troubles.is_empty(), "refused at {refused}: {report:?}");
        world.runs_until_quiet();
        let wanted = vec![(2, "\\Deleted \\Seen".to_owned())];
        assert_eq!(world.holds(Side::Local), wanted, "refused at {refused}");
        assert_eq!(world.holds(Side::Remote), wanted, "refused at {refused}");
        assert_eq!(world.lifted(), 0, "refused at {refused}");
    }
}

#[test]
fn where_marks_cannot_be_lifted_the_expunge_waits_and_is_told() {
    let mut world = World::in_line(QRESYNC);
    let there = world.at(Side::Remote);
    there.is_odd([Oddity::NoUidplus, Oddity::KeepsDeleted]);
    there.reflag(2, "\\Deleted", "");
    world.runs_until_quiet();
    world.at(Side::Local).expunge(1);
    world.at(Side::Local).deliver(3, "");
    for _ in 0..3 {
        let report = world.run().unwrap();
        assert_eq!(causes(&report), [TroubleCause::Marked], "{report:?}");
        assert!(report.troubles[0].text.contains("no UIDPLUS") && report.troubles[0].text.contains("1 other"));
        assert_eq!((numbers(&world, Side::Local), numbers(&world, Side::Remote)), (vec![2, 3], vec![1, 2, 3]));
        assert_eq!(flags(&world, Side::Remote, 2).as_deref(), Some("\\Deleted \\Seen"));
        assert_eq!(world.lifted(), 0);
    }
    there.is_odd([Oddity::NoUidplus]);
    world.runs_until_quiet();
    assert_eq!(numbers(&world, Side::Remote), [2, 3]);
    assert_eq!(world.holds(Side::Local), world.holds(Side::Remote));
}

#[test]
fn lifted_marks_of_a_mailbox_that_is_another_by_now_are_forgotten() {
    let mut found = 0;
    for crash in 1..40 {
        let mut world = World::in_line(QRESYNC);
        let there = world.at(Side::Remote);
        there.is_odd([Oddity::NoUidplus]);
        there.reflag(2, "\\Deleted", "");
        world.runs_until_quiet();
        world.at(Side::Local).expunge(1);
        world.run_until(crash);
        found += u32::from(world.lifted() > 0);
        there.rebuild();
        there.is_odd([Oddity::NoUidplus]);
        world.runs_until_quiet();
        assert_eq!(world.lifted(), 0, "cut off at {crash}");
        assert!(numbers(&world, Side::Local).contains(&2), "cut off at {crash}");
        assert_eq!(world.holds(Side::Local), world.holds(Side::Remote), "cut off at {crash}");
    }
    assert!(found > 3, "{found} runs were cut off while marks were lifted");
}

/// A server restored from a backup, of which nothing shows: the UID is another message's now.
#[test]
fn a_lifted_mark_is_not_put_on_another_message() {
    let mut found = 0;
    for crash in 1..40 {
        let mut world = World::in_line(QRESYNC);
        let there = world.at(Side::Remote);
        there.is_odd([Oddity::NoUidplus]);
        there.reflag(2, "\\Deleted", "");
        world.runs_until_quiet();
        world.at(Side::Local).expunge(1);
        world.run_until(crash);
        if flags(&world, Side::Remote, 2).is_some_and(|flags| flags.contains("\\Deleted")) {
            continue;
        }
        found += 1;
        {
            let mut server = world.servers.remote.lock().unwrap();
            let mailbox = server.mailboxes.get_mut(&interimap::mail::MailboxName::inbox()).unwrap();
            let held = mailbox.messages.values_mut().find(|held| held.octets.starts_with(b"Message-ID: <2@x>"));
            held.unwrap().octets = "Message-ID: <9@x>\r\nSubject: 9\r\n\r\nother\r\n".into();
        }
        world.run().unwrap();
        world.runs_until_quiet();
        assert_eq!(world.lifted(), 0, "cut off at {crash}");
        assert_eq!(flags(&world, Side::Remote, 9).as_deref(), Some("\\Seen"), "cut off at {crash}");
    }
    assert!(found > 0, "no run was cut off while a mark was off");
}

/// The mailbox is deleted on the other side while marks are off. Where it may not be deleted here, it is created again
/// there, and everything that was remembered of it is forgotten, but for the marks.
#[test]
fn lifted_marks_of_a_mailbox_that_is_created_again_are_put_back() {
    use interimap::plan::{DeleteMailboxes, Policy};
    let mut found = 0;
    for (never, crash) in [true, false].into_iter().flat_map(|never| (1..40).map(move |crash| (never, crash))) {
        let mut world = World::in_line(QRESYNC);
        let (here, there) = (world.at(Side::Local).in_mailbox("a"), world.at(Side::Remote).in_mailbox("a"));
        here.deliver(3, "");
        here.deliver(4, "");
        world.runs_until_quiet();
        there.is_odd([Oddity::NoUidplus]);
        there.reflag(4, "\\Deleted", "");
        world.runs_until_quiet();
        here.expunge(3);
        world.run_until(crash);
        let is_off = there.holds().iter().any(|(number, flags)| *number == 4 && !flags.contains("\\Deleted"));
        found += u32::from(is_off);
        here.delete();
        if never {
            world.policy = Policy { delete_mailboxes: DeleteMailboxes::Never, ..Policy::two_way() };
        } else {
            there.deliver(7, "");
        }
        let _ = world.run();
        world.runs_until_quiet();
        assert_eq!(world.lifted(), 0, "never {never}, cut off at {crash}");
        for user in [&here, &there] {
            let held = user.holds();
            let flags = held.iter().find(|(number, _)| *number == 4).map(|(_, flags)| flags.as_str());
            assert_eq!(flags, Some("\\Deleted"), "never {never}, cut off at {crash}: {held:?}");
        }
    }
    assert!(found > 3, "{found} runs were cut off while marks were lifted");
}

/// A rehearsal shows what a run would put back, writes nothing, and does not take the missing mark for a wish.
#[test]
fn a_rehearsal_shows_lifted_marks_and_leaves_them() {
    let mut found = 0;
    for crash in 1..40 {
        let mut world = World::in_line(QRESYNC);
        let there = world.at(Side::Remote);
        there.is_odd([Oddity::NoUidplus]);
        there.reflag(2, "\\Deleted", "");
        world.runs_until_quiet();
        world.at(Side::Local).expunge(1);
        world.run_until(crash);
        let before = world.holds(Side::Remote);
        let is_off = before.iter().any(|(number, flags)| *number == 2 && !flags.contains("\\Deleted"));
        if !is_off {
            continue;
        }
        found += 1;
        let (report, steps) = world.rehearse();
        assert!(report.troubles.is_empty(), "{report:?}");
        assert_eq!(world.holds(Side::Remote), before, "cut off at {crash}");
        let shown: Vec<String> = steps.iter().filter(|step| step.op == "flag").map(ToString::to_string).collect();
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].starts_with("remote flag") && shown[0].ends_with(" +\\Deleted"), "{shown:?}");
        // Nor does a run that may not write there.
        world.policy.writing.remote = interimap::plan::Writing::Refused;
        world.run().unwrap();
        assert_eq!(world.holds(Side::Remote), before, "cut off at {crash}");
        assert_eq!(flags(&world, Side::Local, 2).as_deref(), Some("\\Deleted \\Seen"), "cut off at {crash}");
        world.policy = interimap::plan::Policy::two_way();
        world.runs_until_quiet();
        for side in Side::BOTH {
            assert_eq!(flags(&world, side, 2).as_deref(), Some("\\Deleted \\Seen"), "{side}, cut off at {crash}");
        }
        assert_eq!(world.lifted(), 0, "cut off at {crash}");
    }
    assert!(found > 0, "no run was cut off while a mark was off");
}

/// Messages go to a server that rewrites them and tells no UIDs; the run is cut off anywhere.
#[test]
fn what_a_server_rewrites_is_found_again() {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    while choices.another() {
        let observers = OBSERVERS[choices.one_of(3)];
        let rewriting = [Rewriting::LineEnds, Rewriting::Body, Rewriting::Header][choices.one_of(3)];
        let drops = choices.one_of(2) == 1;
        let mut world = World::in_line(observers);
        let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
        let oddities = [Oddity::NoUidplus, Oddity::Rewrites(rewriting), Oddity::DropsKeywordsOfNew];
        there.is_odd(oddities.into_iter().take(if drops { 3 } else { 2 }));
        // Two equal ones among them, and somebody else's.
        [(3, ""), (3, ""), (4, "\\Seen $Work"), (5, "$Work")].iter().for_each(|(n, flags)| here.deliver(*n, flags));
        there.deliver(6, "$Other");
        let crash = choices.one_of(45) as u32;
        let ended = world.run_until(crash);
        let first = (world.holds(Side::Local), world.holds(Side::Remote));
        let outcome = settles(&mut world);
        let (local, remote) = (world.holds(Side::Local), world.holds(Side::Remote));
        let mut held: Vec<u32> = local.iter().map(|(number, _)| *number).collect();
        let wanted = [1, 2, 3, 3, 4, 5, 6];
        // One whose answer was cut off is known by its contents only.
        let cut_in_vain = !ended && rewriting != Rewriting::LineEnds;
        if cut_in_vain && held.len() > wanted.len() {
            held.dedup();
            held.insert(2, 3);
        }
        let bears_work = |number: u32| local.iter().any(|(n, flags)| *n == number && flags.contains("$Work"));
        let problem = match () {
            () if outcome.is_err() => outcome.err(),
            () if local != remote => Some("the sides differ".to_owned()),
            () if held != wanted => Some("lost or doubled".to_owned()),
            () if crash == 0 && first.0 != first.1 => Some("one run was not enough".to_owned()),
            () if world.intents() > 0 => Some("an append was never settled".to_owned()),
            () if [4, 5].iter().any(|number| !bears_work(*number)) => Some("a keyword was lost".to_owned()),
            () if local.iter().any(|(n, flags)| *n == 6 && flags != "$Other") => Some("$Other was lost".to_owned()),
            () => None,
        };
        let scenario =
            || format!("{observers:?} {rewriting:?} drops {drops} crash {crash}\nlocal {local:?}\nremote {remote:?}");
        tally.count(&world, scenario, problem);
    }
    tally.expect_none("rewritten");
}

/// A keyword that the server forgets with a new message is given once more, and stays where it was set.
#[test]
fn a_keyword_that_an_append_loses_arrives_and_is_not_taken_for_removed() {
    for (tells, observers) in [true, false].into_iter().flat_map(|tells| OBSERVERS.map(|observers| (tells, observers)))
    {
        for crash in 0..40 {
            let mut world = World::in_line(observers);
            let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
            there.is_odd([Oddity::DropsKeywordsOfNew].into_iter().chain((!tells).then_some(Oddity::NoUidplus)));
            here.deliver(3, "\\Seen $Work");
            // One that was left out before, and of which nothing is reported any more.
            world.policy.flow.local.clear();
            here.deliver(4, "$Later");
            world.runs_until_quiet();
            world.policy = interimap::plan::Policy::two_way();
            here.deliver(5, "");
            here.reflag(5, "$Work", "");
            world.run_until(crash);
            world.runs_until_quiet();
            let wanted = [(1, ""), (2, "\\Seen"), (3, "\\Seen $Work"), (4, "$Later"), (5, "$Work")];
            let wanted = wanted.map(|(number, flags)| (number, flags.to_owned()));
            for side in Side::BOTH {
                assert_eq!(world.holds(side), wanted, "{side}, {observers:?}, tells {tells}, cut off at {crash}");
            }
            // What a user takes off later is taken off.
            there.reflag(4, "", "$Later");
            here.reflag(5, "", "$Work");
            world.runs_until_quiet();
            for (number, side) in [4, 5].into_iter().flat_map(|number| Side::BOTH.map(|side| (number, side))) {
                assert_eq!(flags(&world, side, number).as_deref(), Some(""), "{side} {number} {observers:?} {crash}");
            }
        }
    }
}

#[test]
fn a_keyword_for_which_there_is_no_room_is_named_and_stays_where_it_was_set() {
    for observers in OBSERVERS {
        let mut world = World::in_line(observers);
        let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
        there.is_odd([Oddity::KeywordLimit(1)]);
        here.reflag(1, "$One", "");
        world.runs_until_quiet();
        here.reflag(2, "$Two", "");
        here.deliver(3, "$Three \\Seen");
        here.reflag(1, "\\Flagged", "");
        there.deliver(4, "");
        for run in 0..3 {
            let report = world.run().unwrap();
            assert_eq!(causes(&report), vec![TroubleCause::Unkept; report.troubles.len()], "run {run}: {report:?}");
            let told: Vec<&str> = report.troubles.iter().map(|trouble| trouble.text.as_str()).collect();
            assert!(told.iter().any(|text| text.contains("$Two")), "run {run}: {told:?}");
            assert!(told.iter().any(|text| text.contains("$Three")), "run {run}: {told:?}");
            let here = [(1, "\\Flagged $One"), (2, "\\Seen $Two"), (3, "\\Seen $Three"), (4, "")];
            let there = [(1, "\\Flagged $One"), (2, "\\Seen"), (3, "\\Seen"), (4, "")];
            let wanted = [here, there].map(|side| side.map(|(number, flags)| (number, flags.to_owned())).to_vec());
            assert_eq!([world.holds(Side::Local), world.holds(Side::Remote)], wanted, "run {run}");
        }
        there.is_odd([]);
        world.runs_until_quiet();
        assert_eq!(world.holds(Side::Local), world.holds(Side::Remote));
        assert_eq!(flags(&world, Side::Remote, 3).as_deref(), Some("\\Seen $Three"));
    }
}

#[test]
fn of_equal_messages_that_a_server_merges_none_is_lost_and_the_others_are_named() {
    for (tells, crash) in [true, false].into_iter().flat_map(|tells| (0..40).map(move |crash| (tells, crash))) {
        let mut world = World::in_line(QRESYNC);
        let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
        there.is_odd([Oddity::Merges].into_iter().chain((!tells).then_some(Oddity::NoUidplus)));
        // One like the one that is there, and two equal ones at once.
        here.deliver(1, "");
        here.deliver(3, "");
        here.deliver(3, "");
        world.run_until(crash);
        world.runs_until_quiet();
        let case = format!("tells {tells}, cut off at {crash}");
        assert_eq!(
            (numbers(&world, Side::Local), numbers(&world, Side::Remote)),
            (vec![1, 1, 2, 3, 3], vec![1, 2, 3]),
            "{case}"
        );
        let report = world.run().unwrap();
        assert_eq!((report.skipped.len(), changes(&report), world.intents()), (2, 0, 0), "{case}: {report:?}");
        assert!(report.skipped.iter().all(|skipped| skipped.reason.contains("one copy of equal messages")), "{case}");
        // The one that has its copy there goes with it, the other stays; and it takes its place by `repair`.
        there.expunge(3);
        world.runs_until_quiet();
        assert_eq!(
            (numbers(&world, Side::Local), numbers(&world, Side::Remote)),
            (vec![1, 1, 2, 3], vec![1, 2]),
            "{case}"
        );
        world.run_closely(Scrutiny::Everything).unwrap();
        world.runs_until_quiet();
        assert_eq!(
            (numbers(&world, Side::Local), numbers(&world, Side::Remote)),
            (vec![1, 1, 2, 3], vec![1, 2, 3]),
            "{case}"
        );
    }
}

/// A message is moved out and back, so that a server that merges has one copy of what is gone and of what arrived.
#[test]
fn what_takes_the_place_of_its_equal_is_not_merged_with_it() {
    for (crash, refused) in (0..40).flat_map(|step| [(step, 0), (0, step)]) {
        let mut world = World::in_line(QRESYNC);
        let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
        there.is_odd([Oddity::Merges]);
        here.carry(1, "b");
        here.in_mailbox("b").carry(1, "INBOX");
        let (crash_at, refuse_at) = ((crash > 0).then_some(crash), (refused > 0).then_some(refused));
        *world.fuse.lock().unwrap() = Fuse { crash_at, refuse_at, ..Fuse::default() };
        let _ = world.run();
        world.now += 7 * 24 * 3600;
        world.runs_until_quiet();
        for side in Side::BOTH {
            assert_eq!(numbers(&world, side), [1, 2], "{side}, cut off at {crash}, refused at {refused}");
        }
        assert_eq!(world.run().unwrap().skipped, [], "cut off at {crash}, refused at {refused}");
    }
}

#[test]
fn what_a_server_shows_late_is_not_copied_back() {
    for crash in 0..30 {
        let mut world = World::in_line(QRESYNC);
        let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
        there.is_odd([Oddity::Discards]);
        here.deliver(3, "\\Seen $Work");
        world.runs_until_quiet();
        assert_eq!(world.run().unwrap().skipped.len(), 1);
        there.is_odd([]);
        there.deliver(3, "\\Seen");
        there.deliver(4, "");
        world.run_until(crash);
        world.runs_until_quiet();
        for side in Side::BOTH {
            assert_eq!(numbers(&world, side), [1, 2, 3, 4], "{side}, cut off at {crash}");
        }
        assert_eq!(flags(&world, Side::Local, 3).as_deref(), Some("\\Seen $Work"), "cut off at {crash}");
        assert_eq!(world.run().unwrap().skipped, [], "cut off at {crash}");
        here.expunge(3);
        world.runs_until_quiet();
        assert_eq!(numbers(&world, Side::Remote), [1, 2, 4], "cut off at {crash}");
    }
}

/// Somebody else's message says the same in the same words, as those of programs do day by day.
#[test]
fn another_message_with_the_same_text_is_not_taken_for_one_that_is_not_shown() {
    let says_the_same = |world: &World, side: Side, number: u32| {
        let octets = format!("Message-ID: <{number}@x>\r\nSubject: backup\r\n\r\nThe backup is done.\r\n");
        let date = interimap::mail::InternalDate::from_unix(1_000 + i64::from(number)).unwrap();
        let mut server = world.servers[side].lock().unwrap();
        server.create(&interimap::mail::MailboxName::inbox()).deliver(octets, date, Default::default());
    };
    let mut open = 0;
    for crash in 1..30 {
        let mut world = World::in_line(QRESYNC);
        let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
        there.is_odd([Oddity::Discards]);
        says_the_same(&world, Side::Local, 3);
        world.run_until(crash);
        open += world.intents();
        there.is_odd([Oddity::TellsNoUid]);
        says_the_same(&world, Side::Remote, 4);
        world.runs_until_quiet();
        assert!(numbers(&world, Side::Local).contains(&4), "cut off at {crash}: 4 never arrives");
        here.expunge(3);
        world.runs_until_quiet();
        assert!(numbers(&world, Side::Remote).contains(&4), "cut off at {crash}: 4 is expunged for 3");
    }
    assert!(open > 3, "{open} runs were cut off before they had found the message");
}

/// The message equals one that is there already, so the server may as well have merged the two.
#[test]
fn what_looks_merged_and_is_shown_late_is_not_copied_back() {
    for crash in 0..30 {
        let mut world = World::in_line(QRESYNC);
        let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
        there.is_odd([Oddity::Discards]);
        here.deliver(2, "\\Seen");
        world.runs_until_quiet();
        assert_eq!(world.run().unwrap().skipped.len(), 1);
        there.is_odd([]);
        there.deliver(2, "\\Seen");
        world.run_until(crash);
        world.runs_until_quiet();
        for side in Side::BOTH {
            assert_eq!(numbers(&world, side), [1, 2, 2], "{side}, cut off at {crash}");
        }
        assert_eq!(world.run().unwrap().skipped, [], "cut off at {crash}");
    }
}

/// A server says that it took a message and throws it away, while somebody else's arrives: that one is not taken for it.
#[test]
fn what_a_server_took_and_does_not_show_is_named_and_never_sent_again() {
    for (at, crash) in (0..24).map(|at| (at, 0)).chain((1..36).map(|crash| (0, crash))) {
        let mut world = World::in_line(QRESYNC);
        let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
        there.is_odd([Oddity::Discards]);
        here.deliver(3, "");
        let user = there.clone();
        let act_at = (at > 0).then_some((at, Box::new(move || user.deliver(4, "")) as Box<dyn FnOnce() + Send>));
        let crash_at = (crash > 0).then_some(crash);
        *world.fuse.lock().unwrap() = Fuse { crash_at, act_at, ..Fuse::default() };
        let _ = world.run();
        let late = at > 0 && world.fuse.lock().unwrap().act_at.take().is_some();
        world.runs_until_quiet();
        let case = format!("arrived at {at}, cut off at {crash}");
        let both = if at > 0 && !late { vec![1, 2, 4] } else { vec![1, 2] };
        // What is delivered by hand is not thrown away.
        there.is_odd([]);
        world.runs_until_quiet();
        world.run_closely(Scrutiny::Everything).unwrap();
        let report = world.run().unwrap();
        assert_eq!(numbers(&world, Side::Remote), both, "{case}: it is not sent again, not even by repair");
        assert!(numbers(&world, Side::Local).contains(&3), "{case}");
        assert_eq!(numbers(&world, Side::Local).len(), both.len() + 1, "{case}");
        assert_eq!(report.skipped.len(), 1, "{case}: {report:?}");
        assert!(report.skipped[0].reason.contains("shows no such message"), "{case}: {report:?}");
        assert_eq!(world.intents(), 0, "{case}");
        // Expunged, it is forgotten.
        here.expunge(3);
        world.runs_until_quiet();
        assert_eq!(world.run().unwrap().skipped, [], "{case}");
        assert_eq!((numbers(&world, Side::Local), numbers(&world, Side::Remote)), (both.clone(), both), "{case}");
    }
}

/// While a message is on its way, somebody else's arrives there with its header and its date, and perhaps its size. Which
/// of the two is the copy shows in their contents; were it the wrong one, an expunge would destroy a message that nobody
/// has here.
#[test]
fn s058_of_two_candidates_the_one_with_the_same_contents_is_the_copy() {
    let mut met_on_the_way = 0;
    for (observers, text) in
        OBSERVERS.into_iter().flat_map(|observers| [(observers, "BODY"), (observers, "a longer body")])
    {
        for (at, crash) in
            (1..24).flat_map(|at| [0, 3, 6, 9].map(|later| (at, if later == 0 { 0 } else { at + later })))
        {
            let mut world = World::in_line(observers);
            let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
            there.is_odd([Oddity::NoUidplus]);
            here.deliver(3, "");
            let user = there.clone();
            let act = Box::new(move || user.deliver_with(3, "", text)) as Box<dyn FnOnce() + Send>;
            let crash_at = (crash > 0).then_some(crash);
            *world.fuse.lock().unwrap() = Fuse { crash_at, act_at: Some((at, act)), ..Fuse::default() };
            let _ = world.run();
            let late = world.fuse.lock().unwrap().act_at.take().is_some();
            // What fingerprints cannot tell apart is one message, unless it is to be found among several.
            let is_alone = there.texts(3).len() < 2;
            if late || is_alone {
                continue;
            }
            met_on_the_way += 1;
            world.runs_until_quiet();
            let case = format!("{observers:?}, {text}, arrived at {at}, cut off at {crash}");
            let theirs = format!("{text} of 3");
            let mut both = vec!["body of 3".to_owned(), theirs.clone()];
            both.sort();
            assert_eq!((here.texts(3), there.texts(3)), (both.clone(), both), "{case}");
            // The first one here, which is ours.
            here.expunge(3);
            world.runs_until_quiet();
            assert_eq!((here.texts(3), there.texts(3)), (vec![theirs.clone()], vec![theirs]), "{case}");
        }
    }
    assert!(met_on_the_way > 50, "{met_on_the_way} met");
}

/// A server tells the UID of another message, which arrived while ours was on its way.
#[test]
fn s060_a_uid_that_is_another_messages_is_noticed_before_that_is_expunged() {
    for (observers, at) in OBSERVERS.into_iter().flat_map(|observers| (1..30).map(move |at| (observers, at))) {
        for (further, odd) in [(0, 3), (0, 4), (1, 4), (1, 5), (3, 4), (3, 5)] {
            let mut world = World::in_line(observers);
            let (here, there) = (world.at(Side::Local), world.at(Side::Remote));
            there.is_odd([Oddity::TellsUidBefore(Uid::new(odd).unwrap())]);
            here.deliver(3, "");
            (5..5 + further).for_each(|number| here.deliver(number, ""));
            let user = there.clone();
            let act = Box::new(move || user.deliver(4, "")) as Box<dyn FnOnce() + Send>;
            *world.fuse.lock().unwrap() = Fuse { act_at: Some((at, act)), ..Fuse::default() };
            let _ = world.run();
            let late = world.fuse.lock().unwrap().act_at.take();
            late.into_iter().for_each(|(_, act)| act());
            let case = format!("{observers:?}, arrived at {at}, {further} further, wrong about {odd}");
            here.expunge(3);
            world.runs_until_quiet();
            let wanted: Vec<u32> = [1, 2, 4].into_iter().chain(5..5 + further).collect();
            assert_eq!(
                (numbers(&world, Side::Local), numbers(&world, Side::Remote)),
                (wanted.clone(), wanted),
                "{case}"
            );
        }
    }
}
