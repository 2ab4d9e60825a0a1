//! Transactions of a data source.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::journal::{Journal, UndoStep};
use super::records::{self, RecordWriter};
use super::sequences::{Sequence, SequenceName, Sequences};
use super::views::{GuardedRecords, SystemRecords};
use super::{
    Association, Catalog, Collection, DataError, Field, Filter, Hooks, Query, Record, run_to_completion,
    table,
};
use crate::database;

/// A transaction, with the same operations as [`DataSource`](super::DataSource).
#[derive(Debug)]
pub struct Transaction {
    pub(super) inner: database::Transaction,
    pub(super) catalog: Arc<Catalog>,
    pub(super) hooks: Hooks,
    changed: Vec<Arc<str>>,
    guarded: bool,
    sequences: Sequences,
    /// The sequences from which it allocated positions, kept until its end.
    sequences_in_use: HashMap<SequenceName, Arc<Sequence>>,
    /// Tables whose sequences must be forgotten after it.
    redefined: Vec<String>,
    pub(super) journal: Journal,
}

impl Transaction {
    pub(super) fn new(
        inner: database::Transaction,
        catalog: Arc<Catalog>,
        hooks: Hooks,
        sequences: Sequences,
    ) -> Self {
        Self {
            inner,
            catalog,
            hooks,
            changed: Vec::new(),
            guarded: false,
            sequences,
            sequences_in_use: HashMap::new(),
            redefined: Vec::new(),
            journal: Journal::default(),
        }
    }

    /// Returns a sequence and keeps it until the end of the transaction.
    pub(super) fn sequence(&mut self, name: SequenceName) -> Arc<Sequence> {
        let sequences = &self.sequences;
        Arc::clone(self.sequences_in_use.entry(name).or_insert_with_key(|name| sequences.sequence(name)))
    }

    /// Whether a writer with a guard changes records in it.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.guarded
    }

    pub(super) fn set_guarded(&mut self, guarded: bool) {
        // It stays so while hooks write in it as the host.
        self.guarded |= guarded;
    }

    /// Notes that records of a collection change, so that their hooks are notified after the commit. All
    /// writes call this.
    pub(super) fn note(&mut self, collection: &str) {
        if !self.changed.iter().any(|known| &**known == collection) {
            self.changed.push(collection.into());
        }
    }

    /// Returns the catalog of the transaction.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Replaces the catalog, for this transaction alone.
    pub fn set_catalog(&mut self, catalog: Arc<Catalog>) {
        self.catalog = catalog;
    }

    /// Creates a collection's table; see [`DataSource::create_table`](super::DataSource::create_table).
    pub async fn create_table(&mut self, collection: &Collection) -> Result<(), DataError> {
        let namespace = self.inner.namespace();
        let (statement, indexes) =
            (table::create(collection, namespace)?, table::indexes(collection, namespace));
        self.inner.execute(&statement).await?;
        for index in indexes {
            self.inner.execute(&index).await?;
        }
        Ok(())
    }

    /// Creates a collection's table, which must not exist.
    pub async fn create_new_table(&mut self, collection: &Collection) -> Result<(), DataError> {
        let namespace = self.inner.namespace();
        let (statement, indexes) =
            (table::create_new(collection, namespace)?, table::indexes(collection, namespace));
        self.inner.execute(&statement).await?;
        self.journal.note(|| UndoStep::Table(collection.clone()));
        for index in indexes {
            self.inner.execute(&index).await?;
        }
        Ok(())
    }

    /// Drops a collection's table with its records, if it exists.
    pub async fn drop_table(&mut self, collection: &Collection) -> Result<(), DataError> {
        let mut statement = sea_query::Table::drop();
        statement.table(table::table(collection, self.inner.namespace())).if_exists();
        self.redefined.push(table::name(collection, self.inner.namespace()));
        self.inner.execute(&statement).await?;
        self.journal.forget_removed_rows();
        Ok(())
    }

    /// Adds a field's column and its index to a collection's table, if it does not exist. Existing records
    /// get its default.
    pub async fn add_column(&mut self, collection: &Collection, field: &Field) -> Result<(), DataError> {
        let namespace = self.inner.namespace();
        let column = table::add_column(collection, field, namespace)?;
        let index = table::index(collection, field, namespace);
        let name = table::name(collection, namespace);
        if !self.inner.columns_of(&name).await?.iter().any(|known| known == field.column()) {
            self.inner.execute(&column).await?;
            self.journal.note(|| UndoStep::Column(collection.clone(), field.clone()));
        }
        match index {
            Some(index) => Ok(self.inner.execute(&index).await.map(drop)?),
            None => Ok(()),
        }
    }

    /// Drops a field's column and its index, if it exists.
    pub async fn drop_column(&mut self, collection: &Collection, field: &Field) -> Result<(), DataError> {
        let name = table::name(collection, self.inner.namespace());
        if !self.inner.columns_of(&name).await?.iter().any(|known| known == field.column()) {
            return Ok(());
        }
        self.drop_index(collection, field).await?;
        self.redefined.push(name);
        let statement = table::drop_column(collection, field, self.inner.namespace());
        self.inner.execute(&statement).await?;
        self.journal.forget_removed_rows();
        Ok(())
    }

    /// Replaces the index of a field after a change of its definition.
    pub async fn change_index(
        &mut self,
        collection: &Collection,
        was: &Field,
        is: &Field,
    ) -> Result<(), DataError> {
        self.journal.note(|| UndoStep::Index {
            collection: collection.clone(),
            was: was.clone(),
            is: is.clone(),
        });
        self.drop_index(collection, was).await?;
        self.create_index(collection, is).await
    }

    /// Creates the index of a field, if it has one and it does not exist.
    pub async fn create_index(&mut self, collection: &Collection, field: &Field) -> Result<(), DataError> {
        match table::index(collection, field, self.inner.namespace()) {
            Some(index) => Ok(self.inner.execute(&index).await.map(drop)?),
            None => Ok(()),
        }
    }

    /// Drops the index of a field.
    pub async fn drop_index(&mut self, collection: &Collection, field: &Field) -> Result<(), DataError> {
        if field.primary_key || !(field.unique || field.indexed) {
            return Ok(());
        }
        let namespace = self.inner.namespace();
        let name = table::index_name(collection, field, field.unique, namespace);
        let statement = table::drop_index(collection, field, field.unique, namespace);
        let table = table::name(collection, namespace);
        if self.inner.has_index(&table, &name).await? {
            self.inner.execute(&statement).await?;
        }
        Ok(())
    }

    /// Sets the positions of existing records in the order of their keys.
    pub async fn fill_positions(&mut self, collection: &Collection, field: &Field) -> Result<(), DataError> {
        let key = collection.single_key()?;
        if key.kind().is_whole() {
            let statement = sea_query::Query::update()
                .table(table::table(collection, self.inner.namespace()))
                .value(field.column().to_owned(), sea_query::Expr::col(key.column().to_owned()))
                .to_owned();
            return Ok(self.inner.execute(&statement).await.map(drop)?);
        }
        let query = Query::default().fields(&[key.name()]).sort(super::Sort::ascending(key.name()));
        for (place, record) in (1_i64..).zip(self.find(collection, query).await?) {
            let one = Filter::eq(key.name(), record.get(key.name()).cloned().unwrap_or_default());
            let statement = sea_query::Query::update()
                .table(table::table(collection, self.inner.namespace()))
                .value(field.column().to_owned(), place)
                .cond_where(super::filter::condition(
                    &self.catalog,
                    self.inner.namespace(),
                    collection,
                    &one,
                )?)
                .to_owned();
            self.inner.execute(&statement).await?;
        }
        Ok(())
    }

    /// Whether a collection has a table.
    pub async fn has_table(&mut self, collection: &Collection) -> Result<bool, DataError> {
        let name = table::name(collection, self.inner.namespace());
        Ok(self.inner.has_table(&name).await?)
    }

    /// Reads records.
    pub async fn find(&mut self, collection: &Collection, query: Query) -> Result<Vec<Record>, DataError> {
        records::find(&mut &mut self.inner, &self.catalog, collection, &query).await
    }

    /// Reads the first record.
    pub async fn find_one(
        &mut self,
        collection: &Collection,
        query: Query,
    ) -> Result<Option<Record>, DataError> {
        records::find_one(&mut &mut self.inner, &self.catalog, collection, query).await
    }

    /// Counts the records that match a filter.
    pub async fn count(&mut self, collection: &Collection, filter: &Filter) -> Result<u64, DataError> {
        let query = Query::filter(filter.clone());
        records::count(&mut &mut self.inner, &self.catalog, collection, &query).await
    }

    /// Commits: once this returns, all changes survive a power failure.
    pub async fn commit(self) -> Result<(), DataError> {
        self.commit_and(|| {}).await
    }

    /// As [`Self::commit`]; `publish` runs after the commit, before the hooks are notified.
    pub async fn commit_and(self, publish: impl FnOnce() + Send + 'static) -> Result<(), DataError> {
        let Self { inner, hooks, changed, sequences, sequences_in_use, redefined, .. } = self;
        run_to_completion(async move {
            let done = inner.commit().await;
            drop(sequences_in_use);
            redefined.iter().for_each(|table| sequences.forget(table));
            if done.is_ok() {
                publish();
            }
            // Also after a failure: the server may have committed although its answer was lost.
            hooks.committed(&changed);
            Ok(done?)
        })
        .await
    }
}

impl SystemRecords<&mut Transaction> {
    /// Inserts a record and returns it as stored: with defaults, times and its key, and without hidden
    /// fields.
    pub async fn insert(self, collection: &Collection, values: Record) -> Result<Record, DataError> {
        self.0.note(collection.name());
        let row = records::row_write::insert(&mut &mut self.0.inner, collection, values).await?;
        self.0.journal.note(|| UndoStep::Inserted(collection.clone(), row.clone()));
        Ok(row)
    }

    /// Updates the matching records and returns their number.
    pub async fn update(
        self,
        collection: &Collection,
        filter: &Filter,
        changes: Record,
    ) -> Result<u64, DataError> {
        self.0.note(collection.name());
        if let Some(rows) = self.0.rows_before(collection, filter).await? {
            self.0.journal.note(|| UndoStep::Changed(collection.clone(), rows));
        }
        records::row_write::update(&mut &mut self.0.inner, &self.0.catalog, collection, filter, &changes)
            .await
    }

    /// Removes the matching records and returns their number.
    pub async fn destroy(self, collection: &Collection, filter: &Filter) -> Result<u64, DataError> {
        self.0.note(collection.name());
        if let Some(rows) = self.0.rows_before(collection, filter).await? {
            self.0.journal.note(|| UndoStep::Removed(collection.clone(), rows));
        }
        records::row_write::destroy(&mut &mut self.0.inner, &self.0.catalog, collection, filter).await
    }
}

impl GuardedRecords<'_, &mut Transaction> {
    /// Creates a record that belongs to another one.
    pub async fn create_associated(
        self,
        (collection, association): (&Collection, &Association),
        key: &serde_json::Value,
        values: Record,
    ) -> Result<Record, DataError> {
        let Self { on, options } = self;
        RecordWriter::new(on, options)
            .create_associated(collection, association, key, Cow::Owned(values))
            .await
    }

    /// Updates the matching records with the records nested in them, and returns them as updated.
    pub async fn update(
        self,
        collection: &Collection,
        filter: Filter,
        values: Record,
    ) -> Result<Vec<Record>, DataError> {
        let Self { on, options } = self;
        RecordWriter::new(on, options).update(collection, filter, Cow::Owned(values)).await
    }
}
