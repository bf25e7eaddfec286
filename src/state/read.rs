//! Reads what is remembered.

use std::collections::BTreeMap;

use rusqlite::{Params, Row, StatementStatus};

use super::{Error, LastRun, State, columns};
use crate::mail::{Both, Side, Uid, UidSet};
use crate::plan::{Intent, IntentId, MailboxKey, Pair, PairId, Remembered, Skipped};

/// So many runs of UIDs are looked up one by one without asking how large the mailbox is.
const FEW_RUNS: usize = 64;
/// A run of UIDs that is looked up costs about as much as so many rows of a scan.
const ROWS_PER_LOOKUP: u64 = 4;

impl State {
    /// How the addresses of both sides were written when the state was made; `None` in memory.
    pub fn identity(&self) -> Result<Option<Both<String>>, Error> {
        let mut addresses = Both::<Option<String>>::default();
        self.each("SELECT side, address FROM account", [], |row| {
            addresses[row.get::<_, Side>(0)?] = Some(row.get(1)?);
            Ok(())
        })?;
        match (addresses.local, addresses.remote) {
            (Some(local), Some(remote)) => Ok(Some(Both { local, remote })),
            (None, None) => Ok(None),
            _ => Err(self.corrupt("one side's address is missing")),
        }
    }

    /// The mailboxes that are remembered, ordered by name. Their counters are kept, not counted.
    pub fn remembered(&self) -> Result<Vec<Remembered>, Error> {
        let mut remembered = Vec::new();
        self.each(
            "SELECT mailbox.id, mailbox.name, mailbox.subscription, mailbox.last_success,
                    mailbox.pairs, mailbox.intents, mailbox.skipped_local, mailbox.skipped_remote,
                    local.uid_validity, local.uid_next, local.highest_modseq,
                    remote.uid_validity, remote.uid_next, remote.highest_modseq,
                    local_id.id, remote_id.id
               FROM mailbox
               LEFT JOIN checkpoint AS local ON local.mailbox = mailbox.id AND local.side = 'local'
               LEFT JOIN checkpoint AS remote ON remote.mailbox = mailbox.id AND remote.side = 'remote'
               LEFT JOIN mailbox_id AS local_id ON local_id.mailbox = mailbox.id AND local_id.side = 'local'
               LEFT JOIN mailbox_id AS remote_id ON remote_id.mailbox = mailbox.id AND remote_id.side = 'remote'
              ORDER BY mailbox.name",
            [],
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
        self.each(
            "SELECT id, local_uid, remote_uid, flags, size, internal_date, header
               FROM pair
              WHERE mailbox = ?1",
            [mailbox],
            |row| {
                pairs.extend([columns::pair(row)?]);
                Ok(())
            },
        )?;
        self.expect_as_many(mailbox, pairs.len(), "pairs", |counted| counted.pairs)?;
        Ok(pairs)
    }

    /// The pairs whose UID on `side` is one of `uids`. Reads these rows and no others, unless the UIDs lie so scattered
    /// that reading all between the first and the last is less work.
    pub fn pairs_touching(
        &self,
        mailbox: MailboxKey,
        side: Side,
        uids: &UidSet,
    ) -> Result<BTreeMap<PairId, Pair>, Error> {
        let mut pairs = BTreeMap::new();
        if self.is_scattered(mailbox, uids)? {
            if let (Some(first), Some(last)) = (uids.first(), uids.last()) {
                self.pairs_between(mailbox, side, first, last, |id, pair| {
                    if uids.contains(pair.uids[side]) {
                        pairs.insert(id, pair);
                    }
                })?;
            }
            return Ok(pairs);
        }
        for range in uids.ranges() {
            self.pairs_between(mailbox, side, *range.start(), *range.end(), |id, pair| {
                pairs.insert(id, pair);
            })?;
        }
        Ok(pairs)
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

    /// The unsettled appends of a mailbox.
    pub fn intents(&self, mailbox: MailboxKey) -> Result<BTreeMap<IntentId, Intent>, Error> {
        let mut intents = BTreeMap::new();
        self.each(
            "SELECT id, source, source_uid, flags, size, internal_date, header, target_uid_validity, floor
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

    /// The last run that came to an end.
    pub fn last_run(&self) -> Result<Option<LastRun>, Error> {
        let mut last = None;
        self.each("SELECT started, finished, result FROM run", [], |row| {
            last = Some(LastRun { started: row.get(0)?, finished: row.get(1)?, result: row.get(2)? });
            Ok(())
        })?;
        Ok(last)
    }

    /// How many rows queries have stepped through since the state was opened.
    pub fn rows_read(&self) -> u64 {
        self.rows_read.get()
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
            false => Err(self.corrupt(&format!("{read} {what} of a mailbox are there, {kept} were written"))),
        }
    }

    fn counted(&self, mailbox: MailboxKey) -> Result<Counted, Error> {
        let mut counted = Counted::default();
        self.each(
            "SELECT pairs, intents, skipped_local + skipped_remote FROM mailbox WHERE id = ?1",
            [mailbox],
            |row| {
                let [pairs, intents, skipped] = [0, 1, 2].map(|at| row.get::<_, columns::Count>(at));
                counted = Counted { pairs: pairs?.0, intents: intents?.0, skipped: skipped?.0 };
                Ok(())
            },
        )?;
        Ok(counted)
    }

    /// Gives every row of a query to `read`, and counts them: those that come out, or those that a scan went through.
    fn each(
        &self,
        sql: &str,
        parameters: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let told = |error| Error::from_sqlite(&self.path, error);
        let mut statement = self.connection.prepare_cached(sql).map_err(told)?;
        statement.reset_status(StatementStatus::FullscanStep);
        let mut rows = statement.query(parameters).map_err(told)?;
        let mut came_out = 0;
        while let Some(row) = rows.next().map_err(told)? {
            came_out += 1;
            read(row).map_err(told)?;
        }
        drop(rows);
        let scanned = u64::try_from(statement.get_status(StatementStatus::FullscanStep)).unwrap_or(0);
        self.rows_read.set(self.rows_read.get() + scanned.max(came_out));
        Ok(())
    }

    fn corrupt(&self, what: &str) -> Error {
        Error::Corrupt { path: self.path.clone(), what: what.to_owned() }
    }
}

/// The counters of a mailbox; all 0 of one that is not remembered.
#[derive(Default)]
struct Counted {
    pairs: u64,
    intents: u64,
    skipped: u64,
}
