//! Carries moves and copies over: what has moved from one mailbox to another on one side, or was copied there, is moved or
//! copied on the other by that side itself, so that no body crosses. Whatever does not work out is copied and expunged as
//! if nobody had seen a move or a copy in it.

mod arrivals;
mod pass;
mod sources;

use std::collections::BTreeMap;

use crate::mail::{Both, Fingerprint, Flag, FlagSet, PermanentFlags, Side, Uid, UidSet};
use crate::plan::{MailboxKey, Pair, PairId, TreePlan, find_copies, find_moves};
use crate::store::{Passage, UidScope};

use super::execute::{Job, Settled};
use super::settle::both;
use super::task::Task;
use super::{Halt, Run};
use arrivals::{Arrived, arrivals};
use pass::Pass;
use sources::{Source, sources};

/// Messages that have moved from one mailbox to another on one side, or of which the other side has equal ones.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    /// The side on which they have arrived; they are to be moved or copied on the other one.
    pub(super) from: Side,
    pub(super) passage: Passage,
    /// The mailbox that they have left, or of the equal ones.
    out_of: MailboxKey,
    /// The same, on the side where they are to be moved or copied.
    pub(super) source: UidScope,
    /// The mailbox in which they have arrived.
    pub(super) into: MailboxKey,
    /// They.
    messages: Vec<Mover>,
}

/// A message that has moved, or of which there is an equal one.
#[derive(Clone, Debug)]
struct Mover {
    /// Its UID where it has arrived.
    uid: Uid,
    /// The flags that it bears there.
    flags: FlagSet,
    /// What it was in the mailbox that it has left, or what the equal one is.
    id: PairId,
    pair: Pair,
    /// Who it is to be where it is to be moved or copied.
    print: Fingerprint,
    /// Whether it still bears, on the side where it is to be moved or copied, the flags last agreed on.
    elsewhere: Flags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flags {
    AsAgreed,
    Changed,
}

impl Mover {
    /// What either side's flags are to be compared with: what both last agreed on. But where nobody has touched a keyword,
    /// and the mailbox that is reached does not name it among those that it keeps, it may get lost on the way, which is no
    /// wish of anybody's.
    fn base(&self, target: &PermanentFlags) -> FlagSet {
        let may_get_lost = |flag: &Flag| {
            let untouched = self.flags.contains(flag) && self.elsewhere == Flags::AsAgreed;
            matches!(flag, Flag::Keyword(_)) && untouched && !target.listed.contains(flag)
        };
        self.pair.flags.filtered(|flag| !may_get_lost(flag))
    }

    /// The pair that it is where it is now.
    fn pair(&self, from: Side, uid: Uid, target: &PermanentFlags) -> Pair {
        Pair { uids: both(from, self.uid, uid), flags: self.base(target), fingerprint: self.pair.fingerprint }
    }

    /// Whether another look would find that flags have changed.
    fn settled(&self, target: &PermanentFlags) -> Settled {
        match self.elsewhere == Flags::AsAgreed && self.flags == self.base(target) {
            true => Settled::Yes,
            false => Settled::Moved,
        }
    }
}

impl Transfer {
    /// The messages that are to be moved or copied, by their UIDs in the mailbox where they are.
    pub(super) fn uids(&self) -> UidSet {
        uids_of(self.from.other(), &self.messages)
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.messages.len() as u64
    }
}

fn uids_of(target: Side, messages: &[Mover]) -> UidSet {
    messages.iter().map(|message| message.pair.uids[target]).collect()
}

/// The pairs whose message is gone on one side and is to be expunged on the other, by mailbox.
type Gone = BTreeMap<MailboxKey, BTreeMap<PairId, Pair>>;

/// Finds what has moved among what is to be copied into one mailbox and expunged from another, and what else of it the
/// other side has already, and takes it out of the plans. What the configuration, the guard or a server forbids is not
/// there, so it is no move or copy either. Nothing is asked for unless something is to be copied, nor before anything is
/// remembered. Copies come first, while what is to be moved or expunged is still where it was.
pub(super) async fn find(run: &mut Run<'_>, tree: &TreePlan, tasks: &mut [Task]) -> Result<Vec<Transfer>, Halt> {
    let gone = Both { local: gone(run, tasks, Side::Local)?, remote: gone(run, tasks, Side::Remote)? };
    let mut arrived = arrivals(run, tree, tasks, &gone).await?;
    let mut moves = Vec::new();
    for from in Side::BOTH {
        moves.extend(find_moved(tasks, from, &gone[from], &mut arrived[from]));
    }
    let mut transfers = Vec::new();
    for from in Side::BOTH {
        let sources = sources(run, tree, tasks, from, &arrived[from]).await?;
        transfers.extend(find_held(tasks, from, &sources, &arrived[from]));
    }
    transfers.extend(moves);
    for transfer in &transfers {
        let target = transfer.from.other();
        for task in tasks.iter_mut() {
            for mover in &transfer.messages {
                if task.key == transfer.into {
                    task.plan.copies[transfer.from].remove(mover.uid);
                }
                if task.key == transfer.out_of && transfer.passage == Passage::Move {
                    task.plan.expunges[target].remove(&mover.id);
                }
            }
        }
    }
    for task in tasks.iter_mut() {
        task.arrived = Both::default();
        task.changed = Both::default();
    }
    Ok(transfers)
}

/// The pairs whose message is gone on `from` and is to be expunged on the other side, by mailbox.
fn gone(run: &Run<'_>, tasks: &[Task], from: Side) -> Result<Gone, Halt> {
    let mut gone = BTreeMap::new();
    if tasks.iter().all(|task| task.plan.copies[from].is_empty()) {
        return Ok(gone);
    }
    for task in tasks {
        let expunges = &task.plan.expunges[from.other()];
        if !expunges.is_empty() {
            let uids: UidSet = expunges.values().copied().collect();
            let mut pairs = run.state.pairs_touching(task.key, from.other(), &uids)?;
            pairs.retain(|id, _| expunges.contains_key(id));
            gone.insert(task.key, pairs);
        }
    }
    Ok(gone)
}

/// What has moved; it is not among what has arrived any more.
fn find_moved(tasks: &[Task], from: Side, gone: &Gone, arrived: &mut Arrived) -> Vec<Transfer> {
    let prints = gone.iter().map(|(key, pairs)| {
        (*key, pairs.iter().map(|(id, pair)| (*id, pair.fingerprint)).collect::<BTreeMap<PairId, Fingerprint>>())
    });
    let mut found: BTreeMap<(MailboxKey, MailboxKey), Transfer> = BTreeMap::new();
    for moved in find_moves(arrived, &prints.collect()) {
        let Some(pair) = gone.get(&moved.out_of).and_then(|pairs| pairs.get(&moved.pair)) else { continue };
        let (Some(left), Some(flags)) = (task(tasks, moved.out_of), flags(tasks, from, moved.into, moved.uid)) else {
            continue;
        };
        let Some(source) = left.sides[from.other()].seen().map(|sight| sight.scope.clone()) else { continue };
        let elsewhere = match left.plan.conflicts.contains(&(from, moved.pair)) {
            true => Flags::Changed,
            false => Flags::AsAgreed,
        };
        let (id, pair, print) = (moved.pair, pair.clone(), pair.fingerprint);
        let mover = Mover { uid: moved.uid, flags, id, pair, print, elsewhere };
        let (out_of, into, passage) = (moved.out_of, moved.into, Passage::Move);
        let transfer = || Transfer { from, passage, out_of, source, into, messages: Vec::new() };
        found.entry((out_of, into)).or_insert_with(transfer).messages.push(mover);
        if let Some(messages) = arrived.get_mut(&into) {
            messages.remove(&moved.uid);
        }
    }
    found.into_values().collect()
}

/// What of that which has arrived the other side holds already.
fn find_held(
    tasks: &[Task],
    from: Side,
    sources: &BTreeMap<(MailboxKey, PairId), Source>,
    arrived: &Arrived,
) -> Vec<Transfer> {
    let mut holds: BTreeMap<Fingerprint, Vec<(MailboxKey, PairId)>> = BTreeMap::new();
    for (place, source) in sources {
        holds.entry(source.pair.fingerprint).or_default().push(*place);
    }
    let mut found: BTreeMap<(MailboxKey, MailboxKey, usize), Transfer> = BTreeMap::new();
    for copy in find_copies(arrived, &holds) {
        let Some(source) = sources.get(&(copy.out_of, copy.pair)) else { continue };
        let Some(flags) = flags(tasks, from, copy.into, copy.uid) else { continue };
        let Source { scope, pair, print, elsewhere } = source.clone();
        let mover = Mover { uid: copy.uid, flags, id: copy.pair, pair, print, elsewhere };
        let (out_of, into, passage) = (copy.out_of, copy.into, Passage::Copy);
        let transfer = || Transfer { from, passage, out_of, source: scope, into, messages: Vec::new() };
        found.entry((out_of, into, copy.before)).or_insert_with(transfer).messages.push(mover);
    }
    found.into_values().collect()
}

fn task(tasks: &[Task], key: MailboxKey) -> Option<&Task> {
    tasks.iter().find(|task| task.key == key)
}

/// The flags of a message that has arrived.
fn flags(tasks: &[Task], from: Side, into: MailboxKey, uid: Uid) -> Option<FlagSet> {
    task(tasks, into)?.arrived[from].get(uid).cloned()
}

/// Carries copies and moves out, before anything else is copied. What does not work out is given back to the plans of its
/// mailboxes.
pub(super) async fn relocate(run: &mut Run<'_>, jobs: &mut [Job], transfers: Vec<Transfer>) -> Result<(), Halt> {
    for transfer in transfers {
        // What has nowhere to go to, for its mailbox could not be created, stays where it is till the next run.
        if jobs.iter().all(|job| job.task.key != transfer.into) {
            if transfer.passage == Passage::Move {
                let left = jobs.iter_mut().find(|job| job.task.key == transfer.out_of);
                left.into_iter().for_each(|left| left.settled = left.settled.and(Settled::No));
            }
            continue;
        }
        let stay = match Pass::of(jobs, &transfer) {
            Some(pass) => pass.carry(run, jobs, transfer.messages.clone()).await?,
            None => transfer.messages.clone(),
        };
        give_back(run, jobs, &Transfer { messages: stay, ..transfer });
    }
    Ok(())
}

/// What is not moved is copied, and expunged where it was.
fn give_back(run: &mut Run<'_>, jobs: &mut [Job], transfer: &Transfer) {
    let Transfer { from, passage, out_of, into, messages, .. } = transfer;
    for job in jobs {
        if job.task.key == *into {
            job.task.plan.copies[*from].extend(messages.iter().map(|message| message.uid));
        }
        if job.task.key == *out_of && !messages.is_empty() && *passage == Passage::Move {
            let expunges = messages.iter().map(|message| (message.id, message.pair.uids[from.other()]));
            job.task.plan.expunges[from.other()].extend(expunges);
            run.note_conflicts(&job.task);
        }
    }
}
