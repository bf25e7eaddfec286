//! Finds, for what has arrived on one side, equal messages that the other side holds, and makes sure of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::mail::{Fingerprint, Flag, HeaderDigest, Measure, Side, Uid, UidSet};
use crate::plan::{MailboxKey, Pair, PairId, Presence, TreePlan};
use crate::store::UidScope;

use super::super::survey::needs_a_look;
use super::super::task::Task;
use super::super::{Halt, Run};
use super::arrivals::Arrived;
use super::{Flags, task};

/// How often other messages are tried where those that were tried before are not who they are remembered to be.
const ROUNDS: usize = 3;

/// A message that its side can copy.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) scope: UidScope,
    pub(super) pair: Pair,
    /// Who it is on that side.
    pub(super) print: Fingerprint,
    pub(super) elsewhere: Flags,
}

/// What is asked in one mailbox: by their UIDs, the messages that are to be known again.
type Asked = (UidScope, BTreeMap<Uid, (PairId, Source)>);

/// For what has arrived on `from`, messages of the other side that are equal and are who they are remembered to be: so many
/// of each as have arrived in one mailbox, if there are.
pub(super) async fn sources(
    run: &mut Run<'_>,
    tree: &TreePlan,
    tasks: &[Task],
    from: Side,
    arrived: &Arrived,
) -> Result<BTreeMap<(MailboxKey, PairId), Source>, Halt> {
    let target = from.other();
    let mut open = candidates(run, tree, tasks, from, arrived)?;
    let mut sources = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut asked: BTreeMap<MailboxKey, Asked> = BTreeMap::new();
        for equal in open.values_mut() {
            for (key, id, source) in equal.next.drain(..equal.wanted.min(equal.next.len())) {
                let place = asked.entry(key).or_insert_with(|| (source.scope.clone(), BTreeMap::new()));
                place.1.insert(source.pair.uids[target], (id, source));
            }
        }
        if asked.is_empty() {
            break;
        }
        let wanted: Vec<(UidScope, UidSet)> =
            asked.values().map(|(scope, messages)| (scope.clone(), messages.keys().copied().collect())).collect();
        let answers = run.stores[target].fingerprints_each(&wanted).await;
        let answers = answers.map_err(|error| Halt::Side(target, error))?;
        for ((key, (_, messages)), answer) in asked.into_iter().zip(answers) {
            let prints = answer.unwrap_or_default();
            for (uid, (id, source)) in messages {
                let print = prints.get(&uid).filter(|print| print.header == source.pair.fingerprint.header);
                let Some(print) = print.copied() else { continue };
                open.remove(&source.pair.fingerprint);
                sources.insert((key, id), Source { print, ..source });
            }
        }
    }
    Ok(sources)
}

/// The pairs whose messages measure the same.
type Alike = Vec<(MailboxKey, PairId, Pair)>;

/// Messages that are equal as far as is remembered.
#[derive(Default)]
struct Equal {
    /// How many of them are of use at once.
    wanted: usize,
    /// Where equal ones have arrived.
    into: BTreeSet<MailboxKey>,
    next: VecDeque<(MailboxKey, PairId, Source)>,
}

fn candidates(
    run: &Run<'_>,
    tree: &TreePlan,
    tasks: &[Task],
    from: Side,
    arrived: &Arrived,
) -> Result<BTreeMap<Fingerprint, Equal>, Halt> {
    let nothing_to_go_by = HeaderDigest::of(b"");
    let mut open: BTreeMap<Fingerprint, Equal> = BTreeMap::new();
    for (into, messages) in arrived {
        let mut here: BTreeMap<Fingerprint, usize> = BTreeMap::new();
        for print in messages.values().filter(|print| print.header != nothing_to_go_by) {
            *here.entry(*print).or_default() += 1;
        }
        for (print, count) in here {
            let equal = open.entry(print).or_default();
            equal.wanted = equal.wanted.max(count);
            equal.into.insert(*into);
        }
    }
    let mut holders: BTreeMap<MailboxKey, Option<Holder>> = BTreeMap::new();
    // What measures the same stands side by side, and is looked for once.
    let mut alike: Option<(Measure, Alike)> = None;
    for (print, equal) in &mut open {
        let most = equal.wanted.saturating_mul(ROUNDS);
        let measure = print.measure();
        let alike = match &mut alike {
            Some((known, alike)) if *known == measure => alike,
            alike => &mut alike.insert((measure, run.state.pairs_measuring(measure)?)).1,
        };
        for (key, id, pair) in alike.iter() {
            let (key, id) = (*key, *id);
            if equal.next.len() >= most {
                break;
            }
            // What is marked would be marked again where it goes, and somebody might expunge it there.
            let is_elsewhere = equal.into.iter().any(|into| *into != key);
            if !is_elsewhere || pair.fingerprint != *print || pair.flags.contains(&Flag::Deleted) {
                continue;
            }
            if let std::collections::btree_map::Entry::Vacant(unknown) = holders.entry(key) {
                unknown.insert(holder(run, tree, tasks, from.other(), key)?);
            }
            let Some(Some(Holder { scope, elsewhere })) = holders.get(&key) else { continue };
            // Which flags it bears now is not known, and it may be marked.
            if task(tasks, key).is_some_and(|task| task.changed[from.other()].contains(&id)) {
                continue;
            }
            let source = Source { scope: scope.clone(), pair: pair.clone(), print: *print, elsewhere: *elsewhere };
            equal.next.push_back((key, id, source));
        }
    }
    Ok(open)
}

/// A mailbox out of which messages can be copied.
struct Holder {
    scope: UidScope,
    elsewhere: Flags,
}

/// A mailbox as it is on the side that is to copy out of it: one that this run has looked at, that has not changed, or that
/// is to be deleted at the end. Of others nobody knows what has become of their messages.
fn holder(run: &Run<'_>, tree: &TreePlan, tasks: &[Task], side: Side, key: MailboxKey) -> Result<Option<Holder>, Halt> {
    if let Some(task) = task(tasks, key) {
        let scope = task.sides[side].seen().map(|sight| sight.scope.clone());
        return Ok(scope.map(|scope| Holder { scope, elsewhere: Flags::AsAgreed }));
    }
    if let Some(deletion) = tree.deletions.iter().find(|it| it.remembered.key == key && it.side == side) {
        let row = &deletion.remembered;
        let Some(checkpoint) = row.checkpoints[side] else { return Ok(None) };
        let scope = UidScope { name: deletion.at.clone(), uid_validity: checkpoint.uid_validity };
        let elsewhere = match deletion.status.is_some_and(|status| row.is_unchanged(side, &status)) {
            true => Flags::AsAgreed,
            false => Flags::Changed,
        };
        return Ok(Some(Holder { scope, elsewhere }));
    }
    let is_it = |row: &crate::plan::Remembered| row.key == key;
    let Some(place) = tree.places.iter().find(|place| place.remembered.as_ref().is_some_and(is_it)) else {
        return Ok(None);
    };
    let checkpoint = place.remembered.as_ref().and_then(|row| row.checkpoints[side]);
    let (Presence::Here(name, _), Some(checkpoint)) = (&place.at[side], checkpoint) else { return Ok(None) };
    if needs_a_look(run, place)? {
        return Ok(None);
    }
    let scope = UidScope { name: name.clone(), uid_validity: checkpoint.uid_validity };
    Ok(Some(Holder { scope, elsewhere: Flags::AsAgreed }))
}
