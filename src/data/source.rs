//! The data source of an application: its database, its catalog and its hooks.
//!
//! This file has tables, reads and transactions; `source/writes.rs` has the writes of the two views.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::MutexGuard;

use super::process_locks::ProcessLocks;
use super::records::{self, Aggregation, JsonRecords};
use super::sequences::Sequences;
use super::{
    Catalog, Cause, Collection, DataError, Hooks, Query, Record, Transaction, run_to_completion, table,
};
use crate::database::{Database, DatabaseError, Engine, Retry};

mod writes;

/// A database with the definitions of its collections. Cheap to clone; clones share their state.
#[derive(Debug, Clone)]
pub struct DataSource {
    database: Database,
    catalog: Arc<ArcSwap<Catalog>>,
    hooks: Hooks,
    sequences: Sequences,
    locks: Arc<ProcessLocks>,
}

impl DataSource {
    /// Makes a data source of an open database, with an empty catalog.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            catalog: Arc::default(),
            hooks: Hooks::default(),
            locks: Arc::default(),
            sequences: Sequences::default(),
        }
    }

    /// Returns a data source of the same database with another catalog and other hooks.
    #[must_use]
    pub fn with(self, catalog: Arc<Catalog>, hooks: Hooks) -> Self {
        Self { catalog: Arc::new(ArcSwap::new(catalog)), hooks, ..self }
    }

    /// Returns the database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Returns the current catalog.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Replaces the catalog.
    pub fn set_catalog(&self, catalog: Arc<Catalog>) {
        self.catalog.store(catalog);
    }

    /// Creates a collection's table with its indexes, if it does not exist.
    pub async fn create_table(&self, collection: &Collection) -> Result<(), DataError> {
        self.transact(|| {
            async move |transaction: &mut Transaction| transaction.create_table(collection).await
        })
        .await
    }

    /// Drops a collection's table with its records, if it exists.
    pub async fn drop_table(&self, collection: &Collection) -> Result<(), DataError> {
        let mut statement = sea_query::Table::drop();
        statement.table(table::table(collection, self.database.namespace())).if_exists();
        self.database.execute(&statement).await?;
        self.sequences.forget(&table::name(collection, self.database.namespace()));
        Ok(())
    }

    /// Whether a collection has a table.
    pub async fn has_table(&self, collection: &Collection) -> Result<bool, DataError> {
        Ok(self.database.has_table(&table::name(collection, self.database.namespace())).await?)
    }

    /// Returns the columns that a collection's table lacks.
    pub async fn missing_columns(&self, collection: &Collection) -> Result<Vec<String>, DataError> {
        let known = self.database.columns_of(&table::name(collection, self.database.namespace())).await?;
        let has = |column: &str| match self.database.engine() {
            Engine::Postgres => known.iter().any(|name| name == column),
            Engine::Sqlite | Engine::Mysql => known.iter().any(|name| name.eq_ignore_ascii_case(column)),
        };
        let columns = collection.fields().iter().map(|field| field.column());
        Ok(columns.filter(|column| !has(column)).map(str::to_owned).collect())
    }

    /// Reads records.
    pub async fn find(&self, collection: &Collection, query: Query) -> Result<Vec<Record>, DataError> {
        records::find(&mut &self.database, &self.catalog.load(), collection, &query).await
    }

    /// Reads records without associated records. Leaves out values that do not have the type of their field,
    /// and returns their errors beside the record.
    pub async fn find_readable(
        &self,
        collection: &Collection,
        query: &Query,
    ) -> Result<Vec<(Record, Vec<DataError>)>, DataError> {
        records::find_readable(&mut &self.database, &self.catalog.load(), collection, query).await
    }

    /// Reads records as JSON for a response.
    pub async fn find_json(&self, collection: &Collection, query: &Query) -> Result<JsonRecords, DataError> {
        records::find_json(&mut &self.database, &self.catalog.load(), collection, query).await
    }

    /// Reads the first record.
    pub async fn find_one(&self, collection: &Collection, query: Query) -> Result<Option<Record>, DataError> {
        records::find_one(&mut &self.database, &self.catalog.load(), collection, query).await
    }

    /// Counts the records that match a filter.
    #[cfg(test)]
    pub async fn count(&self, collection: &Collection, filter: &super::Filter) -> Result<u64, DataError> {
        self.count_of(collection, &Query::filter(filter.clone())).await
    }

    /// Counts the records that match a query, ignoring its page.
    pub async fn count_of(&self, collection: &Collection, query: &Query) -> Result<u64, DataError> {
        records::count(&mut &self.database, &self.catalog.load(), collection, query).await
    }

    /// Computes aggregates of the records that match a query.
    pub async fn aggregate(
        &self,
        collection: &Collection,
        query: &Query,
        wanted: &Aggregation,
    ) -> Result<Vec<Record>, DataError> {
        records::aggregate(&mut &self.database, &self.catalog.load(), collection, query, wanted).await
    }

    /// Writes to a collection and notifies its hooks, also of a failure: it is not always known whether a
    /// failed write took effect.
    async fn notifying<T: Send + 'static>(
        &self,
        collection: &Collection,
        work: impl Future<Output = Result<T, DataError>> + Send + 'static,
    ) -> Result<T, DataError> {
        if !self.hooks.concern(collection) {
            return work.await;
        }
        let (hooks, changed) = (self.hooks.clone(), [collection.name().into()]);
        run_to_completion(async move {
            let written = work.await;
            hooks.committed(&changed);
            written
        })
        .await
    }

    /// Begins a transaction that may write. On an engine with one writer, it waits for the current one.
    /// Dropped without [`Transaction::commit`], it is rolled back.
    pub async fn begin(&self) -> Result<Transaction, DataError> {
        self.begin_with_lock_timeout(None).await
    }

    /// As [`Self::begin`], for work that is retried if it waits longer than `wait` for a lock.
    async fn begin_with_lock_timeout(&self, wait: Option<Duration>) -> Result<Transaction, DataError> {
        let (inner, catalog) = (self.database.begin_with_lock_timeout(wait).await?, self.catalog.load_full());
        Ok(Transaction::new(inner, catalog, self.hooks.clone(), self.sequences.clone()))
    }

    /// Locks removals from a collection if they cascade in a cycle: starting at different collections of it,
    /// they would deadlock.
    async fn cascade_lock(&self, collection: &Collection) -> Option<MutexGuard<'_, ()>> {
        if self.catalog.load().has_cascade_cycle(collection) {
            Some(self.locks.cascade_cycle().await)
        } else {
            None
        }
    }

    /// Finds a record or creates it, in a transaction. Requests for the same values run one after the other.
    /// If a record is created in another way meanwhile, `work` runs again. It must be as for
    /// [`DataSource::transact`].
    pub async fn find_or_create<T, E, W>(
        &self,
        collection: &Collection,
        sought: &Record,
        work: impl Fn() -> W,
    ) -> Result<T, E>
    where
        E: From<DataError> + Cause,
        W: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    {
        let _lock = self.locks.lookup(collection.name(), sought).await;
        let done = self.transact(&work).await;
        match &done {
            Err(error) if matches!(error.cause(), Some(DatabaseError::Unique { .. })) => {
                self.transact(&work).await
            }
            _ => done,
        }
    }

    /// Runs `work` in a transaction and commits it. After a conflict with another transaction it is rolled
    /// back and retried a limited number of times, with new work each time. The work must have no effects
    /// outside of its transaction.
    pub async fn transact<T, E, W>(&self, work: impl Fn() -> W) -> Result<T, E>
    where
        E: From<DataError> + Cause,
        W: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    {
        self.retry(work, false).await
    }

    /// As [`Self::transact`], for work that changes the catalog, which is published with the commit.
    pub async fn redefine<T, W>(&self, work: impl Fn() -> W) -> Result<T, DataError>
    where
        W: AsyncFnOnce(&mut Transaction) -> Result<T, DataError>,
    {
        self.retry(work, true).await
    }

    async fn retry<T, E, W>(&self, work: impl Fn() -> W, redefines: bool) -> Result<T, E>
    where
        E: From<DataError> + Cause,
        W: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    {
        let (mut retry, mut lock) = (Retry::default(), None);
        loop {
            // Boxed, because its callers would hold the large future of the work in theirs.
            let error = match Box::pin(self.attempt(work(), redefines, retry.lock_timeout())).await {
                Err(error) => error,
                done => return done,
            };
            if !retry.should_retry(error.cause()).await {
                return Err(error);
            }
            if lock.is_none() {
                // Transactions that conflicted once do not meet again.
                lock = Some(self.locks.retries().await);
            }
        }
    }

    async fn attempt<T, E, W>(&self, work: W, redefines: bool, wait: Option<Duration>) -> Result<T, E>
    where
        E: From<DataError>,
        W: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    {
        // Changes of definitions set their own lock timeout.
        let mut transaction = self.begin_with_lock_timeout(wait.filter(|_| !redefines)).await?;
        if redefines {
            transaction.keep_journal();
        }
        let done = match work(&mut transaction).await {
            Ok(done) => done,
            Err(error) => {
                if redefines && let Err(left) = transaction.abandon(self).await {
                    tracing::error!(%left, "could not undo a failed change of definitions");
                }
                return Err(error);
            }
        };
        if redefines {
            let (source, new) = (self.clone(), Arc::clone(transaction.catalog()));
            transaction.commit_and(move || source.set_catalog(new)).await?;
        } else {
            transaction.commit().await?;
        }
        Ok(done)
    }
}
