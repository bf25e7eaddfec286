//! The state as other rooms see it: what is written comes back, whole or not at all, for its owner alone.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use interimap::database::Error::{Contradiction, Corrupt, File, Locked, Newer, NotAFile, Older, ReadOnly};
use interimap::mail::{
    Both, Checkpoint, Fingerprint, FlagSet, HeaderDigest, InternalDate, MailboxId, MailboxName, ModSeq, Side,
    Subscription, Uid, UidSet, UidValidity,
};
use interimap::plan::{Answer, Intent, Lifted, MailboxKey, Pair, PairId, Remembered, SkipReason, Skipped};
use interimap::state::{Change, Error, LastRun, Moment, State};
use rusqlite::Connection;

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn validity(number: u32) -> UidValidity {
    UidValidity::new(number).unwrap()
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

fn fingerprint(number: u32) -> Fingerprint {
    Fingerprint {
        size: u64::from(number),
        internal_date: InternalDate::from_unix(i64::from(number)).unwrap(),
        header: HeaderDigest::of(format!("Subject: {number}\r\n").as_bytes()),
    }
}

fn pair(local: u32, remote: u32) -> Pair {
    Pair {
        uids: Both { local: uid(local), remote: uid(remote) },
        flags: FlagSet::parse("\\Seen"),
        fingerprint: fingerprint(local),
    }
}

fn intent(from: Side, number: u32) -> Intent {
    Intent {
        from,
        uid: uid(number),
        flags: FlagSet::new(),
        fingerprint: fingerprint(number),
        target_uid_validity: validity(7),
        floor: uid(9),
        answer: Answer::Awaited,
    }
}

fn skipped(side: Side, number: u32, why: SkipReason) -> Skipped {
    Skipped { side, uid: uid(number), why, attempts: 1, last_attempt: 1_700_000_000 }
}

fn lifted(side: Side, number: u32) -> Lifted {
    Lifted { side, uid: uid(number), uid_validity: validity(7) }
}

fn identity() -> Both<String> {
    Both { local: "maildir:/home/alice/Mail".to_owned(), remote: "imaps://alice@imap.example.org:993".to_owned() }
}

/// A directory that is removed at the end, and the path of a state in it, two missing directories deep.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("share").join("interimap").join("work.db");
    (directory, path)
}

fn open(path: &Path) -> State {
    State::open(path, &identity()).unwrap()
}

/// A state in memory with one mailbox.
fn with_mailbox() -> (State, MailboxKey) {
    let mut state = State::in_memory().unwrap();
    let key = state.commit(|change| change.add_mailbox(&name("INBOX"))).unwrap();
    (state, key)
}

/// A state on disk, closed, with a mailbox that holds a little of everything, and `pairs` pairs.
fn filled(path: &Path, pairs: u32) -> MailboxKey {
    let mut state = open(path);
    let filled = state.commit(|change| {
        let key = change.add_mailbox(&name("INBOX"))?;
        for number in 1..=pairs {
            change.add_pair(key, &pair(number, number))?;
        }
        change.set_checkpoint(key, Side::Local, Some(Checkpoint::start_of(validity(1))))?;
        change.set_mailbox_id(key, Side::Remote, MailboxId::new("M1").as_ref())?;
        change.add_intent(key, &intent(Side::Remote, 1))?;
        change.skip(key, &skipped(Side::Local, 1, SkipReason::Policy))?;
        change.lift(key, &lifted(Side::Remote, 1))?;
        change.set_last_run(&LastRun { started: 1, finished: 2, result: "in line".to_owned() })?;
        Ok(key)
    });
    filled.unwrap()
}

/// Reads everything there is to read.
fn read_all(state: &State) -> Result<(Vec<Remembered>, usize), Error> {
    let remembered = state.remembered()?;
    let mut rows = 0;
    for mailbox in &remembered {
        rows += state.pairs(mailbox.key)?.len();
        rows += state.intents(mailbox.key)?.len();
        rows += state.skipped(mailbox.key)?.len();
        rows += state.lifted(mailbox.key)?.len();
    }
    state.last_run()?;
    Ok((remembered, rows))
}

#[test]
fn what_a_mailbox_is_remembered_by_comes_back() {
    type Step = fn(&Change<'_>, MailboxKey) -> Result<(), Error>;
    type Wanted = fn(&mut Remembered);
    fn last_checkpoint() -> Checkpoint {
        let highest_modseq = ModSeq::new(ModSeq::MAX);
        Checkpoint { uid_validity: validity(u32::MAX), uid_next: Uid::MAX, highest_modseq }
    }
    let table: &[(Step, Wanted)] = &[
        (|change, key| change.rename_mailbox(key, &name("Entwürfe/ä b")), |m| m.name = name("Entwürfe/ä b")),
        (
            |change, key| change.set_subscription(key, Some(Subscription::Subscribed)),
            |m| m.subscription = Some(Subscription::Subscribed),
        ),
        (
            |change, key| change.set_subscription(key, Some(Subscription::Unsubscribed)),
            |m| m.subscription = Some(Subscription::Unsubscribed),
        ),
        (|change, key| change.set_subscription(key, None), |m| m.subscription = None),
        (|change, key| change.set_last_success(key, -1), |m| m.last_success = Some(-1)),
        (|change, key| change.set_last_success(key, i64::MAX), |m| m.last_success = Some(i64::MAX)),
        (
            |change, key| change.set_mailbox_id(key, Side::Local, MailboxId::new("F1-a_b").as_ref()),
            |m| m.ids.local = MailboxId::new("F1-a_b"),
        ),
        (
            |change, key| change.set_mailbox_id(key, Side::Remote, MailboxId::new(&"x".repeat(255)).as_ref()),
            |m| m.ids.remote = MailboxId::new(&"x".repeat(255)),
        ),
        (
            |change, key| change.set_mailbox_id(key, Side::Remote, MailboxId::new("y").as_ref()),
            |m| m.ids.remote = MailboxId::new("y"),
        ),
        (|change, key| change.set_mailbox_id(key, Side::Local, None), |m| m.ids.local = None),
        (
            |change, key| change.set_checkpoint(key, Side::Local, Some(Checkpoint::start_of(validity(1)))),
            |m| m.checkpoints.local = Some(Checkpoint::start_of(validity(1))),
        ),
        (
            |change, key| change.set_checkpoint(key, Side::Remote, Some(last_checkpoint())),
            |m| m.checkpoints.remote = Some(last_checkpoint()),
        ),
        (
            |change, key| change.set_checkpoint(key, Side::Remote, Some(Checkpoint::start_of(validity(2)))),
            |m| m.checkpoints.remote = Some(Checkpoint::start_of(validity(2))),
        ),
        (|change, key| change.set_checkpoint(key, Side::Local, None), |m| m.checkpoints.local = None),
    ];
    let (_directory, path) = place();
    let mut state = open(&path);
    let key = state.commit(|change| change.add_mailbox(&name("a"))).unwrap();
    let mut wanted = state.remembered().unwrap().remove(0);
    assert_eq!((wanted.key, wanted.name.as_str(), wanted.pairs), (key, "a", 0));
    for (at, (step, expect)) in table.iter().enumerate() {
        state.commit(|change| step(change, key)).unwrap();
        expect(&mut wanted);
        drop(state);
        state = open(&path);
        assert_eq!(state.remembered().unwrap(), [wanted.clone()], "row {at}");
    }
}

#[test]
fn mailboxes_are_ordered_by_name_and_keys_are_not_used_again() {
    let mut state = State::in_memory().unwrap();
    let [b, _, _] = state
        .commit(|change| {
            Ok([
                change.add_mailbox(&name("b"))?,
                change.add_mailbox(&name("INBOX"))?,
                change.add_mailbox(&name("a/b"))?,
            ])
        })
        .unwrap();
    let names = |state: &State| -> Vec<String> {
        state.remembered().unwrap().into_iter().map(|mailbox| mailbox.name.to_string()).collect()
    };
    assert_eq!(names(&state), ["INBOX", "a/b", "b"]);
    state.commit(|change| change.forget_mailbox(b)).unwrap();
    assert_eq!(names(&state), ["INBOX", "a/b"]);
    let again = state.commit(|change| change.add_mailbox(&name("b"))).unwrap();
    assert!(again > b, "{again:?} {b:?}");
}

#[test]
fn pairs_come_back_as_they_were_written() {
    let dates = [-62_167_219_200, -1, 0, 253_402_300_799];
    let flags = ["", "\\Seen", "\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded KeyWord \\Important"];
    let sizes = [0, 1, i64::MAX as u64];
    let mut wanted = BTreeMap::new();
    let (mut state, key) = with_mailbox();
    let mut number = 0;
    for date in dates {
        for flags in flags {
            for size in sizes {
                number += 1;
                let uids = Both { local: uid(number), remote: uid(u32::MAX - number + 1) };
                let fingerprint = Fingerprint {
                    size,
                    internal_date: InternalDate::from_unix(date).unwrap(),
                    header: HeaderDigest::from_bytes([number as u8; 16]),
                };
                let pair = Pair { uids, flags: FlagSet::parse(flags), fingerprint };
                wanted.insert(state.commit(|change| change.add_pair(key, &pair)).unwrap(), pair);
            }
        }
    }
    assert_eq!(wanted.len(), 36);
    assert_eq!(state.pairs(key).unwrap(), wanted);

    let (first, last) = (*wanted.keys().next().unwrap(), *wanted.keys().next_back().unwrap());
    state
        .commit(|change| {
            change.set_flags(first, &FlagSet::parse("\\Draft x"))?;
            change.set_uids(key, Side::Local, &[(first, Uid::MAX)])?;
            change.set_uids(key, Side::Remote, &[(first, Uid::MIN)])?;
            change.forget_pair(last)?;
            change.forget_pair(last)
        })
        .unwrap();
    let changed = wanted.get_mut(&first).unwrap();
    changed.flags = FlagSet::parse("\\Draft x");
    changed.uids = Both { local: Uid::MAX, remote: Uid::MIN };
    wanted.remove(&last);
    assert_eq!(state.pairs(key).unwrap(), wanted);
    assert_eq!(state.remembered().unwrap().remove(0).pairs, 35);

    state.commit(|change| wanted.keys().try_for_each(|id| change.forget_pair(*id))).unwrap();
    assert_eq!(state.pairs(key).unwrap(), BTreeMap::new());
    assert_eq!(state.remembered().unwrap().remove(0).pairs, 0);
}

#[test]
fn intents_come_back_until_they_are_dropped() {
    let (mut state, key) = with_mailbox();
    let other = state.commit(|change| change.add_mailbox(&name("other"))).unwrap();
    let highest = Intent {
        flags: FlagSet::parse("\\Seen $x"),
        target_uid_validity: validity(u32::MAX),
        floor: Uid::MAX,
        answer: Answer::Taken,
        ..intent(Side::Local, u32::MAX)
    };
    let table = [
        (key, intent(Side::Local, 1)),
        (key, intent(Side::Remote, 1)),
        (key, highest),
        (other, intent(Side::Local, 1)),
    ];
    let ids = table.each_ref().map(|(key, intent)| state.commit(|change| change.add_intent(*key, intent)).unwrap());
    let of_key: BTreeMap<_, _> =
        ids.into_iter().zip(table.each_ref().map(|(_, intent)| intent.clone())).take(3).collect();
    assert_eq!(state.intents(key).unwrap(), of_key);
    for answer in [Answer::Taken, Answer::Awaited] {
        state.commit(|change| change.set_answer(ids[0], answer)).unwrap();
        assert_eq!(state.intents(key).unwrap()[&ids[0]].answer, answer);
    }
    state.commit(|change| change.drop_intent(ids[1])).unwrap();
    assert_eq!(state.intents(key).unwrap().into_keys().collect::<Vec<_>>(), [ids[0], ids[2]]);
    state.commit(|change| change.drop_intents(key)).unwrap();
    assert_eq!(state.intents(key).unwrap(), BTreeMap::new());
    assert_eq!(state.intents(other).unwrap().into_values().collect::<Vec<_>>(), [intent(Side::Local, 1)]);
}

#[test]
fn messages_left_out_come_back_with_the_reason() {
    let (mut state, key) = with_mailbox();
    let refused = |words: &str| SkipReason::Refused(words.to_owned());
    let table = [
        skipped(Side::Local, 1, SkipReason::Policy),
        skipped(Side::Local, u32::MAX, refused("")),
        Skipped {
            attempts: u32::MAX,
            last_attempt: i64::MIN,
            ..skipped(Side::Remote, 1, refused("NO\0 [ü] \u{1b}'\""))
        },
    ];
    for row in table.iter().rev() {
        state.commit(|change| change.skip(key, row)).unwrap();
    }
    assert_eq!(state.skipped(key).unwrap(), table);
    assert_eq!(state.remembered().unwrap().remove(0).skipped, Both { local: 2, remote: 1 });

    let others = [SkipReason::Kept, SkipReason::Merged, SkipReason::Unfound, refused("too big"), SkipReason::Policy];
    for again in others.map(|why| skipped(Side::Local, 1, why)) {
        state.commit(|change| change.skip(key, &again)).unwrap();
        assert_eq!(state.skipped(key).unwrap().first(), Some(&again));
    }
    state.commit(|change| change.unskip(key, Side::Local, uid(1))).unwrap();
    state.commit(|change| change.unskip(key, Side::Remote, uid(99))).unwrap();
    assert_eq!(state.skipped(key).unwrap(), table[1..]);
    state.commit(|change| change.unskip_all(key, Side::Local)).unwrap();
    assert_eq!(state.skipped(key).unwrap(), table[2..]);
    assert_eq!(state.remembered().unwrap().remove(0).skipped, Both { local: 0, remote: 1 });
}

#[test]
fn lifted_marks_come_back_until_they_are_dropped() {
    let (mut state, key) = with_mailbox();
    let table = [
        lifted(Side::Local, 1),
        Lifted { uid_validity: validity(u32::MAX), ..lifted(Side::Local, u32::MAX) },
        lifted(Side::Remote, 1),
    ];
    state.commit(|change| table.iter().rev().try_for_each(|row| change.lift(key, row))).unwrap();
    assert_eq!(state.lifted(key).unwrap(), table);
    assert_eq!(state.remembered().unwrap().remove(0).lifted, 3);
    let anew = Lifted { uid_validity: validity(8), ..table[0] };
    state.commit(|change| change.lift(key, &anew)).unwrap();
    assert_eq!(state.lifted(key).unwrap(), [anew, table[1], table[2]]);
    state.commit(|change| change.drop_lifted(key, Side::Local)).unwrap();
    assert_eq!(state.lifted(key).unwrap(), table[2..]);
    state.commit(|change| change.forget_mailbox(key)).unwrap();
    assert_eq!(state.lifted(key).unwrap(), []);
}

#[test]
fn endless_words_of_a_refusal_are_cut_at_a_character() {
    let (mut state, key) = with_mailbox();
    let row = skipped(Side::Local, 1, SkipReason::Refused(format!("x{}", "ü".repeat(5000))));
    state.commit(|change| change.skip(key, &row)).unwrap();
    let kept = SkipReason::Refused(format!("x{}", "ü".repeat(2047)));
    assert_eq!(state.skipped(key).unwrap(), [Skipped { why: kept, ..row }]);
}

#[test]
fn what_an_index_may_be_called_takes_the_place_of_what_it_was_called() {
    let mut state = State::in_memory().unwrap();
    let marks = |marks: &[&str]| marks.iter().map(|mark| mark.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(state.incarnations(Side::Local).unwrap(), marks(&[]));
    for told in [&["one", "two"][..], &["two", "three"], &["four"]] {
        state.commit(|change| change.set_incarnations(Side::Local, &marks(told))).unwrap();
        state.commit(|change| change.set_incarnations(Side::Remote, &marks(&["other"]))).unwrap();
        assert_eq!(state.incarnations(Side::Local).unwrap(), marks(told));
        assert_eq!(state.incarnations(Side::Remote).unwrap(), marks(&["other"]));
    }
}

#[test]
fn the_last_run_takes_the_place_of_the_one_before() {
    let mut state = State::in_memory().unwrap();
    assert_eq!(state.last_run().unwrap(), None);
    for run in [
        LastRun { started: 5, finished: 9, result: "in line".to_owned() },
        LastRun { started: 10, finished: 3, result: String::new() },
    ] {
        state.commit(|change| change.set_last_run(&run)).unwrap();
        assert_eq!(state.last_run().unwrap(), Some(run));
    }
}

#[test]
fn forgetting_a_mailbox_forgets_all_that_belongs_to_it_and_nothing_else() {
    let (_directory, path) = place();
    let key = filled(&path, 3);
    let mut state = open(&path);
    let other = state.commit(|change| {
        let other = change.add_mailbox(&name("other"))?;
        change.add_pair(other, &pair(1, 1))?;
        change.forget_mailbox(key)?;
        change.forget_mailbox(key)?;
        Ok(other)
    });
    let other = other.unwrap();
    drop(state);
    let raw = Connection::open(&path).unwrap();
    for (table, rows) in
        [("mailbox", 1), ("pair", 1), ("intent", 0), ("skipped", 0), ("checkpoint", 0), ("mailbox_id", 0)]
    {
        let found: i64 = raw.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(found, rows, "{table}");
    }
    drop(raw);
    assert_eq!(open(&path).pairs(other).unwrap().len(), 1);
}

#[test]
fn what_contradicts_the_state_is_refused_and_nothing_of_it_is_kept() {
    type Step = fn(&Change<'_>, MailboxKey, PairId) -> Result<(), Error>;
    const NOWHERE: MailboxKey = MailboxKey(99);
    let table: &[(&str, Step)] = &[
        ("a name twice", |change, _, _| change.add_mailbox(&name("inbox")).map(drop)),
        ("renamed to another's name", |change, key, _| {
            change.add_mailbox(&name("b"))?;
            change.rename_mailbox(key, &name("b"))
        }),
        ("no such mailbox to rename", |change, _, _| change.rename_mailbox(NOWHERE, &name("b"))),
        ("no such mailbox to subscribe", |change, _, _| change.set_subscription(NOWHERE, None)),
        ("no such mailbox to succeed", |change, _, _| change.set_last_success(NOWHERE, 1)),
        ("no such mailbox for a checkpoint", |change, _, _| {
            change.set_checkpoint(NOWHERE, Side::Local, Some(Checkpoint::start_of(validity(1))))
        }),
        ("no such mailbox for an identity", |change, _, _| {
            change.set_mailbox_id(NOWHERE, Side::Local, MailboxId::new("x").as_ref())
        }),
        ("no such mailbox for a pair", |change, _, _| change.add_pair(NOWHERE, &pair(5, 5)).map(drop)),
        ("a local UID twice", |change, key, _| change.add_pair(key, &pair(1, 5)).map(drop)),
        ("a remote UID twice", |change, key, _| change.add_pair(key, &pair(5, 1)).map(drop)),
        ("a size that no server can mean", |change, key, _| {
            let fingerprint = Fingerprint { size: 1 << 63, ..fingerprint(5) };
            change.add_pair(key, &Pair { fingerprint, ..pair(5, 5) }).map(drop)
        }),
        ("a UID of another pair", |change, key, first| change.set_uids(key, Side::Local, &[(first, uid(2))])),
        ("no such pair to flag", |change, _, _| change.set_flags(PairId(99), &FlagSet::new())),
        ("no such pair among many", |change, key, first| {
            change.set_uids(key, Side::Local, &[(first, uid(9)), (PairId(99), uid(8))])
        }),
        ("a pair of another mailbox among many", |change, _, first| {
            let other = change.add_mailbox(&name("b"))?;
            change.set_uids(other, Side::Local, &[(first, uid(9))])
        }),
        ("many pairs onto the UID of one that stays", |change, key, first| {
            change.set_uids(key, Side::Remote, &[(first, uid(2))])
        }),
        ("an intent twice", |change, key, _| {
            change.add_intent(key, &intent(Side::Local, 5))?;
            change.add_intent(key, &Intent { floor: uid(77), ..intent(Side::Local, 5) }).map(drop)
        }),
        ("an intent nowhere", |change, _, _| change.add_intent(NOWHERE, &intent(Side::Local, 5)).map(drop)),
        ("a message left out nowhere", |change, _, _| {
            change.skip(NOWHERE, &skipped(Side::Local, 5, SkipReason::Policy))
        }),
    ];
    let (mut state, key) = with_mailbox();
    let first = state.commit(|change| {
        change.add_pair(key, &pair(2, 2))?;
        change.add_pair(key, &pair(1, 1))
    });
    let first = first.unwrap();
    let before = (state.remembered().unwrap(), state.pairs(key).unwrap(), state.intents(key).unwrap());
    let is_contradiction = |result: &Result<(), Error>| matches!(result, Err(Error::Database(Contradiction { .. })));
    for (what, step) in table {
        let refused = state.commit(|change| {
            change.add_pair(key, &pair(1000, 1000))?;
            step(change, key, first)
        });
        assert!(is_contradiction(&refused), "{what}: {refused:?}");
        // Whoever passes over the error loses the whole change, too.
        let passed_over = state.commit(|change| {
            let refused = step(change, key, first);
            assert!(is_contradiction(&refused), "{what}: {refused:?}");
            let next = change.add_pair(key, &pair(1000, 1000)).map(drop);
            assert!(is_contradiction(&next), "{what}: {next:?}");
            Ok(())
        });
        assert!(is_contradiction(&passed_over), "{what}: {passed_over:?}");
        let after = (state.remembered().unwrap(), state.pairs(key).unwrap(), state.intents(key).unwrap());
        assert_eq!(after, before, "{what}");
    }
}

#[test]
fn a_stop_before_the_commit_keeps_nothing_and_one_after_it_keeps_all() {
    let (_directory, path) = place();
    for (stop, kept) in [(Moment::Before, 0), (Moment::After, 1)] {
        let mut state = open(&path);
        let moments = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&moments);
        state.on_commit(Box::new(move |moment| {
            seen.lock().unwrap().push(moment);
            if moment == stop { Err(Error::Stopped(moment)) } else { Ok(()) }
        }));
        let stopped = state.commit(|change| change.add_mailbox(&name("INBOX")));
        assert!(matches!(stopped, Err(Error::Stopped(moment)) if moment == stop), "{stopped:?}");
        let reached: &[Moment] = if kept == 0 { &[Moment::Before] } else { &[Moment::Before, Moment::After] };
        assert_eq!(*moments.lock().unwrap(), reached);
        assert_eq!(state.remembered().unwrap().len(), kept, "{stop:?}, seen by the run itself");
        drop(state);
        assert_eq!(open(&path).remembered().unwrap().len(), kept, "{stop:?}, seen by the next run");
    }
}

#[test]
fn the_hook_is_not_reached_by_a_change_that_fails() {
    let (mut state, key) = with_mailbox();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    state.on_commit(Box::new(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }));
    state.commit(|change| change.set_last_success(MailboxKey(99), 1)).unwrap_err();
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    state.commit(|change| change.set_last_success(key, 1)).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn all_uids_of_a_side_can_change_places_at_once() {
    let (_directory, path) = place();
    const PAIRS: u32 = 1000;
    let key = filled(&path, PAIRS);
    let mut state = open(&path);
    for side in Side::BOTH {
        let before = state.pairs(key).unwrap();
        // 617 and 1000 have no common divisor: every UID goes to another pair, and in one long circle.
        let uids: BTreeMap<PairId, Uid> =
            before.iter().map(|(id, pair)| (*id, uid((pair.uids[side].get() + 617 - 1) % PAIRS + 1))).collect();
        let places: Vec<(PairId, Uid)> = uids.iter().map(|(id, uid)| (*id, *uid)).collect();
        state.commit(|change| change.set_uids(key, side, &places)).unwrap();
        let mut wanted = before;
        for (id, pair) in &mut wanted {
            pair.uids[side] = uids[id];
        }
        assert_eq!(state.pairs(key).unwrap(), wanted, "{side}");
        assert_eq!(state.remembered().unwrap().remove(0).pairs, u64::from(PAIRS), "{side}");
    }
    drop(state);
    let fresh = open(&path).commit(|change| change.add_pair(key, &pair(5000, 5000))).unwrap();
    assert_eq!(fresh, PairId(i64::from(PAIRS) + 1), "keys go on where they were");
}

#[test]
fn ten_thousand_pairs_are_one_commit_and_few_of_them_are_few_rows() {
    let (_directory, path) = place();
    let key = filled(&path, 10_000);
    let state = open(&path);
    assert_eq!(state.rows_read(), 0);
    assert_eq!(state.remembered().unwrap().remove(0).pairs, 10_000);
    assert_eq!(state.rows_read(), 1, "one mailbox is one row, however many pairs it has");

    for side in Side::BOTH {
        let before = state.rows_read();
        let uids: UidSet = [3, 5000, 9999, 20_000].map(uid).into_iter().collect();
        let pairs = state.pairs_touching(key, side, &uids).unwrap();
        assert_eq!(pairs.values().map(|pair| pair.uids[side].get()).collect::<Vec<_>>(), [3, 5000, 9999]);
        assert_eq!(state.rows_read() - before, 3, "{side}");
    }
    let before = state.rows_read();
    assert!(state.pairs_touching(key, Side::Local, &UidSet::new()).unwrap().is_empty());
    assert!(state.pairs_touching(MailboxKey(99), Side::Local, &[uid(1)].into_iter().collect()).unwrap().is_empty());
    assert_eq!(state.rows_read(), before);

    assert_eq!(state.pairs(key).unwrap().len(), 10_000);
    assert_eq!(state.rows_read() - before, 10_001, "the pairs and their counter");
    for side in Side::BOTH {
        let before = state.rows_read();
        assert_eq!(state.paired_uids(key, side).unwrap(), (1..=10_000).map(uid).collect());
        assert_eq!(state.rows_read() - before, 10_001, "{side}");
    }
}

#[test]
fn pairs_that_are_given_one_by_one_have_no_holes_either() {
    let (_directory, path) = place();
    let key = filled(&path, 3);
    Connection::open(&path).unwrap().execute_batch("UPDATE mailbox SET pairs = pairs + 1").unwrap();
    let state = open(&path);
    let mut given = 0;
    let result = state.each_pair(key, |_, _| given += 1);
    assert!(matches!(result, Err(Error::Database(Corrupt { .. }))), "{result:?}");
    assert_eq!(given, 3);
    for side in Side::BOTH {
        let result = state.paired_uids(key, side);
        assert!(matches!(result, Err(Error::Database(Corrupt { .. }))), "{result:?}");
    }
}

/// The statements in a source: string literals that begin with a verb of SQL.
fn statements(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let literals = code.split('"').skip(1).step_by(2);
    let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "];
    literals.filter(|text| verbs.iter().any(|verb| text.starts_with(verb))).map(str::to_owned).collect()
}

#[test]
fn no_statement_goes_through_a_table_that_grows_with_the_mail() {
    let (_directory, path) = place();
    drop(open(&path));
    let database = Connection::open(&path).unwrap();
    let (mut explained, mut ways) = (0, BTreeSet::new());
    for source in [include_str!("../src/state/read.rs"), include_str!("../src/state/change.rs")] {
        for sql in statements(source) {
            // A condition that is put in narrows the mailboxes down.
            let mut statement =
                database.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.replace("{condition}", "TRUE"))).unwrap();
            let parameters = vec![rusqlite::types::Null; statement.parameter_count()];
            let steps =
                statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>("detail"));
            for step in steps.unwrap().map(Result::unwrap) {
                let scanned = step.strip_prefix("SCAN ").map(|rest| rest.split(' ').next().unwrap());
                assert!(scanned.is_none_or(|table| ["account", "mailbox", "run"].contains(&table)), "{step}: {sql}");
                assert!(!step.contains("TEMP B-TREE"), "{step}: {sql}");
                ways.extend(step.starts_with("SEARCH pair ").then_some(step));
            }
            explained += 1;
        }
    }
    assert!(explained >= 40, "{explained} statements were found");
    // What is not narrowed down by a UID or a key is read whole: all pairs of a mailbox, or one UID of each.
    let wanted = [
        "SEARCH pair USING COVERING INDEX sqlite_autoindex_pair_1 (mailbox=?)",
        "SEARCH pair USING COVERING INDEX sqlite_autoindex_pair_2 (mailbox=?)",
        "SEARCH pair USING INDEX pair_measure (internal_date=? AND size=?)",
        "SEARCH pair USING INDEX sqlite_autoindex_pair_1 (mailbox=? AND local_uid>? AND local_uid<?)",
        "SEARCH pair USING INDEX sqlite_autoindex_pair_2 (mailbox=? AND remote_uid>? AND remote_uid<?)",
        "SEARCH pair USING INDEX sqlite_autoindex_pair_2 (mailbox=?)",
        "SEARCH pair USING INTEGER PRIMARY KEY (rowid=?)",
    ];
    assert_eq!(ways, wanted.map(str::to_owned).into());
}

#[test]
fn only_the_owner_can_read_what_is_made() {
    let (directory, path) = place();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut state = open(&path);
    state.commit(|change| change.add_mailbox(&name("INBOX"))).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for (suffix, wanted) in [("", 0o600), ("-wal", 0o600), ("-shm", 0o600), (".lock", 0o600)] {
        let file = PathBuf::from(format!("{}{suffix}", path.display()));
        assert_eq!(mode(&file), wanted, "{suffix}");
    }
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
    assert_eq!(mode(directory.path()), 0o755, "a directory that was there is left alone");
    drop(state);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let _state = open(&path);
    assert_eq!(mode(&path), 0o600, "a file that was put there is made private");
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    for path in [directory.path(), &pipe, Path::new("/dev/null")] {
        for refused in [State::open(path, &identity()).map(drop), State::inspect(path).map(drop)] {
            assert!(matches!(refused, Err(Error::Database(NotAFile { .. }))), "{path:?} {refused:?}");
        }
    }
    let below_a_file = directory.path().join("file");
    fs::write(&below_a_file, "").unwrap();
    let refused = State::open(&below_a_file.join("work.db"), &identity()).map(drop);
    assert!(matches!(refused, Err(Error::Database(File { .. }))), "{refused:?}");
}

#[test]
fn one_run_holds_an_account_whatever_name_it_uses() {
    let (directory, path) = place();
    let state = open(&path);
    let link = directory.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for name in [&path, &link] {
        let refused = State::open(name, &identity()).map(drop);
        assert!(matches!(refused, Err(Error::Database(Locked { .. }))), "{name:?} {refused:?}");
    }
    // The attempts have not taken anything from the one that holds it.
    let other = open(&directory.path().join("other.db"));
    drop((state, other));
    open(&link);
    assert!(fs::exists(path.with_extension("db.lock")).unwrap(), "the lock's file stays");
}

/// The same test in two processes: the one that is started by the other holds the account until it is killed.
#[test]
fn a_killed_run_frees_the_account_and_keeps_its_commits() {
    const HOLD: &str = "INTERIMAP_TEST_HOLD";
    if let Some(path) = std::env::var_os(HOLD) {
        let mut state = open(Path::new(&path));
        state.commit(|change| change.add_mailbox(&name("kept"))).unwrap();
        let cut = state.commit(|change| {
            change.add_mailbox(&name("cut"))?;
            println!("\nheld");
            std::io::stdout().flush().unwrap();
            // The end of the input means that the other process is gone.
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            change.add_mailbox(&name("too late"))
        });
        cut.unwrap();
        return;
    }
    let (_directory, path) = place();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_run_frees_the_account_and_keeps_its_commits", "--nocapture"])
        .env(HOLD, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "held"));

    let refused = State::open(&path, &identity()).map(drop);
    assert!(matches!(refused, Err(Error::Database(Locked { .. }))), "{refused:?}");
    let names = |state: &State| -> Vec<String> {
        state.remembered().unwrap().into_iter().map(|mailbox| mailbox.name.to_string()).collect()
    };
    let looked_at = State::inspect(&path).unwrap().unwrap();
    assert_eq!(names(&looked_at), ["kept"]);
    drop(looked_at);

    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(&State::inspect(&path).unwrap().unwrap()), ["kept"]);
    assert_eq!(names(&open(&path)), ["kept"]);
}

#[test]
fn looking_shows_one_moment_and_changes_nothing() {
    let (directory, path) = place();
    assert!(State::inspect(&path).unwrap().is_none());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is made");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "").unwrap();
    assert!(State::inspect(&path).unwrap().is_none(), "nothing is in it");

    let mut state = open(&path);
    state.commit(|change| change.add_mailbox(&name("a"))).unwrap();
    let mut looked_at = State::inspect(&path).unwrap().unwrap();
    assert_eq!(looked_at.identity().unwrap(), Some(identity()));
    state.commit(|change| change.add_mailbox(&name("b"))).unwrap();
    assert_eq!(looked_at.remembered().unwrap().len(), 1);
    assert_eq!(State::inspect(&path).unwrap().unwrap().remembered().unwrap().len(), 2);

    let refused = looked_at.commit(|change| change.add_mailbox(&name("c")));
    assert!(matches!(refused, Err(Error::Database(ReadOnly { .. }))), "{refused:?}");
    drop(state);
    let before = fs::read(&path).unwrap();
    assert_eq!(State::inspect(&path).unwrap().unwrap().remembered().unwrap().len(), 2);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_state_of_other_addresses_is_refused_and_left_as_it_is() {
    let (_directory, path) = place();
    filled(&path, 1);
    let before = fs::read(&path).unwrap();
    for side in Side::BOTH {
        let mut other = identity();
        other[side].push('x');
        match State::open(&path, &other).map(drop) {
            Err(Error::OtherAccount { side: told, found, wanted, .. }) => {
                assert_eq!((told, found, wanted), (side, identity()[side].clone(), other[side].clone()));
            }
            result => panic!("{side}: {result:?}"),
        }
        assert_eq!(fs::read(&path).unwrap(), before, "{side}");
    }
    assert_eq!(open(&path).identity().unwrap(), Some(identity()));
    assert_eq!(State::in_memory().unwrap().identity().unwrap(), None);
}

#[test]
fn s134_a_file_that_is_no_state_is_refused_and_left_as_it_is() {
    let damage = |what: &str, octets: &mut Vec<u8>| match what {
        "text" => *octets = b"From alice@example.org Thu Jan  1 00:00:00 1970\n".repeat(200),
        "a header that was overwritten" => octets[..16].fill(0),
        "half of it" => octets.truncate(octets.len() / 8192 * 4096),
        "its first hundred octets" => octets.truncate(100),
        "a first page that was zeroed" => octets[100..4096].fill(0),
        "pages that were zeroed" => octets[4096..].fill(0),
        "pages of noise" => {
            octets[4096..].iter_mut().enumerate().for_each(|(at, octet)| *octet = (at * 31 % 251) as u8)
        }
        what => panic!("{what}"),
    };
    for what in [
        "text",
        "a header that was overwritten",
        "half of it",
        "its first hundred octets",
        "a first page that was zeroed",
        "pages that were zeroed",
        "pages of noise",
    ] {
        let (_directory, path) = place();
        filled(&path, 500);
        let mut octets = fs::read(&path).unwrap();
        damage(what, &mut octets);
        fs::write(&path, &octets).unwrap();
        let opened = State::open(&path, &identity()).and_then(|state| read_all(&state).map(drop));
        match opened {
            Err(Error::Database(Corrupt { .. })) => {}
            result => panic!("{what}: {result:?}"),
        }
        match State::inspect(&path).and_then(|state| read_all(&state.unwrap()).map(drop)) {
            Err(Error::Database(Corrupt { .. })) => {}
            result => panic!("{what}, looked at: {result:?}"),
        }
        assert_eq!(fs::read(&path).unwrap(), octets, "{what}");
    }
}

#[test]
fn s134_no_octet_that_flips_makes_the_map_smaller_unseen() {
    let (directory, path) = place();
    filled(&path, 40);
    let whole = read_all(&open(&path)).unwrap();
    let octets = fs::read(&path).unwrap();
    let mut seen = 0;
    for at in (0..octets.len()).step_by(97) {
        let mut flipped = octets.clone();
        flipped[at] ^= 0x55;
        let copy = directory.path().join(format!("{at}.db"));
        fs::write(&copy, &flipped).unwrap();
        match State::inspect(&copy).and_then(|state| state.map(|state| read_all(&state)).transpose()) {
            Ok(Some((_, rows))) => assert_eq!(rows, whole.1, "octet {at}"),
            Ok(None) => panic!("octet {at}: the state seems to be empty"),
            Err(Error::Database(Corrupt { .. } | Newer { .. } | Older { .. })) => seen += 1,
            Err(error) => panic!("octet {at}: {error}"),
        }
    }
    assert!(seen > 20, "{seen} flips were seen");
}

#[test]
fn s134_a_row_that_is_never_written_is_not_read_as_another() {
    let table = [
        ("another program's file", "PRAGMA application_id = 7"),
        ("no number", "PRAGMA user_version = 0"),
        ("flags that are none", "UPDATE pair SET flags = '\\Seen ('"),
        ("flags in another order", "UPDATE pair SET flags = 'x \\Seen'"),
        ("a UID of 0", "UPDATE pair SET local_uid = 0"),
        ("a UID above all", "UPDATE pair SET remote_uid = 4294967296"),
        ("a size below 0", "UPDATE pair SET size = -1"),
        ("a date after all", "UPDATE pair SET internal_date = 253402300800"),
        ("half a digest", "UPDATE pair SET header = x'00'"),
        ("a name with a line end", "UPDATE mailbox SET name = 'a' || char(10)"),
        ("a name in another spelling", "UPDATE mailbox SET name = 'inbox'"),
        ("a subscription that is none", "UPDATE mailbox SET subscription = 'perhaps'"),
        ("fewer pairs than were written", "UPDATE mailbox SET pairs = pairs + 1"),
        ("more intents than were written", "UPDATE mailbox SET intents = intents - 1"),
        ("fewer messages left out than were written", "UPDATE mailbox SET skipped_remote = 1"),
        ("a counter below 0", "UPDATE mailbox SET skipped_local = -1"),
        ("an identity that is none", "UPDATE mailbox_id SET id = 'ä'"),
        ("no UIDVALIDITY", "UPDATE checkpoint SET uid_validity = 0"),
        ("a mod-sequence below 0", "UPDATE checkpoint SET highest_modseq = -1"),
        ("a third side", "UPDATE intent SET source = 'middle'"),
        ("an answer that is none", "UPDATE intent SET answer = 'perhaps'"),
        ("fewer lifted marks than were written", "UPDATE mailbox SET lifted = 2"),
        ("a lifted mark of no UIDVALIDITY", "UPDATE lifted SET uid_validity = 0"),
        ("no floor", "UPDATE intent SET floor = 0"),
        ("a reason that is none", "UPDATE skipped SET why = 'mood'"),
        ("a refusal without words", "UPDATE skipped SET why = 'refused', words = NULL"),
        ("attempts above all", "UPDATE skipped SET attempts = 4294967296"),
        ("half an identity", "DELETE FROM account WHERE side = 'local'"),
        ("a table that is missing", "DROP TABLE run"),
    ];
    for (what, sql) in table {
        let (_directory, path) = place();
        filled(&path, 1);
        let raw = Connection::open(&path).unwrap();
        raw.execute_batch(&format!("PRAGMA ignore_check_constraints = ON; {sql};")).unwrap();
        drop(raw);
        let result = State::open(&path, &identity()).and_then(|state| read_all(&state));
        assert!(matches!(result, Err(Error::Database(Corrupt { .. }))), "{what}: {result:?}");
    }
}

#[test]
fn the_tables_refuse_what_the_code_takes_for_granted() {
    let (_directory, path) = place();
    filled(&path, 1);
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "foreign_keys", true).unwrap();
    for sql in [
        "UPDATE pair SET local_uid = 0",
        "UPDATE pair SET local_uid = 4294967296",
        "UPDATE pair SET remote_uid = 'x'",
        "UPDATE pair SET size = -1",
        "UPDATE pair SET header = x'00'",
        "UPDATE pair SET flags = NULL",
        "UPDATE pair SET mailbox = mailbox",
        "UPDATE intent SET source = 'middle'",
        "UPDATE intent SET mailbox = mailbox",
        "UPDATE intent SET answer = 'perhaps'",
        "UPDATE lifted SET side = 'local'",
        "UPDATE lifted SET uid = 0",
        "UPDATE lifted SET uid_validity = 4294967296",
        "UPDATE skipped SET side = 'remote'",
        "UPDATE skipped SET words = 'x'",
        "UPDATE skipped SET why = 'refused'",
        "UPDATE checkpoint SET highest_modseq = 0",
        "UPDATE checkpoint SET uid_next = 0",
        "UPDATE mailbox SET subscription = ''",
        "UPDATE mailbox SET name = ''",
        "UPDATE mailbox SET pairs = -1",
        "INSERT INTO run (id, started, finished, result) VALUES (2, 1, 1, '')",
        "INSERT INTO account (side, address) VALUES ('middle', '')",
        "INSERT INTO checkpoint (mailbox, side, uid_validity, uid_next) VALUES (99, 'local', 1, 1)",
    ] {
        assert!(raw.execute(sql, []).is_err(), "{sql}");
    }
}

/// Copies the files of a state as a power cut would leave them: as they are, while it is open.
fn cut(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    for suffix in ["", "-wal"] {
        fs::copy(format!("{}{suffix}", from.display()), format!("{}{suffix}", to.display())).unwrap();
    }
}

#[test]
fn s116_every_commit_is_there_after_a_power_cut() {
    let (directory, path) = place();
    let mut state = open(&path);
    let key = state.commit(|change| change.add_mailbox(&name("INBOX"))).unwrap();
    for number in 1..=20 {
        state.commit(|change| change.add_pair(key, &pair(number, number))).unwrap();
        let copy = directory.path().join(format!("{number}.db"));
        cut(&path, &copy);
        assert_eq!(open(&copy).pairs(key).unwrap(), state.pairs(key).unwrap());
    }
}

#[test]
fn s134_after_a_sudden_end_the_whole_file_is_checked() {
    let (directory, path) = place();
    filled(&path, 2000);
    let mut state = open(&path);
    state.commit(|change| change.set_last_run(&LastRun { started: 3, finished: 4, result: String::new() })).unwrap();
    let copy = directory.path().join("cut.db");
    cut(&path, &copy);
    drop(state);
    // An entry of an index that names another UID than its row: nothing that a look at single rows shows.
    let mut octets = fs::read(&copy).unwrap();
    let raw = Connection::open(&path).unwrap();
    let page: u32 = raw
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_pair_1'", [], |row| row.get(0))
        .unwrap();
    let last = octets.get_mut((page - 1) as usize * 4096..page as usize * 4096).unwrap().last_mut().unwrap();
    *last ^= 1;
    fs::write(&copy, &octets).unwrap();
    for attempt in 1..=2 {
        let result = State::open(&copy, &identity()).map(drop);
        assert!(matches!(result, Err(Error::Database(Corrupt { .. }))), "attempt {attempt}: {result:?}");
    }
    assert_eq!(fs::read(&copy).unwrap(), octets);
}

#[test]
fn after_a_sudden_end_rows_have_to_belong_together() {
    for sql in [
        "DELETE FROM mailbox",
        "UPDATE mailbox SET pairs = pairs + 1",
        "UPDATE mailbox SET lifted = lifted + 1",
        "DELETE FROM skipped",
    ] {
        let (directory, path) = place();
        filled(&path, 10);
        let raw = Connection::open(&path).unwrap();
        raw.execute_batch(&format!("PRAGMA foreign_keys = OFF; DROP TRIGGER skipped_removed; BEGIN; {sql}; COMMIT;"))
            .unwrap();
        let copy = directory.path().join("cut.db");
        cut(&path, &copy);
        let result = State::open(&copy, &identity()).map(drop);
        assert!(matches!(result, Err(Error::Database(Corrupt { .. }))), "{sql}: {result:?}");
    }
}

#[test]
fn s134_a_log_that_belongs_to_another_state_is_noticed() {
    let addresses =
        Both { local: "maildir:/home/bob/Mail".to_owned(), remote: "imaps://bob@imap.example.org".to_owned() };
    let grow = |state: &mut State, mailbox: &str| {
        let grown = state.commit(|change| {
            let key = change.add_mailbox(&name(mailbox))?;
            (1..=300).try_for_each(|number| change.add_pair(key, &pair(number, number)).map(drop))
        });
        grown.unwrap();
    };
    for what in ["all of the other state", "a part of it"] {
        let (directory, path) = place();
        filled(&path, 2000);
        let other = directory.path().join("other.db");
        let mut state = State::open(&other, &addresses).unwrap();
        grow(&mut state, "a");
        if what == "a part of it" {
            drop(state);
            state = State::open(&other, &addresses).unwrap();
            grow(&mut state, "b");
        }
        fs::copy(directory.path().join("other.db-wal"), format!("{}-wal", path.display())).unwrap();
        let before = fs::read(&path).unwrap();
        for _ in 0..2 {
            let result = State::open(&path, &identity()).map(drop);
            assert!(
                matches!(result, Err(Error::Database(Corrupt { .. }) | Error::OtherAccount { .. })),
                "{what}: {result:?}"
            );
            assert_eq!(fs::read(&path).unwrap(), before, "{what}");
        }
    }
}

#[test]
fn errors_say_what_to_do() {
    let (_directory, path) = place();
    let state = open(&path);
    let told = State::open(&path, &identity()).map(drop).unwrap_err().to_string();
    assert!(told.starts_with("another run holds this account") && told.ends_with("wait for it to end"), "{told}");
    drop(state);
    fs::write(
        &path,
        "no database at all, but long enough to be read as the header of one; so many octets it takes, at least",
    )
    .unwrap();
    let told = State::open(&path, &identity()).map(drop).unwrap_err().to_string();
    assert!(told.contains("move it away together with its -wal and -shm"), "{told}");
}

#[test]
fn a_state_can_be_handed_to_a_thread_of_its_own() {
    let (mut state, key) = with_mailbox();
    let thread = std::thread::spawn(move || {
        state.commit(|change| change.set_last_success(key, 7)).unwrap();
        state.remembered().unwrap().remove(0).last_success
    });
    assert_eq!(thread.join().unwrap(), Some(7));
}

/// The files of `migrations/state` in order, as they lie in the source.
fn migrations() -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/state"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

/// Makes the file that a run with the first `version` migrations would have left, with something in every table.
fn made_by(version: usize, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let raw = Connection::open(path).unwrap();
    for (_, sql) in migrations().iter().take(version) {
        raw.execute_batch(sql).unwrap();
    }
    raw.pragma_update(None, "application_id", 0x6969_6d70).unwrap();
    raw.pragma_update(None, "user_version", version as u32).unwrap();
    raw.execute_batch(
        "INSERT INTO mailbox (name) VALUES ('INBOX');
         INSERT INTO pair (mailbox, local_uid, remote_uid, flags, size, internal_date, header)
         VALUES (1, 5, 6, '\\Seen', 100, 0, zeroblob(16));
         INSERT INTO checkpoint (mailbox, side, uid_validity, uid_next) VALUES (1, 'local', 7, 6);
         INSERT INTO mailbox_id (mailbox, side, id) VALUES (1, 'remote', 'M1');
         INSERT INTO intent (mailbox, source, source_uid, flags, size, internal_date, header,
                             target_uid_validity, floor)
         VALUES (1, 'remote', 8, '', 100, 0, zeroblob(16), 7, 6);
         INSERT INTO skipped (mailbox, side, uid, why, words, attempts, last_attempt)
         VALUES (1, 'local', 9, 'refused', 'too big', 2, 3), (1, 'local', 10, 'policy', NULL, 0, 0),
                (1, 'remote', 11, 'kept', NULL, 0, 0);",
    )
    .unwrap();
    for side in Side::BOTH {
        let address = &identity()[side];
        raw.execute("INSERT INTO account (side, address) VALUES (?1, ?2)", [side.as_str(), address]).unwrap();
    }
}

/// A copy of a state that a run had open: the whole file is checked, under its own schema, before it is migrated.
fn as_a_power_cut_leaves(path: &Path) -> (tempfile::TempDir, PathBuf) {
    let (directory, copy) = place();
    let raw = Connection::open(path).unwrap();
    raw.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
    raw.execute_batch("UPDATE mailbox SET last_success = 5").unwrap();
    cut(path, &copy);
    assert!(fs::metadata(format!("{}-wal", copy.display())).unwrap().len() > 0);
    (directory, copy)
}

#[test]
fn a_state_of_every_earlier_version_opens_with_all_that_it_remembers() {
    let migrations = migrations();
    for version in 1..=migrations.len() {
        let (file, _) = &migrations[version - 1];
        let number = format!("{version:04}_");
        assert!(file.file_name().unwrap().to_str().unwrap().starts_with(&number), "{file:?}");
        let (_directory, path) = place();
        made_by(version, &path);
        let (_other_directory, path) = as_a_power_cut_leaves(&path);
        let mut state = open(&path);
        let remembered = state.remembered().unwrap().remove(0);
        assert_eq!((remembered.name.as_str(), remembered.pairs), ("INBOX", 1), "version {version}");
        assert_eq!((remembered.intents, remembered.lifted), (1, 0), "version {version}");
        assert_eq!(remembered.skipped, Both { local: 2, remote: 1 }, "version {version}");
        assert!(remembered.checkpoints.local.is_some() && remembered.ids.remote.is_some(), "version {version}");
        let pair = state.pairs(remembered.key).unwrap().into_values().next().unwrap();
        assert_eq!(pair.uids, Both { local: uid(5), remote: uid(6) }, "version {version}");
        let intent = state.intents(remembered.key).unwrap().into_values().next().unwrap();
        assert_eq!((intent.uid, intent.answer), (uid(8), Answer::Awaited), "version {version}");
        let skipped = state.skipped(remembered.key).unwrap();
        let reasons: Vec<_> = skipped.iter().map(|row| (row.uid.get(), &row.why, row.attempts)).collect();
        let refused = SkipReason::Refused("too big".to_owned());
        let wanted = [(9, &refused, 2), (10, &SkipReason::Policy, 0), (11, &SkipReason::Kept, 0)];
        assert_eq!(reasons, wanted, "version {version}");
        // What is new since takes rows, and the counters go on.
        let merged = Skipped { side: Side::Remote, ..self::skipped(Side::Local, 12, SkipReason::Merged) };
        state
            .commit(|change| {
                change.skip(remembered.key, &merged)?;
                change.unskip(remembered.key, Side::Local, uid(9))?;
                change.lift(remembered.key, &lifted(Side::Local, 1))
            })
            .unwrap();
        let now = state.remembered().unwrap().remove(0);
        assert_eq!((now.skipped, now.lifted), (Both { local: 1, remote: 2 }, 1), "version {version}");
        drop(state);
        // A copy of what was is kept, and opens like the original.
        if version < migrations.len() {
            let copy = PathBuf::from(format!("{}.v{version}-before-v{}", path.display(), migrations.len()));
            assert_eq!(open(&copy).skipped(remembered.key).unwrap().len(), 3, "version {version}");
        }
    }
}

#[test]
fn a_state_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (_directory, path) = place();
    filled(&path, 1);
    let known = migrations().len();
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", known as u32 + 1).unwrap();
    raw.close().unwrap();
    let before = fs::read(&path).unwrap();
    for refused in [State::open(&path, &identity()).map(drop), State::inspect(&path).map(drop)] {
        match refused {
            Err(Error::Database(Newer { found, known: told, .. })) => {
                assert_eq!((found as usize, told as usize), (known + 1, known));
            }
            result => panic!("{result:?}"),
        }
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}
