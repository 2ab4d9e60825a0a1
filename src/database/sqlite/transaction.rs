//! A transaction, which holds the writing connection from `BEGIN` to `COMMIT`.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::connection::{self, ConnectionRole};
use super::pool::{Pool, SqliteLease};
use super::{cancel, error};
use crate::database::savepoints::Savepoints;
use crate::database::{DatabaseError, Permit, Rendered, Row, blocking_pool};

/// A transaction. Dropping it without a commit rolls it back on a thread of the blocking pool.
#[derive(Debug)]
pub(in crate::database) struct SqliteTransaction {
    /// `None` once the transaction has ended, or if a statement's future was dropped: the thread that runs
    /// the statement rolls back then, because the outcome is unknown.
    held: Option<WriteLease>,
    pool: Arc<Pool>,
    savepoints: Savepoints,
}

/// Fields drop in this order: the connection is rolled back and goes back to the pool before the permit.
#[derive(Debug)]
struct WriteLease {
    lease: SqliteLease,
    _permit: Permit,
}

impl SqliteTransaction {
    pub(super) async fn begin(pool: Arc<Pool>, permit: Permit) -> Result<Self, DatabaseError> {
        let moved_pool = Arc::clone(&pool);
        let begun = blocking_pool::run(pool.job_group(), move || {
            let mut held = WriteLease {
                lease: SqliteLease::acquire(&moved_pool, ConnectionRole::Writer)?,
                _permit: permit,
            };
            connection::begin(held.lease.connection())
                .map_err(|failed| error::describe(moved_pool.path(), failed))?;
            Ok(held)
        });
        let held = begun.await.unwrap_or_else(|| Err(error::panicked(pool.path())))?;
        Ok(Self { held: Some(held), pool, savepoints: Savepoints::default() })
    }

    pub(in crate::database) async fn query(
        &mut self,
        statement: Rendered,
    ) -> Result<Vec<Row>, DatabaseError> {
        let time = self.pool.timeout_for(&statement);
        self.run(time, move |connection| connection::query(connection, &statement)).await
    }

    pub(in crate::database) async fn execute(&mut self, statement: Rendered) -> Result<u64, DatabaseError> {
        let time = self.pool.timeout_for(&statement);
        self.run(time, move |connection| connection::execute(connection, &statement)).await
    }

    pub(in crate::database) async fn insert(
        &mut self,
        statement: Rendered,
        generated: bool,
    ) -> Result<Option<i64>, DatabaseError> {
        let time = self.pool.timeout_for(&statement);
        self.run(time, move |connection| connection::insert(connection, &statement, generated)).await
    }

    pub(in crate::database) async fn insert_many(
        &mut self,
        statement: Rendered,
    ) -> Result<Vec<i64>, DatabaseError> {
        let time = self.pool.timeout_for(&statement);
        self.run(time, move |connection| connection::insert_many(connection, &statement)).await
    }

    pub(in crate::database) async fn commit(mut self) -> Result<(), DatabaseError> {
        self.run(None, |connection| connection::commit(connection)).await
    }

    pub(in crate::database) async fn savepoint(&mut self) -> Result<(), DatabaseError> {
        let statement = self.savepoints.set();
        self.run(None, move |connection| connection.execute_batch(&statement)).await?;
        self.savepoints.was_set();
        Ok(())
    }

    pub(in crate::database) async fn end_savepoint(&mut self, keep: bool) -> Result<(), DatabaseError> {
        if keep && self.savepoints.is_failed() {
            return Err(self.ended());
        }
        let Some(statements) = self.savepoints.end(keep) else {
            return Err(DatabaseError::Failed(format!(
                "the transaction in {} has no savepoint",
                self.pool.path().display()
            )));
        };
        let statements = statements.join("; ");
        self.run_unchecked(None, move |connection| {
            if keep {
                connection.execute_batch(&statements)
            } else {
                connection::undo(connection, &statements)
            }
        })
        .await?;
        self.savepoints.has_ended();
        Ok(())
    }

    async fn run<T: Send + 'static>(
        &mut self,
        time: Option<Duration>,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        if self.savepoints.is_failed() {
            return Err(self.ended());
        }
        self.run_unchecked(time, work).await
    }

    async fn run_unchecked<T: Send + 'static>(
        &mut self,
        time: Option<Duration>,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let Some(mut held) = self.held.take() else { return Err(self.ended()) };
        let (job, _cancel_on_drop) = cancel::cancellable(time);
        let done = blocking_pool::run(self.pool.job_group(), move || {
            // SQLite itself rolls back on some errors, such as a full disk.
            if held.lease.connection().is_autocommit() {
                return (held, None);
            }
            let result = job.run(held.lease.connection(), work);
            let path = held.lease.path();
            let result = result.map(|result| result.map_err(|failed| error::describe(path, failed)));
            (held, result)
        });
        let Some((held, result)) = done.await else { return Err(error::panicked(self.pool.path())) };
        match result {
            Some(Ok(done)) => {
                self.held = Some(held);
                Ok(done)
            }
            // A failure ends the transaction on every engine, as it does on servers.
            Some(Err(error)) if self.savepoints.fail() => {
                self.held = Some(held);
                Err(error)
            }
            Some(Err(error)) => {
                blocking_pool::run(self.pool.job_group(), move || drop(held)).await;
                Err(error)
            }
            None => Err(self.ended()),
        }
    }

    fn ended(&self) -> DatabaseError {
        DatabaseError::Failed(format!(
            "the transaction in {} was rolled back after an earlier failure",
            self.pool.path().display()
        ))
    }
}

impl Drop for SqliteTransaction {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            blocking_pool::submit(self.pool.job_group(), move || drop(held));
        }
    }
}
