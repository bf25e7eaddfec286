//! Copies messages from one side to the other: bodies flow from store to store, intents before, pairs after.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::mail::{Checkpoint, Fingerprint, FlagSet, HeaderDigest, MailboxName, Side, Uid, UidSet};
use crate::plan::{Answer, Intent, IntentId, MailboxKey, Pair, SkipReason, Skipped};
use crate::state::{self, Change, State};
use crate::store::{self, Appended, Body, Fetched, Message, Reach, Store};

use super::event::{Event, Listener, SideReport};
use super::execute::Settled;
use super::fault::{Fault, is_planted};
use super::look::Trip;
use super::settle::{both, settle_taken};
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
    /// What is to be expunged from the target once everything is copied.
    pub(super) leaving: &'a UidSet,
}

/// Copies messages. What is refused is remembered with its reason; what is gone by now is not missed.
pub(super) async fn copy(run: &mut Run<'_>, copying: &Copying<'_>) -> Result<Settled, Halt> {
    let mut settled = Settled::Yes;
    let mut untold = 0;
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
            untold: 0,
            failure: None,
        };
        // A source that fails lets the batch in hand be finished; a target that fails ends both at once.
        let fetching = async { Ok::<_, Halt>(source.fetch(&copying.source.scope, &uids, deliver).await) };
        let (fetched, ()) = tokio::try_join!(fetching, appending.all(delivered))?;
        settled = settled.and(appending.settled);
        untold += appending.untold;
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
    if untold == 0 {
        return Ok(settled);
    }
    match settle_taken(run, copying).await {
        Ok(taken) => Ok(settled.and(taken)),
        Err(Trip::Mailbox) => Ok(Settled::No),
        Err(Trip::Halt(halt)) => Err(halt),
    }
}

/// Has every message of the source looked at again. Of one that had been left out before, nothing is reported any more,
/// although the target does not bear all its flags yet.
pub(super) fn leave_no_flag_behind(change: &Change<'_>, copying: &Copying<'_>) -> Result<(), state::Error> {
    let start = Checkpoint::start_of(copying.source.scope.uid_validity);
    change.set_checkpoint(copying.key, copying.from, Some(start))
}

/// How often each message of the mailbox has been refused before.
fn attempts(state: &State, copying: &Copying<'_>) -> Result<BTreeMap<Uid, u32>, Halt> {
    let skipped = state.skipped(copying.key)?;
    Ok(skipped.into_iter().filter(|row| row.side == copying.from).map(|row| (row.uid, row.attempts)).collect())
}

/// What becomes of an intent.
enum Fate {
    /// Its message is there.
    Arrived(Pair),
    /// Its message is there, but it is not known where.
    Taken,
    /// Its message was not taken, for this reason.
    LeftOut(Skipped),
    /// Its message was not taken, and none would have been, or not yet.
    NotDone,
}

/// Whether a server that keeps one copy of equal messages could take these for equal.
fn is_same(owner: &Fingerprint, print: &Fingerprint) -> bool {
    owner.header == print.header && owner.header != HeaderDigest::of(b"")
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
    /// How many the target took without saying where they are.
    untold: u64,
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
            answer: Answer::Awaited,
        }
    }

    fn remember(&mut self, intents: Vec<Intent>, ids: Vec<IntentId>, appended: Vec<Appended>) -> Result<(), Halt> {
        let Copying { key, name, from, leaving, .. } = *self.copying;
        let target = from.other();
        let mut owners = self.owners(&appended)?;
        let mut arrived = Vec::new();
        let mut fates: Vec<(IntentId, Fate)> = Vec::new();
        let mut lacking = UidSet::new();
        for ((intent, id), appended) in intents.into_iter().zip(ids).zip(appended) {
            let Intent { uid: source, flags, fingerprint, floor, .. } = intent;
            let fate = match appended {
                Appended::At { uid, .. } if owners.get(&uid).is_some_and(|owner| is_same(owner, &fingerprint)) => {
                    match leaving.contains(uid) {
                        // What it was merged with goes in this run; after that it can have a copy of its own.
                        true => {
                            self.settled = self.settled.and(Settled::Moved);
                            Fate::NotDone
                        }
                        false => Fate::LeftOut(self.skipped(source, SkipReason::Merged)),
                    }
                }
                // A UID that is somebody else's, or from before, is no answer to this append (CVE-2021-3578).
                Appended::At { uid, flags: borne } if uid >= floor && !owners.contains_key(&uid) => {
                    owners.insert(uid, fingerprint);
                    arrived.push(fingerprint.size);
                    let kept: FlagSet = flags.intersection(&borne);
                    if kept != flags {
                        lacking.insert(source);
                        self.settled = self.settled.and(Settled::Moved);
                    }
                    Fate::Arrived(Pair { uids: both(from, source, uid), flags: kept, fingerprint })
                }
                // It is there, and its intent will find it.
                Appended::At { .. } | Appended::Somewhere => {
                    arrived.push(fingerprint.size);
                    self.untold += 1;
                    Fate::Taken
                }
                Appended::Refused(error) if error.reach == Reach::Message => {
                    Fate::LeftOut(self.skipped(source, SkipReason::Refused(error.text)))
                }
                Appended::Refused(error) => {
                    self.settled = Settled::No;
                    self.failure.get_or_insert(error);
                    Fate::NotDone
                }
            };
            fates.push((id, fate));
        }
        let (attempts, copying) = (self.attempts, self.copying);
        self.state.commit(|change| {
            if lacking.iter().any(|uid| attempts.contains_key(&uid)) {
                leave_no_flag_behind(change, copying)?;
            }
            fates.iter().try_for_each(|(id, fate)| match fate {
                Fate::Arrived(pair) => {
                    change.drop_intent(*id)?;
                    change.add_pair(key, pair)?;
                    change.unskip(key, from, pair.uids[from])
                }
                Fate::Taken => change.set_answer(*id, Answer::Taken),
                Fate::LeftOut(skipped) => {
                    change.drop_intent(*id)?;
                    change.skip(key, skipped)
                }
                Fate::NotDone => change.drop_intent(*id),
            })
        })?;
        for octets in arrived {
            self.report.copied += 1;
            self.report.copied_bytes += octets;
            self.listener.hear(Event::Copied { to: target, mailbox: name, octets });
        }
        Ok(())
    }

    /// Who has the UIDs that were answered already.
    fn owners(&self, appended: &[Appended]) -> Result<BTreeMap<Uid, Fingerprint>, Halt> {
        let target = self.copying.from.other();
        let uid = |appended: &Appended| match appended {
            Appended::At { uid, .. } => Some(*uid),
            Appended::Somewhere | Appended::Refused(_) => None,
        };
        let claimed: UidSet = appended.iter().filter_map(uid).collect();
        let pairs = self.state.pairs_touching(self.copying.key, target, &claimed)?;
        Ok(pairs.into_values().map(|pair| (pair.uids[target], pair.fingerprint)).collect())
    }

    fn leave_out(&mut self, uid: Uid, reason: String) -> Result<(), Halt> {
        let (key, skipped) = (self.copying.key, self.skipped(uid, SkipReason::Refused(reason)));
        Ok(self.state.commit(|change| change.skip(key, &skipped))?)
    }

    fn skipped(&self, uid: Uid, why: SkipReason) -> Skipped {
        let attempts = self.attempts.get(&uid).copied().unwrap_or(0).saturating_add(1);
        Skipped { side: self.copying.from, uid, why, attempts, last_attempt: self.now }
    }
}
