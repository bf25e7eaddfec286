//! Changes what is remembered. What belongs together is one [`Change`] and is kept or dropped as a whole.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Params, Transaction};

use super::columns::{self, Count, Why};
use super::{Error, LastRun};
use crate::mail::{Both, Checkpoint, FlagSet, MailboxId, MailboxName, Side, Subscription, Uid};
use crate::plan::{Intent, IntentId, MailboxKey, Pair, PairId, SkipReason, Skipped};

/// The longest words of a refusal that are kept, in octets; a server may send more.
const MAX_WORDS: usize = 4096;

/// A change under way; see [`State::commit`](super::State::commit). Once one step of it has failed, the whole is lost.
pub struct Change<'a> {
    pub(super) transaction: Transaction<'a>,
    pub(super) path: &'a Path,
    pub(super) failed: Cell<bool>,
}

impl Change<'_> {
    /// Remembers a mailbox that is not remembered yet.
    pub fn add_mailbox(&self, name: &MailboxName) -> Result<MailboxKey, Error> {
        self.insert("INSERT INTO mailbox (name) VALUES (?1)", [name]).map(MailboxKey)
    }

    /// Gives a mailbox a name that no other bears.
    pub fn rename_mailbox(&self, mailbox: MailboxKey, name: &MailboxName) -> Result<(), Error> {
        self.update("UPDATE mailbox SET name = ?2 WHERE id = ?1", (mailbox, name))
    }

    /// Forgets a mailbox and all that belongs to it; one that is not remembered is forgotten already.
    pub fn forget_mailbox(&self, mailbox: MailboxKey) -> Result<(), Error> {
        self.delete("DELETE FROM mailbox WHERE id = ?1", [mailbox])
    }

    /// Remembers the subscription that both sides agree on.
    pub fn set_subscription(&self, mailbox: MailboxKey, subscription: Option<Subscription>) -> Result<(), Error> {
        self.update("UPDATE mailbox SET subscription = ?2 WHERE id = ?1", (mailbox, subscription))
    }

    /// Remembers when a mailbox was last in line, in seconds since 1970.
    pub fn set_last_success(&self, mailbox: MailboxKey, unix: i64) -> Result<(), Error> {
        self.update("UPDATE mailbox SET last_success = ?2 WHERE id = ?1", (mailbox, unix))
    }

    /// Remembers where a side's next run may start from; `None` forgets it.
    pub fn set_checkpoint(&self, mailbox: MailboxKey, side: Side, checkpoint: Option<Checkpoint>) -> Result<(), Error> {
        match checkpoint {
            Some(Checkpoint { uid_validity, uid_next, highest_modseq }) => self.update(
                "INSERT INTO checkpoint (mailbox, side, uid_validity, uid_next, highest_modseq)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (mailbox, side) DO UPDATE
                    SET uid_validity = excluded.uid_validity,
                        uid_next = excluded.uid_next,
                        highest_modseq = excluded.highest_modseq",
                (mailbox, side, uid_validity, uid_next, highest_modseq),
            ),
            None => self.delete("DELETE FROM checkpoint WHERE mailbox = ?1 AND side = ?2", (mailbox, side)),
        }
    }

    /// Remembers a side's identity for a mailbox; `None` forgets it.
    pub fn set_mailbox_id(&self, mailbox: MailboxKey, side: Side, id: Option<&MailboxId>) -> Result<(), Error> {
        match id {
            Some(id) => self.update(
                "INSERT INTO mailbox_id (mailbox, side, id)
                 VALUES (?1, ?2, ?3)
                 ON CONFLICT (mailbox, side) DO UPDATE SET id = excluded.id",
                (mailbox, side, id),
            ),
            None => self.delete("DELETE FROM mailbox_id WHERE mailbox = ?1 AND side = ?2", (mailbox, side)),
        }
    }

    /// Remembers a pair; neither of its UIDs may be in another pair of the mailbox.
    pub fn add_pair(&self, mailbox: MailboxKey, pair: &Pair) -> Result<PairId, Error> {
        let Pair { uids, flags, fingerprint } = pair;
        self.insert(
            "INSERT INTO pair (mailbox, local_uid, remote_uid, flags, size, internal_date, header)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                mailbox,
                uids.local,
                uids.remote,
                flags,
                Count(fingerprint.size),
                fingerprint.internal_date,
                fingerprint.header,
            ),
        )
        .map(PairId)
    }

    /// Remembers the flags that both sides now hold.
    pub fn set_flags(&self, pair: PairId, flags: &FlagSet) -> Result<(), Error> {
        self.update("UPDATE pair SET flags = ?2 WHERE id = ?1", (pair, flags))
    }

    /// Gives a pair another UID on one side, one that is free. Where UIDs are exchanged, see [`Change::set_uids`].
    pub fn set_uid(&self, pair: PairId, side: Side, uid: Uid) -> Result<(), Error> {
        match side {
            Side::Local => self.update("UPDATE pair SET local_uid = ?2 WHERE id = ?1", (pair, uid)),
            Side::Remote => self.update("UPDATE pair SET remote_uid = ?2 WHERE id = ?1", (pair, uid)),
        }
    }

    /// Gives many pairs of a mailbox other UIDs on one side at once, as a new UIDVALIDITY needs. The new UIDs may be
    /// those that other pairs of `uids` had before. The pairs keep their keys: they are all taken out and put back,
    /// so that no UID is held twice at any step.
    pub fn set_uids(&self, mailbox: MailboxKey, side: Side, uids: &BTreeMap<PairId, Uid>) -> Result<(), Error> {
        let mut moved = Vec::with_capacity(uids.len());
        for (id, uid) in uids {
            let (_, mut pair) = self.pair(mailbox, *id)?;
            pair.uids[side] = *uid;
            moved.push((*id, pair));
        }
        for (id, _) in &moved {
            self.forget_pair(*id)?;
        }
        moved.iter().try_for_each(|(id, pair)| self.put_back(mailbox, *id, pair))
    }

    fn pair(&self, mailbox: MailboxKey, pair: PairId) -> Result<(PairId, Pair), Error> {
        self.told(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT id, local_uid, remote_uid, flags, size, internal_date, header
                   FROM pair
                  WHERE id = ?1 AND mailbox = ?2",
            )?;
            statement.query_row((pair, mailbox), columns::pair)
        })
    }

    fn put_back(&self, mailbox: MailboxKey, id: PairId, pair: &Pair) -> Result<(), Error> {
        let Pair { uids, flags, fingerprint } = pair;
        self.update(
            "INSERT INTO pair (id, mailbox, local_uid, remote_uid, flags, size, internal_date, header)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                id,
                mailbox,
                uids.local,
                uids.remote,
                flags,
                Count(fingerprint.size),
                fingerprint.internal_date,
                fingerprint.header,
            ),
        )
    }

    /// Forgets a pair; one that is not remembered is forgotten already.
    pub fn forget_pair(&self, pair: PairId) -> Result<(), Error> {
        self.delete("DELETE FROM pair WHERE id = ?1", [pair])
    }

    /// Forgets all pairs of a mailbox.
    pub fn forget_pairs(&self, mailbox: MailboxKey) -> Result<(), Error> {
        self.delete("DELETE FROM pair WHERE mailbox = ?1", [mailbox])
    }

    /// Remembers that a message is about to be appended; there is one intent for it at most.
    pub fn add_intent(&self, mailbox: MailboxKey, intent: &Intent) -> Result<IntentId, Error> {
        let Intent { from, uid, flags, fingerprint, target_uid_validity, floor } = intent;
        self.insert(
            "INSERT INTO intent (mailbox, source, source_uid, flags, size, internal_date, header,
                                 target_uid_validity, floor)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                mailbox,
                from,
                uid,
                flags,
                Count(fingerprint.size),
                fingerprint.internal_date,
                fingerprint.header,
                target_uid_validity,
                floor,
            ),
        )
        .map(IntentId)
    }

    /// Forgets an intent that is settled; one that is not remembered is forgotten already.
    pub fn drop_intent(&self, intent: IntentId) -> Result<(), Error> {
        self.delete("DELETE FROM intent WHERE id = ?1", [intent])
    }

    /// Forgets all intents of a mailbox.
    pub fn drop_intents(&self, mailbox: MailboxKey) -> Result<(), Error> {
        self.delete("DELETE FROM intent WHERE mailbox = ?1", [mailbox])
    }

    /// Remembers that a message was left out, in place of what was remembered of it before. Of a refusal's words, the
    /// first 4096 octets are kept.
    pub fn skip(&self, mailbox: MailboxKey, skipped: &Skipped) -> Result<(), Error> {
        let Skipped { side, uid, why, attempts, last_attempt } = skipped;
        let (why, words) = match why {
            SkipReason::Policy => (Why::Policy, None),
            SkipReason::Refused(words) => (Why::Refused, words.get(..words.floor_char_boundary(MAX_WORDS))),
        };
        self.update(
            "INSERT INTO skipped (mailbox, side, uid, why, words, attempts, last_attempt)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (mailbox, side, uid) DO UPDATE
                SET why = excluded.why,
                    words = excluded.words,
                    attempts = excluded.attempts,
                    last_attempt = excluded.last_attempt",
            (mailbox, side, uid, why, words, attempts, last_attempt),
        )
    }

    /// Forgets that a message was left out, if it was.
    pub fn unskip(&self, mailbox: MailboxKey, side: Side, uid: Uid) -> Result<(), Error> {
        self.delete("DELETE FROM skipped WHERE mailbox = ?1 AND side = ?2 AND uid = ?3", (mailbox, side, uid))
    }

    /// Forgets of every message that one side holds that it was left out.
    pub fn unskip_all(&self, mailbox: MailboxKey, side: Side) -> Result<(), Error> {
        self.delete("DELETE FROM skipped WHERE mailbox = ?1 AND side = ?2", (mailbox, side))
    }

    /// Remembers how a run ended, in place of the one before.
    pub fn set_last_run(&self, run: &LastRun) -> Result<(), Error> {
        self.update(
            "INSERT INTO run (id, started, finished, result)
             VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE
                SET started = excluded.started, finished = excluded.finished, result = excluded.result",
            (run.started, run.finished, &run.result),
        )
    }

    /// Remembers whose state this is.
    pub(super) fn set_identity(&self, identity: &Both<String>) -> Result<(), Error> {
        Side::BOTH.into_iter().try_for_each(|side| {
            self.update("INSERT INTO account (side, address) VALUES (?1, ?2)", (side, &identity[side]))
        })
    }

    /// Adds a row and says its key.
    fn insert(&self, sql: &str, parameters: impl Params) -> Result<i64, Error> {
        self.told(|transaction| transaction.prepare_cached(sql)?.insert(parameters))
    }

    /// Changes the one row that has to be there.
    fn update(&self, sql: &str, parameters: impl Params) -> Result<(), Error> {
        self.told(|transaction| match transaction.prepare_cached(sql)?.execute(parameters)? {
            0 => Err(rusqlite::Error::QueryReturnedNoRows),
            _ => Ok(()),
        })
    }

    /// Deletes what is there.
    fn delete(&self, sql: &str, parameters: impl Params) -> Result<(), Error> {
        self.told(|transaction| transaction.prepare_cached(sql)?.execute(parameters).map(drop))
    }

    /// Takes one step, unless one before has failed: SQLite may have ended the transaction then, and what follows
    /// would be kept without what came before.
    fn told<T>(&self, step: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, Error> {
        if self.failed.get() {
            return Err(Error::Contradiction { what: "a step before has failed".to_owned() });
        }
        step(&self.transaction).map_err(|error| {
            self.failed.set(true);
            match error {
                rusqlite::Error::QueryReturnedNoRows => {
                    Error::Contradiction { what: "what is to be changed is not remembered".to_owned() }
                }
                error => Error::from_sqlite(self.path, error),
            }
        })
    }
}
