//! Copies messages from one side to the other: bodies flow from store to store, intents before, pairs after.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::mail::{Fingerprint, HeaderDigest, MailboxName, Side, Uid, UidSet};
use crate::plan::{Intent, IntentId, MailboxKey, Pair, SkipReason, Skipped};
use crate::state::State;
use crate::store::{self, Appended, Body, Fetched, Message, Reach, Store};

use super::event::{Event, Listener, SideReport};
use super::execute::Settled;
use super::fault::{Fault, is_planted};
use super::settle::both;
use super::task::Sight;
use super::{Halt, Run};

/// How many messages of [`Body::WHOLE_LIMIT`] octets at most are read ahead.
const PREFETCHED: usize = 32;
/// How many messages are appended, and remembered, at once.
const BATCH_MESSAGES: usize = 100;
/// How many octets of messages are appended at once.
const BATCH_OCTETS: u64 = 1 << 20;
/// How many octets of flags a message is copied with: a command is a line of 8192 octets (RFC 7162 §4). The flags beyond
/// that follow by another look at the mailbox.
const FLAGS_LIMIT: usize = 4096;
/// How many messages are asked for at once: so many are read past in vain if the target takes no more.
const ASKED_AT_ONCE: usize = 1000;

/// What is copied, from where to where.
pub(super) struct Copying<'a> {
    pub(super) key: MailboxKey,
    pub(super) name: &'a MailboxName,
    pub(super) from: Side,
    pub(super) source: &'a Sight,
    pub(super) target: &'a Sight,
    pub(super) uids: &'a UidSet,
}

/// Copies messages. What is refused is remembered with its reason; what is gone by now is not missed.
pub(super) async fn copy(run: &mut Run<'_>, copying: &Copying<'_>) -> Result<Settled, Halt> {
    let mut settled = Settled::Yes;
    let uids: Vec<Uid> = copying.uids.iter().collect();
    for uids in uids.chunks(ASKED_AT_ONCE) {
        let uids: UidSet = uids.iter().copied().collect();
        let (deliver, delivered) = mpsc::channel(PREFETCHED);
        let (source, target) = run.stores.source_and_target(copying.from);
        let attempts = attempts(run.state, copying)?;
        let mut appending = Appending {
            copying,
            attempts: &attempts,
            target: target.as_mut(),
            state: run.state,
            now: run.order.now,
            listener: run.listener,
            report: &mut run.report.sides[copying.from.other()],
            settled: Settled::Yes,
            delivered: UidSet::new(),
            failure: None,
        };
        // A source that fails lets the batch in hand be finished; a target that fails ends both at once.
        let fetching = async { Ok::<_, Halt>(source.fetch(&copying.source.scope, &uids, deliver).await) };
        let (fetched, ()) = tokio::try_join!(fetching, appending.all(delivered))?;
        settled = settled.and(appending.settled);
        // What did not come may be gone, which the next look will tell; silence alone is no proof of it.
        if !uids.difference(&appending.delivered).is_empty() {
            settled = settled.and(Settled::Moved);
        }
        let failures = [(copying.from, fetched.err()), (copying.from.other(), appending.failure)];
        let mut stop = false;
        for (side, failure) in failures {
            if let Some(error) = failure {
                run.store_trouble(side, Some(copying.name), error)?;
                settled = Settled::No;
                stop = true;
            }
        }
        if stop {
            break;
        }
    }
    Ok(settled)
}

/// How often each message of the mailbox has been refused before.
fn attempts(state: &State, copying: &Copying<'_>) -> Result<BTreeMap<Uid, u32>, Halt> {
    let skipped = state.skipped(copying.key)?;
    Ok(skipped.into_iter().filter(|row| row.side == copying.from).map(|row| (row.uid, row.attempts)).collect())
}

struct Appending<'a> {
    copying: &'a Copying<'a>,
    attempts: &'a BTreeMap<Uid, u32>,
    target: &'a mut dyn Store,
    state: &'a mut State,
    now: i64,
    listener: &'a mut dyn Listener,
    report: &'a mut SideReport,
    settled: Settled,
    /// The messages of which something came.
    delivered: UidSet,
    /// What ends the copying into this mailbox.
    failure: Option<store::Error>,
}

impl Appending<'_> {
    /// Appends what is delivered, batch by batch, until there is no more.
    async fn all(&mut self, mut delivered: mpsc::Receiver<Fetched>) -> Result<(), Halt> {
        let mut batch: Vec<Message> = Vec::new();
        let mut octets = 0;
        while let Some(fetched) = delivered.recv().await {
            match fetched {
                Fetched::Unreadable { uid, reason } => {
                    self.delivered.insert(uid);
                    let reason = format!("the {} side does not give it: {reason}", self.copying.from);
                    self.leave_out(uid, reason)?;
                }
                Fetched::Message(message) => {
                    self.delivered.insert(message.uid);
                    let alone = matches!(message.body, Body::Streamed { .. });
                    if alone || octets + message.size > BATCH_OCTETS || batch.len() >= BATCH_MESSAGES {
                        self.append(std::mem::take(&mut batch)).await?;
                        octets = 0;
                    }
                    octets += message.size;
                    batch.push(message);
                    if alone {
                        self.append(std::mem::take(&mut batch)).await?;
                        octets = 0;
                    }
                }
            }
            if self.failure.is_some() {
                return Ok(());
            }
        }
        self.append(batch).await
    }

    /// Appends one batch: intents first, then the messages, then pairs in the place of the intents.
    async fn append(&mut self, mut batch: Vec<Message>) -> Result<(), Halt> {
        if batch.is_empty() || self.failure.is_some() {
            return Ok(());
        }
        let target = self.copying.target;
        for message in &mut batch {
            let flags = message.flags.filtered(|flag| target.permanent_flags.holds(flag));
            let mut lines = flags.split(FLAGS_LIMIT).into_iter();
            message.flags = lines.next().unwrap_or_default();
            if lines.next().is_some() {
                self.settled = self.settled.and(Settled::Moved);
            }
        }
        let intents: Vec<Intent> = batch.iter().map(|message| self.intent(message)).collect();
        let key = self.copying.key;
        let ids: Vec<IntentId> =
            self.state.commit(|change| intents.iter().map(|intent| change.add_intent(key, intent)).collect())?;
        if is_planted(Fault::NoIntents) {
            self.state.commit(|change| ids.iter().try_for_each(|id| change.drop_intent(*id)))?;
        }
        let appended = match self.target.append(&target.scope, batch).await {
            Ok(appended) => appended,
            // Whatever has arrived is found by its intent at the next run.
            Err(error) if error.reach == Reach::Side => return Err(Halt::Side(self.copying.from.other(), error)),
            Err(error) => {
                self.failure = Some(error);
                return Ok(());
            }
        };
        self.remember(intents, ids, appended)
    }

    fn intent(&self, message: &Message) -> Intent {
        let header = HeaderDigest::of(message.body.head());
        let fingerprint = Fingerprint { size: message.size, internal_date: message.internal_date, header };
        Intent {
            from: self.copying.from,
            uid: message.uid,
            flags: message.flags.clone(),
            fingerprint,
            target_uid_validity: self.copying.target.scope.uid_validity,
            floor: self.copying.target.status.uid_next,
        }
    }

    fn remember(&mut self, intents: Vec<Intent>, ids: Vec<IntentId>, appended: Vec<Appended>) -> Result<(), Halt> {
        let Copying { key, name, from, .. } = *self.copying;
        let target = from.other();
        let claimed: UidSet = appended
            .iter()
            .filter_map(|appended| match appended {
                Appended::At { uid, .. } => Some(*uid),
                Appended::Somewhere | Appended::Refused(_) => None,
            })
            .collect();
        // A UID that is somebody else's, or from before, is no answer to this append (CVE-2021-3578).
        let taken: UidSet =
            self.state.pairs_touching(key, target, &claimed)?.values().map(|pair| pair.uids[target]).collect();
        let mut arrived = Vec::new();
        let mut pairs: Vec<(IntentId, Pair)> = Vec::new();
        let mut refused: Vec<(IntentId, Uid, Option<String>)> = Vec::new();
        for ((intent, id), appended) in intents.into_iter().zip(ids).zip(appended) {
            match appended {
                Appended::At { uid, .. } if uid >= intent.floor && !taken.contains(uid) => {
                    arrived.push(intent.fingerprint.size);
                    let pair = Pair {
                        uids: both(from, intent.uid, uid),
                        flags: intent.flags,
                        fingerprint: intent.fingerprint,
                    };
                    pairs.push((id, pair));
                }
                // It is there, and its intent will find it.
                Appended::At { .. } | Appended::Somewhere => self.settled = Settled::No,
                Appended::Refused(error) if error.reach == Reach::Message => {
                    refused.push((id, intent.uid, Some(error.text)));
                }
                Appended::Refused(error) => {
                    refused.push((id, intent.uid, None));
                    self.settled = Settled::No;
                    self.failure.get_or_insert(error);
                }
            }
        }
        let skipped: Vec<(IntentId, Option<Skipped>)> =
            refused.into_iter().map(|(id, uid, reason)| (id, reason.map(|reason| self.skipped(uid, reason)))).collect();
        self.state.commit(|change| {
            for (id, pair) in &pairs {
                change.drop_intent(*id)?;
                change.add_pair(key, pair)?;
                change.unskip(key, from, pair.uids[from])?;
            }
            for (id, skipped) in &skipped {
                change.drop_intent(*id)?;
                skipped.iter().try_for_each(|skipped| change.skip(key, skipped))?;
            }
            Ok(())
        })?;
        for octets in arrived {
            self.report.copied += 1;
            self.report.copied_bytes += octets;
            self.listener.hear(Event::Copied { to: target, mailbox: name, octets });
        }
        Ok(())
    }

    fn leave_out(&mut self, uid: Uid, reason: String) -> Result<(), Halt> {
        let (key, skipped) = (self.copying.key, self.skipped(uid, reason));
        Ok(self.state.commit(|change| change.skip(key, &skipped))?)
    }

    fn skipped(&self, uid: Uid, reason: String) -> Skipped {
        let attempts = self.attempts.get(&uid).copied().unwrap_or(0).saturating_add(1);
        let why = SkipReason::Refused(reason);
        Skipped { side: self.copying.from, uid, why, attempts, last_attempt: self.now }
    }
}
