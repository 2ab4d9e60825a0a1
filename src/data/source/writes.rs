//! Writes through a data source, without a transaction of the caller.
//!
//! Each write is atomic: it is a single statement, or runs in a transaction that is retried after a conflict.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::DataSource;
use crate::data::records::{self, RecordWriter};
use crate::data::views::{GuardedRecords, SystemRecords};
use crate::data::{Association, Collection, DataError, Filter, Move, Record, Transaction, table};

impl SystemRecords<&DataSource> {
    /// Inserts a record and returns it as stored: with defaults, times and its key, and without hidden
    /// fields.
    pub async fn insert(self, collection: &Collection, values: Record) -> Result<Record, DataError> {
        let (database, own) = (self.0.database.clone(), collection.clone());
        self.0
            .notifying(
                collection,
                async move { records::row_write::insert(&mut &database, &own, values).await },
            )
            .await
    }

    /// Updates the matching records and returns their number.
    pub async fn update(
        self,
        collection: &Collection,
        filter: &Filter,
        changes: Record,
    ) -> Result<u64, DataError> {
        let (database, catalog) = (self.0.database.clone(), self.0.catalog.load_full());
        let (own, filter) = (collection.clone(), filter.clone());
        let work = async move {
            records::row_write::update(&mut &database, &catalog, &own, &filter, &changes).await
        };
        self.0.notifying(collection, work).await
    }

    /// Removes the matching records and returns their number.
    pub async fn destroy(self, collection: &Collection, filter: &Filter) -> Result<u64, DataError> {
        let (database, catalog) = (self.0.database.clone(), self.0.catalog.load_full());
        let (own, filter) = (collection.clone(), filter.clone());
        let work = async move { records::row_write::destroy(&mut &database, &catalog, &own, &filter).await };
        self.0.notifying(collection, work).await
    }
}

impl GuardedRecords<'_, &DataSource> {
    /// Creates a record with the records nested in it, and returns it with those that were created.
    pub async fn create(self, collection: &Collection, values: Record) -> Result<Record, DataError> {
        let Self { on, options } = self;
        if records::single_statement::is_sufficient(collection, &on.hooks, &values) {
            return records::single_statement::create(&mut &on.database, collection, values, options).await;
        }
        let values = &values;
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options).create(collection, Cow::Borrowed(values)).await
            }
        })
        .await
    }

    /// Creates several records, all or none.
    pub async fn create_many(
        self,
        collection: &Collection,
        all: Vec<Record>,
    ) -> Result<Vec<Record>, DataError> {
        let Self { on, options } = self;
        let _lock = on.locks.unique_values(collection, &all).await;
        let all = &all;
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                let mut made = Vec::with_capacity(all.len());
                for values in all {
                    let mut writer = RecordWriter::new(transaction, options);
                    made.push(writer.create(collection, Cow::Borrowed(values)).await?);
                }
                Ok(made)
            }
        })
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
        if records::single_statement::is_sufficient(collection, &on.hooks, &values) {
            let catalog = on.catalog.load_full();
            let executor = &mut &on.database;
            let changed =
                records::single_statement::update(executor, &catalog, collection, &filter, &values, options)
                    .await?;
            if let Some(changed) = changed {
                return Ok(changed);
            }
        }
        let (filter, values) = (&filter, &values);
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                let mut writer = RecordWriter::new(transaction, options);
                writer.update(collection, filter.clone(), Cow::Borrowed(values)).await
            }
        })
        .await
    }

    /// Updates the matching records among those that belong to another one.
    pub async fn update_associated(
        self,
        target: &Collection,
        belonging: Filter,
        filter: Filter,
        values: Record,
    ) -> Result<Vec<Record>, DataError> {
        let Self { on, options } = self;
        let (belonging, filter, values) = (&belonging, &filter, &values);
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options)
                    .update_associated(target, belonging.clone(), filter.clone(), Cow::Borrowed(values))
                    .await
            }
        })
        .await
    }

    /// Removes the matching records, applies `OnDelete` to the records that refer to them, and returns their
    /// number.
    pub async fn destroy(self, collection: &Collection, filter: Filter) -> Result<u64, DataError> {
        let Self { on, options } = self;
        let _lock = on.cascade_lock(collection).await;
        let filter = &filter;
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options).destroy(collection, filter.clone()).await
            }
        })
        .await
    }

    /// Removes the matching records among those that belong to another one, and returns their number.
    pub async fn destroy_associated(
        self,
        target: &Collection,
        belonging: Filter,
        filter: Filter,
    ) -> Result<u64, DataError> {
        let Self { on, options } = self;
        let _lock = on.cascade_lock(target).await;
        let (belonging, filter) = (&belonging, &filter);
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options)
                    .destroy_associated(target, belonging.clone(), filter.clone())
                    .await
            }
        })
        .await
    }

    /// Finds the first record with the same values in some fields, or creates it.
    pub async fn first_or_create(
        self,
        collection: &Collection,
        keys: &[String],
        values: Record,
    ) -> Result<Record, DataError> {
        let Self { on, options } = self;
        let values = &values;
        on.find_or_create(collection, &lookup_values(keys, values), || {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options).first_or_create(collection, keys, values).await
            }
        })
        .await
    }

    /// Updates the first record with the same values in some fields, or creates it. Returns the updated
    /// records, or the created one.
    pub async fn update_or_create(
        self,
        collection: &Collection,
        keys: &[String],
        values: Record,
    ) -> Result<Result<Vec<Record>, Record>, DataError> {
        let Self { on, options } = self;
        let values = &values;
        on.find_or_create(collection, &lookup_values(keys, values), || {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options).update_or_create(collection, keys, values).await
            }
        })
        .await
    }

    /// Moves a record within its order, or to another scope.
    pub async fn move_record(self, collection: &Collection, change: &Move) -> Result<(), DataError> {
        let Self { on, options } = self;
        let _lock = on.sequences.move_lock(&table::name(collection, on.database.namespace())).await;
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options).move_record(collection, change).await
            }
        })
        .await
    }

    /// Links a record to others, by their keys. The links that it has stay, or are removed (`replace`).
    pub async fn associate(
        self,
        (collection, association): (&Collection, &Association),
        key: &Json,
        others: Vec<Json>,
        replace: bool,
    ) -> Result<(), DataError> {
        let Self { on, options } = self;
        let others = &others;
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options)
                    .associate(collection, association, key, others.clone(), replace)
                    .await
            }
        })
        .await
    }

    /// Removes the links between a record and others, by their keys.
    pub async fn dissociate(
        self,
        (collection, association): (&Collection, &Association),
        key: &Json,
        others: Vec<Json>,
    ) -> Result<(), DataError> {
        let Self { on, options } = self;
        let others = &others;
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options)
                    .dissociate(collection, association, key, others.clone())
                    .await
            }
        })
        .await
    }

    /// Removes the links that exist and creates those that do not.
    pub async fn toggle(
        self,
        (collection, association): (&Collection, &Association),
        key: &Json,
        others: Vec<Json>,
    ) -> Result<(), DataError> {
        let Self { on, options } = self;
        let others = &others;
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options)
                    .toggle(collection, association, key, others.clone())
                    .await
            }
        })
        .await
    }

    /// Creates a record that belongs to another one.
    pub async fn create_associated(
        self,
        (collection, association): (&Collection, &Association),
        key: &Json,
        values: Record,
    ) -> Result<Record, DataError> {
        let Self { on, options } = self;
        let values = &values;
        on.transact(|| {
            async move |transaction: &mut Transaction| {
                RecordWriter::new(transaction, options)
                    .create_associated(collection, association, key, Cow::Borrowed(values))
                    .await
            }
        })
        .await
    }
}

/// Returns the values by which a record is searched.
fn lookup_values(keys: &[String], values: &Record) -> Record {
    keys.iter().map(|key| (key.clone(), values.get(key).cloned().unwrap_or_default())).collect()
}
