//! A transaction on a server, which holds one connection from `BEGIN` to `COMMIT`.

use std::sync::Arc;
use std::time::Duration;

use super::Connection;
use super::lease::Lease;
use super::pool::Tenant;
use crate::database::savepoints::Savepoints;
use crate::database::{DatabaseError, Rendered, Retry, Row};

/// A transaction. Dropping it without a commit rolls it back.
pub(in crate::database) struct ServerTransaction<C: Connection> {
    /// `None` once the transaction has ended: by a commit, a failed statement, or a statement dropped in the
    /// middle.
    lease: Option<Lease<C>>,
    tenant: Arc<Tenant>,
    savepoints: Savepoints,
    /// Whether it has a short lock timeout, after which it is retried.
    has_lock_timeout: bool,
}

impl<C: Connection> std::fmt::Debug for ServerTransaction<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("at", &self.tenant.at).finish_non_exhaustive()
    }
}

impl<C: Connection> ServerTransaction<C> {
    /// Begins a transaction, with the lock timeout `wait` if given.
    pub(super) async fn begin(
        mut lease: Lease<C>,
        tenant: Arc<Tenant>,
        wait: Option<Duration>,
    ) -> Result<Self, DatabaseError> {
        lease.control(&wait.map_or(C::BEGIN.into(), C::begin_with_lock_timeout)).await?;
        Ok(Self {
            lease: Some(lease),
            tenant,
            savepoints: Savepoints::default(),
            has_lock_timeout: wait.is_some(),
        })
    }

    pub(in crate::database) fn schema(&self) -> Option<&str> {
        self.tenant.at.schema.as_deref()
    }

    pub(in crate::database) async fn query(
        &mut self,
        statement: &Rendered,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.run(statement, async |on: &mut C, statement| on.query(statement).await).await
    }

    pub(in crate::database) async fn execute(&mut self, statement: &Rendered) -> Result<u64, DatabaseError> {
        if C::DDL_COMMITS && !statement.is_recurring {
            return self.run_ddl(statement).await;
        }
        self.run(statement, async |on: &mut C, statement| on.execute(statement).await).await
    }

    /// Runs DDL, which commits what came before it. After a conflict, the DDL alone is retried, since what
    /// was committed cannot be undone.
    async fn run_ddl(&mut self, statement: &Rendered) -> Result<u64, DatabaseError> {
        let mut lease = self.lease.take().ok_or_else(|| self.ended())?;
        let mut retry = Retry::default();
        let changed = loop {
            let changed =
                lease.statement(statement, async |on: &mut C, statement| on.execute(statement).await).await;
            match changed {
                Err(error) if lease.is_connected() && retry.should_retry(Some(&error)).await => {}
                changed => break changed,
            }
        };
        match changed {
            Ok(changed) => {
                lease.control(C::BEGIN).await?;
                self.lease = Some(lease);
                Ok(changed)
            }
            Err(error) => {
                roll_back(lease).await;
                Err(error)
            }
        }
    }

    pub(in crate::database) async fn insert(
        &mut self,
        statement: &Rendered,
    ) -> Result<Option<i64>, DatabaseError> {
        self.run(statement, async |on: &mut C, statement| on.insert(statement).await).await
    }

    pub(in crate::database) async fn insert_many(
        &mut self,
        statement: &Rendered,
    ) -> Result<Vec<i64>, DatabaseError> {
        self.run(statement, async |on: &mut C, statement| on.insert_many(statement).await).await
    }

    pub(in crate::database) async fn commit(mut self) -> Result<(), DatabaseError> {
        let mut lease = self.lease.take().ok_or_else(|| self.ended())?;
        if self.savepoints.is_failed() {
            roll_back(lease).await;
            return Err(self.ended());
        }
        lease.control("COMMIT").await
    }

    pub(in crate::database) async fn savepoint(&mut self) -> Result<(), DatabaseError> {
        if self.savepoints.is_failed() {
            return Err(self.ended());
        }
        self.control(&[self.savepoints.set()]).await?;
        self.savepoints.was_set();
        Ok(())
    }

    pub(in crate::database) async fn end_savepoint(&mut self, keep: bool) -> Result<(), DatabaseError> {
        if keep && self.savepoints.is_failed() {
            return Err(self.ended());
        }
        let statements = self.savepoints.end(keep).ok_or_else(|| self.without_savepoint())?;
        self.control(&statements).await?;
        self.savepoints.has_ended();
        Ok(())
    }

    /// Sets or ends savepoints; a failure ends the transaction.
    async fn control(&mut self, statements: &[String]) -> Result<(), DatabaseError> {
        let mut lease = self.lease.take().ok_or_else(|| self.ended())?;
        for statement in statements {
            if let Err(error) = lease.control(statement).await {
                roll_back(lease).await;
                return Err(error);
            }
        }
        self.lease = Some(lease);
        Ok(())
    }

    /// Runs a statement; a failure ends the transaction, as in PostgreSQL itself.
    async fn run<T>(
        &mut self,
        statement: &Rendered,
        work: impl AsyncFnOnce(&mut C, &Rendered) -> Result<T, C::Error>,
    ) -> Result<T, DatabaseError> {
        // If this is dropped in the middle, the lease is dropped with it, and the connection discarded.
        if self.savepoints.is_failed() {
            return Err(self.ended());
        }
        let mut lease = self.lease.take().ok_or_else(|| self.ended())?;
        match lease.statement(statement, work).await {
            Ok(done) => {
                self.lease = Some(lease);
                Ok(done)
            }
            Err(error) => {
                let error = match error {
                    // Possibly a deadlock: the whole transaction is retried, as after one.
                    DatabaseError::Busy(reason) if self.has_lock_timeout => DatabaseError::Conflict(reason),
                    error => error,
                };
                // A conflict has rolled back the whole transaction, including its savepoints.
                let is_over = matches!(error, DatabaseError::Conflict(_)) || !lease.is_connected();
                if !is_over && self.savepoints.fail() {
                    self.lease = Some(lease);
                } else {
                    roll_back(lease).await;
                }
                Err(error)
            }
        }
    }

    fn without_savepoint(&self) -> DatabaseError {
        DatabaseError::Failed(format!("the transaction in {} has no savepoint", self.tenant.at))
    }

    fn ended(&self) -> DatabaseError {
        DatabaseError::Failed(format!(
            "the transaction in {} was rolled back after an earlier failure",
            self.tenant.at
        ))
    }
}

async fn roll_back<C: Connection>(mut lease: Lease<C>) {
    // If this fails, the connection is broken and the server rolls back by itself.
    let _ = lease.control("ROLLBACK").await;
}

impl<C: Connection> Drop for ServerTransaction<C> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(roll_back(lease));
        }
    }
}
