//! The contract of `Store`, held by IMAP sessions over TCP with servers of every kind.

use std::sync::Arc;
use std::time::Duration;

use interimap::store::Store;
use interimap::store::imap::{
    Compression, Endpoint, ImapStore, Link, Login, Mechanism, PasswordSource, Protection, connect,
};
use zeroize::Zeroizing;

use crate::support::dovecot::{PASSWORD, USER};
use crate::support::kind::{Kind, Server};

/// The password that every user has.
struct Known;

impl PasswordSource for Known {
    fn password(&self) -> Result<Zeroizing<String>, String> {
        Ok(Zeroizing::new(PASSWORD.to_owned()))
    }
}

async fn session(server: &Server) -> ImapStore {
    let endpoint = Endpoint {
        link: Link::Tcp { host: "127.0.0.1".to_owned(), port: server.port(), protection: Protection::Plain },
        login: Some(Login {
            username: USER.to_owned(),
            password: Arc::new(Known),
            mechanisms: vec![Mechanism::Plain, Mechanism::Login],
        }),
        timeout: Duration::from_secs(30),
        compression: Compression::Wanted,
        disable_extensions: Vec::new(),
        prefix: None,
        trace: None,
    };
    match connect(&endpoint).await {
        Ok(store) => store,
        Err(error) => panic!("{error}; {}", server.log()),
    }
}

async fn keeps_the_contract(kind: Kind) {
    let server = kind.start();
    // The user's home is made when a witness first asks for it.
    drop(server.witness_of(USER));
    let (mut store, mut other) = (session(&server).await, session(&server).await);
    // Cyrus offers it by itself.
    let compresses = matches!(kind, Kind::Cyrus | Kind::CyrusDots);
    assert_eq!(store.profile().compression == "DEFLATE", compresses, "{:?}", store.profile());
    // With CONDSTORE, marks that were set and taken back are changes since.
    if kind.expunges_together() && !store.profile().capabilities.contains("CONDSTORE") {
        crate::store_contract::holds_without_uidplus(&mut store, &mut other).await;
    }
    crate::store_contract::holds(&mut store, &mut other).await;
    store.close().await;
    other.close().await;
}

macro_rules! kept_by {
    ($($name:ident $kind:ident,)*) => {
        $(#[tokio::test]
        async fn $name() {
            keeps_the_contract(Kind::$kind).await;
        })*
    };
}

kept_by! {
    dovecot_keeps_the_contract Dovecot,
    dovecot_without_qresync_keeps_the_contract DovecotWithoutQresync,
    dovecot_without_condstore_keeps_the_contract DovecotWithoutCondstore,
    dovecot_without_uidplus_keeps_the_contract DovecotWithoutUidplus,
    dovecot_bare_keeps_the_contract DovecotBare,
    cyrus_keeps_the_contract Cyrus,
    cyrus_with_dots_keeps_the_contract CyrusDots,
    courier_keeps_the_contract Courier,
}
