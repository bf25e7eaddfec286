//! A change of a database, which is kept or dropped as a whole.

use std::cell::Cell;
use std::path::Path;

use rusqlite::{CachedStatement, Params, StatementStatus};

use super::{Error, Schema};

/// A change under way. Dropped, it is undone; once one step of it has failed, it can only be.
pub struct Transaction<'a> {
    inner: rusqlite::Transaction<'a>,
    path: &'a Path,
    schema: &'a Schema,
    rows_read: &'a Cell<u64>,
    failed: Cell<bool>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(
        inner: rusqlite::Transaction<'a>,
        path: &'a Path,
        schema: &'a Schema,
        rows_read: &'a Cell<u64>,
    ) -> Transaction<'a> {
        Transaction { inner, path, schema, rows_read, failed: Cell::new(false) }
    }

    /// Adds a row and says its key.
    pub fn insert(&self, sql: &str, parameters: impl Params) -> Result<i64, Error> {
        self.counted(sql, |statement| statement.insert(parameters))
    }

    /// Changes the one row that has to be there.
    pub fn update(&self, sql: &str, parameters: impl Params) -> Result<(), Error> {
        self.counted(sql, |statement| match statement.execute(parameters)? {
            0 => Err(rusqlite::Error::QueryReturnedNoRows),
            _ => Ok(()),
        })
    }

    /// Changes the rows that are there and may be changed so; says how many.
    pub fn change(&self, sql: &str, parameters: impl Params) -> Result<usize, Error> {
        self.counted(sql, |statement| statement.execute(parameters))
    }

    /// Deletes what is there.
    pub fn delete(&self, sql: &str, parameters: impl Params) -> Result<(), Error> {
        self.change(sql, parameters).map(drop)
    }

    /// Takes a step by a statement that changes rows, and counts what it has to go through to find them: nothing, where
    /// an index leads to them and to what hangs on them.
    fn counted<T>(
        &self,
        sql: &str,
        step: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.step(|transaction| {
            let mut statement = transaction.prepare_cached(sql)?;
            statement.reset_status(StatementStatus::FullscanStep);
            let done = step(&mut statement)?;
            let scanned = u64::try_from(statement.get_status(StatementStatus::FullscanStep)).unwrap_or(0);
            self.rows_read.set(self.rows_read.get() + scanned);
            Ok(done)
        })
    }

    /// Takes one step, unless one before has failed: SQLite may have ended the transaction then, and what follows
    /// would be kept without what came before.
    pub fn step<T>(&self, step: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, Error> {
        if self.failed.get() {
            return Err(Error::Contradiction { what: "a step before has failed".to_owned() });
        }
        step(&self.inner).map_err(|error| {
            self.failed.set(true);
            match error {
                rusqlite::Error::QueryReturnedNoRows => {
                    Error::Contradiction { what: "what is to be changed is not remembered".to_owned() }
                }
                error => Error::from_sqlite(self.path, self.schema, error),
            }
        })
    }

    /// Refuses a change of which a step has failed, for somebody who has more to do before it is kept.
    pub fn expect_whole(&self) -> Result<(), Error> {
        match self.failed.get() {
            true => Err(Error::Contradiction { what: "a step has failed".to_owned() }),
            false => Ok(()),
        }
    }

    /// Keeps the change: all of it is on the disk when this returns `Ok`, and none of it when it does not.
    pub fn commit(self) -> Result<(), Error> {
        self.expect_whole()?;
        let Transaction { inner, path, schema, .. } = self;
        inner.commit().map_err(|error| Error::from_sqlite(path, schema, error))
    }
}
