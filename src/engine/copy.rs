//! Copies messages from one side to the other: bodies flow from store to store, intents before, pairs after.
//!
//! ```text
//! source.fetch_each ──▶ Carrying: gathers a batch ──▶ commits its intents ──▶ target.append_each
//!                                  commits its pairs ◀── answers ◀───────────────────┘
//! ```
//!
//! All three go on at once, and none waits for another longer than what lies between them is full: so the slower side
//! decides. What the target has answered and what it is sent next is one commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::mail::{Checkpoint, Fingerprint, FlagSet, HeaderDigest, MailboxName, Side, Uid, UidSet};
use crate::plan::{Answer, Intent, IntentId, MailboxKey, Pair, SkipReason, Skipped};
use crate::state::{self, Change, State};
use crate::store::{self, Appended, Batch, BatchAnswer, Body, Delivered, Fetched, Message, Request};

use super::event::{Event, Listener, SideReport};
use super::execute::Settled;
use super::fault::{Fault, is_planted};
use super::look::Trip;
use super::settle::{both, settle_taken};
use super::task::Sight;
use super::{Halt, Run};

/// How many messages of [`Body::WHOLE_LIMIT`] octets at most are read ahead.
const PREFETCHED: usize = 32;
/// How many batches wait for the target, and how many answers for us.
const QUEUED: usize = 1;
/// How many messages are appended, and remembered, at once.
const BATCH_MESSAGES: usize = 500;
/// How many octets of messages are appended at once.
const BATCH_OCTETS: u64 = 2 << 20;
/// How many octets of flags a message is copied with: a command is a line of 8192 octets (RFC 7162 §4). The flags beyond
/// that follow by another look at the mailbox.
const FLAGS_LIMIT: usize = 4096;
/// How many messages are asked for at once: so many are read past in vain if the target takes no more.
const ASKED_AT_ONCE: u32 = 250;

/// What is copied in one mailbox, from where to where.
pub(super) struct Copying<'a> {
    pub(super) key: MailboxKey,
    pub(super) name: &'a MailboxName,
    pub(super) from: Side,
    pub(super) source: &'a Sight,
    pub(super) target: &'a Sight,
    pub(super) uids: &'a UidSet,
    /// What is to be expunged from the target once everything is copied.
    pub(super) leaving: UidSet,
}

/// Copies messages of any number of mailboxes in one direction. What is refused is remembered with its reason; what is
/// gone by now is not missed. Answers for each mailbox whether all is done.
pub(super) async fn copy(run: &mut Run<'_>, from: Side, copyings: &[Copying<'_>]) -> Result<Vec<Settled>, Halt> {
    if copyings.is_empty() {
        return Ok(Vec::new());
    }
    let closed = Closed::default();
    let (deliver, delivered) = mpsc::channel(PREFETCHED);
    let (send, batches) = mpsc::channel(QUEUED);
    let (answers, answered) = mpsc::channel(QUEUED);
    let mut requests = requests(copyings, &closed);
    let (source, target) = run.stores.source_and_target(from);
    let mut carrying = Carrying {
        from,
        copyings,
        closed: &closed,
        ways: copyings.iter().map(|copying| Way::of(run.state, copying)).collect::<Result<_, Halt>>()?,
        state: run.state,
        now: run.order.now,
        listener: run.listener,
        report: &mut run.report.sides[from.other()],
        gathered: Gathered::default(),
        ready: VecDeque::new(),
        under_way: VecDeque::new(),
        number: 0,
    };
    // A source that fails lets what is in hand be finished; a target that fails ends all at once.
    let fetching = async { Ok::<_, Halt>(source.fetch_each(&mut requests, deliver).await) };
    let appending = async {
        let appended = target.append_each(batches, answers).await;
        appended.map_err(|error| Halt::Side(from.other(), error))
    };
    let (fetched, (), ()) = tokio::try_join!(fetching, appending, carrying.all(delivered, send, answered))?;
    let ways = carrying.ways;
    fetched.map_err(|error| Halt::Side(from, error))?;
    let mut settled = Vec::with_capacity(copyings.len());
    for (copying, way) in copyings.iter().zip(ways) {
        settled.push(finish(run, copying, way).await?);
    }
    Ok(settled)
}

/// What is to be said, and looked for, once nothing is under way any more.
async fn finish(run: &mut Run<'_>, copying: &Copying<'_>, way: Way) -> Result<Settled, Halt> {
    let mut settled = way.settled;
    // What did not come may be gone, which the next look will tell; silence alone is no proof of it.
    if !copying.uids.difference(&way.delivered).is_empty() {
        settled = settled.and(Settled::Moved);
    }
    if let Some((side, error)) = way.failure {
        run.store_trouble(side, Some(copying.name), error)?;
        settled = Settled::No;
    }
    if way.untold == 0 {
        return Ok(settled);
    }
    match settle_taken(run, copying).await {
        Ok(taken) => Ok(settled.and(taken)),
        Err(Trip::Mailbox) => Ok(Settled::No),
        Err(Trip::Halt(halt)) => Err(halt),
    }
}

/// The mailboxes of which nothing more is wanted.
#[derive(Default)]
struct Closed(Mutex<BTreeSet<usize>>);

impl Closed {
    fn contains(&self, place: usize) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&place)
    }

    fn insert(&self, place: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place);
    }
}

/// What is asked for, mailbox by mailbox, as long as it is wanted.
fn requests<'a>(copyings: &'a [Copying<'_>], closed: &'a Closed) -> impl Iterator<Item = Request> + Send + 'a {
    copyings.iter().enumerate().flat_map(move |(place, copying)| {
        let scope = &copying.source.scope;
        let parts = copying.uids.parts(ASKED_AT_ONCE).take_while(move |_| !closed.contains(place));
        parts.map(move |uids| Request { place, scope: scope.clone(), uids })
    })
}

/// Has every message of the source looked at again. Of one that had been left out before, nothing is reported any more,
/// although the target does not bear all its flags yet.
pub(super) fn leave_no_flag_behind(change: &Change<'_>, copying: &Copying<'_>) -> Result<(), state::Error> {
    let start = Checkpoint::start_of(copying.source.scope.uid_validity);
    change.set_checkpoint(copying.key, copying.from, Some(start))
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

/// How far the copying of one mailbox is.
struct Way {
    /// How often each message has been refused before.
    attempts: BTreeMap<Uid, u32>,
    settled: Settled,
    /// The messages of which something came.
    delivered: UidSet,
    /// How many the target took without saying where they are.
    untold: u64,
    /// What ends it, and on which side.
    failure: Option<(Side, store::Error)>,
}

impl Way {
    fn of(state: &State, copying: &Copying<'_>) -> Result<Way, Halt> {
        let skipped = state.skipped(copying.key)?;
        let attempts = skipped.into_iter().filter(|row| row.side == copying.from).map(|row| (row.uid, row.attempts));
        Ok(Way {
            attempts: attempts.collect(),
            settled: Settled::Yes,
            delivered: UidSet::new(),
            untold: 0,
            failure: None,
        })
    }
}

/// Messages that will be appended together, by mailbox.
#[derive(Default)]
struct Gathered {
    parts: Vec<(usize, Vec<Message>)>,
    messages: usize,
    octets: u64,
}

impl Gathered {
    /// All that goes to one mailbox is one part, so that two answers with the same UID are seen together. A message that
    /// had to be asked for again comes behind those of other mailboxes.
    fn put(&mut self, place: usize, message: Message) {
        self.messages += 1;
        self.octets += message.size;
        match self.parts.iter_mut().rev().find(|(at, _)| *at == place) {
            Some((_, messages)) => messages.push(message),
            None => self.parts.push((place, vec![message])),
        }
    }
}

/// A batch that is not answered yet: what was intended with its messages, by mailbox.
struct UnderWay {
    number: u64,
    parts: Vec<(usize, Vec<(IntentId, Intent)>)>,
}

/// What has come to an end in one mailbox, to be remembered.
struct Ended {
    place: usize,
    fates: Vec<(IntentId, Fate)>,
    /// Messages of the source that bear flags which their copies lack.
    lacking: UidSet,
    /// How large those are that have arrived.
    arrived: Vec<u64>,
}

struct Carrying<'a> {
    from: Side,
    copyings: &'a [Copying<'a>],
    closed: &'a Closed,
    ways: Vec<Way>,
    state: &'a mut State,
    now: i64,
    listener: &'a mut dyn Listener,
    report: &'a mut SideReport,
    /// The batch that is being gathered.
    gathered: Gathered,
    /// The batches that wait until the target has room: while there are any, nothing is gathered.
    ready: VecDeque<Gathered>,
    under_way: VecDeque<UnderWay>,
    /// How many batches there were.
    number: u64,
}

impl Carrying<'_> {
    /// Carries what is delivered to the target, batch by batch, until there is no more and everything is answered.
    async fn all(
        &mut self,
        mut delivered: mpsc::Receiver<Delivered>,
        send: mpsc::Sender<Batch>,
        mut answered: mpsc::Receiver<BatchAnswer>,
    ) -> Result<(), Halt> {
        let mut send = Some(send);
        let mut source = Source::Flowing;
        loop {
            if source == Source::Dry && self.ready.is_empty() {
                send = None;
            }
            tokio::select! {
                biased;
                answer = answered.recv(), if !self.under_way.is_empty() => {
                    // Without an answer the target is lost, which it tells by itself.
                    let Some(answer) = answer else { return Ok(()) };
                    let room = send.as_ref().and_then(|send| send.try_reserve().ok());
                    let next = if room.is_some() { self.ready.pop_front() } else { None };
                    let next = self.step(Some(answer), next)?;
                    if let (Some(room), Some(next)) = (room, next) {
                        room.send(next);
                    }
                }
                room = room_of(send.as_ref()), if !self.ready.is_empty() => {
                    let Some(room) = room else { return Ok(()) };
                    let next = self.ready.pop_front();
                    if let Some(next) = self.step(None, next)? {
                        room.send(next);
                    }
                }
                news = delivered.recv(), if source == Source::Flowing && self.ready.is_empty() => match news {
                    Some(news) => self.gather(news)?,
                    None => {
                        source = Source::Dry;
                        self.close_batch();
                    }
                },
                else => return Ok(()),
            }
        }
    }

    fn gather(&mut self, Delivered { place, fetched }: Delivered) -> Result<(), Halt> {
        let Some(way) = self.ways.get_mut(place) else { return Ok(()) };
        match fetched {
            Err(error) => self.fail(place, self.from, error),
            Ok(Fetched::Unreadable { uid, reason }) => {
                way.delivered.insert(uid);
                let reason = format!("the {} side does not give it: {reason}", self.from);
                self.leave_out(place, uid, reason)?;
            }
            Ok(Fetched::Message(message)) => {
                way.delivered.insert(message.uid);
                if way.failure.is_none() {
                    self.add(place, message);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, place: usize, mut message: Message) {
        let Copying { target, .. } = self.copyings[place];
        let flags = message.flags.filtered(|flag| target.permanent_flags.holds(flag));
        let mut lines = flags.split(FLAGS_LIMIT).into_iter();
        message.flags = lines.next().unwrap_or_default();
        if lines.next().is_some() {
            self.ways[place].settled = self.ways[place].settled.and(Settled::Moved);
        }
        let alone = matches!(message.body, Body::Streamed { .. });
        let Gathered { messages, octets, .. } = self.gathered;
        if alone || octets + message.size > BATCH_OCTETS || messages >= BATCH_MESSAGES {
            self.close_batch();
        }
        self.gathered.put(place, message);
        if alone {
            self.close_batch();
        }
    }

    fn close_batch(&mut self) {
        if self.gathered.messages > 0 {
            self.ready.push_back(std::mem::take(&mut self.gathered));
        }
    }

    /// Remembers what has become of one batch, and what is intended with the next one, which may be sent then.
    fn step(&mut self, answer: Option<BatchAnswer>, next: Option<Gathered>) -> Result<Option<Batch>, Halt> {
        let ended = match answer {
            Some(answer) => self.ended(answer)?,
            None => Vec::new(),
        };
        let next = next.map(|next| self.wanted_of(next)).filter(|next| !next.parts.is_empty());
        let intended: Vec<(usize, Vec<Intent>)> = next
            .iter()
            .flat_map(|next| &next.parts)
            .map(|(place, messages)| (*place, messages.iter().map(|message| self.intent(*place, message)).collect()))
            .collect();
        let (copyings, ways) = (self.copyings, &self.ways);
        let ids: Vec<Vec<IntentId>> = self.state.commit(|change| {
            for Ended { place, fates, lacking, .. } in &ended {
                remember(change, &copyings[*place], &ways[*place], fates, lacking)?;
            }
            let add = |(place, intents): &(usize, Vec<Intent>)| {
                intents.iter().map(|intent| change.add_intent(copyings[*place].key, intent)).collect()
            };
            intended.iter().map(add).collect()
        })?;
        if is_planted(Fault::NoIntents) {
            self.state.commit(|change| ids.iter().flatten().try_for_each(|id| change.drop_intent(*id)))?;
        }
        for Ended { place, arrived, .. } in ended {
            self.tell(place, &arrived);
        }
        let Some(next) = next else { return Ok(None) };
        self.number += 1;
        let number = self.number;
        let parts = intended.into_iter().zip(ids);
        let parts = parts.map(|((place, intents), ids)| (place, ids.into_iter().zip(intents).collect())).collect();
        self.under_way.push_back(UnderWay { number, parts });
        let scoped = |(place, messages): (usize, Vec<Message>)| (self.copyings[place].target.scope.clone(), messages);
        Ok(Some(Batch { number, parts: next.parts.into_iter().map(scoped).collect() }))
    }

    /// Without what goes to mailboxes that have failed since it was gathered.
    fn wanted_of(&self, mut batch: Gathered) -> Gathered {
        batch.parts.retain(|(place, _)| self.ways[*place].failure.is_none());
        batch
    }

    fn intent(&self, place: usize, message: &Message) -> Intent {
        let target = self.copyings[place].target;
        let header = HeaderDigest::of(message.body.head());
        let fingerprint = Fingerprint { size: message.size, internal_date: message.internal_date, header };
        Intent {
            from: self.from,
            uid: message.uid,
            flags: message.flags.clone(),
            fingerprint,
            target_uid_validity: target.scope.uid_validity,
            floor: target.status.uid_next,
            answer: Answer::Awaited,
        }
    }

    /// What has become of the messages of a batch.
    fn ended(&mut self, BatchAnswer { number, parts }: BatchAnswer) -> Result<Vec<Ended>, Halt> {
        let Some(at) = self.under_way.iter().position(|batch| batch.number == number) else { return Ok(Vec::new()) };
        let Some(UnderWay { parts: intended, .. }) = self.under_way.remove(at) else { return Ok(Vec::new()) };
        let mut ended: Vec<Ended> = Vec::new();
        for ((place, intents), appended) in intended.into_iter().zip(parts) {
            match appended {
                Ok(appended) => ended.push(self.fates(place, intents, appended)?),
                // Whatever has arrived is found by its intent at the next run.
                Err(error) => self.fail(place, self.from.other(), error),
            }
        }
        Ok(ended)
    }

    fn fates(
        &mut self,
        place: usize,
        intents: Vec<(IntentId, Intent)>,
        appended: Vec<Appended>,
    ) -> Result<Ended, Halt> {
        let from = self.from;
        let mut owners = self.owners(place, &appended)?;
        let mut ended = Ended { place, fates: Vec::new(), lacking: UidSet::new(), arrived: Vec::new() };
        for ((id, intent), appended) in intents.into_iter().zip(appended) {
            let Intent { uid: source, flags, fingerprint, floor, .. } = intent;
            let fate = match appended {
                Appended::At { uid, .. } if owners.get(&uid).is_some_and(|owner| is_same(owner, &fingerprint)) => {
                    match self.copyings[place].leaving.contains(uid) {
                        // What it was merged with goes in this run; after that it can have a copy of its own.
                        true => {
                            self.settle(place, Settled::Moved);
                            Fate::NotDone
                        }
                        false => Fate::LeftOut(self.skipped(place, source, SkipReason::Merged)),
                    }
                }
                // A UID that is somebody else's, or from before, is no answer to this append (CVE-2021-3578).
                Appended::At { uid, flags: borne } if uid >= floor && !owners.contains_key(&uid) => {
                    owners.insert(uid, fingerprint);
                    ended.arrived.push(fingerprint.size);
                    let kept: FlagSet = flags.intersection(&borne);
                    if kept != flags {
                        ended.lacking.insert(source);
                        self.settle(place, Settled::Moved);
                    }
                    Fate::Arrived(Pair { uids: both(from, source, uid), flags: kept, fingerprint })
                }
                // It is there, and its intent will find it.
                Appended::At { .. } | Appended::Somewhere => {
                    ended.arrived.push(fingerprint.size);
                    self.ways[place].untold += 1;
                    Fate::Taken
                }
                Appended::Refused(error) if error.reach == store::Reach::Message => {
                    Fate::LeftOut(self.skipped(place, source, SkipReason::Refused(error.text)))
                }
                Appended::Refused(error) => {
                    self.fail(place, from.other(), error);
                    Fate::NotDone
                }
            };
            ended.fates.push((id, fate));
        }
        Ok(ended)
    }

    /// Who has the UIDs that were answered already.
    fn owners(&self, place: usize, appended: &[Appended]) -> Result<BTreeMap<Uid, Fingerprint>, Halt> {
        let target = self.from.other();
        let uid = |appended: &Appended| match appended {
            Appended::At { uid, .. } => Some(*uid),
            Appended::Somewhere | Appended::Refused(_) => None,
        };
        let claimed: UidSet = appended.iter().filter_map(uid).collect();
        let pairs = self.state.pairs_touching(self.copyings[place].key, target, &claimed)?;
        Ok(pairs.into_values().map(|pair| (pair.uids[target], pair.fingerprint)).collect())
    }

    fn tell(&mut self, place: usize, arrived: &[u64]) {
        let mailbox = self.copyings[place].name;
        for octets in arrived.iter().copied() {
            self.report.copied += 1;
            self.report.copied_bytes += octets;
            self.listener.hear(Event::Copied { to: self.from.other(), mailbox, octets });
        }
    }

    fn settle(&mut self, place: usize, settled: Settled) {
        self.ways[place].settled = self.ways[place].settled.and(settled);
    }

    /// Nothing more is copied in a mailbox; what is on its way is answered all the same.
    fn fail(&mut self, place: usize, side: Side, error: store::Error) {
        self.closed.insert(place);
        self.settle(place, Settled::No);
        self.ways[place].failure.get_or_insert((side, error));
    }

    fn leave_out(&mut self, place: usize, uid: Uid, reason: String) -> Result<(), Halt> {
        let skipped = self.skipped(place, uid, SkipReason::Refused(reason));
        let key = self.copyings[place].key;
        Ok(self.state.commit(|change| change.skip(key, &skipped))?)
    }

    fn skipped(&self, place: usize, uid: Uid, why: SkipReason) -> Skipped {
        let attempts = self.ways[place].attempts.get(&uid).copied().unwrap_or(0).saturating_add(1);
        Skipped { side: self.from, uid, why, attempts, last_attempt: self.now }
    }
}

/// Whether the source may give more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Flowing,
    Dry,
}

/// Room for another batch; `None` if the target takes no more.
async fn room_of(send: Option<&mpsc::Sender<Batch>>) -> Option<mpsc::Permit<'_, Batch>> {
    send?.reserve().await.ok()
}

/// Puts pairs in the place of intents, or what else has become of them.
fn remember(
    change: &Change<'_>,
    copying: &Copying<'_>,
    way: &Way,
    fates: &[(IntentId, Fate)],
    lacking: &UidSet,
) -> Result<(), state::Error> {
    let Copying { key, from, .. } = *copying;
    if lacking.iter().any(|uid| way.attempts.contains_key(&uid)) {
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
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::mail::InternalDate;
    use crate::store::Form;

    /// Of equal messages that a server merges, two would else claim the same UID in one commit.
    #[test]
    fn a_message_that_comes_late_joins_its_mailbox() {
        let message = |uid: u32| Message {
            uid: Uid::new(uid).unwrap(),
            flags: FlagSet::new(),
            internal_date: InternalDate::EPOCH,
            size: 1,
            form: Form::Text,
            body: Body::Whole(Bytes::from_static(b"x")),
        };
        let mut gathered = Gathered::default();
        for (place, uid) in [(0, 1), (1, 5), (0, 2), (0, 3), (1, 4)] {
            gathered.put(place, message(uid));
        }
        let uids = |messages: &[Message]| messages.iter().map(|message| message.uid.get()).collect::<Vec<_>>();
        let parts: Vec<(usize, Vec<u32>)> = gathered.parts.iter().map(|(place, of)| (*place, uids(of))).collect();
        assert_eq!(parts, [(0, vec![1, 2, 3]), (1, vec![5, 4])]);
        assert_eq!((gathered.messages, gathered.octets), (5, 5));
    }
}
