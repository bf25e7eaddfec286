//! The schema and how it is brought up to date, one numbered file at a time.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, TransactionBehavior};

use super::{Error, files};

/// `iimp`: tells our files from those of other programs.
const APPLICATION_ID: i32 = 0x6969_6d70;

/// The files that lead from nothing to the schema of today; the n-th leads to number n. One that was released is never
/// changed again.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/state/0001_initial.sql"),
    include_str!("../../migrations/state/0002_servers_without_uidplus.sql"),
];

/// The counters of a mailbox, and what each has to be. A file that waits for its migration has not all of them yet.
const COUNTERS: [(&str, &str); 5] = [
    ("pairs", "SELECT count(*) FROM pair WHERE mailbox = mailbox.id"),
    ("intents", "SELECT count(*) FROM intent WHERE mailbox = mailbox.id"),
    ("lifted", "SELECT count(*) FROM lifted WHERE mailbox = mailbox.id"),
    ("skipped_local", "SELECT count(*) FROM skipped WHERE mailbox = mailbox.id AND side = 'local'"),
    ("skipped_remote", "SELECT count(*) FROM skipped WHERE mailbox = mailbox.id AND side = 'remote'"),
];

/// Whose database a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Nobody's yet.
    Nothing,
    /// Ours; its schema has this number, not above the known ones.
    Schema(u32),
}

/// Looks at what the file holds, without changing it.
pub(super) fn recognize(connection: &Connection, path: &Path, migrations: &[&str]) -> Result<Contents, Error> {
    let ask = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let told = |error| Error::from_sqlite(path, error);
    let (application_id, version) = (ask("application_id").map_err(told)?, ask("user_version").map_err(told)?);
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    let known = number_of_last(migrations);
    match (application_id, u32::try_from(version), tables.map_err(told)?) {
        (0, Ok(0), 0) => Ok(Contents::Nothing),
        (APPLICATION_ID, Ok(found), 1..) if found > known => Err(Error::Newer { path: path.to_owned(), found, known }),
        (APPLICATION_ID, Ok(found @ 1..), 1..) => Ok(Contents::Schema(found)),
        _ => Err(Error::Corrupt { path: path.to_owned(), what: "it is the database of another program".to_owned() }),
    }
}

/// What holds of every connection. Settings that a file keeps are not among them.
pub(super) fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY;",
    )
}

/// What becomes of the write-ahead log when the last connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// It goes into the database and is removed.
    Merged,
    /// It stays.
    Left,
}

/// Says what becomes of the log.
pub(super) fn on_close(connection: &Connection, path: &Path, log: Log) -> Result<(), Error> {
    let set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log == Log::Left);
    set.map(drop).map_err(|error| Error::from_sqlite(path, error))
}

/// Makes commits survive a power cut: FULL syncs the write-ahead log at each of them; NORMAL lost the last ones.
pub(super) fn make_durable(connection: &Connection, path: &Path) -> Result<(), Error> {
    let told = |error| Error::from_sqlite(path, error);
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
    if mode.map_err(told)? != "wal" {
        return Err(Error::NoSharedMemory { path: path.to_owned() });
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(told)
}

/// Goes through the whole file. That takes a second for a million pairs, so it is done only after a run that did not
/// end in order: a disk that lies shows then, and a log that belongs to another file.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Error> {
    let told = |error| Error::from_sqlite(path, error);
    let corrupt = |what: &str| Err(Error::Corrupt { path: path.to_owned(), what: what.to_owned() });
    let verdict = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match verdict.map_err(told)?.as_str() {
        "ok" => {}
        what => return corrupt(what),
    }
    if rows_that_belong_nowhere(connection).map_err(told)? > 0 {
        return corrupt("rows belong to no mailbox");
    }
    if mailboxes_miscounted(connection).map_err(told)? > 0 {
        return corrupt("not as many rows are there as were written");
    }
    Ok(())
}

fn rows_that_belong_nowhere(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
}

fn mailboxes_miscounted(connection: &Connection) -> rusqlite::Result<i64> {
    let mut miscounted = 0;
    for (counter, counted) in COUNTERS {
        let is_there = "SELECT count(*) FROM pragma_table_info('mailbox') WHERE name = ?1";
        if connection.query_row(is_there, [counter], |row| row.get::<_, i64>(0))? > 0 {
            let sql = format!("SELECT count(*) FROM mailbox WHERE {counter} <> ({counted})");
            miscounted += connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?;
        }
    }
    Ok(miscounted)
}

/// The number of the schema that `migrations` lead to.
pub(super) fn number_of_last(migrations: &[&str]) -> u32 {
    u32::try_from(migrations.len()).expect("migrations are counted by hand")
}

/// Applies what is missing, each file in a transaction of its own, so that a cut leaves one schema or the next.
/// A file that already remembers something is copied first.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    contents: Contents,
    migrations: &[&str],
) -> Result<(), Error> {
    let last = number_of_last(migrations);
    let found = match contents {
        Contents::Nothing => 0,
        Contents::Schema(found) if found < last => {
            keep_copy(connection, path, found, last)?;
            found
        }
        Contents::Schema(_) => return Ok(()),
    };
    let told = |error| Error::from_sqlite(path, error);
    // A migration may have to build a table anew; with foreign keys on, dropping the old one would delete what refers to it.
    connection.pragma_update(None, "foreign_keys", false).map_err(told)?;
    for (number, sql) in (1..).zip(migrations).filter(|(number, _)| *number > found) {
        apply(connection, path, number, sql)?;
    }
    connection.pragma_update(None, "foreign_keys", true).map_err(told)
}

fn apply(connection: &mut Connection, path: &Path, number: u32, sql: &str) -> Result<(), Error> {
    let told = |error| Error::from_sqlite(path, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
    transaction.execute_batch(sql).map_err(told)?;
    if rows_that_belong_nowhere(&transaction).map_err(told)? > 0 {
        return Err(Error::Contradiction { what: format!("migration {number} leaves rows that belong to no mailbox") });
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(told)?;
    transaction.pragma_update(None, "user_version", number).map_err(told)?;
    transaction.commit().map_err(told)
}

/// Writes `work.db.v1-before-v2`, whole or not at all.
fn keep_copy(connection: &Connection, path: &Path, from: u32, to: u32) -> Result<(), Error> {
    let copy = files::beside(path, &format!(".v{from}-before-v{to}"));
    let part = files::beside(&copy, ".part");
    // VACUUM INTO takes an empty file, and keeps its mode.
    files::create_empty(&part)?;
    // Paths are octets; SQLite takes them as they are.
    let target = ToSqlOutput::Borrowed(ValueRef::Text(part.as_os_str().as_bytes()));
    connection.execute("VACUUM INTO ?1", [target]).map_err(|error| Error::from_sqlite(path, error))?;
    files::publish(&part, &copy)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::super::State;
    use super::*;
    use crate::mail::{Both, MailboxName};

    /// What leads to the schema of today, as one migration.
    const TODAY: &str = concat!(
        include_str!("../../migrations/state/0001_initial.sql"),
        include_str!("../../migrations/state/0002_servers_without_uidplus.sql"),
    );
    const TOMORROW: &str = "ALTER TABLE mailbox ADD COLUMN color TEXT;
                            UPDATE mailbox SET color = 'red';";

    fn identity() -> Both<String> {
        Both { local: "here".to_owned(), remote: "there".to_owned() }
    }

    /// A state of today with one mailbox, closed.
    fn of_today(path: &Path) {
        let mut state = State::open_with(path, &identity(), &[TODAY]).unwrap();
        state.commit(|change| change.add_mailbox(&MailboxName::inbox())).unwrap();
    }

    fn version(path: &Path) -> u32 {
        Connection::open(path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_list_is_what_lies_in_the_source() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/state");
        let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        assert_eq!(texts, MIGRATIONS);
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

            let state = State::open_with(&path, &identity(), &[TODAY, TOMORROW]).unwrap();
            let color = state.connection.query_row("SELECT color FROM mailbox", [], |row| row.get::<_, String>(0));
            assert_eq!(color.unwrap(), "red");
            assert_eq!(state.remembered().unwrap().len(), 1);
            drop(state);

            assert_eq!((version(&path), version(&copy)), (2, 1));
            assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o7777, 0o600);
            assert!(!fs::exists(&part).unwrap());
            let before = State::open_with(&copy, &identity(), &[TODAY]).unwrap();
            assert_eq!(before.remembered().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_first_run_and_one_of_the_same_version_keep_no_copy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        of_today(&path);
        State::open_with(&path, &identity(), &[TODAY]).unwrap();
        let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["work.db", "work.db.lock"]);
    }

    #[test]
    fn s135_a_migration_that_fails_anywhere_leaves_the_schema_before_it() {
        let orphan = "INSERT INTO checkpoint (mailbox, side, uid_validity, uid_next) VALUES (99, 'local', 1, 1);";
        for (what, broken) in [
            ("at its first statement", format!("SELECT no_such_function(); {TOMORROW}")),
            ("at its last statement", format!("{TOMORROW} SELECT no_such_function();")),
            ("by a row that belongs nowhere", format!("{TOMORROW} {orphan}")),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("work.db");
            of_today(&path);
            State::open_with(&path, &identity(), &[TODAY, &broken]).map(drop).unwrap_err();
            assert_eq!(version(&path), 1, "{what}");
            let state = State::open_with(&path, &identity(), &[TODAY]).unwrap();
            assert_eq!(state.remembered().unwrap().len(), 1, "{what}");
            state.connection.prepare("SELECT color FROM mailbox").map(drop).unwrap_err();
            drop(state);

            // Those before it are applied for good.
            let third = "CREATE TABLE third (id INTEGER PRIMARY KEY) STRICT;";
            State::open_with(&path, &identity(), &[TODAY, third, &broken]).map(drop).unwrap_err();
            assert_eq!(version(&path), 2, "{what}");
        }
    }

    #[test]
    fn a_table_can_be_built_anew_without_losing_what_refers_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        of_today(&path);
        let key = {
            let mut state = State::open_with(&path, &identity(), &[TODAY]).unwrap();
            let key = state.remembered().unwrap()[0].key;
            let id = crate::mail::MailboxId::new("x");
            state.commit(|change| change.set_mailbox_id(key, crate::mail::Side::Local, id.as_ref())).unwrap();
            key
        };
        let anew = "CREATE TABLE anew AS SELECT * FROM mailbox; DELETE FROM mailbox;
                    INSERT INTO mailbox SELECT * FROM anew; DROP TABLE anew;";
        let mut state = State::open_with(&path, &identity(), &[TODAY, anew]).unwrap();
        assert!(state.remembered().unwrap()[0].ids.local.is_some());
        // From then on the references are watched again.
        state.commit(|change| change.forget_mailbox(key)).unwrap();
        let left = state.connection.query_row("SELECT count(*) FROM mailbox_id", [], |row| row.get::<_, i64>(0));
        assert_eq!(left.unwrap(), 0);
    }

    #[test]
    fn an_older_state_is_not_changed_by_looking_at_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.db");
        of_today(&path);
        let looked_at = State::inspect_with(&path, &[TODAY, TOMORROW]).map(drop);
        assert!(matches!(looked_at, Err(Error::Older { found: 1, known: 2, .. })), "{looked_at:?}");
        assert_eq!(version(&path), 1);
    }

    #[test]
    fn a_commit_is_synced_and_references_are_watched() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open_with(&directory.path().join("work.db"), &identity(), &[TODAY]).unwrap();
        for (pragma, wanted) in [
            ("journal_mode", "wal"),
            ("synchronous", "2"),
            ("foreign_keys", "1"),
            ("trusted_schema", "0"),
            ("cell_size_check", "1"),
            ("temp_store", "2"),
        ] {
            let found = state.connection.pragma_query_value(None, pragma, |row| {
                Ok(row.get::<_, String>(0).or_else(|_| row.get::<_, i64>(0).map(|number| number.to_string())))
            });
            assert_eq!(found.unwrap().unwrap(), wanted, "{pragma}");
        }
    }

    #[test]
    fn a_place_that_cannot_keep_a_log_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        let refused = make_durable(&connection, Path::new("x"));
        assert!(matches!(refused, Err(Error::NoSharedMemory { .. })), "{refused:?}");
    }
}
