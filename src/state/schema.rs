//! The schema and how it is brought up to date, one numbered file at a time.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, TransactionBehavior};

use super::{Error, files};

/// `iimp`: tells our files from those of other programs.
const APPLICATION_ID: i32 = 0x6969_6d70;

/// The files that lead from nothing to the schema of today; the n-th leads to number n. One that was released is never
/// changed again.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("../../migrations/state/0001_initial.sql")];

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

/// Makes commits survive a power cut: FULL syncs the write-ahead log at each of them; NORMAL lost the last ones.
pub(super) fn make_durable(connection: &Connection, path: &Path) -> Result<(), Error> {
    let told = |error| Error::from_sqlite(path, error);
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
    if mode.map_err(told)? != "wal" {
        return Err(Error::NoSharedMemory { path: path.to_owned() });
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(told)
}

/// Goes through the whole file. That takes seconds where much is remembered, so it is done only after a run that did
/// not end in order: a disk that lies shows then, and a log that belongs to another file.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Error> {
    let verdict = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match verdict.map_err(|error| Error::from_sqlite(path, error))?.as_str() {
        "ok" => Ok(()),
        what => Err(Error::Corrupt { path: path.to_owned(), what: what.to_owned() }),
    }
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
        apply(connection, number, sql).map_err(told)?;
    }
    connection.pragma_update(None, "foreign_keys", true).map_err(told)
}

fn apply(connection: &mut Connection, number: u32, sql: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", number)?;
    transaction.commit()
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
