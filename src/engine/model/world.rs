//! Two servers, a state and a fuse, and the questions the scenarios ask of them.

use std::sync::{Arc, Mutex};

use interimap::mail::{
    Access, Both, FlagChange, FlagSet, InternalDate, MailboxName, NewKeywords, PermanentFlags, Side, Subscription,
};
use interimap::plan::Policy;
use interimap::state::{self, Moment, State};
use interimap::store::Store;

use super::memory::{Fate, Mailbox, MemoryStore, Observer, Oddity, Relocation, Server, SharedFuse, step};
use crate::engine::event::{Extent, Report, Silent, Trouble};
use crate::engine::{Order, Scrutiny, rehearse, sync};

/// Enumerates every sequence of choices: each pass over the scenario makes the next one.
#[derive(Default)]
pub(super) struct Choices {
    begun: bool,
    made: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    /// Whether there is another sequence.
    pub(super) fn another(&mut self) -> bool {
        if !self.begun {
            self.begun = true;
            return true;
        }
        self.at = 0;
        while let Some((value, bound)) = self.made.pop() {
            if value + 1 < bound {
                self.made.push((value + 1, bound));
                return true;
            }
        }
        false
    }

    /// One of `0..bound`.
    pub(super) fn one_of(&mut self, bound: usize) -> usize {
        if self.at == self.made.len() {
            self.made.push((0, bound));
        }
        self.at += 1;
        self.made[self.at - 1].0
    }
}

/// Two sides that were in line once.
pub(super) struct World {
    pub(super) servers: Both<Arc<Mutex<Server>>>,
    pub(super) fuse: SharedFuse,
    pub(super) policy: Policy,
    /// How many runs the fuse has ended.
    pub(super) cuts: u32,
    /// What the clock shows at the next run, in seconds since 1970.
    pub(super) now: i64,
    observers: Both<Observer>,
    stores: Both<Box<dyn Store>>,
    state: State,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// Both sides hold messages 1 and 2; 2 is seen.
    pub(super) fn in_line(observers: Both<Observer>) -> World {
        thread_local! {
            static BEGINNING: Beginning = Beginning::new();
        }
        BEGINNING.with(|beginning| World::with(observers, beginning.servers.clone(), beginning.state()))
    }

    pub(super) fn empty(observers: Both<Observer>) -> World {
        World::with(observers, Both::default(), State::in_memory().unwrap())
    }

    /// Another synchronizer of the same two servers, which knows nothing yet.
    pub(super) fn beside(&self) -> World {
        World::over(self.observers, self.servers.clone(), State::in_memory().unwrap())
    }

    /// A synchronizer of these two servers, which knows nothing yet.
    pub(super) fn between(local: &Arc<Mutex<Server>>, remote: &Arc<Mutex<Server>>) -> World {
        let observers = Both { local: Observer::Qresync, remote: Observer::Qresync };
        World::over(observers, Both { local: local.clone(), remote: remote.clone() }, State::in_memory().unwrap())
    }

    fn with(observers: Both<Observer>, servers: Both<Server>, state: State) -> World {
        World::over(observers, servers.map(|server| Arc::new(Mutex::new(server))), state)
    }

    fn over(observers: Both<Observer>, servers: Both<Arc<Mutex<Server>>>, mut state: State) -> World {
        let fuse = SharedFuse::default();
        let stores = Both::from_fn(|side| {
            Box::new(MemoryStore::new(servers[side].clone(), observers[side], fuse.clone())) as Box<dyn Store>
        });
        let on_commit = fuse.clone();
        state.on_commit(Box::new(move |moment: Moment| match step(&on_commit) {
            Fate::Crash => Err(state::Error::Stopped(moment)),
            Fate::Refused | Fate::Happens => Ok(()),
        }));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let policy = Policy::two_way();
        World { servers, fuse, policy, cuts: 0, now: 1_000_000, observers, stores, state, runtime }
    }

    /// What a server does wrong with all its mailboxes from now on.
    pub(super) fn is_odd_everywhere(&self, side: Side, oddities: &[Oddity]) {
        let mut server = self.servers[side].lock().unwrap();
        server.oddities = oddities.to_vec();
        server.mailboxes.values_mut().for_each(|mailbox| mailbox.oddities = oddities.to_vec());
    }

    /// Makes servers such that some of them lack UIDPLUS, and forget the keywords of new messages.
    pub(super) fn servers_of_many_kinds(&self, seed: u64) {
        const POOR: [Oddity; 2] = [Oddity::NoUidplus, Oddity::DropsKeywordsOfNew];
        let poor = [&[][..], &[Side::Remote], &Side::BOTH][(seed % 3) as usize];
        poor.iter().for_each(|side| self.is_odd_everywhere(*side, &POOR));
    }

    /// Takes the world down to what survives of it.
    fn into_beginning(self) -> (Both<Server>, State) {
        (self.servers.map(|server| server.lock().unwrap().clone()), self.state)
    }

    pub(super) fn at(&self, side: Side) -> User {
        User { server: self.servers[side].clone(), mailbox: MailboxName::inbox() }
    }

    /// One run. `Err` where the fuse, or anything else, ended it.
    pub(super) fn run(&mut self) -> Result<Report, Vec<Trouble>> {
        self.run_closely(Scrutiny::Changes)
    }

    /// One run that looks that closely.
    pub(super) fn run_closely(&mut self, scrutiny: Scrutiny) -> Result<Report, Vec<Trouble>> {
        let order = Order { scrutiny, now: self.now };
        let mut listener = Silent;
        let run = sync(&mut self.stores, &mut self.state, &self.policy, &order, &mut listener);
        let report = self.runtime.block_on(run);
        self.cuts += u32::from(self.fuse.lock().unwrap().dead);
        match report.troubles.iter().any(|trouble| trouble.reach >= Extent::Side) {
            true => Err(report.troubles),
            false => Ok(report),
        }
    }

    /// One run that the fuse ends at its `crash`th step; 0 lets it through. Says whether it came to its end.
    pub(super) fn run_until(&mut self, crash: u32) -> bool {
        *self.fuse.lock().unwrap() =
            super::memory::Fuse { crash_at: (crash > 0).then_some(crash), ..Default::default() };
        let ended = self.run().is_ok();
        *self.fuse.lock().unwrap() = Default::default();
        ended
    }

    /// What a run would do. The world's own state has to be one that is forgotten.
    pub(super) fn rehearse(&mut self) -> (Report, Vec<crate::engine::Step>) {
        let order = Order { scrutiny: Scrutiny::Changes, now: 1_000_000 };
        let mut listener = Silent;
        let rehearsal = rehearse(&mut self.stores, &mut self.state, &self.policy, &order, &mut listener);
        let (report, plan) = self.runtime.block_on(rehearsal);
        (report, plan.steps())
    }

    /// Runs without a fuse; the last of them has to have nothing to do.
    pub(super) fn runs_until_quiet(&mut self) {
        *self.fuse.lock().unwrap() = Default::default();
        for _ in 0..3 {
            let report = self.run().unwrap_or_else(|troubles| panic!("a run failed: {troubles:?}"));
            if changes(&report) == 0 && report.troubles.is_empty() {
                self.fuse.lock().unwrap().steps = 0;
                let again = self.run().unwrap();
                assert_eq!(changes(&again), 0, "a further run has something to do");
                if self.is_plain() {
                    assert_eq!(self.fuse.lock().unwrap().steps, 2, "a further run does more than to list both sides");
                }
                return;
            }
        }
        let last = self.run().unwrap();
        panic!("no end: {last:?}");
    }

    /// Whether nothing is there that is to be looked at in every run.
    fn is_plain(&self) -> bool {
        let is_plain = |mailbox: &Mailbox| mailbox.oddities.is_empty() && mailbox.access == Access::ReadWrite;
        let remembered = self.state.remembered().unwrap();
        remembered.iter().all(|row| row.skipped == Both::default())
            && Side::BOTH.iter().all(|side| {
                let server = self.servers[*side].lock().unwrap();
                server.unlisted.is_empty() && server.mailboxes.values().all(is_plain)
            })
    }

    /// How many effects and looks a run without a fuse has.
    pub(super) fn steps_of_a_run(&mut self) -> u32 {
        *self.fuse.lock().unwrap() = Default::default();
        self.run().unwrap();
        self.fuse.lock().unwrap().steps
    }

    /// How many rows of the state a run reads that has nothing to do.
    pub(super) fn rows_of_a_run(&mut self) -> u64 {
        let before = self.state.rows_read();
        assert_eq!(changes(&self.run().unwrap()), 0);
        self.state.rows_read() - before
    }

    /// What a side holds in INBOX: each message's number with its flags, sorted.
    pub(super) fn holds(&self, side: Side) -> Vec<(u32, String)> {
        self.at(side).holds()
    }

    /// How many marks are to be put back.
    pub(super) fn lifted(&self) -> u64 {
        self.state.remembered().unwrap().iter().map(|row| row.lifted).sum()
    }

    /// How many appends are unsettled.
    pub(super) fn intents(&self) -> u64 {
        self.state.remembered().unwrap().iter().map(|row| row.intents).sum()
    }
}

/// Where most scenarios begin, made once.
struct Beginning {
    servers: Both<Server>,
    directory: tempfile::TempDir,
}

impl Beginning {
    const FILE: &str = "beginning.db";

    fn new() -> Beginning {
        let directory = tempfile::tempdir().unwrap();
        let identity = Both { local: "here".to_owned(), remote: "there".to_owned() };
        let state = State::open(&directory.path().join(Beginning::FILE), &identity).unwrap();
        let qresync = Both { local: Observer::Qresync, remote: Observer::Qresync };
        let mut world = World::with(qresync, Both::default(), state);
        world.at(Side::Local).deliver(1, "");
        world.at(Side::Remote).deliver(2, "\\Seen");
        world.runs_until_quiet();
        let (servers, _) = world.into_beginning();
        Beginning { servers, directory }
    }

    fn state(&self) -> State {
        State::rehearsal(&self.directory.path().join(Beginning::FILE)).unwrap()
    }
}

/// How much a run has done to either side.
pub(super) fn changes(report: &Report) -> u64 {
    let of = |side: &crate::engine::event::SideReport| {
        side.copied
            + side.moved
            + side.flagged
            + side.expunged
            + side.created
            + side.deleted
            + side.renamed
            + side.subscriptions
    };
    of(&report.sides.local) + of(&report.sides.remote)
}

/// Somebody at work in a mailbox, by the numbers of messages.
#[derive(Clone)]
pub(super) struct User {
    server: Arc<Mutex<Server>>,
    mailbox: MailboxName,
}

impl User {
    pub(super) fn in_mailbox(&self, name: &str) -> User {
        User { mailbox: MailboxName::new(name).unwrap(), ..self.clone() }
    }

    pub(super) fn deliver(&self, number: u32, flags: &str) {
        self.deliver_with(number, flags, "body");
    }

    /// Delivers a message that differs from others of that number by its text only.
    pub(super) fn deliver_with(&self, number: u32, flags: &str, text: &str) {
        let octets = format!("Message-ID: <{number}@x>\r\nSubject: {number}\r\n\r\n{text} of {number}\r\n");
        let date = InternalDate::from_unix(1_000 + i64::from(number)).unwrap();
        let mut server = self.server.lock().unwrap();
        server.create(&self.mailbox).deliver(octets, date, FlagSet::parse(flags));
    }

    pub(super) fn reflag(&self, number: u32, add: &str, remove: &str) {
        let change = FlagChange { add: FlagSet::parse(add), remove: FlagSet::parse(remove) };
        let mut server = self.server.lock().unwrap();
        let Some(mailbox) = server.mailboxes.get_mut(&self.mailbox) else { return };
        let uids: Vec<_> = mailbox.messages.iter().filter(|(_, held)| is(held, number)).map(|(uid, _)| *uid).collect();
        uids.into_iter().for_each(|uid| mailbox.reflag(uid, &change));
    }

    /// Expunges the first copy; says whether there was one.
    pub(super) fn expunge(&self, number: u32) -> bool {
        let mut server = self.server.lock().unwrap();
        let Some(mailbox) = server.mailboxes.get_mut(&self.mailbox) else { return false };
        let uid = mailbox.messages.iter().find(|(_, held)| is(held, number)).map(|(uid, _)| *uid);
        uid.is_some_and(|uid| {
            mailbox.expunge(uid);
            true
        })
    }

    /// Moves the first copy to another mailbox, which is created if need be; says whether there was one.
    pub(super) fn carry(&self, number: u32, to: &str) -> bool {
        let mut server = self.server.lock().unwrap();
        let Some(mailbox) = server.mailboxes.get_mut(&self.mailbox) else { return false };
        let Some((uid, held)) = mailbox.messages.iter().find(|(_, held)| is(held, number)) else { return false };
        let (uid, held) = (*uid, held.clone());
        mailbox.expunge(uid);
        server.create(&MailboxName::new(to).unwrap()).deliver(held.octets, held.internal_date, held.flags);
        true
    }

    /// Copies the first copy to a mailbox, which is created if need be; says whether there was one.
    pub(super) fn duplicate(&self, number: u32, to: &str) -> bool {
        let mut server = self.server.lock().unwrap();
        let Some(mailbox) = server.mailboxes.get(&self.mailbox) else { return false };
        let Some(held) = mailbox.messages.values().find(|held| is(held, number)).cloned() else { return false };
        server.create(&MailboxName::new(to).unwrap()).deliver(held.octets, held.internal_date, held.flags);
        true
    }

    /// How the whole server gets messages from one mailbox into another one.
    pub(super) fn relocates_by(&self, relocation: Relocation) {
        self.server.lock().unwrap().relocation = relocation;
    }

    /// What the server does wrong with the mailbox from now on.
    pub(super) fn is_odd(&self, oddities: impl IntoIterator<Item = Oddity>) {
        self.server.lock().unwrap().create(&self.mailbox).oddities = oddities.into_iter().collect();
    }

    /// The UID that the next message will have.
    pub(super) fn uid_next(&self) -> u32 {
        self.server.lock().unwrap().mailboxes[&self.mailbox].uid_next
    }

    /// Makes the mailbox one that keeps no other flags.
    pub(super) fn keeps_only(&self, flags: &str) {
        let mut server = self.server.lock().unwrap();
        let permanent_flags = PermanentFlags { listed: FlagSet::parse(flags), new_keywords: NewKeywords::Refused };
        server.create(&self.mailbox).permanent_flags = permanent_flags;
    }

    pub(super) fn rename(&self, to: &str) {
        self.server.lock().unwrap().rename(&self.mailbox, &MailboxName::new(to).unwrap());
    }

    pub(super) fn create(&self) {
        self.server.lock().unwrap().create(&self.mailbox);
    }

    pub(super) fn subscribe(&self, subscription: Subscription) {
        if let Some(mailbox) = self.server.lock().unwrap().mailboxes.get_mut(&self.mailbox) {
            mailbox.subscription = subscription;
        }
    }

    pub(super) fn subscription(&self) -> Option<Subscription> {
        self.server.lock().unwrap().mailboxes.get(&self.mailbox).map(|mailbox| mailbox.subscription)
    }

    pub(super) fn set_access(&self, access: Access) {
        if let Some(mailbox) = self.server.lock().unwrap().mailboxes.get_mut(&self.mailbox) {
            mailbox.access = access;
        }
    }

    pub(super) fn delete(&self) {
        self.server.lock().unwrap().mailboxes.remove(&self.mailbox);
    }

    /// Puts the mailbox's messages into another one in its place: another UIDVALIDITY, other UIDs.
    pub(super) fn rebuild(&self) {
        let mut server = self.server.lock().unwrap();
        let Some(old) = server.mailboxes.remove(&self.mailbox) else { return };
        let new = server.create(&self.mailbox);
        for held in old.messages.into_values().rev() {
            new.deliver(held.octets, held.internal_date, held.flags);
        }
    }

    pub(super) fn holds(&self) -> Vec<(u32, String)> {
        let server = self.server.lock().unwrap();
        let Some(mailbox) = server.mailboxes.get(&self.mailbox) else { return vec![] };
        let mut all: Vec<(u32, String)> =
            mailbox.messages.values().map(|held| (number(held), held.flags.to_string())).collect();
        all.sort();
        all
    }

    /// The texts of the messages of that number, sorted.
    pub(super) fn texts(&self, number: u32) -> Vec<String> {
        let server = self.server.lock().unwrap();
        let Some(mailbox) = server.mailboxes.get(&self.mailbox) else { return vec![] };
        let text = |held: &super::memory::Held| {
            let octets = String::from_utf8_lossy(&held.octets).into_owned();
            octets.split_once("\r\n\r\n").map(|(_, text)| text.trim_end().to_owned()).unwrap_or_default()
        };
        let mut texts: Vec<String> = mailbox.messages.values().filter(|held| is(held, number)).map(text).collect();
        texts.sort();
        texts
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.server.lock().unwrap().mailboxes.keys().map(MailboxName::to_string).collect()
    }
}

fn is(held: &super::memory::Held, wanted: u32) -> bool {
    number(held) == wanted
}

fn number(held: &super::memory::Held) -> u32 {
    let text = String::from_utf8_lossy(&held.octets);
    text.trim_start_matches("Message-ID: <").split('@').next().unwrap().parse().unwrap()
}
