//! The index: what UIDs the files of a tree have, and in which order they changed. In SQLite, beside the state.

mod change;
mod fresh;
mod row;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::Params;

use crate::database::{self, Counter, Database, Schema, Sharing};
use crate::mail::{FlagSet, MailboxName, ModSeq, Subscription, Uid, UidSet};

use crate::store::Incarnation;

use super::endpoint::IndexFile;
use super::flags::keyword_letters;
use super::keywords::KeywordLetter;
use super::stamp::FileStamp;

pub(super) use change::{Arrival, Change};
pub(super) use fresh::{fresh_identity, fresh_uid_validity};
pub(super) use row::{Filed, Key, Look, Mailbox, Print, Row, Trust};

/// What makes a database an index.
const SCHEMA: Schema = Schema {
    noun: "index",
    // `iimi`: tells our files from those of other programs.
    application_id: 0x6969_6d69,
    migrations: &[include_str!("../../../../migrations/maildir/0001_initial.sql")],
    counters: &[Counter {
        table: "mailbox",
        column: "messages",
        counted: "SELECT count(*) FROM message WHERE mailbox = mailbox.key",
    }],
    without: "it is made anew from the tree, and the next sync pairs the messages by fingerprint and copies nothing twice",
};

/// What files are known by that share a unique name, by inode.
pub(super) type Shared = BTreeMap<u64, Vec<u8>>;

/// The index of a tree.
pub(super) struct Index {
    database: Database,
    incarnation: Incarnation,
    course: Course,
}

/// Whether this session has changed the index, which gave it another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    AsFound,
    Changed,
}

impl Index {
    /// Opens the index, and makes it where there is none. One that is damaged is put aside: it is made anew from the tree.
    pub(super) fn open(file: &IndexFile) -> Result<Index, database::Error> {
        let database = match file {
            IndexFile::LookedAt(path) => Database::copy_in_memory(path, &SCHEMA)?,
            IndexFile::Kept(path) => match Database::open(path, &SCHEMA, Sharing::Shared) {
                Err(database::Error::Corrupt { path, what, .. }) => {
                    let aside = database::put_aside(&path)?;
                    tracing::warn!(
                        "the index {} is damaged ({what}) and is made anew; it is kept as {}",
                        path.display(),
                        aside.display()
                    );
                    Database::open(&path, &SCHEMA, Sharing::Shared)?
                }
                opened => opened?,
            },
        };
        let mut incarnation = Incarnation { now: None, next: fresh::mark()? };
        database.each("SELECT mark, next FROM copy", [], |row| {
            incarnation = Incarnation { now: Some(row.get(0)?), next: row.get(1)? };
            Ok(())
        })?;
        Ok(Index { database, incarnation, course: Course::AsFound })
    }

    /// What this copy of the index is called, and will be once it is changed.
    pub(super) fn incarnation(&self) -> &Incarnation {
        &self.incarnation
    }

    /// Takes back what UIDs mean, and the keywords that only the index knows.
    pub(super) fn distrust(&mut self) -> Result<(), database::Error> {
        tracing::warn!(
            "the index {} is an older copy that was put back; messages are recognized anew",
            self.database.path().display()
        );
        let keys: Vec<Key> = self.mailboxes()?.into_iter().map(|mailbox| mailbox.key).collect();
        self.change(|change| keys.iter().try_for_each(|key| change.distrust(*key, fresh_uid_validity()?)))
    }

    /// The keyword letters that names of files in a mailbox hold.
    pub(super) fn letters_borne(&self, key: Key) -> Result<BTreeSet<KeywordLetter>, database::Error> {
        let mut borne = BTreeSet::new();
        self.database.each("SELECT DISTINCT info FROM message WHERE mailbox = ?1", [key], |row| {
            borne.append(&mut keyword_letters(row.get_ref(0)?.as_blob()?));
            Ok(())
        })?;
        Ok(borne)
    }

    /// The inode of the directory that everything lay below.
    pub(super) fn root(&self) -> Result<Option<u64>, database::Error> {
        self.one("SELECT inode FROM root", [], |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()))
    }

    /// Every mailbox, by name.
    pub(super) fn mailboxes(&self) -> Result<Vec<Mailbox>, database::Error> {
        let mut mailboxes = Vec::new();
        let sql = format!("SELECT {} FROM mailbox ORDER BY name", row::MAILBOX);
        self.database.each(&sql, [], |row| {
            mailboxes.push(row::mailbox(row)?);
            Ok(())
        })?;
        Ok(mailboxes)
    }

    /// A mailbox.
    pub(super) fn mailbox(&self, name: &MailboxName) -> Result<Option<Mailbox>, database::Error> {
        self.one(&format!("SELECT {} FROM mailbox WHERE name = ?1", row::MAILBOX), [name], row::mailbox)
    }

    /// Every message of a mailbox, in the order of its unique names.
    pub(super) fn each_by_name(
        &self,
        key: Key,
        mut found: impl FnMut(Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), database::Error> {
        let sql = format!("SELECT {} FROM message WHERE mailbox = ?1 ORDER BY unique_name", row::FILED);
        self.database.each(&sql, [key], |row| found(Row::of(row)?))
    }

    /// The message that is known by a name.
    pub(super) fn message_named(&self, key: Key, unique_name: &[u8]) -> Result<Option<Filed>, database::Error> {
        let sql = format!("SELECT {} FROM message WHERE mailbox = ?1 AND unique_name = ?2", row::FILED);
        self.one(&sql, (key, unique_name), row::filed)
    }

    /// Whether any message has keywords that no letter stands for.
    pub(super) fn holds_keywords(&self) -> Result<bool, database::Error> {
        let any = self.one("SELECT 1 FROM message WHERE keywords <> '' LIMIT 1", [], |_| Ok(()))?;
        Ok(any.is_some())
    }

    /// A message in any mailbox that has keywords for which no letter stands, and the stamp of its file is this one.
    pub(super) fn bearing_keywords(&self, stamp: &FileStamp) -> Result<Option<Filed>, database::Error> {
        let sql = format!(
            "SELECT {} FROM message WHERE inode = ?1 AND file_size = ?2 AND mtime = ?3 AND keywords <> '' LIMIT 1",
            row::FILED
        );
        self.one(&sql, (stamp.inode.cast_signed(), stamp.size.cast_signed(), stamp.mtime), row::filed)
    }

    /// The messages whose files share a unique name with others, by that name and by inode: what each is known by.
    pub(super) fn shared_names(&self, key: Key) -> Result<HashMap<Vec<u8>, Shared>, database::Error> {
        let mut shared: HashMap<Vec<u8>, Shared> = HashMap::new();
        // As the index of these rows has it, so that no other is read.
        let sql = "SELECT unique_name, inode FROM message WHERE mailbox = ?1 AND instr(unique_name, x'00') > 0";
        self.database.each(sql, [key], |row| {
            let (name, inode): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
            shared.entry(row::unique_part(&name).to_vec()).or_default().insert(inode.cast_unsigned(), name);
            Ok(())
        })?;
        Ok(shared)
    }

    /// Those of these messages that are there.
    pub(super) fn messages(&self, key: Key, uids: &UidSet) -> Result<BTreeMap<Uid, Filed>, database::Error> {
        let mut messages = BTreeMap::new();
        let sql = format!("SELECT {} FROM message WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3", row::FILED);
        for range in uids.ranges() {
            self.database.each(&sql, (key, *range.start(), *range.end()), |row| {
                let filed = row::filed(row)?;
                messages.insert(filed.uid, filed);
                Ok(())
            })?;
        }
        Ok(messages)
    }

    /// Every message that has changed after `since`, or all; in any order.
    pub(super) fn each_changed(
        &self,
        key: Key,
        since: Option<ModSeq>,
        mut found: impl FnMut(Uid, &[u8], FlagSet),
    ) -> Result<(), database::Error> {
        let sql = "SELECT uid, info, keywords FROM message WHERE mailbox = ?1 AND modseq > ?2";
        self.database.each(sql, (key, since.map_or(0, ModSeq::get).cast_signed()), |row| {
            found(row.get(0)?, row.get_ref(1)?.as_blob()?, row.get(2)?);
            Ok(())
        })
    }

    /// What was expunged after `since`.
    pub(super) fn expunged(&self, key: Key, since: ModSeq) -> Result<UidSet, database::Error> {
        self.uids("SELECT uid FROM expunged WHERE mailbox = ?1 AND modseq > ?2", (key, since))
    }

    /// Every UID of a mailbox.
    pub(super) fn all_uids(&self, key: Key) -> Result<UidSet, database::Error> {
        self.uids("SELECT uid FROM message WHERE mailbox = ?1", [key])
    }

    /// The only row of a query, if there is one.
    fn one<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, database::Error> {
        let mut only = None;
        self.database.each(sql, parameters, |row| {
            only = Some(read(row)?);
            Ok(())
        })?;
        Ok(only)
    }

    fn uids(&self, sql: &str, parameters: impl Params) -> Result<UidSet, database::Error> {
        let mut uids = UidSet::new();
        self.database.each(sql, parameters, |row| {
            uids.insert(row.get(0)?);
            Ok(())
        })?;
        Ok(uids)
    }

    /// In which mailboxes of these a unique name is.
    pub(super) fn homes(&self, keys: &[Key]) -> Result<HashMap<Vec<u8>, Key>, database::Error> {
        let mut homes = HashMap::new();
        for key in keys {
            self.database.each("SELECT unique_name FROM message WHERE mailbox = ?1", [key], |row| {
                homes.insert(row.get(0)?, *key);
                Ok(())
            })?;
        }
        Ok(homes)
    }

    /// What was said about subscriptions.
    pub(super) fn subscriptions(&self) -> Result<BTreeMap<MailboxName, Subscription>, database::Error> {
        let mut subscriptions = BTreeMap::new();
        self.database.each("SELECT name, subscription FROM subscription", [], |row| {
            subscriptions.insert(row.get(0)?, row.get(1)?);
            Ok(())
        })?;
        Ok(subscriptions)
    }

    /// How many rows were read since the index was opened.
    #[cfg(test)]
    pub(super) fn rows_read(&self) -> u64 {
        self.database.rows_read()
    }

    /// Makes a change in one transaction, which is on the disk when this returns.
    pub(super) fn change<T>(
        &mut self,
        change: impl FnOnce(&Change<'_>) -> Result<T, database::Error>,
    ) -> Result<T, database::Error> {
        let Index { database, incarnation, course } = self;
        let steps = Change { transaction: database.transaction()? };
        let renewed = match course {
            Course::AsFound => {
                let renewed = Incarnation { now: Some(incarnation.next.clone()), next: fresh::mark()? };
                steps.set_mark(&incarnation.next, &renewed.next)?;
                Some(renewed)
            }
            Course::Changed => None,
        };
        let value = change(&steps)?;
        steps.transaction.commit()?;
        if let Some(renewed) = renewed {
            (*incarnation, *course) = (renewed, Course::Changed);
        }
        Ok(value)
    }
}
