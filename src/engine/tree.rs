//! The mailboxes as such: makes sure of renames and deletions before they are believed, and carries renames out.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Both, Listed, Listing, MailboxName, Side, Silence, Subscription, UidSet};
use crate::plan::{
    Creation, Deletion, DeletionCondition, Evidence, MailboxKey, Remembered, RenameKind, Roster, Skipped, TreePlan,
    TreeView, Writing, exists_equation_holds, plan_tree, suspect_renames,
};
use crate::store::{self, UidScope, Wanted};

use super::event::{Event, Extent, MailboxEvent, Trouble, TroubleCause};
use super::execute::Settled;
use super::survey::Mode;
use super::{Halt, Run, lift};

/// Lists both sides and plans the mailboxes. Renames are carried out at once, and what follows is planned under the new
/// names; a rehearsal only plays them through in its copy of the state.
pub(super) async fn survey(run: &mut Run<'_>, mode: Mode) -> Result<TreePlan, Halt> {
    /// How often renames are carried out and looked for again: an exchange that was cut off takes two.
    const ROUNDS: usize = 3;
    let mut refused: BTreeSet<MailboxKey> = BTreeSet::new();
    let mut round = 0;
    loop {
        round += 1;
        let listings = list(run).await?;
        let rosters = Both::from_fn(|side| Roster::new(side, &listings[side], &run.policy.names));
        let remembered = run.state.remembered()?;
        let renamed = confirmed_renames(run, &remembered, &rosters, &refused).await?;
        let mut tree = {
            let refuses = |side: Side, local: &MailboxName| run.stores[side].refuses_name(&run.name_on(side, local));
            plan_tree(
                &TreeView { remembered: &remembered, rosters: &rosters, renamed: &renamed, refuses: &refuses },
                run.policy,
            )
        };
        tree.places.retain(|place| place.remembered.as_ref().is_none_or(|row| !refused.contains(&row.key)));
        tree.deletions.retain(|deletion| !refused.contains(&deletion.remembered.key));
        if mode == Mode::Execute && !tree.rekeys.is_empty() {
            match carry_out_renames(run, &tree, &listings).await? {
                Carried::Out if round < ROUNDS => {}
                Carried::Out | Carried::Partly => refused.extend(tree.rekeys.keys()),
            }
            continue;
        }
        note(run, &listings, &tree);
        make_sure_of_deletions(run, &mut tree).await?;
        if mode == Mode::Execute {
            put_marks_back(run, &mut tree).await?;
        }
        forget(run, &tree, mode)?;
        return Ok(tree);
    }
}

async fn list(run: &mut Run<'_>) -> Result<Both<Listing>, Halt> {
    let Both { local, remote } = &mut *run.stores;
    let (local, remote) = tokio::join!(local.mailboxes(), remote.mailboxes());
    Ok(Both {
        local: local.map_err(|error| Halt::Side(Side::Local, error))?,
        remote: remote.map_err(|error| Halt::Side(Side::Remote, error))?,
    })
}

/// Names that cannot be said, and wishes that cannot be met.
fn note(run: &mut Run<'_>, listings: &Both<Listing>, tree: &TreePlan) {
    let trouble = |side, mailbox, text| Trouble {
        reach: Extent::Message,
        side: Some(side),
        mailbox,
        cause: TroubleCause::Name,
        text,
    };
    for side in Side::BOTH {
        for unnamable in &listings[side].unnamable {
            let text = format!("the mailbox \"{}\" is left out: {}", unnamable.name, unnamable.reason);
            run.trouble(trouble(side, None, text));
        }
    }
    for wish in &tree.troubles {
        run.trouble(trouble(wish.side, Some(wish.mailbox.clone()), wish.text.clone()));
    }
}

/// Puts marks back that are lifted in mailboxes that are to be forgotten, for a side may still have them. Where that fails,
/// nothing is forgotten, nor is the mailbox created again, until it works.
async fn put_marks_back(run: &mut Run<'_>, tree: &mut TreePlan) -> Result<(), Halt> {
    let mut off: BTreeSet<MailboxName> = BTreeSet::new();
    for (key, name) in &tree.forgets {
        for side in Side::BOTH.into_iter().filter(|side| run.policy.writing[*side] == Writing::Allowed) {
            if run.state.lifted(*key)?.iter().all(|row| row.side != side) {
                continue;
            }
            let at = run.name_on(side, name);
            if lift::put_back(run, lift::Place { key: *key, name, side }, &at).await? != Settled::Yes {
                off.insert(name.clone());
            }
        }
    }
    tree.forgets.retain(|(_, name)| !off.contains(name));
    tree.places.retain(|place| !off.contains(&place.name));
    Ok(())
}

/// Lets go of what is gone on both sides, and gives rows their new names where the renames need nothing more.
fn forget(run: &mut Run<'_>, tree: &TreePlan, mode: Mode) -> Result<(), Halt> {
    if tree.forgets.is_empty() && (mode == Mode::Execute || tree.rekeys.is_empty()) {
        return Ok(());
    }
    let forgotten: BTreeSet<MailboxKey> = tree.forgets.iter().map(|(key, _)| *key).collect();
    let names = tree.rekeys.iter().filter(|(key, _)| !forgotten.contains(key));
    let names = names.map(|(key, name)| (*key, name.clone())).collect();
    run.state.commit(|change| {
        forgotten.iter().try_for_each(|key| change.forget_mailbox(*key))?;
        change.rename_mailboxes(&names)
    })?;
    Ok(())
}

/// Looks into the mailboxes that may have been renamed. Of two that could be the same one, neither is believed.
async fn confirmed_renames(
    run: &mut Run<'_>,
    remembered: &[Remembered],
    rosters: &Both<Roster>,
    refused: &BTreeSet<MailboxKey>,
) -> Result<Both<BTreeMap<MailboxKey, MailboxName>>, Halt> {
    let mut believed: Both<Vec<(MailboxKey, MailboxName)>> = Both::default();
    for suspicion in suspect_renames(remembered, rosters) {
        let Some(row) = remembered.iter().find(|row| row.key == suspicion.key) else { continue };
        if refused.contains(&row.key) {
            continue;
        }
        let Some(standing) = rosters[suspicion.side].mailboxes.get(&suspicion.to) else { continue };
        let is_so = match suspicion.evidence {
            Evidence::Identity => true,
            Evidence::UidValidity => holds_the_same(run, row, suspicion.side, &standing.name).await?,
        };
        if is_so {
            believed[suspicion.side].push((row.key, suspicion.to));
        }
    }
    Ok(believed.map(|believed| {
        let once = |(key, to): &&(MailboxKey, MailboxName)| {
            believed.iter().filter(|(other, name)| other == key || name == to).count() == 1
        };
        believed.iter().filter(once).cloned().collect()
    }))
}

/// Whether a mailbox that has the UIDVALIDITY of a remembered one holds its messages too: what is reported since the
/// checkpoint adds up, and some of the messages are who they were.
async fn holds_the_same(run: &mut Run<'_>, row: &Remembered, side: Side, name: &MailboxName) -> Result<bool, Halt> {
    /// How many messages are looked at.
    const SAMPLE: u64 = 8;
    let wanted = [Wanted { name: name.clone(), since: row.checkpoints[side] }];
    let observed = run.stores[side].observe(&wanted).await.map_err(|error| Halt::Side(side, error))?;
    let Some(Ok(seen)) = observed.into_iter().next() else { return Ok(false) };
    let paired = run.state.paired_uids(row.key, side)?;
    let remembered = paired.union(&Skipped::on(&run.state.skipped(row.key)?, side));
    if !exists_equation_holds(&remembered, &seen, row.held(side)) {
        return Ok(false);
    }
    let left: UidSet = paired.iter().filter(|uid| !seen.lacks(*uid)).collect();
    if left.is_empty() {
        // Nothing to compare: then it is the same only if it has always been as empty as it is.
        return Ok(row.pairs == 0 && seen.silence != Silence::Gone || seen.status.messages == 0);
    }
    let step = usize::try_from(left.len().div_ceil(SAMPLE)).unwrap_or(usize::MAX);
    // The highest is among them: it is the one that a mailbox of another past is least likely to have too.
    let sample: UidSet = left.last().into_iter().chain(left.iter().step_by(step)).collect();
    let scope = UidScope { name: name.clone(), uid_validity: seen.status.uid_validity };
    let prints = match run.stores[side].fingerprints(&scope, &sample).await {
        Ok(prints) => prints,
        Err(error) if error.reach == store::Reach::Side => return Err(Halt::Side(side, error)),
        Err(_) => return Ok(false),
    };
    let pairs = run.state.pairs_touching(row.key, side, &sample)?;
    Ok(pairs
        .values()
        .all(|pair| prints.get(&pair.uids[side]).is_some_and(|print| print.header == pair.fingerprint.header)))
}

/// Whether renames were carried out.
enum Carried {
    /// All of them, and they are remembered.
    Out,
    /// One was refused, and those after it were not tried.
    Partly,
}

/// Carries renames out, one side and one step after the other, and then remembers the new names.
async fn carry_out_renames(run: &mut Run<'_>, tree: &TreePlan, listings: &Both<Listing>) -> Result<Carried, Halt> {
    let mut subscribed = Both::from_fn(|side| subscribed_names(&listings[side]));
    for step in &tree.renames {
        match rename(run, step.side, &step.from, &step.to, &mut subscribed[step.side]).await {
            Ok(()) => {
                if step.kind == RenameKind::Wanted {
                    run.report.sides[step.side].renamed += 1;
                    run.report.mailboxes_changed += 1;
                }
                run.listener.hear(Event::Mailbox(step.side, &step.from, MailboxEvent::Renamed(&step.to)));
            }
            Err(error) => {
                let text = format!("it could not be renamed to \"{}\": {}", step.to, error.text);
                run.store_trouble(step.side, Some(&step.from), store::Error { text, ..error })?;
                // Steps build on each other: what has been done is seen as done next time, the rest waits.
                return Ok(Carried::Partly);
            }
        }
    }
    run.state.commit(|change| change.rename_mailboxes(&tree.rekeys))?;
    Ok(Carried::Out)
}

/// The names a side is subscribed to.
pub(super) fn subscribed_names(listing: &Listing) -> BTreeSet<MailboxName> {
    let subscribed = |listed: &Listed| listed.subscription == Some(Subscription::Subscribed);
    listing.mailboxes.iter().filter(|(_, listed)| subscribed(listed)).map(|(name, _)| name.clone()).collect()
}

/// Renames a mailbox on one side, and moves the subscriptions along: servers leave them at the old names
/// (RFC 9051 §6.3.6), where they would look like somebody's wish.
pub(super) async fn rename(
    run: &mut Run<'_>,
    side: Side,
    from: &MailboxName,
    to: &MailboxName,
    subscribed: &mut BTreeSet<MailboxName>,
) -> Result<(), store::Error> {
    run.stores[side].rename(from, to).await?;
    let moved: Vec<(MailboxName, MailboxName)> =
        subscribed.iter().filter_map(|name| Some((name.clone(), name.renamed(from, to)?))).collect();
    for (old, new) in moved {
        // The rename is done, whatever becomes of the subscriptions. Servers that take them along may well refuse to
        // unsubscribe from the old name.
        for (name, wanted) in [(&new, Subscription::Subscribed), (&old, Subscription::Unsubscribed)] {
            match run.stores[side].set_subscription(name, wanted).await {
                Err(error) if error.reach == store::Reach::Side => return Err(error),
                Err(error) if wanted == Subscription::Subscribed => {
                    run.trouble(Trouble::of_store(side, Some(name), &error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        subscribed.remove(&old);
        subscribed.insert(new);
    }
    Ok(())
}

/// Turns deletions that would destroy something unseen into creations on the other side.
async fn make_sure_of_deletions(run: &mut Run<'_>, tree: &mut TreePlan) -> Result<(), Halt> {
    let mut sure = Vec::new();
    for deletion in std::mem::take(&mut tree.deletions) {
        if deletion.condition == DeletionCondition::None || holds_nothing_new(run, &deletion).await? {
            sure.push(deletion);
            continue;
        }
        let end = match deletion.again {
            Creation::Allowed => ": it is created again, with everything in it",
            Creation::Refused => ", and it may not be created again: it is left as it is",
        };
        let side = deletion.side;
        run.trouble(Trouble {
            reach: Extent::Message,
            side: Some(side.other()),
            mailbox: Some(deletion.remembered.name.clone()),
            cause: TroubleCause::Mailbox,
            text: format!("it was deleted here, but the {side} side holds messages in it that were never here{end}"),
        });
        if deletion.again == Creation::Allowed {
            tree.forgets.push((deletion.remembered.key, deletion.remembered.name));
            tree.places.push(deletion.otherwise);
        }
    }
    tree.deletions = sure;
    tree.places.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

/// Whether everything in a mailbox is known to the side that has deleted it.
pub(super) async fn holds_nothing_new(run: &mut Run<'_>, deletion: &Deletion) -> Result<bool, Halt> {
    let (side, row) = (deletion.side, &deletion.remembered);
    if row.skipped[side] > 0 || row.intents > 0 {
        return Ok(false);
    }
    let Some(checkpoint) = row.checkpoints[side] else { return Ok(false) };
    if deletion.status.is_some_and(|status| row.is_unchanged(side, &status)) {
        return Ok(true);
    }
    let wanted = [Wanted { name: deletion.at.clone(), since: Some(checkpoint) }];
    let observed = run.stores[side].observe(&wanted).await.map_err(|error| Halt::Side(side, error))?;
    let Some(Ok(seen)) = observed.into_iter().next() else { return Ok(false) };
    // Of a mailbox that was deleted while it was changed, only what has changed is read.
    let paired = match seen.spoken_of() {
        Some(spoken_of) => {
            run.state.pairs_touching(row.key, side, &spoken_of)?.values().map(|pair| pair.uids[side]).collect()
        }
        None => run.state.paired_uids(row.key, side)?,
    };
    Ok(seen.status.uid_validity == checkpoint.uid_validity
        && seen.status.uid_next >= checkpoint.uid_next
        && exists_equation_holds(&paired, &seen, row.held(side))
        && seen.messages.keys().all(|uid| paired.contains(uid)))
}
