//! The contract of `Store`, held by the store in memory that the model is built on: a model of a store that is none would
//! prove nothing.

mod contract;

#[path = "support/memory.rs"]
#[expect(
    clippy::unwrap_used,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; the model uses it from inside"
)]
mod memory;

use std::sync::{Arc, Mutex};

use memory::{MemoryStore, Observer, Oddity, Relocation, Server, SharedFuse};

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() {
    for (observer, relocation) in [(Observer::Qresync, Relocation::Move), (Observer::Full, Relocation::Copy)] {
        let mut server = Server::default();
        server.relocation = relocation;
        let server = Arc::new(Mutex::new(server));
        let session = || MemoryStore::new(server.clone(), observer, SharedFuse::default());
        contract::holds(&mut session(), &mut session()).await;
    }
}

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract_without_uidplus() {
    for observer in [Observer::Qresync, Observer::Full] {
        let server = Arc::new(Mutex::new(Server::default()));
        server.lock().unwrap().oddities.push(Oddity::NoUidplus);
        let session = || MemoryStore::new(server.clone(), observer, SharedFuse::default());
        contract::holds_without_uidplus(&mut session(), &mut session()).await;
    }
}
