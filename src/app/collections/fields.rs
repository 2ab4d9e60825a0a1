//! Making, changing and removing fields, with the columns and collections that they need.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::catalog::whole;
use super::definition::{self, Defined, text};
use super::links::{add_reverse, prepare, with_defaults};
use super::names;
use super::rows::{begin, merge, next_place, refresh, refused, row, settle};
use crate::app::acl::store;
use crate::app::system::USER_FIELDS;
use crate::data::{
    AssociationKind, Collection, DataError, DataSource, Field, FieldType, Filter, Query, Record, Transaction,
    random_uid,
};

/// What is in columns of `fields`; the rest is in `options`.
const COLUMNS: [&str; 9] =
    ["key", "name", "type", "interface", "description", "collectionName", "parentKey", "reverseKey", "sort"];
/// What a definition is given with and is no part of it.
const NOT_OPTIONS: [&str; 2] = ["options", "reverseField"];

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
    transaction.insert(&USER_FIELDS, new).await
}

pub(super) async fn write_last(
    transaction: &mut Transaction,
    collection: &str,
    given: Map<String, Value>,
) -> Result<Record, DataError> {
    let place = next_place(transaction, &USER_FIELDS, Filter::eq("collectionName", collection)).await?;
    write(transaction, collection, given, place).await
}

pub(super) fn known(transaction: &Transaction, name: &str) -> Result<Collection, DataError> {
    let found = transaction.catalog().get(name).cloned();
    found.ok_or_else(|| refused(format!("there is no collection {name}")))
}

/// Makes a field; gives its row.
pub(in crate::app) async fn create(
    source: &DataSource,
    collection: &str,
    given: Map<String, Value>,
) -> Result<Record, DataError> {
    let mut transaction = begin(source).await?;
    let done = add(&mut transaction, collection, given).await;
    settle(source, transaction, done).await
}

/// Adds a field to a collection, with the column, or with what its association needs.
pub(super) async fn add(
    transaction: &mut Transaction,
    name: &str,
    given: Map<String, Value>,
) -> Result<Record, DataError> {
    let collection = known(transaction, name)?;
    let reverse = match given.get("reverseField") {
        Some(Value::Object(reverse)) => Some(reverse.clone()),
        _ => None,
    };
    let given = with_defaults(transaction, &collection, given);
    let defined = definition::field(&given)?;
    let field_name = defined.name().to_owned();
    let taken = match &defined {
        // What fills itself by an option of the collection may be listed later.
        Defined::Column(field) if matches!(field.name(), "createdAt" | "updatedAt" | "sort") => {
            is_written(transaction, name, &field_name).await?
        }
        _ => collection.get(&field_name).is_some() || collection.associated(&field_name).is_some(),
    };
    if taken {
        return Err(refused(format!("the collection {name} has a field {field_name} already")));
    }
    if collection.get(&field_name).is_none() {
        let associations = collection.associations().iter().map(|association| &*association.name);
        let known = collection.fields().iter().flat_map(|field| [field.name(), field.column()]);
        names::check_new("field", &field_name, known.chain(associations))?;
    }
    match &defined {
        Defined::Column(field) => add_column(transaction, &collection, field).await?,
        Defined::Association(association) => {
            prepare(transaction, &collection, association).await?;
        }
    }
    let row = write_last(transaction, name, given).await?;
    refresh(transaction, name).await?;
    let (Defined::Association(association), Some(reverse)) = (defined, reverse) else { return Ok(row) };
    let reversed = add_reverse(transaction, &collection, &association, reverse, &row).await?;
    let key = Filter::eq("key", row.get("key").cloned().unwrap_or_default());
    let change = Record::from_iter([("reverseKey".to_owned(), reversed)]);
    transaction.update(&USER_FIELDS, &key, change).await?;
    Ok(transaction.find_one(&USER_FIELDS, Query::filter(key)).await?.unwrap_or(row))
}

async fn is_written(transaction: &mut Transaction, collection: &str, name: &str) -> Result<bool, DataError> {
    let filter = Filter::eq("collectionName", collection).and(Filter::eq("name", name));
    Ok(transaction.count(&USER_FIELDS, &filter).await? > 0)
}

pub(super) async fn add_column(
    transaction: &mut Transaction,
    collection: &Collection,
    field: &Field,
) -> Result<(), DataError> {
    if field.is_primary_key() {
        return Err(refused("a primary key belongs into the definition of the collection"));
    }
    if collection.get(field.name()).is_none() {
        names::check_column(field.column())?;
        collection.clone().with_field(field.clone()).check_room()?;
    }
    // Records that are there have none: what must have a value is looked at when they are written.
    transaction.add_column(collection, &field.clone().nullable()).await?;
    if field.kind() == FieldType::Sort && collection.get(field.name()).is_none() {
        transaction.fill_positions(collection, field).await?;
    }
    Ok(())
}

/// The row of a field.
async fn find(transaction: &mut Transaction, collection: &str, name: &str) -> Result<Record, DataError> {
    let filter = Filter::eq("collectionName", collection).and(Filter::eq("name", name));
    let found = transaction.find_one(&USER_FIELDS, Query::filter(filter)).await?;
    found.ok_or_else(|| {
        refused(format!("the collection {collection} has no field {name} that can be changed"))
    })
}

/// Changes a field; gives its row.
pub(in crate::app) async fn update(
    source: &DataSource,
    collection: &str,
    name: &str,
    given: Map<String, Value>,
) -> Result<Record, DataError> {
    let mut transaction = begin(source).await?;
    let done = change_named(&mut transaction, collection, name, given).await;
    settle(source, transaction, done).await
}

async fn change_named(
    transaction: &mut Transaction,
    collection: &str,
    name: &str,
    given: Map<String, Value>,
) -> Result<Record, DataError> {
    let before = find(transaction, collection, name).await?;
    change(transaction, collection, &before, given).await?;
    find(transaction, collection, name).await
}

/// Changes a field's definition, and the index that it asks for.
pub(super) async fn change(
    transaction: &mut Transaction,
    collection: &str,
    before: &Record,
    given: Map<String, Value>,
) -> Result<(), DataError> {
    let name = text(before, "name").unwrap_or_default();
    let renamed = text(&given, "name").is_some_and(|new| new != name);
    let retyped = text(&given, "type").is_some_and(|new| Some(new) != text(before, "type"));
    if renamed || retyped {
        return Err(refused(format!(
            "the name and the type of a field stay: make another one and remove {name}"
        )));
    }
    let fixed = ["key", "name", "type", "collectionName", "sort", "reverseField", "options"];
    let mut changes = row(given, &COLUMNS, &fixed);
    changes.retain(|column, _| !fixed.contains(&column.as_str()) || column == "options");
    let mut options = before.get("options").cloned().unwrap_or_else(|| json!({}));
    merge(&mut options, changes.remove("options"));
    changes.insert("options".to_owned(), options);
    let mut after = before.clone();
    after.extend(changes.clone());
    let (was, is) = (definition::field(&whole(before)), definition::field(&whole(&after))?);
    let known = known(transaction, collection)?;
    match (was, &is) {
        (Ok(Defined::Column(was)), Defined::Column(is)) => {
            if was.is_primary_key() != is.is_primary_key()
                || was.column() != is.column()
                || was.kind() != is.kind()
            {
                return Err(refused(format!("the key, the column and the kind of {name} stay as they are")));
            }
            if was.is_unique() != is.is_unique() || was.is_indexed() != is.is_indexed() {
                known.clone().with_field(is.clone()).check_room()?;
                transaction.change_index(&known, &was, is).await?;
            }
        }
        // One that was made when its fields did not have to fit stays as it is.
        (Ok(Defined::Association(was)), Defined::Association(is)) if was.same_fields(is) => {}
        (_, Defined::Association(association)) => prepare(transaction, &known, association).await?,
        (_, Defined::Column(_)) => {}
    }
    let key = Filter::eq("key", before.get("key").cloned().unwrap_or_default());
    transaction.update(&USER_FIELDS, &key, changes).await?;
    refresh(transaction, collection).await.map(drop)
}

/// Removes fields with their columns; gives their number.
pub(in crate::app) async fn destroy(
    source: &DataSource,
    collection: &str,
    names: &[String],
) -> Result<u64, DataError> {
    let mut transaction = begin(source).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let done = remove(&mut transaction, collection, &names).await;
    settle(source, transaction, done).await
}

async fn remove(transaction: &mut Transaction, name: &str, fields: &[&str]) -> Result<u64, DataError> {
    let (removed, columns) = forget_fields(transaction, name, fields).await?;
    let collection = known(transaction, name)?;
    if removed > 0 && collection.fields().is_empty() {
        return Err(refused(format!("the collection {name} would have no field")));
    }
    for column in &columns {
        transaction.drop_column(&collection, column).await?;
    }
    Ok(removed)
}

/// Refuses to remove a field by whose values records of associations are found.
fn check_unneeded(transaction: &Transaction, name: &str, field: &str) -> Result<(), DataError> {
    for source in transaction.catalog().iter() {
        for association in source.associations() {
            let here = association.kind != AssociationKind::BelongsTo && source.name() == name;
            let there =
                matches!(association.kind, AssociationKind::BelongsTo | AssociationKind::BelongsToMany)
                    && *association.target == *name;
            if here && *association.source_key == *field || there && *association.target_key == *field {
                return Err(refused(format!(
                    "the field {field} is needed by {} of {}: remove that one first",
                    association.name,
                    source.name()
                )));
            }
        }
    }
    Ok(())
}

/// Removes the definitions of fields, and what is said of them elsewhere; gives their number, and those
/// whose columns are to be dropped. MySQL and MariaDB drop a column for good: it goes last.
pub(super) async fn forget_fields(
    transaction: &mut Transaction,
    name: &str,
    fields: &[&str],
) -> Result<(u64, Vec<Field>), DataError> {
    let (mut removed, mut dropped) = (0, Vec::new());
    // Associations first: what they need may go after them.
    let (associations, columns): (Vec<&str>, Vec<&str>) = {
        let collection = known(transaction, name)?;
        fields.iter().partition(|field| collection.associated(field).is_some())
    };
    for field_name in associations.iter().chain(&columns) {
        let filter = Filter::eq("collectionName", name).and(Filter::eq("name", *field_name));
        let Some(row) = transaction.find_one(&USER_FIELDS, Query::filter(filter.clone())).await? else {
            continue;
        };
        let column = match definition::field(&whole(&row)) {
            Ok(Defined::Column(field)) => Some(field),
            _ => None,
        };
        if column.as_ref().is_some_and(Field::is_primary_key) {
            return Err(refused(format!(
                "{field_name} is the key of {name}: it stays as long as the collection"
            )));
        }
        if column.is_some() {
            check_unneeded(transaction, name, field_name)?;
        }
        transaction.destroy(&USER_FIELDS, &filter).await?;
        store::field_destroyed(transaction, crate::app::acl::MAIN_DATA_SOURCE, name, field_name)
            .await
            .map_err(|error| refused(error.to_string()))?;
        if let Some(column) = column {
            forget_references(transaction, name, &[column.name()]).await?;
            // A system's collection has its columns, whatever was said of them.
            let is_ours = crate::app::system::COLLECTIONS
                .iter()
                .any(|known| known.name() == name && known.get(column.name()).is_some());
            if !is_ours {
                dropped.push(column);
            }
        }
        refresh(transaction, name).await?;
        removed += 1;
    }
    Ok((removed, dropped))
}

/// Removes the associations by these columns of a collection, on whichever side they are written.
async fn forget_references(
    transaction: &mut Transaction,
    name: &str,
    columns: &[&str],
) -> Result<(), DataError> {
    let catalog = Arc::clone(transaction.catalog());
    for source in catalog.iter() {
        for association in source.associations() {
            let foreign_key_of = match (association.kind, &association.through) {
                (AssociationKind::BelongsTo, _) => source.name(),
                (_, Some(through)) => &through.collection,
                (_, None) => &association.target,
            };
            let other =
                association.through.as_ref().is_some_and(|through| columns.contains(&&*through.other_key));
            if foreign_key_of == name && (other || columns.contains(&&*association.foreign_key)) {
                forget(transaction, source.name(), &association.name).await?;
            }
        }
    }
    Ok(())
}

async fn forget(transaction: &mut Transaction, collection: &str, field: &str) -> Result<(), DataError> {
    let filter = Filter::eq("collectionName", collection).and(Filter::eq("name", field));
    transaction.destroy(&USER_FIELDS, &filter).await?;
    refresh(transaction, collection).await.map(drop)
}

/// Removes the associations of others that lead to a collection, or through it.
pub(super) async fn forget_collection(transaction: &mut Transaction, name: &str) -> Result<(), DataError> {
    let catalog = Arc::clone(transaction.catalog());
    for source in catalog.iter().filter(|source| source.name() != name) {
        for association in source.associations() {
            let through = association.through.as_ref().is_some_and(|through| *through.collection == *name);
            if through || *association.target == *name {
                forget(transaction, source.name(), &association.name).await?;
            }
        }
    }
    Ok(())
}
