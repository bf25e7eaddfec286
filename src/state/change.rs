//! Changes what is remembered. What belongs together is one [`Change`] and is kept or dropped as a whole.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Params;

use super::columns::{self, Why};
use super::{Error, LastRun};
use crate::database::Transaction;
use crate::database::columns::Count;
use crate::mail::{Both, Checkpoint, FlagSet, MailboxId, MailboxName, Side, Subscription, Uid};
use crate::plan::{Answer, Intent, IntentId, Lifted, MailboxKey, Pair, PairId, SkipReason, Skipped};

/// The longest words of a refusal that are kept, in octets; a server may send more.
const MAX_WORDS: usize = 4096;

/// A change under way; see [`State::commit`](super::State::commit). Once one step of it has failed, the whole is lost.
pub struct Change<'a> {
    pub(super) transaction: Transaction<'a>,
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

    /// Gives mailboxes their new names, which they may take from each other.
    pub fn rename_mailboxes(&self, names: &BTreeMap<MailboxKey, MailboxName>) -> Result<(), Error> {
        for mailbox in names.keys() {
            // No mailbox name begins with a '/': this one is free whatever the others are called.
            self.update("UPDATE mailbox SET name = '/' || id WHERE id = ?1", [*mailbox])?;
        }
        names.iter().try_for_each(|(mailbox, name)| self.rename_mailbox(*mailbox, name))
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
        self.put(mailbox, None, pair)
    }

    /// Remembers the flags that both sides now hold.
    pub fn set_flags(&self, pair: PairId, flags: &FlagSet) -> Result<(), Error> {
        self.update("UPDATE pair SET flags = ?2 WHERE id = ?1", (pair, flags))
    }

    /// Gives many pairs of a mailbox other UIDs on one side at once, as a new UIDVALIDITY needs. The new UIDs may be
    /// those that other pairs of `uids` had before. The pairs keep their keys.
    pub fn set_uids(&self, mailbox: MailboxKey, side: Side, uids: &[(PairId, Uid)]) -> Result<(), Error> {
        /// How often it is looked whether a UID is free by now.
        const PASSES: usize = 4;
        let sql = match side {
            Side::Local => "UPDATE OR IGNORE pair SET local_uid = ?3 WHERE id = ?1 AND mailbox = ?2",
            Side::Remote => "UPDATE OR IGNORE pair SET remote_uid = ?3 WHERE id = ?1 AND mailbox = ?2",
        };
        // Messages that are counted anew mostly keep their order, and then each gets a UID that is free already if one
        // begins at the right end.
        let mut waiting = Cow::Borrowed(uids);
        for _ in 0..PASSES {
            let mut still = Vec::new();
            for (id, uid) in waiting.iter() {
                if self.transaction.change(sql, (*id, mailbox, *uid))? == 0 {
                    still.push((*id, *uid));
                }
            }
            still.reverse();
            waiting = Cow::Owned(still);
        }
        self.exchange_uids(mailbox, side, &waiting)
    }

    /// The same for pairs that wait for each other's UIDs: they are all taken out and put back, so that no UID is held
    /// twice at any step.
    fn exchange_uids(&self, mailbox: MailboxKey, side: Side, uids: &[(PairId, Uid)]) -> Result<(), Error> {
        let mut moved = Vec::with_capacity(uids.len());
        for (id, uid) in uids {
            let (_, mut pair) = self.pair(mailbox, *id)?;
            pair.uids[side] = *uid;
            moved.push((*id, pair));
        }
        for (id, _) in &moved {
            self.forget_pair(*id)?;
        }
        moved.iter().try_for_each(|(id, pair)| self.put(mailbox, Some(*id), pair).map(drop))
    }

    fn pair(&self, mailbox: MailboxKey, pair: PairId) -> Result<(PairId, Pair), Error> {
        let row = self.transaction.step(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT id, local_uid, remote_uid, flags, size, internal_date, header
                   FROM pair
                  WHERE id = ?1 AND mailbox = ?2",
            )?;
            statement.query_row((pair, mailbox), columns::pair)
        });
        Ok(row?)
    }

    /// Puts a pair in, under the key it had, or under a new one.
    fn put(&self, mailbox: MailboxKey, id: Option<PairId>, pair: &Pair) -> Result<PairId, Error> {
        let Pair { uids, flags, fingerprint } = pair;
        self.insert(
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
        .map(PairId)
    }

    /// Forgets a pair; one that is not remembered is forgotten already.
    pub fn forget_pair(&self, pair: PairId) -> Result<(), Error> {
        self.delete("DELETE FROM pair WHERE id = ?1", [pair])
    }

    /// Remembers that a message is about to be appended; there is one intent for it at most.
    pub fn add_intent(&self, mailbox: MailboxKey, intent: &Intent) -> Result<IntentId, Error> {
        let Intent { from, uid, flags, fingerprint, target_uid_validity, floor, answer } = intent;
        self.insert(
            "INSERT INTO intent (mailbox, source, source_uid, flags, size, internal_date, header,
                                 target_uid_validity, floor, answer)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
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
                answer,
            ),
        )
        .map(IntentId)
    }

    /// Remembers what the target said of an append.
    pub fn set_answer(&self, intent: IntentId, answer: Answer) -> Result<(), Error> {
        self.update("UPDATE intent SET answer = ?2 WHERE id = ?1", (intent, answer))
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
            SkipReason::Kept => (Why::Kept, None),
            SkipReason::Merged => (Why::Merged, None),
            SkipReason::Unfound => (Why::Unfound, None),
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

    /// Remembers that a message's `\Deleted` is about to be taken off for a while.
    pub fn lift(&self, mailbox: MailboxKey, lifted: &Lifted) -> Result<(), Error> {
        let Lifted { side, uid, uid_validity } = lifted;
        self.update(
            "INSERT INTO lifted (mailbox, side, uid, uid_validity)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (mailbox, side, uid) DO UPDATE SET uid_validity = excluded.uid_validity",
            (mailbox, side, uid, uid_validity),
        )
    }

    /// Forgets which marks of one side were lifted: all of them are back, or their messages are gone.
    pub fn drop_lifted(&self, mailbox: MailboxKey, side: Side) -> Result<(), Error> {
        self.delete("DELETE FROM lifted WHERE mailbox = ?1 AND side = ?2", (mailbox, side))
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

    /// Remembers what the index of a side may be called, in place of what it might have been called before.
    pub fn set_incarnations(&self, side: Side, marks: &BTreeSet<String>) -> Result<(), Error> {
        self.delete("DELETE FROM incarnation WHERE side = ?1", [side])?;
        marks.iter().try_for_each(|mark| {
            self.insert("INSERT INTO incarnation (side, mark) VALUES (?1, ?2)", (side, mark)).map(drop)
        })
    }

    /// Remembers whose state this is.
    pub(super) fn set_identity(&self, identity: &Both<String>) -> Result<(), Error> {
        Side::BOTH.into_iter().try_for_each(|side| {
            self.update("INSERT INTO account (side, address) VALUES (?1, ?2)", (side, &identity[side]))
        })
    }

    fn insert(&self, sql: &str, parameters: impl Params) -> Result<i64, Error> {
        Ok(self.transaction.insert(sql, parameters)?)
    }

    fn update(&self, sql: &str, parameters: impl Params) -> Result<(), Error> {
        Ok(self.transaction.update(sql, parameters)?)
    }

    fn delete(&self, sql: &str, parameters: impl Params) -> Result<(), Error> {
        Ok(self.transaction.delete(sql, parameters)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::State;
    use super::*;
    use crate::database;
    use crate::mail::{Fingerprint, HeaderDigest, InternalDate, UidValidity};

    /// One step of a random change, on one of few mailboxes, UIDs and keys, so that steps meet each other.
    #[derive(Clone, Debug)]
    enum Step {
        AddMailbox(u8),
        ForgetMailbox(i64),
        AddPair(i64, u32, u32),
        ForgetPair(i64),
        MovePairs(i64, Side),
        AddIntent(i64, Side, u32),
        DropIntent(i64),
        DropIntents(i64),
        Skip(i64, Side, u32, u32),
        Unskip(i64, Side, u32),
        UnskipAll(i64, Side),
        Lift(i64, Side, u32, u32),
        DropLifted(i64, Side),
    }

    fn step() -> impl Strategy<Value = Step> {
        let side = || prop_oneof![Just(Side::Local), Just(Side::Remote)];
        let (key, row, uid) = (|| 1..5i64, || 1..20i64, || 1..8u32);
        prop_oneof![
            3 => (0..4u8).prop_map(Step::AddMailbox),
            1 => key().prop_map(Step::ForgetMailbox),
            8 => (key(), uid(), uid()).prop_map(|(key, local, remote)| Step::AddPair(key, local, remote)),
            3 => row().prop_map(Step::ForgetPair),
            2 => (key(), side()).prop_map(|(key, side)| Step::MovePairs(key, side)),
            5 => (key(), side(), uid()).prop_map(|(key, side, uid)| Step::AddIntent(key, side, uid)),
            2 => row().prop_map(Step::DropIntent),
            1 => key().prop_map(Step::DropIntents),
            5 => (key(), side(), uid(), uid()).prop_map(|(key, side, uid, times)| Step::Skip(key, side, uid, times)),
            2 => (key(), side(), uid()).prop_map(|(key, side, uid)| Step::Unskip(key, side, uid)),
            1 => (key(), side()).prop_map(|(key, side)| Step::UnskipAll(key, side)),
            4 => (key(), side(), uid(), uid()).prop_map(|(key, side, uid, validity)| Step::Lift(key, side, uid, validity)),
            1 => (key(), side()).prop_map(|(key, side)| Step::DropLifted(key, side)),
        ]
    }

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    /// Takes a step in a change of its own. Steps that contradict the state are refused, as many random ones do.
    fn take(state: &mut State, step: &Step) -> Result<(), Error> {
        let flags = FlagSet::new();
        let internal_date = InternalDate::from_unix(0).unwrap();
        let fingerprint = Fingerprint { size: 1, internal_date, header: HeaderDigest::of(b"") };
        // Every UID goes to the next pair, the last one to the first.
        let circle = |state: &State, key, side| -> Vec<(PairId, Uid)> {
            let pairs = state.pairs(key).unwrap();
            let uids: Vec<Uid> = pairs.values().map(|pair| pair.uids[side]).collect();
            pairs.into_keys().zip(uids.into_iter().cycle().skip(1)).collect()
        };
        let moved = match step {
            Step::MovePairs(key, side) => circle(state, MailboxKey(*key), *side),
            _ => Vec::new(),
        };
        state.commit(|change| match *step {
            Step::AddMailbox(letter) => {
                change.add_mailbox(&MailboxName::new(&char::from(b'a' + letter).to_string()).unwrap()).map(drop)
            }
            Step::ForgetMailbox(key) => change.forget_mailbox(MailboxKey(key)),
            Step::AddPair(key, local, remote) => {
                let uids = Both { local: uid(local), remote: uid(remote) };
                change.add_pair(MailboxKey(key), &Pair { uids, flags, fingerprint }).map(drop)
            }
            Step::ForgetPair(pair) => change.forget_pair(PairId(pair)),
            Step::MovePairs(key, side) => change.set_uids(MailboxKey(key), side, &moved),
            Step::AddIntent(key, from, number) => {
                let target_uid_validity = UidValidity::new(1).unwrap();
                let (uid, floor, answer) = (uid(number), Uid::MIN, Answer::Awaited);
                let intent = Intent { from, uid, flags, fingerprint, target_uid_validity, floor, answer };
                change.add_intent(MailboxKey(key), &intent).map(drop)
            }
            Step::DropIntent(intent) => change.drop_intent(IntentId(intent)),
            Step::DropIntents(key) => change.drop_intents(MailboxKey(key)),
            Step::Skip(key, side, number, attempts) => {
                let skipped = Skipped { side, uid: uid(number), why: SkipReason::Policy, attempts, last_attempt: 0 };
                change.skip(MailboxKey(key), &skipped)
            }
            Step::Unskip(key, side, number) => change.unskip(MailboxKey(key), side, uid(number)),
            Step::UnskipAll(key, side) => change.unskip_all(MailboxKey(key), side),
            Step::Lift(key, side, number, validity) => {
                let uid_validity = UidValidity::new(validity).unwrap();
                change.lift(MailboxKey(key), &Lifted { side, uid: uid(number), uid_validity })
            }
            Step::DropLifted(key, side) => change.drop_lifted(MailboxKey(key), side),
        })
    }

    fn count(state: &State, sql: &str, key: MailboxKey) -> u64 {
        state.database.connection().query_row(sql, [key], |row| row.get::<_, Count>(0)).unwrap().0
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn counters_are_what_counting_finds(steps in prop::collection::vec(step(), 1..80)) {
            let mut state = State::in_memory().unwrap();
            for step in steps {
                let taken = take(&mut state, &step);
                prop_assert!(matches!(taken, Ok(()) | Err(Error::Database(database::Error::Contradiction { .. }))), "{step:?}: {taken:?}");
                for mailbox in state.remembered().unwrap() {
                    let of = |sql| count(&state, sql, mailbox.key);
                    prop_assert_eq!(mailbox.pairs, of("SELECT count(*) FROM pair WHERE mailbox = ?1"));
                    prop_assert_eq!(mailbox.intents, of("SELECT count(*) FROM intent WHERE mailbox = ?1"));
                    prop_assert_eq!(mailbox.lifted, of("SELECT count(*) FROM lifted WHERE mailbox = ?1"));
                    prop_assert_eq!(mailbox.lifted, state.lifted(mailbox.key).unwrap().len() as u64);
                    for side in Side::BOTH {
                        let counted = match side {
                            Side::Local => of("SELECT count(*) FROM skipped WHERE mailbox = ?1 AND side = 'local'"),
                            Side::Remote => of("SELECT count(*) FROM skipped WHERE mailbox = ?1 AND side = 'remote'"),
                        };
                        prop_assert_eq!(mailbox.skipped[side], counted);
                    }
                }
            }
            let known: Vec<_> = state.remembered().unwrap().into_iter().map(|mailbox| mailbox.key).collect();
            let rows: i64 = state.database.connection().query_row("SELECT count(*) FROM pair", [], |row| row.get(0)).unwrap();
            let reached: usize = known.iter().map(|key| state.pairs(*key).unwrap().len()).sum();
            prop_assert_eq!(rows, reached as i64, "no row belongs to a mailbox that is gone");
        }
    }
}
