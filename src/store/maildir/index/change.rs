//! Changes of the index, each in a transaction.

use rusqlite::{OptionalExtension, Params};

use crate::database::{Error, Transaction};
use crate::mail::{FlagSet, InternalDate, MailboxId, MailboxName, ModSeq, Subscription, Uid, UidValidity};

use super::super::folders::Folder;
use super::super::keywords::Keywords;
use super::super::stamp::FileStamp;
use super::row::{Filed, Key, Look, Print};

type Result<T> = std::result::Result<T, Error>;

/// The steps of one change.
pub(in super::super) struct Change<'a> {
    pub(super) transaction: Transaction<'a>,
}

/// A file that is new to the index.
#[derive(Clone, Debug)]
pub(in super::super) struct Arrival {
    pub(in super::super) unique_name: Vec<u8>,
    pub(in super::super) folder: Folder,
    pub(in super::super) info: Vec<u8>,
    pub(in super::super) keywords: FlagSet,
    pub(in super::super) stamp: FileStamp,
    pub(in super::super) internal_date: InternalDate,
    pub(in super::super) print: Option<Print>,
}

impl Arrival {
    /// The name of the file.
    pub(in super::super) fn file_name(&self) -> Vec<u8> {
        super::row::file_name(&self.unique_name, &self.info)
    }
}

impl Change<'_> {
    fn run(&self, sql: &str, parameters: impl Params) -> Result<usize> {
        self.transaction.step(|transaction| transaction.prepare_cached(sql)?.execute(parameters))
    }

    pub(in super::super) fn add_mailbox(
        &self,
        name: &MailboxName,
        id: &MailboxId,
        uid_validity: UidValidity,
    ) -> Result<Key> {
        let sql = "INSERT INTO mailbox (name, identity, uid_validity) VALUES (?1, ?2, ?3)";
        self.transaction.insert(sql, (name, id, uid_validity)).map(Key)
    }

    pub(in super::super) fn forget_mailbox(&self, key: Key) -> Result<()> {
        self.run("DELETE FROM mailbox WHERE key = ?1", [key]).map(drop)
    }

    /// Gives mailboxes new names, which may be each other's old ones.
    pub(in super::super) fn rename_mailboxes(&self, names: &[(Key, MailboxName)]) -> Result<()> {
        for (key, _) in names {
            // No name holds a control character.
            self.run("UPDATE mailbox SET name = char(1) || key WHERE key = ?1", [key])?;
        }
        names
            .iter()
            .try_for_each(|(key, name)| self.run("UPDATE mailbox SET name = ?2 WHERE key = ?1", (key, name)).map(drop))
    }

    /// A mod-sequence above all that were given in the mailbox.
    pub(in super::super) fn next_modseq(&self, key: Key) -> Result<ModSeq> {
        let sql = "UPDATE mailbox SET highest_modseq = highest_modseq + 1 WHERE key = ?1 RETURNING highest_modseq";
        self.transaction.step(|it| it.prepare_cached(sql)?.query_row([key], |row| row.get(0)))
    }

    /// Takes back what an older copy of the index says of a mailbox: what UIDs mean, and the keywords that only it knows.
    pub(super) fn distrust(&self, key: Key, uid_validity: UidValidity) -> Result<()> {
        self.run("UPDATE message SET keywords = '' WHERE mailbox = ?1 AND keywords <> ''", [key])?;
        self.run("UPDATE mailbox SET uid_validity = ?2 WHERE key = ?1", (key, uid_validity)).map(drop)
    }

    /// Gives this copy of the index its name, and says what the next one will be called.
    pub(super) fn set_mark(&self, mark: &str, next: &str) -> Result<()> {
        self.run(
            "INSERT INTO copy (id, mark, next) VALUES (1, ?1, ?2)
             ON CONFLICT (id) DO UPDATE SET mark = excluded.mark, next = excluded.next",
            [mark, next],
        )
        .map(drop)
    }

    /// Writes down which directory everything lies below.
    pub(in super::super) fn set_root(&self, inode: u64) -> Result<()> {
        let sql = "INSERT INTO root (id, inode) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET inode = excluded.inode";
        self.run(sql, [inode.cast_signed()]).map(drop)
    }

    /// Gives a message its UID. One whose name is known has it already: somebody else has seen it first.
    pub(in super::super) fn file(&self, key: Key, modseq: ModSeq, arrival: &Arrival) -> Result<Uid> {
        let known = "SELECT uid FROM message WHERE mailbox = ?1 AND unique_name = ?2";
        let known = self.transaction.step(|transaction| {
            transaction.prepare_cached(known)?.query_row((key, &arrival.unique_name), |row| row.get(0)).optional()
        })?;
        if let Some(uid) = known {
            return Ok(uid);
        }
        let next = "UPDATE mailbox SET uid_next = uid_next + 1 WHERE key = ?1 RETURNING uid_next - 1";
        let uid: Uid = self
            .transaction
            .step(|transaction| transaction.prepare_cached(next)?.query_row([key], |row| row.get(0)))?;
        let Arrival { unique_name, folder, info, keywords, stamp, internal_date, print } = arrival;
        self.run(
            "INSERT INTO message (mailbox, unique_name, uid, folder, info, keywords, inode, file_size, mtime,
                                  internal_date, size, mark, form, header, modseq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            rusqlite::params![
                key,
                unique_name,
                uid,
                folder,
                info,
                keywords,
                stamp.inode.cast_signed(),
                stamp.size.cast_signed(),
                stamp.mtime,
                internal_date,
                print.map(|print| print.size.cast_signed()),
                print.map(|print| print.mark.cast_signed()),
                print.map(|print| print.form),
                print.map(|print| print.header),
                modseq,
            ],
        )?;
        Ok(uid)
    }

    /// Writes down that a message bears other flags, or only another name.
    pub(in super::super) fn refile(&self, key: Key, modseq: ModSeq, filed: &Filed) -> Result<()> {
        self.run(
            "UPDATE message SET unique_name = ?3, folder = ?4, info = ?5, keywords = ?6, modseq = ?7
              WHERE mailbox = ?1 AND uid = ?2",
            (key, filed.uid, &filed.unique_name, filed.folder, &filed.info, &filed.keywords, modseq),
        )
        .map(drop)
    }

    /// Lets go of the name that a message is known by, until it gets another one.
    pub(in super::super) fn free_name(&self, key: Key, uid: Uid) -> Result<()> {
        // No name of a file begins with a NUL.
        let sql = "UPDATE message SET unique_name = CAST(char(0) || uid AS BLOB) WHERE mailbox = ?1 AND uid = ?2";
        self.run(sql, (key, uid)).map(drop)
    }

    /// Writes down that the same message is another file.
    pub(in super::super) fn set_stamp(&self, key: Key, uid: Uid, stamp: &FileStamp) -> Result<()> {
        self.run(
            "UPDATE message SET inode = ?3, file_size = ?4, mtime = ?5 WHERE mailbox = ?1 AND uid = ?2",
            (key, uid, stamp.inode.cast_signed(), stamp.size.cast_signed(), stamp.mtime),
        )
        .map(drop)
    }

    /// Writes down who a message is.
    pub(in super::super) fn set_print(&self, key: Key, uid: Uid, print: &Print) -> Result<()> {
        self.run(
            "UPDATE message SET size = ?3, mark = ?4, form = ?5, header = ?6 WHERE mailbox = ?1 AND uid = ?2",
            (key, uid, print.size.cast_signed(), print.mark.cast_signed(), print.form, print.header),
        )
        .map(drop)
    }

    /// Writes down that a message is gone.
    pub(in super::super) fn expunge(&self, key: Key, modseq: ModSeq, uid: Uid) -> Result<()> {
        if self.run("DELETE FROM message WHERE mailbox = ?1 AND uid = ?2", (key, uid))? > 0 {
            self.run("INSERT INTO expunged (mailbox, uid, modseq) VALUES (?1, ?2, ?3)", (key, uid, modseq))?;
        }
        Ok(())
    }

    /// Lets go of the oldest expunges where they are more than `keep`. Who has not asked since lists everything.
    pub(in super::super) fn forget_expunges(&self, key: Key, keep: u32) -> Result<()> {
        let oldest = "SELECT modseq FROM expunged WHERE mailbox = ?1 ORDER BY modseq DESC, uid DESC LIMIT 1 OFFSET ?2";
        let oldest: Option<i64> = self.transaction.step(|transaction| {
            transaction.prepare_cached(oldest)?.query_row((key, keep), |row| row.get(0)).optional()
        })?;
        let Some(oldest) = oldest else { return Ok(()) };
        self.run("DELETE FROM expunged WHERE mailbox = ?1 AND modseq <= ?2", (key, oldest))?;
        self.run("UPDATE mailbox SET forgotten_modseq = ?2 WHERE key = ?1", (key, oldest)).map(drop)
    }

    /// Writes down how the directories looked when they were read.
    pub(in super::super) fn set_look(&self, key: Key, look: &Look) -> Result<()> {
        self.run(
            "UPDATE mailbox SET stamps = ?2, seen = ?3, trust = ?4 WHERE key = ?1",
            (key, look.stamps.to_bytes(), look.since, look.trust),
        )
        .map(drop)
    }

    /// Writes down what letters mean.
    pub(in super::super) fn set_letters(&self, key: Key, letters: &Keywords) -> Result<()> {
        let text = letters.format();
        self.run("UPDATE mailbox SET keyword_letters = ?2 WHERE key = ?1", (key, text)).map(drop)
    }

    pub(in super::super) fn set_subscription(&self, name: &MailboxName, subscription: Subscription) -> Result<()> {
        self.run(
            "INSERT INTO subscription (name, subscription) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET subscription = excluded.subscription",
            (name, subscription),
        )
        .map(drop)
    }
}
