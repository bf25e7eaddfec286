//! What survives a crash: the account's database, in SQLite. Every change is one transaction, on the disk before the
//! commit returns.

mod change;
mod columns;
mod error;
mod files;
mod read;
mod schema;

use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub use change::Change;
pub use error::Error;

use crate::mail::{Both, Side};
use files::{Lock, Presence};
use schema::Contents;

/// How long a commit waits for another program that reads the file with its own tools.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than there are different statements, so that each is prepared once.
const PREPARED_STATEMENTS: usize = 64;

/// How many pages a copy takes in one go.
const PAGES_AT_ONCE: i32 = 1024;

/// What is remembered of one account.
pub struct State {
    // Closed before the lock is let go: fields are dropped in order.
    connection: Connection,
    tenure: Tenure,
    hook: Option<Hook>,
    path: PathBuf,
    rows_read: Cell<u64>,
}

type Hook = Box<dyn FnMut(Moment) -> Result<(), Error> + Send>;

/// By what right a state is open.
#[derive(Debug)]
enum Tenure {
    /// It is held until this is dropped.
    Held { _lock: Lock },
    /// It is only looked at, as it was at the moment of opening.
    LookedAt,
    /// Nobody else can see it.
    InMemory,
}

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
        State::open_with(path, identity, schema::MIGRATIONS)
    }

    fn open_with(path: &Path, identity: &Both<String>, migrations: &[&str]) -> Result<State, Error> {
        let path = files::prepare(path)?;
        let lock = Lock::take(&path)?;
        let end = files::end_of_last_run(&path)?;
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // A file that is refused stays as it is: closing it must not merge the log into it.
        schema::on_close(&connection, &path, schema::Log::Left)?;
        let contents = schema::recognize(&connection, &path, migrations)?;
        // A run that was killed before it had made its tables has left nothing to be checked.
        if end == files::End::Sudden && contents != Contents::Nothing {
            schema::check(&connection, &path)?;
        }
        let mut state = State::new(connection, Tenure::Held { _lock: lock }, path);
        if contents != Contents::Nothing {
            state.expect_identity(identity)?;
        }
        schema::on_close(&state.connection, &state.path, schema::Log::Merged)?;
        schema::make_durable(&state.connection, &state.path)?;
        schema::migrate(&mut state.connection, &state.path, contents, migrations)?;
        if state.identity()?.is_none() {
            state.commit(|change| change.set_identity(identity))?;
        }
        state.rows_read.set(0);
        Ok(state)
    }

    /// Looks at the account's database as it is at this moment, without changing it and without the lock: another run
    /// may hold it and go on. `None` where there is none, or nothing in it.
    pub fn inspect(path: &Path) -> Result<Option<State>, Error> {
        State::inspect_with(path, schema::MIGRATIONS)
    }

    fn inspect_with(path: &Path, migrations: &[&str]) -> Result<Option<State>, Error> {
        if files::exists(path)? == Presence::Missing {
            return Ok(None);
        }
        let path = std::fs::canonicalize(path).map_err(Error::from_io("open", path))?;
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // One snapshot, from the first look to the last.
        connection.execute_batch("BEGIN").map_err(|error| Error::from_sqlite(&path, error))?;
        let known = schema::number_of_last(migrations);
        match schema::recognize(&connection, &path, migrations)? {
            Contents::Nothing => Ok(None),
            Contents::Schema(found) if found < known => Err(Error::Older { path, found, known }),
            Contents::Schema(_) => Ok(Some(State::new(connection, Tenure::LookedAt, path))),
        }
    }

    /// A state that is forgotten when it is dropped.
    pub fn in_memory() -> Result<State, Error> {
        let path = PathBuf::from("the state in memory");
        let mut connection = Connection::open_in_memory().map_err(|error| Error::from_sqlite(&path, error))?;
        schema::settle(&connection).map_err(|error| Error::from_sqlite(&path, error))?;
        schema::migrate(&mut connection, &path, Contents::Nothing, schema::MIGRATIONS)?;
        Ok(State::new(connection, Tenure::InMemory, path))
    }

    /// A copy of the account's state as it is at this moment, forgotten when it is dropped; an empty one where there is
    /// no state yet. A rehearsal plays in it what a run would do.
    pub fn rehearsal(path: &Path) -> Result<State, Error> {
        let Some(looked_at) = State::inspect(path)? else { return State::in_memory() };
        let told = |error| Error::from_sqlite(&looked_at.path, error);
        let mut copy = Connection::open_in_memory().map_err(told)?;
        Backup::new(&looked_at.connection, &mut copy)
            .and_then(|backup| backup.run_to_completion(PAGES_AT_ONCE, Duration::ZERO, None))
            .map_err(told)?;
        schema::settle(&copy).map_err(told)?;
        Ok(State::new(copy, Tenure::InMemory, looked_at.path.clone()))
    }

    fn new(connection: Connection, tenure: Tenure, path: PathBuf) -> State {
        connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
        State { connection, tenure, hook: None, path, rows_read: Cell::new(0) }
    }

    /// A database without an identity is one whose first run was cut before it wrote any mailbox.
    fn expect_identity(&self, wanted: &Both<String>) -> Result<(), Error> {
        let Some(found) = self.identity()? else { return Ok(()) };
        match Side::BOTH.into_iter().find(|side| found[*side] != wanted[*side]) {
            None => Ok(()),
            Some(side) => Err(Error::OtherAccount {
                path: self.path.clone(),
                side,
                found: found[side].clone(),
                wanted: wanted[side].clone(),
            }),
        }
    }

    /// Has `hook` called on both sides of every commit; tests stop runs there. An error before the commit drops the
    /// change, one after it leaves the change kept.
    pub fn on_commit(&mut self, hook: Box<dyn FnMut(Moment) -> Result<(), Error> + Send>) {
        self.hook = Some(hook);
    }

    /// Makes a change in one transaction: all of it is on the disk when this returns `Ok`, and none of it where
    /// `change` returns an error.
    pub fn commit<T>(&mut self, change: impl FnOnce(&Change<'_>) -> Result<T, Error>) -> Result<T, Error> {
        if let Tenure::LookedAt = self.tenure {
            return Err(Error::ReadOnly { path: self.path.clone() });
        }
        let State { connection, hook, path, .. } = self;
        let told = |error| Error::from_sqlite(path, error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
        let steps = Change { transaction, path, failed: Cell::new(false) };
        let value = change(&steps)?;
        if steps.failed.get() {
            return Err(Error::Contradiction { what: "a step has failed".to_owned() });
        }
        let mut reached = |moment| hook.as_mut().map_or(Ok(()), |hook| hook(moment));
        reached(Moment::Before)?;
        steps.transaction.commit().map_err(told)?;
        reached(Moment::After)?;
        Ok(value)
    }
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, Error> {
    // The file is made beforehand, and its name is no URI.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        schema::settle(&connection)?;
        Ok(connection)
    };
    open().map_err(|error| Error::from_sqlite(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
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

        let pages: i64 = state.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit = |state: &State, pages: i64| {
            state.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        };
        limit(&state, pages + 1);
        let full = state.commit(|change| add_pairs(change, key, 100..10_000));
        assert!(matches!(full, Err(Error::DiskFull { .. })), "{full:?}");
        // SQLite ends the transaction of itself here; whoever goes on must not write outside of it.
        let passed_over = state.commit(|change| {
            add_pairs(change, key, 100..10_000).unwrap_err();
            change.set_last_success(key, 7).or(Ok(()))
        });
        assert!(matches!(passed_over, Err(Error::Contradiction { .. })), "{passed_over:?}");
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
        state.connection.busy_timeout(Duration::from_millis(1)).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let refused = state.commit(|change| change.add_mailbox(&MailboxName::inbox()));
        assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
        other.execute_batch("ROLLBACK").unwrap();
        state.commit(|change| change.add_mailbox(&MailboxName::inbox())).unwrap();
    }
}
