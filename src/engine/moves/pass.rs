//! Carries one transfer out: from one mailbox of a side into another one.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Both, Checkpoint, Side, Uid, UidSet};
use crate::plan::{Answer, Intent, IntentId, MailboxKey, Pair, PairId};
use crate::store::{Passage, Reach, Relocated, UidScope};

use super::super::event::Event;
use super::super::execute::{Job, Settled};
use super::super::fault::{Fault, is_planted};
use super::super::look::Trip;
use super::super::recognize::Found;
use super::super::settle::{both, landed_now};
use super::super::task::Sight;
use super::super::{Halt, Run};
use super::{Mover, Transfer, uids_of};

/// The way from one mailbox of a side to another one.
pub(super) struct Pass {
    from: Side,
    passage: Passage,
    /// Which of the jobs are those of the mailbox that is left, if messages leave it, and of the one that is reached.
    left: Option<usize>,
    reached: usize,
    /// The mailbox that messages are to be moved out of, or copied from.
    source: UidScope,
    /// The mailbox that is reached, there.
    target: Sight,
    /// The mailbox that is reached, on the side where they have moved already.
    origin: Sight,
}

impl Pass {
    pub(super) fn of(jobs: &[Job], transfer: &Transfer) -> Option<Pass> {
        let Transfer { from, passage, .. } = *transfer;
        let at = |key| jobs.iter().position(|job| job.task.key == key);
        let left = match passage {
            Passage::Move => Some(at(transfer.out_of)?),
            Passage::Copy => None,
        };
        let reached = at(transfer.into)?;
        let sight = |job: usize, side: Side| jobs.get(job)?.task.sides[side].seen().cloned();
        Some(Pass {
            from,
            passage,
            left,
            reached,
            source: transfer.source.clone(),
            target: sight(reached, from.other())?,
            origin: sight(reached, from)?,
        })
    }

    /// Moves or copies messages: intents first, then the command, then pairs in the place of the intents. Answers those
    /// that are to be copied from the other side instead.
    pub(super) async fn carry(
        &self,
        run: &mut Run<'_>,
        jobs: &mut [Job],
        messages: Vec<Mover>,
    ) -> Result<Vec<Mover>, Halt> {
        let side = self.from.other();
        let (movers, mut stay) = match self.passage {
            Passage::Move => self.make_sure(run, jobs, messages).await?,
            // That has been done already.
            Passage::Copy => (messages, Vec::new()),
        };
        if movers.is_empty() {
            return Ok(stay);
        }
        let Some(key) = self.key(jobs) else { return Ok(stay) };
        if let Some(left) = self.left(jobs) {
            left.touched = true;
        }
        let intents: Vec<Intent> = movers.iter().map(|message| self.intent(message)).collect();
        let ids: Vec<IntentId> =
            run.state.commit(|change| intents.iter().map(|intent| change.add_intent(key, intent)).collect())?;
        if is_planted(Fault::MoveWithoutIntent) {
            run.state.commit(|change| ids.iter().try_for_each(|id| change.drop_intent(*id)))?;
        }
        let uids = uids_of(side, &movers);
        let relocated = match run.stores[side].relocate(&self.source, &uids, &self.target.scope, self.passage).await {
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

    /// A UID says who a message is; that it is none the less is made sure of before one is moved. Answers those that are to
    /// be moved, and those that are gone.
    async fn make_sure(
        &self,
        run: &mut Run<'_>,
        jobs: &mut [Job],
        messages: Vec<Mover>,
    ) -> Result<(Vec<Mover>, Vec<Mover>), Halt> {
        let side = self.from.other();
        let prints = match run.stores[side].fingerprints(&self.source, &uids_of(side, &messages)).await {
            Ok(prints) => prints,
            Err(error) if error.reach == Reach::Side => return Err(Halt::Side(side, error)),
            // What is wrong is said by the copying.
            Err(_) => BTreeMap::new(),
        };
        let (mut movers, mut others, mut stay) = (Vec::new(), Vec::new(), Vec::new());
        for message in messages {
            match prints.get(&message.pair.uids[side]) {
                Some(print) if print.header == message.pair.fingerprint.header => {
                    movers.push(Mover { print: *print, ..message });
                }
                Some(_) => others.push(message),
                None => stay.push(message),
            }
        }
        self.spare(run, jobs, &others)?;
        Ok((movers, stay))
    }

    fn left<'a>(&self, jobs: &'a mut [Job]) -> Option<&'a mut Job> {
        jobs.get_mut(self.left?)
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
        let Some(left) = self.left(jobs) else { return Ok(()) };
        left.settled = left.settled.and(Settled::Moved);
        let (key, side) = (left.task.key, self.from.other());
        let start = Checkpoint::start_of(self.source.uid_validity);
        run.state.commit(|change| {
            change.set_checkpoint(key, side, Some(start))?;
            others.iter().try_for_each(|message| change.forget_pair(message.id))
        })?;
        Ok(())
    }

    /// A moved or copied message keeps its flags: what both sides last agreed on stays what either side's flags are compared
    /// with.
    fn intent(&self, message: &Mover) -> Intent {
        Intent {
            from: self.from,
            uid: message.uid,
            flags: message.pair.flags.clone(),
            fingerprint: message.print,
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
        let gone = |mover: &&Mover| self.passage == Passage::Move && relocated.gone.contains(mover.pair.uids[side]);
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

    /// Looks for the messages of which the side has not said where they are. Answers those that were not put there.
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
                // What was copied is gone by now, or the side takes its copy for one that it has already.
                None if self.passage == Passage::Copy => refused.push((id, mover)),
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

    /// Says what was moved or copied. What was to be moved and is still where it was as well is expunged there, when everything is where it belongs.
    fn tell(&self, run: &mut Run<'_>, jobs: &mut [Job], movers: &[Mover], relocated: &Relocated) {
        if movers.is_empty() {
            return;
        }
        let side = self.from.other();
        let settled = movers.iter().map(|mover| mover.settled(&self.target.permanent_flags));
        let settled = settled.fold(Settled::Yes, Settled::and);
        self.settle_job(jobs, if is_planted(Fault::MoveForgetsFlags) { Settled::Yes } else { settled });
        let messages = movers.len() as u64;
        match self.passage {
            Passage::Move => {
                self.expunge_later(jobs, movers, relocated);
                run.report.sides[side].moved += messages;
            }
            Passage::Copy => run.report.sides[side].copied += messages,
        }
        let (passage, from, to) = (self.passage, &self.source.name, &self.target.scope.name);
        run.listener.hear(Event::Relocated { side, passage, from, to, messages });
    }

    /// Leaves it to the next run to find out what has become of messages, by their intents; until then nothing is expunged.
    fn leave_open(&self, jobs: &mut [Job]) {
        for at in self.left.into_iter().chain([self.reached]) {
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
        let Some(left) = self.left(jobs) else { return };
        for mover in movers.iter().filter(|mover| !relocated.gone.contains(mover.pair.uids[side])) {
            left.task.plan.expunges[side].insert(mover.id, mover.pair.uids[side]);
            left.left_behind.insert(mover.id);
        }
    }
}
