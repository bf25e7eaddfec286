//! The contract of `Store`, held by trees of Maildirs of either layout, with INBOX wherever it may be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "every Maildir can expunge single messages")]
mod contract;

use std::fs;
use std::path::Path;

use interimap::mail::Access;
use interimap::store::maildir::{Durability, Endpoint, IndexFile, KeywordStorage, Layout, Maildir, NameEncoding, open};

fn tree(directory: &Path) -> Endpoint {
    Endpoint {
        path: directory.join("Mail"),
        layout: Layout::Fs,
        inbox: None,
        names: NameEncoding::Utf8,
        keywords: KeywordStorage::Index,
        durability: Durability::Unsynced,
        access: Access::ReadWrite,
    }
}

/// `written` says how the tree in a new directory is written.
async fn keeps_the_contract(written: impl FnOnce(&Path) -> Endpoint) {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = written(directory.path());
    let index = directory.path().join("work.db.local-index");
    let (mut store, mut other) = (session(&endpoint, &index).await, session(&endpoint, &index).await);
    contract::holds(&mut store, &mut other).await;
}

async fn session(endpoint: &Endpoint, index: &Path) -> Maildir {
    open(endpoint, IndexFile::Kept(index.to_owned())).await.unwrap()
}

#[tokio::test]
async fn a_tree_of_directories_keeps_the_contract() {
    keeps_the_contract(|directory| Endpoint { durability: Durability::Synced, ..tree(directory) }).await;
}

#[tokio::test]
async fn maildir_plus_plus_keeps_the_contract() {
    keeps_the_contract(|directory| Endpoint {
        layout: Layout::MaildirPlusPlus,
        names: NameEncoding::Utf7,
        ..tree(directory)
    })
    .await;
}

#[tokio::test]
async fn keywords_as_letters_keep_the_contract() {
    keeps_the_contract(|directory| Endpoint {
        names: NameEncoding::Utf7,
        keywords: KeywordStorage::Dovecot,
        ..tree(directory)
    })
    .await;
}

#[tokio::test]
async fn an_inbox_outside_of_the_tree_keeps_the_contract() {
    keeps_the_contract(|directory| Endpoint { inbox: Some(directory.join("Inbox")), ..tree(directory) }).await;
}

#[tokio::test]
async fn a_hidden_inbox_keeps_the_contract() {
    keeps_the_contract(|directory| Endpoint { inbox: Some(directory.join("Mail/.in/here")), ..tree(directory) }).await;
}

#[tokio::test]
async fn an_inbox_that_is_the_tree_keeps_the_contract() {
    keeps_the_contract(|directory| {
        let endpoint = tree(directory);
        fs::create_dir_all(endpoint.path.join("cur")).unwrap();
        endpoint
    })
    .await;
}
