//! Finds out who the messages are that have arrived and may have been moved or copied: first what they measure, which is
//! cheap, and then the headers of those only of which there may be an equal one.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Both, Fingerprint, Measure, Side, Uid, UidSet};
use crate::plan::{MailboxKey, TreePlan};
use crate::store::{self, Store, UidScope};

use super::super::task::Task;
use super::super::{Halt, Run};
use super::Gone;

/// Who has arrived on one side, by mailbox.
pub(super) type Arrived = BTreeMap<MailboxKey, BTreeMap<Uid, Fingerprint>>;

/// So many messages more have arrived than are gone at most, where it is likely that they have moved.
const FEW: u64 = 8;

/// Where more messages than these have arrived on a side, and it is not likely that they have moved, they come from
/// elsewhere, and nobody is asked: what they measure would cost more than it finds.
const MANY: u64 = 20_000;

/// What is asked on one side.
#[derive(Default)]
struct Questions {
    mailboxes: Vec<MailboxKey>,
    wanted: Vec<(UidScope, UidSet)>,
}

/// Who has arrived on either side, as far as an equal message is remembered: one that is gone elsewhere, or one that the
/// other side holds.
pub(super) async fn arrivals(
    run: &mut Run<'_>,
    tree: &TreePlan,
    tasks: &[Task],
    gone: &Both<Gone>,
) -> Result<Both<Arrived>, Halt> {
    if !anything_is_remembered(tree) {
        return Ok(Both::default());
    }
    let mut questions = Both::from_fn(|side| Questions::about(tasks, side));
    for side in Side::BOTH {
        if questions[side].len() > MANY && !questions[side].may_have_moved(&gone[side]) {
            questions[side] = Questions::default();
        }
    }
    let unlikely =
        Both::from_fn(
            |side| if questions[side].may_have_moved(&gone[side]) { &[][..] } else { &questions[side].wanted },
        );
    let measures = on_both(run, unlikely, async |store, wanted| store.measures_each(wanted).await).await?;
    for side in Side::BOTH {
        if !measures[side].is_empty() {
            questions[side].keep_what_may_be_held(run, &measures[side])?;
        }
    }
    drop(measures);
    let wanted = Both::from_fn(|side| questions[side].wanted.as_slice());
    let prints = on_both(run, wanted, async |store, wanted| store.fingerprints_each(wanted).await).await?;
    // Where they cannot be had, nobody is moved, and what is wrong is said by the copying.
    let arrived = |(key, prints): (MailboxKey, Result<_, _>)| Some((key, prints.ok()?));
    let Both { local, remote } = questions.map(|questions| questions.mailboxes);
    Ok(Both {
        local: local.into_iter().zip(prints.local).filter_map(arrived).collect(),
        remote: remote.into_iter().zip(prints.remote).filter_map(arrived).collect(),
    })
}

/// Whether there was a message to be known again before this look. At a first run there is none, and nothing is asked.
fn anything_is_remembered(tree: &TreePlan) -> bool {
    let places = tree.places.iter().filter_map(|place| place.remembered.as_ref());
    places.chain(tree.deletions.iter().map(|deletion| &deletion.remembered)).any(|row| row.pairs > 0)
}

impl Questions {
    fn about(tasks: &[Task], from: Side) -> Questions {
        let mut questions = Questions::default();
        for task in tasks {
            // What arrived before and was left out is not reported any more, so its flags are not known.
            let copies = task.plan.copies[from].intersection(&task.arrived[from].uids());
            let Some(sight) = task.sides[from].seen().filter(|_| !copies.is_empty()) else { continue };
            questions.mailboxes.push(task.key);
            questions.wanted.push((sight.scope.clone(), copies));
        }
        questions
    }

    /// How many messages are asked about.
    fn len(&self) -> u64 {
        self.wanted.iter().map(|(_, uids)| uids.len()).sum()
    }

    /// Whether about as much has arrived in some mailboxes as is gone from others: then it is asked for whole at once.
    fn may_have_moved(&self, gone: &Gone) -> bool {
        let left: u64 = gone.values().map(|pairs| pairs.len() as u64).sum();
        let elsewhere = |key: &MailboxKey| self.mailboxes.iter().any(|mailbox| mailbox != key);
        gone.keys().any(elsewhere) && self.len() <= left.saturating_add(FEW)
    }

    /// Leaves out what measures like nothing that is remembered.
    fn keep_what_may_be_held(&mut self, run: &Run<'_>, measures: &[BTreeMap<Uid, Measure>]) -> Result<(), Halt> {
        let asked: BTreeSet<Measure> = measures.iter().flat_map(BTreeMap::values).copied().collect();
        let mut known: BTreeSet<Measure> = BTreeSet::new();
        for measure in asked {
            if !run.state.pairs_measuring(measure)?.is_empty() {
                known.insert(measure);
            }
        }
        let asked = std::mem::take(self);
        for ((key, (scope, uids)), measures) in asked.mailboxes.into_iter().zip(asked.wanted).zip(measures) {
            let held = measures.iter().filter(|(_, measure)| known.contains(measure)).map(|(uid, _)| *uid);
            let uids = uids.intersection(&held.collect());
            if !uids.is_empty() {
                self.mailboxes.push(key);
                self.wanted.push((scope, uids));
            }
        }
        Ok(())
    }
}

/// Asks both sides at once, each only if there is something to ask.
async fn on_both<T>(
    run: &mut Run<'_>,
    wanted: Both<&[(UidScope, UidSet)]>,
    ask: impl AsyncFn(&mut dyn Store, &[(UidScope, UidSet)]) -> Result<Vec<T>, store::Error>,
) -> Result<Both<Vec<T>>, Halt> {
    let asked = async |store: &mut dyn Store, wanted: &[(UidScope, UidSet)]| match wanted.is_empty() {
        true => Ok(Vec::new()),
        false => ask(store, wanted).await,
    };
    let Both { local, remote } = &mut *run.stores;
    let (local, remote) = tokio::join!(asked(local.as_mut(), wanted.local), asked(remote.as_mut(), wanted.remote));
    Ok(Both {
        local: local.map_err(|error| Halt::Side(Side::Local, error))?,
        remote: remote.map_err(|error| Halt::Side(Side::Remote, error))?,
    })
}
