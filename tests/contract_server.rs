//! The contract of `Store`, held by IMAP sessions with servers in memory that refuse whatever they do not announce.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;

#[path = "support/session.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod session;

use std::sync::{Arc, Mutex};

use session::server::Manner;
use session::server::account::Account;
use session::{manners, open};

/// `pushes`: when the servers tell what others did.
async fn every_manner_keeps_the_contract(pushes: u64) {
    for manner in manners() {
        let manner = Manner { pushes, ..manner };
        println!("{manner:?}");
        let account = Arc::new(Mutex::new(Account::default()));
        let (mut store, mut other) = (open(&account, &manner).await, open(&account, &manner).await);
        // With mod-sequences, what was marked and unmarked has changed since.
        if !["UIDPLUS", "CONDSTORE"].into_iter().any(|name| manner.capabilities.contains(name)) {
            contract::holds_without_uidplus(&mut store, &mut other).await;
        }
        contract::holds(&mut store, &mut other).await;
        assert_eq!(account.lock().unwrap().offences, [""; 0], "{manner:?}");
    }
}

#[tokio::test]
async fn servers_that_tell_everything_at_once_keep_the_contract() {
    every_manner_keeps_the_contract(u64::MAX).await;
}

#[tokio::test]
async fn servers_that_tell_only_what_they_must_keep_the_contract() {
    every_manner_keeps_the_contract(0).await;
}

#[tokio::test]
async fn servers_that_tell_now_and_then_keep_the_contract() {
    every_manner_keeps_the_contract(0x0123_4567_89ab_cdef).await;
}
