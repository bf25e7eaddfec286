//! A side by several connections: all is done over the first, and where much is to be appended, others help.
//!
//! A connection more is asked for only when there is a batch that no other has time for, and `supply` says what has to be
//! appended before that. They leave when everything is appended. One that the server does not grant, or that is lost, is
//! no failure of the side: there will be no other in this run.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::append::Road;
use super::endpoint::{Connections, Endpoint, Login, PasswordSource};
use super::session::connect;
use super::store::ImapStore;
use super::supply::Supply;
use crate::mail::{
    Fingerprint, FlagChange, FlagSet, MailboxName, MailboxStatus, Measure, ModSeq, Observation, Subscription, Uid,
    UidSet,
};
use crate::store::{
    Appended, Batch, BatchAnswer, Delivered, Error, Expunged, Fetched, Listing, Message, Passage, Profile, Relocated,
    Requests, Store, Stored, Traffic, UidScope, Wanted,
};

/// An authenticated IMAP session, and others with the same server when they are of use.
pub struct Crew {
    first: ImapStore,
    /// Places for as many others as there may be; all are empty unless something is being appended.
    others: Vec<Option<ImapStore>>,
    endpoint: Endpoint,
    growth: Growth,
    /// What has gone over connections that are no more.
    past: Traffic,
}

/// Whether there may be more connections than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// As far as is known.
    Open,
    /// One was refused or lost.
    Over,
}

impl Crew {
    /// Opens the first connection that `endpoint` describes. There will be `most` at a time, none of which asks for the
    /// password again.
    pub async fn connect(endpoint: &Endpoint, most: Connections) -> Result<Crew, Error> {
        let mut endpoint = endpoint.clone();
        if most > Connections::ONE {
            endpoint.login = endpoint.login.map(remembering);
        }
        let first = connect(&endpoint).await?;
        let others = (1..most.get()).map(|_| None).collect();
        Ok(Crew { first, others, endpoint, growth: Growth::Open, past: Traffic::default() })
    }

    /// Lets go of all but the first.
    fn dismiss(&mut self) {
        for other in self.others.iter_mut().filter_map(Option::take) {
            self.past = sum(self.past, other.traffic());
        }
    }
}

/// Appends over one connection more, if one comes to be wanted, until there is no more to do. Answers whether there may
/// be others after that.
async fn assist(
    place: &mut Option<ImapStore>,
    endpoint: &Endpoint,
    first: &Known,
    supply: &Supply,
    answers: &mpsc::Sender<BatchAnswer>,
) -> Growth {
    if !supply.wants_another().await {
        return Growth::Open;
    }
    let connected = tokio::select! {
        connected = connect(endpoint) => connected,
        () = supply.closed() => return Growth::Open,
    };
    let store = match connected {
        Ok(store) => place.insert(store),
        Err(error) => {
            supply.close();
            tracing::info!("{}: no further connection is opened in this run: {error}", first.address);
            return Growth::Over;
        }
    };
    supply.join();
    store.kept_keywords = first.kept_keywords.clone();
    store.append_limits = first.append_limits.clone();
    let mut road = Road::default();
    match store.append_supplied(supply, answers, &mut road).await {
        Ok(()) => {
            store.close().await;
            Growth::Open
        }
        Err(error) => {
            supply.close();
            tracing::warn!("{}: one of several connections was lost: {error}", first.address);
            let text = format!("one of several connections was lost, and what was on its way is not known: {error}");
            for answer in road.left_open(&Error { text, ..error }) {
                // Whoever does not want to know any more finds what arrived by the intents.
                let _ = answers.send(answer).await;
            }
            Growth::Over
        }
    }
}

/// What the first connection knows and others need not ask.
struct Known {
    address: String,
    kept_keywords: BTreeMap<MailboxName, FlagSet>,
    append_limits: BTreeMap<MailboxName, Option<u64>>,
}

type Assistance<'a> = Pin<Box<dyn Future<Output = Growth> + Send + 'a>>;

/// Waits for all of them; if nobody is told otherwise, connections can be had.
async fn all_of(mut others: Vec<Assistance<'_>>) -> Growth {
    let mut growth = Growth::Open;
    poll_fn(|context| {
        others.retain_mut(|other| match other.as_mut().poll(context) {
            Poll::Ready(Growth::Open) => false,
            Poll::Ready(Growth::Over) => {
                growth = Growth::Over;
                false
            }
            Poll::Pending => true,
        });
        if others.is_empty() { Poll::Ready(growth) } else { Poll::Pending }
    })
    .await
}

fn sum(one: Traffic, other: Traffic) -> Traffic {
    Traffic {
        bytes_sent: one.bytes_sent + other.bytes_sent,
        bytes_received: one.bytes_received + other.bytes_received,
        turns: one.turns + other.turns,
    }
}

/// The same, but its password is asked for only once.
fn remembering(login: Login) -> Login {
    let password = Remembering { source: login.password, known: Mutex::default() };
    Login { password: Arc::new(password), ..login }
}

struct Remembering {
    source: Arc<dyn PasswordSource>,
    known: Mutex<Option<Zeroizing<String>>>,
}

impl PasswordSource for Remembering {
    fn password(&self) -> Result<Zeroizing<String>, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(password) => Ok(password.clone()),
            None => Ok(known.insert(self.source.password()?).clone()),
        }
    }
}

#[async_trait]
impl Store for Crew {
    fn profile(&self) -> &Profile {
        self.first.profile()
    }

    fn traffic(&self) -> Traffic {
        let others = self.others.iter().flatten().map(ImapStore::traffic);
        others.fold(sum(self.past, self.first.traffic()), sum)
    }

    fn refuses_name(&self, name: &MailboxName) -> Option<String> {
        self.first.refuses_name(name)
    }

    async fn mailboxes(&mut self) -> Result<Listing, Error> {
        self.first.mailboxes().await
    }

    async fn observe(&mut self, wanted: &[Wanted]) -> Result<Vec<Result<Observation, Error>>, Error> {
        self.first.observe(wanted).await
    }

    async fn census(&mut self, name: &MailboxName) -> Result<Option<(MailboxStatus, UidSet)>, Error> {
        self.first.census(name).await
    }

    async fn fingerprints(&mut self, scope: &UidScope, uids: &UidSet) -> Result<BTreeMap<Uid, Fingerprint>, Error> {
        self.first.fingerprints(scope, uids).await
    }

    async fn fingerprints_each(
        &mut self,
        wanted: &[(UidScope, UidSet)],
    ) -> Result<Vec<Result<BTreeMap<Uid, Fingerprint>, Error>>, Error> {
        self.first.fingerprints_each(wanted).await
    }

    async fn measures_each(&mut self, wanted: &[(UidScope, UidSet)]) -> Result<Vec<BTreeMap<Uid, Measure>>, Error> {
        self.first.measures_each(wanted).await
    }

    async fn fetch(&mut self, scope: &UidScope, uids: &UidSet, deliver: mpsc::Sender<Fetched>) -> Result<(), Error> {
        self.first.fetch(scope, uids, deliver).await
    }

    async fn fetch_each(&mut self, requests: &mut Requests<'_>, deliver: mpsc::Sender<Delivered>) -> Result<(), Error> {
        self.first.fetch_each(requests, deliver).await
    }

    async fn append(&mut self, scope: &UidScope, messages: Vec<Message>) -> Result<Vec<Appended>, Error> {
        self.first.append(scope, messages).await
    }

    async fn append_each(
        &mut self,
        batches: mpsc::Receiver<Batch>,
        answers: mpsc::Sender<BatchAnswer>,
    ) -> Result<(), Error> {
        if self.others.is_empty() || self.growth == Growth::Over {
            return self.first.append_each(batches, answers).await;
        }
        self.dismiss();
        let known = Known {
            address: self.first.profile.address.clone(),
            kept_keywords: self.first.kept_keywords.clone(),
            append_limits: self.first.append_limits.clone(),
        };
        let (supply, endpoint) = (Supply::new(batches), &self.endpoint);
        let others: Vec<Assistance<'_>> = self
            .others
            .iter_mut()
            .map(|place| Box::pin(assist(place, endpoint, &known, &supply, &answers)) as Assistance<'_>)
            .collect();
        let mut road = Road::default();
        let first = self.first.append_supplied(&supply, &answers, &mut road);
        // The first alone decides whether the side is lost.
        let ((), growth) = tokio::try_join!(first, async { Ok(all_of(others).await) })?;
        self.growth = growth;
        // What others appended is news to the first one, whatever it is told of its own doings.
        self.first.appended |= self.others.iter().any(Option::is_some);
        self.dismiss();
        Ok(())
    }

    async fn store_flags(
        &mut self,
        scope: &UidScope,
        changes: &[(UidSet, FlagChange)],
        unchanged_since: Option<ModSeq>,
    ) -> Result<BTreeMap<Uid, Stored>, Error> {
        self.first.store_flags(scope, changes, unchanged_since).await
    }

    async fn expunge(
        &mut self,
        scope: &UidScope,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Expunged, Error> {
        self.first.expunge(scope, uids, unchanged_since).await
    }

    async fn relocate(
        &mut self,
        from: &UidScope,
        uids: &UidSet,
        to: &UidScope,
        passage: Passage,
    ) -> Result<Relocated, Error> {
        self.first.relocate(from, uids, to, passage).await
    }

    async fn create(&mut self, name: &MailboxName) -> Result<(), Error> {
        self.first.create(name).await
    }

    async fn create_each(&mut self, names: &[MailboxName]) -> Result<Vec<Result<(), Error>>, Error> {
        self.first.create_each(names).await
    }

    async fn delete(&mut self, name: &MailboxName) -> Result<(), Error> {
        self.first.delete(name).await
    }

    async fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Result<(), Error> {
        self.first.rename(from, to).await
    }

    async fn set_subscription(&mut self, name: &MailboxName, subscription: Subscription) -> Result<(), Error> {
        self.first.set_subscription(name, subscription).await
    }

    async fn set_subscriptions(
        &mut self,
        wanted: &[(MailboxName, Subscription)],
    ) -> Result<Vec<Result<(), Error>>, Error> {
        self.first.set_subscriptions(wanted).await
    }

    async fn close(&mut self) {
        self.dismiss();
        self.first.close().await;
    }
}
