//! What a kind of database is, and how a file of it is recognized, checked and brought up to date, one numbered
//! migration at a time.

use std::os::unix::ffi::OsStrExt;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension};

use super::{Database, Error, files};

/// What a kind of database of ours is.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// What such a database is called.
    pub noun: &'static str,
    /// Tells its files from those of other programs, and from our others.
    pub application_id: i32,
    /// What leads from nothing to the schema of today; the n-th leads to number n. One that was released is never changed
    /// again.
    pub migrations: &'static [&'static str],
    /// What is counted as it is written. A file that waits for its migration has not all of them yet.
    pub counters: &'static [Counter],
    /// What comes of it if a file that cannot be trusted is moved away, as a part of a sentence.
    pub without: &'static str,
}

/// A column that says how many rows belong to its row: a hole in a database shows by it.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// The table that has the column.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The query whose result the column has to be, for a row of the table.
    pub counted: &'static str,
}

impl Schema {
    /// The number of the schema that the migrations lead to.
    pub(super) fn number(&self) -> u32 {
        u32::try_from(self.migrations.len()).expect("migrations are counted by hand")
    }
}

/// Whose database a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Nobody's yet.
    Nothing,
    /// Ours; its schema has this number, not above the known ones.
    Schema(u32),
}

/// What becomes of the write-ahead log when the last connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// It goes into the database and is removed.
    Merged,
    /// It stays.
    Left,
}

impl Database {
    /// Looks at what the file holds, without changing it.
    pub(super) fn recognize(&self) -> Result<Contents, Error> {
        // One statement sees one moment, whatever another connection is doing.
        let seen = self.connection.query_row(
            "SELECT (SELECT application_id FROM pragma_application_id),
                    (SELECT user_version FROM pragma_user_version),
                    (SELECT count(*) FROM sqlite_schema)",
            [],
            |row| <(i64, i64, i64)>::try_from(row),
        );
        let (application_id, version, tables) = seen.map_err(|error| self.told(error))?;
        let known = self.schema.number();
        let ours = application_id == i64::from(self.schema.application_id);
        match (u32::try_from(version), tables) {
            (Ok(0), 0) if application_id == 0 => Ok(Contents::Nothing),
            (Ok(found), 1..) if ours && found > known => Err(Error::Newer { path: self.path.clone(), found, known }),
            (Ok(found @ 1..), 1..) if ours => Ok(Contents::Schema(found)),
            _ => Err(self.corrupt("it is the database of another program")),
        }
    }

    /// Says what becomes of the log.
    pub(super) fn on_close(&self, log: Log) -> Result<(), Error> {
        let set = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log == Log::Left);
        set.map(drop).map_err(|error| self.told(error))
    }

    /// Makes commits survive a power cut: FULL syncs the write-ahead log at each of them; NORMAL lost the last ones.
    pub(super) fn make_durable(&self) -> Result<(), Error> {
        let told = |error| self.told(error);
        let mode = self.connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        if mode.map_err(told)? != "wal" {
            return Err(Error::NoSharedMemory { path: self.path.clone() });
        }
        self.connection.pragma_update(None, "synchronous", "FULL").map_err(told)
    }

    /// Goes through the whole file. That takes a second for a million rows, so it is done only after a run that did not
    /// end in order: a disk that lies shows then, and a log that belongs to another file.
    pub(super) fn check(&self) -> Result<(), Error> {
        let told = |error| self.told(error);
        let verdict = self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
        match verdict.map_err(told)?.as_str() {
            "ok" => {}
            what => return Err(self.corrupt(what)),
        }
        if let Some(parent) = missing_parent(&self.connection).map_err(told)? {
            return Err(self.corrupt(&format!("rows belong to no {parent}")));
        }
        if self.rows_miscounted().map_err(told)? > 0 {
            return Err(self.corrupt("not as many rows are there as were written"));
        }
        Ok(())
    }

    fn rows_miscounted(&self) -> rusqlite::Result<i64> {
        let mut miscounted = 0;
        for Counter { table, column, counted } in self.schema.counters {
            let is_there = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = ?2";
            if self.connection.query_row(is_there, [table, column], |row| row.get::<_, i64>(0))? > 0 {
                let sql = format!("SELECT count(*) FROM {table} WHERE {column} <> ({counted})");
                miscounted += self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?;
            }
        }
        Ok(miscounted)
    }

    /// Applies what is missing, each migration in a transaction of its own, so that a cut leaves one schema or the next.
    /// A file that already remembers something is copied first.
    pub(super) fn migrate(&mut self, contents: Contents) -> Result<(), Error> {
        let last = self.schema.number();
        let found = match contents {
            Contents::Nothing => 0,
            Contents::Schema(found) if found < last => {
                self.keep_copy(found, last)?;
                found
            }
            Contents::Schema(_) => return Ok(()),
        };
        // A migration may have to build a table anew; with foreign keys on, dropping the old one would delete what refers
        // to it.
        self.connection.pragma_update(None, "foreign_keys", false).map_err(|error| self.told(error))?;
        for (number, sql) in (1..).zip(self.schema.migrations).filter(|(number, _)| *number > found) {
            self.apply(number, sql)?;
        }
        self.connection.pragma_update(None, "foreign_keys", true).map_err(|error| self.told(error))
    }

    fn apply(&mut self, number: u32, sql: &str) -> Result<(), Error> {
        let application_id = self.schema.application_id;
        let transaction = self.transaction()?;
        let missing = transaction.step(|transaction| {
            transaction.execute_batch(sql)?;
            missing_parent(transaction)
        })?;
        if let Some(parent) = missing {
            let what = format!("migration {number} leaves rows that belong to no {parent}");
            return Err(Error::Contradiction { what });
        }
        transaction.step(|transaction| {
            transaction.pragma_update(None, "application_id", application_id)?;
            transaction.pragma_update(None, "user_version", number)
        })?;
        transaction.commit()
    }

    /// Writes `work.db.v1-before-v2`, whole or not at all.
    fn keep_copy(&self, from: u32, to: u32) -> Result<(), Error> {
        let copy = files::beside(&self.path, &format!(".v{from}-before-v{to}"));
        let part = files::beside(&copy, ".part");
        // VACUUM INTO takes an empty file, and keeps its mode.
        files::create_empty(&part)?;
        // Paths are octets; SQLite takes them as they are.
        let target = ToSqlOutput::Borrowed(ValueRef::Text(part.as_os_str().as_bytes()));
        self.connection.execute("VACUUM INTO ?1", [target]).map_err(|error| self.told(error))?;
        files::publish(&part, &copy)
    }
}

/// The table that lacks a row which another row belongs to.
fn missing_parent(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT parent FROM pragma_foreign_key_check LIMIT 1", [], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::super::Sharing;
    use super::*;

    const TODAY: &str = "
        CREATE TABLE shelf (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, books INTEGER NOT NULL DEFAULT 0) STRICT;
        CREATE TABLE book (
            id    INTEGER PRIMARY KEY,
            shelf INTEGER NOT NULL REFERENCES shelf (id) ON DELETE CASCADE
        ) STRICT;";
    const TOMORROW: &str = "ALTER TABLE shelf ADD COLUMN color TEXT;
                            UPDATE shelf SET color = 'red';";

    /// The schema that these migrations lead to.
    fn schema(migrations: &[&str]) -> Schema {
        let migrations = migrations.iter().map(|sql| &*sql.to_string().leak()).collect::<Vec<&str>>().leak();
        let books =
            Counter { table: "shelf", column: "books", counted: "SELECT count(*) FROM book WHERE shelf = shelf.id" };
        let counters = vec![books].leak();
        Schema { noun: "list", application_id: 7, migrations, counters, without: "it is written anew" }
    }

    fn open(path: &Path, migrations: &[&str]) -> Result<Database, Error> {
        Database::open(path, &schema(migrations), Sharing::Exclusive)
    }

    /// A database of today with one shelf and one book, closed.
    fn of_today(path: &Path) {
        let mut database = open(path, &[TODAY]).unwrap();
        let transaction = database.transaction().unwrap();
        transaction.insert("INSERT INTO shelf (name, books) VALUES ('a', 1)", []).unwrap();
        transaction.insert("INSERT INTO book (shelf) VALUES (1)", []).unwrap();
        transaction.commit().unwrap();
    }

    fn count(database: &Database, table: &str) -> i64 {
        database.connection().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    fn version(path: &Path) -> u32 {
        Connection::open(path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_migration_keeps_what_is_remembered_and_a_copy_of_what_was() {
        // A name that is no UTF-8, too.
        for name in [&b"work.db"[..], b"w\xf6rk.db"] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(std::ffi::OsStr::from_bytes(name));
            of_today(&path);
            // What an attempt before may have left.
            let (copy, part) = (files::beside(&path, ".v1-before-v2"), files::beside(&path, ".v1-before-v2.part"));
            fs::write(&copy, "old").unwrap();
            fs::write(&part, "old").unwrap();

            let database = open(&path, &[TODAY, TOMORROW]).unwrap();
            let color = database.connection().query_row("SELECT color FROM shelf", [], |row| row.get::<_, String>(0));
            assert_eq!(color.unwrap(), "red");
            assert_eq!(count(&database, "book"), 1);
            drop(database);

            assert_eq!((version(&path), version(&copy)), (2, 1));
            assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o7777, 0o600);
            assert!(!fs::exists(&part).unwrap());
            assert_eq!(count(&open(&copy, &[TODAY]).unwrap(), "book"), 1);
        }
    }

    #[test]
    fn a_first_run_and_one_of_the_same_version_keep_no_copy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        of_today(&path);
        open(&path, &[TODAY]).unwrap();
        let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["work.db", "work.db.lock"]);
    }

    #[test]
    fn s135_a_migration_that_fails_anywhere_leaves_the_schema_before_it() {
        let orphan = "INSERT INTO book (shelf) VALUES (99);";
        for (what, broken) in [
            ("at its first statement", format!("SELECT no_such_function(); {TOMORROW}")),
            ("at its last statement", format!("{TOMORROW} SELECT no_such_function();")),
            ("by a row that belongs nowhere", format!("{TOMORROW} {orphan}")),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("work.db");
            of_today(&path);
            open(&path, &[TODAY, &broken]).map(drop).unwrap_err();
            assert_eq!(version(&path), 1, "{what}");
            let database = open(&path, &[TODAY]).unwrap();
            assert_eq!(count(&database, "book"), 1, "{what}");
            database.connection().prepare("SELECT color FROM shelf").map(drop).unwrap_err();
            drop(database);

            // Those before it are applied for good.
            let third = "CREATE TABLE third (id INTEGER PRIMARY KEY) STRICT;";
            open(&path, &[TODAY, third, &broken]).map(drop).unwrap_err();
            assert_eq!(version(&path), 2, "{what}");
        }
    }

    #[test]
    fn a_table_can_be_built_anew_without_losing_what_refers_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        of_today(&path);
        let anew = "CREATE TABLE anew AS SELECT * FROM shelf; DELETE FROM shelf;
                    INSERT INTO shelf SELECT * FROM anew; DROP TABLE anew;";
        let mut database = open(&path, &[TODAY, anew]).unwrap();
        assert_eq!(count(&database, "book"), 1);
        // From then on the references are watched again.
        let transaction = database.transaction().unwrap();
        transaction.delete("DELETE FROM shelf", []).unwrap();
        transaction.commit().unwrap();
        assert_eq!(count(&database, "book"), 0);
    }

    #[test]
    fn an_older_database_is_not_changed_by_looking_at_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        of_today(&path);
        let looked_at = Database::inspect(&path, &schema(&[TODAY, TOMORROW])).map(drop);
        assert!(matches!(looked_at, Err(Error::Older { found: 1, known: 2, .. })), "{looked_at:?}");
        assert_eq!(version(&path), 1);
    }

    #[test]
    fn a_database_of_ours_that_is_of_another_kind_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        of_today(&path);
        let other = Schema { application_id: 8, ..schema(&[TODAY]) };
        let refused = Database::open(&path, &other, Sharing::Exclusive).map(drop);
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    }

    #[test]
    fn a_check_finds_holes_and_says_what_they_belong_to() {
        for (sql, found) in [
            ("DELETE FROM shelf", "rows belong to no shelf"),
            ("DELETE FROM book", "not as many rows are there as were written"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("work.db");
            of_today(&path);
            let database = open(&path, &[TODAY]).unwrap();
            database.check().unwrap();
            database.connection().execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
            match database.check() {
                Err(Error::Corrupt { what, .. }) => assert_eq!(what, found),
                result => panic!("{sql}: {result:?}"),
            }
        }
    }

    #[test]
    fn a_commit_is_synced_and_references_are_watched() {
        let directory = tempfile::tempdir().unwrap();
        for sharing in [Sharing::Exclusive, Sharing::Shared, Sharing::Joined] {
            let path = directory.path().join("work.db");
            let database = Database::open(&path, &schema(&[TODAY]), sharing).unwrap();
            for (pragma, wanted) in [
                ("journal_mode", "wal"),
                ("synchronous", "2"),
                ("foreign_keys", "1"),
                ("trusted_schema", "0"),
                ("cell_size_check", "1"),
                ("temp_store", "2"),
            ] {
                let found = database.connection().pragma_query_value(None, pragma, |row| {
                    Ok(row.get::<_, String>(0).or_else(|_| row.get::<_, i64>(0).map(|number| number.to_string())))
                });
                assert_eq!(found.unwrap().unwrap(), wanted, "{pragma}, {sharing:?}");
            }
        }
    }

    #[test]
    fn a_place_that_cannot_keep_a_log_is_refused() {
        let refused = Database::in_memory(&schema(&[TODAY])).unwrap().make_durable();
        assert!(matches!(refused, Err(Error::NoSharedMemory { .. })), "{refused:?}");
    }
}
