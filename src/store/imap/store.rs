//! The session as the engine sees it: the port's verbs, each of which has a file of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::append::Road;
use super::capability::Capabilities;
use super::connection::Connection;
use super::fetch::Outlet;
use super::mailbox::Done;
use super::name::{Names, WireName};
use super::quirks::Quirks;
use super::supply::Supply;
use crate::mail::{
    Fingerprint, FlagChange, FlagSet, MailboxName, MailboxStatus, Measure, ModSeq, Observation, Subscription, Uid,
    UidSet,
};
use crate::store::{
    Appended, Batch, BatchAnswer, Cause, Delivered, Error, Expunged, Fetched, Listing, Message, Passage, Profile,
    Relocated, Request, Requests, Store, Stored, Traffic, UidScope, Wanted, within_mailbox,
};

/// How long a server may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often something is asked for where the server wants a pause each time.
pub(super) const ATTEMPTS: usize = 3;

/// A verb that may be carried out twice, tried again after each pause that the server asks for.
macro_rules! patiently {
    ($store:ident, $verb:expr) => {{
        let mut attempts = 1;
        loop {
            $store.be_ready().await?;
            match $verb.await {
                Err(_) if attempts < ATTEMPTS && $store.connection.is_asked_to_wait() => attempts += 1,
                answer => break answer,
            }
        }
    }};
}

/// An authenticated IMAP session.
pub struct ImapStore {
    pub(super) connection: Connection,
    pub(super) profile: Profile,
    pub(super) capabilities: Capabilities,
    pub(super) names: Names,
    pub(super) quirks: Quirks,
    pub(super) selection: Selection,
    /// Whether we have appended to what is selected, in a session that need not see it by itself.
    pub(super) appended: bool,
    /// The keywords that mailboxes are known to keep, where they are known to keep any.
    pub(super) kept_keywords: BTreeMap<MailboxName, FlagSet>,
    /// What APPENDLIMIT was told of mailboxes one by one, in octets.
    pub(super) append_limits: BTreeMap<MailboxName, Option<u64>>,
}

/// What is selected at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// No mailbox.
    Nothing,
    /// A mailbox perhaps; which one does not matter, as it will not be relied on.
    Something,
    /// This mailbox, in this generation.
    Mailbox(UidScope),
}

impl ImapStore {
    pub(super) fn new(
        connection: Connection,
        profile: Profile,
        capabilities: Capabilities,
        names: Names,
        quirks: Quirks,
    ) -> ImapStore {
        ImapStore {
            connection,
            profile,
            capabilities,
            names,
            quirks,
            selection: Selection::Nothing,
            appended: false,
            kept_keywords: BTreeMap::new(),
            append_limits: BTreeMap::new(),
        }
    }

    /// How the server spells a name.
    pub(super) fn wire(&self, name: &MailboxName) -> Result<WireName, Error> {
        self.names.wire(name).map_err(|reason| {
            let text = format!("{} cannot have a mailbox called {name}: {reason}", self.profile.address);
            Error::mailbox(Cause::CannotHold, text).for_good()
        })
    }

    /// Selects a mailbox, if need be after the pauses that the server asks for.
    pub(super) async fn select_patiently(&mut self, scope: &UidScope) -> Result<(), Error> {
        patiently!(self, self.select(scope))
    }

    /// Appends what this connection gets of what others may take from, too.
    pub(super) async fn append_supplied<'a>(
        &mut self,
        supply: &'a Supply,
        answers: &mpsc::Sender<BatchAnswer>,
        road: &mut Road<'a>,
    ) -> Result<(), Error> {
        self.be_ready().await?;
        self.append_batches(supply, answers, road).await
    }

    /// To be called before a verb begins.
    async fn be_ready(&mut self) -> Result<(), Error> {
        self.connection.ensure_idle()?;
        self.connection.rest().await;
        Ok(())
    }
}

#[async_trait]
impl Store for ImapStore {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn traffic(&self) -> Traffic {
        self.connection.traffic()
    }

    fn refuses_name(&self, name: &MailboxName) -> Option<String> {
        match self.names.wire(name) {
            Ok(_) if self.names.is_spelled(name) => None,
            Ok(_) => self.quirks.refuses_name(name),
            Err(reason) => Some(reason),
        }
    }

    async fn mailboxes(&mut self) -> Result<Listing, Error> {
        patiently!(self, self.list())
    }

    async fn observe(&mut self, wanted: &[Wanted]) -> Result<Vec<Result<Observation, Error>>, Error> {
        self.be_ready().await?;
        self.look(wanted).await
    }

    async fn census(&mut self, name: &MailboxName) -> Result<Option<(MailboxStatus, UidSet)>, Error> {
        patiently!(self, self.count(name))
    }

    async fn fingerprints(&mut self, scope: &UidScope, uids: &UidSet) -> Result<BTreeMap<Uid, Fingerprint>, Error> {
        patiently!(self, async {
            self.select(scope).await?;
            self.take_fingerprints(uids).await
        })
    }

    async fn fingerprints_each(
        &mut self,
        wanted: &[(UidScope, UidSet)],
    ) -> Result<Vec<Result<BTreeMap<Uid, Fingerprint>, Error>>, Error> {
        self.be_ready().await?;
        let mut answers = Vec::with_capacity(wanted.len());
        for (answer, (scope, uids)) in self.tour_for_fingerprints(wanted).await?.into_iter().zip(wanted) {
            answers.push(match answer {
                Some(prints) => Ok(prints),
                None => within_mailbox(self.fingerprints(scope, uids).await)?,
            });
        }
        Ok(answers)
    }

    async fn measures_each(&mut self, wanted: &[(UidScope, UidSet)]) -> Result<Vec<BTreeMap<Uid, Measure>>, Error> {
        self.be_ready().await?;
        self.tour_for_measures(wanted).await
    }

    async fn fetch(&mut self, scope: &UidScope, uids: &UidSet, deliver: mpsc::Sender<Fetched>) -> Result<(), Error> {
        self.be_ready().await?;
        let request = Request { place: 0, scope: scope.clone(), uids: uids.clone() };
        self.fetch_messages(&mut std::iter::once(request), Outlet::One(deliver)).await
    }

    async fn fetch_each(&mut self, requests: &mut Requests<'_>, deliver: mpsc::Sender<Delivered>) -> Result<(), Error> {
        self.be_ready().await?;
        self.fetch_messages(requests, Outlet::Each(deliver)).await
    }

    async fn append(&mut self, scope: &UidScope, messages: Vec<Message>) -> Result<Vec<Appended>, Error> {
        self.select_patiently(scope).await?;
        let (send, batches) = mpsc::channel(1);
        let (answers, mut answered) = mpsc::channel(1);
        let _ = send.try_send(Batch { number: 0, parts: vec![(scope.clone(), messages)] });
        drop(send);
        self.append_batches(&Supply::new(batches), &answers, &mut Road::default()).await?;
        let parts = answered.recv().await.map(|answer| answer.parts).unwrap_or_default();
        let unanswered = || Err(Error::side(Cause::Protocol, "an append was not answered"));
        parts.into_iter().next().unwrap_or_else(unanswered)
    }

    async fn append_each(
        &mut self,
        batches: mpsc::Receiver<Batch>,
        answers: mpsc::Sender<BatchAnswer>,
    ) -> Result<(), Error> {
        self.append_supplied(&Supply::new(batches), &answers, &mut Road::default()).await
    }

    async fn store_flags(
        &mut self,
        scope: &UidScope,
        changes: &[(UidSet, FlagChange)],
        unchanged_since: Option<ModSeq>,
    ) -> Result<BTreeMap<Uid, Stored>, Error> {
        patiently!(self, async {
            self.select(scope).await?;
            self.change_flags(changes, unchanged_since).await
        })
    }

    async fn expunge(
        &mut self,
        scope: &UidScope,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Expunged, Error> {
        patiently!(self, async {
            self.select(scope).await?;
            self.expunge_messages(uids, unchanged_since).await
        })
    }

    async fn relocate(
        &mut self,
        from: &UidScope,
        uids: &UidSet,
        to: &UidScope,
        passage: Passage,
    ) -> Result<Relocated, Error> {
        patiently!(self, self.select(from))?;
        self.relocate_messages(uids, to, passage).await
    }

    async fn create(&mut self, name: &MailboxName) -> Result<(), Error> {
        patiently!(self, self.create_mailbox(name))
    }

    async fn create_each(&mut self, names: &[MailboxName]) -> Result<Vec<Result<(), Error>>, Error> {
        self.be_ready().await?;
        let mut answers = Vec::with_capacity(names.len());
        for (done, name) in self.create_mailboxes(names).await?.into_iter().zip(names) {
            answers.push(match done {
                Done::Yes => Ok(()),
                Done::No => within_mailbox(self.create(name).await)?,
            });
        }
        Ok(answers)
    }

    async fn delete(&mut self, name: &MailboxName) -> Result<(), Error> {
        patiently!(self, self.delete_mailbox(name))
    }

    async fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Result<(), Error> {
        patiently!(self, self.rename_mailbox(from, to))
    }

    async fn set_subscription(&mut self, name: &MailboxName, subscription: Subscription) -> Result<(), Error> {
        patiently!(self, self.subscribe(name, subscription))
    }

    async fn set_subscriptions(
        &mut self,
        wanted: &[(MailboxName, Subscription)],
    ) -> Result<Vec<Result<(), Error>>, Error> {
        self.be_ready().await?;
        let mut answers = Vec::with_capacity(wanted.len());
        for (done, (name, subscription)) in self.subscribe_to_each(wanted).await?.into_iter().zip(wanted) {
            answers.push(match done {
                Done::Yes => Ok(()),
                Done::No => within_mailbox(self.set_subscription(name, *subscription).await)?,
            });
        }
        Ok(answers)
    }

    async fn close(&mut self) {
        self.connection.leave(FAREWELL).await;
    }
}
