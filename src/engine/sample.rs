//! Makes sure, where mail has arrived, that UIDs still mean the messages that are remembered.

use std::collections::BTreeMap;

use crate::mail::{Both, Fingerprint, HeaderDigest, Side, Uid, UidSet};
use crate::store::{self, UidScope};

use super::look::{Look, Uids, uids_of};
use super::{Halt, Run};

/// What is asked of one mailbox of a side.
struct Question {
    /// Which of the looks it is for.
    look: usize,
    scope: UidScope,
    /// The headers of what is remembered around the checkpoint.
    known: BTreeMap<Uid, HeaderDigest>,
    newest: Uid,
    /// Copies that were put beside what arrived.
    copies: UidSet,
    arrived: UidSet,
}

/// Where mail has arrived on a side, asks for the newest message that is remembered there, and for the copies that were
/// put beside what arrived. A server restored from a backup gives new mail the UIDs of what it lost, and once there is
/// enough of it no number goes backwards; and one that told a wrong UID of a copy shows the copy itself as new mail.
pub(super) async fn sample(run: &mut Run<'_>, looks: &mut [Look]) -> Result<(), Halt> {
    let mut questions: Both<Vec<Question>> = Both::default();
    for (at, look) in looks.iter().enumerate().filter(|(_, look)| !look.given_up) {
        for side in Side::BOTH {
            questions[side].extend(question(run, at, look, side)?);
        }
    }
    let asked = |question: &Question| question.copies.union(&UidSet::from_iter([question.newest]));
    let answers = ask(run, &questions, asked).await?;
    let mut doubtful: Both<Vec<Question>> = Both::default();
    for (side, questions) in [(Side::Local, questions.local), (Side::Remote, questions.remote)] {
        for (question, prints) in questions.into_iter().zip(&answers[side]) {
            let Some(look) = looks.get_mut(question.look) else { continue };
            match prints {
                Ok(prints) if question.is_another(prints, question.newest) => look.uids[side] = Uids::Void,
                Ok(prints) => {
                    let copies = question.copies.iter().filter(|uid| question.is_another(prints, *uid)).collect();
                    let question = Question { copies, ..question };
                    doubtful[side].extend(Some(question).filter(|question| !question.copies.is_empty()));
                }
                Err(error) => give_up(run, look, side, error)?,
            }
        }
    }
    // What is not where it was put may have arrived under another UID.
    let answers = ask(run, &doubtful, |question| question.arrived.clone()).await?;
    for (side, questions) in [(Side::Local, doubtful.local), (Side::Remote, doubtful.remote)] {
        for (question, prints) in questions.into_iter().zip(&answers[side]) {
            let Some(look) = looks.get_mut(question.look) else { continue };
            match prints {
                Ok(prints) if question.arrived_after_all(prints) => look.uids[side] = Uids::Void,
                Ok(_) => {}
                Err(error) => give_up(run, look, side, error)?,
            }
        }
    }
    Ok(())
}

fn question(run: &Run<'_>, at: usize, look: &Look, side: Side) -> Result<Option<Question>, Halt> {
    /// How far around the checkpoint the newest message is looked for: copies of the run before lie above it.
    const REACH: u32 = 256;
    let (Some(seen), Some(checkpoint)) = (&look.seen[side], look.checkpoints[side]) else { return Ok(None) };
    let (was, is) = (checkpoint.uid_next.get(), seen.status.uid_next.get());
    if uids_of(&checkpoint, &seen.status) == Uids::Void || is <= was {
        return Ok(None);
    }
    // What only came back from our own appends says nothing new.
    let above: UidSet = seen.messages.range(checkpoint.uid_next..).map(|(uid, _)| uid).collect();
    let mut paired = UidSet::new();
    run.state.each_pair_touching(look.key, side, &above, |_, pair| paired.extend([pair.uids[side]]))?;
    let arrived = above.difference(&paired);
    if arrived.is_empty() {
        return Ok(None);
    }
    let bounds = [was.saturating_sub(REACH).max(1), was.saturating_add(REACH)].map(Uid::new);
    let [Some(first), Some(last)] = bounds else { return Ok(None) };
    let mut around = UidSet::new();
    around.insert_range(first..=last);
    let mut known = BTreeMap::new();
    run.state.each_pair_touching(look.key, side, &around, |_, pair| {
        known.insert(pair.uids[side], pair.fingerprint.header);
    })?;
    let copies = above.iter().filter(|uid| known.contains_key(uid)).collect();
    let Some(newest) = known.keys().copied().filter(|uid| !seen.lacks(*uid)).max() else { return Ok(None) };
    let scope = UidScope { name: look.name_on(run, side), uid_validity: seen.status.uid_validity };
    Ok(Some(Question { look: at, scope, known, newest, copies, arrived }))
}

type Prints = BTreeMap<Uid, Fingerprint>;

/// Asks on both sides at once, all mailboxes in one flight.
async fn ask(
    run: &mut Run<'_>,
    questions: &Both<Vec<Question>>,
    uids: impl Fn(&Question) -> UidSet,
) -> Result<Both<Vec<Result<Prints, store::Error>>>, Halt> {
    let wanted = Both::from_fn(|side| {
        questions[side].iter().map(|question| (question.scope.clone(), uids(question))).collect::<Vec<_>>()
    });
    run.fingerprints_each(&wanted).await
}

fn give_up(run: &mut Run<'_>, look: &mut Look, side: Side, error: &store::Error) -> Result<(), Halt> {
    look.given_up = true;
    run.store_trouble(side, Some(&look.place.name), error.clone())
}

impl Question {
    /// Whether another message has the UID. Servers may tell another size or date than they were given; one that rewrites
    /// the header of a copy shows it nowhere else.
    fn is_another(&self, prints: &Prints, uid: Uid) -> bool {
        prints.get(&uid).is_some_and(|print| self.known.get(&uid) != Some(&print.header))
    }

    /// Whether a copy is among what arrived instead.
    fn arrived_after_all(&self, prints: &Prints) -> bool {
        let missing: Vec<&HeaderDigest> = self.copies.iter().filter_map(|uid| self.known.get(&uid)).collect();
        prints.values().any(|print| missing.contains(&&print.header))
    }
}
