//! Users who wander about among mailboxes, at random but repeatably: whatever they do has to converge.

use interimap::mail::{Both, Pattern, Side};
use interimap::plan::{Creation, DeleteMailboxes, Flow, Policy, Writing};

use super::memory::{Observer, Relocation};
use super::world::World;
use crate::engine::Scrutiny;

/// A small generator of numbers, the same ones for the same seed (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11).checked_rem(bound).unwrap_or(0) as usize
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "a/x", "b/x"];

/// What the configuration says from one phase to the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Configured {
    /// Everything flows in both directions.
    TwoWay,
    /// Something else every time.
    Otherwise,
}

#[test]
fn users_who_wander_lose_and_double_nothing() {
    tell_stories(Configured::TwoWay);
}

#[test]
fn users_who_wander_lose_nothing_while_the_configuration_changes() {
    tell_stories(Configured::Otherwise);
}

fn tell_stories(configured: Configured) {
    /// Eight times as many have been tried as well.
    const STORIES: u64 = 1000;
    let mut failures = Vec::new();
    for seed in 1..=STORIES {
        let story = std::panic::AssertUnwindSafe(|| wander(seed, configured));
        match std::panic::catch_unwind(story) {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => failures.push(format!("seed {seed}: {problem}")),
            Err(panic) => {
                let text = panic.downcast::<String>().map(|text| *text).unwrap_or_default();
                failures.push(format!("seed {seed}: {text}"));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {STORIES} fail:\n{}",
        failures.len(),
        failures.iter().take(12).cloned().collect::<Vec<_>>().join("\n")
    );
}

fn wander(seed: u64, configured: Configured) -> Result<(), String> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..8).for_each(|_| {
        dice.below(2);
    });
    let full = |dice: &mut Dice| if dice.below(3) == 0 { Observer::Full } else { Observer::Qresync };
    let mut world = World::in_line(Both { local: full(&mut dice), remote: full(&mut dice) });
    world.servers_of_many_kinds(seed);
    for side in Side::BOTH {
        world.at(side).relocates_by(if dice.below(2) == 0 { Relocation::Move } else { Relocation::Copy });
    }
    let mut number = 10;
    let mut log = Vec::new();
    // What no user has expunged, nor deleted with its mailbox.
    let mut alive: Vec<u32> = vec![1, 2];
    for _ in 0..3 {
        for _ in 0..1 + dice.below(6) {
            let side = Side::BOTH[dice.below(2)];
            let name = NAMES[dice.below(5)];
            let to = NAMES[dice.below(5)];
            let user = world.at(side).in_mailbox(name);
            let names = world.at(side).names();
            let exists = |name: &str| names.iter().any(|other| other == name);
            match dice.below(8) {
                0 | 1 => {
                    user.deliver(number, "");
                    alive.push(number);
                    log.push(format!("{side} deliver {number} to {name}"));
                    number += 1;
                }
                2 if exists(name) && !exists(to) && !to.starts_with(&format!("{name}/")) => {
                    let clash = names.iter().any(|other| {
                        other
                            .strip_prefix(name)
                            .is_some_and(|rest| rest.starts_with('/') && exists(&format!("{to}{rest}")))
                    });
                    if !clash {
                        user.rename(to);
                        log.push(format!("{side} rename {name} to {to}"));
                    }
                }
                3 if exists(name) => {
                    let gone = user.holds();
                    alive.retain(|number| !gone.iter().any(|(other, _)| other == number));
                    user.delete();
                    log.push(format!("{side} delete {name} with {gone:?}"));
                }
                4 => {
                    user.create();
                    log.push(format!("{side} create {name}"));
                }
                5 => {
                    if let Some((number, _)) = user.holds().first().cloned() {
                        user.expunge(number);
                        alive.retain(|other| *other != number);
                        log.push(format!("{side} expunge {number} from {name}"));
                    }
                }
                6 => {
                    if let Some((number, _)) = user.holds().last().cloned() {
                        let flag = if number % 2 == 0 { "\\Flagged" } else { "\\Deleted" };
                        user.reflag(number, flag, "");
                        log.push(format!("{side} {number} in {name} +{flag}"));
                    }
                }
                7 if exists(to) && name != to => {
                    if let Some((number, _)) = user.holds().first().cloned() {
                        user.carry(number, to);
                        log.push(format!("{side} move {number} from {name} to {to}"));
                    }
                }
                _ => {}
            }
        }
        let crash = if dice.below(2) == 0 { dice.below(60) as u32 } else { 0 };
        log.push(format!("crash {crash}"));
        if configured == Configured::Otherwise {
            let (words, policy) = another_policy(&mut dice);
            world.policy = policy;
            log.push(words);
        }
        let before = Both::from_fn(|side| contents(&world, side));
        if crash > 0 {
            world.run_until(crash);
        }
        if dice.below(4) == 0 {
            log.push("repair".to_owned());
            world.run_closely(Scrutiny::Everything).map_err(|troubles| format!("{troubles:?}"))?;
        }
        let problem = run_down(&mut world).err();
        let (local, remote) = (contents(&world, Side::Local), contents(&world, Side::Remote));
        let changed = Side::BOTH
            .into_iter()
            .find(|side| world.policy.writing[*side] == Writing::Refused && contents(&world, *side) != before[*side]);
        let everything = local.iter().chain(&remote);
        let mut numbers: Vec<u32> = everything.flat_map(|(_, holds)| holds.iter().map(|(number, _)| *number)).collect();
        numbers.sort();
        numbers.dedup();
        // Where two mailboxes meet in one name, both may keep a message; but none of them twice.
        let doubled = local.iter().any(|(_, holds)| holds.windows(2).any(|two| two[0].0 == two[1].0));
        let lost: Vec<&u32> = alive.iter().filter(|number| !numbers.contains(number)).collect();
        let problem = match () {
            () if problem.is_some() => problem,
            () if changed.is_some() => Some("a side was changed that may not be".to_owned()),
            () if configured == Configured::TwoWay && local != remote => Some("the sides differ".to_owned()),
            () if !lost.is_empty() => Some(format!("lost: {lost:?}")),
            () if configured == Configured::TwoWay && doubled => Some("doubled".to_owned()),
            () => None,
        };
        if let Some(problem) = problem {
            return Err(format!("{problem}\n  {}\n  {local:?}\n  {remote:?}", log.join("\n  ")));
        }
        // What came back is alive again; but what could not be carried yet is only late.
        if configured == Configured::TwoWay {
            alive = numbers;
        }
    }
    Ok(())
}

/// Runs until nothing happens any more.
fn run_down(world: &mut World) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..5 {
        let report = world.run().map_err(|troubles| format!("a run failed: {troubles:?}"))?;
        if super::world::changes(&report) == 0 {
            return Ok(());
        }
        last = format!("{:?}", report.troubles);
    }
    Err(format!("no end: {last}"))
}

/// Every mailbox of a side with what it holds.
fn contents(world: &World, side: Side) -> Vec<(String, Vec<(u32, String)>)> {
    let user = world.at(side);
    user.names().into_iter().map(|name| (name.clone(), user.in_mailbox(&name).holds())).collect()
}

fn another_policy(dice: &mut Dice) -> (String, Policy) {
    let mut policy = Policy::two_way();
    let side = Side::BOTH[dice.below(2)];
    let what = dice.below(8);
    match what {
        0 => policy.flow[side].clear(),
        1 => policy.writing[side] = Writing::Refused,
        2 => policy.creation[side] = Creation::Refused,
        3 => drop(policy.flow[side].remove(&Flow::New)),
        4 => drop(policy.flow[side].remove(&Flow::Gone)),
        5 => policy.delete_mailboxes = DeleteMailboxes::Never,
        6 => policy.selection.only = vec![Pattern::new("a*")],
        _ => {}
    }
    let words = ["flow cleared", "writing refused", "creation refused", "nothing new from", "nothing gone from"];
    let word = words.get(what).copied().unwrap_or(match what {
        5 => "mailboxes are never deleted",
        6 => "only a*",
        _ => "two-way",
    });
    (format!("policy: {word} ({side})"), policy)
}
