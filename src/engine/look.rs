//! Looks at one mailbox on both sides: is what they say believable, who are their messages, what differs, what is to be done?

use std::collections::BTreeMap;

use crate::mail::{
    Access, Both, Checkpoint, Flag, FlagSet, HeaderDigest, MailboxName, MailboxStatus, Observation, PermanentFlags,
    Side, Silence, Uid, UidSet,
};
use crate::plan::{
    Baseline, Changes, Diff, Lifted, MailboxKey, Place, Presence, Remembered, Skipped, View, Writing,
    exists_equation_holds, plan_mailbox,
};
use crate::state;
use crate::store::{self, Store, UidScope};

use super::event::{Extent, Trouble, TroubleCause};
use super::execute::Settled;
use super::survey::{Mode, due};
use super::task::{SideView, Sight, Task};
use super::{Halt, Run, Scrutiny, lift, recognize, settle};

/// A mailbox that is being looked at.
pub(super) struct Look {
    pub(super) key: MailboxKey,
    pub(super) place: Place,
    /// What was remembered before this run.
    pub(super) remembered: Option<Remembered>,
    pub(super) checkpoints: Both<Option<Checkpoint>>,
    pub(super) seen: Both<Option<Observation>>,
    /// The sides that have to be observed in full.
    pub(super) deeper: Both<Deeper>,
    /// The sides whose UIDs do not mean any more what is remembered.
    pub(super) uids: Both<Uids>,
    /// The marks that are still to be put back: what is seen without them is seen as if they were there.
    pub(super) lifted: Both<Vec<Lifted>>,
    /// Nothing more is done with it in this run.
    pub(super) given_up: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Deeper {
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
    /// They should, but `repair` makes sure: a message is the one that is remembered if its fingerprint is.
    Doubted,
    /// They do not: UIDVALIDITY is another one, or numbers went backwards, or another message has the UID of one that is
    /// remembered, which means a server restored from a backup.
    Void,
}

impl Look {
    pub(super) fn at(run: &mut Run<'_>, place: &Place) -> Result<Look, Halt> {
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
            lifted: Both::default(),
            given_up: false,
        })
    }

    /// Puts marks back that a run before has lifted and left so, for they would look like somebody's change. A run that
    /// may not write there remembers instead to see them.
    pub(super) async fn put_marks_back(&mut self, run: &mut Run<'_>, mode: Mode) -> Result<(), Halt> {
        if self.remembered.as_ref().is_none_or(|row| row.lifted == 0) {
            return Ok(());
        }
        let rows = run.state.lifted(self.key)?;
        for side in Side::BOTH {
            let of_side: Vec<Lifted> = rows.iter().filter(|row| row.side == side).copied().collect();
            if of_side.is_empty() {
                continue;
            }
            if mode == Mode::Rehearse || run.policy.writing[side] == Writing::Refused {
                self.lifted[side] = of_side;
                continue;
            }
            let place = lift::Place { key: self.key, name: &self.place.name, side };
            if lift::put_back(run, place, &self.name_on(run, side)).await? != Settled::Yes {
                self.given_up = true;
            }
        }
        Ok(())
    }

    /// Shows the messages whose marks are still off with these marks; answers which they are.
    fn see_lifted_marks(&mut self) -> Both<UidSet> {
        let mut uids: Both<UidSet> = Both::default();
        for side in Side::BOTH {
            let Some(seen) = &mut self.seen[side] else { continue };
            for row in self.lifted[side].iter().filter(|row| row.uid_validity == seen.status.uid_validity) {
                let shown = seen.messages.get(row.uid).filter(|flags| !flags.contains(&Flag::Deleted));
                if let Some(mut flags) = shown.cloned() {
                    flags.insert(Flag::Deleted);
                    seen.messages.insert(row.uid, flags);
                    uids[side].insert(row.uid);
                }
            }
        }
        uids
    }

    fn name_on(&self, run: &Run<'_>, side: Side) -> MailboxName {
        match &self.place.at[side] {
            Presence::Here(name, _) => name.clone(),
            Presence::ToCreate => run.name_on(side, &self.place.name),
        }
    }

    /// Where mail has arrived on a side, asks for the newest message that is remembered there, and for the copies that were
    /// put beside what arrived. A server restored from a backup gives new mail the UIDs of what it lost, and once there is
    /// enough of it no number goes backwards; and one that told a wrong UID of a copy shows the copy itself as new mail.
    pub(super) async fn sample(&mut self, run: &mut Run<'_>) -> Result<(), Halt> {
        /// How far around the checkpoint the newest message is looked for: copies of the run before lie above it.
        const REACH: u32 = 256;
        for side in Side::BOTH {
            let (Some(seen), Some(checkpoint)) = (&self.seen[side], self.checkpoints[side]) else { continue };
            let (was, is) = (checkpoint.uid_next.get(), seen.status.uid_next.get());
            if self.given_up || uids_of(&checkpoint, &seen.status) == Uids::Void || is <= was {
                continue;
            }
            // What only came back from our own appends says nothing new.
            let above: UidSet = seen.messages.range(checkpoint.uid_next..).map(|(uid, _)| uid).collect();
            let mut paired = UidSet::new();
            run.state.each_pair_touching(self.key, side, &above, |_, pair| paired.extend([pair.uids[side]]))?;
            let arrived = above.difference(&paired);
            if arrived.is_empty() {
                continue;
            }
            let bounds = [was.saturating_sub(REACH).max(1), was.saturating_add(REACH)].map(Uid::new);
            let [Some(first), Some(last)] = bounds else { continue };
            let mut around = UidSet::new();
            around.insert_range(first..=last);
            let pairs = run.state.pairs_touching(self.key, side, &around)?;
            let known: BTreeMap<Uid, HeaderDigest> =
                pairs.into_values().map(|pair| (pair.uids[side], pair.fingerprint.header)).collect();
            let copies = above.iter().filter(|uid| known.contains_key(uid)).collect();
            let Some(newest) = known.keys().copied().filter(|uid| !seen.lacks(*uid)).max() else { continue };
            let scope = UidScope { name: self.name_on(run, side), uid_validity: seen.status.uid_validity };
            match are_others(run.stores[side].as_mut(), &scope, &known, newest, &copies, &arrived).await {
                Ok(true) => self.uids[side] = Uids::Void,
                Ok(false) => {}
                Err(error) => {
                    self.given_up = true;
                    run.store_trouble(side, Some(&self.place.name), error)?;
                }
            }
        }
        Ok(())
    }

    /// Judges what was seen first: is it believable, do the remembered UIDs still hold, is more needed?
    pub(super) fn weigh(&mut self, run: &mut Run<'_>) -> Result<(), Halt> {
        if self.given_up {
            return Ok(());
        }
        for side in Side::BOTH {
            let Some(seen) = &self.seen[side] else { continue };
            if self.checkpoints[side].is_some_and(|checkpoint| uids_of(&checkpoint, &seen.status) == Uids::Void) {
                self.uids[side] = Uids::Void;
            }
            let doubted = run.order.scrutiny == Scrutiny::Everything && self.checkpoints[side].is_some();
            if doubted && self.uids[side] == Uids::Valid {
                self.uids[side] = Uids::Doubted;
            }
        }
        if self.uids.local == Uids::Void || self.uids.remote == Uids::Void {
            // One side has to hold for the other to be found again.
            self.uids = self.uids.map(|uids| if uids == Uids::Doubted { Uids::Valid } else { uids });
        }
        let void = Side::BOTH.into_iter().any(|side| self.uids[side] != Uids::Valid);
        for side in Side::BOTH {
            let Some(seen) = &self.seen[side] else { continue };
            let Some(spoken_of) = seen.spoken_of() else { continue };
            let known = self.remembered.as_ref().map_or(0, |row| row.held(side));
            let believable = !void && {
                let mut remembered = Skipped::on(&run.state.skipped(self.key)?, side);
                run.state.each_pair_touching(self.key, side, &spoken_of, |_, pair| {
                    remembered.insert(pair.uids[side]);
                })?;
                exists_equation_holds(&remembered, seen, known)
            };
            if !believable {
                self.deeper[side] = Deeper::Needed;
            }
        }
        Ok(())
    }

    /// The second look decides what is listed; should the UIDs have lost their meaning between the two, everything that
    /// was concluded from the first is void, and the mailbox is left for the next run.
    pub(super) fn weigh_again(&mut self, run: &mut Run<'_>) {
        if self.given_up {
            return;
        }
        for side in Side::BOTH {
            let (Some(seen), Some(checkpoint)) = (&self.seen[side], self.checkpoints[side]) else { continue };
            if self.uids[side] != Uids::Void && uids_of(&checkpoint, &seen.status) == Uids::Void {
                self.given_up = true;
                run.trouble(Trouble {
                    reach: Extent::Mailbox,
                    side: Some(side),
                    mailbox: Some(self.place.name.clone()),
                    cause: TroubleCause::Unsettled,
                    text: "its UIDVALIDITY changed while it was looked at; it is left for the next run".to_owned(),
                });
            }
        }
    }

    /// Recognizes, settles, diffs and plans.
    pub(super) async fn planned(mut self, run: &mut Run<'_>) -> Result<Task, Trip> {
        if self.given_up {
            return Err(Trip::Mailbox);
        }
        let lifted = self.see_lifted_marks();
        let scopes = Both::from_fn(|side| {
            let seen = self.seen[side].as_ref()?;
            Some(UidScope { name: self.name_on(run, side), uid_validity: seen.status.uid_validity })
        });
        let found = recognize::Found { key: self.key, name: &self.place.name, scopes: &scopes, seen: &self.seen };
        let is_void = Side::BOTH.into_iter().any(|side| self.uids[side] == Uids::Void);
        if !is_void && self.remembered.as_ref().is_some_and(|row| row.intents > 0) {
            for settle::Reported { side, uid, flags } in settle::settle(run, &found).await? {
                self.see_also(side, uid, flags);
            }
        }
        let found = recognize::Found { key: self.key, name: &self.place.name, scopes: &scopes, seen: &self.seen };
        if self.uids != Both::default() {
            self.checkpoints = recognize::pair_anew(run, &found, &self.uids).await?;
        }
        self.start_checkpoints(run)?;
        let found = recognize::Found { key: self.key, name: &self.place.name, scopes: &scopes, seen: &self.seen };
        let (mut baseline, mut changes) = self.compare(run)?;
        if baseline.skipped.iter().any(|row| row.why.was_taken())
            && recognize::pair_late_ones(run, &found, &changes).await? > 0
        {
            (baseline, changes) = self.compare(run)?;
        }
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
            held: Both::from_fn(|side| row.as_ref().map_or(0, |row| row.held(side))),
            due: &due(run, &baseline.skipped),
        };
        let plan = plan_mailbox(&view, run.policy);
        let sides = Both::from_fn(|side| match &self.seen[side] {
            Some(seen) => SideView::Seen(Sight::of(self.name_on(run, side), seen)),
            None => SideView::ToCreate(self.name_on(run, side)),
        });
        let flags = |(side, uid): (Side, Uid)| Some((uid, self.seen[side].as_ref()?.messages.get(uid)?.clone()));
        let arrived = Both::from_fn(|side| changes[side].arrived.iter().filter_map(|uid| flags((side, uid))).collect());
        let changed = changes.map(|changes| changes.reflagged.into_keys().collect());
        Ok(Task {
            key: self.key,
            checkpoints: self.checkpoints,
            name: self.place.name.clone(),
            sides,
            arrived,
            changed,
            plan,
            lifted,
            place: self.place,
        })
    }

    /// Adds a message that its side does not report because nothing has changed there, unless it is gone.
    fn see_also(&mut self, side: Side, uid: Uid, flags: FlagSet) {
        let Some(seen) = &mut self.seen[side] else { return };
        match &seen.silence {
            Silence::Unchanged { vanished } if !vanished.contains(uid) && !seen.messages.contains(uid) => {
                seen.messages.insert(uid, flags);
            }
            Silence::Unchanged { .. } | Silence::Gone => {}
        }
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
        let seen = Both::from_fn(|side| self.seen[side].as_ref());
        let mut diff = Diff::new(run.state.skipped(self.key)?, seen);
        match (seen.local.and_then(Observation::spoken_of), seen.remote.and_then(Observation::spoken_of)) {
            (Some(local), Some(remote)) => {
                for (side, uids) in [(Side::Local, local), (Side::Remote, remote)] {
                    run.state.each_pair_touching(self.key, side, &uids, |id, pair| diff.compare(id, pair))?;
                }
            }
            _ => run.state.each_pair(self.key, |id, pair| diff.compare(id, pair))?,
        }
        Ok(diff.finish())
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

/// Whether these UIDs are those of other messages than `known` says: the newest one, or a copy that is among what arrived
/// instead. Servers may tell another size or date than they were given; one that rewrites the header of a copy shows it
/// nowhere else.
async fn are_others(
    store: &mut dyn Store,
    scope: &UidScope,
    known: &BTreeMap<Uid, HeaderDigest>,
    newest: Uid,
    copies: &UidSet,
    arrived: &UidSet,
) -> Result<bool, store::Error> {
    let asked = copies.union(&UidSet::from_iter([newest]));
    let prints = store.fingerprints(scope, &asked).await?;
    let is_another = |uid: &Uid| prints.get(uid).is_some_and(|print| known.get(uid) != Some(&print.header));
    if is_another(&newest) {
        return Ok(true);
    }
    let missing: Vec<&HeaderDigest> = copies.iter().filter(is_another).filter_map(|uid| known.get(&uid)).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let prints = store.fingerprints(scope, arrived).await?;
    Ok(prints.values().any(|print| missing.contains(&&print.header)))
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
