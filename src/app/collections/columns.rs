//! The row and the column of one field.

use serde_json::{Map, Value};

use super::names;
use super::rows::{next_place, refused, row};
use crate::app::system::USER_FIELDS;
use crate::data::{Collection, DataError, Field, FieldType, Filter, Record, Transaction, random_uid};

/// What is in columns of `fields`; the rest is in `options`.
pub(super) const COLUMNS: [&str; 9] =
    ["key", "name", "type", "interface", "description", "collectionName", "parentKey", "reverseKey", "sort"];
/// What a definition is given with and is no part of it.
pub(super) const NOT_OPTIONS: [&str; 2] = ["options", "reverseField"];

/// Writes the row of a field; gives it.
pub(super) async fn write(
    transaction: &mut Transaction,
    collection: &str,
    given: Map<String, Value>,
    place: i64,
) -> Result<Record, DataError> {
    let mut new = row(given, &COLUMNS, &NOT_OPTIONS);
    new.insert("key".to_owned(), Value::from(random_uid()));
    new.insert("collectionName".to_owned(), Value::from(collection));
    new.insert("sort".to_owned(), Value::from(place));
    transaction.system().insert(&USER_FIELDS, new).await
}

/// Writes the row of a field behind those of its collection; gives it.
pub(super) async fn write_last(
    transaction: &mut Transaction,
    collection: &str,
    given: Map<String, Value>,
) -> Result<Record, DataError> {
    let place = next_place(transaction, &USER_FIELDS, Filter::eq("collectionName", collection)).await?;
    write(transaction, collection, given, place).await
}

/// A collection that must exist.
pub(super) fn known(transaction: &Transaction, name: &str) -> Result<Collection, DataError> {
    let found = transaction.catalog().get(name).cloned();
    found.ok_or_else(|| refused(format!("there is no collection {name}")))
}

/// Adds the column of a field to the table of its collection.
pub(super) async fn add_column(
    transaction: &mut Transaction,
    collection: &Collection,
    field: &Field,
) -> Result<(), DataError> {
    if field.is_primary_key() {
        return Err(refused("a primary key belongs into the definition of the collection"));
    }
    match collection.get(field.name()) {
        Some(there) if there.kind() != field.kind() || there.column() != field.column() => {
            let (name, kind) = (field.name(), there.kind().as_str());
            return Err(refused(format!(
                "{name} is in a column {} of the type {kind} already",
                there.column()
            )));
        }
        Some(_) => {}
        None => {
            names::check_column(field.column())?;
            collection.clone().with_field(field.clone()).check_table_limits()?;
        }
    }
    // Records that are there have none: what must have a value is looked at when they are written.
    transaction.add_column(collection, &field.clone().nullable()).await?;
    if field.kind() == FieldType::Sort && collection.get(field.name()).is_none() {
        transaction.fill_positions(collection, field).await?;
    }
    Ok(())
}
