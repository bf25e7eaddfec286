//! The contract of `Store`, held by trees of Maildirs of either layout.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "every Maildir can expunge single messages")]
mod contract;

use interimap::store::maildir::{Durability, Endpoint, IndexFile, KeywordStorage, Layout, Maildir, NameEncoding, open};

async fn session(endpoint: &Endpoint, index: &std::path::Path) -> Maildir {
    open(endpoint, IndexFile::Kept(index.to_owned())).await.unwrap()
}

async fn keeps_the_contract(layout: Layout, names: NameEncoding, keywords: KeywordStorage, durability: Durability) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Mail");
    let endpoint = Endpoint { path, layout, inbox: None, names, keywords, durability };
    let index = directory.path().join("work.db.local-index");
    let (mut store, mut other) = (session(&endpoint, &index).await, session(&endpoint, &index).await);
    contract::holds(&mut store, &mut other).await;
}

#[tokio::test]
async fn a_tree_of_directories_keeps_the_contract() {
    keeps_the_contract(Layout::Fs, NameEncoding::Utf8, KeywordStorage::Index, Durability::Synced).await;
}

#[tokio::test]
async fn maildir_plus_plus_keeps_the_contract() {
    keeps_the_contract(Layout::MaildirPlusPlus, NameEncoding::Utf7, KeywordStorage::Index, Durability::Unsynced).await;
}

#[tokio::test]
async fn keywords_as_letters_keep_the_contract() {
    keeps_the_contract(Layout::Fs, NameEncoding::Utf7, KeywordStorage::Dovecot, Durability::Unsynced).await;
}
