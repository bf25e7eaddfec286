//! Sessions with servers in memory of every manner.

#[path = "server.rs"]
pub(crate) mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use interimap::store::imap::{
    Compression, Endpoint, ImapStore, Link, Login, Mechanism, PasswordSource, TunnelStderr, connect_over,
};
use server::account::Account;
use server::{Habit, Manner, serve};
use zeroize::Zeroizing;

/// How many histories a property is tried on: `INTERIMAP_TEST_SCALE` times so many.
pub(crate) fn histories() -> u32 {
    64 * std::env::var("INTERIMAP_TEST_SCALE").map_or(1, |scale| scale.parse::<u32>().unwrap())
}

/// From servers that can do everything to those that can do nothing.
pub(crate) fn manners() -> Vec<Manner> {
    let manner = |capabilities: &str, habits: &[Habit]| Manner {
        capabilities: format!("IMAP4rev1 {capabilities}").trim_end().to_owned(),
        habits: habits.to_vec(),
        ..Manner::default()
    };
    let login = Some(("alice".to_owned(), "secret".to_owned()));
    vec![
        manner(
            "ENABLE CONDSTORE QRESYNC UIDPLUS ESEARCH LIST-EXTENDED LIST-STATUS NAMESPACE ID UNSELECT LITERAL+ \
             MULTIAPPEND",
            &[],
        ),
        manner("ENABLE CONDSTORE QRESYNC UIDPLUS LIST-STATUS LITERAL+ MULTIAPPEND COMPRESS=DEFLATE", &[]),
        manner("ENABLE CONDSTORE QRESYNC LITERAL-", &[Habit::MissesTheGone]),
        manner(
            "ENABLE CONDSTORE UIDPLUS ESEARCH LIST-EXTENDED LIST-STATUS NAMESPACE ID UNSELECT LITERAL-",
            &[Habit::ExpungeKeepsModSeq],
        ),
        manner("CONDSTORE UIDPLUS LIST-EXTENDED", &[Habit::MissesTheGone]),
        manner("CONDSTORE MULTIAPPEND", &[Habit::NoUidNext]),
        Manner { login, ..manner("UIDPLUS COMPRESS=DEFLATE", &[Habit::BareRefusals]) },
        manner("", &[Habit::NoUidNext, Habit::MissesTheGone]),
    ]
}

struct Password;

impl PasswordSource for Password {
    fn password(&self) -> Result<Zeroizing<String>, String> {
        Ok(Zeroizing::new("secret".to_owned()))
    }
}

/// Connects to a server of that manner, which holds what `account` holds.
pub(crate) async fn open(account: &Arc<Mutex<Account>>, manner: &Manner) -> ImapStore {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    serve(theirs, account, manner.clone());
    let login = manner.login.as_ref().map(|(user, _)| Login {
        username: user.clone(),
        password: Arc::new(Password),
        mechanisms: vec![Mechanism::Plain, Mechanism::Login],
    });
    let endpoint = Endpoint {
        link: Link::Tunnel { command: "not run".to_owned(), stderr: TunnelStderr::Discarded },
        login,
        timeout: Duration::from_secs(20),
        compression: Compression::Wanted,
        disable_extensions: Vec::new(),
        prefix: None,
        trace: None,
    };
    connect_over(ours, &endpoint).await.unwrap()
}
