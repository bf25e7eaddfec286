//! Carries a plan out: create, copy, change flags; and only when every message is where it belongs, expunge and delete.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Both, Checkpoint, FlagChange, FlagSet, MailboxName, Side, Subscription, Uid, UidSet};
use crate::plan::{Deletion, DeletionCondition, PairId, Reflag, SkipReason, Skipped, agreed};
use crate::state::{self, Change};
use crate::store::{self, Expunged, Store, Stored};

use super::copy::{Copying, copy};
use super::create::{Created, create_missing, leave_subscription_open, set_subscription, subscribe};
use super::event::{Event, Extent, MailboxEvent, Trouble, TroubleCause};
use super::fault::{Fault, is_planted};
use super::task::{Sight, Task};
use super::{AccountPlan, Halt, Run, lift, moves, tree};

/// Whether everything that was planned for a mailbox is done, so that a checkpoint may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is.
    Yes,
    /// It is not, and a further run would not find it otherwise by itself.
    No,
    /// It is not, because something changed under our hands: worth another look at once.
    Moved,
}

impl Settled {
    pub(super) fn and(self, other: Settled) -> Settled {
        match (self, other) {
            (Settled::Yes, other) | (other, Settled::Yes) => other,
            (Settled::No, _) | (_, Settled::No) => Settled::No,
            (Settled::Moved, Settled::Moved) => Settled::Moved,
        }
    }
}

/// A mailbox at work.
pub(super) struct Job {
    pub(super) task: Task,
    pub(super) settled: Settled,
    /// What a side was given and does not keep: no checkpoint may follow, but another look would find the same.
    unkept: Both<FlagSet>,
    /// Whether a side was changed.
    pub(super) touched: bool,
    /// The pairs whose expunge is the rest of a move.
    pub(super) left_behind: BTreeSet<PairId>,
}

/// Carries a plan out. Answers which mailboxes have changed under our hands.
pub(super) async fn execute(run: &mut Run<'_>, plan: AccountPlan) -> Result<Vec<MailboxName>, Halt> {
    let mut tasks = plan.mailboxes;
    for place in &plan.tree.places {
        if subscribe(run, place).await? == Settled::No {
            leave_subscription_open(&mut tasks, &place.name);
        }
    }
    let Created { tasks, filled } = create_missing(run, tasks).await?;
    let mut jobs: Vec<Job> = tasks.into_iter().map(Job::new).collect();
    if is_planted(Fault::CheckpointFirst) {
        remember(run, &jobs)?;
    }
    moves::relocate(run, &mut jobs, plan.moves).await?;
    copy_messages(run, &mut jobs).await?;
    for job in &mut jobs {
        change_flags(run, job).await?;
    }
    // A message that moved from one mailbox to another is in its new place by now, on both sides.
    let mut expunged = 0;
    let mut halt = None;
    for job in &mut jobs {
        halt = expunge(run, job).await.err();
        if halt.is_some() {
            break;
        }
        expunged += 1;
    }
    // What is done is remembered, though a side be lost by now.
    remember(run, &jobs[..expunged])?;
    if let Some(halt) = halt {
        return Err(halt);
    }
    for deletion in &plan.tree.deletions {
        delete(run, deletion).await?;
    }
    run.report.mailboxes_changed += jobs.iter().filter(|job| job.touched).count() as u64;
    let moved = jobs.into_iter().filter(|job| job.settled == Settled::Moved).map(|job| job.task.name);
    Ok(moved.chain(filled).collect())
}

impl Job {
    fn new(task: Task) -> Job {
        let settled = if task.plan.is_whole() { Settled::Yes } else { Settled::No };
        Job { task, settled, unkept: Both::default(), touched: false, left_behind: BTreeSet::new() }
    }

    /// What is to be copied from a side; `None` for nothing.
    fn copying(&self, from: Side) -> Option<Copying<'_>> {
        let Task { key, ref name, ref sides, ref plan, .. } = self.task;
        let (source, target) = (sides[from].seen()?, sides[from.other()].seen()?);
        let uids = Some(&plan.copies[from]).filter(|uids| !uids.is_empty())?;
        let leaving = plan.expunges[from.other()].values().copied().collect();
        Some(Copying { key, name, from, source, target, uids, leaving })
    }

    /// Whether a checkpoint may follow.
    fn is_done(&self) -> bool {
        self.settled == Settled::Yes && self.unkept == Both::default()
    }
}

/// Copies what is to be copied, in all mailboxes together, first in one direction and then in the other.
async fn copy_messages(run: &mut Run<'_>, jobs: &mut [Job]) -> Result<(), Halt> {
    for from in Side::BOTH {
        let (places, copyings): (Vec<usize>, Vec<Copying<'_>>) =
            jobs.iter().enumerate().filter_map(|(at, job)| Some((at, job.copying(from)?))).unzip();
        let settled = copy(run, from, &copyings).await?;
        drop(copyings);
        for (at, settled) in places.into_iter().zip(settled) {
            if let Some(job) = jobs.get_mut(at) {
                job.settled = job.settled.and(settled);
                job.touched = true;
            }
        }
    }
    Ok(())
}

/// Changes flags on both sides at once, then remembers what both hold.
async fn change_flags(run: &mut Run<'_>, job: &mut Job) -> Result<(), Halt> {
    let groups = Both::from_fn(|side| job.task.plan.flag_groups(side));
    let reflags = std::mem::take(&mut job.task.plan.reflags);
    if reflags.is_empty() {
        return Ok(());
    }
    if is_planted(Fault::FlagsRememberedEarly) {
        run.state
            .commit(|change| reflags.iter().try_for_each(|reflag| change.set_flags(reflag.pair, &reflag.agreed)))?;
    }
    let Both { local, remote } = &mut *run.stores;
    let (local, remote) = tokio::join!(
        store_flags(local.as_mut(), job.task.sides.local.seen(), &groups.local),
        store_flags(remote.as_mut(), job.task.sides.remote.seen(), &groups.remote),
    );
    let mut stored: Both<BTreeMap<Uid, Stored>> = Both::default();
    let mut halt = None;
    for (side, answer) in [(Side::Local, local), (Side::Remote, remote)] {
        match answer {
            Ok(answer) => stored[side] = answer,
            Err(error) => {
                job.settled = Settled::No;
                let lost = run.store_trouble(side, Some(&job.task.name), error);
                halt = halt.or(lost.err());
            }
        }
    }
    let mut agreements = Vec::new();
    for reflag in &reflags {
        let end = end_of(reflag, &stored);
        job.settled = job.settled.and(end.settled);
        if let (Some(end_flags), Some(local), Some(remote)) =
            (end.flags, job.task.sides.local.seen(), job.task.sides.remote.seen())
        {
            let holds = Both { local: &local.permanent_flags, remote: &remote.permanent_flags };
            let flags = agreed(&reflag.base, end_flags.as_ref(), holds);
            let unkept = unkept(reflag, &end_flags);
            if flags != reflag.agreed && unkept == Both::default() {
                job.settled = job.settled.and(Settled::Moved);
            }
            for side in Side::BOTH {
                job.unkept[side] = job.unkept[side].union(&unkept[side]);
            }
            if flags != reflag.base {
                agreements.push((reflag.pair, flags));
            }
        }
    }
    tell_unkept(run, job);
    run.state.commit(|change| agreements.iter().try_for_each(|(pair, flags)| change.set_flags(*pair, flags)))?;
    for side in Side::BOTH {
        let changed = stored[side].values().filter(|stored| matches!(stored, Stored::Flags(_))).count() as u64;
        if changed > 0 {
            run.report.sides[side].flagged += changed;
            run.listener.hear(Event::Flagged(side, &job.task.name, changed));
            job.touched = true;
        }
    }
    halt.map_or(Ok(()), Err)
}

/// The flags that each side was given and does not bear.
fn unkept(reflag: &Reflag, end: &Both<FlagSet>) -> Both<FlagSet> {
    Both::from_fn(|side| reflag.changes[side].add.difference(&end[side]))
}

/// Names what a side does not keep. It is not remembered as agreed on, so it is given again by the next run.
fn tell_unkept(run: &mut Run<'_>, job: &Job) {
    for side in Side::BOTH.into_iter().filter(|side| !job.unkept[*side].is_empty()) {
        let flags = &job.unkept[side];
        run.trouble(Trouble {
            reach: Extent::Message,
            side: Some(side),
            mailbox: Some(job.task.name.clone()),
            cause: TroubleCause::Unkept,
            text: format!(
                "the {side} side does not keep these flags here: {flags}; they stay on the {} side, and are tried again \
                 by the next run",
                side.other()
            ),
        });
    }
}

async fn store_flags(
    store: &mut dyn Store,
    sight: Option<&Sight>,
    groups: &[(UidSet, FlagChange)],
) -> Result<BTreeMap<Uid, Stored>, store::Error> {
    match sight {
        Some(sight) if !groups.is_empty() => store.store_flags(&sight.scope, groups, sight.status.highest_modseq).await,
        _ => Ok(BTreeMap::new()),
    }
}

/// What a message bears after its flags were to change.
struct End {
    /// `None` where it is gone or was left alone: then nothing new is agreed on.
    flags: Option<Both<FlagSet>>,
    settled: Settled,
}

fn end_of(reflag: &Reflag, stored: &Both<BTreeMap<Uid, Stored>>) -> End {
    let mut flags = reflag.now.clone();
    for side in Side::BOTH {
        if reflag.changes[side].is_empty() {
            continue;
        }
        match stored[side].get(&reflag.uids[side]) {
            Some(Stored::Flags(now)) => flags[side] = now.clone(),
            // Its expunge will be reported.
            Some(Stored::Gone) => return End { flags: None, settled: Settled::Yes },
            Some(Stored::Modified) => return End { flags: None, settled: Settled::Moved },
            None => return End { flags: None, settled: Settled::No },
        }
    }
    End { flags: Some(flags), settled: Settled::Yes }
}

/// Expunges what is gone on the other side, on both sides at once.
async fn expunge(run: &mut Run<'_>, job: &mut Job) -> Result<(), Halt> {
    let expunges = std::mem::take(&mut job.task.plan.expunges);
    let uids = expunges.as_ref().map(|expunges| expunges.values().copied().collect::<UidSet>());
    let Both { local, remote } = &mut *run.stores;
    let (local, remote) = tokio::join!(
        expunge_on(local.as_mut(), job.task.sides.local.seen(), &uids.local),
        expunge_on(remote.as_mut(), job.task.sides.remote.seen(), &uids.remote),
    );
    let mut halt = None;
    for (side, kept) in [(Side::Local, local), (Side::Remote, remote)] {
        let kept = match kept {
            Ok(Expunged::AllBut(kept)) => kept,
            Ok(Expunged::Blocked(marked)) => match expunge_around_others(run, job, side, &uids[side], marked).await {
                Ok(Some(kept)) => kept,
                Ok(None) => {
                    job.settled = Settled::No;
                    continue;
                }
                Err(lost) => {
                    job.settled = Settled::No;
                    halt = halt.or(Some(lost));
                    continue;
                }
            },
            Err(error) => {
                job.settled = Settled::No;
                halt = halt.or(run.store_trouble(side, Some(&job.task.name), error).err());
                continue;
            }
        };
        if !kept.is_empty() {
            job.settled = job.settled.and(Settled::Moved);
        }
        let gone: Vec<_> = expunges[side].iter().filter(|(_, uid)| !kept.contains(**uid)).map(|(id, _)| *id).collect();
        if gone.is_empty() {
            continue;
        }
        run.state.commit(|change| gone.iter().try_for_each(|id| change.forget_pair(*id)))?;
        job.touched = true;
        let expunged = gone.iter().filter(|id| !job.left_behind.contains(id)).count() as u64;
        if expunged > 0 {
            run.report.sides[side].expunged += expunged;
            run.listener.hear(Event::Expunged(side, &job.task.name, expunged));
        }
    }
    halt.map_or(Ok(()), Err)
}

async fn expunge_around_others(
    run: &mut Run<'_>,
    job: &Job,
    side: Side,
    uids: &UidSet,
    marked: UidSet,
) -> Result<Option<UidSet>, Halt> {
    let Some(sight) = job.task.sides[side].seen() else { return Ok(None) };
    let place = lift::Place { key: job.task.key, name: &job.task.name, side };
    lift::expunge_around(run, place, sight, uids, marked).await
}

async fn expunge_on(store: &mut dyn Store, sight: Option<&Sight>, uids: &UidSet) -> Result<Expunged, store::Error> {
    match sight {
        Some(sight) if !uids.is_empty() => store.expunge(&sight.scope, uids, sight.status.highest_modseq).await,
        _ => Ok(Expunged::AllBut(UidSet::new())),
    }
}

/// Remembers what needs no command, and, where all is done, where the next run may start from: the status seen before our
/// own writes, for somebody else's change may lie between them. One commit for all mailboxes.
fn remember(run: &mut Run<'_>, jobs: &[Job]) -> Result<(), Halt> {
    let now = run.order.now;
    if !jobs.is_empty() {
        run.state.commit(|change| jobs.iter().try_for_each(|job| job.remember(change, now)))?;
    }
    Ok(())
}

impl Job {
    fn remember(&self, change: &Change<'_>, now: i64) -> Result<(), state::Error> {
        let Task { key, checkpoints, name: _, sides, arrived: _, changed: _, plan, lifted: _, place } = &self.task;
        let left_out = |side: Side| {
            let row = move |(uid, why): (&Uid, &SkipReason)| Skipped {
                side,
                uid: *uid,
                why: why.clone(),
                attempts: 0,
                last_attempt: 0,
            };
            plan.skips[side].iter().map(row)
        };
        let known_ids = place.remembered.as_ref().map(|row| row.ids.clone()).unwrap_or_default();
        plan.forget.iter().try_for_each(|id| change.forget_pair(*id))?;
        Side::BOTH.into_iter().flat_map(left_out).try_for_each(|skipped| change.skip(*key, &skipped))?;
        for (id, side, uid) in &plan.keeps {
            change.forget_pair(*id)?;
            let kept = Skipped { side: *side, uid: *uid, why: SkipReason::Kept, attempts: 0, last_attempt: 0 };
            change.skip(*key, &kept)?;
        }
        for side in Side::BOTH {
            plan.unskips[side].iter().try_for_each(|uid| change.unskip(*key, side, uid))?;
            let reached = sides[side].seen().map(|sight| Checkpoint::from(sight.status));
            let done = self.is_done() || is_planted(Fault::CheckpointDespiteFailure);
            if let Some(reached) = reached.filter(|_| done).filter(|reached| Some(*reached) != checkpoints[side]) {
                change.set_checkpoint(*key, side, Some(reached))?;
            }
            if place.ids[side] != known_ids[side] {
                change.set_mailbox_id(*key, side, place.ids[side].as_ref())?;
            }
        }
        let subscription = place.subscription.filter(|_| place.remembered.is_none());
        if subscription.is_some() {
            change.set_subscription(*key, subscription)?;
        }
        match self.is_done() {
            true => change.set_last_success(*key, now),
            false => Ok(()),
        }
    }
}

/// Whether a mailbox that is not listed any more cannot be opened either. One that can has only been hidden: a right to
/// list it was taken away, or its name belongs to others now (RFC 4314 §4, RFC 2342 §5).
async fn is_gone(run: &mut Run<'_>, deletion: &Deletion) -> Result<bool, Halt> {
    let side = deletion.side.other();
    let name = run.name_on(side, &deletion.remembered.name);
    let known = deletion.remembered.checkpoints[side].map(|checkpoint| checkpoint.uid_validity);
    match run.stores[side].census(&name).await {
        Ok(Some((status, _))) if Some(status.uid_validity) == known => {
            run.trouble(Trouble {
                reach: Extent::Message,
                side: Some(side),
                mailbox: Some(name),
                cause: TroubleCause::Mailbox,
                text: "it is not listed any more, but it is still there".to_owned(),
            });
            Ok(false)
        }
        Ok(_) => Ok(true),
        Err(error) => run.store_trouble(side, Some(&name), error).map(|()| false),
    }
}

/// Deletes a mailbox that the other side has deleted, after one last look.
async fn delete(run: &mut Run<'_>, deletion: &Deletion) -> Result<(), Halt> {
    let side = deletion.side;
    if !is_gone(run, deletion).await? {
        return Ok(());
    }
    if deletion.condition == DeletionCondition::HoldsNothingNew {
        let fresh = match run.stores[side].census(&deletion.at).await {
            Ok(fresh) => fresh,
            Err(error) => return run.store_trouble(side, Some(&deletion.at), error),
        };
        let again = Deletion { status: fresh.map(|(status, _)| status), ..deletion.clone() };
        if again.status.is_some() && !tree::holds_nothing_new(run, &again).await? {
            run.trouble(Trouble {
                reach: Extent::Mailbox,
                side: Some(side),
                mailbox: Some(deletion.at.clone()),
                cause: TroubleCause::Unsettled,
                text: "a message arrived in it while it was about to be deleted; it was left as it is".to_owned(),
            });
            return Ok(());
        }
    }
    match run.stores[side].delete(&deletion.at).await {
        Ok(()) => {}
        Err(error) => return run.store_trouble(side, Some(&deletion.at), error),
    }
    if deletion.otherwise.subscribed[side] == Subscription::Subscribed && deletion.otherwise.subscription.is_some() {
        set_subscription(run, side, &deletion.at, Subscription::Unsubscribed).await?;
    }
    run.state.commit(|change| change.forget_mailbox(deletion.remembered.key))?;
    run.report.sides[side].deleted += 1;
    run.report.mailboxes_changed += 1;
    run.listener.hear(Event::Mailbox(side, &deletion.at, MailboxEvent::Deleted));
    Ok(())
}
