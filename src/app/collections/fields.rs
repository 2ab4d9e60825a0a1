//! Creates, changes and removes fields, with the columns and collections that they need.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::catalog::whole;
use super::columns::{COLUMNS, add_column, known, write_last};
use super::definition::{self, Defined, text};
use super::links::{prepare, reverse_of, with_defaults};
use super::rows::{merge, refresh, refused, row};
use super::{names, options};
use crate::app::acl::store::{self, StoreError};
use crate::app::system::{USER_COLLECTIONS, USER_FIELDS};
use crate::data::{
    AssociationKind, Collection, DataError, DataSource, Field, FieldType, Filter, Generator, Query, Record,
    Transaction,
};

/// Makes a field; gives its row.
pub(in crate::app) async fn create(
    source: &DataSource,
    collection: &str,
    given: Map<String, Value>,
) -> Result<Record, DataError> {
    let given = &given;
    source
        .redefine(|| {
            async move |transaction: &mut Transaction| add(transaction, collection, given.clone()).await
        })
        .await
}

/// Adds a field to a collection, with the column, or with what its association needs.
pub(super) async fn add(
    transaction: &mut Transaction,
    name: &str,
    given: Map<String, Value>,
) -> Result<Record, DataError> {
    let collection = known(transaction, name)?;
    let given = options::spread(given, &COLUMNS)?;
    options::check_field(text(&given, "type").unwrap_or_default(), &given)?;
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
    options::check_defined(&collection, &defined)?;
    match &defined {
        Defined::Column(field) => add_column(transaction, &collection, field).await?,
        Defined::Association(association) => {
            prepare(transaction, &collection, association).await?;
        }
    }
    let row = write_last(transaction, name, given).await?;
    refresh(transaction, name).await?;
    let (Defined::Association(association), Some(reverse)) = (defined, reverse) else { return Ok(row) };
    let reverse = reverse_of(&collection, &association, reverse, &row);
    let reversed = Box::pin(add(transaction, &association.target, reverse)).await?;
    let reversed = reversed.get("key").cloned().unwrap_or_default();
    let key = Filter::eq("key", row.get("key").cloned().unwrap_or_default());
    let change = Record::from_iter([("reverseKey".to_owned(), reversed)]);
    transaction.system().update(&USER_FIELDS, &key, change).await?;
    Ok(transaction.find_one(&USER_FIELDS, Query::filter(key)).await?.unwrap_or(row))
}

async fn is_written(transaction: &mut Transaction, collection: &str, name: &str) -> Result<bool, DataError> {
    let filter = Filter::eq("collectionName", collection).and(Filter::eq("name", name));
    Ok(transaction.count(&USER_FIELDS, &filter).await? > 0)
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
    let given = &given;
    source
        .redefine(|| {
            async move |transaction: &mut Transaction| {
                let before = find(transaction, collection, name).await?;
                change(transaction, collection, &before, given.clone()).await?;
                find(transaction, collection, name).await
            }
        })
        .await
}

/// What a field's definition is changed by: without what says nothing.
fn given_to(name: &str, before: &Record, given: Map<String, Value>) -> Result<Map<String, Value>, DataError> {
    let mut given = options::spread(given, &COLUMNS)?;
    let fixed = ["name", "type", "key", "collectionName", "reverseKey"];
    options::check_fixed(&format!("field {name}"), before, &given, &fixed)?;
    let kind = text(before, "type").unwrap_or_default();
    if definition::association_kind(kind).is_some() {
        given.retain(|option, value| !value.is_null() || !options::ASSOCIATION_TEXTS.contains(&&**option));
    }
    given.insert("name".to_owned(), Value::from(name));
    options::check_field(kind, &given)?;
    Ok(given)
}

/// Refuses what would ask for another column.
fn check_column_stays(was: &Field, is: &Field) -> Result<(), DataError> {
    let name = was.name();
    if was.is_primary_key() != is.is_primary_key()
        || was.is_auto_increment() != is.is_auto_increment()
        || was.column() != is.column()
        || was.kind() != is.kind()
    {
        return Err(refused(format!("the key, the column and the kind of {name} stay as they are")));
    }
    if was.is_long() != is.is_long() {
        return Err(refused(format!(
            "the length of {name} stays within 255 characters, or beyond: make another field"
        )));
    }
    Ok(())
}

/// Changes a field's definition, and the index that it asks for.
pub(super) async fn change(
    transaction: &mut Transaction,
    collection: &str,
    before: &Record,
    given: Map<String, Value>,
) -> Result<(), DataError> {
    let name = text(before, "name").unwrap_or_default();
    let given = given_to(name, before, given)?;
    let own_rules = options::RELATED.iter().any(|option| given.contains_key(*option));
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
    if own_rules {
        options::check_defined(&known, &is)?;
    }
    match (was, &is) {
        (Ok(Defined::Column(was)), Defined::Column(is)) => {
            check_column_stays(&was, is)?;
            if was.is_unique() != is.is_unique() || was.is_indexed() != is.is_indexed() {
                known.clone().with_field(is.clone()).check_table_limits()?;
                transaction.change_index(&known, &was, is).await?;
            }
        }
        // One that was made when its fields did not have to fit stays as it is.
        (Ok(Defined::Association(was)), Defined::Association(is)) if was.same_fields(is) => {}
        (_, Defined::Association(association)) => prepare(transaction, &known, association).await?,
        (_, Defined::Column(_)) => {}
    }
    let key = Filter::eq("key", before.get("key").cloned().unwrap_or_default());
    transaction.system().update(&USER_FIELDS, &key, changes).await?;
    refresh(transaction, collection).await.map(drop)
}

/// Removes fields with their columns; gives their number.
pub(in crate::app) async fn destroy(
    source: &DataSource,
    collection: &str,
    names: &[String],
) -> Result<u64, DataError> {
    let names = &names.iter().map(String::as_str).collect::<Vec<_>>()[..];
    source
        .redefine(|| async move |transaction: &mut Transaction| remove(transaction, collection, names).await)
        .await
}

async fn remove(transaction: &mut Transaction, name: &str, fields: &[&str]) -> Result<u64, DataError> {
    check_known(transaction, &known(transaction, name)?, fields).await?;
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

/// Refuses to remove a field by whose values records are found or put in order.
fn check_unneeded(transaction: &Transaction, name: &str, field: &str) -> Result<(), DataError> {
    let needed = |by: &str, of: &str| {
        Err(refused(format!("the field {field} is needed by {by} of {of}: change or remove that first")))
    };
    let own = transaction.catalog().get(name);
    if let Some(own) = own.filter(|own| own.key().iter().any(|key| key.name() == field)) {
        return needed("filterTargetKey", own.name());
    }
    let divided = |other: &&Field| matches!(other.generator(), Some(Generator::Position { scope: Some(scope) }) if **scope == *field);
    if let Some(divided) = own.and_then(|own| own.fields().iter().find(divided)) {
        return needed(divided.name(), name);
    }
    for source in transaction.catalog().iter() {
        for association in source.associations() {
            let here = association.kind != AssociationKind::BelongsTo && source.name() == name;
            let there =
                matches!(association.kind, AssociationKind::BelongsTo | AssociationKind::BelongsToMany)
                    && *association.target == *name;
            if here && *association.source_key == *field || there && *association.target_key == *field {
                return needed(&association.name, source.name());
            }
        }
    }
    Ok(())
}

/// Refuses to remove what has no definition of its own, before anything is removed.
async fn check_known(
    transaction: &mut Transaction,
    collection: &Collection,
    fields: &[&str],
) -> Result<(), DataError> {
    let name = collection.name();
    let written = Query::filter(Filter::eq("collectionName", name)).fields(&["name"]);
    let written = transaction.find(&USER_FIELDS, written).await?;
    let is_written = |field: &&&str| written.iter().any(|row| text(row, "name") == Some(**field));
    let Some(field) = fields.iter().find(|field| !is_written(field)) else { return Ok(()) };
    let row = transaction.find_one(&USER_COLLECTIONS, Query::filter(Filter::eq("name", name))).await?;
    let brought = row.and_then(|row| options::brought_by(&whole(&row), field));
    Err(refused(match (collection.get(field), brought) {
        (Some(key), _) if key.is_primary_key() => {
            format!("{field} is the key of {name}: it stays as long as the collection")
        }
        (_, Some(option)) => {
            format!("{field} comes with {option} of {name}: set that to false with collections:update")
        }
        (None, None) if collection.associated(field).is_none() => {
            format!("the collection {name} has no field {field} to remove")
        }
        _ => format!("{field} of {name} belongs to the system"),
    }))
}

/// Turns off the option of a collection by which a field would come back that is removed.
async fn turn_off(transaction: &mut Transaction, name: &str, field: &str) -> Result<(), DataError> {
    let filter = Filter::eq("name", name);
    let Some(row) = transaction.find_one(&USER_COLLECTIONS, Query::filter(filter.clone())).await? else {
        return Ok(());
    };
    let Some(option) = options::brought_by(&whole(&row), field) else { return Ok(()) };
    let mut options = row.get("options").cloned().unwrap_or_else(|| json!({}));
    merge(&mut options, Some(json!({option: false})));
    let change = Record::from_iter([("options".to_owned(), options)]);
    transaction.system().update(&USER_COLLECTIONS, &filter, change).await.map(drop)
}

/// Removes the definitions of fields, and what is said of them elsewhere; gives their number, and those
/// whose columns are to be dropped. MySQL and MariaDB drop a column for good: it goes last.
pub(super) async fn forget_fields(
    transaction: &mut Transaction,
    name: &str,
    fields: &[&str],
) -> Result<(u64, Vec<Field>), DataError> {
    let (mut removed, mut dropped) = (0, Vec::new());
    let collection = known(transaction, name)?;
    // What needs others goes before them: associations, and orders that are divided.
    let needs = |field: &str| {
        collection.associated(field).is_some()
            || collection.get(field).is_some_and(|field| field.kind() == FieldType::Sort)
    };
    let (needing, needed): (Vec<&str>, Vec<&str>) = fields.iter().partition(|field| needs(field));
    for field_name in needing.iter().chain(&needed) {
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
        transaction.system().destroy(&USER_FIELDS, &filter).await?;
        turn_off(transaction, name, field_name).await?;
        store::field_destroyed(transaction, crate::app::acl::MAIN_DATA_SOURCE, name, field_name)
            .await
            .map_err(StoreError::into_data)?;
        if let Some(column) = column {
            forget_references(transaction, name, &[column.name()]).await?;
            // A system's collection has its columns, whatever was said of them.
            let base = transaction.catalog().base();
            let is_ours = base.get(name).is_some_and(|known| known.get(column.name()).is_some());
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
    transaction.system().destroy(&USER_FIELDS, &filter).await?;
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
