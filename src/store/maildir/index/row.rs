//! What the index holds of a mailbox and of a message, and how that stands in columns.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::database::columns::words;
use crate::mail::{
    Checkpoint, FlagSet, HeaderDigest, InternalDate, MailboxId, MailboxName, MailboxStatus, ModSeq, Uid, UidSet,
    UidValidity,
};
use crate::store::Form;

use super::super::folders::Folder;
use super::super::keywords::Keywords;
use super::super::stamp::{FileStamp, Stamps};

/// A mailbox's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct Key(pub(super) i64);

/// What the index holds of a mailbox.
#[derive(Clone, Debug)]
pub(in super::super) struct Mailbox {
    pub(in super::super) key: Key,
    pub(in super::super) name: MailboxName,
    pub(in super::super) id: MailboxId,
    pub(in super::super) status: MailboxStatus,
    /// Expunges up to this mod-sequence are told no more.
    pub(super) forgotten_modseq: u64,
    /// What letters mean in it.
    pub(in super::super) letters: Keywords,
    /// How its directories looked when they were last read; `None`: never yet.
    pub(in super::super) look: Option<Look>,
}

/// How directories looked, and what that is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Look {
    pub(in super::super) stamps: Stamps,
    /// When they were first seen to look so, in nanoseconds since 1970.
    pub(in super::super) since: i64,
    pub(in super::super) trust: Trust,
}

/// Whether directories that still look so are known to hold what they held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Trust {
    /// A change in the same tick of the clock would not have shown.
    Fresh,
    /// They were read when the clock had gone on.
    Settled,
}

/// A file that is a message.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Filed {
    pub(in super::super) uid: Uid,
    /// What the message is known by: the unique part of the file's name, and behind a NUL, which no name can hold, what
    /// tells it from another file with that part.
    pub(in super::super) unique_name: Vec<u8>,
    pub(in super::super) folder: Folder,
    /// What follows the unique part in the file's name.
    pub(in super::super) info: Vec<u8>,
    /// Keywords that no letter stands for.
    pub(in super::super) keywords: FlagSet,
    pub(in super::super) stamp: FileStamp,
    pub(in super::super) internal_date: InternalDate,
    /// Who it is, once it was read.
    pub(in super::super) print: Option<Print>,
    pub(in super::super) modseq: ModSeq,
}

/// A message's row, read in place: most are as they were, and nothing is made of those.
pub(in super::super) struct Row<'a> {
    pub(in super::super) unique_name: &'a [u8],
    pub(in super::super) folder: Folder,
    pub(in super::super) info: &'a [u8],
    pub(in super::super) inode: u64,
    row: &'a rusqlite::Row<'a>,
}

impl Row<'_> {
    pub(super) fn of<'a>(row: &'a rusqlite::Row<'a>) -> rusqlite::Result<Row<'a>> {
        Ok(Row {
            unique_name: row.get_ref(1)?.as_blob()?,
            folder: row.get(2)?,
            info: row.get_ref(3)?.as_blob()?,
            inode: row.get::<_, i64>(5)?.cast_unsigned(),
            row,
        })
    }

    /// The name of the file.
    pub(in super::super) fn file_name(&self) -> Vec<u8> {
        file_name(self.unique_name, self.info)
    }

    /// All of it.
    pub(in super::super) fn filed(&self) -> rusqlite::Result<Filed> {
        filed(self.row)
    }
}

/// Who a message is, as its file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Print {
    /// Octets on the wire.
    pub(in super::super) size: u64,
    /// How many of them another synchronizer has added.
    pub(in super::super) mark: u64,
    pub(in super::super) form: Form,
    pub(in super::super) header: HeaderDigest,
}

impl Mailbox {
    /// The mod-sequence since which changes are asked for, if that can be answered as far as numbers tell.
    pub(in super::super) fn resumed(&self, since: &Checkpoint) -> Option<ModSeq> {
        let now = &self.status;
        let modseq = since.highest_modseq?;
        let can = since.uid_validity == now.uid_validity
            && since.uid_next <= now.uid_next
            && Some(modseq) <= now.highest_modseq
            && modseq.get() >= self.forgotten_modseq;
        can.then_some(modseq)
    }

    /// Those of these UIDs that messages may have: all below UIDNEXT.
    pub(in super::super) fn given_out(&self, uids: &UidSet) -> UidSet {
        let mut given_out = UidSet::new();
        if let Some(last) = Uid::new(self.status.uid_next.get() - 1) {
            given_out.insert_range(Uid::MIN..=last);
        }
        uids.intersection(&given_out)
    }
}

impl Filed {
    /// The name of the file.
    pub(in super::super) fn file_name(&self) -> Vec<u8> {
        file_name(&self.unique_name, &self.info)
    }

    /// The unique part of that name.
    pub(in super::super) fn unique_part(&self) -> &[u8] {
        unique_part(&self.unique_name)
    }
}

pub(super) fn file_name(unique_name: &[u8], info: &[u8]) -> Vec<u8> {
    [unique_part(unique_name), info].concat()
}

/// What stands before the NUL, if there is one, in what a message is known by.
pub(super) fn unique_part(unique_name: &[u8]) -> &[u8] {
    unique_name.split(|octet| *octet == 0).next().unwrap_or_default()
}

/// The columns that [`mailbox`] reads.
pub(super) const MAILBOX: &str = "key, name, identity, uid_validity, uid_next, highest_modseq, messages,
     forgotten_modseq, keyword_letters, stamps, seen, trust";

pub(super) fn mailbox(row: &rusqlite::Row<'_>) -> rusqlite::Result<Mailbox> {
    let messages: i64 = row.get(6)?;
    let status = MailboxStatus {
        uid_validity: row.get::<_, UidValidity>(3)?,
        uid_next: row.get(4)?,
        highest_modseq: Some(row.get(5)?),
        messages: messages.try_into().map_err(|_| rusqlite::Error::IntegralValueOutOfRange(6, messages))?,
    };
    let stamps: Option<Vec<u8>> = row.get(9)?;
    let look = match stamps.as_deref().and_then(Stamps::from_bytes) {
        Some(stamps) => Some(Look { stamps, since: row.get(10)?, trust: row.get(11)? }),
        None => None,
    };
    Ok(Mailbox {
        key: row.get(0)?,
        name: row.get(1)?,
        id: row.get(2)?,
        status,
        forgotten_modseq: row.get::<_, i64>(7)?.cast_unsigned(),
        letters: Keywords::parse(row.get_ref(8)?.as_blob()?),
        look,
    })
}

/// The columns that [`filed`] reads.
pub(super) const FILED: &str = "uid, unique_name, folder, info, keywords, inode, file_size, mtime, internal_date,
     size, mark, form, header, modseq";

pub(super) fn filed(row: &rusqlite::Row<'_>) -> rusqlite::Result<Filed> {
    let print = match row.get::<_, Option<i64>>(9)? {
        Some(size) => Some(Print {
            size: size.cast_unsigned(),
            mark: row.get::<_, i64>(10)?.cast_unsigned(),
            form: row.get(11)?,
            header: row.get(12)?,
        }),
        None => None,
    };
    Ok(Filed {
        uid: row.get(0)?,
        unique_name: row.get(1)?,
        folder: row.get(2)?,
        info: row.get(3)?,
        keywords: row.get(4)?,
        stamp: FileStamp {
            inode: row.get::<_, i64>(5)?.cast_unsigned(),
            size: row.get::<_, i64>(6)?.cast_unsigned(),
            mtime: row.get(7)?,
        },
        internal_date: row.get(8)?,
        print,
        modseq: row.get(13)?,
    })
}

impl FromSql for Key {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Key> {
        value.as_i64().map(Key)
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

words! {
    Folder, "a folder": New = "new", Cur = "cur";
    Trust, "a trust": Fresh = "fresh", Settled = "settled";
    Form, "a form": Text = "text", Binary = "binary";
}
