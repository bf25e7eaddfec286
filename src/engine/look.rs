//! Looks at one mailbox on both sides: is what they say believable, who are their messages, what differs, what is to be done?

use crate::mail::{
    Access, Both, Checkpoint, Flag, FlagSet, MailboxName, MailboxStatus, Observation, PermanentFlags, Side, Silence,
    Uid, UidSet,
};
use crate::plan::{
    Baseline, Changes, Diff, Lifted, MailboxKey, Place, Presence, Remembered, Skipped, View, Writing,
    exists_equation_holds, plan_mailbox,
};
use crate::state;
use crate::store::UidScope;

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
    /// Those of them that are seen.
    pub(super) lifted_uids: Both<UidSet>,
    /// Nothing more is done with it in this run.
    pub(super) given_up: bool,
}

/// What is remembered, as far as it is touched, and how each side moved away from it.
pub(super) struct Compared {
    pub(super) baseline: Baseline,
    pub(super) changes: Both<Changes>,
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
    /// Looks at these places; those that are not remembered yet are from now on.
    pub(super) fn at_each(run: &mut Run<'_>, places: Vec<&Place>) -> Result<Vec<Look>, Halt> {
        let new = |place: &&&Place| place.remembered.is_none();
        let mut keys = match places.iter().any(|place| place.remembered.is_none()) {
            true => run.state.commit(|change| {
                let keys = places.iter().filter(new).map(|place| change.add_mailbox(&place.name));
                keys.collect::<Result<Vec<MailboxKey>, state::Error>>()
            })?,
            false => Vec::new(),
        }
        .into_iter();
        let mut key = |place: &Place| place.remembered.as_ref().map(|row| row.key).or_else(|| keys.next());
        let keys: Vec<Option<MailboxKey>> = places.iter().map(|place| key(place)).collect();
        let look = |(place, key): (&Place, Option<MailboxKey>)| {
            Some(Look {
                key: key?,
                place: place.clone(),
                remembered: place.remembered.clone(),
                checkpoints: place.remembered.as_ref().map(|row| row.checkpoints).unwrap_or_default(),
                seen: Both::default(),
                deeper: Both::default(),
                uids: Both::default(),
                lifted: Both::default(),
                lifted_uids: Both::default(),
                given_up: false,
            })
        };
        Ok(places.into_iter().zip(keys).filter_map(look).collect())
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

    /// Shows the messages whose marks are still off with these marks.
    pub(super) fn see_lifted_marks(&mut self) {
        for side in Side::BOTH {
            let Some(seen) = &mut self.seen[side] else { continue };
            for row in self.lifted[side].iter().filter(|row| row.uid_validity == seen.status.uid_validity) {
                let shown = seen.messages.get(row.uid).filter(|flags| !flags.contains(&Flag::Deleted));
                if let Some(mut flags) = shown.cloned() {
                    flags.insert(Flag::Deleted);
                    seen.messages.insert(row.uid, flags);
                    self.lifted_uids[side].insert(row.uid);
                }
            }
        }
    }

    pub(super) fn name_on(&self, run: &Run<'_>, side: Side) -> MailboxName {
        match &self.place.at[side] {
            Presence::Here(name, _) => name.clone(),
            Presence::ToCreate => run.name_on(side, &self.place.name),
        }
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

    /// Where its UIDs mean something on each side.
    pub(super) fn scopes(&self, run: &Run<'_>) -> Both<Option<UidScope>> {
        Both::from_fn(|side| {
            let seen = self.seen[side].as_ref()?;
            Some(UidScope { name: self.name_on(run, side), uid_validity: seen.status.uid_validity })
        })
    }

    pub(super) fn found<'a>(&'a self, scopes: &'a Both<Option<UidScope>>) -> recognize::Found<'a> {
        recognize::Found { key: self.key, name: &self.place.name, scopes, seen: &self.seen }
    }

    /// Settles what a crash has left open, and pairs anew what has to be, before anything is compared.
    pub(super) async fn settle(&mut self, run: &mut Run<'_>) -> Result<(), Trip> {
        let scopes = self.scopes(run);
        let is_void = Side::BOTH.into_iter().any(|side| self.uids[side] == Uids::Void);
        if !is_void && self.remembered.as_ref().is_some_and(|row| row.intents > 0) {
            for settle::Reported { side, uid, flags } in settle::settle(run, &self.found(&scopes)).await? {
                self.see_also(side, uid, flags);
            }
        }
        if self.uids != Both::default() {
            self.checkpoints = recognize::pair_anew(run, &self.found(&scopes), &self.uids).await?;
        }
        Ok(())
    }

    /// Compares both sides with what is remembered; what arrives late of what was taken is paired before.
    pub(super) async fn compared(&self, run: &mut Run<'_>) -> Result<Compared, Trip> {
        let compared = self.compare(run)?;
        let scopes = self.scopes(run);
        if compared.baseline.skipped.iter().any(|row| row.why.was_taken())
            && recognize::pair_late_ones(run, &self.found(&scopes), &compared.changes).await? > 0
        {
            return Ok(self.compare(run)?);
        }
        Ok(compared)
    }

    /// Plans what follows from the comparison.
    pub(super) async fn planned(mut self, run: &mut Run<'_>, compared: Compared) -> Result<Task, Trip> {
        let lifted = std::mem::take(&mut self.lifted_uids);
        let Compared { baseline, changes } = compared;
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
    pub(super) fn start_checkpoints(run: &mut Run<'_>, looks: &mut [Look]) -> Result<(), Halt> {
        let mut fresh: Vec<(MailboxKey, Side, Checkpoint)> = Vec::new();
        for look in looks {
            for side in Side::BOTH {
                let (Some(seen), None) = (&look.seen[side], look.checkpoints[side]) else { continue };
                let start = Checkpoint::start_of(seen.status.uid_validity);
                look.checkpoints[side] = Some(start);
                fresh.push((look.key, side, start));
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        run.state.commit(|change| {
            fresh.iter().try_for_each(|(key, side, start)| change.set_checkpoint(*key, *side, Some(*start)))
        })?;
        Ok(())
    }

    /// What is remembered, as far as it is touched, and how each side moved away from it.
    pub(super) fn compare(&self, run: &Run<'_>) -> Result<Compared, Halt> {
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
        let (baseline, changes) = diff.finish();
        Ok(Compared { baseline, changes })
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
pub(super) fn uids_of(checkpoint: &Checkpoint, status: &MailboxStatus) -> Uids {
    let backwards = status.uid_next < checkpoint.uid_next
        || matches!((status.highest_modseq, checkpoint.highest_modseq), (Some(is), Some(was)) if is < was);
    match status.uid_validity == checkpoint.uid_validity && !backwards {
        true => Uids::Valid,
        false => Uids::Void,
    }
}
