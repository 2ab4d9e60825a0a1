//! Updates records with the records nested in them.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value as Json;

use super::positions::position_fields;
use super::row_key::have_row_keys;
use super::writer::{NestingContext, RecordWriter, RowFilter, Values};
use super::{generate, row_key_filter, row_write, value};
use crate::data::access::{RecordAccess, RecordAction};
use crate::data::collection::{CREATED_AT, CREATED_BY, UPDATED_AT, UPDATED_BY};
use crate::data::{AssociationKind, Collection, DataError, Filter, Query, Record, RecordEvent};

impl RecordWriter<'_> {
    /// Updates the matching records that the writer may change, and returns them as updated.
    pub(in crate::data) async fn update(
        &mut self,
        collection: &Collection,
        filter: Filter,
        given: Cow<'_, Record>,
    ) -> Result<Vec<Record>, DataError> {
        self.update_associated(collection, Filter::All, filter, given).await
    }

    /// As [`Self::update`], for records that belong to another one. The writer needs no permission to see the
    /// fields of `belonging`.
    pub(in crate::data) async fn update_associated(
        &mut self,
        collection: &Collection,
        belonging: Filter,
        filter: Filter,
        given: Cow<'_, Record>,
    ) -> Result<Vec<Record>, DataError> {
        self.check_filter(collection, &filter)?;
        let open =
            self.access(collection, RecordAction::Update)?.map_or(Filter::All, RecordAccess::into_scope);
        let row_filter = RowFilter { enforced: belonging.and(open), requested: Some(filter) };
        self.update_in_context(collection, row_filter, given, NestingContext::root()).await
    }

    /// Updates the records of a filter.
    pub(super) fn update_in_context<'b>(
        &'b mut self,
        collection: &'b Collection,
        row_filter: RowFilter,
        given: Cow<'b, Record>,
        context: NestingContext,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<Record>, DataError>> + Send + 'b>> {
        Box::pin(async move {
            let access = self.access(collection, RecordAction::Update)?;
            let Values { mut own, nested } = self.values(collection, given, access.as_ref(), &context)?;
            // Generated values cannot be set.
            for name in [CREATED_AT, UPDATED_AT] {
                own.remove(name);
            }
            if let Some(user) = self.options.user {
                own.remove(CREATED_BY);
                if collection.get(UPDATED_BY).is_some() {
                    own.insert(UPDATED_BY.to_owned(), Json::from(user));
                }
            }
            generate::touch(collection, &mut own);
            let before = self.read_for_update(collection, row_filter.clone()).await?;
            let hooks = self.hooks(collection);
            if before.is_empty() {
                return Ok(Vec::new());
            }
            let is_bulk = hooks.is_empty() && nested.is_empty() && !self.changes_scope(collection, &own);
            let after = changed_keys(collection, &before, &own);
            if is_bulk && (after.is_err() || !have_row_keys(collection, &before)) {
                return self.update_without_key(collection, row_filter, before, own).await;
            }
            let after = after?;
            if is_bulk {
                self.write(collection, &before, &own).await?;
            } else {
                for record in &before {
                    let mut changes = own.clone();
                    for hook in &hooks {
                        let event = RecordEvent::BeforeUpdate { record, changes: &mut changes };
                        hook.on(self.transaction, collection, event).await?;
                    }
                    self.update_one(collection, record, changes, &nested, &context).await?;
                }
            }
            if !hooks.is_empty() {
                for record in self.read_for_update(collection, after.clone()).await? {
                    self.notify_updated(&hooks, collection, &record).await?;
                }
            }
            self.read_visible_or_keys(collection, after).await
        })
    }

    /// Updates records without a unique key, by the filter itself. Returns the records that the writer could
    /// see before: afterwards they cannot be found again.
    async fn update_without_key(
        &mut self,
        collection: &Collection,
        row_filter: RowFilter,
        before: Vec<Record>,
        mut changes: Record,
    ) -> Result<Vec<Record>, DataError> {
        let mut records = match self.visible_scope(collection) {
            Filter::All => before,
            scope => {
                let enforced = row_filter.enforced.clone().and(scope);
                self.read_for_update(collection, RowFilter { enforced, ..row_filter.clone() }).await?
            }
        };
        if let Some(field) = collection.get(UPDATED_AT).filter(|field| field.kind().is_date()) {
            changes.insert(UPDATED_AT.to_owned(), value::to_json(collection, field, row_write::now())?);
        }
        self.note_positions(collection, &records, &changes)?;
        self.set(collection, row_filter, &changes).await?;
        let mut stored = Record::new();
        for (name, given) in &changes {
            let field = collection.known(name)?;
            if !field.is_hidden() {
                let raw = value::to_storage(field, given)?;
                stored.insert(name.clone(), value::to_json(collection, field, raw)?);
            }
        }
        for record in &mut records {
            record.extend(stored.clone());
            self.redact(collection, record);
        }
        Ok(records)
    }

    /// Returns the updated records as the writer may see them, at least with their keys.
    async fn read_visible_or_keys(
        &mut self,
        collection: &Collection,
        filter: Filter,
    ) -> Result<Vec<Record>, DataError> {
        match self.read_visible(collection, filter.clone()).await {
            Err(DataError::Forbidden(_)) => {
                let mut records = self.read_for_update(collection, filter).await?;
                records.iter_mut().for_each(|record| self.redact(collection, record));
                Ok(records)
            }
            other => other,
        }
    }

    async fn update_one(
        &mut self,
        collection: &Collection,
        record: &Record,
        mut changes: Record,
        nested: &[(crate::data::Association, Json)],
        context: &NestingContext,
    ) -> Result<(), DataError> {
        for (association, value) in nested {
            if association.kind == AssociationKind::BelongsTo {
                let inner = context.nested(association);
                if let Some((key, _)) =
                    self.resolve_reference(collection, association, value.clone(), &inner).await?
                {
                    changes.insert(association.foreign_key.to_string(), key);
                }
            }
        }
        self.append_to_new_scope(collection, record, &mut changes).await?;
        self.write(collection, std::slice::from_ref(record), &changes).await?;
        let mut now = record.clone();
        now.extend(changes);
        for (association, value) in nested {
            if association.kind != AssociationKind::BelongsTo {
                let inner = context.nested(association);
                self.set_nested(collection, &now, association, value.clone(), &inner).await?;
            }
        }
        Ok(())
    }

    async fn write(
        &mut self,
        collection: &Collection,
        records: &[Record],
        changes: &Record,
    ) -> Result<(), DataError> {
        self.note_positions(collection, records, changes)?;
        for records in records.chunks(1000) {
            self.set(collection, row_key_filter(collection, records)?, changes).await?;
        }
        Ok(())
    }

    /// Whether the changes move records to another scope of an order.
    fn changes_scope(&self, collection: &Collection, changes: &Record) -> bool {
        position_fields(collection).any(|(_, scope)| scope.is_some_and(|scope| changes.contains_key(scope)))
    }

    /// Appends a record to the order of its new scope, if it changes the scope.
    pub(super) async fn append_to_new_scope(
        &mut self,
        collection: &Collection,
        record: &Record,
        changes: &mut Record,
    ) -> Result<(), DataError> {
        for (field, scope) in position_fields(collection) {
            let Some(scope) = scope else { continue };
            let Some(value) = changes.get(scope).filter(|value| record.get(scope) != Some(value)).cloned()
            else {
                continue;
            };
            if !changes.contains_key(field.name()) {
                let (position, _) = self.next_position(collection, field, Some((scope, &value))).await?;
                changes.insert(field.name().to_owned(), Json::from(position));
            }
        }
        Ok(())
    }

    /// Finds the record with the same values in some fields.
    pub(super) async fn find_by_fields(
        &mut self,
        collection: &Collection,
        keys: &[String],
        given: &Record,
    ) -> Result<Option<Record>, DataError> {
        if keys.is_empty() {
            return Err(DataError::Refused(
                "filterKeys is missing: name the fields by which to find a record".to_owned(),
            ));
        }
        let parts =
            keys.iter().map(|key| Filter::eq(key.as_str(), given.get(key).cloned().unwrap_or(Json::Null)));
        let query = Query { total_order: true, ..self.query(Filter::And(parts.collect())) };
        let catalog = Arc::clone(&self.catalog);
        super::find_one(&mut &mut self.transaction.inner, &catalog, collection, query).await
    }

    /// Updates the record with the same values in some fields, or creates one. Returns the updated records,
    /// or the created one.
    pub(in crate::data) async fn update_or_create(
        &mut self,
        collection: &Collection,
        keys: &[String],
        given: &Record,
    ) -> Result<Result<Vec<Record>, Record>, DataError> {
        let given = Cow::Borrowed(given);
        match self.find_by_fields(collection, keys, &given).await? {
            Some(found) => {
                let filter = row_key_filter(collection, std::slice::from_ref(&found))?;
                self.update(collection, filter, given).await.map(Ok)
            }
            None => self.create(collection, given).await.map(Err),
        }
    }
}

/// Returns the filter for records after an update, which may have changed their keys.
///
/// # Errors
/// As [`row_key_filter`], also for records that lose their key.
fn changed_keys(collection: &Collection, before: &[Record], changes: &Record) -> Result<Filter, DataError> {
    let moved = collection.row_keys()?.iter().any(|field| changes.contains_key(field.name()));
    if !moved {
        return row_key_filter(collection, before);
    }
    let after: Vec<Record> = before
        .iter()
        .map(|record| {
            let mut record = record.clone();
            record.extend(changes.clone());
            record
        })
        .collect();
    row_key_filter(collection, &after)
}
