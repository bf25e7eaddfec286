//! Reads what is remembered.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Params, Row};

use super::{Error, LastRun, State, columns};
use crate::database::columns::Count;
use crate::database::{self, Database};
use crate::mail::{Both, Measure, Side, Uid, UidSet};
use crate::plan::{Intent, IntentId, Lifted, MailboxKey, Pair, PairId, Remembered, Skipped};

/// Of pairs that measure the same, so many are told: what a program has brought in at once may all bear one date and be of
/// one size.
const ALIKE_LIMIT: u64 = 20_000;
/// So many runs of UIDs are looked up one by one without asking how large the mailbox is.
const FEW_RUNS: usize = 64;
/// A run of UIDs that is looked up costs about as much as so many rows of a scan: 7 µs and 4 µs of 300,000 pairs.
const ROWS_PER_LOOKUP: u64 = 2;

impl State {
    /// How the addresses of both sides were written when the state was made; `None` in memory.
    pub fn identity(&self) -> Result<Option<Both<String>>, Error> {
        Ok(identity(&self.database)?)
    }

    /// What the index of a side may be called by which its UIDs are known.
    pub fn incarnations(&self, side: Side) -> Result<BTreeSet<String>, Error> {
        let mut incarnations = BTreeSet::new();
        self.each("SELECT mark FROM incarnation WHERE side = ?1", [side], |row| {
            incarnations.insert(row.get(0)?);
            Ok(())
        })?;
        Ok(incarnations)
    }

    /// The mailboxes that are remembered, ordered by name. Their counters are kept, not counted.
    pub fn remembered(&self) -> Result<Vec<Remembered>, Error> {
        self.remembered_where("1 ORDER BY mailbox.name", [])
    }

    /// What is remembered of one mailbox.
    pub fn remembered_as(&self, mailbox: MailboxKey) -> Result<Option<Remembered>, Error> {
        Ok(self.remembered_where("mailbox.id = ?1", [mailbox])?.pop())
    }

    fn remembered_where(
        &self,
        condition: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<Remembered>, Error> {
        let mut remembered = Vec::new();
        self.each(
            &format!(
                "SELECT mailbox.id, mailbox.name, mailbox.subscription, mailbox.last_success,
                        mailbox.pairs, mailbox.intents, mailbox.skipped_local, mailbox.skipped_remote, mailbox.lifted,
                        local.uid_validity, local.uid_next, local.highest_modseq,
                        remote.uid_validity, remote.uid_next, remote.highest_modseq,
                        local_id.id, remote_id.id
                   FROM mailbox
                   LEFT JOIN checkpoint AS local ON local.mailbox = mailbox.id AND local.side = 'local'
                   LEFT JOIN checkpoint AS remote ON remote.mailbox = mailbox.id AND remote.side = 'remote'
                   LEFT JOIN mailbox_id AS local_id ON local_id.mailbox = mailbox.id AND local_id.side = 'local'
                   LEFT JOIN mailbox_id AS remote_id ON remote_id.mailbox = mailbox.id AND remote_id.side = 'remote'
                  WHERE {condition}"
            ),
            parameters,
            |row| {
                remembered.push(columns::remembered(row)?);
                Ok(())
            },
        )?;
        Ok(remembered)
    }

    /// All pairs of a mailbox; none of one that is not remembered.
    pub fn pairs(&self, mailbox: MailboxKey) -> Result<BTreeMap<PairId, Pair>, Error> {
        let mut pairs = BTreeMap::new();
        self.each_pair(mailbox, |id, pair| drop(pairs.insert(id, pair)))?;
        Ok(pairs)
    }

    /// Gives all pairs of a mailbox to `found`, one by one: there may be more of them than one wants to hold at once. What
    /// was concluded from them does not count if this fails in the end.
    pub fn each_pair(&self, mailbox: MailboxKey, mut found: impl FnMut(PairId, Pair)) -> Result<(), Error> {
        let mut read = 0;
        self.each(
            "SELECT id, local_uid, remote_uid, flags, size, internal_date, header
               FROM pair
              WHERE mailbox = ?1",
            [mailbox],
            |row| {
                let (id, pair) = columns::pair(row)?;
                read += 1;
                found(id, pair);
                Ok(())
            },
        )?;
        self.expect_as_many(mailbox, read, "pairs", |counted| counted.pairs)
    }

    /// The UIDs that the pairs of a mailbox have on one side.
    pub fn paired_uids(&self, mailbox: MailboxKey, side: Side) -> Result<UidSet, Error> {
        let sql = match side {
            Side::Local => "SELECT local_uid FROM pair WHERE mailbox = ?1 ORDER BY local_uid",
            Side::Remote => "SELECT remote_uid FROM pair WHERE mailbox = ?1 ORDER BY remote_uid",
        };
        let mut uids = UidSet::new();
        let mut read = 0;
        self.each(sql, [mailbox], |row| {
            read += 1;
            uids.insert(row.get(0)?);
            Ok(())
        })?;
        self.expect_as_many(mailbox, read, "pairs", |counted| counted.pairs)?;
        Ok(uids)
    }

    /// The pairs whose UID on `side` is one of `uids`.
    pub fn pairs_touching(
        &self,
        mailbox: MailboxKey,
        side: Side,
        uids: &UidSet,
    ) -> Result<BTreeMap<PairId, Pair>, Error> {
        let mut pairs = BTreeMap::new();
        self.each_pair_touching(mailbox, side, uids, |id, pair| drop(pairs.insert(id, pair)))?;
        Ok(pairs)
    }

    /// Gives the pairs whose UID on `side` is one of `uids` to `found`, one by one. Reads these rows and no others, unless
    /// the UIDs lie so scattered that reading all between the first and the last is less work.
    pub fn each_pair_touching(
        &self,
        mailbox: MailboxKey,
        side: Side,
        uids: &UidSet,
        mut found: impl FnMut(PairId, Pair),
    ) -> Result<(), Error> {
        if self.is_scattered(mailbox, uids)? {
            let (Some(first), Some(last)) = (uids.first(), uids.last()) else { return Ok(()) };
            return self.pairs_between(mailbox, side, first, last, |id, pair| {
                if uids.contains(pair.uids[side]) {
                    found(id, pair);
                }
            });
        }
        uids.ranges().try_for_each(|range| self.pairs_between(mailbox, side, *range.start(), *range.end(), &mut found))
    }

    /// Whether looking every run of `uids` up costs more than reading the whole mailbox.
    fn is_scattered(&self, mailbox: MailboxKey, uids: &UidSet) -> Result<bool, Error> {
        if uids.ranges().take(FEW_RUNS + 1).count() <= FEW_RUNS {
            return Ok(false);
        }
        let most = usize::try_from(self.counted(mailbox)?.pairs / ROWS_PER_LOOKUP).unwrap_or(usize::MAX);
        Ok(uids.ranges().take(most.saturating_add(1)).count() > most)
    }

    fn pairs_between(
        &self,
        mailbox: MailboxKey,
        side: Side,
        first: Uid,
        last: Uid,
        mut found: impl FnMut(PairId, Pair),
    ) -> Result<(), Error> {
        let sql = match side {
            Side::Local => {
                "SELECT id, local_uid, remote_uid, flags, size, internal_date, header
                   FROM pair
                  WHERE mailbox = ?1 AND local_uid BETWEEN ?2 AND ?3"
            }
            Side::Remote => {
                "SELECT id, local_uid, remote_uid, flags, size, internal_date, header
                   FROM pair
                  WHERE mailbox = ?1 AND remote_uid BETWEEN ?2 AND ?3"
            }
        };
        self.each(sql, (mailbox, first, last), |row| {
            let (id, pair) = columns::pair(row)?;
            found(id, pair);
            Ok(())
        })
    }

    /// The pairs of all mailboxes of which the message measures that, with their mailboxes: 20,000 at most, the oldest first. Reads these
    /// rows and no others.
    pub fn pairs_measuring(&self, measure: Measure) -> Result<Vec<(MailboxKey, PairId, Pair)>, Error> {
        let mut pairs = Vec::new();
        self.each(
            "SELECT id, local_uid, remote_uid, flags, size, internal_date, header, mailbox
               FROM pair
              WHERE internal_date = ?1 AND size = ?2
              ORDER BY id
              LIMIT ?3",
            (measure.internal_date, Count(measure.size), Count(ALIKE_LIMIT)),
            |row| {
                let (id, pair) = columns::pair(row)?;
                pairs.push((row.get(7)?, id, pair));
                Ok(())
            },
        )?;
        Ok(pairs)
    }

    /// The unsettled appends of a mailbox.
    pub fn intents(&self, mailbox: MailboxKey) -> Result<BTreeMap<IntentId, Intent>, Error> {
        let mut intents = BTreeMap::new();
        self.each(
            "SELECT id, source, source_uid, flags, size, internal_date, header, target_uid_validity, floor,
                    answer
               FROM intent
              WHERE mailbox = ?1",
            [mailbox],
            |row| {
                intents.extend([columns::intent(row)?]);
                Ok(())
            },
        )?;
        self.expect_as_many(mailbox, intents.len(), "intents", |counted| counted.intents)?;
        Ok(intents)
    }

    /// The messages of a mailbox that were left out, ordered by side and UID.
    pub fn skipped(&self, mailbox: MailboxKey) -> Result<Vec<Skipped>, Error> {
        let mut skipped = Vec::new();
        self.each(
            "SELECT side, uid, why, words, attempts, last_attempt
               FROM skipped
              WHERE mailbox = ?1
              ORDER BY side, uid",
            [mailbox],
            |row| {
                skipped.push(columns::skipped(row)?);
                Ok(())
            },
        )?;
        self.expect_as_many(mailbox, skipped.len(), "messages left out", |counted| counted.skipped)?;
        Ok(skipped)
    }

    /// The messages of a mailbox whose `\Deleted` is to be put back, ordered by side and UID.
    pub fn lifted(&self, mailbox: MailboxKey) -> Result<Vec<Lifted>, Error> {
        let mut lifted = Vec::new();
        self.each(
            "SELECT side, uid, uid_validity
               FROM lifted
              WHERE mailbox = ?1
              ORDER BY side, uid",
            [mailbox],
            |row| {
                lifted.push(columns::lifted(row)?);
                Ok(())
            },
        )?;
        self.expect_as_many(mailbox, lifted.len(), "lifted marks", |counted| counted.lifted)?;
        Ok(lifted)
    }

    /// The last run that came to an end.
    pub fn last_run(&self) -> Result<Option<LastRun>, Error> {
        let mut last = None;
        self.each("SELECT started, finished, result FROM run", [], |row| {
            last = Some(LastRun { started: row.get(0)?, finished: row.get(1)?, result: row.get(2)? });
            Ok(())
        })?;
        Ok(last)
    }

    /// How many rows reading has stepped through since the state was opened, and changes on their way to what they change.
    pub fn rows_read(&self) -> u64 {
        self.database.rows_read()
    }

    /// A map with holes would look like deletions: as many rows as were written have to be read.
    fn expect_as_many(
        &self,
        mailbox: MailboxKey,
        read: usize,
        what: &str,
        kept: impl FnOnce(&Counted) -> u64,
    ) -> Result<(), Error> {
        let kept = kept(&self.counted(mailbox)?);
        match u64::try_from(read) == Ok(kept) {
            true => Ok(()),
            false => {
                let what = format!("{read} {what} of a mailbox are there, {kept} were written");
                Err(self.database.corrupt(&what).into())
            }
        }
    }

    fn counted(&self, mailbox: MailboxKey) -> Result<Counted, Error> {
        let mut counted = Counted::default();
        self.each(
            "SELECT pairs, intents, skipped_local + skipped_remote, lifted FROM mailbox WHERE id = ?1",
            [mailbox],
            |row| {
                let [pairs, intents, skipped, lifted] = [0, 1, 2, 3].map(|at| row.get::<_, Count>(at));
                counted = Counted { pairs: pairs?.0, intents: intents?.0, skipped: skipped?.0, lifted: lifted?.0 };
                Ok(())
            },
        )?;
        Ok(counted)
    }

    fn each(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        Ok(self.database.each(sql, parameters, read)?)
    }
}

/// Whose state a database is; `None` where its first run was cut before it said so, and in memory.
pub(super) fn identity(database: &Database) -> Result<Option<Both<String>>, database::Error> {
    let mut addresses = Both::<Option<String>>::default();
    database.each("SELECT side, address FROM account", [], |row| {
        addresses[row.get::<_, Side>(0)?] = Some(row.get(1)?);
        Ok(())
    })?;
    match (addresses.local, addresses.remote) {
        (Some(local), Some(remote)) => Ok(Some(Both { local, remote })),
        (None, None) => Ok(None),
        _ => Err(database.corrupt("one side's address is missing")),
    }
}

/// The counters of a mailbox; all 0 of one that is not remembered.
#[derive(Default)]
struct Counted {
    pairs: u64,
    intents: u64,
    skipped: u64,
    lifted: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::{Fingerprint, FlagSet, HeaderDigest, InternalDate, MailboxName};

    /// A state with the pairs 1, 3, 5, … of both sides, `pairs` of them, beside another mailbox that has the same.
    fn odd(pairs: u32) -> (State, MailboxKey) {
        let mut state = State::in_memory().unwrap();
        let internal_date = InternalDate::from_unix(0).unwrap();
        let fingerprint = Fingerprint { size: 1, internal_date, header: HeaderDigest::of(b"") };
        let key = state.commit(|change| {
            let keys =
                [change.add_mailbox(&MailboxName::inbox())?, change.add_mailbox(&MailboxName::new("b").unwrap())?];
            for (key, number) in keys.into_iter().flat_map(|key| (0..pairs).map(move |number| (key, number))) {
                let uid = Uid::new(2 * number + 1).unwrap();
                let uids = Both { local: uid, remote: uid };
                change.add_pair(key, &Pair { uids, flags: FlagSet::new(), fingerprint })?;
            }
            Ok(keys[0])
        });
        (state, key.unwrap())
    }

    #[test]
    fn the_fewest_rows_are_read_that_answer() {
        let (state, key) = odd(1000);
        let every =
            |step: usize, from: u32, to: u32| (from..=to).step_by(step).filter_map(Uid::new).collect::<UidSet>();
        for (what, uids, rows) in [
            ("all in one run", every(1, 1, u32::from(u16::MAX)), 1000),
            ("few runs", every(10, 1, 600), 60),
            ("many runs, yet fewer than a scan would read", every(10, 1, 1500), 150 + 1),
            ("more runs than a scan costs", every(2, 1, 1999), 1000 + 1),
            ("few runs of what is not there", every(2, 2, 100), 0),
            ("many runs of what is not there", every(2, 2, 900), 1),
            ("more runs than a scan costs, of what is not there", every(2, 2, 1200), 599 + 1),
        ] {
            let before = state.rows_read();
            let pairs = state.pairs_touching(key, Side::Remote, &uids).unwrap();
            assert!(pairs.values().all(|pair| uids.contains(pair.uids.remote)), "{what}");
            assert_eq!(state.rows_read() - before, rows, "{what}");
        }
    }

    #[test]
    fn a_scan_is_counted_even_when_nothing_comes_out_of_it() {
        let (state, _) = odd(100);
        state.each("SELECT id FROM pair WHERE size = 7", [], |_| Ok(())).unwrap();
        assert!(state.rows_read() >= 199, "{}", state.rows_read());
    }

    #[test]
    fn pairs_are_found_by_their_measure_in_every_mailbox() {
        let (mut state, key) = odd(100);
        let internal_date = InternalDate::from_unix(7).unwrap();
        let fingerprint = Fingerprint { size: 1, internal_date, header: HeaderDigest::of(b"") };
        let pair = |number: u32, fingerprint| {
            let uid = Uid::new(number).unwrap();
            Pair { uids: Both { local: uid, remote: uid }, flags: FlagSet::new(), fingerprint }
        };
        let other = state.remembered().unwrap().into_iter().map(|row| row.key).find(|other| *other != key).unwrap();
        let ids = state.commit(|change| {
            change.add_pair(key, &pair(1001, Fingerprint { size: 2, ..fingerprint }))?;
            Ok([change.add_pair(other, &pair(1000, fingerprint))?, change.add_pair(key, &pair(1000, fingerprint))?])
        });
        let [first, second] = ids.unwrap();
        let before = state.rows_read();
        let found = state.pairs_measuring(fingerprint.measure()).unwrap();
        assert_eq!(found, [(other, first, pair(1000, fingerprint)), (key, second, pair(1000, fingerprint))]);
        assert_eq!(state.rows_read() - before, 2);
        assert_eq!(state.pairs_measuring(Measure { size: 3, internal_date }).unwrap(), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn touching_is_reading_all_and_choosing(uids in prop::collection::vec(1..700u32, 0..400), remote: bool) {
            let side = if remote { Side::Remote } else { Side::Local };
            let (state, key) = odd(300);
            let uids: UidSet = uids.into_iter().filter_map(Uid::new).collect();
            let mut chosen = state.pairs(key).unwrap();
            chosen.retain(|_, pair| uids.contains(pair.uids[side]));
            prop_assert_eq!(state.pairs_touching(key, side, &uids).unwrap(), chosen);
        }
    }
}
