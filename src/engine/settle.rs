//! Finds out, for every append that a crash left open, whether it happened.

use std::collections::BTreeMap;

use crate::mail::{Both, Side, Uid, UidSet};
use crate::plan::{Intent, IntentId, Pair, find_landed};

use super::look::{Trip, uids_in};
use super::recognize::{Found, same_contents};
use super::{Halt, Run};

/// Settles the intents of one mailbox: the landed copy of each is looked for among the target's messages that no pair
/// knows, from the intent's floor up. What is found becomes a pair; what is not found did not happen, and the message is
/// planned like any other. Nothing may be diffed before this.
pub(super) async fn settle(run: &mut Run<'_>, found: &Found<'_>) -> Result<(), Trip> {
    let intents = run.state.intents(found.key)?;
    let mut landed: Vec<(IntentId, Pair)> = Vec::new();
    for from in Side::BOTH {
        let open: BTreeMap<IntentId, Intent> = intents
            .iter()
            .filter(|(_, intent)| intent.from == from && found.still_means(from.other(), intent.target_uid_validity))
            .map(|(id, intent)| (*id, intent.clone()))
            .collect();
        landed.extend(landed_copies(run, found, from, &open).await?);
    }
    run.state.commit(|change| {
        for (_, pair) in &landed {
            change.add_pair(found.key, pair)?;
            // It may have been left out before it was tried again.
            Side::BOTH.into_iter().try_for_each(|side| change.unskip(found.key, side, pair.uids[side]))?;
        }
        intents.keys().try_for_each(|id| change.drop_intent(*id))
    })?;
    Ok(())
}

/// The copies that have landed on the other side of `from`, for those of its intents that are open.
pub(super) async fn landed_copies(
    run: &mut Run<'_>,
    found: &Found<'_>,
    from: Side,
    open: &BTreeMap<IntentId, Intent>,
) -> Result<Vec<(IntentId, Pair)>, Trip> {
    let target = from.other();
    let (Some(floor), Some(seen), Some(scope)) =
        (open.values().map(|intent| intent.floor).min(), &found.seen[target], &found.scopes[target])
    else {
        return Ok(Vec::new());
    };
    // Every message from the floor up is new since the checkpoint, so the observation reports it.
    let reported: UidSet = uids_in(&seen.messages).iter().filter(|uid| *uid >= floor).collect();
    let paired: UidSet =
        run.state.pairs_touching(found.key, target, &reported)?.values().map(|pair| pair.uids[target]).collect();
    let candidates = reported.difference(&paired);
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let prints = match run.stores[target].fingerprints(scope, &candidates).await {
        Ok(prints) => prints,
        Err(error) => return Err(run.trip(target, found.name, error)),
    };
    let likeness = find_landed(open, &prints);
    let mut landed: BTreeMap<IntentId, Uid> = likeness.certain.into_iter().collect();
    let doubtful: Vec<(IntentId, Both<Uid>)> =
        likeness.doubtful.iter().filter_map(|(id, uid)| Some((*id, both(from, open.get(id)?.uid, *uid)))).collect();
    let uids: Vec<Both<Uid>> = doubtful.iter().map(|(_, uids)| *uids).collect();
    let same = same_contents(run, found, &uids).await?;
    landed.extend(doubtful.iter().filter(|(_, uids)| same.contains(uids)).map(|(id, uids)| (*id, uids[target])));
    let pair = |(id, uid): (IntentId, Uid)| {
        let intent = open.get(&id)?;
        let uids = both(from, intent.uid, uid);
        Some((id, Pair { uids, flags: intent.flags.clone(), fingerprint: intent.fingerprint }))
    };
    Ok(landed.into_iter().filter_map(pair).collect())
}

/// The UIDs of a message that goes from `from` to the other side.
pub(super) fn both(from: Side, source: Uid, target: Uid) -> Both<Uid> {
    Both::from_fn(|side| if side == from { source } else { target })
}

impl Run<'_> {
    /// A store's failure while one mailbox is looked at.
    pub(super) fn trip(&mut self, side: Side, name: &crate::mail::MailboxName, error: crate::store::Error) -> Trip {
        match self.store_trouble(side, Some(name), error) {
            Ok(()) => Trip::Mailbox,
            Err(halt) => Trip::Halt(halt),
        }
    }
}

impl From<Halt> for Trip {
    fn from(halt: Halt) -> Trip {
        Trip::Halt(halt)
    }
}
