//! Every way to look at mailboxes yields the same changes, whatever happened to them; and what a look costs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/session.rs"]
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};

use interimap::mail::{
    Both, Checkpoint, Fingerprint, FlagSet, HeaderDigest, InternalDate, MailboxName, Observation, Side, Silence, Uid,
    UidSet,
};
use interimap::plan::{Baseline, Changes, Diff, Pair, PairId, SkipReason, Skipped, exists_equation_holds};
use interimap::store::imap::ImapStore;
use interimap::store::{Error, Method, Reach, Store, Traffic, Wanted};
use proptest::prelude::*;
use session::server::account::{Account, Held, Mailbox};
use session::server::{Habit, Manner};
use session::{histories, manners, open};

const NAMES: [&str; 3] = ["INBOX", "work", "work/old"];

/// Which side the sessions are taken for.
const SIDE: Side = Side::Remote;

// ----------------------------------------------------------------------------------------------------- what happens

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
    /// Everything goes.
    Empty,
    /// The mailbox gets a new UIDVALIDITY.
    Renew,
    /// It is, and stays, what it was before the last step: nothing else happens to it in this one.
    Restore,
    /// It keeps mod-sequences from now on, or no longer.
    ShowModSeqs(bool),
}

/// Something happens to one of the mailboxes.
type Event = (usize, Edit);

fn flags() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "\\Seen", "\\Seen \\Flagged", "$Work", "\\Deleted $Junk", "\\Answered a b c"])
}

/// What other clients do at any time.
fn daily_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => flags().prop_map(|flags| Edit::Arrive { flags }),
        4 => (0..100usize, flags(), flags()).prop_map(|(which, add, remove)| Edit::Reflag { which, add, remove }),
        3 => (0..100usize).prop_map(|which| Edit::Expunge { which }),
        1 => Just(Edit::Empty),
    ]
}

/// And what administrators do now and then.
fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        30 => daily_edit(),
        1 => Just(Edit::Renew),
        2 => Just(Edit::Restore),
        1 => any::<bool>().prop_map(Edit::ShowModSeqs),
    ]
}

fn events(edit: impl Strategy<Value = Edit>, most: usize) -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0..NAMES.len(), edit), 0..=most)
}

/// What others do at one occasion after the other: much, or a single thing that no look may fail for.
fn interruptions() -> impl Strategy<Value = Vec<Vec<Event>>> {
    let single = (0..12usize, 0..NAMES.len(), daily_edit());
    prop_oneof![
        prop::collection::vec(events(daily_edit(), 2), 0..12),
        single.prop_map(|(at, name, edit)| [vec![Vec::new(); at], vec![vec![(name, edit)]]].concat()),
    ]
}

/// What happens between two looks, and how the second one is done.
#[derive(Clone, Debug)]
struct Step {
    events: Vec<Event>,
    /// Each session starts from the checkpoint that the one so many places behind it has seen.
    lend: usize,
    reconnect: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (events(edit(), 6), prop_oneof![2 => Just(0usize), 1 => 1..6usize], any::<bool>())
        .prop_map(|(events, lend, reconnect)| Step { events, lend, reconnect })
}

fn happen(account: &mut Account, before: &BTreeMap<String, Mailbox>, (mailbox, edit): &Event) {
    let name = NAMES[*mailbox];
    let mailbox = account.mailboxes.get_mut(name).unwrap();
    let nth = |which: usize| mailbox.messages.keys().copied().nth(which % mailbox.messages.len().max(1));
    match edit {
        Edit::Arrive { flags } => _ = mailbox.deliver(flags, "05-May-2021 12:34:56 +0200", *b"Subject: x\r\n\r\n"),
        Edit::Reflag { which, add, remove } => {
            nth(*which).into_iter().for_each(|uid| mailbox.reflag(uid, add, remove));
        }
        Edit::Expunge { which } => nth(*which).into_iter().for_each(|uid| mailbox.expunge(uid)),
        Edit::Empty => {
            let uids: Vec<u32> = mailbox.messages.keys().copied().collect();
            uids.into_iter().for_each(|uid| mailbox.expunge(uid));
        }
        Edit::Renew => account.renew(name),
        Edit::Restore => *mailbox = before[name].clone(),
        Edit::ShowModSeqs(shows) => mailbox.shows_modseqs = *shows,
    }
}

fn account() -> Arc<Mutex<Account>> {
    let mut account = Account::default();
    NAMES.iter().for_each(|name| _ = account.create(name));
    Arc::new(Mutex::new(account))
}

// ------------------------------------------------------------------------------------------------ what is known of it

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn flags_of(mailbox: &Mailbox) -> BTreeMap<Uid, FlagSet> {
    let flags = |held: &Held| FlagSet::parse(&held.flags.join(" "));
    mailbox.messages.iter().map(|(number, held)| (uid(*number), flags(held))).collect()
}

/// Every fifth message was left out, the others are pairs.
fn is_skipped(uid: Uid) -> bool {
    uid.get().is_multiple_of(5)
}

/// What is remembered of a mailbox that was in line with the other side.
fn baseline(messages: &BTreeMap<Uid, FlagSet>) -> Baseline {
    let fingerprint =
        Fingerprint { size: 1, internal_date: InternalDate::from_unix(0).unwrap(), header: HeaderDigest::of(b"") };
    let pair = |(uid, flags): (&Uid, &FlagSet)| {
        let pair = Pair { uids: Both { local: *uid, remote: *uid }, flags: flags.clone(), fingerprint };
        (PairId(i64::from(uid.get())), pair)
    };
    let skipped = |uid: &Uid| Skipped { side: SIDE, uid: *uid, why: SkipReason::Policy, attempts: 0, last_attempt: 0 };
    Baseline {
        pairs: messages.iter().filter(|(uid, _)| !is_skipped(**uid)).map(pair).collect(),
        skipped: messages.keys().filter(|uid| is_skipped(**uid)).map(skipped).collect(),
    }
}

/// How a mailbox moved, as the mail itself tells.
fn implied(before: &BTreeMap<Uid, FlagSet>, now: &BTreeMap<Uid, FlagSet>) -> Changes {
    let pair = |uid: &Uid| PairId(i64::from(uid.get()));
    let gone: Vec<&Uid> = before.keys().filter(|uid| !now.contains_key(uid)).collect();
    let reflagged = now.iter().filter(|(uid, flags)| before.get(uid).is_some_and(|known| known != *flags));
    Changes {
        arrived: now.keys().filter(|uid| !before.contains_key(uid)).copied().collect(),
        reflagged: reflagged.filter(|(uid, _)| !is_skipped(**uid)).map(|(uid, f)| (pair(uid), f.clone())).collect(),
        gone: gone.iter().filter(|uid| !is_skipped(***uid)).map(|uid| pair(uid)).collect::<BTreeSet<_>>(),
        skipped_gone: gone.iter().filter(|uid| is_skipped(***uid)).map(|uid| **uid).collect(),
    }
}

/// How the side moved away from what is known of it.
fn diff(known: &Baseline, seen: &Observation) -> Changes {
    let mut diff = Diff::new(known.skipped.clone(), Both::from_fn(|side| (side == SIDE).then_some(seen)));
    for (id, pair) in &known.pairs {
        diff.compare(*id, pair.clone());
    }
    let (_, mut changes) = diff.finish();
    std::mem::take(&mut changes[SIDE])
}

/// The UIDs of that side that are known.
fn uids_in(known: &BTreeMap<Uid, FlagSet>) -> UidSet {
    known.keys().copied().collect()
}

/// What is known once changes were carried over.
fn moved(mut known: BTreeMap<Uid, FlagSet>, seen: &Observation, changes: &Changes) -> BTreeMap<Uid, FlagSet> {
    let uid_of = |pair: &PairId| uid(u32::try_from(pair.0).unwrap());
    known.extend(changes.arrived.iter().filter_map(|uid| Some((uid, seen.messages.get(uid)?.clone()))));
    known.extend(changes.reflagged.iter().map(|(pair, flags)| (uid_of(pair), flags.clone())));
    let gone: UidSet = changes.gone.iter().map(uid_of).chain(changes.skipped_gone.iter()).collect();
    known.retain(|uid, _| !gone.contains(*uid));
    known
}

// ----------------------------------------------------------------------------------------------------- who looks at it

async fn look(store: &mut ImapStore, since: &[Option<Checkpoint>; NAMES.len()]) -> Vec<Result<Observation, Error>> {
    let wanted =
        NAMES.iter().zip(since).map(|(name, since)| Wanted { name: MailboxName::new(name).unwrap(), since: *since });
    store.observe(&wanted.collect::<Vec<_>>()).await.unwrap()
}

fn run<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}

fn no_offences(account: &Arc<Mutex<Account>>) {
    assert_eq!(account.lock().unwrap().offences, [""; 0]);
}

// ------------------------------------------------------------------------------------------------------- what they see

/// Sessions of all manners look after each step.
async fn all_see_the_same(steps: &[Step]) {
    let account = account();
    let mut sessions = Vec::new();
    for manner in manners() {
        sessions.push((open(&account, &manner).await, manner, [None; NAMES.len()]));
    }
    let mut before = account.lock().unwrap().mailboxes.clone();
    let mut longer_ago = before.clone();
    for (at, step) in steps.iter().enumerate() {
        let mut restored = BTreeSet::new();
        for event in &step.events {
            if !restored.contains(NAMES[event.0]) {
                happen(&mut account.lock().unwrap(), &longer_ago, event);
            }
            if matches!(event.1, Edit::Restore) {
                restored.insert(NAMES[event.0]);
            }
        }
        let now = account.lock().unwrap().mailboxes.clone();
        let (store, _, since) = &mut sessions[at % manners().len()];
        let listing = store.mailboxes().await.unwrap();
        for (which, name) in NAMES.iter().enumerate().filter(|(_, name)| !restored.contains(*name)) {
            let listed = listing.mailboxes[&MailboxName::new(name).unwrap()].status.unwrap();
            let held = before[*name].messages.len() as u64;
            if since[which].is_some_and(|since: Checkpoint| since.proves_unchanged(&listed, held)) {
                assert_eq!(flags_of(&before[*name]), flags_of(&now[*name]), "step {at}, {name}: listed as unchanged");
            }
        }
        let lent: Vec<_> = sessions.iter().map(|(_, _, since)| *since).collect();
        for (place, (store, manner, since)) in sessions.iter_mut().enumerate() {
            if step.reconnect {
                *store = open(&account, manner).await;
            }
            let from = lent[(place + step.lend) % lent.len()];
            let observations = look(store, &from).await;
            for (which, (name, observation)) in NAMES.iter().zip(observations).enumerate() {
                let what = format!("step {at}, {name}, {manner:?} from {:?}", from[which]);
                let mut observation = observation.unwrap_or_else(|error| panic!("{what}: {error}"));
                let (old, new) = (&before[*name], &now[*name]);
                let known = baseline(&flags_of(old));
                let count = old.messages.len() as u64;
                // A restored mailbox may show by nothing but its number of messages that it was.
                if restored.contains(name) && !exists_equation_holds(&uids_in(&flags_of(old)), &observation, count) {
                    let mut anew = from;
                    anew[which] = None;
                    observation = look(store, &anew).await.remove(which).unwrap();
                }
                let status = observation.status;
                let told = (status.uid_validity.get(), status.uid_next.get(), status.messages);
                let (messages, uid_next) = (new.messages.len() as u32, new.uid_next);
                if manner.habits.contains(&Habit::NoUidNext) {
                    assert_eq!((told.0, told.2), (new.uid_validity, messages), "{what}");
                    assert!(told.1 <= uid_next && told.1 > new.messages.keys().last().copied().unwrap_or(0), "{what}");
                } else {
                    assert_eq!(told, (new.uid_validity, uid_next, messages), "{what}");
                }
                if old.uid_validity == new.uid_validity {
                    assert_eq!(diff(&known, &observation), implied(&flags_of(old), &flags_of(new)), "{what}");
                    assert!(
                        exists_equation_holds(&uids_in(&flags_of(old)), &observation, count),
                        "{what}: {observation:?}"
                    );
                } else {
                    assert_eq!(observation.silence, Silence::Gone, "{what}");
                    assert_eq!(observation.messages, flags_of(new).into_iter().collect(), "{what}");
                }
                since[which] = Some(Checkpoint::from(status));
            }
        }
        let (store, manner, since) = &mut sessions[at % manners().len()];
        lists_and_counts(store, manner, since, &now).await;
        no_offences(&account);
        longer_ago = std::mem::replace(&mut before, now);
    }
}

/// A listing and a census tell what there is, and that there is nothing new since a look.
async fn lists_and_counts(
    store: &mut ImapStore,
    manner: &Manner,
    since: &[Option<Checkpoint>; NAMES.len()],
    now: &BTreeMap<String, Mailbox>,
) {
    let listing = store.mailboxes().await.unwrap();
    for (name, since) in NAMES.iter().zip(since) {
        let what = format!("{name}, {manner:?}");
        let (there, name) = (&now[*name], MailboxName::new(name).unwrap());
        let held = there.messages.len() as u64;
        let listed = listing.mailboxes[&name].status.unwrap();
        let told = (listed.uid_validity.get(), listed.uid_next.get(), u64::from(listed.messages));
        assert_eq!(told, (there.uid_validity, there.uid_next, held), "{what}");
        // What SELECT does not tell is not known as exactly.
        let exact = store.profile().method != Method::Full && !manner.habits.contains(&Habit::NoUidNext);
        if exact && there.shows_modseqs {
            assert!(since.unwrap().proves_unchanged(&listed, held), "{what}: {since:?}, {listed:?}");
        }
        let (status, counted) = store.census(&name).await.unwrap().unwrap();
        assert_eq!((counted, u64::from(status.messages)), (uids_in(&flags_of(there)), held), "{what}");
    }
}

/// One session looks while others are at work, and again when they are not.
async fn nothing_is_lost(manner: &Manner, rounds: &[(Vec<Event>, Vec<Vec<Event>>)]) {
    let account = account();
    let mut store = open(&account, manner).await;
    let mut since = [None; NAMES.len()];
    let mut known: [BTreeMap<Uid, FlagSet>; NAMES.len()] = Default::default();
    let backup = BTreeMap::new();
    for (at, (events, meanwhile)) in rounds.iter().enumerate() {
        events.iter().for_each(|event| happen(&mut account.lock().unwrap(), &backup, event));
        let states = Arc::new(Mutex::new(vec![account.lock().unwrap().mailboxes.clone()]));
        let busy = meanwhile.iter().flatten().count() > 1;
        let mut waiting = meanwhile.clone().into_iter();
        let seen = states.clone();
        account.lock().unwrap().meanwhile = Some(Box::new(move |account| {
            for event in waiting.next().into_iter().flatten() {
                happen(account, &BTreeMap::new(), &event);
                seen.lock().unwrap().push(account.mailboxes.clone());
            }
        }));
        for peace in [false, true] {
            if peace {
                account.lock().unwrap().meanwhile = None;
            }
            let observations = look(&mut store, &since).await;
            let states = states.lock().unwrap().clone();
            let last = states.last().unwrap();
            for (which, (name, observation)) in NAMES.iter().zip(observations).enumerate() {
                let what = format!("round {at}, {name}, {manner:?} from {:?}, in peace: {peace}", since[which]);
                let observation = match observation {
                    Ok(observation) => observation,
                    // Where others never rest, nothing can be seen for now.
                    Err(error) if !peace && busy && error.reach == Reach::Mailbox => continue,
                    Err(error) => panic!("{what}: {error}"),
                };
                for (uid, flags) in observation.messages.iter() {
                    let was = |state: &BTreeMap<String, Mailbox>| flags_of(&state[*name]).get(&uid) == Some(flags);
                    assert!(states.iter().any(was), "{what}: UID {uid} never had {flags}");
                }
                let remembered = baseline(&known[which]);
                let holds = exists_equation_holds(&uids_in(&known[which]), &observation, known[which].len() as u64);
                assert!(holds, "{what}: {} known, {observation:?}", known[which].len());
                let changes = diff(&remembered, &observation);
                known[which] = moved(std::mem::take(&mut known[which]), &observation, &changes);
                let there = flags_of(&last[*name]);
                let lost = there.keys().find(|uid| {
                    let reported = changes.gone.contains(&PairId(i64::from(uid.get())));
                    reported || changes.skipped_gone.contains(**uid)
                });
                assert_eq!(lost, None, "{what}: said to be gone, and is there");
                since[which] = Some(Checkpoint::from(observation.status));
                if peace {
                    let shown = |(uid, flags): (&Uid, &FlagSet)| (*uid, (!is_skipped(*uid)).then(|| flags.clone()));
                    let known: BTreeMap<_, _> = known[which].iter().map(shown).collect();
                    assert_eq!(known, there.iter().map(shown).collect::<BTreeMap<_, _>>(), "{what}");
                }
            }
        }
    }
    no_offences(&account);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_observer_yields_what_the_history_implies(steps in prop::collection::vec(step(), 1..8)) {
        run(all_see_the_same(&steps));
    }

    #[test]
    fn what_happens_during_a_look_is_seen_then_or_by_the_next(
        manner in prop::sample::select(manners()),
        pushes: u64,
        rounds in prop::collection::vec(
            (events(daily_edit(), 6), interruptions()), 1..5),
    ) {
        run(nothing_is_lost(&Manner { pushes, ..manner }, &rounds));
    }
}

// ----------------------------------------------------------------------------------------------------- what it costs

/// What is said in a look at so many mailboxes of which none has changed, and in how many turns.
async fn cost(manner: &Manner, mailboxes: usize, messages: usize) -> Traffic {
    let account = Arc::new(Mutex::new(Account::default()));
    let names: Vec<String> = (0..mailboxes).map(|number| format!("m{number:02}")).collect();
    for name in &names {
        let mut account = account.lock().unwrap();
        let mailbox = account.create(name);
        (0..messages).for_each(|_| _ = mailbox.deliver("", "05-May-2021 12:34:56 +0200", *b"Subject: x\r\n\r\n"));
    }
    let mut store = open(&account, manner).await;
    let wanted = |since: Option<Checkpoint>, name: &String| Wanted { name: MailboxName::new(name).unwrap(), since };
    let first: Vec<Wanted> = names.iter().map(|name| wanted(None, name)).collect();
    let seen = store.observe(&first).await.unwrap();
    let since = seen.into_iter().map(|seen| Some(Checkpoint::from(seen.unwrap().status)));
    let again: Vec<Wanted> = since.zip(&names).map(|(since, name)| wanted(since, name)).collect();
    let before = store.traffic();
    for seen in store.observe(&again).await.unwrap() {
        assert_eq!(seen.unwrap().status.messages as usize, messages);
    }
    let after = store.traffic();
    Traffic {
        bytes_sent: after.bytes_sent - before.bytes_sent,
        bytes_received: after.bytes_received - before.bytes_received,
        turns: after.turns - before.turns,
    }
}

/// For each manner, what a look says and hears of each of fifty mailboxes with nine messages, in octets.
const COSTS: [(u64, u64); 8] =
    [(49, 314), (49, 314), (49, 314), (142, 378), (130, 400), (175, 440), (75, 542), (120, 614)];

#[test]
fn a_look_at_what_has_not_changed_costs_one_turn_and_so_many_octets() {
    assert_eq!(manners().len(), COSTS.len());
    for (manner, (said, heard)) in manners().into_iter().zip(COSTS) {
        // How much is left of what is deflated depends on what it is.
        let manner = &Manner { capabilities: manner.capabilities.replace(" COMPRESS=DEFLATE", ""), ..manner };
        let few = run(cost(manner, 50, 9));
        assert_eq!(few, Traffic { bytes_sent: 50 * said, bytes_received: 50 * heard, turns: 1 }, "{manner:?}");
        let many = run(cost(manner, 50, 90));
        assert_eq!((many.turns, many.bytes_sent), (1, few.bytes_sent), "{manner:?}");
        // What the messages are is heard where the server cannot tell what has changed.
        let lists = !manner.capabilities.contains("ESEARCH") && !manner.capabilities.contains("QRESYNC");
        let per_mailbox = (many.bytes_received - few.bytes_received) / 50;
        assert_eq!(per_mailbox > 10, lists, "{manner:?}: {per_mailbox} octets");
    }
}
