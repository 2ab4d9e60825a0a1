//! Creates records with the records nested in them.

use std::borrow::Cow;
use std::pin::Pin;

use serde_json::Value as Json;

use super::positions::{position_conflict, position_fields};
use super::writer::{NestingContext, RecordWriter, Values};
use super::{generate, row_write, value};
use crate::data::access::RecordAction;
use crate::data::collection::{CREATED_AT, CREATED_BY, UPDATED_AT, UPDATED_BY};
use crate::data::{
    AssociationKind, Collection, DataError, Field, Generator, Record, RecordEvent, WriteOptions,
};
use crate::database::{Executor, Value};

impl RecordWriter<'_> {
    /// Creates a record and returns it with the nested records that were created.
    pub(in crate::data) async fn create(
        &mut self,
        collection: &Collection,
        given: Cow<'_, Record>,
    ) -> Result<Record, DataError> {
        let mut record =
            self.create_in_context(collection, given, Record::new(), NestingContext::root()).await?;
        self.redact(collection, &mut record);
        Ok(record)
    }

    /// Creates a record with additional values that the writer cannot set: the keys by which it belongs to
    /// another.
    pub(super) fn create_in_context<'b>(
        &'b mut self,
        collection: &'b Collection,
        given: Cow<'b, Record>,
        belonging: Record,
        context: NestingContext,
    ) -> Pin<Box<dyn Future<Output = Result<Record, DataError>> + Send + 'b>> {
        Box::pin(async move {
            let access = self.access(collection, RecordAction::Create)?;
            let Values { mut own, nested } = self.values(collection, given, access.as_ref(), &context)?;
            own.extend(belonging);
            let hooks = self.hooks(collection);
            for hook in &hooks {
                hook.on(self.transaction, collection, RecordEvent::BeforeCreate(&mut own)).await?;
            }
            let (before, after): (Vec<_>, Vec<_>) = nested
                .into_iter()
                .partition(|(association, _)| association.kind == AssociationKind::BelongsTo);
            let mut made = Record::new();
            for (association, value) in before {
                let inner = context.nested(&association);
                let referred = self.resolve_reference(collection, &association, value, &inner).await?;
                if let Some((key, shown)) = referred {
                    own.insert(association.foreign_key.to_string(), key);
                    made.extend(shown.map(|record| (association.name.to_string(), record)));
                }
            }
            let mut record = self.insert(collection, own).await?;
            for (association, value) in after {
                let inner = context.nested(&association);
                if let Some(shown) = self.set_nested(collection, &record, &association, value, &inner).await?
                {
                    made.insert(association.name.to_string(), shown);
                }
            }
            for hook in &hooks {
                hook.on(self.transaction, collection, RecordEvent::AfterCreate(&record)).await?;
            }
            record.extend(made);
            Ok(record)
        })
    }

    /// Inserts the row with all generated values.
    async fn insert(&mut self, collection: &Collection, mut own: Record) -> Result<Record, DataError> {
        let mut row = NewRow::of(collection, &mut own, self.options)?;
        let mut allocated = Vec::new();
        // The fields that scope an order must be set before the next position is known.
        for (field, scope) in position_fields(collection) {
            let given = own.remove(field.name()).filter(|value| !value.is_null());
            let scope = scope.and_then(|scope| Some((scope, row.value_of(collection, scope)?)));
            let scope = scope.as_ref().map(|(name, value)| (*name, value));
            let stored = match given {
                Some(given) => {
                    let stored = value::to_storage(field, &given)?;
                    self.note_position(collection, field, scope, &stored)?;
                    stored
                }
                None => {
                    let (position, sequence) = self.next_position(collection, field, scope).await?;
                    allocated.push((field, sequence));
                    Value::Integer(position)
                }
            };
            row.columns.push(field);
            row.values.push(stored);
        }
        let written = row.write(&mut &mut self.transaction.inner, collection).await;
        written.map_err(|error| position_conflict(error, &allocated))
    }

    /// Finds the record with the same values in some fields, or creates it.
    pub(in crate::data) async fn first_or_create(
        &mut self,
        collection: &Collection,
        keys: &[String],
        given: &Record,
    ) -> Result<Record, DataError> {
        match self.find_by_fields(collection, keys, given).await? {
            Some(found) => Ok(found),
            None => self.create(collection, Cow::Borrowed(given)).await,
        }
    }
}

/// A row to insert, with all generated values except positions.
pub(super) struct NewRow<'a> {
    columns: Vec<&'a Field>,
    values: Vec<Value>,
}

impl<'a> NewRow<'a> {
    pub(super) fn of(
        collection: &'a Collection,
        own: &mut Record,
        options: &WriteOptions,
    ) -> Result<Self, DataError> {
        let now = row_write::now();
        let user = options.user;
        let mut columns: Vec<&Field> = Vec::with_capacity(collection.fields().len());
        let mut values = Vec::with_capacity(collection.fields().len());
        let ordered = |field: &&Field| matches!(field.generator, Some(Generator::Position { .. }));
        for field in collection.fields().iter().filter(|field| !ordered(field)) {
            let given =
                own.remove(field.name()).filter(|value| !value.is_null() || field.generator.is_none());
            let stored = match (field.name(), given) {
                (CREATED_AT | UPDATED_AT, _) if field.kind().is_date() => now.clone(),
                // Nobody can create a record in the name of another user.
                (CREATED_BY | UPDATED_BY, _) if user.is_some() => user.map_or(Value::Null, Value::Integer),
                (_, None | Some(Json::Null)) if field.auto_increment => continue,
                (_, Some(given)) => value::to_storage(field, &given)?,
                (_, None) => match (&field.generator, &field.default) {
                    (Some(generator), _) => match generate::value(generator) {
                        Some(made) => value::to_storage(field, &made)?,
                        None => Value::Null,
                    },
                    (None, Some(default)) => value::to_storage(field, default)?,
                    (None, None) => value::to_storage(field, &Json::Null)?,
                },
            };
            columns.push(field);
            values.push(stored);
        }
        Ok(Self { columns, values })
    }

    /// Returns a field's value.
    fn value_of(&self, collection: &Collection, name: &str) -> Option<Json> {
        let at = self.columns.iter().position(|known| known.name() == name)?;
        let stored = Value::clone(self.values.get(at)?);
        value::to_json(collection, self.columns.get(at)?, stored).ok()
    }

    pub(super) async fn write<E: Executor>(
        self,
        executor: &mut E,
        collection: &Collection,
    ) -> Result<Record, DataError> {
        row_write::insert_values(executor, collection, self.columns, self.values).await
    }
}
