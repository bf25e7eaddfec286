//! How the values of mail stand in columns. Each reads back as the value that was written, or not at all.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::mail::{
    FlagSet, HeaderDigest, InternalDate, MailboxId, MailboxName, ModSeq, Side, Subscription, Uid, UidValidity,
};

/// What stands in a column is nothing that is ever written there.
#[derive(Debug, thiserror::Error)]
#[error("{0} does not read back")]
struct Unreadable(&'static str);

/// Reads a text that means something.
pub(crate) fn read_text<T>(
    value: ValueRef<'_>,
    what: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> FromSqlResult<T> {
    read(value.as_str()?).ok_or_else(|| FromSqlError::other(Unreadable(what)))
}

/// A number of things, or of octets: 0 … 2^63-1.
pub(crate) struct Count(pub(crate) u64);

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
        impl rusqlite::types::FromSql for $type {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<$type> {
                $crate::database::columns::read_text(value, $what, |text| match text {
                    $($word => Some($type::$value),)*
                    _ => None,
                })
            }
        }

        impl rusqlite::types::ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                let word = match self {
                    $($type::$value => $word,)*
                };
                Ok(word.into())
            }
        }
    )*};
}

pub(crate) use words;

words! {
    Side, "a side": Local = "local", Remote = "remote";
    Subscription, "a subscription": Subscribed = "subscribed", Unsubscribed = "unsubscribed";
}
