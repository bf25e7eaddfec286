//! Looks at both sides and plans the run: list, observe what may have changed, recognize, diff, plan.

use std::collections::BTreeMap;

use crate::mail::{Both, Fingerprint, MailboxName, Observation, Side, Uid, UidSet};
use crate::plan::{Place, Presence, Skipped, TreePlan};
use crate::store::{self, UidScope, Wanted};

use super::event::{Conflict, Event, Extent, Guarded, Trouble, TroubleCause, Work};
use super::look::{Compared, Deeper, Look, Trip};
use super::moves::Transfer;
use super::recognize::{self, Met};
use super::sample::sample;
use super::task::Task;
use super::{AccountPlan, Halt, Run, Scrutiny, moves, tree};

/// Whether the plan will be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It will. Renames are carried out at once, for everything else is planned under the new names.
    Execute,
    /// It is only shown.
    Rehearse,
}

/// Plans a whole account.
pub(super) async fn survey(run: &mut Run<'_>, mode: Mode) -> Result<AccountPlan, Halt> {
    let tree = tree::survey(run, mode).await?;
    let (mailboxes, moves) = survey_places(run, &tree, mode).await?;
    Ok(AccountPlan { tree, mailboxes, moves })
}

/// Plans some mailboxes once more.
pub(super) async fn survey_again(run: &mut Run<'_>, names: &[MailboxName]) -> Result<AccountPlan, Halt> {
    let mut tree = tree::survey(run, Mode::Execute).await?;
    tree.places.retain(|place| names.contains(&place.name));
    tree.deletions.clear();
    let (mailboxes, moves) = survey_places(run, &tree, Mode::Execute).await?;
    Ok(AccountPlan { tree, mailboxes, moves })
}

/// Looks at every place that may have changed, in as few round trips as the sides allow, and plans each, and then
/// what has moved among them.
async fn survey_places(run: &mut Run<'_>, tree: &TreePlan, mode: Mode) -> Result<(Vec<Task>, Vec<Transfer>), Halt> {
    run.report.mailboxes = tree.places.len() as u64;
    let mut places = Vec::new();
    for place in &tree.places {
        if needs_a_look(run, place)? {
            places.push(place);
        }
    }
    run.listener.hear(Event::Listed { mailboxes: tree.places.len(), changed: places.len() });
    let mut looks = Look::at_each(run, places)?;
    for look in &mut looks {
        look.put_marks_back(run, mode).await?;
    }
    observe(run, &mut looks, Depth::SinceCheckpoint).await?;
    sample(run, &mut looks).await?;
    for look in &mut looks {
        look.weigh(run)?;
    }
    observe(run, &mut looks, Depth::Everything).await?;
    for look in &mut looks {
        look.weigh_again(run);
        if !look.given_up {
            look.see_lifted_marks();
            look.given_up = has_tripped(look.settle(run).await)?.is_none();
        }
    }
    looks.retain(|look| !look.given_up);
    Look::start_checkpoints(run, &mut looks)?;
    let mut tasks = Vec::new();
    for (look, compared) in compare(run, looks).await? {
        tasks.extend(has_tripped(look.planned(run, compared).await)?);
    }
    let moves = moves::find(run, tree, &mut tasks).await?;
    let mut work = Work { moves: moves.iter().map(Transfer::len).sum(), ..Work::default() };
    for task in &tasks {
        for side in Side::BOTH {
            work.copies += task.plan.copies[side].len();
            work.expunges += task.plan.expunges[side].len() as u64;
            work.flags += task.plan.reflags.iter().filter(|reflag| !reflag.changes[side].is_empty()).count() as u64;
        }
    }
    run.listener.hear(Event::Planned(work));
    Ok((tasks, moves))
}

/// Compares each mailbox with what is remembered. What has arrived on both sides is recognized before, in as few round trips
/// as a bounded number of fingerprints allows.
async fn compare(run: &mut Run<'_>, looks: Vec<Look>) -> Result<Vec<(Look, Compared)>, Halt> {
    /// So many messages are asked who they are at once, if not a single mailbox has more.
    const AT_ONCE: u64 = 20_000;
    let mut all = Vec::new();
    for look in looks {
        all.extend(has_tripped(look.compared(run).await)?.map(|compared| (look, compared)));
    }
    let mut given_up: Vec<usize> = Vec::new();
    let mut next = 0;
    while next < all.len() {
        let mut meeting: Vec<usize> = Vec::new();
        let mut messages = 0;
        while let Some((_, Compared { changes, .. })) = all.get(next) {
            let arrived = changes.as_ref().map(|changes| changes.arrived.len());
            if arrived.local > 0 && arrived.remote > 0 {
                if messages > 0 && messages + arrived.local + arrived.remote > AT_ONCE {
                    break;
                }
                messages += arrived.local + arrived.remote;
                meeting.push(next);
            }
            next += 1;
        }
        for (at, met) in meeting.iter().copied().zip(recognize::pair_arrivals(run, &all, &meeting).await?) {
            let Some((look, compared)) = all.get_mut(at) else { continue };
            match met {
                Met::Nobody => {}
                Met::Some => *compared = look.compare(run)?,
                Met::Trouble => given_up.push(at),
            }
        }
    }
    let kept = all.into_iter().enumerate().filter(|(at, _)| !given_up.contains(at));
    Ok(kept.map(|(_, compared)| compared).collect())
}

/// What came of it; `None` where the mailbox is left alone, of which the trouble has been written down.
fn has_tripped<T>(done: Result<T, Trip>) -> Result<Option<T>, Halt> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(Trip::Mailbox) => Ok(None),
        Err(Trip::Halt(halt)) => Err(halt),
    }
}

/// Whether anything but the listing is needed to know that a mailbox has not changed.
pub(super) fn needs_a_look(run: &Run<'_>, place: &Place) -> Result<bool, Halt> {
    let Some(remembered) = &place.remembered else { return Ok(true) };
    let unchanged = |side: Side| match &place.at[side] {
        Presence::Here(_, Some(status)) => remembered.is_unchanged(side, status),
        Presence::Here(_, None) | Presence::ToCreate => false,
    };
    let left_open = remembered.intents > 0 || remembered.lifted > 0;
    if run.order.scrutiny == Scrutiny::Everything || left_open || !Side::BOTH.into_iter().all(unchanged) {
        return Ok(true);
    }
    if remembered.skipped == Both::default() {
        return Ok(false);
    }
    let due = due(run, &run.state.skipped(remembered.key)?);
    Ok(due != Both::default())
}

/// The messages that were left out and are due to be tried again.
pub(super) fn due(run: &Run<'_>, skipped: &[Skipped]) -> Both<UidSet> {
    Both::from_fn(|side| {
        skipped
            .iter()
            .filter(|row| row.side == side && run.policy.carries(side, crate::plan::Flow::New))
            .filter(|row| row.is_due(run.order.now) || run.order.scrutiny == Scrutiny::Everything && row.is_wanted())
            .map(|row| row.uid)
            .collect()
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    SinceCheckpoint,
    Everything,
}

/// Observes, on both sides at once, what the looks still lack.
async fn observe(run: &mut Run<'_>, looks: &mut [Look], depth: Depth) -> Result<(), Halt> {
    let mut wanted: Both<Vec<Wanted>> = Both::default();
    let mut whose: Both<Vec<usize>> = Both::default();
    for (at, look) in looks.iter().enumerate().filter(|(_, look)| !look.given_up) {
        for side in Side::BOTH {
            let Presence::Here(name, _) = &look.place.at[side] else { continue };
            let since = match depth {
                Depth::SinceCheckpoint if run.order.scrutiny == Scrutiny::Everything => None,
                Depth::SinceCheckpoint => look.checkpoints[side],
                Depth::Everything if look.deeper[side] == Deeper::Enough => continue,
                Depth::Everything => None,
            };
            wanted[side].push(Wanted { name: name.clone(), since });
            whose[side].push(at);
        }
    }
    let Both { local, remote } = run.observe_both(&wanted).await?;
    for (side, seen) in [(Side::Local, local), (Side::Remote, remote)] {
        for (at, observation) in whose[side].iter().zip(seen) {
            let Some(look) = looks.get_mut(*at) else { continue };
            match observation {
                Ok(observation) => {
                    if observation.status.highest_modseq.is_none() {
                        run.report.sides[side].listed_in_full.insert(look.place.name.clone());
                    }
                    look.seen[side] = Some(observation);
                }
                Err(error) if !look.given_up => {
                    look.given_up = true;
                    let name = look.place.name.clone();
                    run.store_trouble(side, Some(&name), error)?;
                }
                Err(_) => {}
            }
        }
    }
    Ok(())
}

type Observed = Vec<Result<Observation, store::Error>>;
type Prints = Vec<Result<BTreeMap<Uid, Fingerprint>, store::Error>>;

impl Run<'_> {
    /// Asks who messages are, on both sides at once.
    pub(super) async fn fingerprints_each(
        &mut self,
        wanted: &Both<Vec<(UidScope, UidSet)>>,
    ) -> Result<Both<Prints>, Halt> {
        let Both { local, remote } = &mut *self.stores;
        let (local, remote) = tokio::join!(who_are(local, &wanted.local), who_are(remote, &wanted.remote));
        Ok(Both {
            local: local.map_err(|error| Halt::Side(Side::Local, error))?,
            remote: remote.map_err(|error| Halt::Side(Side::Remote, error))?,
        })
    }

    /// Observes on both sides at once.
    pub(super) async fn observe_both(&mut self, wanted: &Both<Vec<Wanted>>) -> Result<Both<Observed>, Halt> {
        let Both { local, remote } = &mut *self.stores;
        let (local, remote) = tokio::join!(look_at(local, &wanted.local), look_at(remote, &wanted.remote));
        Ok(Both {
            local: local.map_err(|error| Halt::Side(Side::Local, error))?,
            remote: remote.map_err(|error| Halt::Side(Side::Remote, error))?,
        })
    }

    /// What `side` calls the mailbox of that local name. The tree planner has let no name through that cannot be said.
    pub(super) fn name_on(&self, side: Side, local: &MailboxName) -> MailboxName {
        match side {
            Side::Local => local.clone(),
            Side::Remote => self.policy.names.across(Side::Local, local).unwrap_or_else(|_| local.clone()),
        }
    }

    /// Names what the plan leaves undone although it is known.
    pub(super) fn note_what_is_held_back(&mut self, plan: &AccountPlan) {
        for side in Side::BOTH {
            if let Some((going, held)) = plan.tree.guarded[side] {
                self.note_guarded(Guarded { mailbox: None, side, going, held });
            }
            for task in &plan.mailboxes {
                self.note_what_a_task_holds_back(task, side);
            }
        }
        plan.mailboxes.iter().for_each(|task| self.note_conflicts(task));
    }

    /// Names the messages that are expunged although the other side has changed them.
    pub(super) fn note_conflicts(&mut self, task: &Task) {
        for (expunged_on, id) in &task.plan.conflicts {
            let uid = task.plan.expunges[expunged_on.other()].get(id);
            let Some(uid) = uid else { continue };
            let conflict = Conflict { mailbox: task.name.clone(), expunged_on: *expunged_on, uid: *uid };
            if !self.report.conflicts.contains(&conflict) {
                self.report.conflicts.push(conflict);
            }
        }
    }

    /// A mailbox that is taken up again in the same run is held back once.
    fn note_guarded(&mut self, guarded: Guarded) {
        if !self.report.guarded.contains(&guarded) {
            self.report.guarded.push(guarded);
        }
    }

    fn note_what_a_task_holds_back(&mut self, task: &Task, side: Side) {
        let mailbox = Some(task.name.clone());
        if let Some((going, held)) = task.plan.guarded[side] {
            self.note_guarded(Guarded { mailbox: mailbox.clone(), side, going, held });
        }
        if task.plan.read_only[side] > 0 {
            self.trouble(Trouble {
                reach: Extent::Mailbox,
                side: Some(side),
                mailbox,
                cause: TroubleCause::Store(store::Cause::NoPermission),
                text: format!(
                    "the {side} side opens this mailbox for reading only; changes that it does not get: {}",
                    task.plan.read_only[side]
                ),
            });
        }
    }
}

async fn look_at(store: &mut Box<dyn store::Store>, wanted: &[Wanted]) -> Result<Observed, store::Error> {
    match wanted.is_empty() {
        true => Ok(Vec::new()),
        false => store.observe(wanted).await,
    }
}

async fn who_are(store: &mut Box<dyn store::Store>, wanted: &[(UidScope, UidSet)]) -> Result<Prints, store::Error> {
    match wanted.is_empty() {
        true => Ok(Vec::new()),
        false => store.fingerprints_each(wanted).await,
    }
}
