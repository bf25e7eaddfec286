//! What survives a crash: the account's database, in SQLite. Every change is one transaction, on the disk before the
//! commit returns.

mod change;
mod columns;
mod error;
mod read;
mod schema;

use std::fmt;
use std::path::Path;

pub use change::Change;
pub use error::Error;

use crate::database::{Database, Sharing};
use crate::mail::{Both, Side};
use schema::SCHEMA;

/// What is remembered of one account.
pub struct State {
    database: Database,
    hook: Option<Hook>,
}

type Hook = Box<dyn FnMut(Moment) -> Result<(), Error> + Send>;

/// The two moments at which a crash tells whether a commit is all or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// All steps are taken, nothing is kept yet.
    Before,
    /// Everything is kept.
    After,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Moment::Before => "before",
            Moment::After => "after",
        })
    }
}

/// A run that came to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// When it began, in seconds since 1970.
    pub started: i64,
    /// When it ended, in seconds since 1970.
    pub finished: i64,
    /// How it ended, in words.
    pub result: String,
}

impl State {
    /// Opens the account's database and holds it until the value is dropped; makes it where there is none; brings its
    /// schema up to date. `identity` says how the address of each side is written: a database that belongs to other
    /// addresses is refused.
    pub fn open(path: &Path, identity: &Both<String>) -> Result<State, Error> {
        let found = Database::find(path, &SCHEMA, Sharing::Exclusive)?;
        // A database without an identity is one whose first run was cut before it wrote any mailbox.
        let known = found.database().map(read::identity).transpose()?.flatten();
        if let (Some(database), Some(known)) = (found.database(), &known) {
            expect_same(database, known, identity)?;
        }
        let mut state = State::new(found.bring_up()?);
        if known.is_none() {
            state.commit(|change| change.set_identity(identity))?;
        }
        Ok(state)
    }

    /// Looks at the account's database as it is at this moment, without changing it and without the lock: another run
    /// may hold it and go on. `None` where there is none, or nothing in it.
    pub fn inspect(path: &Path) -> Result<Option<State>, Error> {
        Ok(Database::inspect(path, &SCHEMA)?.map(State::new))
    }

    /// A state that is forgotten when it is dropped.
    pub fn in_memory() -> Result<State, Error> {
        Ok(State::new(Database::in_memory(&SCHEMA)?))
    }

    /// A copy of the account's state as it is at this moment, forgotten when it is dropped; an empty one where there is
    /// no state yet. A rehearsal plays in it what a run would do.
    pub fn rehearsal(path: &Path) -> Result<State, Error> {
        Ok(State::new(Database::copy_in_memory(path, &SCHEMA)?))
    }

    fn new(database: Database) -> State {
        State { database, hook: None }
    }

    /// Has `hook` called on both sides of every commit; tests stop runs there. An error before the commit drops the
    /// change, one after it leaves the change kept.
    pub fn on_commit(&mut self, hook: Box<dyn FnMut(Moment) -> Result<(), Error> + Send>) {
        self.hook = Some(hook);
    }

    /// Makes a change in one transaction: all of it is on the disk when this returns `Ok`, and none of it where
    /// `change` returns an error.
    pub fn commit<T>(&mut self, change: impl FnOnce(&Change<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let steps = Change { transaction: self.database.transaction()? };
        let value = change(&steps)?;
        steps.transaction.expect_whole()?;
        let mut reached = |moment| self.hook.as_mut().map_or(Ok(()), |hook| hook(moment));
        reached(Moment::Before)?;
        steps.transaction.commit()?;
        reached(Moment::After)?;
        Ok(value)
    }
}

fn expect_same(database: &Database, found: &Both<String>, wanted: &Both<String>) -> Result<(), Error> {
    match Side::BOTH.into_iter().find(|side| found[*side] != wanted[*side]) {
        None => Ok(()),
        Some(side) => Err(Error::OtherAccount {
            path: database.path().to_owned(),
            side,
            found: found[side].clone(),
            wanted: wanted[side].clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection;

    use super::*;
    use crate::database;
    use crate::mail::{Fingerprint, FlagSet, HeaderDigest, InternalDate, MailboxName, Uid};
    use crate::plan::{MailboxKey, Pair};

    fn add_pairs(change: &Change<'_>, key: MailboxKey, numbers: std::ops::Range<u32>) -> Result<(), Error> {
        let internal_date = InternalDate::from_unix(0).unwrap();
        let fingerprint = Fingerprint { size: 1, internal_date, header: HeaderDigest::of(b"") };
        numbers.filter_map(Uid::new).try_for_each(|uid| {
            let uids = Both { local: uid, remote: uid };
            change.add_pair(key, &Pair { uids, flags: FlagSet::new(), fingerprint }).map(drop)
        })
    }

    #[test]
    fn s140_a_full_disk_costs_nothing_that_was_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        let identity = Both { local: "here".to_owned(), remote: "there".to_owned() };
        let mut state = State::open(&path, &identity).unwrap();
        let key = state.commit(|change| change.add_mailbox(&MailboxName::inbox())).unwrap();
        state.commit(|change| add_pairs(change, key, 1..100)).unwrap();
        let before = state.pairs(key).unwrap();

        let pages: i64 = state.database.connection().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit = |state: &State, pages: i64| {
            state.database.connection().pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        };
        limit(&state, pages + 1);
        let full = state.commit(|change| add_pairs(change, key, 100..10_000));
        assert!(matches!(full, Err(Error::Database(database::Error::DiskFull { .. }))), "{full:?}");
        // SQLite ends the transaction of itself here; whoever goes on must not write outside of it.
        let passed_over = state.commit(|change| {
            add_pairs(change, key, 100..10_000).unwrap_err();
            change.set_last_success(key, 7).or(Ok(()))
        });
        assert!(matches!(passed_over, Err(Error::Database(database::Error::Contradiction { .. }))), "{passed_over:?}");
        assert_eq!(state.pairs(key).unwrap(), before);
        assert_eq!(state.remembered().unwrap()[0].last_success, None);

        limit(&state, 1 << 30);
        state.commit(|change| add_pairs(change, key, 100..10_000)).unwrap();
        assert_eq!(state.pairs(key).unwrap().len(), 9_999);
        drop(state);
        assert_eq!(State::open(&path, &identity).unwrap().pairs(key).unwrap().len(), 9_999);
    }
    #[test]
    fn a_program_that_keeps_the_file_locked_is_named_as_the_cause() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        let identity = Both { local: "here".to_owned(), remote: "there".to_owned() };
        let mut state = State::open(&path, &identity).unwrap();
        state.database.connection().busy_timeout(Duration::from_millis(1)).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let refused = state.commit(|change| change.add_mailbox(&MailboxName::inbox()));
        assert!(matches!(refused, Err(Error::Database(database::Error::Busy { .. }))), "{refused:?}");
        other.execute_batch("ROLLBACK").unwrap();
        state.commit(|change| change.add_mailbox(&MailboxName::inbox())).unwrap();
    }
}
