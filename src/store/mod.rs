//! The port: what the engine may ask of a side. A store knows nothing of the other side, nor of being synchronized.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::mail::{
    Checkpoint, Fingerprint, FlagChange, FlagSet, InternalDate, MailboxName, MailboxStatus, Measure, ModSeq,
    Observation, Subscription, Uid, UidSet, UidValidity,
};

mod each;
pub mod imap;
pub mod maildir;
pub mod mutf7;

pub use crate::mail::{Listed, Listing, MailboxKind, Unnamable};

/// One open side: an authenticated session, or a tree of files.
///
/// Every method that names UIDs takes a [`UidScope`]; where the mailbox is of another generation by now, the answer is
/// [`Cause::UidValidityChanged`] and nothing has been touched. A UID that no longer exists is never an error.
#[async_trait]
pub trait Store: Send {
    /// What this side is and how it will be observed, for `check`, `--json` and messages.
    fn profile(&self) -> &Profile;

    /// What has gone over the wire so far.
    fn traffic(&self) -> Traffic;

    /// By which copy of a file the side knows its UIDs, where it is a file that somebody may put back.
    fn incarnation(&self) -> Option<Incarnation> {
        None
    }

    /// Lets go of what it knows by an older copy of that file, which was put back: every UID gets another meaning.
    async fn distrust(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Why this side cannot hold a mailbox of that name, if it cannot.
    fn refuses_name(&self, name: &MailboxName) -> Option<String>;

    /// Every mailbox of the side, with its status where it holds messages. One round trip.
    async fn mailboxes(&mut self) -> Result<Listing, Error>;

    /// Looks at mailboxes, all in as few round trips as the side allows. The answers stand in the order of the question;
    /// an error in one of them reaches no further than that mailbox. Where `since` cannot be resumed from (another
    /// UIDVALIDITY, numbers that went backwards, no mod-sequences, an answer that contradicts itself), every message is
    /// listed and silence means [`Silence::Gone`](crate::mail::Silence::Gone).
    async fn observe(&mut self, wanted: &[Wanted]) -> Result<Vec<Result<Observation, Error>>, Error>;

    /// Every UID of a mailbox, asked for afresh, with its status. `None` where the mailbox is no longer there.
    /// This is what a mass disappearance is checked against before it is believed.
    async fn census(&mut self, name: &MailboxName) -> Result<Option<(MailboxStatus, UidSet)>, Error>;

    /// Who these messages are. UIDs that are gone are missing from the answer.
    async fn fingerprints(&mut self, scope: &UidScope, uids: &UidSet) -> Result<BTreeMap<Uid, Fingerprint>, Error>;

    /// Who messages of several mailboxes are, all in as few round trips as the side allows. The answers stand in the order
    /// of the question; an error in one of them reaches no further than that mailbox.
    async fn fingerprints_each(
        &mut self,
        wanted: &[(UidScope, UidSet)],
    ) -> Result<Vec<Result<BTreeMap<Uid, Fingerprint>, Error>>, Error> {
        let mut answers = Vec::with_capacity(wanted.len());
        for (scope, uids) in wanted {
            answers.push(within_mailbox(self.fingerprints(scope, uids).await)?);
        }
        Ok(answers)
    }

    /// What messages of several mailboxes measure, all in as few round trips as the side allows, and in few octets. The
    /// answers stand in the order of the question. What is gone, or of which nothing is told, is missing from them.
    async fn measures_each(&mut self, wanted: &[(UidScope, UidSet)]) -> Result<Vec<BTreeMap<Uid, Measure>>, Error> {
        let prints = self.fingerprints_each(wanted).await?;
        let measures = |prints: BTreeMap<Uid, Fingerprint>| prints.into_iter().map(|(uid, it)| (uid, it.measure()));
        Ok(prints.into_iter().map(|prints| measures(prints.unwrap_or_default()).collect()).collect())
    }

    /// Sends these messages, lowest UID first, into `deliver`. UIDs that are gone are not sent. A receiver that was
    /// dropped is no error: what it did not want is read past.
    async fn fetch(&mut self, scope: &UidScope, uids: &UidSet, deliver: mpsc::Sender<Fetched>) -> Result<(), Error>;

    /// Sends messages of several mailboxes, in the order of the requests, and without a pause between them where the side
    /// allows. The next request is taken only when there is room for its answers, so that what is not wanted any more
    /// need not be asked for. An error that is delivered ends its place, and no other.
    async fn fetch_each(&mut self, requests: &mut Requests<'_>, deliver: mpsc::Sender<Delivered>) -> Result<(), Error> {
        each::fetch_one_by_one(self, requests, deliver).await
    }

    /// Appends messages, in order, in as few commands as the side allows. One answer a message. An `Err` leaves open
    /// which of them arrived: the caller's intents will tell.
    async fn append(&mut self, scope: &UidScope, messages: Vec<Message>) -> Result<Vec<Appended>, Error>;

    /// Appends batches as they come, without waiting for the answer to one before the next is taken, where the side allows
    /// that; ends when all that came is answered. That a mailbox is of another generation by now may go unnoticed, but no
    /// UID is told of it then. An `Err` leaves open what of the batches that are not answered has arrived.
    async fn append_each(
        &mut self,
        batches: mpsc::Receiver<Batch>,
        answers: mpsc::Sender<BatchAnswer>,
    ) -> Result<(), Error> {
        each::append_one_by_one(self, batches, answers).await
    }

    /// Changes flags, group by group, and says what flags each message bears afterwards. With `unchanged_since`, a
    /// message that has changed after that mod-sequence is left alone and answered with [`Stored::Modified`].
    async fn store_flags(
        &mut self,
        scope: &UidScope,
        changes: &[(UidSet, FlagChange)],
        unchanged_since: Option<ModSeq>,
    ) -> Result<BTreeMap<Uid, Stored>, Error>;

    /// Expunges exactly these messages and no other. Those that have changed after `unchanged_since` are kept. A side that
    /// can only expunge whatever is marked as deleted does so while nothing else is; see [`Expunged::Blocked`].
    async fn expunge(
        &mut self,
        scope: &UidScope,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Expunged, Error>;

    /// Puts messages of one mailbox into another one of this side, or beside themselves, without sending them. What is to
    /// be moved is copied where the side can do no more; [`Relocated`] says which are gone from `from`. They keep their
    /// flags and dates. An `Err` leaves open which of them arrived; that `to` is of another generation by now may go
    /// unnoticed, but no UID is told of it then.
    async fn relocate(
        &mut self,
        from: &UidScope,
        uids: &UidSet,
        to: &UidScope,
        passage: Passage,
    ) -> Result<Relocated, Error>;

    /// Creates a mailbox. One that exists already is no error.
    async fn create(&mut self, name: &MailboxName) -> Result<(), Error>;

    /// Creates mailboxes, in that order, all in as few round trips as the side allows.
    async fn create_each(&mut self, names: &[MailboxName]) -> Result<Vec<Result<(), Error>>, Error> {
        let mut answers = Vec::with_capacity(names.len());
        for name in names {
            answers.push(within_mailbox(self.create(name).await)?);
        }
        Ok(answers)
    }

    /// Deletes a mailbox with all it holds. One that does not exist is no error.
    async fn delete(&mut self, name: &MailboxName) -> Result<(), Error>;

    /// Renames a mailbox; its children follow.
    async fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Result<(), Error>;

    /// Subscribes to a mailbox or unsubscribes from it.
    async fn set_subscription(&mut self, name: &MailboxName, subscription: Subscription) -> Result<(), Error>;

    /// Subscribes to mailboxes or unsubscribes from them, all in as few round trips as the side allows.
    async fn set_subscriptions(
        &mut self,
        wanted: &[(MailboxName, Subscription)],
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let mut answers = Vec::with_capacity(wanted.len());
        for (name, subscription) in wanted {
            answers.push(within_mailbox(self.set_subscription(name, *subscription).await)?);
        }
        Ok(answers)
    }

    /// Takes leave. What it fails to say is of no consequence.
    async fn close(&mut self);
}

/// UIDs mean something only in one generation of one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidScope {
    /// The mailbox.
    pub name: MailboxName,
    /// The generation.
    pub uid_validity: UidValidity,
}

/// What a copy of a file is called by which UIDs are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// As it is; `None` if it is new, and nothing in it.
    pub now: Option<String>,
    /// Once the next session changes anything in it; this one, if it has not done so yet.
    pub next: String,
}

/// A mailbox to look at, and from where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The mailbox.
    pub name: MailboxName,
    /// Where the last run left off; `None` to see every message.
    pub since: Option<Checkpoint>,
}

/// Messages of one mailbox that are asked for together.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What the caller knows the mailbox by; requests of one place follow each other.
    pub place: usize,
    /// The mailbox.
    pub scope: UidScope,
    /// The messages: so many as may be read past in vain.
    pub uids: UidSet,
}

/// What is to be fetched, a request at a time.
pub type Requests<'a> = dyn Iterator<Item = Request> + Send + 'a;

/// What came for a request.
#[derive(Debug)]
pub struct Delivered {
    /// The place of the request.
    pub place: usize,
    /// A message; or what is wrong with the mailbox, from which nothing more comes.
    pub fetched: Result<Fetched, Error>,
}

/// Messages that are appended, and answered, together.
#[derive(Debug)]
pub struct Batch {
    /// What the caller knows it by.
    pub number: u64,
    /// The messages, by the mailboxes that they go to.
    pub parts: Vec<(UidScope, Vec<Message>)>,
}

/// What became of a batch.
#[derive(Debug)]
pub struct BatchAnswer {
    /// The number of the batch.
    pub number: u64,
    /// Part by part, one answer a message. An error, which reaches no further than its mailbox, leaves open which messages
    /// of the part arrived.
    pub parts: Vec<Result<Vec<Appended>, Error>>,
}

/// A message, or why there is none.
#[derive(Debug)]
pub enum Fetched {
    /// The message.
    Message(Message),
    /// It exists, but the side did not give its octets (NIL, or an empty body for a message that has a size).
    Unreadable {
        /// Which.
        uid: Uid,
        /// What the side said instead.
        reason: String,
    },
}

/// A message on its way from one store to another.
#[derive(Debug)]
pub struct Message {
    /// Its UID where it comes from.
    pub uid: Uid,
    /// Its flags: those it bears where it comes from, or is to bear where it goes.
    pub flags: FlagSet,
    /// When it was received.
    pub internal_date: InternalDate,
    /// How many octets follow; the truth, not RFC822.SIZE.
    pub size: u64,
    /// How the octets may travel.
    pub form: Form,
    /// The octets.
    pub body: Body,
}

/// How a message's octets may travel (RFC 3516 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// No NUL among them: a literal will do.
    Text,
    /// It holds NUL: only a literal8 can carry it.
    Binary,
}

/// A message's octets.
#[derive(Debug)]
pub enum Body {
    /// All of them: [`Body::WHOLE_LIMIT`] at most.
    Whole(Bytes),
    /// The first of them, and the rest as it arrives. If the channel closes before [`Message::size`] octets
    /// have come, the source broke off and the message must not be stored.
    Streamed {
        /// Enough to hold the header: everything, or the first [`Body::HEAD_LIMIT`] octets.
        head: Bytes,
        /// What follows `head`.
        rest: mpsc::Receiver<Bytes>,
    },
}

impl Body {
    /// Larger messages are streamed.
    pub const WHOLE_LIMIT: u64 = 256 * 1024;
    /// How much of a streamed message is given at once, for its header to be read.
    pub const HEAD_LIMIT: usize = 64 * 1024;

    /// The octets in which the header is looked for.
    pub fn head(&self) -> &[u8] {
        match self {
            Body::Whole(octets) => octets,
            Body::Streamed { head, .. } => head,
        }
    }
}

/// What became of one message of an append.
#[derive(Debug)]
pub enum Appended {
    /// It is there.
    At {
        /// Its UID.
        uid: Uid,
        /// The flags it bears there, as far as the side tells or is known to keep them.
        flags: FlagSet,
    },
    /// It is there, but the side does not say where (RFC 4315 §3: no read right, UIDNOTSTICKY).
    Somewhere,
    /// The side refuses this message; the others are unharmed.
    Refused(Error),
}

/// What became of messages that were to be expunged.
#[derive(Clone, Debug, PartialEq)]
pub enum Expunged {
    /// All are gone but these, which have changed since and were kept.
    AllBut(UidSet),
    /// Nothing was expunged, nor is anything marked that was not before: the side cannot expunge single messages (no
    /// UIDPLUS, RFC 4315), and these others are marked `\Deleted` and would go too. A message that was to be kept because
    /// it has changed since is one of the others. Never empty.
    Blocked(UidSet),
}

/// Whether messages that are put into another mailbox stay where they were as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Passage {
    /// They do.
    Copy,
    /// They do not.
    Move,
}

/// What became of messages that were to go to another mailbox of their side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Relocated {
    /// Where they are, by what their UIDs were, as far as the side tells (RFC 4315 §3). Of what it refuses, some may have
    /// arrived all the same (RFC 6851 §3.3).
    pub at: BTreeMap<Uid, Uid>,
    /// Those that are no longer where they were.
    pub gone: UidSet,
    /// Those of which the side says that they were refused.
    pub refused: UidSet,
}

/// What became of one message whose flags were to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It bears these flags now.
    Flags(FlagSet),
    /// It had changed since; nothing was done to it (RFC 7162 §3.1.3).
    Modified,
    /// It is gone.
    Gone,
}

/// How a side is observed, in the words of `check` and `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `SELECT … (QRESYNC …)`
    Qresync,
    /// CHANGEDSINCE and a list of UIDs.
    Condstore,
    /// Every message's flags.
    Full,
    /// A local index.
    Embedded,
}

impl Method {
    /// The word for this method in every report.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Qresync => "qresync",
            Method::Condstore => "condstore",
            Method::Full => "full",
            Method::Embedded => "embedded",
        }
    }

    /// Whether it asks for what has changed, so that a mailbox without mod-sequences (NOMODSEQ, RFC 7162 §3.1.2.2) is listed
    /// in full all the same.
    pub fn needs_mod_sequences(self) -> bool {
        matches!(self, Method::Qresync | Method::Condstore)
    }
}

/// What a side is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Where it is, as a person would say it: `imaps://mail.example.org`, `tunnel: ssh host …`.
    pub address: String,
    /// What the server calls itself (RFC 2971), or its greeting.
    pub server: String,
    /// How the connection is protected: `TLSv1.3`, `STARTTLS, TLSv1.2`, `none (tunnel)`.
    pub protection: String,
    /// Whether what crosses the wire is compressed, and by what: `DEFLATE`, `none (the server does not offer it)`.
    pub compression: String,
    /// How the login was done: `PLAIN`, `LOGIN`, `preauthenticated`.
    pub login: String,
    /// How mailboxes are observed.
    pub method: Method,
    /// Why it is that method.
    pub reason: String,
    /// What the side says it can do, after login, less what is disabled.
    pub capabilities: BTreeSet<String>,
    /// The sign between levels of names, where there is one.
    pub delimiter: Option<char>,
    /// What stands before every name of the user's own mailboxes.
    pub prefix: String,
}

/// What has gone over the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Octets sent.
    pub bytes_sent: u64,
    /// Octets received.
    pub bytes_received: u64,
    /// How often the talking side changed from us to them: what a distance costs.
    pub turns: u64,
}

/// A failure: how far it reaches, whether trying again helps, and a sentence for the reader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    /// How far it reaches.
    pub reach: Reach,
    /// Whether trying again helps.
    pub retry: Retry,
    /// What kind of failure it is, for hints and exit statuses.
    pub cause: Cause,
    /// What failed, as a sentence without a full stop; server text in it is already made printable.
    pub text: String,
}

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// One message; the rest of the mailbox goes on.
    Message,
    /// One mailbox; the others go on.
    Mailbox,
    /// The whole side: the connection is lost, or cannot be trusted any more.
    Side,
}

/// Whether trying again helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may, after a while.
    Later,
    /// It will not, until somebody changes something.
    Never,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody answers there: no such host, no route, nobody listening, the command did not start.
    Unreachable,
    /// It was reached, but went silent for longer than the configured time-out.
    TimedOut,
    /// The connection ended in the middle of something.
    ConnectionLost,
    /// The certificate or the handshake was refused.
    Tls,
    /// The user name, the password or the mechanism was refused.
    Login,
    /// No password could be had.
    Password,
    /// The server lacks an extension that is needed.
    MissingCapability,
    /// The server said what no server may say.
    Protocol,
    /// The server exceeded one of our limits.
    Limit,
    /// There is no such mailbox.
    NoSuchMailbox,
    /// The mailbox is of another generation than the caller meant.
    UidValidityChanged,
    /// The account or mailbox is full ([OVERQUOTA]).
    OverQuota,
    /// The message is larger than the side takes ([TOOBIG], [LIMIT], APPENDLIMIT).
    TooBig,
    /// We may not ([NOPERM], read-only).
    NoPermission,
    /// The side cannot hold such a thing ([CANNOT], NUL without BINARY …).
    CannotHold,
    /// The disk beneath the side, or the index of its files, failed.
    Storage,
    /// The server refused for a reason of its own.
    Refused,
}

/// Tells what concerns one mailbox from what ends the work on its side.
pub fn within_mailbox<T>(answer: Result<T, Error>) -> Result<Result<T, Error>, Error> {
    match answer {
        Err(error) if error.reach == Reach::Side => Err(error),
        answer => Ok(answer),
    }
}

impl Error {
    /// A failure of the whole side that may pass.
    pub fn side(cause: Cause, text: impl Into<String>) -> Error {
        Error { reach: Reach::Side, retry: Retry::Later, cause, text: text.into() }
    }

    /// A failure of one mailbox that may pass.
    pub fn mailbox(cause: Cause, text: impl Into<String>) -> Error {
        Error { reach: Reach::Mailbox, retry: Retry::Later, cause, text: text.into() }
    }

    /// A failure of one message that may pass.
    pub fn message(cause: Cause, text: impl Into<String>) -> Error {
        Error { reach: Reach::Message, retry: Retry::Later, cause, text: text.into() }
    }

    /// The same failure, where trying again does not help.
    pub fn for_good(self) -> Error {
        Error { retry: Retry::Never, ..self }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
