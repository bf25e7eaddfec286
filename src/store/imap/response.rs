//! What a server says, as values: the only form in which wire data leaves the parser.

use bytes::Bytes;

use crate::mail::{FlagSet, InternalDate, ModSeq, PermanentFlags, Uid, UidSet, UidValidity};

/// One response, complete.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// `+ …`: go on. The text is what stands behind the blank, octet by octet (a SASL challenge is base64).
    Continue(Bytes),
    /// `TAG OK|NO|BAD …`: the end of a command.
    Tagged {
        /// The tag, as sent.
        tag: String,
        /// How it ended.
        status: Status,
        /// The code in brackets, if any.
        code: Option<Code>,
        /// What is meant for people, made printable.
        text: String,
    },
    /// `* OK|NO|BAD|BYE|PREAUTH …`
    Untagged {
        /// Which.
        status: UntaggedStatus,
        /// The code in brackets, if any.
        code: Option<Code>,
        /// What is meant for people, made printable.
        text: String,
    },
    /// `* CAPABILITY …`, upper case.
    Capability(Vec<String>),
    /// `* ENABLED …`, upper case.
    Enabled(Vec<String>),
    /// `* FLAGS (…)`
    Flags(FlagSet),
    /// `* n EXISTS`
    Exists(u32),
    /// `* n EXPUNGE`
    Expunge(u32),
    /// `* n RECENT`
    Recent(u32),
    /// `* VANISHED …` and `* VANISHED (EARLIER) …` (RFC 7162 §3.2.10).
    Vanished {
        /// Whether this is history (true to `EARLIER`) or has just happened.
        when: Vanished,
        /// Which; the server may name UIDs that never were.
        uids: UidSet,
    },
    /// `* n FETCH (…)`
    Fetch(Fetch),
    /// `* LIST …`
    List(List),
    /// `* LSUB …`, which names what is subscribed to and must not be taken for a LIST that nobody asked for.
    Lsub(List),
    /// `* STATUS …`
    Status(MailboxStatusItems),
    /// `* SEARCH …`: numbers, as UIDs (we never search for anything else).
    Search(UidSet),
    /// `* ESEARCH (TAG "t") UID ALL 1:3`; the tag it answers, and the set (empty where ALL is missing).
    ESearch {
        /// The command it belongs to.
        tag: Option<String>,
        /// ALL.
        all: UidSet,
    },
    /// `* NAMESPACE …`
    Namespace(Namespaces),
    /// `* ID (…)` or `* ID NIL` (RFC 2971); keys in lower case.
    Id(Vec<(String, Option<String>)>),
    /// Something else: its keyword in upper case. RFC 9051 §2.2.2: a client must be ready for any response at any time.
    Other(String),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was done.
    Ok,
    /// It was refused or failed.
    No,
    /// It was not understood.
    Bad,
}

/// What an untagged status response can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntaggedStatus {
    /// Information.
    Ok,
    /// A warning.
    No,
    /// An error that belongs to no command.
    Bad,
    /// The server is about to close the connection.
    Bye,
    /// The greeting of a session that is already authenticated.
    PreAuth,
}

/// When messages vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vanished {
    /// Before this SELECT or FETCH: EXISTS does not count them any more.
    Earlier,
    /// Just now: EXISTS is to be lowered.
    Now,
}

/// A response code (RFC 9051 §7.1, RFC 5530, RFC 7162, RFC 4315, RFC 8474).
#[derive(Clone, Debug, PartialEq)]
pub enum Code {
    /// CAPABILITY, upper case.
    Capability(Vec<String>),
    /// UIDVALIDITY
    UidValidity(UidValidity),
    /// UIDNEXT
    UidNext(Uid),
    /// HIGHESTMODSEQ; `None` for 0 (some servers' way to say NOMODSEQ), and for what is none.
    HighestModSeq(Option<ModSeq>),
    /// NOMODSEQ
    NoModSeq,
    /// MODIFIED; UIDs, as we never use message numbers.
    Modified(UidSet),
    /// CLOSED: what follows is of the next mailbox.
    Closed,
    /// PERMANENTFLAGS
    PermanentFlags(PermanentFlags),
    /// READ-ONLY
    ReadOnly,
    /// READ-WRITE
    ReadWrite,
    /// UIDNOTSTICKY
    UidNotSticky,
    /// APPENDUID: the generation, and the UIDs in order of transmission (RFC 4315 §3: `12:10` is 10, 11, 12).
    AppendUid(UidValidity, Vec<Uid>),
    /// COPYUID: the generation, the source's UIDs, the target's, in corresponding order.
    CopyUid(UidValidity, Vec<Uid>, Vec<Uid>),
    /// MAILBOXID; `None` where it is garbage.
    MailboxId(Option<crate::mail::MailboxId>),
    /// Any other, by its upper-case name (ALERT, TRYCREATE, OVERQUOTA, NONEXISTENT …) and what follows it, printable.
    Other(String, String),
}

impl Code {
    /// Whether this is the plain code of that upper-case name.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Code::Other(own, _) if own == name)
    }
}

/// The items of a FETCH response that we ask for. A known item of an unexpected form is a parse error, never absence, but
/// for the hints, MODSEQ and RFC822.SIZE.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fetch {
    /// The message number the response bears; some servers send 0.
    pub number: u32,
    /// UID
    pub uid: Option<Uid>,
    /// FLAGS
    pub flags: Option<FlagSet>,
    /// MODSEQ
    pub modseq: Option<ModSeq>,
    /// INTERNALDATE
    pub internal_date: Option<InternalDate>,
    /// RFC822.SIZE
    pub size: Option<u64>,
    /// BODY[HEADER.FIELDS (…)] or BODY[HEADER].
    pub header: Option<Bytes>,
    /// BODY[].
    pub body: Option<BodyItem>,
}

/// What BODY[] held.
#[derive(Clone, Debug, PartialEq)]
pub enum BodyItem {
    /// The octets.
    Octets(Bytes),
    /// The octets went past as chunks (see `frame`): this many, and whether they were announced as literal8.
    PassedBy {
        /// How many.
        size: u64,
        /// How they were announced.
        literal: LiteralKind,
    },
    /// NIL.
    Nil,
}

/// How octets are announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralKind {
    /// `{n}`: no NUL may be among them.
    Text,
    /// `~{n}` (RFC 3516).
    Binary,
}

/// A LIST response.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// Attributes without the backslash, lower case.
    pub attributes: Vec<String>,
    /// The hierarchy delimiter; `None` for NIL.
    pub delimiter: Option<char>,
    /// The name as the server spells it, octet by octet, unquoted.
    pub name: Bytes,
    /// OLDNAME of RFC 5465/9051, if it was said.
    pub old_name: Option<Bytes>,
}

/// The items of a STATUS response. Absent: not answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MailboxStatusItems {
    /// The name as the server spells it, octet by octet, unquoted.
    pub name: Bytes,
    /// MESSAGES
    pub messages: Option<u32>,
    /// UIDNEXT
    pub uid_next: Option<Uid>,
    /// UIDVALIDITY
    pub uid_validity: Option<UidValidity>,
    /// HIGHESTMODSEQ; `Some(None)` for 0, and for what is none.
    pub highest_modseq: Option<Option<ModSeq>>,
    /// MAILBOXID, where it is not garbage.
    pub mailbox_id: Option<crate::mail::MailboxId>,
    /// APPENDLIMIT, in octets; absent for NIL too (RFC 7889 §3.2).
    pub append_limit: Option<u64>,
}

/// The namespaces of a user (RFC 2342).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// The first one that is the user's own, if there is any.
    pub personal: Option<Namespace>,
    /// What stands before the names of other users' mailboxes, and of shared ones.
    pub of_others: Vec<Bytes>,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// What stands before every name in it, octet by octet.
    pub prefix: Bytes,
    /// Its delimiter; `None` for NIL.
    pub delimiter: Option<char>,
}
