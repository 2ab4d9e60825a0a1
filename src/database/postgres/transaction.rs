//! A transaction: one connection, held from `BEGIN` to `COMMIT`.

use std::sync::Arc;

use super::lease::Lease;
use super::{Shared, connection};
use crate::database::{DatabaseError, Rendered, Row};

/// A transaction. Dropped without a commit, it is rolled back.
#[derive(Debug)]
pub(in crate::database) struct Transaction {
    /// `None` once it has ended: by a commit, by a statement that failed, or by one that was given
    /// up in the middle.
    held: Option<Lease>,
    shared: Arc<Shared>,
}

impl Transaction {
    pub(super) async fn begin(mut held: Lease, shared: Arc<Shared>) -> Result<Self, DatabaseError> {
        held.run(async |connection| connection.batch_execute("BEGIN").await).await?;
        Ok(Self { held: Some(held), shared })
    }

    pub(in crate::database) fn schema(&self) -> Option<&str> {
        self.shared.at.schema.as_deref()
    }

    pub(in crate::database) async fn query(
        &mut self,
        statement: &Rendered,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.run(async |lease: &mut Lease| {
            lease.run(async |connection| connection::query(connection, statement).await).await
        })
        .await
    }

    pub(in crate::database) async fn execute(&mut self, statement: &Rendered) -> Result<u64, DatabaseError> {
        self.run(async |lease: &mut Lease| {
            lease.run(async |connection| connection::execute(connection, statement).await).await
        })
        .await
    }

    pub(in crate::database) async fn commit(mut self) -> Result<(), DatabaseError> {
        let mut held = self.held.take().ok_or_else(|| self.ended())?;
        held.run(async |connection| connection.batch_execute("COMMIT").await).await
    }

    /// Does something; a failure ends the transaction, as the server itself has it.
    async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Lease) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        // Given up in the middle, the lease goes with the future, and the connection with it.
        let mut held = self.held.take().ok_or_else(|| self.ended())?;
        match work(&mut held).await {
            Ok(done) => {
                self.held = Some(held);
                Ok(done)
            }
            Err(error) => {
                roll_back(held).await;
                Err(error)
            }
        }
    }

    fn ended(&self) -> DatabaseError {
        DatabaseError::Failed(format!(
            "the transaction in {} was rolled back after an earlier failure",
            self.shared.at
        ))
    }
}

async fn roll_back(mut held: Lease) {
    // Where this fails the connection is broken, and the server has rolled back by itself.
    let _ = held.run(async |connection| connection.batch_execute("ROLLBACK").await).await;
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(held) = self.held.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(roll_back(held));
        }
    }
}
