//! A tree of Maildirs, to which an index gives UIDs and mod-sequences, so that it looks like a QRESYNC server.
//!
//! The index is derived from the tree, and the tree is everybody's: mail programs rename, move and remove files at any
//! moment. So every verb acts on the name that a file is known by and looks again where that fails; a message counts as
//! gone only after a reading of its directories that nothing can have disturbed.

mod absence;
mod alter;
mod compare;
mod deliver;
mod directories;
mod duplicate;
mod endpoint;
mod fault;
mod fetch;
mod file_name;
mod flags;
mod folders;
mod index;
mod keyword_file;
mod keywords;
mod line_ends;
mod mailboxes;
mod measure;
mod observe;
mod pass;
mod path;
mod refresh;
mod rename;
mod stamp;
mod tree;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

pub use endpoint::{Durability, Endpoint, IndexFile, KeywordStorage, Layout, NameEncoding};

use super::{
    Appended, Cause, Error, Expunged, Fetched, Incarnation, Listing, Message, Method, Passage, Profile, Relocated,
    Store, Stored, Traffic, UidScope, Wanted,
};
use crate::mail::{
    Fingerprint, FlagChange, MailboxName, MailboxStatus, ModSeq, Observation, Subscription, Uid, UidSet,
};
use path::Names;
use tree::Tree;

/// Opens a tree, and makes it where there is none and the index knows of none.
pub async fn open(endpoint: &Endpoint, index: IndexFile) -> Result<Maildir, Error> {
    let wanted = endpoint.clone();
    let tree = spawn_blocking(move || Tree::open(&wanted, &index)).await.unwrap_or_else(|error| Err(lost(&error)))?;
    let layout = match endpoint.layout {
        Layout::Fs => "fs",
        Layout::MaildirPlusPlus => "maildir++",
    };
    let profile = Profile {
        address: format!("maildir:{}", endpoint.path.display()),
        server: String::new(),
        protection: String::new(),
        compression: String::new(),
        login: String::new(),
        method: Method::Embedded,
        reason: format!("an index beside the state gives the files UIDs and mod-sequences; layout {layout}"),
        capabilities: BTreeSet::new(),
        delimiter: Some(match endpoint.layout {
            Layout::Fs => '/',
            Layout::MaildirPlusPlus => '.',
        }),
        prefix: String::new(),
    };
    Ok(Maildir { profile, names: tree.names.clone(), tree: Arc::new(Mutex::new(tree)) })
}

/// An open tree. What it does blocks, so that it is done beside the run: the other side goes on meanwhile.
pub struct Maildir {
    profile: Profile,
    names: Names,
    tree: Arc<Mutex<Tree>>,
}

impl Maildir {
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tree) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let tree = Arc::clone(&self.tree);
        let done = spawn_blocking(move || {
            // What a panic may have left half done is in the index not at all: its transaction was dropped.
            let mut tree = tree.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut tree)
        });
        done.await.unwrap_or_else(|error| Err(lost(&error)))
    }
}

/// The work was stopped with the run, or panicked.
fn lost(error: &tokio::task::JoinError) -> Error {
    Error::side(Cause::ConnectionLost, format!("the work on the Maildir was broken off: {error}"))
}

#[async_trait]
impl Store for Maildir {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    fn incarnation(&self) -> Option<Incarnation> {
        let tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        Some(tree.index.incarnation().clone())
    }

    async fn distrust(&mut self) -> Result<(), Error> {
        self.with(|tree| Ok(tree.index.distrust()?)).await
    }

    fn refuses_name(&self, name: &MailboxName) -> Option<String> {
        self.names.refuses(name)
    }

    async fn mailboxes(&mut self) -> Result<Listing, Error> {
        self.with(Tree::mailboxes).await
    }

    async fn observe(&mut self, wanted: &[Wanted]) -> Result<Vec<Result<Observation, Error>>, Error> {
        let wanted = wanted.to_vec();
        self.with(move |tree| tree.observe(&wanted)).await
    }

    async fn census(&mut self, name: &MailboxName) -> Result<Option<(MailboxStatus, UidSet)>, Error> {
        let name = name.clone();
        self.with(move |tree| tree.census(&name)).await
    }

    async fn fingerprints(&mut self, scope: &UidScope, uids: &UidSet) -> Result<BTreeMap<Uid, Fingerprint>, Error> {
        let (scope, uids) = (scope.clone(), uids.clone());
        self.with(move |tree| tree.fingerprints(&scope, &uids)).await
    }

    async fn fetch(&mut self, scope: &UidScope, uids: &UidSet, deliver: mpsc::Sender<Fetched>) -> Result<(), Error> {
        let (scope, uids) = (scope.clone(), uids.clone());
        self.with(move |tree| tree.fetch(&scope, &uids, &deliver)).await
    }

    async fn append(&mut self, scope: &UidScope, messages: Vec<Message>) -> Result<Vec<Appended>, Error> {
        let scope = scope.clone();
        self.with(move |tree| tree.append(&scope, messages)).await
    }

    async fn store_flags(
        &mut self,
        scope: &UidScope,
        changes: &[(UidSet, FlagChange)],
        unchanged_since: Option<ModSeq>,
    ) -> Result<BTreeMap<Uid, Stored>, Error> {
        let (scope, changes) = (scope.clone(), changes.to_vec());
        self.with(move |tree| tree.store_flags(&scope, &changes, unchanged_since)).await
    }

    async fn expunge(
        &mut self,
        scope: &UidScope,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Expunged, Error> {
        let (scope, uids) = (scope.clone(), uids.clone());
        self.with(move |tree| tree.expunge(&scope, &uids, unchanged_since)).await
    }

    async fn relocate(
        &mut self,
        from: &UidScope,
        uids: &UidSet,
        to: &UidScope,
        passage: Passage,
    ) -> Result<Relocated, Error> {
        let (from, uids, to) = (from.clone(), uids.clone(), to.clone());
        let work = move |tree: &mut Tree| match passage {
            Passage::Move => tree.relocate(&from, &uids, &to),
            Passage::Copy => tree.duplicate(&from, &uids, &to),
        };
        self.with(work).await
    }

    async fn create(&mut self, name: &MailboxName) -> Result<(), Error> {
        let name = name.clone();
        self.with(move |tree| tree.create(&name)).await
    }

    async fn delete(&mut self, name: &MailboxName) -> Result<(), Error> {
        let name = name.clone();
        self.with(move |tree| tree.delete(&name)).await
    }

    async fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Result<(), Error> {
        let (from, to) = (from.clone(), to.clone());
        self.with(move |tree| tree.rename(&from, &to)).await
    }

    async fn set_subscription(&mut self, name: &MailboxName, subscription: Subscription) -> Result<(), Error> {
        let name = name.clone();
        self.with(move |tree| tree.set_subscription(&name, subscription)).await
    }

    async fn close(&mut self) {}
}

#[cfg(test)]
mod cost;
