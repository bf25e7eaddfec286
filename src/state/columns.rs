//! How what is remembered stands in columns. Each reads back as the value that was written, or not at all.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::database::columns::{Count, words};
use crate::mail::{Both, Checkpoint, Fingerprint};
use crate::plan::{Answer, Intent, IntentId, Lifted, MailboxKey, Pair, PairId, Remembered, SkipReason, Skipped};

/// `id, local_uid, remote_uid, flags, size, internal_date, header`
pub(super) fn pair(row: &Row<'_>) -> rusqlite::Result<(PairId, Pair)> {
    let pair = Pair {
        uids: Both { local: row.get(1)?, remote: row.get(2)? },
        flags: row.get(3)?,
        fingerprint: fingerprint(row, 4)?,
    };
    Ok((row.get(0)?, pair))
}

/// `id, source, source_uid, flags, size, internal_date, header, target_uid_validity, floor, answer`
pub(super) fn intent(row: &Row<'_>) -> rusqlite::Result<(IntentId, Intent)> {
    let intent = Intent {
        from: row.get(1)?,
        uid: row.get(2)?,
        flags: row.get(3)?,
        fingerprint: fingerprint(row, 4)?,
        target_uid_validity: row.get(7)?,
        floor: row.get(8)?,
        answer: row.get(9)?,
    };
    Ok((row.get(0)?, intent))
}

/// `side, uid, why, words, attempts, last_attempt`
pub(super) fn skipped(row: &Row<'_>) -> rusqlite::Result<Skipped> {
    let why = match row.get(2)? {
        Why::Policy => SkipReason::Policy,
        Why::Kept => SkipReason::Kept,
        Why::Refused => SkipReason::Refused(row.get(3)?),
        Why::Merged => SkipReason::Merged,
        Why::Unfound => SkipReason::Unfound,
    };
    Ok(Skipped { side: row.get(0)?, uid: row.get(1)?, why, attempts: row.get(4)?, last_attempt: row.get(5)? })
}

/// `side, uid, uid_validity`
pub(super) fn lifted(row: &Row<'_>) -> rusqlite::Result<Lifted> {
    Ok(Lifted { side: row.get(0)?, uid: row.get(1)?, uid_validity: row.get(2)? })
}

/// `id, name, subscription, last_success, pairs, intents, skipped_local, skipped_remote, lifted`, then for each side
/// `uid_validity, uid_next, highest_modseq`, then for each side its mailbox's identity.
pub(super) fn remembered(row: &Row<'_>) -> rusqlite::Result<Remembered> {
    Ok(Remembered {
        key: row.get(0)?,
        name: row.get(1)?,
        subscription: row.get(2)?,
        last_success: row.get(3)?,
        pairs: row.get::<_, Count>(4)?.0,
        intents: row.get::<_, Count>(5)?.0,
        skipped: Both { local: row.get::<_, Count>(6)?.0, remote: row.get::<_, Count>(7)?.0 },
        lifted: row.get::<_, Count>(8)?.0,
        checkpoints: Both { local: checkpoint(row, 9)?, remote: checkpoint(row, 12)? },
        ids: Both { local: row.get(15)?, remote: row.get(16)? },
    })
}

/// `uid_validity, uid_next, highest_modseq` from column `at` on; all NULL where there is none.
fn checkpoint(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Checkpoint>> {
    let Some(uid_validity) = row.get(at)? else { return Ok(None) };
    Ok(Some(Checkpoint { uid_validity, uid_next: row.get(at + 1)?, highest_modseq: row.get(at + 2)? }))
}

/// `size, internal_date, header` from column `at` on.
fn fingerprint(row: &Row<'_>, at: usize) -> rusqlite::Result<Fingerprint> {
    Ok(Fingerprint { size: row.get::<_, Count>(at)?.0, internal_date: row.get(at + 1)?, header: row.get(at + 2)? })
}

/// A row's key.
macro_rules! key {
    ($($key:ident),*) => {$(
        impl FromSql for $key {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<$key> {
                value.as_i64().map($key)
            }
        }

        impl ToSql for $key {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.0.into())
            }
        }
    )*};
}

key!(MailboxKey, PairId, IntentId);

/// The column beside the words of a refusal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    Policy,
    Kept,
    Refused,
    Merged,
    Unfound,
}

words! {
    Why, "a reason": Policy = "policy", Kept = "kept", Refused = "refused", Merged = "merged", Unfound = "unfound";
    Answer, "an answer": Awaited = "awaited", Taken = "taken";
}
