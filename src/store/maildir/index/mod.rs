//! The index: what UIDs the files of a tree have, and in which order they changed. In SQLite, beside the state.

mod change;
mod row;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use std::path::{Path, PathBuf};

use rusqlite::Params;

use crate::database::{self, Counter, Database, Schema, Sharing};
use crate::mail::{FlagSet, MailboxName, ModSeq, Subscription, Uid, UidSet};

use super::endpoint::IndexFile;
use super::flags::keyword_letters;
use super::keywords::KeywordLetter;

pub(super) use change::{Arrival, Change};
pub(super) use row::{Filed, Key, Look, Mailbox, Print, Trust};

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

/// Where a mod-sequence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Issue {
    /// From this index.
    Here,
    /// From before what is remembered of those that were given.
    Forgotten,
    /// From another index: a newer one, of which this is an older copy that was put back.
    Elsewhere,
}

/// What files are known by that share a unique name, by inode.
pub(super) type Shared = BTreeMap<u64, Vec<u8>>;

/// The index of a tree.
pub(super) struct Index {
    database: Database,
}

impl Index {
    /// Opens the index, and makes it where there is none. One that is damaged is put aside: it is made anew from the tree.
    pub(super) fn open(file: &IndexFile) -> Result<Index, database::Error> {
        let database = match file {
            IndexFile::LookedAt(path) => Database::copy_in_memory(path, &SCHEMA)?,
            IndexFile::Kept(path) => match Database::open(path, &SCHEMA, Sharing::Shared) {
                Err(database::Error::Corrupt { path, what, .. }) => {
                    let aside = put_aside(&path)?;
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
        Ok(Index { database })
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
        let mut found = None;
        let sql = format!("SELECT {} FROM mailbox WHERE name = ?1", row::MAILBOX);
        self.database.each(&sql, [name], |row| {
            found = Some(row::mailbox(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Every message of a mailbox, in the order of its unique names.
    pub(super) fn each_by_name(&self, key: Key, mut found: impl FnMut(Filed)) -> Result<(), database::Error> {
        let sql = format!("SELECT {} FROM message WHERE mailbox = ?1 ORDER BY unique_name", row::FILED);
        self.database.each(&sql, [key], |row| {
            found(row::filed(row)?);
            Ok(())
        })
    }

    /// The message that is known by a name.
    pub(super) fn message_named(&self, key: Key, unique_name: &[u8]) -> Result<Option<Filed>, database::Error> {
        let mut found = None;
        let sql = format!("SELECT {} FROM message WHERE mailbox = ?1 AND unique_name = ?2", row::FILED);
        self.database.each(&sql, (key, unique_name), |row| {
            found = Some(row::filed(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The messages whose files share a unique name with others, by that name and by inode: what each is known by.
    pub(super) fn shared_names(&self, key: Key) -> Result<HashMap<Vec<u8>, Shared>, database::Error> {
        let mut shared: HashMap<Vec<u8>, Shared> = HashMap::new();
        let sql = "SELECT unique_name, inode FROM message WHERE mailbox = ?1 AND instr(unique_name, x'00') > 0";
        self.database.each(sql, [key], |row| {
            let (name, inode): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
            let unique = name.split(|octet| *octet == 0).next().unwrap_or_default().to_vec();
            shared.entry(unique).or_default().insert(inode.cast_unsigned(), name);
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

    /// Every message that has changed after `since`, or all; in any order. Whether its info is read is up to `found`.
    pub(super) fn each_changed(
        &self,
        key: Key,
        since: Option<ModSeq>,
        mut found: impl FnMut(Uid, &[u8], FlagSet),
    ) -> Result<(), database::Error> {
        let sql = match since {
            Some(_) => "SELECT uid, info, keywords FROM message WHERE mailbox = ?1 AND modseq > ?2 ORDER BY uid",
            None => "SELECT uid, info, keywords FROM message WHERE mailbox = ?1 AND modseq > ?2",
        };
        self.database.each(sql, (key, since.map_or(0, ModSeq::get).cast_signed()), |row| {
            found(row.get(0)?, row.get_ref(1)?.as_blob()?, row.get(2)?);
            Ok(())
        })
    }

    /// Whether a mod-sequence was the highest one of a mailbox once.
    pub(super) fn issue(&self, key: Key, modseq: ModSeq) -> Result<Issue, database::Error> {
        let mut issue = Issue::Elsewhere;
        let sql = "SELECT max(modseq) FROM issued WHERE mailbox = ?1 AND modseq <= ?2";
        self.database.each(sql, (key, modseq), |row| {
            issue = match row.get::<_, Option<ModSeq>>(0)? {
                Some(found) if found == modseq => Issue::Here,
                Some(_) => Issue::Elsewhere,
                None => Issue::Forgotten,
            };
            Ok(())
        })?;
        Ok(issue)
    }

    /// What was expunged after `since`.
    pub(super) fn expunged(&self, key: Key, since: ModSeq) -> Result<UidSet, database::Error> {
        self.uids("SELECT uid FROM expunged WHERE mailbox = ?1 AND modseq > ?2", (key, since))
    }

    /// Every UID of a mailbox.
    pub(super) fn all_uids(&self, key: Key) -> Result<UidSet, database::Error> {
        self.uids("SELECT uid FROM message WHERE mailbox = ?1", [key])
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

    /// Makes a change in one transaction, which is on the disk when this returns.
    pub(super) fn change<T>(
        &mut self,
        change: impl FnOnce(&Change<'_>) -> Result<T, database::Error>,
    ) -> Result<T, database::Error> {
        let steps = Change { transaction: self.database.transaction()? };
        let value = change(&steps)?;
        steps.transaction.commit()?;
        Ok(value)
    }
}

/// Gives a damaged file, and what belongs to it, another name.
fn put_aside(path: &Path) -> Result<PathBuf, database::Error> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = beside(".damaged");
    std::fs::rename(path, &aside).map_err(database::Error::from_io("rename", path))?;
    for suffix in ["-wal", "-shm"] {
        // What is not there needs no other name.
        std::fs::remove_file(beside(suffix)).ok();
    }
    Ok(aside)
}
