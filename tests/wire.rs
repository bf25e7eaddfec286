//! Random histories between servers of every manner: two users edit, runs are cut off and disturbed, and in the end both
//! sides hold what the edits imply, each message once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/session.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use interimap::engine::event::{Report, Silent};
use interimap::engine::{Order, Scrutiny, sync};
use interimap::mail::{Both, Side};
use interimap::plan::Policy;
use interimap::state::State;
use interimap::store::Store;
use proptest::prelude::*;
use session::server::Manner;
use session::server::account::{Account, Held};
use session::{histories, manners, open};

const NAMES: [&str; 3] = ["INBOX", "a", "a/b"];

/// After so many runs in peace, nothing may be left to be done.
const RUNS_TO_PEACE: usize = 4;

#[derive(Clone, Debug)]
enum Edit {
    Arrive {
        flags: &'static str,
    },
    Reflag {
        which: usize,
        add: &'static str,
        remove: &'static str,
    },
    Expunge {
        which: usize,
    },
    /// The mailbox keeps mod-sequences from now on, or no longer.
    ShowModSeqs(bool),
}

/// What somebody does in a mailbox of a side.
#[derive(Clone, Debug)]
struct Event {
    side: Side,
    name: &'static str,
    edit: Edit,
}

/// The most commands that it takes to open a session: a run is cut off behind them.
const LOGIN: u32 = 8;

/// Edits, and the run that follows.
#[derive(Clone, Debug)]
struct Chapter {
    events: Vec<Event>,
    /// What happens at each command of the run, whichever side it is said to.
    meanwhile: Vec<Vec<Event>>,
    /// After how many commands a side hangs up.
    cut: Option<(Side, u32)>,
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![Side::Local, Side::Remote])
}

fn flags() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "\\Seen", "\\Seen \\Flagged", "$Work", "\\Draft $Junk", "\\Deleted"])
}

fn event(edit: impl Strategy<Value = Edit>) -> impl Strategy<Value = Event> {
    let name = prop::sample::select(NAMES.to_vec());
    (side(), name, edit).prop_map(|(side, name, edit)| Event { side, name, edit })
}

fn arrive() -> impl Strategy<Value = Edit> {
    flags().prop_map(|flags| Edit::Arrive { flags })
}

fn reflag() -> impl Strategy<Value = Edit> {
    (0..100usize, flags(), flags()).prop_map(|(which, add, remove)| Edit::Reflag { which, add, remove })
}

fn expunge() -> impl Strategy<Value = Edit> {
    (0..100usize).prop_map(|which| Edit::Expunge { which })
}

fn chapter() -> impl Strategy<Value = Chapter> {
    let modseqs = any::<bool>().prop_map(Edit::ShowModSeqs);
    let event_of_any_kind = event(prop_oneof![6 => arrive(), 6 => reflag(), 4 => expunge(), 1 => modseqs]).boxed();
    let vec = |most: usize| prop::collection::vec(event_of_any_kind.clone(), 0..=most);
    // Much may happen at once, or next to nothing.
    let events = prop_oneof![vec(8), vec(1)];
    let meanwhile = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(prop::collection::vec(event(prop_oneof![arrive(), reflag(), expunge()]), 0..2), 0..30),
    ];
    let cut = prop::option::weighted(0.3, (side(), 1..30u32));
    (events, meanwhile, cut).prop_map(|(events, meanwhile, cut)| Chapter { events, meanwhile, cut })
}

/// What was done that decides what must be there in the end.
#[derive(Default)]
struct Story {
    next: u32,
    put: BTreeMap<(&'static str, u32), Side>,
    expunged: BTreeSet<(&'static str, u32)>,
    /// Whether a run may have copied what it did not remember: what is expunged on its new side then comes back, as
    /// nobody can tell it from what never arrived.
    open: bool,
}

/// The number that a message bears in its subject.
fn number(held: &Held) -> u32 {
    let text = std::str::from_utf8(&held.octets).unwrap();
    text.strip_prefix("Subject: ").and_then(|rest| rest.split('\r').next()).unwrap().parse().unwrap()
}

impl Story {
    fn tell(&mut self, account: &mut Account, event: &Event) {
        let Event { side, name, edit } = event;
        let mailbox = account.create(name);
        let nth = |which: usize| mailbox.messages.keys().copied().nth(which % mailbox.messages.len().max(1));
        match edit {
            Edit::Arrive { flags } => {
                self.next += 1;
                self.put.insert((name, self.next), *side);
                let octets = format!("Subject: {}\r\n\r\n", self.next);
                mailbox.deliver(flags, "05-May-2021 12:34:56 +0200", octets);
            }
            Edit::Reflag { which, add, remove } => {
                nth(*which).into_iter().for_each(|uid| mailbox.reflag(uid, add, remove));
            }
            Edit::ShowModSeqs(shows) => mailbox.shows_modseqs = *shows,
            Edit::Expunge { which } => {
                let Some(uid) = nth(*which) else { return };
                let place = (*name, number(&mailbox.messages[&uid]));
                if !self.open || self.put[&place] == *side {
                    mailbox.expunge(uid);
                    self.expunged.insert(place);
                }
            }
        }
    }
}

/// What is in a mailbox: the numbers of its messages, each with its flags.
fn held(account: &Account, name: &str) -> Vec<(u32, BTreeSet<String>)> {
    let messages = account.mailboxes.get(name).into_iter().flat_map(|mailbox| mailbox.messages.values());
    let mut held: Vec<_> = messages.map(|held| (number(held), held.flags.iter().cloned().collect())).collect();
    held.sort();
    held
}

async fn synchronize(accounts: &Both<Arc<Mutex<Account>>>, manners: &Both<Manner>, state: &mut State) -> Report {
    let mut stores: Both<Box<dyn Store>> = Both {
        local: Box::new(open(&accounts.local, &manners.local).await),
        remote: Box::new(open(&accounts.remote, &manners.remote).await),
    };
    let policy = Policy { max_delete: None, ..Policy::two_way() };
    let order = Order { scrutiny: Scrutiny::Changes, now: 1_000_000 };
    sync(&mut stores, state, &policy, &order, &mut Silent).await
}

fn is_quiet(report: &Report) -> bool {
    let rests = |side: Side| {
        let done = &report.sides[side];
        (done.copied, done.flagged, done.expunged) == (0, 0, 0)
    };
    report.troubles.is_empty() && Side::BOTH.into_iter().all(rests)
}

async fn both_hold_the_same(manners: &Both<Manner>, chapters: &[Chapter]) {
    let accounts = Both::from_fn(|_| Arc::new(Mutex::new(Account::default())));
    let mut state = State::in_memory().unwrap();
    let story = Arc::new(Mutex::new(Story::default()));
    for Chapter { events, meanwhile, cut } in chapters {
        for event in events {
            story.lock().unwrap().tell(&mut accounts[event.side].lock().unwrap(), event);
        }
        // Nor can anybody tell while a run copies.
        let was_open = std::mem::replace(&mut story.lock().unwrap().open, true);
        let waiting = Arc::new(Mutex::new(meanwhile.clone().into_iter()));
        for side in Side::BOTH {
            let (waiting, story) = (waiting.clone(), story.clone());
            accounts[side].lock().unwrap().meanwhile = Some(Box::new(move |account| {
                let events = waiting.lock().unwrap().next().into_iter().flatten();
                // Each side's users act while that side is asked something.
                events.filter(|event| event.side == side).for_each(|event| story.lock().unwrap().tell(account, &event));
            }));
        }
        let cut_off = Both::from_fn(|side| Manner {
            endurance: cut.filter(|(cut, _)| *cut == side).map(|(_, commands)| commands + LOGIN),
            ..manners[side].clone()
        });
        let report = synchronize(&accounts, &cut_off, &mut state).await;
        story.lock().unwrap().open = was_open || !report.troubles.is_empty();
        Side::BOTH.into_iter().for_each(|side| accounts[side].lock().unwrap().meanwhile = None);
        if cut.is_none() && meanwhile.is_empty() {
            story.lock().unwrap().open = !report.troubles.is_empty();
        }
    }
    let mut reports = Vec::new();
    while reports.last().is_none_or(|report| !is_quiet(report)) {
        assert!(reports.len() <= RUNS_TO_PEACE, "no peace: {reports:#?}");
        reports.push(synchronize(&accounts, manners, &mut state).await);
    }
    let story = story.lock().unwrap();
    for name in NAMES {
        let of = Both::from_fn(|side| held(&accounts[side].lock().unwrap(), name));
        let numbers: Vec<u32> = of.local.iter().map(|(number, _)| *number).collect();
        let implied = story.put.keys().filter(|place| place.0 == name && !story.expunged.contains(*place));
        assert_eq!(numbers, implied.map(|(_, number)| *number).collect::<Vec<_>>(), "{name}: lost, revived or doubled");
        assert_eq!(of.local, of.remote, "{name}: the sides differ");
    }
    for side in Side::BOTH {
        assert_eq!(accounts[side].lock().unwrap().offences, [""; 0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_two_users_do_is_what_both_have_in_the_end_whatever_their_servers_can(
        local in prop::sample::select(manners()),
        remote in prop::sample::select(manners()),
        pushes: (u64, u64),
        chapters in prop::collection::vec(chapter(), 1..8),
    ) {
        let manners = Both {
            local: Manner { pushes: pushes.0, ..local },
            remote: Manner { pushes: pushes.1, ..remote },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(both_hold_the_same(&manners, &chapters));
    }
}
