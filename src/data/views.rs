//! Two views of a source or a transaction, by who writes.
//!
//! [`SystemRecords`] writes as the host: it skips guards and the rules of hooks. [`GuardedRecords`]
//! writes for somebody: whatever the [`WriteOptions`] do not open is refused, and hooks apply their
//! rules. Whoever writes says which of the two it is.

use serde_json::Value as Json;

use super::{
    Association, Collection, DataError, DataSource, Filter, Move, Record, Transaction, WriteOptions,
};

/// Records of a source, or of a transaction, as the host writes them: without guards and without the
/// rules of hooks, which hear of it when it is done.
#[derive(Debug)]
pub struct SystemRecords<T>(T);

/// Records of a source, or of a transaction, as somebody writes them for whom `options` say what is
/// open. Hooks apply their rules.
#[derive(Debug)]
pub struct GuardedRecords<'a, T> {
    on: T,
    options: &'a WriteOptions,
}

impl DataSource {
    /// Writes as the host: no guard is asked.
    #[must_use]
    pub fn system(&self) -> SystemRecords<&Self> {
        SystemRecords(self)
    }

    /// Writes for somebody: guards are asked.
    #[must_use]
    pub fn records<'a>(&'a self, options: &'a WriteOptions) -> GuardedRecords<'a, &'a Self> {
        GuardedRecords { on: self, options }
    }
}

impl Transaction {
    /// Writes as the host: no guard is asked.
    pub fn system(&mut self) -> SystemRecords<&mut Self> {
        SystemRecords(self)
    }

    /// Writes for somebody: guards are asked.
    pub fn records<'a>(&'a mut self, options: &'a WriteOptions) -> GuardedRecords<'a, &'a mut Self> {
        GuardedRecords { on: self, options }
    }
}

impl SystemRecords<&DataSource> {
    /// Writes a record, and gives it as it is stored: with defaults, times and its key, and without
    /// hidden fields.
    pub async fn insert(self, collection: &Collection, values: Record) -> Result<Record, DataError> {
        self.0.insert(collection, values).await
    }

    /// Changes the records that fit; gives their number.
    pub async fn update(
        self,
        collection: &Collection,
        filter: &Filter,
        changes: Record,
    ) -> Result<u64, DataError> {
        self.0.update(collection, filter, changes).await
    }

    /// Removes the records that fit; gives their number.
    pub async fn destroy(self, collection: &Collection, filter: &Filter) -> Result<u64, DataError> {
        self.0.destroy(collection, filter).await
    }
}

impl SystemRecords<&mut Transaction> {
    /// Writes a record; see [`SystemRecords::insert`].
    pub async fn insert(self, collection: &Collection, values: Record) -> Result<Record, DataError> {
        self.0.insert(collection, values).await
    }

    /// Changes the records that fit; gives their number.
    pub async fn update(
        self,
        collection: &Collection,
        filter: &Filter,
        changes: Record,
    ) -> Result<u64, DataError> {
        self.0.update(collection, filter, changes).await
    }

    /// Removes the records that fit; gives their number.
    pub async fn destroy(self, collection: &Collection, filter: &Filter) -> Result<u64, DataError> {
        self.0.destroy(collection, filter).await
    }
}

impl GuardedRecords<'_, &DataSource> {
    /// Creates a record with what is nested in it, and gives it with what was created with it.
    pub async fn create(self, collection: &Collection, values: Record) -> Result<Record, DataError> {
        self.on.create(collection, values, self.options).await
    }

    /// Creates several records, all or none.
    pub async fn create_many(
        self,
        collection: &Collection,
        all: Vec<Record>,
    ) -> Result<Vec<Record>, DataError> {
        self.on.create_many(collection, all, self.options).await
    }

    /// Changes the records that fit, with what is nested in them; gives them as they are then.
    pub async fn change(
        self,
        collection: &Collection,
        filter: Filter,
        values: Record,
    ) -> Result<Vec<Record>, DataError> {
        self.on.change(collection, filter, values, self.options).await
    }

    /// Changes those that belong to another record, of the records that fit.
    pub async fn change_associated(
        self,
        target: &Collection,
        belonging: Filter,
        filter: Filter,
        values: Record,
    ) -> Result<Vec<Record>, DataError> {
        self.on.change_associated(target, belonging, filter, values, self.options).await
    }

    /// Removes the records that fit, and does what was decided with those that refer to them; gives
    /// their number.
    pub async fn remove(self, collection: &Collection, filter: Filter) -> Result<u64, DataError> {
        self.on.remove(collection, filter, self.options).await
    }

    /// Removes those that belong to another record, of the records that fit; gives their number.
    pub async fn remove_associated(
        self,
        target: &Collection,
        belonging: Filter,
        filter: Filter,
    ) -> Result<u64, DataError> {
        self.on.remove_associated(target, belonging, filter, self.options).await
    }

    /// Finds the first record with the same values in some fields, or creates one.
    pub async fn first_or_create(
        self,
        collection: &Collection,
        keys: &[String],
        values: Record,
    ) -> Result<Record, DataError> {
        self.on.first_or_create(collection, keys, values, self.options).await
    }

    /// Changes the first record with the same values in some fields (the records that were changed), or
    /// creates one (the record).
    pub async fn update_or_create(
        self,
        collection: &Collection,
        keys: &[String],
        values: Record,
    ) -> Result<Result<Vec<Record>, Record>, DataError> {
        self.on.update_or_create(collection, keys, values, self.options).await
    }

    /// Moves a record within an order.
    pub async fn move_record(self, collection: &Collection, change: &Move) -> Result<(), DataError> {
        self.on.move_record(collection, change, self.options).await
    }

    /// Links a record, by its key, with others by theirs; the links that it has stay, or (`replace`)
    /// end.
    pub async fn associate(
        self,
        association: (&Collection, &Association),
        key: &Json,
        others: Vec<Json>,
        replace: bool,
    ) -> Result<(), DataError> {
        self.on.associate(association, key, others, replace, self.options).await
    }

    /// Ends links of a record, by its key, with others by theirs.
    pub async fn dissociate(
        self,
        association: (&Collection, &Association),
        key: &Json,
        others: Vec<Json>,
    ) -> Result<(), DataError> {
        self.on.dissociate(association, key, others, self.options).await
    }

    /// Ends the links that there are, and creates those that there are not.
    pub async fn toggle(
        self,
        association: (&Collection, &Association),
        key: &Json,
        others: Vec<Json>,
    ) -> Result<(), DataError> {
        self.on.toggle(association, key, others, self.options).await
    }

    /// Creates a record that belongs to another one.
    pub async fn create_associated(
        self,
        association: (&Collection, &Association),
        key: &Json,
        values: Record,
    ) -> Result<Record, DataError> {
        self.on.create_associated(association, key, values, self.options).await
    }
}

impl GuardedRecords<'_, &mut Transaction> {
    /// Creates a record that belongs to another one.
    pub async fn create_associated(
        self,
        association: (&Collection, &Association),
        key: &Json,
        values: Record,
    ) -> Result<Record, DataError> {
        self.on.create_associated(association, key, values, self.options).await
    }

    /// Changes the records that fit, with what is nested in them; gives them as they are then.
    pub async fn change(
        self,
        collection: &Collection,
        filter: Filter,
        values: Record,
    ) -> Result<Vec<Record>, DataError> {
        self.on.change(collection, filter, values, self.options).await
    }
}
