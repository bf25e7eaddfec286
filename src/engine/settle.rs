//! Finds out, for every append that a crash or a server without UIDPLUS left open, whether it happened and where.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Both, Flag, FlagSet, HeaderDigest, Side, Uid, UidSet};
use crate::plan::{
    Answer, Intent, IntentId, Pair, SkipReason, Skipped, Text, contested, find_landed, find_rewritten, match_texts,
    match_wholes,
};

use super::copy::{Copying, leave_no_flag_behind};
use super::execute::Settled;
use super::look::Trip;
use super::recognize::{Digests, Found, digests_of, same_contents};
use super::{Halt, Run};

type Intents = BTreeMap<IntentId, Intent>;
type Prints = BTreeMap<Uid, crate::mail::Fingerprint>;

/// A message that has to be compared with its pair although its side reports nothing of it.
pub(super) struct Reported {
    pub(super) side: Side,
    pub(super) uid: Uid,
    pub(super) flags: FlagSet,
}

/// Settles the intents of one mailbox: the landed copy of each is looked for among the target's messages that no pair
/// knows, from the intent's floor up. What is found becomes a pair; what is not found did not happen, and the message is
/// planned like any other, unless the target has said that it took it: then it is never sent again. Nothing may be
/// diffed before this.
pub(super) async fn settle(run: &mut Run<'_>, found: &Found<'_>) -> Result<Vec<Reported>, Trip> {
    let intents = run.state.intents(found.key)?;
    let mut pairs: Vec<Pair> = Vec::new();
    let mut left_out: Vec<Skipped> = Vec::new();
    let mut reported = Vec::new();
    for from in Side::BOTH {
        let target = from.other();
        let still_meant = |intent: &Intent| found.still_means(target, intent.target_uid_validity);
        let of_side = intents.iter().filter(|(_, intent)| intent.from == from && still_meant(intent));
        let open: Intents = of_side.map(|(id, intent)| (*id, intent.clone())).collect();
        let (Some(floor), Some(seen)) = (floor_of(&open), &found.seen[target]) else { continue };
        // Every message from the floor up is new since the checkpoint, so the observation reports it.
        let candidates = seen.messages.range(floor..).map(|(uid, _)| uid).collect();
        let prints = unknown_messages(run, found, target, candidates).await?;
        let mut landed = landed_copies(run, found, from, &open, &prints).await?;
        left_out.extend(conclude(run, found, from, &open, &prints, &mut landed).await?);
        for (id, uid) in landed {
            let Some(intent) = open.get(&id) else { continue };
            let shown = seen.messages.get(uid);
            // A keyword that is not there was dropped by the server: no user could know of it in so short a time. The
            // source's user would otherwise lose it (PERMANENTFLAGS does not bind an APPEND).
            let is_there = |flag: &Flag| !matches!(flag, Flag::Keyword(_)) || shown.is_none_or(|it| it.contains(flag));
            let flags = intent.flags.filtered(is_there);
            if flags != intent.flags {
                reported.push(Reported { side: from, uid: intent.uid, flags: intent.flags.clone() });
            }
            pairs.push(pair_of(from, intent, uid, flags));
        }
    }
    run.state.commit(|change| {
        for pair in &pairs {
            change.add_pair(found.key, pair)?;
            // It may have been left out before it was tried again.
            Side::BOTH.into_iter().try_for_each(|side| change.unskip(found.key, side, pair.uids[side]))?;
        }
        left_out.iter().try_for_each(|skipped| change.skip(found.key, skipped))?;
        intents.keys().try_for_each(|id| change.drop_intent(*id))
    })?;
    Ok(reported)
}

/// Looks, right after a mailbox was copied into, for the messages that the target took without saying where. What is not
/// found is looked for once more when the mailbox is looked at again; only then is anything concluded from it.
pub(super) async fn settle_taken(run: &mut Run<'_>, copying: &Copying<'_>) -> Result<Settled, Trip> {
    let (from, key) = (copying.from, copying.key);
    let target = from.other();
    let scopes = both(from, Some(copying.source.scope.clone()), Some(copying.target.scope.clone()));
    let found = Found { key, name: copying.name, scopes: &scopes, seen: &Both::default() };
    let still_meant = |intent: &Intent| found.still_means(target, intent.target_uid_validity);
    let mut open = run.state.intents(key)?;
    open.retain(|_, intent| intent.from == from && still_meant(intent));
    let landed = landed_now(run, &found, from, &open).await?;
    let mut settled = match open.iter().any(|(id, intent)| intent.answer == Answer::Taken && !landed.contains_key(id)) {
        true => Settled::Moved,
        false => Settled::Yes,
    };
    let mut pairs: Vec<(IntentId, Pair)> = Vec::new();
    let mut lacking = UidSet::new();
    for (id, uid) in landed {
        let Some(intent) = open.get(&id) else { continue };
        // Nothing has been said of its flags, so no keyword is taken for kept before it was seen.
        let flags = intent.flags.filtered(|flag| !matches!(flag, Flag::Keyword(_)));
        if flags != intent.flags {
            lacking.insert(intent.uid);
            settled = settled.and(Settled::Moved);
        }
        pairs.push((id, pair_of(from, intent, uid, flags)));
    }
    let skipped = run.state.skipped(key)?;
    let was_left_out = |uid: Uid| skipped.iter().any(|row| row.side == from && row.uid == uid);
    run.state.commit(|change| {
        if lacking.iter().any(was_left_out) {
            leave_no_flag_behind(change, copying)?;
        }
        for (id, pair) in &pairs {
            change.drop_intent(*id)?;
            change.add_pair(key, pair)?;
            Side::BOTH.into_iter().try_for_each(|side| change.unskip(key, side, pair.uids[side]))?;
        }
        Ok(())
    })?;
    Ok(settled)
}

/// Where the copies are by now, without an observation of the target.
pub(super) async fn landed_now(
    run: &mut Run<'_>,
    found: &Found<'_>,
    from: Side,
    open: &Intents,
) -> Result<BTreeMap<IntentId, Uid>, Trip> {
    /// How far above the floor it is looked: a larger set costs more to handle than it is worth, for what lies beyond
    /// is found by the next look.
    const REACH: u32 = 1 << 20;
    let Some(floor) = floor_of(open) else { return Ok(BTreeMap::new()) };
    let mut candidates = UidSet::new();
    candidates.insert_range(floor..=Uid::new(floor.get().saturating_add(REACH)).unwrap_or(floor));
    let prints = unknown_messages(run, found, from.other(), candidates).await?;
    landed_copies(run, found, from, open, &prints).await
}

fn floor_of(open: &Intents) -> Option<Uid> {
    open.values().map(|intent| intent.floor).min()
}

fn pair_of(from: Side, intent: &Intent, uid: Uid, flags: FlagSet) -> Pair {
    Pair { uids: both(from, intent.uid, uid), flags, fingerprint: intent.fingerprint }
}

/// Who those of these messages are that no pair knows.
async fn unknown_messages(run: &mut Run<'_>, found: &Found<'_>, side: Side, uids: UidSet) -> Result<Prints, Trip> {
    let paired: UidSet =
        run.state.pairs_touching(found.key, side, &uids)?.values().map(|pair| pair.uids[side]).collect();
    let unknown = uids.difference(&paired);
    match &found.scopes[side] {
        Some(scope) if !unknown.is_empty() => match run.stores[side].fingerprints(scope, &unknown).await {
            Ok(prints) => Ok(prints),
            Err(error) => Err(run.trip(side, found.name, error)),
        },
        _ => Ok(Prints::new()),
    }
}

/// Where the copies are: by fingerprint, by contents, and, where the target has said that it took them, by header.
async fn landed_copies(
    run: &mut Run<'_>,
    found: &Found<'_>,
    from: Side,
    open: &Intents,
    prints: &Prints,
) -> Result<BTreeMap<IntentId, Uid>, Trip> {
    let target = from.other();
    let (mut landed, among) = told_apart(run, found, from, open, prints).await?;
    let open: &Intents =
        &open.iter().filter(|(id, _)| !among.0.contains(id)).map(|(id, it)| (*id, it.clone())).collect();
    let prints: &Prints =
        &prints.iter().filter(|(uid, _)| !among.1.contains(uid)).map(|(uid, it)| (*uid, *it)).collect();
    let likeness = find_landed(open, prints);
    landed.extend(likeness.certain);
    let doubtful: Vec<(IntentId, Both<Uid>)> =
        likeness.doubtful.iter().filter_map(|(id, uid)| Some((*id, both(from, open.get(id)?.uid, *uid)))).collect();
    let uids: Vec<Both<Uid>> = doubtful.iter().map(|(_, uids)| *uids).collect();
    let same = same_contents(run, found, &uids).await?;
    landed.extend(doubtful.iter().filter(|(_, uids)| same.contains(uids)).map(|(id, uids)| (*id, uids[target])));
    let rewritten = find_rewritten(&unfound(open, &landed, Answer::Taken), &left_over(prints, &landed));
    landed.extend(rewritten);
    Ok(landed)
}

/// Of copies that have the fingerprint of somebody else's message, those that have the same contents as their sources;
/// and what none is to be chosen for, or from, blindly.
async fn told_apart(
    run: &mut Run<'_>,
    found: &Found<'_>,
    from: Side,
    open: &Intents,
    prints: &Prints,
) -> Result<(BTreeMap<IntentId, Uid>, (BTreeSet<IntentId>, BTreeSet<Uid>)), Trip> {
    let (ids, uids) = contested(open, prints);
    let sources = ids.iter().filter_map(|id| Some(open.get(id)?.uid)).collect();
    let ours = wholes(digests_of(run, found, from, &sources).await?);
    let theirs = wholes(digests_of(run, found, from.other(), &uids.iter().copied().collect()).await?);
    let ours = ids.iter().filter_map(|id| Some((*id, *ours.get(&open.get(id)?.uid)?))).collect();
    let is_new = |(id, uid): &(IntentId, Uid)| open.get(id).is_some_and(|intent| *uid >= intent.floor);
    let landed = match_wholes(&ours, &theirs).into_iter().filter(is_new).collect();
    Ok((landed, (ids, uids)))
}

/// The intents with that answer of which no copy was found.
fn unfound(open: &Intents, landed: &BTreeMap<IntentId, Uid>, answer: Answer) -> Intents {
    let unfound = open.iter().filter(|(id, intent)| intent.answer == answer && !landed.contains_key(id));
    unfound.map(|(id, intent)| (*id, intent.clone())).collect()
}

fn left_over(prints: &Prints, landed: &BTreeMap<IntentId, Uid>) -> Prints {
    let taken: BTreeSet<Uid> = landed.values().copied().collect();
    prints.iter().filter(|(uid, _)| !taken.contains(uid)).map(|(uid, print)| (*uid, *print)).collect()
}

/// What becomes of messages that the target has taken and that are not found by their header. A server may have rewritten
/// that but not the text below, nor its origin; then it is known by these. Of one with the header of another that is there, the server
/// keeps no second copy. What then remains is left out for good. (That as many messages are new there as are missing
/// proves nothing: others deliver mail as well, and that would be lost.)
async fn conclude(
    run: &mut Run<'_>,
    found: &Found<'_>,
    from: Side,
    open: &Intents,
    prints: &Prints,
    landed: &mut BTreeMap<IntentId, Uid>,
) -> Result<Vec<Skipped>, Trip> {
    let missing = unfound(open, landed, Answer::Taken);
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let target = from.other();
    let sources = missing.values().map(|intent| intent.uid).collect();
    let ours = texts(digests_of(run, found, from, &sources).await?);
    let ours = missing.iter().filter_map(|(id, intent)| Some((*id, *ours.get(&intent.uid)?))).collect();
    let theirs = texts(digests_of(run, found, target, &left_over(prints, landed).keys().copied().collect()).await?);
    let is_new = |(id, uid): &(IntentId, Uid)| missing.get(id).is_some_and(|intent| *uid >= intent.floor);
    landed.extend(match_texts(&ours, &theirs).into_iter().filter(is_new));
    let mut missing = unfound(open, landed, Answer::Taken);
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    // Only what is missing is looked for: a mailbox may have more pairs than there is room for.
    let sought: BTreeSet<HeaderDigest> = missing.values().map(|intent| intent.fingerprint.header).collect();
    let mut headers = BTreeSet::new();
    run.state.each_pair(found.key, |_, pair| {
        headers.extend(Some(pair.fingerprint.header).filter(|header| sought.contains(header)));
    })?;
    headers.extend(landed.keys().filter_map(|id| open.get(id)).map(|intent| intent.fingerprint.header));
    headers.remove(&HeaderDigest::of(b""));
    let merged: Intents = missing.extract_if(.., |_, it| headers.contains(&it.fingerprint.header)).collect();
    let now = run.order.now;
    let left_out = |intents: Intents, why: SkipReason| {
        let row = move |intent: Intent| {
            let (side, uid, why) = (intent.from, intent.uid, why.clone());
            Skipped { side, uid, why, attempts: 1, last_attempt: now }
        };
        intents.into_values().map(row)
    };
    Ok(left_out(merged, SkipReason::Merged).chain(left_out(missing, SkipReason::Unfound)).collect())
}

fn wholes(digests: BTreeMap<Uid, Digests>) -> BTreeMap<Uid, [u8; 32]> {
    digests.into_iter().map(|(uid, digests)| (uid, digests.whole)).collect()
}

fn texts(digests: BTreeMap<Uid, Digests>) -> BTreeMap<Uid, Text> {
    digests.into_iter().filter_map(|(uid, digests)| Some((uid, digests.text?))).collect()
}

/// What stands for the source and the target of something that goes from `from` to the other side.
pub(super) fn both<T>(from: Side, source: T, target: T) -> Both<T> {
    match from {
        Side::Local => Both { local: source, remote: target },
        Side::Remote => Both { local: target, remote: source },
    }
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
