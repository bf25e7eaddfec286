//! A database of ours as a file: made for its owner alone, recognized, checked after a sudden end, brought up to date
//! and never half written. What stands in it is the business of the room whose database it is.

pub(crate) mod columns;
mod error;
mod files;
mod schema;
mod transaction;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, Params, Row, StatementStatus, TransactionBehavior};

pub use error::Error;
pub use files::put_aside;
pub use schema::{Counter, Schema};
pub use transaction::Transaction;

use files::{End, Lock, Presence};
use schema::{Contents, Log};

/// How long a connection waits for another one, or for a program that reads the file with its own tools.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than any database of ours has different statements, so that each is prepared once.
const PREPARED_STATEMENTS: usize = 64;
/// How many pages a copy takes in one go.
const PAGES_AT_ONCE: i32 = 1024;

/// A connection to a database.
pub struct Database {
    // Closed before the lock is let go: fields are dropped in order.
    connection: Connection,
    tenure: Tenure,
    path: PathBuf,
    schema: Schema,
    rows_read: Cell<u64>,
}

/// By what right a database is open.
#[derive(Debug)]
enum Tenure {
    /// It is held until this is dropped.
    Held { _lock: Lock },
    /// Others may have it open as well.
    Shared,
    /// It is only looked at, as it was at the moment of opening.
    LookedAt,
    /// Nobody else can see it.
    InMemory,
}

/// Who else may have the file open for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody: a lock beside the file says so, until the value is dropped.
    Exclusive,
    /// Other connections. No lock is taken here: whoever opens the file holds one that keeps two runs from making it, or
    /// from bringing it up to date, at once: SQLite may refuse one of them as busy without waiting.
    Shared,
    /// Other connections, one of which was opened before: the file was checked then and is not checked again.
    Joined,
}

/// A database that was opened and not changed yet. Dropped, it leaves the file as it is.
pub struct Found {
    database: Database,
    contents: Contents,
}

impl Found {
    /// What the file holds, under the schema it was left with; `None` where nothing is in it.
    pub fn database(&self) -> Option<&Database> {
        (self.contents != Contents::Nothing).then_some(&self.database)
    }

    /// Brings the schema up to date. From here on every commit is on the disk before it returns.
    pub fn bring_up(self) -> Result<Database, Error> {
        let Found { mut database, contents } = self;
        database.on_close(Log::Merged)?;
        database.make_durable()?;
        database.migrate(contents)?;
        database.rows_read.set(0);
        Ok(database)
    }
}

impl Database {
    /// Opens the database at `path`; makes it where there is none; brings its schema up to date.
    pub fn open(path: &Path, schema: &Schema, sharing: Sharing) -> Result<Database, Error> {
        Database::find(path, schema, sharing)?.bring_up()
    }

    /// Opens the database at `path` for somebody who wants to look at it before it is changed; makes an empty file where
    /// there is none.
    pub fn find(path: &Path, schema: &Schema, sharing: Sharing) -> Result<Found, Error> {
        let path = files::prepare(path)?;
        let tenure = match sharing {
            Sharing::Exclusive => Tenure::Held { _lock: Lock::take(&path)? },
            Sharing::Shared | Sharing::Joined => Tenure::Shared,
        };
        let doubtful = sharing != Sharing::Joined && files::end_of_last_run(&path)? == End::Sudden;
        let database = Database::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, schema, tenure)?;
        // A file that is refused stays as it is: closing it must not merge the log into it.
        database.on_close(Log::Left)?;
        let contents = database.recognize()?;
        // A run that was killed before it had made its tables has left nothing to be checked.
        if doubtful && contents != Contents::Nothing {
            database.check()?;
        }
        Ok(Found { database, contents })
    }

    /// Looks at the database at `path` as it is at this moment, without changing it and without a lock: whoever holds it
    /// goes on. `None` where there is none, or nothing in it.
    pub fn inspect(path: &Path, schema: &Schema) -> Result<Option<Database>, Error> {
        if files::exists(path)? == Presence::Missing {
            return Ok(None);
        }
        let path = std::fs::canonicalize(path).map_err(Error::from_io("open", path))?;
        let database = Database::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, schema, Tenure::LookedAt)?;
        // One snapshot, from the first look to the last.
        database.connection.execute_batch("BEGIN").map_err(|error| database.told(error))?;
        let known = schema.number();
        match database.recognize()? {
            Contents::Nothing => Ok(None),
            Contents::Schema(found) if found < known => Err(Error::Older { path: database.path, found, known }),
            Contents::Schema(_) => Ok(Some(database)),
        }
    }

    /// An empty database that is forgotten when it is dropped.
    pub fn in_memory(schema: &Schema) -> Result<Database, Error> {
        let path = PathBuf::from(format!("the {} in memory", schema.noun));
        let connection = Connection::open_in_memory().map_err(|error| Error::from_sqlite(&path, schema, error))?;
        let mut database = Database::new(connection, Tenure::InMemory, path, schema)?;
        database.migrate(Contents::Nothing)?;
        Ok(database)
    }

    /// A copy of the database at `path` as it is at this moment, forgotten when it is dropped; an empty one where there is
    /// none yet.
    pub fn copy_in_memory(path: &Path, schema: &Schema) -> Result<Database, Error> {
        let Some(looked_at) = Database::inspect(path, schema)? else { return Database::in_memory(schema) };
        let told = |error| looked_at.told(error);
        let mut copy = Connection::open_in_memory().map_err(told)?;
        Backup::new(&looked_at.connection, &mut copy)
            .and_then(|backup| backup.run_to_completion(PAGES_AT_ONCE, Duration::ZERO, None))
            .map_err(told)?;
        Database::new(copy, Tenure::InMemory, looked_at.path.clone(), schema)
    }

    fn connect(path: PathBuf, access: OpenFlags, schema: &Schema, tenure: Tenure) -> Result<Database, Error> {
        // The file is made beforehand, and its name is no URI.
        let connection = Connection::open_with_flags(&path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|error| Error::from_sqlite(&path, schema, error))?;
        Database::new(connection, tenure, path, schema)
    }

    fn new(connection: Connection, tenure: Tenure, path: PathBuf, schema: &Schema) -> Result<Database, Error> {
        let database = Database { connection, tenure, path, schema: *schema, rows_read: Cell::new(0) };
        database.settle().map_err(|error| database.told(error))?;
        Ok(database)
    }

    /// What holds of every connection. Settings that a file keeps are not among them.
    fn settle(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(BUSY_TIMEOUT)?;
        self.connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
        self.connection.execute_batch(
            "PRAGMA foreign_keys = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON;
             PRAGMA temp_store = MEMORY;",
        )
    }

    /// The file, by its real name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection, to read from; what is written goes through a [`transaction`](Database::transaction).
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Begins a change, which waits for the one that another connection has under way.
    pub fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        if let Tenure::LookedAt = self.tenure {
            return Err(Error::ReadOnly { path: self.path.clone() });
        }
        let Database { connection, path, schema, rows_read, .. } = self;
        match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => Ok(Transaction::new(transaction, path, schema, rows_read)),
            Err(error) => Err(Error::from_sqlite(path, schema, error)),
        }
    }

    /// Gives every row of a query to `read`, and counts them: those that come out, or those that a scan went through.
    pub fn each(
        &self,
        sql: &str,
        parameters: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let told = |error| self.told(error);
        let mut statement = self.connection.prepare_cached(sql).map_err(told)?;
        statement.reset_status(StatementStatus::FullscanStep);
        let mut rows = statement.query(parameters).map_err(told)?;
        let mut came_out = 0;
        while let Some(row) = rows.next().map_err(told)? {
            came_out += 1;
            read(row).map_err(told)?;
        }
        drop(rows);
        let scanned = u64::try_from(statement.get_status(StatementStatus::FullscanStep)).unwrap_or(0);
        self.rows_read.set(self.rows_read.get() + scanned.max(came_out));
        Ok(())
    }

    /// How many rows [`each`](Database::each) has stepped through since the database was opened, and changes on their way
    /// to what they change.
    pub fn rows_read(&self) -> u64 {
        self.rows_read.get()
    }

    /// Says in our words what SQLite said of this database.
    pub fn told(&self, error: rusqlite::Error) -> Error {
        Error::from_sqlite(&self.path, &self.schema, error)
    }

    /// The error for what stands in the database and was never written there.
    pub fn corrupt(&self, what: &str) -> Error {
        Error::Corrupt { path: self.path.clone(), what: what.to_owned(), without: self.schema.without }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::sync::Barrier;
    use std::thread;
    use std::time::Instant;

    use super::*;

    const SCHEMA: Schema = Schema {
        noun: "list",
        application_id: 7,
        migrations: &["CREATE TABLE entry (id INTEGER PRIMARY KEY, words TEXT NOT NULL UNIQUE) STRICT;"],
        counters: &[],
        without: "it is written anew",
    };

    fn add(database: &mut Database, words: &str) -> Result<i64, Error> {
        let transaction = database.transaction()?;
        let key = transaction.insert("INSERT INTO entry (words) VALUES (?1)", [words])?;
        transaction.commit()?;
        Ok(key)
    }

    fn entries(database: &Database) -> Vec<String> {
        let mut entries = Vec::new();
        let read = database.each("SELECT words FROM entry ORDER BY words", [], |row| {
            entries.push(row.get(0)?);
            Ok(())
        });
        read.unwrap();
        entries
    }

    /// Adds entries, each in a transaction that reads before it writes. They are few: who waits is not served in turn, and
    /// gives up in the end.
    fn add_some(path: &Path, sharing: Sharing, who: &str) {
        let mut database = Database::open(path, &SCHEMA, sharing).unwrap();
        for number in 0..25 {
            let transaction = database.transaction().unwrap();
            let before = transaction.step(|transaction| {
                transaction.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0))
            });
            transaction.insert("INSERT INTO entry (words) VALUES (?1)", [format!("{who} {number}")]).unwrap();
            let after = transaction.step(|transaction| {
                transaction.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0))
            });
            assert_eq!(after.unwrap(), before.unwrap() + 1, "somebody else wrote meanwhile");
            transaction.commit().unwrap();
        }
    }

    #[test]
    fn connections_of_one_process_take_turns() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        let first = Database::open(&path, &SCHEMA, Sharing::Shared).unwrap();
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for (at, sharing) in [Sharing::Shared, Sharing::Joined, Sharing::Joined, Sharing::Shared].iter().enumerate()
            {
                let (path, start) = (&path, &start);
                scope.spawn(move || {
                    start.wait();
                    add_some(path, *sharing, &at.to_string());
                });
            }
        });
        assert_eq!(entries(&first).len(), 100);
        drop(first);
        let names = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(names, ["work.db"], "no lock is taken, and the log goes with the last connection");
    }

    /// Waits until `other` has the file open as well.
    fn meet(path: &Path, who: &str, other: &str) {
        let mut database = Database::open(path, &SCHEMA, Sharing::Shared).unwrap();
        add(&mut database, who).unwrap();
        let begun = Instant::now();
        while !entries(&database).iter().any(|words| words == other) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{other} does not come");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The same test in two processes: the one that is started by the other writes while that one does.
    #[test]
    fn two_processes_take_turns() {
        const WRITE: &str = "INTERIMAP_TEST_WRITE";
        if let Some(path) = std::env::var_os(WRITE) {
            meet(Path::new(&path), "child", "parent");
            add_some(Path::new(&path), Sharing::Shared, "child");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        let first = Database::open(&path, &SCHEMA, Sharing::Shared).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "database::tests::two_processes_take_turns"])
            .env(WRITE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        meet(&path, "parent", "child");
        add_some(&path, Sharing::Joined, "parent");
        assert!(child.wait().unwrap().success());
        assert_eq!(entries(&first).len(), 2 + 50);
    }

    #[test]
    fn connections_come_and_go_while_others_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        Database::open(&path, &SCHEMA, Sharing::Shared).map(drop).unwrap();
        thread::scope(|scope| {
            for who in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for number in 0..25 {
                        // The last one that closes the file removes the log.
                        let mut database = Database::open(path, &SCHEMA, Sharing::Shared).unwrap();
                        add(&mut database, &format!("{who} {number}")).unwrap();
                    }
                });
            }
        });
        assert_eq!(entries(&Database::open(&path, &SCHEMA, Sharing::Shared).unwrap()).len(), 100);
    }

    #[test]
    fn one_that_waits_too_long_says_that_another_is_at_work() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        let mut first = Database::open(&path, &SCHEMA, Sharing::Shared).unwrap();
        let mut second = Database::open(&path, &SCHEMA, Sharing::Joined).unwrap();
        second.connection().busy_timeout(Duration::from_millis(1)).unwrap();
        let under_way = first.transaction().unwrap();
        let refused = second.transaction().map(drop);
        assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
        under_way.insert("INSERT INTO entry (words) VALUES ('a')", []).unwrap();
        assert_eq!(entries(&second), [""; 0], "reading waits for nobody, and sees nothing half done");
        under_way.commit().unwrap();
        assert_eq!(entries(&second), ["a"]);
        add(&mut second, "b").unwrap();
    }

    #[test]
    fn one_that_is_held_is_opened_by_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        let held = Database::open(&path, &SCHEMA, Sharing::Exclusive).unwrap();
        let refused = Database::open(&path, &SCHEMA, Sharing::Exclusive).map(drop);
        assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
        drop(held);
        Database::open(&path, &SCHEMA, Sharing::Exclusive).unwrap();
    }

    /// Leaves at `to` what a power cut would: the files as they are while the database is open.
    fn cut(from: &Path, to: &Path) {
        for suffix in ["", "-wal"] {
            fs::copy(files::beside(from, suffix), files::beside(to, suffix)).unwrap();
        }
    }

    #[test]
    fn after_a_sudden_end_a_file_is_checked_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let (path, copy) = (directory.path().join("work.db"), directory.path().join("cut.db"));
        let mut database = Database::open(&path, &SCHEMA, Sharing::Shared).unwrap();
        for number in 0..500 {
            add(&mut database, &format!("entry {number}")).unwrap();
        }
        let index = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_entry_1'";
        database.connection().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let page: u32 = database.connection().query_row(index, [], |row| row.get(0)).unwrap();
        add(&mut database, "the log is not empty").unwrap();
        cut(&path, &copy);
        let mut octets = fs::read(&copy).unwrap();
        // An entry of the index that names another row: nothing that a look at single rows shows.
        *octets[..page as usize * 4096].last_mut().unwrap() ^= 1;
        for sharing in [Sharing::Shared, Sharing::Exclusive] {
            cut(&path, &copy);
            Database::find(&copy, &SCHEMA, sharing).map(drop).unwrap();
            fs::write(&copy, &octets).unwrap();
            for attempt in 1..=2 {
                let refused = Database::open(&copy, &SCHEMA, sharing).map(drop);
                assert!(matches!(refused, Err(Error::Corrupt { .. })), "{sharing:?}, attempt {attempt}: {refused:?}");
            }
            assert_eq!(fs::read(&copy).unwrap(), octets, "{sharing:?}");
        }
        Database::find(&copy, &SCHEMA, Sharing::Joined).map(drop).unwrap();
    }

    #[test]
    fn one_that_was_found_and_not_brought_up_stays_as_it_was() {
        const NEXT: Schema =
            Schema { migrations: &[SCHEMA.migrations[0], "ALTER TABLE entry ADD COLUMN color TEXT;"], ..SCHEMA };
        let directory = tempfile::tempdir().unwrap();
        let (path, copy) = (directory.path().join("work.db"), directory.path().join("cut.db"));
        let found = Database::find(&path, &SCHEMA, Sharing::Exclusive).unwrap();
        assert!(found.database().is_none(), "nothing is in it");
        drop(found);
        let mut database = Database::open(&path, &SCHEMA, Sharing::Exclusive).unwrap();
        add(&mut database, "a").unwrap();
        cut(&path, &copy);
        let before = fs::read(&copy).unwrap();
        let found = Database::find(&copy, &NEXT, Sharing::Exclusive).unwrap();
        assert_eq!(entries(found.database().unwrap()), ["a"]);
        drop(found);
        assert_eq!(fs::read(&copy).unwrap(), before);
        assert!(fs::metadata(files::beside(&copy, "-wal")).unwrap().len() > 0);
    }

    #[test]
    fn a_copy_in_memory_goes_its_own_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        assert_eq!(entries(&Database::copy_in_memory(&path, &SCHEMA).unwrap()), [""; 0]);
        assert!(!fs::exists(&path).unwrap(), "nothing is made");
        let mut database = Database::open(&path, &SCHEMA, Sharing::Exclusive).unwrap();
        add(&mut database, "a").unwrap();
        let mut copy = Database::copy_in_memory(&path, &SCHEMA).unwrap();
        add(&mut copy, "b").unwrap();
        add(&mut database, "c").unwrap();
        assert_eq!(entries(&copy), ["a", "b"]);
        assert_eq!(entries(&database), ["a", "c"]);
    }

    #[test]
    fn a_change_that_failed_once_is_lost_and_one_that_is_dropped_is_undone() {
        let mut database = Database::in_memory(&SCHEMA).unwrap();
        add(&mut database, "a").unwrap();
        let transaction = database.transaction().unwrap();
        transaction.insert("INSERT INTO entry (words) VALUES ('b')", []).unwrap();
        transaction.expect_whole().unwrap();
        let twice = transaction.insert("INSERT INTO entry (words) VALUES ('a')", []);
        assert!(matches!(twice, Err(Error::Contradiction { .. })), "{twice:?}");
        transaction.expect_whole().unwrap_err();
        let next = transaction.insert("INSERT INTO entry (words) VALUES ('c')", []);
        assert!(matches!(next, Err(Error::Contradiction { .. })), "{next:?}");
        let kept = transaction.commit();
        assert!(matches!(kept, Err(Error::Contradiction { .. })), "{kept:?}");
        let transaction = database.transaction().unwrap();
        transaction.insert("INSERT INTO entry (words) VALUES ('d')", []).unwrap();
        drop(transaction);
        assert_eq!(entries(&database), ["a"]);
    }
}
