//! The contract of `Store`, held by IMAP sessions with a server in memory that refuses whatever it does not announce.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;

#[path = "support/server.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use interimap::store::imap::{Endpoint, ImapStore, Link, TunnelStderr, connect_over};
use server::account::Account;
use server::{Manner, serve};

async fn session(account: &Arc<Mutex<Account>>, capabilities: &str) -> ImapStore {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    serve(theirs, account, Manner { capabilities: capabilities.to_owned(), ..Manner::default() });
    let endpoint = Endpoint {
        link: Link::Tunnel { command: "not run".to_owned(), stderr: TunnelStderr::Discarded },
        login: None,
        timeout: Duration::from_secs(20),
        disable_extensions: Vec::new(),
        prefix: None,
        trace: None,
    };
    connect_over(ours, &endpoint).await.unwrap()
}

#[tokio::test]
async fn the_contract_is_kept_with_what_a_server_announces() {
    for capabilities in [
        "IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDPLUS LIST-EXTENDED LIST-STATUS NAMESPACE ID UNSELECT ESEARCH LITERAL+ \
         MULTIAPPEND",
        "IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDPLUS LIST-EXTENDED LIST-STATUS LITERAL-",
    ] {
        let account = Arc::new(Mutex::new(Account::default()));
        let (mut store, mut other) = (session(&account, capabilities).await, session(&account, capabilities).await);
        contract::holds(&mut store, &mut other).await;
        assert_eq!(account.lock().unwrap().offences, [""; 0], "{capabilities}");
    }
}
