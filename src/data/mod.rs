//! The data model: collections, fields, filters, records.
//!
//! A [`Collection`] is defined by its [`Field`]s and becomes a table; a [`Record`] is a JSON object
//! whose values are checked against the fields on the way in and given their types on the way out.
//! [`DataSource`] and [`Transaction`] have the same operations; both hand them to `records/`, which
//! builds statements as trees and runs them on [`crate::database`].

mod collection;
mod error;
mod field;
mod filter;
mod query;
mod records;
mod snowflake;

use serde_json::{Map, Value};

use crate::database::{self, Database};

pub use crate::database::DatabaseError;
pub use collection::Collection;
pub use error::DataError;
pub use field::{Field, FieldType};
pub use filter::Filter;
pub use query::{Query, Sort};
pub use snowflake::{next_snowflake, random_uid};

/// A record: values by field name. Dates are RFC 3339 texts with milliseconds in UTC.
pub type Record = Map<String, Value>;

/// A database with what is known of its collections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DataSource {
    database: Database,
}

impl DataSource {
    /// Over an open database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// The database below.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Makes a collection's table, with its unique indexes, where it is missing.
    pub async fn create_table(&self, collection: &Collection) -> Result<(), DataError> {
        let mut transaction = self.begin().await?;
        transaction.create_table(collection).await?;
        transaction.commit().await
    }

    /// Removes a collection's table with its records, where there is one.
    pub async fn drop_table(&self, collection: &Collection) -> Result<(), DataError> {
        let mut table = sea_query::Table::drop();
        table.table(collection.table_in(self.database.namespace())).if_exists();
        Ok(self.database.execute(&table).await.map(drop)?)
    }

    /// Whether the collection has a table.
    pub async fn has_table(&self, collection: &Collection) -> Result<bool, DataError> {
        Ok(self.database.has_table(&collection.table_name(self.database.namespace())).await?)
    }

    /// Reads records.
    pub async fn find(&self, collection: &Collection, query: Query) -> Result<Vec<Record>, DataError> {
        records::find(&self.database, collection, query).await
    }

    /// Reads the first record.
    pub async fn find_one(&self, collection: &Collection, query: Query) -> Result<Option<Record>, DataError> {
        records::find_one(&self.database, collection, query).await
    }

    /// Counts records.
    pub async fn count(&self, collection: &Collection, filter: &Filter) -> Result<u64, DataError> {
        records::count(&self.database, collection, filter).await
    }

    /// Writes a new record, and gives it as it is stored: with defaults, times and its key, and
    /// without hidden fields.
    pub async fn insert(&self, collection: &Collection, values: Record) -> Result<Record, DataError> {
        records::insert(&self.database, collection, values).await
    }

    /// Changes the records that fit; gives their number.
    pub async fn update(
        &self,
        collection: &Collection,
        filter: &Filter,
        changes: Record,
    ) -> Result<u64, DataError> {
        records::update(&self.database, collection, filter, changes).await
    }

    /// Removes the records that fit; gives their number.
    pub async fn destroy(&self, collection: &Collection, filter: &Filter) -> Result<u64, DataError> {
        records::destroy(&self.database, collection, filter).await
    }

    /// Begins a transaction that may write; it waits for the one before it. Dropped without
    /// [`Transaction::commit`], it is rolled back.
    pub async fn begin(&self) -> Result<Transaction, DataError> {
        Ok(Transaction { inner: self.database.begin().await? })
    }
}

/// A transaction with the same operations as [`DataSource`].
#[derive(Debug)]
pub struct Transaction {
    inner: database::Transaction,
}

impl Transaction {
    /// Makes a collection's table; see [`DataSource::create_table`].
    pub async fn create_table(&mut self, collection: &Collection) -> Result<(), DataError> {
        let namespace = self.inner.namespace();
        let (table, indexes) = (collection.table(namespace)?, collection.unique_indexes(namespace));
        self.inner.execute(&table).await?;
        for index in indexes {
            self.inner.execute(&index).await?;
        }
        Ok(())
    }

    /// Whether the collection has a table.
    pub async fn has_table(&mut self, collection: &Collection) -> Result<bool, DataError> {
        let name = collection.table_name(self.inner.namespace());
        Ok(self.inner.has_table(&name).await?)
    }

    /// Reads records.
    pub async fn find(&mut self, collection: &Collection, query: Query) -> Result<Vec<Record>, DataError> {
        records::find(&mut self.inner, collection, query).await
    }

    /// Reads the first record.
    pub async fn find_one(
        &mut self,
        collection: &Collection,
        query: Query,
    ) -> Result<Option<Record>, DataError> {
        records::find_one(&mut self.inner, collection, query).await
    }

    /// Counts records.
    pub async fn count(&mut self, collection: &Collection, filter: &Filter) -> Result<u64, DataError> {
        records::count(&mut self.inner, collection, filter).await
    }

    /// Writes a new record; see [`DataSource::insert`].
    pub async fn insert(&mut self, collection: &Collection, values: Record) -> Result<Record, DataError> {
        records::insert(&mut self.inner, collection, values).await
    }

    /// Changes the records that fit; gives their number.
    pub async fn update(
        &mut self,
        collection: &Collection,
        filter: &Filter,
        changes: Record,
    ) -> Result<u64, DataError> {
        records::update(&mut self.inner, collection, filter, changes).await
    }

    /// Removes the records that fit; gives their number.
    pub async fn destroy(&mut self, collection: &Collection, filter: &Filter) -> Result<u64, DataError> {
        records::destroy(&mut self.inner, collection, filter).await
    }

    /// Makes everything it did last: when this returns, it survives a power failure.
    pub async fn commit(self) -> Result<(), DataError> {
        Ok(self.inner.commit().await?)
    }
}

#[cfg(test)]
mod tests;
