//! Sees renames as renames, and finds an order in which to carry them out.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Checkpoint, Listed, MailboxName, Side};
use crate::plan::{Flow, MailboxKey, Policy, Remembered};

use super::{Found, Part, Roster, TreePlan, TreeTrouble, TreeView};

/// A mailbox that may have been renamed on a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// Which.
    pub key: MailboxKey,
    /// On which side.
    pub side: Side,
    /// The local name it may have now.
    pub to: MailboxName,
    /// What has to be done before it is believed.
    pub evidence: Evidence,
}

/// What speaks for a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The identity that survives a rename (RFC 8474 §4): enough.
    Identity,
    /// UIDVALIDITY, and numbers that could have become what they are: the messages have to be looked at.
    UidValidity,
}

/// One RENAME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameStep {
    /// On which side.
    pub side: Side,
    /// In the side's own words.
    pub from: MailboxName,
    /// In the side's own words.
    pub to: MailboxName,
    /// Whether the user will find this name, or it only stands in for a moment.
    pub kind: RenameKind,
}

/// What a RENAME is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameKind {
    /// The user's wish.
    Wanted,
    /// Out of the way: two mailboxes have exchanged names, or one has become its own child.
    Interim,
}

/// What begins an interim name. Should a run end between two renames, the next one knows it by this.
const INTERIM: &str = "interimap-renaming-";

/// Which remembered mailboxes may be found under another name. A mailbox is where it was as long as its identity, or its
/// UIDVALIDITY where it has none, is what is remembered.
pub fn suspect_renames(remembered: &[Remembered], rosters: &crate::mail::Both<Roster>) -> Vec<Suspicion> {
    let mut suspicions = Vec::new();
    for side in Side::BOTH {
        let roster = &rosters[side];
        let (in_place, displaced): (Vec<_>, Vec<_>) = remembered
            .iter()
            .filter_map(|row| row.checkpoints[side].map(|checkpoint| (row, checkpoint)))
            .partition(|(row, checkpoint)| stands_for(row, *checkpoint, side, roster, &row.name).is_some());
        let homes: BTreeSet<&MailboxName> = in_place.iter().map(|(row, _)| &row.name).collect();
        for (row, checkpoint) in displaced {
            for to in roster.mailboxes.keys().filter(|name| !homes.contains(name) && **name != row.name) {
                if let Some(evidence) = stands_for(row, checkpoint, side, roster, to) {
                    suspicions.push(Suspicion { key: row.key, side, to: to.clone(), evidence });
                }
            }
        }
    }
    suspicions
}

/// Where a mailbox is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Under the name that is remembered.
    Home,
    /// Under another one.
    Elsewhere,
}

/// Whether the mailbox that `side` calls `name` can be the remembered one.
fn stands_for(
    row: &Remembered,
    checkpoint: Checkpoint,
    side: Side,
    roster: &Roster,
    name: &MailboxName,
) -> Option<Evidence> {
    let place = if *name == row.name { Place::Home } else { Place::Elsewhere };
    can_be(row, checkpoint, side, &roster.mailboxes.get(name)?.listed, place)
}

/// Whether the remembered mailbox may stand under a name that the rules do not allow.
pub(super) fn may_be_left_out(row: &Remembered, side: Side, roster: &Roster) -> bool {
    row.checkpoints[side].is_some_and(|checkpoint| {
        roster.troubles.iter().any(|trouble| can_be(row, checkpoint, side, &trouble.listed, Place::Elsewhere).is_some())
    })
}

fn can_be(row: &Remembered, checkpoint: Checkpoint, side: Side, listed: &Listed, place: Place) -> Option<Evidence> {
    if let (Some(was), Some(is)) = (&row.ids[side], &listed.id) {
        return (was == is).then_some(Evidence::Identity);
    }
    let Some(status) = listed.status else {
        // The side kept its status back (RFC 5819 §2): that proves nothing, so it stays where it was.
        return (place == Place::Home).then_some(Evidence::UidValidity);
    };
    let may_be = status.uid_validity == checkpoint.uid_validity;
    let grown = status.uid_next >= checkpoint.uid_next && status.highest_modseq >= checkpoint.highest_modseq;
    (may_be && (grown || place == Place::Home)).then_some(Evidence::UidValidity)
}

/// Where each remembered mailbox that takes part is, and what it is to be called; writes the renames into the plan.
pub(super) fn plan_renames(view: &TreeView<'_>, policy: &Policy, plan: &mut TreePlan) -> BTreeMap<MailboxKey, Found> {
    let mut found: BTreeMap<MailboxKey, Found> = BTreeMap::new();
    for row in view.remembered {
        let new = |side: Side| view.renamed[side].get(&row.key);
        let name = match (new(Side::Local), new(Side::Remote)) {
            (None, None) => row.name.clone(),
            (Some(name), None) | (None, Some(name)) => name.clone(),
            // Renamed differently on both sides: the local name is taken, unless it is only an interim one.
            (Some(local), Some(remote)) if is_interim(local) => remote.clone(),
            (Some(local), Some(_)) => local.clone(),
        };
        let there =
            |side: Side, name: &MailboxName| view.rosters[side].mailboxes.contains_key(name).then(|| name.clone());
        let at = crate::mail::Both::from_fn(|side| there(side, new(side).unwrap_or(&row.name)));
        let takes_part = |name: &MailboxName| view.selected(policy, name);
        if name != row.name && takes_part(&row.name) && !takes_part(&name) {
            let side = Side::BOTH.into_iter().find(|side| new(*side) == Some(&name)).unwrap_or(Side::Local);
            plan.troubles.push(TreeTrouble {
                side,
                mailbox: row.name.clone(),
                text: format!("it was renamed to \"{name}\", which takes no part, and is left as it is on both sides"),
            });
            found.insert(row.key, Found { at, name: row.name.clone(), part: Part::LeftAlone });
            continue;
        }
        if takes_part(&name) || (at == crate::mail::Both::default() && policy.selection.names(&row.name)) {
            found.insert(row.key, Found { at, name, part: Part::Taken });
        }
    }
    refuse_taken_names(view, policy, plan, &mut found);
    for side in Side::BOTH {
        order_renames(view, policy, plan, side, &mut found);
    }
    plan.rekeys = view
        .remembered
        .iter()
        .filter_map(|row| Some((row.key, found.get(&row.key)?.name.clone())).filter(|(_, name)| *name != row.name))
        .collect();
    found
}

fn is_interim(name: &MailboxName) -> bool {
    name.levels().any(|level| level.starts_with(INTERIM))
}

/// A new name that another mailbox has on the side that is to follow cannot be given: the two are merged instead, as a
/// deletion here and an arrival there. But nothing is deleted for a rename into or out of the selection, nor for one that
/// takes the name of a mailbox that is left alone itself.
fn refuse_taken_names(
    view: &TreeView<'_>,
    policy: &Policy,
    plan: &mut TreePlan,
    found: &mut BTreeMap<MailboxKey, Found>,
) {
    let rows: BTreeMap<MailboxKey, &Remembered> = view.remembered.iter().map(|row| (row.key, row)).collect();
    loop {
        let refused = found.iter().find_map(|(key, own)| {
            let row = rows.get(key)?;
            let clash = found.iter().any(|(other, theirs)| other != key && theirs.name == own.name);
            let follower_taken = own.name != row.name
                && Side::BOTH.into_iter().any(|side| {
                    let stays_elsewhere = own.at[side].as_ref().is_some_and(|at| *at != own.name);
                    let taken = view.rosters[side].mailboxes.contains_key(&own.name);
                    let makes_room =
                        found.values().any(|o| o.at[side].as_ref() == Some(&own.name) && o.name != own.name);
                    stays_elsewhere && taken && !makes_room
                });
            (own.name != row.name && (clash || follower_taken)).then_some(*key)
        });
        let Some(key) = refused else { return };
        let Some(name) = found.get(&key).map(|own| own.name.clone()) else { return };
        let beside_left_alone = found.values().any(|other| {
            other.part == Part::LeftAlone
                && (other.name == name || Side::BOTH.iter().any(|side| other.at[*side].as_ref() == Some(&name)))
        });
        let (Some(own), Some(row)) = (found.get_mut(&key), rows.get(&key)) else { return };
        own.name = row.name.clone();
        if beside_left_alone || !view.selected(policy, &row.name) {
            own.part = Part::LeftAlone;
            let side = Side::BOTH.into_iter().find(|side| own.at[*side].as_ref() == Some(&name)).unwrap_or(Side::Local);
            plan.troubles.push(TreeTrouble {
                side,
                mailbox: row.name.clone(),
                text: format!(
                    "it was renamed to \"{name}\", which is not free yet, and is left as it is on both sides"
                ),
            });
            continue;
        }
        for side in Side::BOTH {
            // What was found elsewhere is somebody new.
            own.at[side] = own.at[side].take().filter(|at| *at == row.name);
        }
    }
}

/// Brings the mailboxes of `side` from where they are to what they are to be called, one RENAME after the other. Children
/// follow their parents, so the names are followed in a simulation.
fn order_renames(
    view: &TreeView<'_>,
    policy: &Policy,
    plan: &mut TreePlan,
    side: Side,
    found: &mut BTreeMap<MailboxKey, Found>,
) {
    // What is left alone is out of everybody's way no more, so the others are tried anew without it.
    loop {
        let (steps, stuck) = rename_steps(view, policy, side, found);
        if stuck.is_empty() {
            plan.renames.extend(steps);
            return;
        }
        if !leave_alone(view, policy, plan, side, &stuck, found) {
            // Only mailboxes that were dragged along are stuck: then nothing moves at all.
            let everything: Vec<MailboxKey> = found.keys().copied().collect();
            leave_alone(view, policy, plan, side, &everything, found);
            return;
        }
    }
}

/// Steps that bring mailboxes to their places, and the mailboxes that none of them can bring there, or may.
fn rename_steps(
    view: &TreeView<'_>,
    policy: &Policy,
    side: Side,
    found: &BTreeMap<MailboxKey, Found>,
) -> (Vec<RenameStep>, Vec<MailboxKey>) {
    let across = |name: &MailboxName| match side {
        Side::Local => Ok(name.clone()),
        Side::Remote => policy.names.across(Side::Local, name),
    };
    let mut names: BTreeSet<MailboxName> = view.rosters[side].names.iter().cloned().collect();
    let held: BTreeSet<&MailboxName> = view.rosters[side].mailboxes.values().map(|standing| &standing.name).collect();
    // Where each mailbox is in the simulation, and where it is to be; in the side's own words.
    let mut travels: BTreeMap<MailboxKey, (MailboxName, MailboxName)> = BTreeMap::new();
    for (key, own) in found.iter().filter(|(_, own)| own.part == Part::Taken) {
        let standing = own.at[side].as_ref().and_then(|at| view.rosters[side].mailboxes.get(at));
        if let (Some(standing), Ok(to)) = (standing, across(&own.name)) {
            travels.insert(*key, (standing.name.clone(), to));
        }
    }
    let mut steps = Vec::new();
    let most = 2 * travels.len() + 2;
    while steps.len() < most {
        let pending: Vec<(MailboxKey, MailboxName, MailboxName)> = travels
            .iter()
            .filter(|(_, (is, to))| is != to)
            .map(|(key, (is, to))| (*key, is.clone(), to.clone()))
            .collect();
        if pending.is_empty() {
            break;
        }
        // A level without a mailbox makes room once nothing is below it any more.
        let is_level = |name: &MailboxName| !held.contains(name) && !names.iter().any(|other| other.is_below(name));
        // Children come along, and what is there already may not be in their way either. Below itself no server renames a
        // mailbox (seen in 2026).
        let free = |from: &MailboxName, to: &MailboxName| {
            let mut new = names.iter().filter_map(|name| name.renamed(from, to));
            !to.is_below(from) && new.all(|new| !names.contains(&new) || is_level(&new))
        };
        // Parents first: their children may arrive by themselves.
        let next = pending.iter().filter(|(_, is, to)| free(is, to)).min_by_key(|(_, is, _)| is.levels().count());
        let (from, to, kind) = match next {
            Some((_, is, to)) => (is.clone(), to.clone(), RenameKind::Wanted),
            None => match pending.iter().find_map(|(key, is, _)| Some((is, interim_name(*key)?))) {
                Some((is, interim)) if free(is, &interim) => (is.clone(), interim, RenameKind::Interim),
                _ => break,
            },
        };
        for (is, _) in travels.values_mut() {
            if let Some(renamed) = is.renamed(&from, &to) {
                *is = renamed;
            }
        }
        names = names.iter().map(|name| name.renamed(&from, &to).unwrap_or_else(|| name.clone())).collect();
        if from.is_inbox() {
            names.insert(from.clone());
        }
        steps.push(RenameStep { side, from, to, kind });
    }
    let allowed = may_rename(policy, side);
    let stuck: Vec<MailboxKey> =
        travels.iter().filter(|(_, (is, to))| is != to || !allowed && !steps.is_empty()).map(|(key, _)| *key).collect();
    (steps, stuck)
}

fn may_rename(policy: &Policy, side: Side) -> bool {
    policy.carries(side.other(), Flow::New) && policy.carries(side.other(), Flow::Gone)
}

/// Leaves mailboxes as they are; says whether one of them was to be renamed at all.
fn leave_alone(
    view: &TreeView<'_>,
    policy: &Policy,
    plan: &mut TreePlan,
    side: Side,
    stuck: &[MailboxKey],
    found: &mut BTreeMap<MailboxKey, Found>,
) -> bool {
    let mut any = false;
    // Either the configuration does not let names flow here, or no order was found: these stay as they are.
    for &key in stuck {
        let (Some(own), Some(row)) = (found.get_mut(&key), view.remembered.iter().find(|row| row.key == key)) else {
            continue;
        };
        if own.at[side].as_ref().is_none_or(|at| *at == own.name) {
            continue;
        }
        any = true;
        let text = match may_rename(policy, side) {
            true => "it was renamed on the other side in a way that cannot be followed here",
            false => "it was renamed on the other side, which the configuration does not let it follow here",
        };
        plan.troubles.push(TreeTrouble { side, mailbox: own.name.clone(), text: text.to_owned() });
        own.name = row.name.clone();
        own.part = Part::LeftAlone;
    }
    any
}

fn interim_name(key: MailboxKey) -> Option<MailboxName> {
    MailboxName::new(&format!("{INTERIM}{}", key.0)).ok()
}
