//! Long random histories: two users edit three mailboxes, runs are cut off at random steps, and in the end both sides hold
//! what the edits imply. Each history follows from its seed alone.

use std::collections::{BTreeMap, BTreeSet};

use interimap::mail::{Both, Side};

use super::memory::{Fuse, Observer, Relocation};
use super::world::{User, World};

const MAILBOXES: [&str; 3] = ["INBOX", "a", "a/b"];

/// How many histories are tried: `INTERIMAP_TEST_SCALE` times so many.
const HISTORIES: u64 = 1500;

/// Marsaglia's xorshift: every seed but 0 gives another sequence.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.below(all.len() as u64) as usize])
    }
}

/// What the users did that decides what must be there in the end.
#[derive(Default)]
struct Story {
    next: u32,
    /// Where each message was put, and by the user of which side.
    put: BTreeMap<(String, u32), Side>,
    /// What some user expunged.
    expunged: BTreeSet<(String, u32)>,
    log: Vec<String>,
}

impl Story {
    fn edit(&mut self, dice: &mut Dice, world: &World, side: Side) {
        let Some(name) = dice.one_of(&MAILBOXES) else { return };
        let user = world.at(side).in_mailbox(name);
        let held: Vec<u32> = user.holds().iter().map(|(number, _)| *number).collect();
        let flag = dice.one_of(&["\\Seen", "\\Flagged", "$Work", "\\Deleted"]).unwrap_or("\\Seen");
        match (dice.below(8), dice.one_of(&held)) {
            (0..=2, _) => {
                self.next += 1;
                user.deliver(self.next, flag);
                self.put.insert((name.to_owned(), self.next), side);
                self.log.push(format!("{side} {name}: +{}", self.next));
            }
            (3 | 4, Some(number)) if self.is_open(world, side, name, number) => {}
            (3, Some(number)) => {
                user.expunge(number);
                self.expunged.insert((name.to_owned(), number));
                self.log.push(format!("{side} {name}: -{number}"));
            }
            (4, Some(number)) => self.relocate(dice, world, side, name, number),
            (5, Some(number)) => {
                user.reflag(number, "", flag);
                self.log.push(format!("{side} {name}: {number} -{flag}"));
            }
            (_, Some(number)) => {
                user.reflag(number, flag, "");
                self.log.push(format!("{side} {name}: {number} +{flag}"));
            }
            (_, None) => {}
        }
    }

    /// Whether a run was cut off that may have copied this message here. If it is expunged before a run has found that out,
    /// nobody can tell, and it comes back: conservation goes before tidiness.
    fn is_open(&self, world: &World, side: Side, name: &str, number: u32) -> bool {
        world.intents() > 0 && self.put.get(&(name.to_owned(), number)) != Some(&side)
    }

    /// Moves a message to a mailbox in which it never was.
    fn relocate(&mut self, dice: &mut Dice, world: &World, side: Side, from: &str, number: u32) {
        let Some(to) = dice.one_of(&MAILBOXES) else { return };
        let was_there = self.put.contains_key(&(to.to_owned(), number));
        let user = world.at(side);
        let flags = user.in_mailbox(from).holds().into_iter().find(|(held, _)| *held == number);
        let (false, Some((_, flags))) = (was_there, flags) else { return };
        user.in_mailbox(to).deliver(number, &flags);
        user.in_mailbox(from).expunge(number);
        self.put.insert((to.to_owned(), number), side);
        self.expunged.insert((from.to_owned(), number));
        self.log.push(format!("{side} {from}: {number} to {to}"));
    }

    /// What each mailbox has to hold.
    fn implied(&self) -> BTreeMap<String, Vec<u32>> {
        let mut implied: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (name, number) in self.put.keys().filter(|place| !self.expunged.contains(*place)) {
            implied.entry(name.clone()).or_default().push(*number);
        }
        implied
    }
}

fn observers(dice: &mut Dice) -> Both<Observer> {
    Both::from_fn(|_| if dice.below(3) == 0 { Observer::Full } else { Observer::Qresync })
}

/// One run: whole, cut off, or with an edit in the middle of it.
fn run(dice: &mut Dice, world: &mut World, story: &mut Story) {
    let at = dice.below(60) as u32 + 1;
    let fuse = match dice.below(3) {
        0 => Fuse::default(),
        1 => Fuse { crash_at: Some(at), ..Fuse::default() },
        _ => {
            let (side, name) = (Side::BOTH[dice.below(2) as usize], MAILBOXES[dice.below(3) as usize]);
            let user = world.at(side).in_mailbox(name);
            story.next += 1;
            let number = story.next;
            story.log.push(format!("{side} {name}: +{number} at step {at} of a run"));
            story.put.insert((name.to_owned(), number), side);
            let deliver: Box<dyn FnOnce() + Send> = Box::new(move || user.deliver(number, ""));
            Fuse { act_at: Some((at, deliver)), ..Fuse::default() }
        }
    };
    story.log.push(format!("run, cut off at {:?}", fuse.crash_at));
    *world.fuse.lock().unwrap() = fuse;
    let _ = world.run();
    // An edit whose step never came is made now.
    let late = world.fuse.lock().unwrap().act_at.take();
    *world.fuse.lock().unwrap() = Fuse::default();
    if let Some((_, act)) = late {
        act();
    }
}

fn held(user: &User) -> Vec<(u32, String)> {
    user.holds()
}

#[test]
fn what_two_users_do_at_random_is_what_both_have_in_the_end() {
    let scale: u64 = std::env::var("INTERIMAP_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    let (mut edits, mut runs, mut cuts) = (0, 0, 0);
    for seed in 1..=HISTORIES * scale {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut world = World::empty(observers(&mut dice));
        world.servers_of_many_kinds(seed);
        // A history is no place for the guard: it would stop what the users want.
        world.policy.max_delete = None;
        for side in Side::BOTH {
            let user = world.at(side);
            user.relocates_by(if dice.below(2) == 0 { Relocation::Move } else { Relocation::Copy });
        }
        let mut story = Story::default();
        for _ in 0..3 + dice.below(4) {
            for _ in 0..dice.below(8) {
                let side = Side::BOTH[dice.below(2) as usize];
                story.edit(&mut dice, &world, side);
                edits += 1;
            }
            // What is expunged while UIDs lose their meaning comes back, so nothing is open
            // around it.
            let rebuilt = dice.below(12) == 0;
            if rebuilt {
                world.runs_until_quiet();
                let (side, name) = (Side::BOTH[dice.below(2) as usize], MAILBOXES[dice.below(3) as usize]);
                world.at(side).in_mailbox(name).rebuild();
                story.log.push(format!("{side} {name}: another UIDVALIDITY"));
            }
            run(&mut dice, &mut world, &mut story);
            if rebuilt {
                world.runs_until_quiet();
            }
            runs += 1;
        }
        world.runs_until_quiet();
        cuts += world.cuts;
        let implied = story.implied();
        for name in MAILBOXES {
            let of = Both::from_fn(|side| held(&world.at(side).in_mailbox(name)));
            let numbers: Vec<u32> = of.local.iter().map(|(number, _)| *number).collect();
            let story = || format!("seed {seed}, {name}\n{}\n{of:?}", story.log.join("\n"));
            assert_eq!(of.local, of.remote, "the sides differ: {}", story());
            assert_eq!(&numbers, implied.get(name).unwrap_or(&vec![]), "lost, revived or doubled: {}", story());
        }
    }
    println!("{} histories, {edits} edits, {runs} runs, {cuts} cut off, none diverged", HISTORIES * scale);
}
