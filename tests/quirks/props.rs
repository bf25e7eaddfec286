//! What every dialogue needs: a login, and words for what goes in and comes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use interimap::mail::{
    Checkpoint, FlagSet, InternalDate, MailboxName, ModSeq, Observation, Silence, Uid, UidSet, UidValidity,
};
use interimap::store::imap::{
    Compression, Endpoint, ImapStore, Link, Login, Mechanism, PasswordSource, Protection, TunnelStderr, connect_over,
};
use interimap::store::{Body, Error, Fetched, Form, Message, Store, UidScope, Wanted};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::script::{Player, play_on};

/// When every message was received.
pub(crate) const DATE: &str = "17-Jul-1996 02:44:25 -0700";

/// What is said of ourselves where the server offers ID.
pub(crate) const ID: &str = concat!("ID (\"name\" \"interimap\" \"version\" \"", env!("CARGO_PKG_VERSION"), "\")");

/// A session with a server that greets with these words, takes the login, and then offers these capabilities.
pub(crate) fn login(greeting: &str, capabilities: &str) -> String {
    format!(
        "S: * OK {greeting}\nC: c1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\nS: c1 OK done\n\
         C: c2 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\nS: c2 OK welcome\n\
         C: c3 CAPABILITY\nS: * CAPABILITY IMAP4rev1 {capabilities}\nS: c3 OK done\n"
    )
}

/// The flight that follows, with a server that has one namespace of that delimiter and calls itself so.
pub(crate) fn survey(delimiter: &str, id: &str) -> String {
    format!(
        "C: n1 NAMESPACE\nC: n2 {ID}\nS: * NAMESPACE ((\"\" \"{delimiter}\")) NIL NIL\nS: n1 OK done\n\
         S: * ID {id}\nS: n2 OK done\n"
    )
}

/// What SELECT says.
pub(crate) fn mailbox(messages: u32, uid_validity: u32, uid_next: u32) -> String {
    format!("S: * {messages} EXISTS\nS: * OK [UIDVALIDITY {uid_validity}] ok\nS: * OK [UIDNEXT {uid_next}] ok\n")
}

pub(crate) fn play(script: &str) -> (tokio::io::DuplexStream, Player) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    (ours, play_on(theirs, script))
}

/// A session in which all of `script` is played.
pub(crate) async fn opened(script: &str) -> (ImapStore, Player) {
    let (stream, player) = play(script);
    match connect_over(stream, &tcp()).await {
        Ok(store) => (store, player),
        Err(error) => {
            player.finish().await;
            panic!("{error}");
        }
    }
}

/// The error with which a session ends before it begins.
pub(crate) async fn refused(script: &str) -> Error {
    let (stream, player) = play(script);
    let Err(error) = connect_over(stream, &tcp()).await else { panic!("it was opened") };
    player.finish().await;
    error
}

pub(crate) async fn finish(store: ImapStore, player: Player) {
    drop(store);
    player.finish().await;
}

pub(crate) fn tcp() -> Endpoint {
    let login = Login {
        username: "alice".to_owned(),
        password: Arc::new(Password),
        mechanisms: vec![Mechanism::Plain, Mechanism::Login],
    };
    Endpoint {
        link: Link::Tcp { host: "mail.example.org".to_owned(), port: 143, protection: Protection::Plain },
        login: Some(login),
        ..tunnel()
    }
}

pub(crate) fn tunnel() -> Endpoint {
    Endpoint {
        link: Link::Tunnel { command: "not run".to_owned(), stderr: TunnelStderr::Discarded },
        login: None,
        timeout: Duration::from_secs(20),
        compression: Compression::Unwanted,
        disable_extensions: Vec::new(),
        prefix: None,
        trace: None,
    }
}

struct Password;

impl PasswordSource for Password {
    fn password(&self) -> Result<Zeroizing<String>, String> {
        Ok(Zeroizing::new("secret".to_owned()))
    }
}

pub(crate) fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

pub(crate) fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

pub(crate) fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().copied().map(uid).collect()
}

pub(crate) fn scope(text: &str, uid_validity: u32) -> UidScope {
    UidScope { name: name(text), uid_validity: UidValidity::new(uid_validity).unwrap() }
}

pub(crate) fn anew(text: &str) -> Wanted {
    Wanted { name: name(text), since: None }
}

/// `modseq` 0: none is remembered.
pub(crate) fn since(text: &str, uid_validity: u32, uid_next: u32, modseq: u64) -> Wanted {
    let since = Checkpoint {
        uid_validity: UidValidity::new(uid_validity).unwrap(),
        uid_next: uid(uid_next),
        highest_modseq: ModSeq::new(modseq),
    };
    Wanted { name: name(text), since: Some(since) }
}

/// `1:\Seen 2:` and what silence means.
pub(crate) fn shown(observation: &Observation) -> String {
    let messages: Vec<String> = observation.messages.iter().map(|(uid, flags)| format!("{uid}:{flags}")).collect();
    match &observation.silence {
        Silence::Gone => format!("{} else gone", messages.join(" ")),
        Silence::Unchanged { vanished } => format!("{} vanished {vanished}", messages.join(" ")),
    }
}

/// What one mailbox looks like.
pub(crate) async fn look(store: &mut ImapStore, wanted: Wanted) -> Result<String, Error> {
    store.observe(&[wanted]).await?.remove(0).map(|seen| shown(&seen))
}

/// The names of a listing, with `+` where the mailbox is subscribed to, `-` where it is not, and `?` where nobody knows;
/// then what it is for.
pub(crate) async fn list(store: &mut ImapStore) -> Result<Vec<String>, Error> {
    use interimap::mail::Subscription::{Subscribed, Unsubscribed};
    let listing = store.mailboxes().await?;
    let shown = listing.mailboxes.iter().map(|(name, listed)| {
        let sign = match listed.subscription {
            Some(Subscribed) => '+',
            Some(Unsubscribed) => '-',
            None => '?',
        };
        let uses: Vec<&str> = listed.special_use.iter().map(String::as_str).collect();
        format!("{sign}{name} {}", uses.join(" ")).trim_end().to_owned()
    });
    Ok(shown.collect())
}

pub(crate) fn message(octets: &[u8]) -> Message {
    Message {
        uid: Uid::MIN,
        flags: FlagSet::new(),
        internal_date: InternalDate::parse(DATE).unwrap(),
        size: octets.len() as u64,
        form: Form::Text,
        body: Body::Whole(Bytes::copy_from_slice(octets)),
    }
}

/// The response that holds a message.
pub(crate) fn delivered(uid: u32, octets: &str) -> String {
    format!(
        "S: * {uid} FETCH (UID {uid} FLAGS (\\Seen) INTERNALDATE \"{DATE}\" RFC822.SIZE {size} BODY[] {{{size}}}\n\
         S> {octets}\nS: )\n",
        size = octets.len()
    )
}

/// What we say to get messages.
pub(crate) const ITEMS: &str = "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])";

/// What was delivered, one line a message.
pub(crate) async fn fetch(store: &mut ImapStore, scope: &UidScope, uids: &UidSet) -> Result<Vec<String>, Error> {
    let (deliver, mut receiver) = mpsc::channel(1);
    let delivered = async {
        let mut delivered = Vec::new();
        while let Some(fetched) = receiver.recv().await {
            delivered.push(match fetched {
                Fetched::Unreadable { uid, reason } => format!("{uid} unreadable: {reason}"),
                Fetched::Message(Message { uid, flags, body, .. }) => {
                    format!("{uid} {flags} {}", String::from_utf8_lossy(body.head()))
                }
            });
        }
        delivered
    };
    let (result, delivered) = tokio::join!(store.fetch(scope, uids, deliver), delivered);
    result.map(|()| delivered)
}
