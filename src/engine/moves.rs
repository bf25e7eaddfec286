//! Carries moves over: what has moved from one mailbox to another on one side is moved on the other by that side itself,
//! so that no body crosses. Whatever does not work out is copied and expunged as if nobody had seen a move in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Both, Checkpoint, Fingerprint, Flag, FlagSet, PermanentFlags, Side, Uid, UidSet};
use crate::plan::{Answer, Intent, IntentId, MailboxKey, Pair, PairId, find_moves};
use crate::store::{Reach, Relocated, UidScope};

use super::event::Event;
use super::execute::{Job, Settled};
use super::fault::{Fault, is_planted};
use super::look::Trip;
use super::recognize::Found;
use super::settle::{both, landed_now};
use super::task::{Sight, Task};
use super::{Halt, Run};

/// Messages that have moved from one mailbox to another on one side.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    /// The side on which they have moved; they are to be moved on the other one.
    pub(super) from: Side,
    /// The mailbox that they have left.
    pub(super) out_of: MailboxKey,
    /// The mailbox in which they have arrived.
    pub(super) into: MailboxKey,
    /// They.
    messages: Vec<Mover>,
}

/// A message that has moved.
#[derive(Clone, Debug)]
struct Mover {
    /// Its UID where it has arrived.
    uid: Uid,
    /// The flags that it bears there.
    flags: FlagSet,
    /// What it was in the mailbox that it has left.
    id: PairId,
    pair: Pair,
    /// Whether it still bears, on the side where it is to be moved, the flags last agreed on.
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
    /// The messages that are to be moved, by their UIDs in the mailbox that they leave.
    pub(super) fn uids(&self) -> UidSet {
        uids_of(self.from.other(), &self.messages)
    }
}

fn uids_of(target: Side, messages: &[Mover]) -> UidSet {
    messages.iter().map(|message| message.pair.uids[target]).collect()
}

/// Finds what has moved among what is to be copied into one mailbox and expunged from another, and takes it out of both.
/// What the configuration, the guard or a server forbids is not there, so it is no move either. Nothing is asked for
/// unless something is to be expunged and something else to be copied.
pub(super) async fn find(run: &mut Run<'_>, tasks: &mut [Task]) -> Result<Vec<Transfer>, Halt> {
    let mut transfers = Vec::new();
    for from in Side::BOTH {
        let gone = gone(run, tasks, from)?;
        let arrived = arrived(run, tasks, from, &gone).await?;
        let prints = gone.iter().map(|(key, pairs)| {
            (*key, pairs.iter().map(|(id, pair)| (*id, pair.fingerprint)).collect::<BTreeMap<PairId, Fingerprint>>())
        });
        let mut found: BTreeMap<(MailboxKey, MailboxKey), Vec<Mover>> = BTreeMap::new();
        for moved in find_moves(&arrived, &prints.collect()) {
            let Some(pair) = gone.get(&moved.out_of).and_then(|pairs| pairs.get(&moved.pair)) else { continue };
            let task = |key| tasks.iter().find(|task| task.key == key);
            let (Some(left), Some(reached)) = (task(moved.out_of), task(moved.into)) else { continue };
            let Some(flags) = reached.arrived[from].get(moved.uid).cloned() else { continue };
            let elsewhere = match left.plan.conflicts.contains(&(from, moved.pair)) {
                true => Flags::Changed,
                false => Flags::AsAgreed,
            };
            let mover = Mover { uid: moved.uid, flags, id: moved.pair, pair: pair.clone(), elsewhere };
            found.entry((moved.out_of, moved.into)).or_default().push(mover);
        }
        for ((out_of, into), messages) in found {
            for task in tasks.iter_mut() {
                for mover in &messages {
                    if task.key == into {
                        task.plan.copies[from].remove(mover.uid);
                    }
                    if task.key == out_of {
                        task.plan.expunges[from.other()].remove(&mover.id);
                    }
                }
            }
            transfers.push(Transfer { from, out_of, into, messages });
        }
    }
    tasks.iter_mut().for_each(|task| task.arrived = Default::default());
    Ok(transfers)
}

/// The pairs whose message is gone on `from` and is to be expunged on the other side, by mailbox.
fn gone(run: &Run<'_>, tasks: &[Task], from: Side) -> Result<BTreeMap<MailboxKey, BTreeMap<PairId, Pair>>, Halt> {
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

/// Who the messages are that are to be copied from `from` and may be gone from another mailbox, by mailbox.
async fn arrived(
    run: &mut Run<'_>,
    tasks: &[Task],
    from: Side,
    gone: &BTreeMap<MailboxKey, BTreeMap<PairId, Pair>>,
) -> Result<BTreeMap<MailboxKey, BTreeMap<Uid, Fingerprint>>, Halt> {
    let mut arrived = BTreeMap::new();
    if gone.is_empty() {
        return Ok(arrived);
    }
    for task in tasks {
        // What arrived before and was left out is not reported any more, so its flags are not known.
        let copies = task.plan.copies[from].intersection(&task.arrived[from].uids());
        let Some(sight) = task.sides[from].seen() else { continue };
        if copies.is_empty() || gone.keys().all(|key| *key == task.key) {
            continue;
        }
        arrived.insert(task.key, fingerprints(run, from, &sight.scope, &copies).await?);
    }
    Ok(arrived)
}

/// Who messages are. Where that cannot be had, nobody is moved, and what is wrong is said by the copying.
async fn fingerprints(
    run: &mut Run<'_>,
    side: Side,
    scope: &UidScope,
    uids: &UidSet,
) -> Result<BTreeMap<Uid, Fingerprint>, Halt> {
    match run.stores[side].fingerprints(scope, uids).await {
        Ok(prints) => Ok(prints),
        Err(error) if error.reach == Reach::Side => Err(Halt::Side(side, error)),
        Err(_) => Ok(BTreeMap::new()),
    }
}

/// Carries the moves out, before anything is copied. What cannot be moved is given back to the plans of its mailboxes.
pub(super) async fn relocate(run: &mut Run<'_>, jobs: &mut [Job], transfers: Vec<Transfer>) -> Result<(), Halt> {
    for transfer in transfers {
        let Transfer { from, out_of, into, messages } = transfer;
        // What has nowhere to go to, for its mailbox could not be created, stays where it is till the next run.
        if jobs.iter().all(|job| job.task.key != into) {
            let left = jobs.iter_mut().find(|job| job.task.key == out_of);
            left.into_iter().for_each(|left| left.settled = left.settled.and(Settled::No));
            continue;
        }
        let stay = match Pass::of(jobs, from, out_of, into) {
            Some(pass) => pass.carry(run, jobs, messages).await?,
            None => messages,
        };
        give_back(run, jobs, &Transfer { from, out_of, into, messages: stay });
    }
    Ok(())
}

/// What is not moved is copied, and expunged where it was.
fn give_back(run: &mut Run<'_>, jobs: &mut [Job], transfer: &Transfer) {
    let Transfer { from, out_of, into, messages } = transfer;
    for job in jobs {
        if job.task.key == *into {
            job.task.plan.copies[*from].extend(messages.iter().map(|message| message.uid));
        }
        if job.task.key == *out_of && !messages.is_empty() {
            let expunges = messages.iter().map(|message| (message.id, message.pair.uids[from.other()]));
            job.task.plan.expunges[from.other()].extend(expunges);
            run.note_conflicts(&job.task);
        }
    }
}

/// The way from one mailbox of a side to another one.
struct Pass {
    from: Side,
    /// Which of the jobs are those of the mailbox that is left and of the one that is reached.
    left: usize,
    reached: usize,
    /// The mailbox that is left, on the side where messages are to be moved.
    source: Sight,
    /// The mailbox that is reached, there.
    target: Sight,
    /// The mailbox that is reached, on the side where they have moved already.
    origin: Sight,
}

impl Pass {
    fn of(jobs: &[Job], from: Side, out_of: MailboxKey, into: MailboxKey) -> Option<Pass> {
        let at = |key| jobs.iter().position(|job| job.task.key == key);
        let (left, reached) = (at(out_of)?, at(into)?);
        let sight = |job: usize, side: Side| jobs.get(job)?.task.sides[side].seen().cloned();
        Some(Pass {
            from,
            left,
            reached,
            source: sight(left, from.other())?,
            target: sight(reached, from.other())?,
            origin: sight(reached, from)?,
        })
    }

    /// Moves messages: intents first, then the command, then pairs in the place of the intents. Answers those that are to
    /// be copied instead.
    async fn carry(&self, run: &mut Run<'_>, jobs: &mut [Job], messages: Vec<Mover>) -> Result<Vec<Mover>, Halt> {
        let side = self.from.other();
        let prints = fingerprints(run, side, &self.source.scope, &uids_of(side, &messages)).await?;
        // A UID says who a message is; that it is none the less is made sure of before another one is moved.
        let (known, mut stay): (Vec<Mover>, Vec<Mover>) =
            messages.into_iter().partition(|message| prints.contains_key(&message.pair.uids[side]));
        let (movers, others): (Vec<Mover>, Vec<Mover>) = known.into_iter().partition(|message| {
            let print = prints.get(&message.pair.uids[side]);
            print.is_some_and(|print| print.header == message.pair.fingerprint.header)
        });
        self.spare(run, jobs, &others)?;
        if movers.is_empty() {
            return Ok(stay);
        }
        let (Some(key), Some(left)) = (self.key(jobs), jobs.get_mut(self.left)) else { return Ok(stay) };
        left.touched = true;
        let intents: Vec<Intent> = movers.iter().map(|message| self.intent(message, &prints)).collect();
        let ids: Vec<IntentId> =
            run.state.commit(|change| intents.iter().map(|intent| change.add_intent(key, intent)).collect())?;
        if is_planted(Fault::MoveWithoutIntent) {
            run.state.commit(|change| ids.iter().try_for_each(|id| change.drop_intent(*id)))?;
        }
        let uids = uids_of(side, &movers);
        let relocated = match run.stores[side].relocate(&self.source.scope, &uids, &self.target.scope).await {
            Ok(relocated) => relocated,
            // Whatever has arrived is found by its intent at the next run.
            Err(error) if error.reach == Reach::Side => return Err(Halt::Side(side, error)),
            // What is wrong with the mailbox is said by the copying.
            Err(_) => Relocated { refused: uids, ..Relocated::default() },
        };
        let open: BTreeMap<IntentId, (Mover, Intent)> = ids.into_iter().zip(movers.into_iter().zip(intents)).collect();
        let open = self.remember_told(run, jobs, key, open, &relocated)?;
        stay.extend(self.settle_untold(run, jobs, key, open, &relocated).await?);
        Ok(stay)
    }

    fn key(&self, jobs: &[Job]) -> Option<MailboxKey> {
        jobs.get(self.reached).map(|job| job.task.key)
    }

    /// Another message has the UID of each of these: it is nobody's wish that it goes, so its pair ends, and everything in
    /// its mailbox is looked at again. What has moved is copied.
    fn spare(&self, run: &mut Run<'_>, jobs: &mut [Job], others: &[Mover]) -> Result<(), Halt> {
        if others.is_empty() {
            return Ok(());
        }
        if let Some(reached) = jobs.get_mut(self.reached) {
            reached.task.plan.copies[self.from].extend(others.iter().map(|message| message.uid));
        }
        let Some(left) = jobs.get_mut(self.left) else { return Ok(()) };
        left.settled = left.settled.and(Settled::Moved);
        let (key, side) = (left.task.key, self.from.other());
        let start = Checkpoint::start_of(self.source.scope.uid_validity);
        run.state.commit(|change| {
            change.set_checkpoint(key, side, Some(start))?;
            others.iter().try_for_each(|message| change.forget_pair(message.id))
        })?;
        Ok(())
    }

    /// A moved message keeps its flags: what both sides last agreed on stays what either side's flags are compared with.
    fn intent(&self, message: &Mover, prints: &BTreeMap<Uid, Fingerprint>) -> Intent {
        let print = prints.get(&message.pair.uids[self.from.other()]);
        Intent {
            from: self.from,
            uid: message.uid,
            flags: message.pair.flags.clone(),
            fingerprint: print.copied().unwrap_or(message.pair.fingerprint),
            target_uid_validity: self.target.scope.uid_validity,
            floor: self.target.status.uid_next,
            answer: Answer::Awaited,
        }
    }

    /// Puts pairs in the place of the intents of which the side has said where the message is. Answers the others.
    fn remember_told(
        &self,
        run: &mut Run<'_>,
        jobs: &mut [Job],
        key: MailboxKey,
        open: BTreeMap<IntentId, (Mover, Intent)>,
        relocated: &Relocated,
    ) -> Result<BTreeMap<IntentId, (Mover, Intent)>, Halt> {
        let side = self.from.other();
        let claimed: UidSet = relocated.at.values().copied().collect();
        // A UID that is somebody else's, or from before, is no answer to this command.
        let touching = run.state.pairs_touching(key, side, &claimed)?;
        let mut taken: BTreeSet<Uid> = touching.values().map(|pair| pair.uids[side]).collect();
        let mut told: Vec<(IntentId, Mover, Pair)> = Vec::new();
        let mut untold = BTreeMap::new();
        for (id, (mover, intent)) in open {
            let at = relocated.at.get(&mover.pair.uids[side]).copied();
            match at.filter(|uid| *uid >= intent.floor && taken.insert(*uid)) {
                Some(uid) => {
                    let pair = mover.pair(self.from, uid, &self.target.permanent_flags);
                    told.push((id, mover, pair));
                }
                None => drop(untold.insert(id, (mover, intent))),
            }
        }
        let gone = |mover: &&Mover| relocated.gone.contains(mover.pair.uids[side]);
        let left: Vec<PairId> = {
            let all = told.iter().map(|(_, mover, _)| mover).chain(untold.values().map(|(mover, _)| mover));
            all.filter(gone).map(|mover| mover.id).collect()
        };
        run.state.commit(|change| {
            for (id, _, pair) in &told {
                change.drop_intent(*id)?;
                change.add_pair(key, pair)?;
            }
            left.iter().try_for_each(|id| change.forget_pair(*id))
        })?;
        let movers: Vec<Mover> = told.into_iter().map(|(_, mover, _)| mover).collect();
        self.tell(run, jobs, &movers, relocated);
        Ok(untold)
    }

    /// Looks for the messages of which the side has not said where they are. Answers those that were refused.
    async fn settle_untold(
        &self,
        run: &mut Run<'_>,
        jobs: &mut [Job],
        key: MailboxKey,
        open: BTreeMap<IntentId, (Mover, Intent)>,
        relocated: &Relocated,
    ) -> Result<Vec<Mover>, Halt> {
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let side = self.from.other();
        let Some(name) = jobs.get(self.reached).map(|job| job.task.name.clone()) else { return Ok(Vec::new()) };
        let scopes = both(self.from, Some(self.origin.scope.clone()), Some(self.target.scope.clone()));
        let place = Found { key, name: &name, scopes: &scopes, seen: &Both::default() };
        let intents = open.iter().map(|(id, (_, intent))| (*id, intent.clone())).collect();
        let landed = match landed_now(run, &place, self.from, &intents).await {
            Ok(landed) => landed,
            Err(Trip::Halt(halt)) => return Err(halt),
            Err(Trip::Mailbox) => {
                self.leave_open(jobs);
                return Ok(Vec::new());
            }
        };
        let (mut found, mut pairs, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (id, (mover, _)) in open {
            match landed.get(&id) {
                Some(uid) => {
                    pairs.push((id, mover.pair(self.from, *uid, &self.target.permanent_flags)));
                    found.push(mover);
                }
                None if relocated.refused.contains(mover.pair.uids[side]) => refused.push((id, mover)),
                // It is said to be there, and will be seen at the next run perhaps.
                None => self.leave_open(jobs),
            }
        }
        run.state.commit(|change| {
            for (id, pair) in &pairs {
                change.drop_intent(*id)?;
                change.add_pair(key, pair)?;
            }
            refused.iter().try_for_each(|(id, _)| change.drop_intent(*id))
        })?;
        self.tell(run, jobs, &found, relocated);
        Ok(refused.into_iter().map(|(_, mover)| mover).collect())
    }

    /// Says what has moved. What is still where it was as well is expunged there, when everything is where it belongs.
    fn tell(&self, run: &mut Run<'_>, jobs: &mut [Job], movers: &[Mover], relocated: &Relocated) {
        if movers.is_empty() {
            return;
        }
        let side = self.from.other();
        let settled = movers.iter().map(|mover| mover.settled(&self.target.permanent_flags));
        let settled = settled.fold(Settled::Yes, Settled::and);
        self.settle_job(jobs, if is_planted(Fault::MoveForgetsFlags) { Settled::Yes } else { settled });
        self.expunge_later(jobs, movers, relocated);
        run.report.sides[side].moved += movers.len() as u64;
        run.listener.hear(Event::Moved {
            side,
            from: &self.source.scope.name,
            to: &self.target.scope.name,
            messages: movers.len() as u64,
        });
    }

    /// Leaves it to the next run to find out what has become of messages, by their intents; until then nothing is expunged.
    fn leave_open(&self, jobs: &mut [Job]) {
        for at in [self.left, self.reached] {
            if let Some(job) = jobs.get_mut(at) {
                job.settled = job.settled.and(Settled::No);
            }
        }
    }

    fn settle_job(&self, jobs: &mut [Job], settled: Settled) {
        if let Some(reached) = jobs.get_mut(self.reached) {
            reached.settled = reached.settled.and(settled);
            reached.touched = true;
        }
    }

    fn expunge_later(&self, jobs: &mut [Job], movers: &[Mover], relocated: &Relocated) {
        let side = self.from.other();
        let Some(left) = jobs.get_mut(self.left) else { return };
        for mover in movers.iter().filter(|mover| !relocated.gone.contains(mover.pair.uids[side])) {
            left.task.plan.expunges[side].insert(mover.id, mover.pair.uids[side]);
            left.left_behind.insert(mover.id);
        }
    }
}
