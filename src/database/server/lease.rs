//! A leased connection. If a lease is dropped in the middle of a statement, the connection is discarded and
//! the server is told to cancel the statement.

use std::sync::Arc;

use super::fairness::PoolPermit;
use super::limits::limits;
use super::pool::{ServerPool, Tenant};
use super::{Connection, DDL_TIMEOUT, STREAM_TIMEOUT};
use crate::database::rows::RowSender;
use crate::database::{DatabaseError, Rendered};

/// A connection that goes back to the pool on drop.
pub(super) struct Lease<C: Connection> {
    connection: Option<C>,
    pool: Arc<ServerPool<C>>,
    tenant: Arc<Tenant>,
    /// Whether a statement has begun and not ended.
    in_flight: bool,
    /// Dropped after the connection went back, so that the next waiter finds it idle.
    _permit: PoolPermit,
}

impl<C: Connection> Lease<C> {
    pub(super) fn new(
        connection: C,
        pool: Arc<ServerPool<C>>,
        tenant: Arc<Tenant>,
        permit: PoolPermit,
    ) -> Self {
        Self { connection: Some(connection), pool, tenant, in_flight: false, _permit: permit }
    }

    /// Runs a statement to its end.
    pub(super) async fn statement<T>(
        &mut self,
        statement: &Rendered,
        work: impl AsyncFnOnce(&mut C, &Rendered) -> Result<T, C::Error>,
    ) -> Result<T, DatabaseError> {
        let timeout = if statement.is_recurring { self.tenant.statement_timeout() } else { DDL_TIMEOUT };
        let run =
            self.run(timeout, Some(statement), async |connection: &mut C| work(connection, statement).await);
        // The drivers' futures are large; boxed, no request carries their size while it waits.
        Box::pin(run).await
    }

    /// The connection, for several concurrent reads.
    pub(super) fn shared(&self) -> Option<&C> {
        self.connection.as_ref()
    }

    /// Closes the idle connections, after the server went away.
    pub(super) fn close_idle(&self) {
        self.pool.close_all_idle();
    }

    /// Marks the connection as having a statement in flight that nobody waits for, so that it is discarded.
    pub(super) fn mark_in_flight(&mut self) {
        self.in_flight = true;
    }

    /// Whether the connection still exists: a fatal error discards it.
    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Reads rows and passes them on, until the reader is gone.
    pub(super) async fn stream(
        &mut self,
        statement: &Rendered,
        rows: &RowSender,
    ) -> Result<(), DatabaseError> {
        let work = async |connection: &mut C| connection.stream(statement, rows).await;
        Box::pin(self.run(STREAM_TIMEOUT, Some(statement), work)).await
    }

    /// Begins or ends a transaction. If that fails, the state of the connection is unknown: it is discarded,
    /// which rolls back.
    pub(super) async fn control(&mut self, sql: &str) -> Result<(), DatabaseError> {
        let timeout = limits().statement_timeout;
        let work = async |connection: &mut C| connection.batch(sql).await;
        let done = Box::pin(self.run(timeout, None, work)).await;
        if done.is_err() {
            self.discard();
        }
        done
    }

    /// Runs SQL that binds nothing, returns nothing and may take long.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), DatabaseError> {
        let statement = Rendered { sql: sql.to_owned(), ..Rendered::default() };
        let work = async |connection: &mut C| connection.batch(sql).await;
        Box::pin(self.run(DDL_TIMEOUT, Some(&statement), work)).await
    }

    /// Runs `work` on the connection, either to its end or not at all.
    async fn run<T>(
        &mut self,
        timeout: std::time::Duration,
        statement: Option<&Rendered>,
        work: impl AsyncFnOnce(&mut C) -> Result<T, C::Error>,
    ) -> Result<T, DatabaseError> {
        let at = &self.tenant.at;
        let Some(connection) = &mut self.connection else {
            return Err(DatabaseError::Closed(at.to_string()));
        };
        self.in_flight = true;
        let Ok(done) = tokio::time::timeout(timeout, work(connection)).await else {
            // The statement in flight is cancelled with the connection.
            let late = DatabaseError::TooSlow(format!("{at} did not answer within {timeout:?}"));
            self.discard();
            return Err(late);
        };
        let error = match done {
            Ok(done) => {
                self.in_flight = false;
                return Ok(done);
            }
            Err(error) => error,
        };
        if connection.is_broken(&error) {
            let described = C::describe(at, &error);
            self.in_flight = false;
            self.connection = None;
            self.pool.close_all_idle();
            return Err(described);
        }
        let described = match statement {
            Some(statement) => {
                let plain = C::describe(at, &error);
                let explained = connection.explain(at, error, statement);
                match tokio::time::timeout(limits().statement_timeout, explained).await {
                    Ok(explained) => explained,
                    Err(_) => {
                        self.discard();
                        return Err(plain);
                    }
                }
            }
            None => C::describe(at, &error),
        };
        self.in_flight = false;
        Err(described)
    }

    fn discard(&mut self) {
        self.in_flight = false;
        if let Some(connection) = self.connection.take() {
            connection.abandon(&self.tenant.at);
        }
    }
}

impl<C: Connection> Drop for Lease<C> {
    fn drop(&mut self) {
        if self.in_flight {
            self.discard();
        } else if let Some(connection) = self.connection.take() {
            self.pool.release(&self.tenant.database, connection);
        }
    }
}
