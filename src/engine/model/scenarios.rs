//! The scenarios: each enumerates every combination of its choices.

use interimap::mail::{Both, Side};

use super::memory::{Fuse, Observer, Oddity};
use super::uidplus::expunges_around_marks;
use super::world::{Choices, World, changes};
use crate::engine::fault::{Fault, plant};

pub(super) const OBSERVERS: [Both<Observer>; 3] = [
    Both { local: Observer::Qresync, remote: Observer::Qresync },
    Both { local: Observer::Full, remote: Observer::Qresync },
    Both { local: Observer::Qresync, remote: Observer::Full },
];

/// What was tried, and what went wrong first.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) scenarios: u32,
    /// The scenarios in which a run was cut off.
    cut_off: u32,
    pub(super) failures: u32,
    pub(super) first: String,
}

impl Tally {
    pub(super) fn count(&mut self, world: &World, scenario: impl FnOnce() -> String, problem: Option<String>) {
        self.scenarios += 1;
        self.cut_off += u32::from(world.cuts > 0);
        if let Some(problem) = problem {
            self.failures += 1;
            if self.first.is_empty() {
                self.first = format!("{problem}\n{}", scenario());
            }
        }
    }

    pub(super) fn expect_none(&self, what: &str) {
        let Tally { scenarios, cut_off, failures, .. } = self;
        println!("{what}: {scenarios} scenarios, {cut_off} cut off, {failures} failures");
        assert_eq!(self.failures, 0, "{what}: {}", self.first);
    }

    pub(super) fn expect_some(&self, fault: &str) {
        println!("{fault}: caught by scenario {}: {}", self.scenarios, self.first);
        assert!(self.failures > 0, "{fault} went unnoticed");
    }
}

/// How many scenarios are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Everything,
    FirstFailure,
}

impl Depth {
    pub(super) fn goes_on(self, tally: &Tally) -> bool {
        self == Depth::Everything || tally.failures == 0
    }
}

/// Runs until nothing is left to do, and catches what the world says of it.
pub(super) fn settles(world: &mut World) -> Result<(), String> {
    let quiet = std::panic::AssertUnwindSafe(|| world.runs_until_quiet());
    std::panic::catch_unwind(quiet).map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => "a panic without words".to_owned(),
    })
}

/// Users act on both sides, a run is cut off at any step, a user acts again, and the recovery may be cut off too.
fn cut_off_anywhere(observers: Both<Observer>, depth: Depth) -> Tally {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    while depth.goes_on(&tally) && choices.another() {
        let mut world = World::in_line(observers);
        let before = [choices.one_of(4), choices.one_of(4)];
        let arrivals = [choices.one_of(3), choices.one_of(2)];
        let mut deleted = vec![];
        for side in Side::BOTH {
            let user = world.at(side);
            match before[side as usize] {
                1 => user.reflag(1, if side == Side::Local { "\\Seen" } else { "\\Flagged" }, ""),
                2 => user.reflag(2, "", "\\Seen"),
                3 => deleted.extend(user.expunge(1).then_some(1)),
                _ => {}
            }
            // Two equal messages on one side, one on the other.
            for _ in 0..arrivals[side as usize] {
                user.deliver(10 + side as u32, "");
            }
        }
        let crash = choices.one_of(36) as u32;
        let ended = world.run_until(crash);
        let user = world.at(Side::Local);
        let after = choices.one_of(if ended && crash > 0 { 1 } else { 5 });
        let mut unflagged = false;
        match after {
            1 => user.reflag(10, "\\Flagged", ""),
            2 => deleted.extend(user.expunge(10).then_some(10)),
            3 => {
                user.reflag(2, "\\Flagged", "");
                unflagged = true;
            }
            4 => user.deliver(20, ""),
            _ => {}
        }
        let second = if ended || after > 0 { 0 } else { choices.one_of(4) as u32 * 5 };
        if second > 0 {
            world.run_until(second);
        }
        let outcome = settles(&mut world);
        let (local, remote) = (world.holds(Side::Local), world.holds(Side::Remote));
        let mut expected = vec![1, 2];
        expected.extend(std::iter::repeat_n(10, arrivals[0]));
        expected.extend(std::iter::repeat_n(11, arrivals[1]));
        expected.extend((after == 4).then_some(20));
        for number in &deleted {
            if let Some(at) = expected.iter().position(|other| other == number) {
                // Expunged on both sides at once, it is one message less, not two.
                expected.remove(at);
            }
        }
        let numbers: Vec<u32> = local.iter().map(|(number, _)| *number).collect();
        let bears = |number: u32, flag: &str| {
            let of: Vec<&String> = local.iter().filter(|(n, _)| *n == number).map(|(_, flags)| flags).collect();
            (!of.is_empty()).then(|| of.iter().all(|flags| flags.contains(flag)))
        };
        let problem = match () {
            () if outcome.is_err() => outcome.err(),
            () if local != remote => Some("the sides differ".to_owned()),
            () if numbers != expected => Some(format!("lost, revived or doubled: {expected:?} expected")),
            () if world.intents() > 0 => Some("an append was never settled".to_owned()),
            () if before[0] == 1 && bears(1, "\\Seen") == Some(false) => Some("\\Seen was lost".to_owned()),
            () if before[1] == 1 && bears(1, "\\Flagged") == Some(false) => Some("\\Flagged was lost".to_owned()),
            () if before.contains(&2) && bears(2, "\\Seen") == Some(true) => Some("-\\Seen was lost".to_owned()),
            () if after == 1 && bears(10, "\\Flagged") == Some(false) => Some("\\Flagged on new mail".to_owned()),
            () if unflagged && bears(2, "\\Flagged") == Some(false) => Some("\\Flagged after the crash".to_owned()),
            () => None,
        };
        let scenario = || {
            format!(
                "{observers:?} before {before:?} arrivals {arrivals:?} crash {crash} after {after} second {second}\n\
                 local {local:?}\nremote {remote:?}"
            )
        };
        tally.count(&world, scenario, problem);
    }
    tally
}

#[test]
fn nothing_is_lost_doubled_or_revived_when_qresync_sees_both() {
    cut_off_anywhere(OBSERVERS[0], Depth::Everything).expect_none("cut off anywhere, qresync");
}

#[test]
fn nothing_is_lost_doubled_or_revived_when_local_is_seen_in_full() {
    cut_off_anywhere(OBSERVERS[1], Depth::Everything).expect_none("cut off anywhere, full local");
}

#[test]
fn nothing_is_lost_doubled_or_revived_when_remote_is_seen_in_full() {
    cut_off_anywhere(OBSERVERS[2], Depth::Everything).expect_none("cut off anywhere, full remote");
}

#[test]
fn every_planted_fault_is_caught() {
    for fault in [Fault::NoIntents, Fault::CheckpointFirst, Fault::FlagsRememberedEarly] {
        plant(Some(fault));
        let tally = cut_off_anywhere(OBSERVERS[0], Depth::FirstFailure);
        plant(None);
        tally.expect_some(&format!("{fault:?}"));
    }
    plant(Some(Fault::CheckpointDespiteFailure));
    let tally = refused_anywhere(Depth::FirstFailure);
    plant(None);
    tally.expect_some("CheckpointDespiteFailure");
    plant(Some(Fault::LiftedMarksForgotten));
    let tally = expunges_around_marks(OBSERVERS[0], Depth::FirstFailure);
    plant(None);
    tally.expect_some("LiftedMarksForgotten");
}

/// A server refuses any one effect of a run; the change still has to arrive, and in the same direction.
fn refused_anywhere(depth: Depth) -> Tally {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    while depth.goes_on(&tally) && choices.another() {
        let observers = OBSERVERS[choices.one_of(3)];
        let mut world = World::in_line(observers);
        let before = [choices.one_of(4), choices.one_of(4)];
        let arrivals = [choices.one_of(2), choices.one_of(2)];
        for side in Side::BOTH {
            let user = world.at(side);
            match before[side as usize] {
                1 => user.reflag(1, "\\Flagged", ""),
                2 => user.reflag(2, "", "\\Seen"),
                3 => drop(user.expunge(1)),
                _ => {}
            }
            (0..arrivals[side as usize]).for_each(|_| user.deliver(10 + side as u32, ""));
        }
        let refused = choices.one_of(24) as u32 + 1;
        *world.fuse.lock().unwrap() = Fuse { refuse_at: Some(refused), ..Fuse::default() };
        let report = world.run().expect("a refusal ends no run");
        *world.fuse.lock().unwrap() = Fuse::default();
        // A message that was refused is tried again by `repair`, or after a while.
        let skipped = report.skipped.len();
        let outcome = if skipped == 0 { settles(&mut world) } else { Ok(()) };
        let (local, remote) = (world.holds(Side::Local), world.holds(Side::Remote));
        let gone = before.contains(&3);
        let holds = |number: u32| local.iter().find(|(n, _)| *n == number).map(|(_, flags)| flags.clone());
        let problem = match () {
            () if outcome.is_err() => outcome.err(),
            () if skipped > 0 => None,
            () if local != remote => Some("the sides differ".to_owned()),
            () if holds(1).is_none() != gone => Some("message 1 was revived or lost".to_owned()),
            () if holds(2).is_none_or(|flags| flags.contains("\\Seen") == before.contains(&2)) => {
                Some("\\Seen went the wrong way".to_owned())
            }
            () if before.contains(&1) && !gone && holds(1).is_none_or(|flags| !flags.contains("\\Flagged")) => {
                Some("\\Flagged was lost".to_owned())
            }
            () => None,
        };
        let scenario = || format!("{observers:?} {before:?} {arrivals:?} refused {refused}\n{local:?}\n{remote:?}");
        tally.count(&world, scenario, problem);
    }
    tally
}

#[test]
fn a_refusal_holds_the_checkpoint_back() {
    refused_anywhere(Depth::Everything).expect_none("refused anywhere");
}

#[test]
fn s008_what_a_user_does_here_meanwhile_is_not_lost() {
    a_user_acts_meanwhile(Side::Local).expect_none("a local user acts meanwhile");
}

#[test]
fn s008_what_a_user_does_there_meanwhile_is_not_lost() {
    a_user_acts_meanwhile(Side::Remote).expect_none("a remote user acts meanwhile");
}

/// A user acts between any two steps of a run, which may be cut off as well.
fn a_user_acts_meanwhile(side: Side) -> Tally {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    while choices.another() {
        let observers = OBSERVERS[choices.one_of(2)];
        let mut world = World::in_line(observers);
        let before = [choices.one_of(3), choices.one_of(3)];
        for side in Side::BOTH {
            let user = world.at(side);
            match before[side as usize] {
                1 => user.reflag(1, if side == Side::Local { "\\Seen" } else { "\\Flagged" }, ""),
                2 => user.reflag(2, "", "\\Seen"),
                _ => {}
            }
            user.deliver(10 + side as u32, "");
        }
        let at = choices.one_of(28) as u32 + 1;
        let action = choices.one_of(5);
        let crash = choices.one_of(4) as u32 * 9;
        let user = world.at(side);
        let act = move || match action {
            0 => user.reflag(2, "\\Flagged", ""),
            1 => user.deliver(30, "\\Flagged"),
            2 => drop(user.expunge(2)),
            3 => user.reflag(10 + side as u32, "\\Flagged", ""),
            _ => drop(user.expunge(10 + side as u32)),
        };
        let crash_at = (crash > 0).then_some(crash);
        *world.fuse.lock().unwrap() = Fuse { crash_at, act_at: Some((at, Box::new(act))), ..Fuse::default() };
        let _ = world.run();
        let acted = world.fuse.lock().unwrap().act_at.is_none();
        let outcome = settles(&mut world);
        let (local, remote) = (world.holds(Side::Local), world.holds(Side::Remote));
        let mut numbers: Vec<u32> = local.iter().map(|(number, _)| *number).collect();
        let held = numbers.len();
        numbers.dedup();
        let flagged = |number| local.iter().any(|(n, flags)| *n == number && flags.contains("\\Flagged"));
        let kept = match (acted, action) {
            (false, _) => true,
            (true, 0) => flagged(2),
            (true, 1) => flagged(30),
            (true, 2) => !numbers.contains(&2),
            (true, 3) => flagged(10 + side as u32),
            (true, _) => !numbers.contains(&(10 + side as u32)),
        };
        let problem = match () {
            () if outcome.is_err() => outcome.err(),
            () if local != remote => Some("the sides differ".to_owned()),
            () if held != numbers.len() => Some("doubled".to_owned()),
            () if !kept => Some("what the user did was undone".to_owned()),
            () => None,
        };
        let scenario =
            || format!("{observers:?} {before:?} at {at} {side} action {action} crash {crash}\n{local:?}\n{remote:?}");
        tally.count(&world, scenario, problem);
    }
    tally
}

/// A mailbox is rebuilt under a new UIDVALIDITY while messages come, go and change; the recovery is cut off anywhere.
#[test]
fn s052_s053_s054_a_new_uidvalidity_copies_and_deletes_nothing() {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    while choices.another() {
        let observers = OBSERVERS[choices.one_of(3)];
        let mut world = World::in_line(observers);
        // Two equal ones among them.
        world.at(Side::Local).deliver(3, "\\Answered");
        world.at(Side::Local).deliver(3, "\\Answered");
        world.runs_until_quiet();
        let rebuilt = choices.one_of(3);
        let action = choices.one_of(5);
        match action {
            1 => world.at(Side::Local).reflag(1, "\\Flagged", ""),
            2 => world.at(Side::Remote).reflag(2, "", "\\Seen"),
            3 => world.at(Side::Local).deliver(10, ""),
            4 => world.at(Side::Remote).deliver(11, ""),
            _ => {}
        }
        let sides = [&[Side::Local][..], &[Side::Remote], &Side::BOTH][rebuilt];
        sides.iter().for_each(|side| world.at(*side).rebuild());
        let crash = choices.one_of(40) as u32;
        world.run_until(crash);
        let outcome = settles(&mut world);
        let (local, remote) = (world.holds(Side::Local), world.holds(Side::Remote));
        let numbers: Vec<u32> = local.iter().map(|(number, _)| *number).collect();
        let mut expected = vec![1, 2, 3, 3];
        expected.extend((action == 3).then_some(10));
        expected.extend((action == 4).then_some(11));
        let holds = |number: u32, flag: &str| local.iter().any(|(n, flags)| *n == number && flags.contains(flag));
        let problem = match () {
            () if outcome.is_err() => outcome.err(),
            () if local != remote => Some("the sides differ".to_owned()),
            () if numbers != expected => Some(format!("lost, revived or doubled: {expected:?} expected")),
            () if action == 1 && !holds(1, "\\Flagged") => Some("\\Flagged was lost".to_owned()),
            () if action == 2 && holds(2, "\\Seen") => Some("-\\Seen was lost".to_owned()),
            () => None,
        };
        let scenario =
            || format!("{observers:?} rebuilt {sides:?} action {action} crash {crash}\n{local:?}\n{remote:?}");
        tally.count(&world, scenario, problem);
    }
    tally.expect_none("a new UIDVALIDITY");
}

/// Mailboxes are renamed, deleted and created on both sides; the run is cut off anywhere.
#[test]
fn s080_s081_s085_s087_mailboxes_follow_without_losing_a_message() {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    while choices.another() {
        let mut world = World::in_line(OBSERVERS[0]);
        let a = |world: &World, side: Side| world.at(side).in_mailbox("a");
        a(&world, Side::Local).deliver(3, "");
        a(&world, Side::Local).deliver(4, "\\Seen");
        world.runs_until_quiet();
        let actor = Side::BOTH[choices.one_of(2)];
        let action = choices.one_of(5);
        let other = choices.one_of(3);
        match action {
            0 => a(&world, actor).rename("b"),
            1 => a(&world, actor).delete(),
            2 => world.at(actor).in_mailbox("c").deliver(5, ""),
            3 => {
                a(&world, actor).rename("b");
                a(&world, actor).deliver(6, "");
            }
            _ => {
                a(&world, actor).delete();
                a(&world, actor).deliver(6, "");
            }
        }
        match other {
            1 => a(&world, actor.other()).deliver(7, ""),
            2 => a(&world, actor.other()).reflag(3, "\\Flagged", ""),
            _ => {}
        }
        let crash = choices.one_of(44) as u32;
        world.run_until(crash);
        let outcome = settles(&mut world);
        let (local, remote) = (world.at(Side::Local), world.at(Side::Remote));
        let names = local.names();
        let differs = names != remote.names()
            || names.iter().any(|name| local.in_mailbox(name).holds() != remote.in_mailbox(name).holds());
        let mut all: Vec<u32> =
            names.iter().flat_map(|name| local.in_mailbox(name).holds()).map(|(number, _)| number).collect();
        all.sort();
        let held = all.len();
        all.dedup();
        let must_be_there = [(true, 1), (true, 2), (action == 2, 5), (matches!(action, 3 | 4), 6), (other == 1, 7)];
        let lost = must_be_there.iter().find(|(there, number)| *there && !all.contains(number));
        let kept = matches!(action, 0 | 2 | 3);
        let problem = match () {
            () if outcome.is_err() => outcome.err(),
            () if differs => Some("the sides differ".to_owned()),
            () if lost.is_some() => Some(format!("lost: {lost:?}")),
            () if kept && !(all.contains(&3) && all.contains(&4)) => Some("messages were lost in a rename".to_owned()),
            () if held != all.len() => Some("doubled".to_owned()),
            () if action == 1 && other == 0 && names.contains(&"a".to_owned()) => Some("revived".to_owned()),
            () => None,
        };
        let scenario = || {
            let show = |user: &super::world::User| {
                names.iter().map(|name| format!("{name}: {:?}", user.in_mailbox(name).holds())).collect::<Vec<_>>()
            };
            format!("{actor} action {action} other {other} crash {crash}\n{:?}\n{:?}", show(&local), show(&remote))
        };
        tally.count(&world, scenario, problem);
    }
    tally.expect_none("mailboxes");
}

/// Both sides already hold mail when they first meet; the run is cut off anywhere.
#[test]
fn s079_s131_two_filled_sides_are_paired_and_not_doubled() {
    let mut tally = Tally::default();
    let mut choices = Choices::default();
    while choices.another() {
        let observers = OBSERVERS[choices.one_of(3)];
        let mut world = World::empty(observers);
        let copies = [choices.one_of(3), choices.one_of(3)];
        for side in Side::BOTH {
            (0..copies[side as usize]).for_each(|_| world.at(side).deliver(1, "\\Seen"));
            world.at(side).deliver(2, if side == Side::Local { "\\Flagged" } else { "\\Answered" });
        }
        world.at(Side::Remote).deliver(3, "");
        let crash = choices.one_of(40) as u32;
        let ended = world.run_until(crash);
        let outcome = settles(&mut world);
        let (local, remote) = (world.holds(Side::Local), world.holds(Side::Remote));
        let numbers: Vec<u32> = local.iter().map(|(number, _)| *number).collect();
        let mut expected = vec![1; copies[0].max(copies[1])];
        expected.extend([2, 3]);
        let problem = match () {
            () if outcome.is_err() => outcome.err(),
            () if local != remote => Some("the sides differ".to_owned()),
            () if numbers != expected => Some(format!("lost or doubled: {expected:?} expected")),
            () if local.iter().any(|(n, flags)| *n == 2 && flags != "\\Answered \\Flagged") => {
                Some("a flag of the first meeting was lost".to_owned())
            }
            () => None,
        };
        let scenario = || format!("{observers:?} {copies:?} crash {crash} {ended}\n{local:?}\n{remote:?}");
        tally.count(&world, scenario, problem);
    }
    tally.expect_none("two filled sides");
}

#[test]
fn mail_in_a_mailbox_that_somebody_creates_before_us_is_seen() {
    for at in 1..30 {
        let mut world = World::in_line(OBSERVERS[0]);
        // An empty one: a copy into it would come back as an echo and show that something else is there.
        world.at(Side::Remote).in_mailbox("new").deliver(3, "");
        world.at(Side::Remote).in_mailbox("new").expunge(3);
        let user = world.at(Side::Local).in_mailbox("new");
        let act_at = Some((at, Box::new(move || user.deliver(4, "")) as Box<dyn FnOnce() + Send>));
        *world.fuse.lock().unwrap() = Fuse { act_at, ..Fuse::default() };
        world.run().unwrap();
        world.runs_until_quiet();
        let held: Vec<Vec<u32>> = Side::BOTH
            .map(|side| world.at(side).in_mailbox("new").holds().iter().map(|(number, _)| *number).collect())
            .to_vec();
        let acted = held[0].contains(&4);
        assert_eq!(held[0], held[1], "created at step {at}");
        assert!(acted || at > 15, "the user never came to it");
    }
}

#[test]
fn a_quiet_run_commits_nothing() {
    let mut world = World::in_line(OBSERVERS[0]);
    *world.fuse.lock().unwrap() = Fuse::default();
    let report = world.run().unwrap();
    assert_eq!(changes(&report), 0);
    assert_eq!(world.fuse.lock().unwrap().steps, 2, "two listings, no commit, no command");
}

#[test]
fn the_fewest_pairs_are_read_that_decide() {
    const PAIRS: u64 = 22;
    let in_line = || {
        let mut world = World::in_line(OBSERVERS[0]);
        (3..=PAIRS as u32).for_each(|number| world.at(Side::Local).deliver(number, ""));
        world.runs_until_quiet();
        world
    };
    let mut world = in_line();
    assert_eq!(world.rows_of_a_run(), 2, "the mailbox before and after, and no pair of it");
    world.at(Side::Remote).reflag(7, "\\Seen", "");
    world.run().unwrap();
    assert_eq!(world.rows_of_a_run(), 2 + 6, "the pair of our own echo twice, and rows of the mailbox");
    // What is told by changes is read twice, for it has to be believed before it is compared.
    for (listed, of_the_mailbox) in [(&[Side::Local][..], 6), (&[Side::Remote], 6), (&Side::BOTH, 5)] {
        let mut world = in_line();
        listed.iter().for_each(|side| world.at(*side).is_odd(Some(Oddity::NoModSeq)));
        world.runs_until_quiet();
        assert_eq!(world.rows_of_a_run(), PAIRS + of_the_mailbox, "each pair once, listed are {listed:?}");
    }
}

/// A side that keeps only `\Seen`, and no keyword that it does not know.
#[test]
fn s015_a_flag_that_a_side_cannot_keep_is_neither_lost_nor_deleted() {
    for poor in Side::BOTH {
        let mut world = World::in_line(OBSERVERS[0]);
        world.at(poor).keeps_only("\\Seen");
        let rich = world.at(poor.other());
        rich.deliver(3, "$Work \\Flagged \\Seen");
        rich.reflag(1, "$Work \\Seen", "");
        world.runs_until_quiet();
        // Whatever happens on the poor side later, what it cannot say is not taken as said.
        world.at(poor).reflag(3, "", "\\Seen");
        rich.reflag(1, "$Later", "");
        world.runs_until_quiet();
        let held = [world.holds(poor), world.holds(poor.other())];
        let poor_holds = [(1, "\\Seen"), (2, "\\Seen"), (3, "")];
        let rich_holds = [(1, "\\Seen $Later $Work"), (2, "\\Seen"), (3, "\\Flagged $Work")];
        assert_eq!(held, [poor_holds, rich_holds].map(|side| side.map(|(n, flags)| (n, flags.to_owned())).to_vec()));
    }
}

/// Which changes flow is the user's choice, and may change between runs.
#[test]
fn one_way_policies_leave_the_other_way_alone_until_they_are_lifted() {
    use interimap::plan::{Flow, Policy};
    let mut world = World::in_line(OBSERVERS[0]);
    world.policy.flow.local.clear();
    world.at(Side::Local).deliver(3, "");
    world.at(Side::Remote).deliver(4, "");
    world.at(Side::Local).reflag(1, "\\Flagged", "");
    world.at(Side::Local).expunge(2);
    world.runs_until_quiet();
    let numbers = |world: &World, side| world.holds(side).iter().map(|(number, _)| *number).collect::<Vec<_>>();
    assert_eq!((numbers(&world, Side::Local), numbers(&world, Side::Remote)), (vec![1, 3, 4], vec![1, 2, 4]));
    assert_eq!(world.holds(Side::Remote)[0], (1, String::new()));
    world.policy.flow.local.insert(Flow::New);
    world.runs_until_quiet();
    assert_eq!(numbers(&world, Side::Remote), [1, 2, 3, 4], "what was left out by configuration is copied once it may");
    world.policy = Policy::two_way();
    world.at(Side::Local).reflag(1, "\\Seen", "");
    world.runs_until_quiet();
    assert_eq!(numbers(&world, Side::Local), [1, 3, 4], "what was expunged here and kept there does not come back");
    assert!(world.holds(Side::Remote)[0].1.contains("\\Seen"));
}
