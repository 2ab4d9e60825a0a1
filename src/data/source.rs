//! A data source: a database with what is known of its collections.

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

/// A database with what is known of its collections. Cheap to clone; all clones know the same.
#[derive(Debug, Clone)]
pub struct DataSource {
    database: Database,
    catalog: Arc<ArcSwap<Catalog>>,
    hooks: Hooks,
    sequences: Sequences,
    locks: Arc<ProcessLocks>,
}

impl DataSource {
    /// Over an open database.
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

    /// The same database with a catalog and hooks of its own.
    #[must_use]
    pub fn with(self, catalog: Arc<Catalog>, hooks: Hooks) -> Self {
        Self { catalog: Arc::new(ArcSwap::new(catalog)), hooks, ..self }
    }

    /// The database below.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// All collections, as they are known now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// From now on these are all collections.
    pub fn set_catalog(&self, catalog: Arc<Catalog>) {
        self.catalog.store(catalog);
    }

    /// Makes a collection's table, with its indexes, where it is missing.
    pub async fn create_table(&self, collection: &Collection) -> Result<(), DataError> {
        self.transact(|| {
            async move |transaction: &mut Transaction| transaction.create_table(collection).await
        })
        .await
    }

    /// Removes a collection's table with its records, where there is one.
    pub async fn drop_table(&self, collection: &Collection) -> Result<(), DataError> {
        let mut statement = sea_query::Table::drop();
        statement.table(table::table(collection, self.database.namespace())).if_exists();
        self.database.execute(&statement).await?;
        self.sequences.forget(&table::name(collection, self.database.namespace()));
        Ok(())
    }

    /// Whether the collection has a table.
    pub async fn has_table(&self, collection: &Collection) -> Result<bool, DataError> {
        Ok(self.database.has_table(&table::name(collection, self.database.namespace())).await?)
    }

    /// The columns of a collection that its table lacks.
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

    /// Reads records without what is associated with them. A value that its field's type does not allow
    /// is left out and named beside its record; the others are read all the same.
    pub async fn find_readable(
        &self,
        collection: &Collection,
        query: &Query,
    ) -> Result<Vec<(Record, Vec<DataError>)>, DataError> {
        records::find_readable(&mut &self.database, &self.catalog.load(), collection, query).await
    }

    /// Reads records as the JSON that goes out.
    pub async fn find_json(&self, collection: &Collection, query: &Query) -> Result<JsonRecords, DataError> {
        records::find_json(&mut &self.database, &self.catalog.load(), collection, query).await
    }

    /// Reads the first record.
    pub async fn find_one(&self, collection: &Collection, query: Query) -> Result<Option<Record>, DataError> {
        records::find_one(&mut &self.database, &self.catalog.load(), collection, query).await
    }

    /// Counts the records that fit.
    #[cfg(test)]
    pub async fn count(&self, collection: &Collection, filter: &super::Filter) -> Result<u64, DataError> {
        self.count_of(collection, &Query::filter(filter.clone())).await
    }

    /// Counts the records of a query, whatever its page.
    pub async fn count_of(&self, collection: &Collection, query: &Query) -> Result<u64, DataError> {
        records::count(&mut &self.database, &self.catalog.load(), collection, query).await
    }

    /// Sums up the records of a query.
    pub async fn aggregate(
        &self,
        collection: &Collection,
        query: &Query,
        wanted: &Aggregation,
    ) -> Result<Vec<Record>, DataError> {
        records::aggregate(&mut &self.database, &self.catalog.load(), collection, query, wanted).await
    }

    /// Writes to a collection. The hooks that it concerns are told that its records are changed, or may
    /// be: of a change that failed it is not always known.
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

    /// Begins a transaction that may write; it waits for the one before it. Dropped without
    /// [`Transaction::commit`], it is rolled back.
    pub async fn begin(&self) -> Result<Transaction, DataError> {
        self.begin_with_lock_timeout(None).await
    }

    /// The same, for what is done again where others hold for longer than `wait` what it waits for.
    async fn begin_with_lock_timeout(&self, wait: Option<Duration>) -> Result<Transaction, DataError> {
        let (inner, catalog) = (self.database.begin_with_lock_timeout(wait).await?, self.catalog.load_full());
        Ok(Transaction::new(inner, catalog, self.hooks.clone(), self.sequences.clone()))
    }

    /// Waits for the lock to remove records of a collection, where that leads round in a ring: such removals
    /// begin at different places of it, and would wait for each other.
    async fn cascade_lock(&self, collection: &Collection) -> Option<MutexGuard<'_, ()>> {
        if self.catalog.load().has_cascade_cycle(collection) {
            Some(self.locks.cascade_cycle().await)
        } else {
            None
        }
    }

    /// Finds a record or makes it, in a transaction. Those who look for the same values do so one after
    /// the other; where somebody made it in another way meanwhile, it is looked for once more. The work
    /// is as for [`DataSource::transact`].
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

    /// Does something in a transaction, whole or not at all. Where others who changed the same at the same
    /// time made it impossible, nothing of it is done, and it is done again, some times: `work` gives it
    /// for each time, and it must leave nothing behind but in its transaction.
    pub async fn transact<T, E, W>(&self, work: impl Fn() -> W) -> Result<T, E>
    where
        E: From<DataError> + Cause,
        W: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    {
        self.retry(work, false).await
    }

    /// The same of what changes the catalog, which counts for everybody as soon as it is on the disk.
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
            // In a box: what is done may be much, and is held by all that wait for it.
            let error = match Box::pin(self.attempt(work(), redefines, retry.lock_timeout())).await {
                Err(error) => error,
                done => return done,
            };
            if !retry.should_retry(error.cause()).await {
                return Err(error);
            }
            if lock.is_none() {
                // Those who were in each other's way once are not let meet again.
                lock = Some(self.locks.retries().await);
            }
        }
    }

    async fn attempt<T, E, W>(&self, work: W, redefines: bool, wait: Option<Duration>) -> Result<T, E>
    where
        E: From<DataError>,
        W: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    {
        // Changes of definitions say themselves how long they wait.
        let mut transaction = self.begin_with_lock_timeout(wait.filter(|_| !redefines)).await?;
        if redefines {
            transaction.keep_journal();
        }
        let done = match work(&mut transaction).await {
            Ok(done) => done,
            Err(error) => {
                if redefines && let Err(left) = transaction.abandon(self).await {
                    tracing::error!(%left, "a change of definitions that failed could not be taken back");
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
