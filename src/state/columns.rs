//! How values stand in columns. Each reads back as the value that was written, or not at all.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::mail::{
    Both, Checkpoint, Fingerprint, FlagSet, HeaderDigest, InternalDate, MailboxId, MailboxName, ModSeq, Side,
    Subscription, Uid, UidValidity,
};
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

/// What stands in a column is nothing that is ever written there.
#[derive(Debug, thiserror::Error)]
#[error("{0} does not read back")]
struct Unreadable(&'static str);

fn read_text<T>(value: ValueRef<'_>, what: &'static str, read: impl FnOnce(&str) -> Option<T>) -> FromSqlResult<T> {
    read(value.as_str()?).ok_or_else(|| FromSqlError::other(Unreadable(what)))
}

/// A number of things, or of octets: 0 … 2^63-1.
pub(super) struct Count(pub(super) u64);

impl FromSql for Count {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Count> {
        let number = value.as_i64()?;
        number.try_into().map(Count).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

impl ToSql for Count {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let number = i64::try_from(self.0);
        number.map(ToSqlOutput::from).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
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

/// A number with bounds of its own.
macro_rules! number {
    ($($number:ident: $plain:ident),*) => {$(
        impl FromSql for $number {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<$number> {
                let number = value.as_i64()?;
                let plain = $plain::try_from(number).ok();
                plain.and_then($number::new).ok_or(FromSqlError::OutOfRange(number))
            }
        }
    )*};
}

number!(Uid: u32, UidValidity: u32, ModSeq: u64);

impl ToSql for Uid {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.get().into())
    }
}

impl ToSql for UidValidity {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.get().into())
    }
}

impl ToSql for ModSeq {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.get().cast_signed().into())
    }
}

impl FromSql for InternalDate {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<InternalDate> {
        let instant = value.as_i64()?;
        InternalDate::from_unix(instant).ok_or(FromSqlError::OutOfRange(instant))
    }
}

impl ToSql for InternalDate {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.unix().into())
    }
}

impl FromSql for HeaderDigest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<HeaderDigest> {
        <[u8; 16]>::column_result(value).map(HeaderDigest::from_bytes)
    }
}

impl ToSql for HeaderDigest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_bytes().to_vec().into())
    }
}

impl FromSql for FlagSet {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<FlagSet> {
        // Reading leaves out what is no flag; only a set that would be written just so was written so.
        read_text(value, "a set of flags", |text| {
            let flags = FlagSet::parse(text);
            (flags.to_string() == text).then_some(flags)
        })
    }
}

impl ToSql for FlagSet {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for MailboxName {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<MailboxName> {
        read_text(value, "the name of a mailbox", |text| {
            MailboxName::new(text).ok().filter(|name| name.as_str() == text)
        })
    }
}

impl ToSql for MailboxName {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for MailboxId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<MailboxId> {
        read_text(value, "the identity of a mailbox", MailboxId::new)
    }
}

impl ToSql for MailboxId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

/// A word out of few.
macro_rules! words {
    ($($type:ident, $what:literal: $($value:ident = $word:literal),*;)*) => {$(
        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<$type> {
                read_text(value, $what, |text| match text {
                    $($word => Some($type::$value),)*
                    _ => None,
                })
            }
        }

        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let word = match self {
                    $($type::$value => $word,)*
                };
                Ok(word.into())
            }
        }
    )*};
}

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
    Side, "a side": Local = "local", Remote = "remote";
    Subscription, "a subscription": Subscribed = "subscribed", Unsubscribed = "unsubscribed";
    Why, "a reason": Policy = "policy", Kept = "kept", Refused = "refused", Merged = "merged", Unfound = "unfound";
    Answer, "an answer": Awaited = "awaited", Taken = "taken";
}
