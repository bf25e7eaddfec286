//! A server in memory behind the port: what the model is checked against, with a fuse that ends a run at any effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use interimap::mail::{
    Access, Fingerprint, Flag, FlagChange, FlagSet, HeaderDigest, InternalDate, MailboxName, MailboxStatus, ModSeq,
    Observation, PermanentFlags, Silence, Subscription, Uid, UidSet, UidValidity,
};
use interimap::store::{
    Appended, Body, Cause, Error, Expunged, Fetched, Form, Listed, Listing, MailboxKind, Message, Method, Passage,
    Profile, Relocated, Store, Stored, Traffic, UidScope, Wanted,
};
use tokio::sync::mpsc;

/// How the store looks at its mailboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observer {
    /// Only what changed since a checkpoint.
    Qresync,
    /// Every message, every time.
    Full,
}

/// A message that is held.
#[derive(Clone, Debug)]
pub struct Held {
    pub flags: FlagSet,
    pub internal_date: InternalDate,
    pub octets: Bytes,
    modseq: u64,
}

/// What a server does wrong with a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub enum Oddity {
    /// It cannot read this message.
    Unreadable(Uid),
    /// It says of these that they are gone, which they are not.
    SaysGone(UidSet),
    /// Whoever looks sees everything gone; asked again, it says how it is (Cyrus, a mailbox renamed while it is open).
    LooksEmpty,
    /// It keeps no mod-sequences (NOMODSEQ).
    NoModSeq,
    /// An expunge does not raise its mod-sequence, and is not reported (CONDSTORE without QRESYNC).
    ExpungesQuietly,
    /// It does not say where it put a message.
    TellsNoUid,
    /// It can only expunge whatever is marked as deleted, and does not say where it put a message.
    NoUidplus,
    /// It says of the message that gets this UID that it is where the one before it is.
    TellsUidBefore(Uid),
    /// It rewrites what it is given to keep.
    Rewrites(Rewriting),
    /// It says of a message that it took it, and throws it away.
    Discards,
    /// Of equal messages it keeps one, and answers where that is (Gmail).
    Merges,
    /// It never takes `\Deleted` off, and does not say so.
    KeepsDeleted,
    /// It forgets the keywords that come with a new message (UW imapd).
    DropsKeywordsOfNew,
    /// It keeps so many keywords and no more (Cyrus).
    KeywordLimit(usize),
    /// It takes the flag and forgets it.
    Drops(Flag),
    /// It takes the first flag and keeps the second.
    Respells(Flag, Flag),
}

/// How a server gets a message from one mailbox into another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relocation {
    /// It moves it.
    #[default]
    Move,
    /// It can only copy it.
    Copy,
}

/// What a server makes of the messages that it is given, beside giving them another date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewriting {
    /// Other line ends.
    LineEnds,
    /// A line more in the body.
    Body,
    /// A line of the header by which messages are known.
    Header,
}

impl Rewriting {
    fn of(self, octets: &[u8]) -> Vec<u8> {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        match self {
            Rewriting::LineEnds => octets.iter().copied().filter(|octet| *octet != b'\r').collect(),
            Rewriting::Body => [octets, b"-- \r\nscanned\r\n"].concat(),
            Rewriting::Header => text(octets).replacen("Subject: ", "Subject: [list] ", 1).into_bytes(),
        }
    }
}

/// A mailbox that is held.
#[derive(Clone, Debug)]
pub struct Mailbox {
    pub uid_validity: UidValidity,
    pub uid_next: u32,
    pub modseq: u64,
    pub messages: BTreeMap<Uid, Held>,
    pub subscription: Subscription,
    pub access: Access,
    pub permanent_flags: PermanentFlags,
    pub oddities: Vec<Oddity>,
    expunged: Vec<(Uid, u64)>,
}

impl Mailbox {
    fn new(uid_validity: u32) -> Mailbox {
        Mailbox {
            uid_validity: UidValidity::new(uid_validity).unwrap(),
            uid_next: 1,
            modseq: 1,
            messages: BTreeMap::new(),
            subscription: Subscription::Unsubscribed,
            access: Access::ReadWrite,
            permanent_flags: PermanentFlags::all(),
            oddities: Vec::new(),
            expunged: Vec::new(),
        }
    }

    /// Puts a message in, as a user's program would.
    pub fn deliver(&mut self, octets: impl Into<Bytes>, internal_date: InternalDate, flags: FlagSet) -> Uid {
        self.modseq += 1;
        let uid = Uid::new(self.uid_next).unwrap();
        self.uid_next += 1;
        self.messages.insert(uid, Held { flags, internal_date, octets: octets.into(), modseq: self.modseq });
        uid
    }

    /// Changes flags, as a user's program would.
    pub fn reflag(&mut self, uid: Uid, change: &FlagChange) {
        let Some(held) = self.messages.get_mut(&uid) else { return };
        let flags = change.applied_to(&held.flags);
        if flags != held.flags {
            self.modseq += 1;
            held.flags = flags;
            held.modseq = self.modseq;
        }
    }

    /// Expunges, as a user's program would.
    pub fn expunge(&mut self, uid: Uid) {
        if self.messages.remove(&uid).is_some() && !self.oddities.contains(&Oddity::ExpungesQuietly) {
            self.modseq += 1;
            self.expunged.push((uid, self.modseq));
        }
    }

    fn is(&self, oddity: &Oddity) -> bool {
        self.oddities.contains(oddity)
    }

    /// What it makes of flags that it is to keep.
    fn kept(&self, flags: &FlagSet) -> FlagSet {
        if self.oddities.is_empty() {
            return flags.clone();
        }
        let mut keywords: FlagSet =
            self.messages.values().flat_map(|held| held.flags.iter()).filter(is_keyword).collect();
        let mut kept = FlagSet::new();
        for flag in flags.iter() {
            let mut flag = Some(flag);
            for oddity in &self.oddities {
                flag = match (oddity, flag) {
                    (Oddity::Drops(dropped), Some(flag)) if *dropped == flag => None,
                    (Oddity::Respells(from, to), Some(flag)) if *from == flag => Some(to.clone()),
                    (Oddity::KeywordLimit(limit), Some(flag)) if is_keyword(&flag) && !keywords.contains(&flag) => {
                        let has_room = keywords.iter().count() < *limit;
                        has_room.then(|| {
                            keywords.insert(flag.clone());
                            flag
                        })
                    }
                    (_, flag) => flag,
                };
            }
            kept = kept.union(&flag.into_iter().collect());
        }
        kept
    }

    /// What it makes of the flags of a new message.
    fn kept_of_new(&self, flags: &FlagSet) -> FlagSet {
        let drops = self.is(&Oddity::DropsKeywordsOfNew);
        self.kept(&flags.filtered(|flag| !(drops && is_keyword(flag))))
    }

    /// Takes a message as APPEND brings it.
    fn take(&mut self, octets: Vec<u8>, internal_date: InternalDate, flags: &FlagSet) -> Appended {
        let flags = self.kept_of_new(flags);
        let rewriting = self.oddities.iter().find_map(|oddity| match oddity {
            Oddity::Rewrites(rewriting) => Some(*rewriting),
            _ => None,
        });
        let (octets, internal_date) = match rewriting {
            Some(rewriting) => (rewriting.of(&octets), InternalDate::from_unix(internal_date.unix() + 3600).unwrap()),
            None => (octets, internal_date),
        };
        let equal = |(uid, held): (&Uid, &Held)| (held.octets == octets).then(|| (*uid, held.flags.clone()));
        let same = self.is(&Oddity::Merges).then(|| self.messages.iter().find_map(equal)).flatten();
        let (uid, flags) = match same {
            _ if self.is(&Oddity::Discards) => return Appended::Somewhere,
            Some(same) => same,
            None => (self.deliver(octets, internal_date, flags.clone()), flags),
        };
        match self.is(&Oddity::TellsNoUid) || self.is(&Oddity::NoUidplus) {
            true => Appended::Somewhere,
            false if self.is(&Oddity::TellsUidBefore(uid)) => {
                let before = self.messages.range(..uid).next_back().map_or(uid, |(before, _)| *before);
                Appended::At { uid: before, flags }
            }
            false => Appended::At { uid, flags },
        }
    }

    /// The messages that are marked as deleted.
    fn marked(&self) -> UidSet {
        self.messages.iter().filter(|(_, held)| held.flags.contains(&Flag::Deleted)).map(|(uid, _)| *uid).collect()
    }

    /// What STATUS would answer.
    pub fn status(&self) -> MailboxStatus {
        MailboxStatus {
            uid_validity: self.uid_validity,
            uid_next: Uid::new(self.uid_next).unwrap(),
            highest_modseq: ModSeq::new(self.modseq).filter(|_| !self.is(&Oddity::NoModSeq)),
            messages: self.messages.len() as u32,
        }
    }

    fn observed(&self, wanted: &Wanted, observer: Observer) -> Observation {
        let resumable = wanted.since.filter(|since| {
            observer == Observer::Qresync
                && !self.is(&Oddity::NoModSeq)
                && since.uid_validity == self.uid_validity
                && since.uid_next.get() <= self.uid_next
                && since.highest_modseq.is_some_and(|modseq| modseq.get() <= self.modseq)
        });
        let since = resumable.and_then(|since| since.highest_modseq).map_or(0, ModSeq::get);
        let reported = self.messages.iter().filter(|(_, held)| held.modseq > since);
        let mut vanished: UidSet =
            self.expunged.iter().filter(|(_, modseq)| *modseq > since).map(|(uid, _)| *uid).collect();
        let mut status = self.status();
        for oddity in &self.oddities {
            match oddity {
                Oddity::SaysGone(uids) => vanished = vanished.union(uids),
                Oddity::LooksEmpty => {
                    vanished = self.messages.keys().copied().collect();
                    status.messages = 0;
                }
                _ => {}
            }
        }
        let seen = !self.is(&Oddity::LooksEmpty);
        let reported = reported.filter(|_| seen);
        Observation {
            status,
            permanent_flags: self.permanent_flags.clone(),
            access: self.access,
            messages: reported.map(|(uid, held)| (*uid, held.flags.clone())).collect(),
            silence: if resumable.is_some() { Silence::Unchanged { vanished } } else { Silence::Gone },
        }
    }
}

fn is_keyword(flag: &Flag) -> bool {
    matches!(flag, Flag::Keyword(_))
}

/// Everything one side holds.
#[derive(Clone, Debug)]
pub struct Server {
    pub mailboxes: BTreeMap<MailboxName, Mailbox>,
    /// Mailboxes that the listing leaves out although they are there.
    pub unlisted: BTreeSet<MailboxName>,
    /// Messages that are left out where they are to be fetched, without a word.
    pub withheld: UidSet,
    /// What it does wrong with every mailbox that is created from now on.
    pub oddities: Vec<Oddity>,
    /// How messages get from one mailbox into another one.
    pub relocation: Relocation,
    next_uid_validity: u32,
}

impl Default for Server {
    fn default() -> Server {
        let mut server = Server {
            mailboxes: BTreeMap::new(),
            unlisted: BTreeSet::new(),
            withheld: UidSet::new(),
            oddities: Vec::new(),
            relocation: Relocation::default(),
            next_uid_validity: 100,
        };
        server.create(&MailboxName::inbox());
        server
    }
}

impl Server {
    pub fn create(&mut self, name: &MailboxName) -> &mut Mailbox {
        self.next_uid_validity += 1;
        let uid_validity = self.next_uid_validity;
        let new = || Mailbox { oddities: self.oddities.clone(), ..Mailbox::new(uid_validity) };
        self.mailboxes.entry(name.clone()).or_insert_with(new)
    }

    pub fn rename(&mut self, from: &MailboxName, to: &MailboxName) {
        let moved: Vec<(MailboxName, MailboxName)> =
            self.mailboxes.keys().filter_map(|name| Some((name.clone(), name.renamed(from, to)?))).collect();
        for (from, to) in moved {
            if let Some(mailbox) = self.mailboxes.remove(&from) {
                self.mailboxes.insert(to, mailbox);
            }
        }
        if from.is_inbox() {
            self.create(from);
        }
    }
}

/// Counts the effects of a run: ends it at one of them, refuses one, or lets a user act before one.
#[derive(Default)]
pub struct Fuse {
    pub steps: u32,
    pub crash_at: Option<u32>,
    pub refuse_at: Option<u32>,
    pub act_at: Option<(u32, Box<dyn FnOnce() + Send>)>,
    /// Whether it has ended the run: nothing happens any more.
    pub dead: bool,
}

/// A fuse that several stores and a state share.
pub type SharedFuse = Arc<Mutex<Fuse>>;

/// What becomes of an effect.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Happens,
    Refused,
    Crash,
}

/// Asks the fuse what becomes of the next effect. The user's action runs without the fuse being held.
pub fn step(fuse: &SharedFuse) -> Fate {
    let action = {
        let mut fuse = fuse.lock().unwrap();
        fuse.steps += 1;
        let due = fuse.act_at.as_ref().is_some_and(|(at, _)| *at == fuse.steps);
        if due { fuse.act_at.take() } else { None }
    };
    if let Some((_, act)) = action {
        act();
    }
    let mut fuse = fuse.lock().unwrap();
    fuse.dead |= fuse.crash_at == Some(fuse.steps);
    match fuse.dead {
        true => Fate::Crash,
        false if fuse.refuse_at == Some(fuse.steps) => Fate::Refused,
        false => Fate::Happens,
    }
}

/// One side, opened.
pub struct MemoryStore {
    server: Arc<Mutex<Server>>,
    observer: Observer,
    fuse: SharedFuse,
    profile: Profile,
}

impl MemoryStore {
    pub fn new(server: Arc<Mutex<Server>>, observer: Observer, fuse: SharedFuse) -> MemoryStore {
        let profile = Profile {
            address: "memory".to_owned(),
            server: "memory".to_owned(),
            protection: "none".to_owned(),
            compression: "none".to_owned(),
            login: "none".to_owned(),
            method: if observer == Observer::Qresync { Method::Qresync } else { Method::Full },
            reason: "chosen by the test".to_owned(),
            capabilities: Default::default(),
            delimiter: Some('/'),
            prefix: String::new(),
        };
        MemoryStore { server, observer, fuse, profile }
    }

    fn lock(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    /// An effect: what `happen` does to the server, unless the fuse ends the run before it, or after it, unanswered.
    fn effect<T>(&mut self, happen: impl FnOnce(&mut Server) -> Result<T, Error>) -> Result<T, Error> {
        match step(&self.fuse) {
            Fate::Crash => return Err(Error::side(Cause::ConnectionLost, "the fuse blew before it")),
            Fate::Refused => return Err(Error::mailbox(Cause::Refused, "refused by the fuse")),
            Fate::Happens => {}
        }
        let answer = happen(&mut self.lock())?;
        match step(&self.fuse) {
            Fate::Crash => Err(Error::side(Cause::ConnectionLost, "the fuse blew after it")),
            Fate::Refused | Fate::Happens => Ok(answer),
        }
    }

    /// Expunges by marking these, and then whatever is marked, if that is only these.
    fn expunge_marked(
        &mut self,
        scope: &UidScope,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Expunged, Error> {
        self.look()?;
        let modified = |held: &Held| unchanged_since.is_some_and(|limit| held.modseq > limit.get());
        let others = |mailbox: &Mailbox, meant: &UidSet| mailbox.marked().difference(meant);
        let (meant, kept) = {
            let mut server = self.lock();
            let mailbox = mailbox(&mut server, scope)?;
            let kept = uids.iter().filter(|uid| mailbox.messages.get(uid).is_some_and(modified)).collect();
            let meant = uids.difference(&kept);
            let others = others(mailbox, &meant);
            if !others.is_empty() {
                return Ok(Expunged::Blocked(others));
            }
            (meant, kept)
        };
        let mark = FlagChange { add: FlagSet::from_iter([Flag::Deleted]), remove: FlagSet::new() };
        let unmark = FlagChange { add: FlagSet::new(), remove: FlagSet::from_iter([Flag::Deleted]) };
        for uid in meant.iter() {
            self.effect(|server| {
                mailbox(server, scope)?.reflag(uid, &mark);
                Ok(())
            })?;
        }
        self.effect(|server| {
            let mailbox = mailbox(server, scope)?;
            let others = others(mailbox, &meant);
            let is_blocked = !others.is_empty();
            for uid in meant.iter() {
                match is_blocked {
                    true => mailbox.reflag(uid, &unmark),
                    false => mailbox.expunge(uid),
                }
            }
            Ok(if is_blocked { Expunged::Blocked(others) } else { Expunged::AllBut(kept) })
        })
    }

    fn look(&self) -> Result<(), Error> {
        match step(&self.fuse) {
            Fate::Crash => Err(Error::side(Cause::ConnectionLost, "the fuse blew while looking")),
            Fate::Refused | Fate::Happens => Ok(()),
        }
    }
}

fn mailbox<'a>(server: &'a mut Server, scope: &UidScope) -> Result<&'a mut Mailbox, Error> {
    let missing = || Error::mailbox(Cause::NoSuchMailbox, format!("there is no mailbox \"{}\"", scope.name));
    let mailbox = server.mailboxes.get_mut(&scope.name).ok_or_else(missing)?;
    match mailbox.uid_validity == scope.uid_validity {
        true => Ok(mailbox),
        false => Err(Error::mailbox(Cause::UidValidityChanged, "another UIDVALIDITY")),
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    fn refuses_name(&self, _: &MailboxName) -> Option<String> {
        None
    }

    async fn mailboxes(&mut self) -> Result<Listing, Error> {
        self.look()?;
        let listed = |mailbox: &Mailbox| Listed {
            kind: MailboxKind::Mailbox,
            subscription: Some(mailbox.subscription),
            special_use: Default::default(),
            id: None,
            status: Some(mailbox.status()),
        };
        let server = self.lock();
        let shown = server.mailboxes.iter().filter(|(name, _)| !server.unlisted.contains(*name));
        let mailboxes = shown.map(|(name, mailbox)| (name.clone(), listed(mailbox))).collect();
        Ok(Listing { mailboxes, unnamable: vec![] })
    }

    async fn observe(&mut self, wanted: &[Wanted]) -> Result<Vec<Result<Observation, Error>>, Error> {
        self.look()?;
        let server = self.lock();
        let observe = |wanted: &Wanted| {
            let missing = || Error::mailbox(Cause::NoSuchMailbox, format!("there is no mailbox \"{}\"", wanted.name));
            server
                .mailboxes
                .get(&wanted.name)
                .map(|mailbox| mailbox.observed(wanted, self.observer))
                .ok_or_else(missing)
        };
        Ok(wanted.iter().map(observe).collect())
    }

    async fn census(&mut self, name: &MailboxName) -> Result<Option<(MailboxStatus, UidSet)>, Error> {
        self.look()?;
        let server = self.lock();
        Ok(server.mailboxes.get(name).map(|mailbox| (mailbox.status(), mailbox.messages.keys().copied().collect())))
    }

    async fn fingerprints(&mut self, scope: &UidScope, uids: &UidSet) -> Result<BTreeMap<Uid, Fingerprint>, Error> {
        self.look()?;
        let mut server = self.lock();
        let print = |held: &Held| Fingerprint {
            size: held.octets.len() as u64,
            internal_date: held.internal_date,
            header: HeaderDigest::of(&held.octets),
        };
        let held = &mailbox(&mut server, scope)?.messages;
        let (Some(first), Some(last)) = (uids.first(), uids.last()) else { return Ok(BTreeMap::new()) };
        let asked = held.range(first..=last).filter(|(uid, _)| uids.contains(**uid));
        Ok(asked.map(|(uid, held)| (*uid, print(held))).collect())
    }

    async fn fetch(&mut self, scope: &UidScope, uids: &UidSet, deliver: mpsc::Sender<Fetched>) -> Result<(), Error> {
        self.look()?;
        for uid in uids.iter() {
            let held = {
                let mut server = self.lock();
                let withheld = server.withheld.contains(uid);
                mailbox(&mut server, scope)?.messages.get(&uid).filter(|_| !withheld).cloned()
            };
            let Some(held) = held else { continue };
            if mailbox(&mut self.lock(), scope)?.is(&Oddity::Unreadable(uid)) {
                let reason = "the disk has a hole there".to_owned();
                if deliver.send(Fetched::Unreadable { uid, reason }).await.is_err() {
                    return Ok(());
                }
                continue;
            }
            let (rest, body) = match held.octets.len() as u64 <= Body::WHOLE_LIMIT {
                true => (None, Body::Whole(held.octets.clone())),
                false => {
                    let (sender, rest) = mpsc::channel(4);
                    (Some(sender), Body::Streamed { head: held.octets.slice(..Body::HEAD_LIMIT), rest })
                }
            };
            let form = if held.octets.contains(&0) { Form::Binary } else { Form::Text };
            let size = held.octets.len() as u64;
            let message = Message { uid, flags: held.flags, internal_date: held.internal_date, size, form, body };
            if deliver.send(Fetched::Message(message)).await.is_err() {
                return Ok(());
            }
            if let Some(rest) = rest {
                for chunk in held.octets.slice(Body::HEAD_LIMIT..).chunks(64 * 1024) {
                    let _ = rest.send(Bytes::copy_from_slice(chunk)).await;
                }
            }
        }
        Ok(())
    }

    async fn append(&mut self, scope: &UidScope, messages: Vec<Message>) -> Result<Vec<Appended>, Error> {
        let mut appended = Vec::new();
        for message in messages {
            let mut octets = message.body.head().to_vec();
            if let Body::Streamed { mut rest, .. } = message.body {
                while let Some(chunk) = rest.recv().await {
                    octets.extend_from_slice(&chunk);
                }
            }
            if octets.len() as u64 != message.size {
                return Err(Error::side(Cause::ConnectionLost, "the message broke off"));
            }
            if octets.is_empty() {
                let refusal = Error::message(Cause::CannotHold, "an empty message cannot be appended");
                appended.push(Appended::Refused(refusal));
                continue;
            }
            let answer =
                self.effect(|server| Ok(mailbox(server, scope)?.take(octets, message.internal_date, &message.flags)));
            appended.push(match answer {
                Ok(answer) => answer,
                Err(error) if error.cause == Cause::Refused => {
                    Appended::Refused(Error::message(error.cause, error.text))
                }
                Err(error) => return Err(error),
            });
        }
        Ok(appended)
    }

    async fn store_flags(
        &mut self,
        scope: &UidScope,
        changes: &[(UidSet, FlagChange)],
        unchanged_since: Option<ModSeq>,
    ) -> Result<BTreeMap<Uid, Stored>, Error> {
        let mut stored = BTreeMap::new();
        for (uids, change) in changes {
            for uid in uids.iter() {
                let outcome = self.effect(|server| {
                    let mailbox = mailbox(server, scope)?;
                    let Some(held) = mailbox.messages.get(&uid) else { return Ok(Stored::Gone) };
                    if unchanged_since.is_some_and(|limit| held.modseq > limit.get()) {
                        return Ok(Stored::Modified);
                    }
                    let takes_it_off = !mailbox.is(&Oddity::KeepsDeleted);
                    let kept = FlagChange {
                        add: mailbox.kept(&change.add.filtered(|flag| mailbox.permanent_flags.holds(flag))),
                        remove: change.remove.filtered(|flag| *flag != Flag::Deleted || takes_it_off),
                    };
                    mailbox.reflag(uid, &kept);
                    Ok(mailbox.messages.get(&uid).map_or(Stored::Gone, |held| Stored::Flags(held.flags.clone())))
                })?;
                stored.insert(uid, outcome);
            }
        }
        Ok(stored)
    }

    async fn expunge(
        &mut self,
        scope: &UidScope,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Expunged, Error> {
        let modified = |held: &Held| unchanged_since.is_some_and(|limit| held.modseq > limit.get());
        if mailbox(&mut self.lock(), scope)?.is(&Oddity::NoUidplus) {
            return self.expunge_marked(scope, uids, unchanged_since);
        }
        let mut kept = UidSet::new();
        for uid in uids.iter() {
            let is_kept = self.effect(|server| {
                let mailbox = mailbox(server, scope)?;
                let is_kept = mailbox.messages.get(&uid).is_some_and(modified);
                if !is_kept {
                    mailbox.expunge(uid);
                }
                Ok(is_kept)
            })?;
            if is_kept {
                kept.insert(uid);
            }
        }
        Ok(Expunged::AllBut(kept))
    }

    /// Message by message: each is in at least one of the two mailboxes whatever happens, and perhaps in both (RFC 6851
    /// §3.3).
    async fn relocate(
        &mut self,
        from: &UidScope,
        uids: &UidSet,
        to: &UidScope,
        passage: Passage,
    ) -> Result<Relocated, Error> {
        let relocation = if passage == Passage::Copy { Relocation::Copy } else { self.lock().relocation };
        let mut relocated = Relocated::default();
        for uid in uids.iter() {
            let copied = self.effect(|server| {
                let held = mailbox(server, from)?.messages.get(&uid).cloned();
                let target = mailbox(server, to)?;
                let Some(held) = held else { return Ok(None) };
                let is_equal = |(_, other): &(&Uid, &Held)| passage == Passage::Copy && other.octets == held.octets;
                if let Some((uid, _)) = target.messages.iter().find(is_equal).filter(|_| target.is(&Oddity::Merges)) {
                    return Ok(Some(*uid));
                }
                let flags = target.kept_of_new(&held.flags);
                let new = target.deliver(held.octets, held.internal_date, flags);
                Ok(Some(new).filter(|_| !target.is(&Oddity::TellsNoUid) && !target.is(&Oddity::NoUidplus)))
            });
            match copied {
                Ok(new) => relocated.at.extend(new.map(|new| (uid, new))),
                Err(error) if error.cause == Cause::Refused => {
                    relocated.refused.insert(uid);
                    continue;
                }
                Err(error) => return Err(error),
            }
            if relocation == Relocation::Copy {
                continue;
            }
            let expunged = self.effect(|server| {
                mailbox(server, from)?.expunge(uid);
                Ok(())
            });
            match expunged {
                Ok(()) => drop(relocated.gone.insert(uid)),
                Err(error) if error.cause == Cause::Refused => drop(relocated.refused.insert(uid)),
                Err(error) => return Err(error),
            }
        }
        Ok(relocated)
    }

    async fn create(&mut self, name: &MailboxName) -> Result<(), Error> {
        self.effect(|server| {
            server.create(name);
            Ok(())
        })
    }

    async fn delete(&mut self, name: &MailboxName) -> Result<(), Error> {
        self.effect(|server| {
            server.mailboxes.remove(name);
            Ok(())
        })
    }

    async fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Result<(), Error> {
        self.effect(|server| {
            let taken = |name: &MailboxName| server.mailboxes.contains_key(name);
            if !taken(from) || server.mailboxes.keys().filter_map(|name| name.renamed(from, to)).any(|new| taken(&new))
            {
                return Err(Error::mailbox(Cause::Refused, "the new name is taken, or the old one is not"));
            }
            server.rename(from, to);
            Ok(())
        })
    }

    async fn set_subscription(&mut self, name: &MailboxName, subscription: Subscription) -> Result<(), Error> {
        self.effect(|server| {
            let missing = || Error::mailbox(Cause::NoSuchMailbox, format!("there is no mailbox \"{name}\""));
            server.mailboxes.get_mut(name).ok_or_else(missing)?.subscription = subscription;
            Ok(())
        })
    }

    async fn close(&mut self) {}
}
