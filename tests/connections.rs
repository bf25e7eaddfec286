//! Several connections to one side: how many there are, and that none of them is missed when it is refused or lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;

#[path = "support/session.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use interimap::mail::{FlagSet, InternalDate, MailboxName, Uid, UidSet};
use interimap::store::imap::{
    Compression, Connections, Crew, Endpoint, Link, Login, Mechanism, PasswordSource, Protection,
};
use interimap::store::{Appended, Batch, BatchAnswer, Body, Error, Form, Message, Reach, Store, UidScope};
use session::manners;
use session::server::account::Account;
use session::server::{Manner, serve};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::sleep;
use zeroize::Zeroizing;

const CAPABILITIES: &str = "IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDPLUS LIST-STATUS LITERAL+ MULTIAPPEND";

/// How large a message is, and how many go in a batch.
const OCTETS: usize = 128 * 1024;
const MESSAGES: u64 = 8;

/// What becomes of connections after the first.
#[derive(Clone, Copy, Debug)]
enum Others {
    Served,
    /// These words are all that is said.
    Greeted(&'static str),
    /// The login is refused with these words.
    Barred(&'static str),
    /// The connection is cut when so many octets have come.
    Cut(u64),
}

/// How many messages one command may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commands {
    Single,
    Multiple,
}

/// A server on a port of its own.
struct Site {
    port: u16,
    commands: Commands,
    account: Arc<Mutex<Account>>,
    /// How many connections were made.
    connections: Arc<AtomicUsize>,
    /// How often the password was asked for.
    asked: Arc<AtomicUsize>,
}

struct Password(Arc<AtomicUsize>);

impl PasswordSource for Password {
    fn password(&self) -> Result<Zeroizing<String>, String> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Zeroizing::new("secret".to_owned()))
    }
}

impl Site {
    async fn open(capabilities: &str, others: Others) -> Site {
        let login = Some(("alice".to_owned(), "secret".to_owned()));
        Site::with(Manner { capabilities: capabilities.to_owned(), login, ..Manner::default() }, others).await
    }

    async fn with(manner: Manner, others: Others) -> Site {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let commands = if manner.capabilities.contains("MULTIAPPEND") { Commands::Multiple } else { Commands::Single };
        let (account, connections) = (Arc::<Mutex<Account>>::default(), Arc::<AtomicUsize>::default());
        let (held, made) = (account.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                match made.fetch_add(1, Ordering::SeqCst) {
                    0 => pass(stream, &held, &manner, u64::MAX),
                    _ => receive(stream, &held, &manner, others),
                }
            }
        });
        Site { port, commands, account, connections, asked: Arc::default() }
    }

    async fn connect(&self, most: u8) -> Crew {
        let password = Arc::new(Password(self.asked.clone()));
        let login = Login { username: "alice".to_owned(), password, mechanisms: vec![Mechanism::Login] };
        let endpoint = Endpoint {
            link: Link::Tcp { host: "127.0.0.1".to_owned(), port: self.port, protection: Protection::Plain },
            login: Some(login),
            timeout: Duration::from_secs(20),
            compression: Compression::Wanted,
            disable_extensions: Vec::new(),
            prefix: None,
            trace: None,
        };
        Crew::connect(&endpoint, Connections::new(most).unwrap()).await.unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How often each message is there, by the number that it bears.
    fn held(&self) -> BTreeMap<u64, usize> {
        let account = self.account.lock().unwrap();
        let mut held = BTreeMap::new();
        for message in account.mailboxes["INBOX"].messages.values() {
            *held.entry(number_of(&message.octets)).or_default() += 1;
        }
        held
    }
}

/// Does with a connection after the first what is to be done.
fn receive(mut stream: TcpStream, account: &Arc<Mutex<Account>>, manner: &Manner, others: Others) {
    match others {
        Others::Served => pass(stream, account, manner, u64::MAX),
        Others::Greeted(words) => drop(tokio::spawn(async move { stream.write_all(words.as_bytes()).await })),
        Others::Barred(words) => drop(tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            stream.write_all(b"* OK [CAPABILITY IMAP4rev1] ready\r\n").await.unwrap();
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let tag = line.split(' ').next().unwrap();
            stream.write_all(format!("{tag} {words}\r\n").as_bytes()).await
        })),
        Others::Cut(octets) => pass(stream, account, manner, octets),
    }
}

/// Serves a client at a pace at which it can be told from one that is fast enough; until so many octets have come.
fn pass(mut stream: TcpStream, account: &Arc<Mutex<Account>>, manner: &Manner, octets: u64) {
    let (client, server) = tokio::io::duplex(1 << 16);
    serve(server, account, manner.clone());
    tokio::spawn(async move {
        let (hear, mut say) = stream.split();
        let (mut answers, mut questions) = split(client);
        let (mut hear, mut some) = (hear.take(octets), vec![0; 1 << 16]);
        let listening = async {
            while let Ok(count @ 1..) = hear.read(&mut some).await {
                if count > 1000 {
                    sleep(Duration::from_millis(1)).await;
                }
                questions.write_all(&some[..count]).await.unwrap();
            }
        };
        tokio::select! {
            () = listening => {}
            _ = copy(&mut answers, &mut say) => {}
        }
    });
}

fn letter(number: u64) -> Message {
    let mut octets = format!("Subject: {number}\r\n\r\n").into_bytes();
    octets.resize(OCTETS, b'x');
    Message {
        uid: Uid::new(u32::try_from(number).unwrap() + 1).unwrap(),
        flags: FlagSet::default(),
        internal_date: InternalDate::EPOCH,
        size: OCTETS as u64,
        form: Form::Text,
        body: Body::Whole(Bytes::from(octets)),
    }
}

fn number_of(octets: &[u8]) -> u64 {
    let line = octets.split(|octet| *octet == b'\r').next().unwrap();
    std::str::from_utf8(line).unwrap().strip_prefix("Subject: ").unwrap().parse().unwrap()
}

async fn inbox(store: &mut dyn Store) -> UidScope {
    let name = MailboxName::new("INBOX").unwrap();
    let (status, _) = store.census(&name).await.unwrap().unwrap();
    UidScope { name, uid_validity: status.uid_validity }
}

/// Appends so many batches of a MiB, as fast as they are taken; all answers by the numbers of the batches.
async fn append(store: &mut dyn Store, scope: &UidScope, batches: std::ops::Range<u64>) -> BTreeMap<u64, BatchAnswer> {
    let (send, receive) = mpsc::channel(1);
    let (answers, mut answered) = mpsc::channel::<BatchAnswer>(1);
    let sending = async {
        for number in batches.clone() {
            let messages = (number * MESSAGES..(number + 1) * MESSAGES).map(letter).collect();
            let batch = Batch { number, parts: vec![(scope.clone(), messages)] };
            send.send(batch).await.unwrap();
        }
        drop(send);
    };
    let hearing = async {
        let mut heard = BTreeMap::new();
        while let Some(answer) = answered.recv().await {
            assert!(heard.insert(answer.number, answer).is_none(), "a batch is answered twice");
        }
        heard
    };
    let (appended, (), heard) = tokio::join!(store.append_each(receive, answers), sending, hearing);
    appended.unwrap();
    assert_eq!(heard.keys().copied().collect::<Vec<_>>(), batches.collect::<Vec<_>>());
    heard
}

fn uids_of(answer: &BatchAnswer) -> Result<Vec<Uid>, &Error> {
    let [part] = answer.parts.as_slice() else { panic!("{answer:?}") };
    let uid = |appended: &Appended| match appended {
        Appended::At { uid, .. } => *uid,
        other => panic!("{other:?}"),
    };
    part.as_ref().map(|appended| appended.iter().map(uid).collect())
}

/// Everything is there once, each batch without anything between its messages where the server takes many in one command.
fn all_arrived(site: &Site, heard: &BTreeMap<u64, BatchAnswer>) {
    let mut seen = BTreeSet::new();
    for (number, answer) in heard {
        let uids = uids_of(answer).unwrap();
        let in_a_run = |two: &[Uid]| two[1].get() == two[0].get() + 1 || site.commands == Commands::Single;
        assert!(uids.windows(2).all(|two| two[1] > two[0] && in_a_run(two)), "batch {number}: {uids:?}");
        assert!(uids.iter().all(|uid| seen.insert(*uid)));
        let account = site.account.lock().unwrap();
        let held = |uid: &Uid| number_of(&account.mailboxes["INBOX"].messages[&uid.get()].octets);
        let numbers: Vec<u64> = uids.iter().map(held).collect();
        assert_eq!(numbers, (number * MESSAGES..(number + 1) * MESSAGES).collect::<Vec<_>>());
    }
    assert_eq!(site.held().len() as u64, heard.len() as u64 * MESSAGES);
    assert!(site.held().values().all(|times| *times == 1));
    assert_eq!(site.account.lock().unwrap().offences, [""; 0]);
}

#[tokio::test]
async fn a_small_append_uses_one_connection() {
    let site = Site::open(CAPABILITIES, Others::Served).await;
    let mut store = site.connect(4).await;
    let scope = inbox(&mut store).await;
    let heard = append(&mut store, &scope, 0..7).await;
    all_arrived(&site, &heard);
    assert_eq!((site.connections(), site.asked.load(Ordering::SeqCst)), (1, 1));
    store.close().await;
}

#[tokio::test]
async fn a_large_append_uses_all_connections_and_no_more_and_asks_for_the_password_once() {
    for most in [1, 2, 4] {
        let site = Site::open(CAPABILITIES, Others::Served).await;
        let mut store = site.connect(most).await;
        let scope = inbox(&mut store).await;
        let heard = append(&mut store, &scope, 0..64).await;
        all_arrived(&site, &heard);
        assert_eq!((site.connections(), site.asked.load(Ordering::SeqCst)), (usize::from(most), 1));
        assert!(store.traffic().bytes_sent > 64 << 20, "what goes over all of them is counted");
        let logouts = site.account.lock().unwrap().heard.iter().filter(|name| *name == "LOGOUT").count();
        assert_eq!(logouts, usize::from(most) - 1, "who has helped leaves");
        store.close().await;
    }
}

/// A plain session sees what others have appended only when it is told to look.
#[tokio::test]
async fn the_first_connection_sees_what_the_others_appended() {
    for capabilities in [CAPABILITIES, "IMAP4rev1 UIDPLUS LITERAL+ MULTIAPPEND", "IMAP4rev1 CONDSTORE UIDPLUS"] {
        let site = Site::open(capabilities, Others::Served).await;
        let mut store = site.connect(3).await;
        let scope = inbox(&mut store).await;
        store.fingerprints(&scope, &UidSet::from_iter([Uid::new(1).unwrap()])).await.unwrap();
        let heard = append(&mut store, &scope, 0..40).await;
        all_arrived(&site, &heard);
        assert_eq!(site.connections(), 3);
        let all: UidSet = heard.values().flat_map(|answer| uids_of(answer).unwrap()).collect();
        let prints = store.fingerprints(&scope, &all).await.unwrap();
        assert_eq!(prints.len() as u64, all.len(), "{capabilities}");
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_is_not_missed_and_not_asked_for_again() {
    for others in [
        Others::Barred("NO [LIMIT] too many connections"),
        Others::Barred("NO [UNAVAILABLE] try later"),
        Others::Barred("NO [AUTHENTICATIONFAILED] once is enough"),
        Others::Greeted("* BYE too many connections\r\n"),
        Others::Greeted(""),
        Others::Greeted("220 mail.example.org ESMTP\r\n"),
    ] {
        let site = Site::open(CAPABILITIES, others).await;
        let mut store = site.connect(4).await;
        let scope = inbox(&mut store).await;
        let heard = append(&mut store, &scope, 0..20).await;
        all_arrived(&site, &heard);
        assert_eq!(site.connections(), 2, "{others:?}");
        append(&mut store, &scope, 20..40).await;
        assert_eq!(site.connections(), 2, "{others:?}: it is remembered");
        assert_eq!(site.held().len() as u64, 40 * MESSAGES);
        assert_eq!(site.asked.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn what_was_on_its_way_over_a_connection_that_is_lost_is_left_open_and_never_sent_again() {
    for octets in [600, 20_000, 3_000_000, 5_000_000] {
        let site = Site::open(CAPABILITIES, Others::Cut(octets)).await;
        let mut store = site.connect(2).await;
        let scope = inbox(&mut store).await;
        let heard = append(&mut store, &scope, 0..32).await;
        let mut open = 0;
        for (number, answer) in &heard {
            let held = site.held();
            let times = |at| held.get(&at).copied().unwrap_or_default();
            let mut numbers = number * MESSAGES..(number + 1) * MESSAGES;
            match uids_of(answer) {
                Ok(_) => assert!(numbers.all(|at| times(at) == 1), "{octets}: batch {number}"),
                Err(error) => {
                    assert_eq!(error.reach, Reach::Mailbox, "{error}");
                    assert!(numbers.all(|at| times(at) <= 1), "{octets}: batch {number}");
                    open += 1;
                }
            }
        }
        assert!((1..=6).contains(&open), "{octets}: {open} batches are open");
        assert_eq!(site.connections(), 2);
        append(&mut store, &scope, 32..48).await;
        assert_eq!(site.connections(), 2, "there is no other in that run");
    }
}

#[tokio::test]
async fn a_side_of_several_connections_keeps_the_contract() {
    for manner in manners() {
        let login = Some(("alice".to_owned(), "secret".to_owned()));
        let site = Site::with(Manner { login, pushes: 0x0123_4567_89ab_cdef, ..manner.clone() }, Others::Served).await;
        let (mut store, mut other) = (site.connect(3).await, site.connect(3).await);
        if !["UIDPLUS", "CONDSTORE"].into_iter().any(|name| manner.capabilities.contains(name)) {
            contract::holds_without_uidplus(&mut store, &mut other).await;
        }
        contract::holds(&mut store, &mut other).await;
        assert_eq!(site.account.lock().unwrap().offences, [""; 0], "{manner:?}");
    }
}

#[test]
fn there_is_always_one_connection() {
    assert_eq!(
        [0, 1, 64, 65].map(|number| Connections::new(number).map(Connections::get)),
        [None, Some(1), Some(64), None]
    );
}
