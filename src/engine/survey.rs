//! Looks at both sides and plans the run: list, observe what may have changed, recognize, diff, plan.

use std::collections::BTreeMap;

use crate::mail::{
    Access, Both, Checkpoint, MailboxName, MailboxStatus, Observation, PermanentFlags, Side, Silence, Uid, UidSet,
};
use crate::plan::{
    Baseline, Changes, MailboxKey, MailboxPlan, Place, Presence, Remembered, Skipped, TreePlan, View, diff,
    exists_equation_holds, plan_mailbox,
};
use crate::state;
use crate::store::{self, UidScope, Wanted};

use super::event::{Conflict, Event, Extent, Guarded, Trouble, TroubleCause, Work};
use super::{AccountPlan, Halt, Run, Scrutiny, recognize, settle, tree};

/// Whether the plan will be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It will. Renames are carried out at once, for everything else is planned under the new names.
    Execute,
    /// It is only shown.
    Rehearse,
}

/// A mailbox with what is to be done in it.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The row.
    pub(super) key: MailboxKey,
    /// What was remembered of it before this run.
    pub(super) checkpoints: Both<Option<Checkpoint>>,
    /// Its local name.
    pub(super) name: MailboxName,
    /// What each side said of it.
    pub(super) sides: Both<SideView>,
    /// What is to be done.
    pub(super) plan: MailboxPlan,
    /// The subscriptions to be changed, and what is to be remembered of them.
    pub(super) place: Place,
}

/// What one side said of a mailbox.
#[derive(Clone, Debug)]
pub(crate) enum SideView {
    /// It is there.
    Seen(Sight),
    /// It has to be created under this name of the side's.
    ToCreate(MailboxName),
}

/// What remains of an observation once the plan is made.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// Where its UIDs mean something.
    pub(super) scope: UidScope,
    /// The status before anything was done: what a checkpoint may be made of.
    pub(super) status: MailboxStatus,
    /// Which flags the side can keep.
    pub(super) permanent_flags: PermanentFlags,
}

impl Sight {
    pub(super) fn of(name: MailboxName, seen: &Observation) -> Sight {
        Sight {
            scope: UidScope { name, uid_validity: seen.status.uid_validity },
            status: seen.status,
            permanent_flags: seen.permanent_flags.clone(),
        }
    }
}

impl SideView {
    pub(super) fn seen(&self) -> Option<&Sight> {
        match self {
            SideView::Seen(sight) => Some(sight),
            SideView::ToCreate(_) => None,
        }
    }
}

/// Plans a whole account.
pub(super) async fn survey(run: &mut Run<'_>, mode: Mode) -> Result<AccountPlan, Halt> {
    let tree = tree::survey(run, mode).await?;
    let mailboxes = survey_places(run, &tree).await?;
    Ok(AccountPlan { tree, mailboxes })
}

/// Plans some mailboxes once more.
pub(super) async fn survey_again(run: &mut Run<'_>, names: &[MailboxName]) -> Result<AccountPlan, Halt> {
    let mut tree = tree::survey(run, Mode::Execute).await?;
    tree.places.retain(|place| names.contains(&place.name));
    tree.deletions.clear();
    let mailboxes = survey_places(run, &tree).await?;
    Ok(AccountPlan { tree, mailboxes })
}

/// Looks at every place that may have changed, in as few round trips as the sides allow, and plans each.
async fn survey_places(run: &mut Run<'_>, tree: &TreePlan) -> Result<Vec<Task>, Halt> {
    run.report.mailboxes = tree.places.len() as u64;
    let mut looks = Vec::new();
    for place in &tree.places {
        if needs_a_look(run, place)? {
            looks.push(Look::at(run, place)?);
        }
    }
    run.listener.hear(Event::Listed { mailboxes: tree.places.len(), changed: looks.len() });
    observe(run, &mut looks, Depth::SinceCheckpoint).await?;
    for look in &mut looks {
        look.sample(run).await?;
        look.weigh(run)?;
    }
    observe(run, &mut looks, Depth::Everything).await?;
    let mut tasks = Vec::new();
    for look in looks {
        match look.planned(run).await {
            Ok(task) => tasks.push(task),
            Err(Trip::Mailbox) => {}
            Err(Trip::Halt(halt)) => return Err(halt),
        }
    }
    let mut work = Work::default();
    for task in &tasks {
        for side in Side::BOTH {
            work.copies += task.plan.copies[side].len();
            work.expunges += task.plan.expunges[side].len() as u64;
            work.flags += task.plan.reflags.iter().filter(|reflag| !reflag.changes[side].is_empty()).count() as u64;
        }
    }
    run.listener.hear(Event::Planned(work));
    Ok(tasks)
}

/// Whether anything but the listing is needed to know that a mailbox has not changed.
fn needs_a_look(run: &Run<'_>, place: &Place) -> Result<bool, Halt> {
    let Some(remembered) = &place.remembered else { return Ok(true) };
    let unchanged = |side: Side| match (&place.at[side], remembered.checkpoints[side]) {
        (Presence::Here(_, Some(status)), Some(checkpoint)) => checkpoint.proves_unchanged(status),
        _ => false,
    };
    if run.order.scrutiny == Scrutiny::Everything || remembered.intents > 0 || !Side::BOTH.into_iter().all(unchanged) {
        return Ok(true);
    }
    if remembered.skipped == Both::default() {
        return Ok(false);
    }
    let due = due(run, &run.state.skipped(remembered.key)?);
    Ok(due != Both::default())
}

/// The messages that were left out and are due to be tried again.
fn due(run: &Run<'_>, skipped: &[Skipped]) -> Both<UidSet> {
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

/// A mailbox that is being looked at.
struct Look {
    key: MailboxKey,
    place: Place,
    /// What was remembered before this run.
    remembered: Option<Remembered>,
    checkpoints: Both<Option<Checkpoint>>,
    seen: Both<Option<Observation>>,
    /// The sides that have to be observed in full.
    deeper: Both<Deeper>,
    /// The sides whose UIDs do not mean any more what is remembered.
    uids: Both<Uids>,
    /// Nothing more is done with it in this run.
    given_up: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Deeper {
    #[default]
    Enough,
    Needed,
}

/// Whether remembered UIDs still mean the same messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Uids {
    /// They do.
    #[default]
    Valid,
    /// They do not: UIDVALIDITY is another one, or numbers went backwards, or another message has the UID of
    /// one that is remembered, which means a server restored from a backup.
    Void,
}

impl Look {
    fn at(run: &mut Run<'_>, place: &Place) -> Result<Look, Halt> {
        let key = match &place.remembered {
            Some(remembered) => remembered.key,
            None => run.state.commit(|change| change.add_mailbox(&place.name))?,
        };
        Ok(Look {
            key,
            place: place.clone(),
            remembered: place.remembered.clone(),
            checkpoints: place.remembered.as_ref().map(|row| row.checkpoints).unwrap_or_default(),
            seen: Both::default(),
            deeper: Both::default(),
            uids: Both::default(),
            given_up: false,
        })
    }

    fn name_on(&self, run: &Run<'_>, side: Side) -> MailboxName {
        match &self.place.at[side] {
            Presence::Here(name, _) => name.clone(),
            Presence::ToCreate => run.name_on(side, &self.place.name),
        }
    }

    /// Where mail has arrived on a side, asks for the newest message that is remembered there. A server restored from a
    /// backup gives new mail the UIDs of what it lost, and once there is enough of it no number goes backwards.
    async fn sample(&mut self, run: &mut Run<'_>) -> Result<(), Halt> {
        /// How far around the checkpoint the newest message is looked for: copies of the run before lie above it.
        const REACH: u32 = 256;
        for side in Side::BOTH {
            let (Some(seen), Some(checkpoint)) = (&self.seen[side], self.checkpoints[side]) else { continue };
            let (was, is) = (checkpoint.uid_next.get(), seen.status.uid_next.get());
            if self.given_up || uids_of(&checkpoint, &seen.status) == Uids::Void || is <= was {
                continue;
            }
            let bounds = [was.saturating_sub(REACH).max(1), was.saturating_add(REACH)].map(Uid::new);
            let [Some(first), Some(last)] = bounds else { continue };
            let mut around = UidSet::new();
            around.insert_range(first..=last);
            let is_there = |uid: Uid| match &seen.silence {
                Silence::Unchanged { vanished } => !vanished.contains(uid),
                Silence::Gone => seen.messages.contains_key(&uid),
            };
            let pairs = run.state.pairs_touching(self.key, side, &around)?;
            // What only came back from our own appends says nothing new.
            let known: UidSet = pairs.values().map(|pair| pair.uids[side]).collect();
            if !seen.messages.keys().any(|uid| uid.get() >= was && !known.contains(*uid)) {
                continue;
            }
            let newest =
                pairs.into_values().filter(|pair| is_there(pair.uids[side])).max_by_key(|pair| pair.uids[side]);
            let Some(newest) = newest else { continue };
            let uid = newest.uids[side];
            let scope = UidScope { name: self.name_on(run, side), uid_validity: seen.status.uid_validity };
            match run.stores[side].fingerprints(&scope, &UidSet::from_iter([uid])).await {
                // Servers may tell another size or date than they were given, but no other header.
                Ok(prints) if prints.get(&uid).is_some_and(|print| print.header != newest.fingerprint.header) => {
                    self.uids[side] = Uids::Void;
                }
                Ok(_) => {}
                Err(error) => {
                    self.given_up = true;
                    run.store_trouble(side, Some(&self.place.name), error)?;
                }
            }
        }
        Ok(())
    }

    /// Judges what was seen first: is it believable, do the remembered UIDs still hold, is more needed?
    fn weigh(&mut self, run: &mut Run<'_>) -> Result<(), Halt> {
        if self.given_up {
            return Ok(());
        }
        for side in Side::BOTH {
            let Some(seen) = &self.seen[side] else { continue };
            if self.checkpoints[side].is_some_and(|checkpoint| uids_of(&checkpoint, &seen.status) == Uids::Void) {
                self.uids[side] = Uids::Void;
            }
            if run.order.scrutiny == Scrutiny::Everything && self.checkpoints[side].is_some() {
                self.uids[side] = Uids::Void;
            }
        }
        let void = Side::BOTH.into_iter().any(|side| self.uids[side] == Uids::Void);
        for side in Side::BOTH {
            let Some(seen) = &self.seen[side] else { continue };
            if seen.silence == Silence::Gone {
                continue;
            }
            let known = self.remembered.as_ref().map_or(0, |row| row.pairs + row.skipped[side]);
            let believable = !void && {
                let baseline = touched(run, self.key, side, seen)?;
                exists_equation_holds(&baseline, side, seen, known)
            };
            if !believable {
                self.deeper[side] = Deeper::Needed;
            }
        }
        Ok(())
    }

    /// Recognizes, settles, diffs and plans.
    async fn planned(mut self, run: &mut Run<'_>) -> Result<Task, Trip> {
        if self.given_up {
            return Err(Trip::Mailbox);
        }
        let scopes = Both::from_fn(|side| {
            let seen = self.seen[side].as_ref()?;
            Some(UidScope { name: self.name_on(run, side), uid_validity: seen.status.uid_validity })
        });
        let found = recognize::Found { key: self.key, name: &self.place.name, scopes: &scopes, seen: &self.seen };
        if Side::BOTH.into_iter().any(|side| self.uids[side] == Uids::Void) {
            self.checkpoints = recognize::pair_anew(run, &found, &self.uids).await?;
        } else if self.remembered.as_ref().is_some_and(|row| row.intents > 0) {
            settle::settle(run, &found).await?;
        }
        self.start_checkpoints(run)?;
        let found = recognize::Found { key: self.key, name: &self.place.name, scopes: &scopes, seen: &self.seen };
        let (mut baseline, mut changes) = self.compare(run)?;
        if changes.local.arrived.len().min(changes.remote.arrived.len()) > 0 {
            let paired = recognize::pair_arrivals(run, &found, &changes).await?;
            if paired > 0 {
                (baseline, changes) = self.compare(run)?;
            }
        }
        for side in Side::BOTH {
            if !self.disappearance_is_real(run, side, &baseline, &changes[side]).await? {
                return Err(Trip::Mailbox);
            }
        }
        let all = PermanentFlags::all();
        let holds = Both::from_fn(|side| self.seen[side].as_ref().map_or(&all, |seen| &seen.permanent_flags));
        let access = Both::from_fn(|side| self.seen[side].as_ref().map_or(Access::ReadWrite, |seen| seen.access));
        let row = run.state.remembered_as(self.key)?;
        let view = View {
            baseline: &baseline,
            changes: &changes,
            holds,
            access,
            held: Both::from_fn(|side| row.as_ref().map_or(0, |row| row.pairs + row.skipped[side])),
            due: &due(run, &baseline.skipped),
        };
        let plan = plan_mailbox(&view, run.policy);
        let sides = Both::from_fn(|side| match &self.seen[side] {
            Some(seen) => SideView::Seen(Sight::of(self.name_on(run, side), seen)),
            None => SideView::ToCreate(self.name_on(run, side)),
        });
        Ok(Task {
            key: self.key,
            checkpoints: self.checkpoints,
            name: self.place.name.clone(),
            sides,
            plan,
            place: self.place,
        })
    }

    /// A pair means something only beside the UIDVALIDITY of its UIDs, so that is remembered before the first pair.
    fn start_checkpoints(&mut self, run: &mut Run<'_>) -> Result<(), Halt> {
        let fresh: Vec<(Side, Checkpoint)> = Side::BOTH
            .into_iter()
            .filter(|side| self.checkpoints[*side].is_none())
            .filter_map(|side| Some((side, Checkpoint::start_of(self.seen[side].as_ref()?.status.uid_validity))))
            .collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let key = self.key;
        run.state.commit(|change| {
            fresh.iter().try_for_each(|(side, checkpoint)| change.set_checkpoint(key, *side, Some(*checkpoint)))
        })?;
        for (side, checkpoint) in fresh {
            self.checkpoints[side] = Some(checkpoint);
        }
        Ok(())
    }

    /// What is remembered, as far as it is touched, and how each side moved away from it.
    fn compare(&self, run: &Run<'_>) -> Result<(Baseline, Both<Changes>), Halt> {
        let mut baseline = Baseline { pairs: BTreeMap::new(), skipped: run.state.skipped(self.key)? };
        let whole = |side: Side| self.seen[side].as_ref().is_none_or(|seen| seen.silence == Silence::Gone);
        if whole(Side::Local) || whole(Side::Remote) {
            baseline.pairs = run.state.pairs(self.key)?;
        } else {
            for side in Side::BOTH {
                if let Some(seen) = &self.seen[side] {
                    baseline.pairs.extend(touched(run, self.key, side, seen)?.pairs);
                }
            }
        }
        let changes = Both::from_fn(|side| match &self.seen[side] {
            Some(seen) => diff(&baseline, side, seen),
            // A mailbox that has to be created holds nothing, of what was there before too.
            None => Changes { gone: baseline.pairs.keys().copied().collect(), ..Changes::default() },
        });
        Ok((baseline, changes))
    }

    /// Before a mass disappearance is believed, the mailbox is asked for afresh: on Cyrus 3.6 to 3.10 a mailbox that is
    /// renamed under an open session looks as if everything in it had been expunged (seen in 2026).
    async fn disappearance_is_real(
        &self,
        run: &mut Run<'_>,
        side: Side,
        baseline: &Baseline,
        changes: &Changes,
    ) -> Result<bool, Halt> {
        /// So few go by hand every day.
        const FEW: usize = 10;
        let Some(seen) = &self.seen[side] else { return Ok(true) };
        let emptied = seen.status.messages == 0 && !changes.gone.is_empty();
        if changes.gone.len() <= FEW && !emptied {
            return Ok(true);
        }
        let name = self.name_on(run, side);
        let census = match run.stores[side].census(&name).await {
            Ok(census) => census,
            Err(error) => {
                run.store_trouble(side, Some(&self.place.name), error)?;
                return Ok(false);
            }
        };
        let gone = |uids: &UidSet| {
            changes.gone.iter().filter_map(|id| baseline.pairs.get(id)).all(|pair| !uids.contains(pair.uids[side]))
        };
        let confirmed =
            census.is_some_and(|(status, uids)| status.uid_validity == seen.status.uid_validity && gone(&uids));
        if !confirmed {
            run.trouble(Trouble {
                reach: Extent::Mailbox,
                side: Some(side),
                mailbox: Some(self.place.name.clone()),
                cause: TroubleCause::Unsettled,
                text: format!(
                    "{} messages were said to be gone, but asked again the {side} side did not confirm it; nothing was deleted",
                    changes.gone.len()
                ),
            });
        }
        Ok(confirmed)
    }
}

/// Why a mailbox is left in the middle of being looked at.
pub(super) enum Trip {
    /// The run is over.
    Halt(Halt),
    /// This mailbox's part of it is; the trouble has been written down.
    Mailbox,
}

impl From<state::Error> for Trip {
    fn from(error: state::Error) -> Trip {
        Trip::Halt(Halt::State(error))
    }
}

/// Whether the UIDs of a checkpoint still mean the same messages.
fn uids_of(checkpoint: &Checkpoint, status: &MailboxStatus) -> Uids {
    let backwards = status.uid_next < checkpoint.uid_next
        || matches!((status.highest_modseq, checkpoint.highest_modseq), (Some(is), Some(was)) if is < was);
    match status.uid_validity == checkpoint.uid_validity && !backwards {
        true => Uids::Valid,
        false => Uids::Void,
    }
}

/// The remembered rows that an observation speaks of.
fn touched(run: &Run<'_>, key: MailboxKey, side: Side, seen: &Observation) -> Result<Baseline, Halt> {
    let reported: UidSet = seen.messages.keys().copied().collect();
    let uids = match &seen.silence {
        Silence::Unchanged { vanished } => reported.union(vanished),
        Silence::Gone => reported,
    };
    Ok(Baseline { pairs: run.state.pairs_touching(key, side, &uids)?, skipped: run.state.skipped(key)? })
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
                Ok(observation) => look.seen[side] = Some(observation),
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

impl Run<'_> {
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
                self.report.guarded.push(Guarded { mailbox: None, side, going, held });
            }
            for task in &plan.mailboxes {
                self.note_what_a_task_holds_back(task, side);
            }
        }
        for task in &plan.mailboxes {
            for (expunged_on, id) in &task.plan.conflicts {
                let uid = task.plan.expunges[expunged_on.other()].get(id);
                self.report.conflicts.extend(uid.map(|uid| Conflict {
                    mailbox: task.name.clone(),
                    expunged_on: *expunged_on,
                    uid: *uid,
                }));
            }
        }
    }

    fn note_what_a_task_holds_back(&mut self, task: &Task, side: Side) {
        let mailbox = Some(task.name.clone());
        if let Some((going, held)) = task.plan.guarded[side] {
            self.report.guarded.push(Guarded { mailbox: mailbox.clone(), side, going, held });
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

/// The UIDs of a map, as a set.
pub(super) fn uids_in<T>(map: &BTreeMap<Uid, T>) -> UidSet {
    map.keys().copied().collect()
}
