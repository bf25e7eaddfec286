//! Fetching messages: small ones whole, large ones as they flow by, each with its flags and its date.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::iter::Peekable;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::connection::{Completion, Flight, Incoming};
use super::parse::parse_head;
use super::quirks::is_invented;
use super::response::{BodyItem, Fetch, LiteralKind, Response};
use super::store::{ImapStore, Selection};
use super::tour::{News, Stop, Tour};
use crate::mail::{FlagSet, InternalDate, Uid, UidSet};
use crate::store::{Body, Delivered, Error, Fetched, Form, Message, Request, Requests, UidScope, within_mailbox};

/// How many pieces of a streamed message may wait for its reader, each of 64 KiB at most.
const PIECES_LIMIT: usize = 4;

/// A large message whose UID, flags and date come only behind its octets is kept up to this size until they do.
const COLLECT_LIMIT: u64 = 64 * 1024 * 1024;

/// While so many messages are asked for and have not come, no more are asked for.
const ASKED_LIMIT: u64 = 1000;

/// Where messages go.
pub(super) enum Outlet {
    /// Those of one mailbox.
    One(mpsc::Sender<Fetched>),
    /// Those of several.
    Each(mpsc::Sender<Delivered>),
}

impl Outlet {
    fn is_closed(&self) -> bool {
        match self {
            Outlet::One(deliver) => deliver.is_closed(),
            Outlet::Each(deliver) => deliver.is_closed(),
        }
    }

    /// Where nobody is there any more, it is read past.
    async fn hand_over(&self, place: usize, fetched: Fetched) {
        match self {
            Outlet::One(deliver) => drop(deliver.send(fetched).await),
            Outlet::Each(deliver) => drop(deliver.send(Delivered { place, fetched: Ok(fetched) }).await),
        }
    }

    /// Ends a place; where there is only one, the caller is told.
    async fn close(&self, place: usize, error: Error) -> Result<(), Error> {
        match self {
            Outlet::One(_) => Err(error),
            Outlet::Each(deliver) => {
                drop(deliver.send(Delivered { place, fetched: within_mailbox(Err(error))? }).await);
                Ok(())
            }
        }
    }
}

impl ImapStore {
    /// Fetches what is requested in one flight; then, in each mailbox of which something did not come, finds out why. A
    /// server that asks for a pause gets it before the rest is asked for, in a flight of its own.
    pub(super) async fn fetch_messages(&mut self, requests: &mut Requests<'_>, outlet: Outlet) -> Result<(), Error> {
        let invented = if self.quirks.frozen_view { is_invented } else { |_: &[u8]| false };
        let mut delivery = Delivery { open: BTreeMap::new(), place: 0, outlet, passing: None, invented };
        let mut requests = requests.peekable();
        let mut closed: BTreeSet<usize> = BTreeSet::new();
        loop {
            let mut barred = self.fetch_in_one_flight(&mut requests, &closed, &mut delivery).await?;
            let open: Vec<usize> =
                delivery.open.iter().filter(|(_, open)| !open.wanted.is_empty()).map(|(at, _)| *at).collect();
            for place in open {
                if delivery.outlet.is_closed() {
                    break;
                }
                delivery.place = place;
                let answer = match barred.remove(&place).flatten() {
                    Some(error) => Err(error),
                    None => self.ask_again(&mut delivery).await,
                };
                delivery.here().wanted = UidSet::new();
                delivery.here().failed = false;
                if let Err(error) = within_mailbox(answer)? {
                    closed.insert(place);
                    delivery.outlet.close(place, error).await?;
                }
            }
            if delivery.outlet.is_closed() || requests.peek().is_none() {
                return Ok(());
            }
            self.connection.rest().await;
        }
    }

    /// Fetches what is requested, until there is no more or the server asks for a pause. Answers which mailboxes could not
    /// be opened, and why; those that were put off are worth another attempt.
    async fn fetch_in_one_flight(
        &mut self,
        requests: &mut Peekable<&mut Requests<'_>>,
        closed: &BTreeSet<usize>,
        delivery: &mut Delivery,
    ) -> Result<BTreeMap<usize, Option<Error>>, Error> {
        let mut barred: BTreeMap<usize, Option<Error>> = BTreeMap::new();
        // What is asked for and not answered: the place of each command, and how many messages it is for.
        let mut asked: VecDeque<(usize, u64)> = VecDeque::new();
        let mut tour = Tour::new(self);
        loop {
            while !self.connection.is_asked_to_wait()
                && tour.has_room()
                && asked.iter().map(|(_, messages)| messages).sum::<u64>() < ASKED_LIMIT
            {
                let Some(Request { place, scope, uids }) = requests.next() else { break };
                if closed.contains(&place) || barred.contains_key(&place) || delivery.outlet.is_closed() {
                    continue;
                }
                let sets = uids.split(self.quirks.line_limit);
                asked.extend(sets.iter().map(|set| (place, set.len())));
                let stop = Stop { place, scope: scope.clone(), commands: sets.iter().map(command).collect() };
                delivery.expect(place, scope, &uids);
                if let Err(error) = tour.add(self, stop) {
                    asked.retain(|(of, _)| *of != place);
                    barred.insert(place, Some(error));
                }
            }
            match tour.next(self).await? {
                None => return Ok(barred),
                Some(News::Barred(place, error)) => {
                    asked.retain(|(of, _)| *of != place);
                    // Of several, the first to be tried again gets the pause for all.
                    barred.insert(place, Some(error).filter(|_| !self.connection.is_asked_to_wait()));
                }
                Some(News::Done(place, completion)) => {
                    asked.pop_front();
                    delivery.at(place).failed |= is_failure(&completion);
                }
                Some(News::Said(place, Incoming::Unreadable(_))) => delivery.at(place).failed = true,
                Some(News::Said(place, incoming)) => {
                    delivery.place = place;
                    delivery.take(incoming).await;
                }
            }
        }
    }

    /// What is missing from an OK may be gone, or kept back: the server is asked which before anything is concluded.
    /// And one message that it cannot read must not keep the others: each of those that are missing is asked for by
    /// itself, and the one that fails again is named.
    async fn ask_again(&mut self, delivery: &mut Delivery) -> Result<(), Error> {
        let scope = delivery.here().scope.clone();
        if self.selection != Selection::Mailbox(scope.clone()) {
            self.select_patiently(&scope).await?;
        }
        if !delivery.here().failed {
            delivery.here().wanted = self.still_there(&delivery.here().wanted).await?;
        }
        let missing: Vec<Uid> = delivery.here().wanted.iter().collect();
        self.connection.rest().await;
        let mut flight = Flight::new(missing.iter().map(|uid| command(&UidSet::from_iter([*uid]))).collect());
        let mut unreadable = None;
        let (mut put_off, mut unavailable) = (None, Vec::new());
        while let Some((index, incoming)) = flight.next(&mut self.connection).await? {
            match incoming {
                Incoming::Done(_, completion) if completion.has_code("UNAVAILABLE") => {
                    unavailable.extend(missing.get(index).map(|uid| (*uid, completion)));
                }
                // A matter of time is no matter of the message.
                Incoming::Done(_, completion) if completion.backoff().is_some() => put_off = Some(completion),
                Incoming::Done(_, completion) => {
                    let refusal = is_failure(&completion).then(|| super::refusal::words(&completion.text).to_owned());
                    if let Some((reason, uid)) = unreadable.take().or(refusal).zip(missing.get(index).copied())
                        && delivery.here().wanted.remove(uid)
                    {
                        delivery.hand_over(Fetched::Unreadable { uid, reason }).await;
                    }
                }
                Incoming::Unreadable(reason) => unreadable = Some(reason),
                incoming => delivery.take(incoming).await,
            }
        }
        // Where others come, it is a matter of the message (`quirks`: unavailable-for-ever).
        let others_came = delivery.here().wanted.len() < delivery.here().asked;
        for (uid, completion) in unavailable {
            if !others_came {
                put_off = Some(completion);
            } else if delivery.here().wanted.remove(uid) {
                let reason = super::refusal::words(&completion.text).to_owned();
                delivery.hand_over(Fetched::Unreadable { uid, reason }).await;
            }
        }
        if let Some(completion) = put_off {
            return self.check(&completion, "to show messages");
        }
        for uid in self.still_there(&delivery.here().wanted).await?.iter() {
            let reason = "it is listed, but nothing is given when it is asked for".to_owned();
            delivery.hand_over(Fetched::Unreadable { uid, reason }).await;
        }
        Ok(())
    }
}

fn command(set: &UidSet) -> String {
    format!("UID FETCH {set} (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
}

/// That some of the messages are gone is no failure (RFC 5530, EXPUNGEISSUED).
fn is_failure(completion: &Completion) -> bool {
    !completion.is_ok() && !completion.has_code("EXPUNGEISSUED")
}

/// Messages on their way to whoever asked for them.
struct Delivery {
    /// What was asked for, by place.
    open: BTreeMap<usize, Asked>,
    /// The place that is spoken of.
    place: usize,
    outlet: Outlet,
    passing: Option<Passing>,
    /// Whether octets are what this server gives for a message that is gone.
    invented: fn(&[u8]) -> bool,
}

/// What was asked for in one mailbox.
struct Asked {
    scope: UidScope,
    /// Those that have not come yet.
    wanted: UidSet,
    /// How many it was.
    asked: u64,
    /// Whether some of it was refused.
    failed: bool,
}

/// A large message that is flowing by.
enum Passing {
    /// Nobody wants it, or its reader is gone.
    Unwanted,
    /// Its first octets are gathered, so that its header is there when it is handed over.
    Beginning { envelope: Envelope, size: u64, octets: BytesMut },
    /// The rest flows to its reader.
    Flowing(mpsc::Sender<Bytes>),
    /// Who it is comes behind it.
    Collected { octets: BytesMut, literal: LiteralKind },
    /// The same, but it is too large to be kept until then.
    TooLarge,
}

/// All that is said of a message but its octets.
struct Envelope {
    uid: Uid,
    flags: FlagSet,
    internal_date: InternalDate,
    literal: LiteralKind,
}

impl Envelope {
    fn of(fetch: &Fetch, literal: LiteralKind) -> Option<Envelope> {
        Some(Envelope { uid: fetch.uid?, flags: fetch.flags.clone()?, internal_date: fetch.internal_date?, literal })
    }

    fn message(self, size: u64, head: &[u8], body: Body) -> Fetched {
        let binary = self.literal == LiteralKind::Binary || memchr::memchr(0, head).is_some();
        Fetched::Message(Message {
            uid: self.uid,
            flags: self.flags,
            internal_date: self.internal_date,
            size,
            form: if binary { Form::Binary } else { Form::Text },
            body,
        })
    }
}

impl Delivery {
    fn expect(&mut self, place: usize, scope: UidScope, uids: &UidSet) {
        let asked = Asked { scope, wanted: UidSet::new(), asked: 0, failed: false };
        let open = self.open.entry(place).or_insert(asked);
        open.wanted = open.wanted.union(uids);
        open.asked += uids.len();
    }

    fn here(&mut self) -> &mut Asked {
        self.at(self.place)
    }

    fn at(&mut self, place: usize) -> &mut Asked {
        self.open.get_mut(&place).expect("only places that were asked for are spoken of")
    }

    async fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::BodyStart { head, size, literal } => self.passing = Some(self.begin(&head, size, literal)),
            Incoming::BodyChunk(octets) => self.pass(octets).await,
            Incoming::BodyEnd => self.end().await,
            Incoming::Untagged(Response::Fetch(fetch)) => self.conclude(fetch).await,
            Incoming::Untagged(Response::Vanished { uids, .. }) => {
                self.here().wanted = self.here().wanted.difference(&uids);
            }
            _ => {}
        }
    }

    fn begin(&mut self, head: &[u8], size: u64, literal: LiteralKind) -> Passing {
        let fetch = parse_head(head).unwrap_or_default();
        if self.outlet.is_closed() || fetch.uid.is_some_and(|uid| !self.here().wanted.contains(uid)) {
            return Passing::Unwanted;
        }
        match Envelope::of(&fetch, literal) {
            Some(envelope) => {
                self.here().wanted.remove(envelope.uid);
                Passing::Beginning { envelope, size, octets: BytesMut::new() }
            }
            None if size <= COLLECT_LIMIT => Passing::Collected { octets: BytesMut::new(), literal },
            None => Passing::TooLarge,
        }
    }

    async fn pass(&mut self, chunk: Bytes) {
        match self.passing.take() {
            Some(Passing::Beginning { envelope, size, mut octets }) => {
                octets.extend_from_slice(&chunk);
                self.passing = Some(match octets.len() >= Body::HEAD_LIMIT {
                    true => self.hand_over_flowing(envelope, size, octets.freeze()).await,
                    false => Passing::Beginning { envelope, size, octets },
                });
            }
            Some(Passing::Flowing(sender)) => {
                // A reader that has gone does not want the rest, but it comes all the same.
                self.passing = Some(match sender.send(chunk).await {
                    Ok(()) => Passing::Flowing(sender),
                    Err(_) => Passing::Unwanted,
                });
            }
            Some(Passing::Collected { mut octets, literal }) => {
                octets.extend_from_slice(&chunk);
                self.passing = Some(Passing::Collected { octets, literal });
            }
            other => self.passing = other,
        }
    }

    /// The last octet has come: whoever reads them is told so by the end of the channel.
    async fn end(&mut self) {
        match self.passing.take() {
            Some(Passing::Beginning { envelope, size, octets }) => {
                self.hand_over_flowing(envelope, size, octets.freeze()).await;
                self.passing = Some(Passing::Unwanted);
            }
            Some(Passing::Flowing(_)) => self.passing = Some(Passing::Unwanted),
            other => self.passing = other,
        }
    }

    async fn hand_over_flowing(&mut self, envelope: Envelope, size: u64, mut octets: Bytes) -> Passing {
        let rest = octets.split_off(octets.len().min(Body::HEAD_LIMIT));
        let (sender, receiver) = mpsc::channel(PIECES_LIMIT);
        let body = Body::Streamed { head: octets.clone(), rest: receiver };
        self.hand_over(envelope.message(size, &octets, body)).await;
        for start in (0..rest.len()).step_by(Body::HEAD_LIMIT) {
            let piece = rest.slice(start..rest.len().min(start + Body::HEAD_LIMIT));
            if sender.send(piece).await.is_err() {
                return Passing::Unwanted;
            }
        }
        Passing::Flowing(sender)
    }

    /// A FETCH is complete.
    async fn conclude(&mut self, fetch: Fetch) {
        let passing = self.passing.take();
        let Some((uid, body)) = fetch.uid.zip(fetch.body.clone()) else { return };
        let is_invented = matches!(&body, BodyItem::Octets(octets) if (self.invented)(octets));
        if is_invented || !self.here().wanted.remove(uid) {
            return;
        }
        let unreadable = |reason: &str| Fetched::Unreadable { uid, reason: reason.to_owned() };
        let fetched = match (body, passing) {
            (BodyItem::Nil, _) => unreadable("the server gives NIL for its octets"),
            (BodyItem::Octets(octets), _) if octets.is_empty() && fetch.size != Some(0) => {
                unreadable("the server gives no octets, though the message has a size")
            }
            (BodyItem::Octets(octets), _) => match Envelope::of(&fetch, LiteralKind::Text) {
                Some(envelope) => envelope.message(octets.len() as u64, &octets, Body::Whole(octets.clone())),
                None => unreadable("the server does not tell its flags or its date"),
            },
            (BodyItem::PassedBy { size, .. }, Some(Passing::Collected { octets, literal })) => {
                match Envelope::of(&fetch, literal) {
                    Some(envelope) => {
                        self.hand_over_flowing(envelope, size, octets.freeze()).await;
                        return;
                    }
                    None => unreadable("the server does not tell its flags or its date"),
                }
            }
            (BodyItem::PassedBy { .. }, _) => unreadable(
                "the server tells who it is only behind its octets, and it is too large to be kept till then",
            ),
        };
        self.hand_over(fetched).await;
    }

    async fn hand_over(&mut self, fetched: Fetched) {
        self.outlet.hand_over(self.place, fetched).await;
    }
}
