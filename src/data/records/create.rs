//! Making records, with what is nested in them.

use std::pin::Pin;

use serde_json::Value as Json;

use super::writer::{Origin, Values, Writer};
use super::{generate, raw, value};
use crate::data::access::Action;
use crate::data::collection::{CREATED_AT, CREATED_BY, UPDATED_AT, UPDATED_BY};
use crate::data::{AssociationKind, Collection, DataError, Field, Generator, Record};
use crate::database::Value;

impl Writer<'_> {
    /// Makes a record, and gives it with what was made with it.
    pub(in crate::data) async fn create(
        &mut self,
        collection: &Collection,
        given: Record,
    ) -> Result<Record, DataError> {
        let mut record = self.make(collection, given, Record::new(), Origin::top()).await?;
        self.censor(collection, &mut record);
        Ok(record)
    }

    /// Makes a record with some values that nobody gave it: those by which it belongs to another.
    pub(super) fn make<'b>(
        &'b mut self,
        collection: &'b Collection,
        given: Record,
        belonging: Record,
        origin: Origin,
    ) -> Pin<Box<dyn Future<Output = Result<Record, DataError>> + Send + 'b>> {
        Box::pin(async move {
            let access = self.access(collection, Action::Create)?;
            let Values { mut own, nested } = self.values(collection, given, access.as_ref(), &origin)?;
            own.extend(belonging);
            let hooks = self.hooks(collection);
            for hook in &hooks {
                hook.before_create(self.transaction, collection, &mut own).await?;
            }
            let (before, after): (Vec<_>, Vec<_>) = nested
                .into_iter()
                .partition(|(association, _)| association.kind == AssociationKind::BelongsTo);
            let mut made = Record::new();
            for (association, value) in before {
                let place = origin.behind(&association);
                let referred = self.refer(collection, &association, value, &place).await?;
                if let Some((key, shown)) = referred {
                    own.insert(association.foreign_key.to_string(), key);
                    made.extend(shown.map(|record| (association.name.to_string(), record)));
                }
            }
            let mut record = self.insert(collection, own).await?;
            for (association, value) in after {
                let place = origin.behind(&association);
                if let Some(shown) = self.set_nested(collection, &record, &association, value, &place).await?
                {
                    made.insert(association.name.to_string(), shown);
                }
            }
            for hook in &hooks {
                hook.after_create(self.transaction, collection, &record).await?;
            }
            record.extend(made);
            Ok(record)
        })
    }

    /// Writes the row with everything that fills itself.
    async fn insert(&mut self, collection: &Collection, mut own: Record) -> Result<Record, DataError> {
        let now = raw::now();
        let user = self.options.user;
        let mut columns: Vec<&Field> = Vec::with_capacity(collection.fields().len());
        let mut values = Vec::with_capacity(collection.fields().len());
        // The fields that an order is divided by come before it is known where it ends.
        let (ordered, others): (Vec<&Field>, Vec<&Field>) = collection
            .fields()
            .iter()
            .partition(|field| matches!(field.generator, Some(Generator::Position { .. })));
        for field in others.into_iter().chain(ordered) {
            let given =
                own.remove(field.name()).filter(|value| !value.is_null() || field.generator.is_none());
            let stored = match (field.name(), given) {
                (CREATED_AT | UPDATED_AT, _) if field.kind().is_date() => now.clone(),
                // Nobody makes a record in somebody else's name.
                (CREATED_BY | UPDATED_BY, _) if user.is_some() => user.map_or(Value::Null, Value::Integer),
                (_, None | Some(Json::Null)) if field.auto_increment => continue,
                (_, Some(given)) => value::to_storage(field, &given)?,
                (_, None) => match (&field.generator, &field.default) {
                    (Some(Generator::Position { scope }), _) => {
                        let scope = scope.as_deref().and_then(|scope| {
                            let at = columns.iter().position(|known| known.name() == scope)?;
                            let stored = Value::clone(values.get(at)?);
                            let value = value::to_json(collection, columns.get(at)?, stored).ok()?;
                            Some((scope.to_owned(), value))
                        });
                        Value::Integer(self.next_position(collection, field, scope).await?)
                    }
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
        raw::insert_values(&mut &mut self.transaction.inner, collection, columns, values).await
    }

    /// The record by some of its fields, or a new one; whether it is new.
    pub(in crate::data) async fn first_or_create(
        &mut self,
        collection: &Collection,
        keys: &[String],
        given: Record,
    ) -> Result<Record, DataError> {
        match self.first_by(collection, keys, &given).await? {
            Some(found) => Ok(found),
            None => self.create(collection, given).await,
        }
    }
}
