//! Plans the mailboxes as such: which are new, gone, renamed, and who is subscribed to what.

mod renames;
mod roster;

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Both, MailboxId, MailboxName, MailboxStatus, Side, Subscription};

use super::{Choice, Creation, DeleteMailboxes, Flow, MailboxKey, Policy, Remembered};

pub use renames::{Evidence, RenameKind, RenameStep, Suspicion, suspect_renames};
pub use roster::{NameTrouble, Roster, Standing};

/// What is to become of the mailboxes, in the order in which it is done: renames, creations, subscriptions, and (once
/// every message is where it belongs) deletions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreePlan {
    /// Renames, in an order in which no destination is taken. Names are those of the side.
    pub renames: Vec<RenameStep>,
    /// Names that our memory has to change once the renames are done.
    pub rekeys: BTreeMap<MailboxKey, MailboxName>,
    /// Mailboxes to delete, each on one side.
    pub deletions: Vec<Deletion>,
    /// Mailboxes that are gone on both sides.
    pub forgets: Vec<(MailboxKey, MailboxName)>,
    /// The mailboxes whose messages are compared.
    pub places: Vec<Place>,
    /// What cannot be done, and why.
    pub troubles: Vec<TreeTrouble>,
    /// Deletions that the guard held back, by the side that would have lost mailboxes: how many of how many.
    pub guarded: Both<Option<(u64, u64)>>,
}

/// A mailbox that takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// What is remembered of it, if anything.
    pub remembered: Option<Remembered>,
    /// Its local name once the plan is done.
    pub name: MailboxName,
    /// Where each side has it.
    pub at: Both<Presence>,
    /// The subscription both sides are to have; `None` to leave it alone.
    pub subscription: Option<Subscription>,
    /// Each side's subscription now.
    pub subscribed: Both<Subscription>,
    /// Each side's identity for it that survives renaming.
    pub ids: Both<Option<MailboxId>>,
}

/// Where a side has a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// There, under this name of the side's as long as no rename has been done, in this state.
    Here(MailboxName, Option<MailboxStatus>),
    /// Nowhere: it is to be created, empty.
    ToCreate,
}

/// A mailbox to delete on one side, for it was deleted on the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// The side that still has it.
    pub side: Side,
    /// What is remembered of it.
    pub remembered: Remembered,
    /// Where that side has it.
    pub at: MailboxName,
    /// Its status there.
    pub status: Option<MailboxStatus>,
    /// What becomes of it if the condition is not met.
    pub otherwise: Place,
    /// Whether it may be created again then; if not, it is left alone.
    pub again: Creation,
    /// What has to be true.
    pub condition: DeletionCondition,
}

/// What has to be true before a mailbox is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionCondition {
    /// Nothing.
    None,
    /// It holds nothing that the other side has not seen. Otherwise the deletion is not carried over: the mailbox is
    /// created again where it was deleted, with everything in it.
    HoldsNothingNew,
}

/// Something about a mailbox that cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeTrouble {
    /// The side that cannot.
    pub side: Side,
    /// The mailbox, by its name on the side that has it.
    pub mailbox: MailboxName,
    /// Why not, as a sentence without a full stop.
    pub text: String,
}

/// What the planner has to know about the mailboxes.
pub struct TreeView<'a> {
    /// What is remembered.
    pub remembered: &'a [Remembered],
    /// What each side has, by local name.
    pub rosters: &'a Both<Roster>,
    /// Renames that have been made sure of: by side, each mailbox's new local name.
    pub renamed: &'a Both<BTreeMap<MailboxKey, MailboxName>>,
    /// Why a side cannot have a mailbox of that name, if so.
    pub refuses: &'a dyn Fn(Side, &MailboxName) -> Option<String>,
}

/// Plans the mailboxes. A pure function of its arguments.
pub fn plan_tree(view: &TreeView<'_>, policy: &Policy) -> TreePlan {
    let mut plan = TreePlan::default();
    for side in Side::BOTH {
        plan.troubles.extend(view.rosters[side].troubles.iter().map(|trouble| TreeTrouble {
            side,
            mailbox: trouble.name.clone(),
            text: trouble.text.clone(),
        }));
    }
    let moved = renames::plan_renames(view, policy, &mut plan);
    let mut taken: Both<BTreeSet<MailboxName>> = Both::default();
    for remembered in view.remembered {
        let Some(found) = moved.get(&remembered.key) else { continue };
        for side in Side::BOTH {
            taken[side].extend(found.at[side].clone());
            taken[side].extend((found.part == Part::LeftAlone).then(|| found.name.clone()));
        }
        if found.part == Part::LeftAlone {
            continue;
        }
        plan_remembered(view, policy, &mut plan, remembered, found);
    }
    guard_deletions(view, policy, &mut plan);
    plan_new(view, policy, &mut plan, &taken);
    plan.places.sort_by(|a, b| a.name.cmp(&b.name));
    plan
}

/// Where a remembered mailbox is now and what it is to be called.
pub(super) struct Found {
    /// By local name, on each side that has it.
    at: Both<Option<MailboxName>>,
    /// Its local name once the plan is done.
    name: MailboxName,
    /// Whether anything is done with it.
    part: Part,
}

/// Whether anything is done with a mailbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It is.
    Taken,
    /// It stays as it is on both sides, and so does what is remembered of it.
    LeftAlone,
}

fn plan_remembered(view: &TreeView<'_>, policy: &Policy, plan: &mut TreePlan, remembered: &Remembered, found: &Found) {
    let standing =
        Both::from_fn(|side| found.at[side].as_ref().and_then(|name| view.rosters[side].mailboxes.get(name)));
    match (standing.local, standing.remote) {
        (None, None) => plan.forgets.push((remembered.key, remembered.name.clone())),
        (Some(local), Some(remote)) => {
            let place = place(policy, Some(remembered), &found.name, Both { local: Some(local), remote: Some(remote) });
            plan.places.push(place);
        }
        (Some(standing), None) => plan_one_sided(view, policy, plan, remembered, found, Side::Local, standing),
        (None, Some(standing)) => plan_one_sided(view, policy, plan, remembered, found, Side::Remote, standing),
    }
}

/// A remembered mailbox that only `side` has.
fn plan_one_sided(
    view: &TreeView<'_>,
    policy: &Policy,
    plan: &mut TreePlan,
    remembered: &Remembered,
    found: &Found,
    side: Side,
    standing: &Standing,
) {
    let missing_on = side.other();
    let here = |side_of: Side| (side_of == side).then_some(standing);
    let created_again =
        |plan: &mut TreePlan, remembered: Option<&Remembered>| match (view.refuses)(missing_on, &found.name) {
            _ if !policy.may_create(missing_on) || !policy.carries(side, Flow::New) => {}
            Some(why) => {
                plan.troubles.push(TreeTrouble { side: missing_on, mailbox: standing.name.clone(), text: why })
            }
            None => plan.places.push(place(policy, remembered, &found.name, Both::from_fn(here))),
        };
    // Without a checkpoint the mailbox never was in line there: a creation that has not been carried out.
    if remembered.checkpoints[missing_on].is_none() {
        return created_again(plan, Some(remembered));
    }
    // It cannot be deleted (RFC 9051 §6.3.5): what is missing is not the mailbox, but a line of the listing.
    if found.name.is_inbox() {
        let mut place = place(policy, Some(remembered), &found.name, Both::from_fn(here));
        place.at[missing_on] = Presence::Here(found.name.clone(), None);
        place.subscription = None;
        plan.places.push(place);
        return;
    }
    if !policy.carries(missing_on, Flow::Gone) {
        return;
    }
    // Whoever has another INBOX has not deleted anything: it is another tree, on a disk that is not mounted any more perhaps,
    // or another server. The next run would not see that any more, so that what is missing begins anew in this one.
    if inbox_is_another(view, missing_on) {
        plan.troubles.push(TreeTrouble {
            side: missing_on,
            mailbox: standing.name.clone(),
            text: format!(
                "INBOX on the {missing_on} side is another one than before, so this mailbox, which is not there, is not \
                 taken as deleted"
            ),
        });
        plan.forgets.push((remembered.key, remembered.name.clone()));
        return created_again(plan, None);
    }
    let condition = match policy.delete_mailboxes {
        DeleteMailboxes::Never => {
            // As if it had never been known: everything in it is new to the other side.
            plan.forgets.push((remembered.key, remembered.name.clone()));
            return created_again(plan, None);
        }
        DeleteMailboxes::Always => DeletionCondition::None,
        DeleteMailboxes::Guarded => DeletionCondition::HoldsNothingNew,
    };
    // A listing without INBOX is no listing: every user has one (RFC 9051 §5.1).
    if !view.rosters[missing_on].has_inbox {
        plan.troubles.push(TreeTrouble {
            side: missing_on,
            mailbox: standing.name.clone(),
            text: format!(
                "the {missing_on} side lists no INBOX, so what else it does not list is not taken as deleted"
            ),
        });
        return;
    }
    if renames::may_be_left_out(remembered, missing_on, &view.rosters[missing_on]) {
        let text =
            "it may be the one whose name is not allowed on the other side, so it is not taken as deleted".to_owned();
        plan.troubles.push(TreeTrouble { side, mailbox: standing.name.clone(), text });
        return;
    }
    plan.deletions.push(Deletion {
        side,
        remembered: remembered.clone(),
        at: standing.name.clone(),
        status: standing.listed.status,
        otherwise: place(policy, None, &found.name, Both::from_fn(here)),
        again: match policy.may_create(missing_on) && policy.carries(side, Flow::New) {
            true => Creation::Allowed,
            false => Creation::Refused,
        },
        condition,
    });
}

/// Whether the INBOX that a side lists is not the one that is remembered.
fn inbox_is_another(view: &TreeView<'_>, side: Side) -> bool {
    let inbox = MailboxName::inbox();
    let was = view.remembered.iter().find(|row| row.name == inbox).and_then(|row| row.checkpoints[side]);
    let is = view.rosters[side].mailboxes.get(&inbox).and_then(|standing| standing.listed.status);
    was.zip(is).is_some_and(|(was, is)| was.uid_validity != is.uid_validity)
}

/// Holds deletions back where a side has lost more mailboxes at once than anybody deletes by hand.
fn guard_deletions(view: &TreeView<'_>, policy: &Policy, plan: &mut TreePlan) {
    /// So few may always go.
    const ALWAYS_ALLOWED: u64 = 5;
    let Some(limit) = policy.max_delete else { return };
    for side in Side::BOTH {
        let going = plan.deletions.iter().filter(|deletion| deletion.side == side).count() as u64;
        let held = view.remembered.len() as u64;
        let exceeded = match limit {
            super::MaxDelete::Percent(percent) => going * 100 > held * u64::from(percent),
            super::MaxDelete::Messages(_) => going * 2 > held,
        };
        if going > ALWAYS_ALLOWED && exceeded {
            plan.guarded[side] = Some((going, held));
            plan.deletions.retain(|deletion| deletion.side != side);
        }
    }
}

/// Mailboxes that nothing is remembered of.
fn plan_new(view: &TreeView<'_>, policy: &Policy, plan: &mut TreePlan, taken: &Both<BTreeSet<MailboxName>>) {
    let names: BTreeSet<&MailboxName> = Side::BOTH
        .into_iter()
        .flat_map(|side| view.rosters[side].mailboxes.keys().filter(move |name| !taken[side].contains(*name)))
        .collect();
    // A name that a remembered mailbox still has on one side, or will have, is taken there whatever the other one lists.
    let mut occupied: BTreeSet<MailboxName> = plan.places.iter().map(|place| place.name.clone()).collect();
    // And what is remembered keeps its name in our memory until it is forgotten, even where nothing bears it any more.
    let forgotten = |key: MailboxKey| plan.forgets.iter().any(|(other, _)| *other == key);
    let kept = view.remembered.iter().filter(|row| !forgotten(row.key));
    occupied.extend(kept.map(|row| plan.rekeys.get(&row.key).unwrap_or(&row.name).clone()));
    for name in names.into_iter().filter(|name| !occupied.contains(*name) && view.selected(policy, name)) {
        let standing =
            Both::from_fn(|side| view.rosters[side].mailboxes.get(name).filter(|_| !taken[side].contains(name)));
        match (standing.local, standing.remote) {
            (Some(_), Some(_)) => plan.places.push(place(policy, None, name, standing)),
            (None, None) => {}
            (local, remote) => {
                let (from, has) = match (local, remote) {
                    (Some(has), _) => (Side::Local, has),
                    (_, Some(has)) => (Side::Remote, has),
                    _ => continue,
                };
                if !policy.may_create(from.other()) || !policy.carries(from, Flow::New) {
                    continue;
                }
                match (view.refuses)(from.other(), name) {
                    Some(why) => {
                        plan.troubles.push(TreeTrouble { side: from.other(), mailbox: has.name.clone(), text: why })
                    }
                    None => plan.places.push(place(policy, None, name, standing)),
                }
            }
        }
    }
}

impl TreeView<'_> {
    /// Whether the mailbox of that local name takes part: by its name, and by either side's subscription if that counts.
    fn selected(&self, policy: &Policy, name: &MailboxName) -> bool {
        let subscribed = |side: Side| {
            let standing = self.rosters[side].mailboxes.get(name);
            standing.is_some_and(|standing| standing.listed.subscription == Some(Subscription::Subscribed))
        };
        let listed = Both::from_fn(|side| self.rosters[side].mailboxes.get(name).map(|standing| &standing.listed));
        policy.selection.takes(name, listed)
            && (policy.selection.subscribed_only == Choice::No || Side::BOTH.into_iter().any(subscribed))
    }
}

fn place(
    policy: &Policy,
    remembered: Option<&Remembered>,
    name: &MailboxName,
    standing: Both<Option<&Standing>>,
) -> Place {
    let at = Both::from_fn(|side| match standing[side] {
        Some(standing) => Presence::Here(standing.name.clone(), standing.listed.status),
        None => Presence::ToCreate,
    });
    let told = standing.map(|standing| standing.map(|standing| standing.listed.subscription));
    let subscribed = told.map(|told| told.flatten().unwrap_or(Subscription::Unsubscribed));
    let subscription = match (policy.subscriptions, standing.local, standing.remote) {
        (Choice::No, ..) => None,
        // What a side does not tell cannot be brought in line, and is no change to be carried over.
        _ if told.local == Some(None) || told.remote == Some(None) => None,
        (Choice::Yes, Some(_), Some(_)) => {
            merged_subscription(policy, remembered.and_then(|row| row.subscription), subscribed)
        }
        (Choice::Yes, Some(_), None) => Some(subscribed.local),
        (Choice::Yes, None, _) => Some(subscribed.remote),
    };
    let ids = Both::from_fn(|side| standing[side].and_then(|standing| standing.listed.id.clone()));
    Place { remembered: remembered.cloned(), name: name.clone(), at, subscription, subscribed, ids }
}

/// Merges subscriptions as flags are merged; at a first meeting, whoever is subscribed wins. `None` where the sides
/// differ and neither change is carried.
fn merged_subscription(policy: &Policy, base: Option<Subscription>, now: Both<Subscription>) -> Option<Subscription> {
    if now.local == now.remote {
        return Some(now.local);
    }
    let changed = |side: Side| match base {
        Some(base) => now[side] != base,
        None => now[side] == Subscription::Subscribed,
    };
    let from = Side::BOTH.into_iter().find(|side| changed(*side))?;
    policy.carries(from, Flow::Flags).then_some(now[from])
}

#[cfg(test)]
mod tests;
