//! The session as the engine sees it: the port's verbs, each of which has a file of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::capability::Capabilities;
use super::connection::Connection;
use super::name::{Names, WireName};
use super::quirks::Quirks;
use crate::mail::{
    Fingerprint, FlagChange, MailboxName, MailboxStatus, ModSeq, Observation, Subscription, Uid, UidSet,
};
use crate::store::{
    Appended, Cause, Error, Expunged, Fetched, Listing, Message, Profile, Relocated, Store, Stored, Traffic, UidScope,
    Wanted,
};

/// How long a server may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// An authenticated IMAP session.
pub struct ImapStore {
    pub(super) connection: Connection,
    pub(super) profile: Profile,
    pub(super) capabilities: Capabilities,
    pub(super) names: Names,
    pub(super) quirks: Quirks,
    pub(super) selection: Selection,
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
    pub(super) fn new(connection: Connection, profile: Profile, capabilities: Capabilities, names: Names) -> ImapStore {
        let quirks = Quirks::of(&profile.server);
        ImapStore { connection, profile, capabilities, names, quirks, selection: Selection::Nothing }
    }

    /// How the server spells a name.
    pub(super) fn wire(&self, name: &MailboxName) -> Result<WireName, Error> {
        self.names.wire(name).map_err(|reason| {
            let text = format!("{} cannot have a mailbox called {name}: {reason}", self.profile.address);
            Error::mailbox(Cause::CannotHold, text).for_good()
        })
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
        self.names.wire(name).err()
    }

    async fn mailboxes(&mut self) -> Result<Listing, Error> {
        self.connection.ensure_idle()?;
        self.list().await
    }

    async fn observe(&mut self, wanted: &[Wanted]) -> Result<Vec<Result<Observation, Error>>, Error> {
        self.connection.ensure_idle()?;
        self.look(wanted).await
    }

    async fn census(&mut self, name: &MailboxName) -> Result<Option<(MailboxStatus, UidSet)>, Error> {
        self.connection.ensure_idle()?;
        self.count(name).await
    }

    async fn fingerprints(&mut self, scope: &UidScope, uids: &UidSet) -> Result<BTreeMap<Uid, Fingerprint>, Error> {
        self.connection.ensure_idle()?;
        self.select(scope).await?;
        self.take_fingerprints(uids).await
    }

    async fn fetch(&mut self, scope: &UidScope, uids: &UidSet, deliver: mpsc::Sender<Fetched>) -> Result<(), Error> {
        self.connection.ensure_idle()?;
        self.select(scope).await?;
        self.fetch_messages(uids, deliver).await
    }

    async fn append(&mut self, scope: &UidScope, messages: Vec<Message>) -> Result<Vec<Appended>, Error> {
        self.connection.ensure_idle()?;
        self.select(scope).await?;
        self.append_messages(scope, messages).await
    }

    async fn store_flags(
        &mut self,
        scope: &UidScope,
        changes: &[(UidSet, FlagChange)],
        unchanged_since: Option<ModSeq>,
    ) -> Result<BTreeMap<Uid, Stored>, Error> {
        self.connection.ensure_idle()?;
        self.select(scope).await?;
        self.change_flags(changes, unchanged_since).await
    }

    async fn expunge(
        &mut self,
        scope: &UidScope,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Expunged, Error> {
        self.connection.ensure_idle()?;
        self.select(scope).await?;
        self.expunge_messages(uids, unchanged_since).await
    }

    async fn relocate(&mut self, from: &UidScope, uids: &UidSet, to: &UidScope) -> Result<Relocated, Error> {
        self.connection.ensure_idle()?;
        self.select(from).await?;
        self.relocate_messages(uids, to).await
    }

    async fn create(&mut self, name: &MailboxName) -> Result<(), Error> {
        self.connection.ensure_idle()?;
        self.create_mailbox(name).await
    }

    async fn delete(&mut self, name: &MailboxName) -> Result<(), Error> {
        self.connection.ensure_idle()?;
        self.delete_mailbox(name).await
    }

    async fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Result<(), Error> {
        self.connection.ensure_idle()?;
        self.rename_mailbox(from, to).await
    }

    async fn set_subscription(&mut self, name: &MailboxName, subscription: Subscription) -> Result<(), Error> {
        self.connection.ensure_idle()?;
        self.subscribe(name, subscription).await
    }

    async fn close(&mut self) {
        self.connection.leave(FAREWELL).await;
    }
}
