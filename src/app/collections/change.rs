//! Creates, changes and removes collections: rows, tables and catalog together.
//!
//! On engines with transactional DDL, all of it happens or nothing; on MySQL and MariaDB, what was
//! created is dropped again if a later step fails.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::catalog::{self, whole};
use super::definition::{self, Defined, text, truth};
use super::rows::{merge, next_place, refresh, refused, row};
use super::{columns, fields, names, options};
use crate::app::acl::store::{self, StoreError};
use crate::app::system::{USER_COLLECTIONS, USER_FIELDS};
use crate::data::{
    AssociationKind, Collection, DataError, DataSource, Field, Filter, Query, Record, Sort, Transaction,
    random_uid,
};

/// What is in columns of `collections`; the rest is in `options`.
const COLUMNS: [&str; 7] = ["key", "name", "title", "inherit", "hidden", "description", "sort"];
/// What a definition is given with and is no part of it.
const NOT_OPTIONS: [&str; 2] = ["fields", "options"];

/// Makes a collection; gives its row.
pub(in crate::app) async fn create(
    source: &DataSource,
    mut given: Map<String, Value>,
) -> Result<Record, DataError> {
    let name = match given.get("name") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(name)) => name.clone(),
        Some(other) => return Err(refused(format!("{other} is no name for a collection"))),
    };
    let name = if name.is_empty() { format!("t_{}", random_uid()) } else { name };
    names::check("collection", &name)?;
    let mut fields = Vec::new();
    for field in field_definitions(&mut given)? {
        let field = options::spread(field, &columns::COLUMNS)?;
        options::check_field(text(&field, "type").unwrap_or_default(), &field)?;
        fields.push(field);
    }
    let mut given = options::spread(given, &COLUMNS)?;
    options::check_collection(&given)?;
    // As recorded: the fields that fill themselves are there when they are listed.
    for preset in ["createdAt", "updatedAt", "createdBy", "updatedBy"] {
        let listed = fields.iter().any(|field| text(field, "name") == Some(preset));
        given.entry(preset).or_insert(Value::Bool(listed));
    }
    given.insert("name".to_owned(), Value::from(name.clone()));
    let (name, given, fields) = (&*name, &given, &fields);
    source
        .redefine(|| {
            async move |transaction: &mut Transaction| {
                make(transaction, name, given.clone(), fields.clone()).await
            }
        })
        .await
}

async fn make(
    transaction: &mut Transaction,
    name: &str,
    given: Map<String, Value>,
    fields: Vec<Map<String, Value>>,
) -> Result<Record, DataError> {
    names::check_new("collection", name, transaction.catalog().iter().map(Collection::name))?;
    let collection = first_shape(name, &given, &fields)?;
    let table = text(&given, "tableName").unwrap_or(name);
    names::check("table", table)?;
    names::check_table(table)?;
    if transaction.has_table(&collection).await? {
        return Err(refused(format!("there is a table {name} already, which is no collection's")));
    }
    transaction.create_new_table(&collection).await?;
    fill(transaction, name, given, fields).await
}

/// The definitions of fields that a definition is given with.
fn field_definitions(given: &mut Map<String, Value>) -> Result<Vec<Map<String, Value>>, DataError> {
    let not_fields = || refused("fields must be a list of definitions");
    match given.remove("fields") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::Object(field) => Ok(field),
                _ => Err(not_fields()),
            })
            .collect(),
        Some(_) => Err(not_fields()),
    }
}

/// The collection with its columns; associations come when there is something to associate.
fn first_shape(
    name: &str,
    options: &Map<String, Value>,
    fields: &[Map<String, Value>],
) -> Result<Collection, DataError> {
    let mut defined: Vec<Defined> = Vec::new();
    for field in fields {
        let is_association =
            text(field, "type").is_some_and(|kind| definition::association_kind(kind).is_some());
        if is_association {
            continue;
        }
        let field = definition::field(field)?;
        names::check_new("field", field.name(), defined.iter().map(Defined::name))?;
        defined.push(field);
    }
    let collection = catalog::collection(name, options, defined);
    // With those that fill themselves, and by the columns that they are in.
    for (place, field) in collection.fields().iter().enumerate() {
        let before = collection.fields().iter().take(place).map(Field::column);
        names::check_new("field", field.column(), before)?;
        names::check_column(field.column())?;
    }
    collection.check_table_limits()?;
    if collection.fields().is_empty() {
        return Err(refused(format!("the collection {name} would have no field")));
    }
    Ok(collection)
}

async fn fill(
    transaction: &mut Transaction,
    name: &str,
    given: Map<String, Value>,
    given_fields: Vec<Map<String, Value>>,
) -> Result<Record, DataError> {
    let mut new = row(given, &COLUMNS, &NOT_OPTIONS);
    new.insert("key".to_owned(), Value::from(random_uid()));
    let place = next_place(transaction, &USER_COLLECTIONS, Filter::All).await?;
    new.insert("sort".to_owned(), Value::from(place));
    let row = transaction.system().insert(&USER_COLLECTIONS, new).await?;
    let (associations, columns): (Vec<_>, Vec<_>) = given_fields.into_iter().partition(|field| {
        text(field, "type").is_some_and(|kind| definition::association_kind(kind).is_some())
    });
    for (place, field) in (1_i64..).zip(columns) {
        columns::write(transaction, name, field, place).await?;
    }
    refresh(transaction, name).await?;
    for field in associations {
        fields::add(transaction, name, field).await?;
    }
    // What fields say of others may be of one that came with an association.
    let collection = columns::known(transaction, name)?;
    for field in collection.fields() {
        options::check_defined(&collection, &Defined::Column(field.clone()))?;
    }
    options::check_target_key(&collection, whole(&row).get("filterTargetKey"))?;
    Ok(row)
}

/// Reads the rows of the collections that are meant.
async fn meant(transaction: &mut Transaction, filter: &Filter) -> Result<Vec<Record>, DataError> {
    transaction.find(&USER_COLLECTIONS, Query::filter(filter.clone()).sort(Sort::ascending("sort"))).await
}

/// Changes the options of collections; gives their rows.
pub(in crate::app) async fn update(
    source: &DataSource,
    filter: &Filter,
    given: Map<String, Value>,
) -> Result<Vec<Record>, DataError> {
    let given = &given;
    source
        .redefine(|| {
            async move |transaction: &mut Transaction| update_meant(transaction, filter, given).await
        })
        .await
}

async fn update_meant(
    transaction: &mut Transaction,
    filter: &Filter,
    given: &Map<String, Value>,
) -> Result<Vec<Record>, DataError> {
    if given.get("fields").is_some_and(|fields| !fields.is_null()) {
        return Err(refused("fields are set by collections:setFields, or each by an action of its own"));
    }
    let given = options::spread(given.clone(), &COLUMNS)?;
    options::check_collection(&given)?;
    let rows = meant(transaction, filter).await?;
    let mut changed = Vec::with_capacity(rows.len());
    for before in rows {
        let name = text(&before, "name").unwrap_or_default().to_owned();
        let mut stays = whole(&before);
        stays.entry("tableName").or_insert_with(|| Value::from(name.clone()));
        options::check_fixed(&format!("collection {name}"), &stays, &given, &["key", "name", "tableName"])?;
        let mut changes = row(given.clone(), &COLUMNS, &["fields", "options", "key", "name", "sort"]);
        for fixed in ["key", "name", "sort"] {
            changes.remove(fixed);
        }
        let mut options = before.get("options").cloned().unwrap_or_else(|| json!({}));
        merge(&mut options, changes.remove("options"));
        changes.insert("options".to_owned(), options);
        let old = transaction.catalog().get(&name).cloned();
        transaction.system().update(&USER_COLLECTIONS, &Filter::eq("name", name.as_str()), changes).await?;
        let new = refresh(transaction, &name).await?;
        if let Some(old) = old {
            add_missing(transaction, &old, &new).await?;
        }
        options::check_target_key(&new, given.get("filterTargetKey"))?;
        let after = Query::filter(Filter::eq("name", name));
        changed.extend(transaction.find_one(&USER_COLLECTIONS, after).await?);
    }
    Ok(changed)
}

/// Adds the columns of fields that come with options of a collection.
async fn add_missing(
    transaction: &mut Transaction,
    old: &Collection,
    new: &Collection,
) -> Result<(), DataError> {
    let key = |collection: &Collection| -> Vec<String> {
        collection.primary_key().map(|field| field.name().to_owned()).collect()
    };
    if key(old) != key(new) {
        let what = if key(old).is_empty() { "has no key, and gets none" } else { "keeps its key" };
        return Err(refused(format!("{} {what} as long as it has a table", new.name())));
    }
    for field in new.fields().iter().filter(|field| old.get(field.name()).is_none()) {
        new.check_table_limits()?;
        transaction.add_column(new, &field.clone().nullable()).await?;
    }
    Ok(())
}

/// Removes collections with their records; gives their number.
pub(in crate::app) async fn destroy(source: &DataSource, filter: &Filter) -> Result<u64, DataError> {
    source
        .redefine(|| async move |transaction: &mut Transaction| destroy_meant(transaction, filter).await)
        .await
}

async fn destroy_meant(transaction: &mut Transaction, filter: &Filter) -> Result<u64, DataError> {
    let rows = meant(transaction, filter).await?;
    for before in &rows {
        let name = text(before, "name").unwrap_or_default();
        if truth(&whole(before), "uiManageable") {
            return Err(refused(format!("the collection {name} belongs to the system")));
        }
        let Some(collection) = transaction.catalog().get(name).cloned() else { continue };
        // MySQL and MariaDB remove a table for good: its row goes first.
        fields::forget_collection(transaction, name).await?;
        transaction.system().destroy(&USER_FIELDS, &Filter::eq("collectionName", name)).await?;
        transaction.system().destroy(&USER_COLLECTIONS, &Filter::eq("name", name)).await?;
        store::collection_destroyed(transaction, crate::app::acl::MAIN_DATA_SOURCE, name)
            .await
            .map_err(StoreError::into_data)?;
        let left = Arc::new(transaction.catalog().without(name));
        transaction.set_catalog(left);
        transaction.drop_table(&collection).await?;
    }
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}

/// Makes the fields of a collection those that are listed: new ones are added, others changed, the
/// rest removed.
pub(in crate::app) async fn set_fields(
    source: &DataSource,
    name: &str,
    given: &Value,
) -> Result<(), DataError> {
    let mut wrapped = match given {
        Value::Object(given) if given.contains_key("fields") => given.clone(),
        other => Map::from_iter([("fields".to_owned(), other.clone())]),
    };
    let listed = field_definitions(&mut wrapped)?;
    let listed = &listed;
    source
        .redefine(|| {
            async move |transaction: &mut Transaction| set_listed(transaction, name, listed.clone()).await
        })
        .await
}

async fn set_listed(
    transaction: &mut Transaction,
    name: &str,
    listed: Vec<Map<String, Value>>,
) -> Result<(), DataError> {
    if transaction.find_one(&USER_COLLECTIONS, Query::filter(Filter::eq("name", name))).await?.is_none() {
        return Err(refused(format!("there is no collection {name} that fields could be set of")));
    }
    let known = transaction.find(&USER_FIELDS, Query::filter(Filter::eq("collectionName", name))).await?;
    // What a listed association refers by stays with it, whether somebody lists it or not.
    let is_listed = |row: &Record| {
        let name = text(row, "name");
        listed.iter().any(|field| {
            let refers = text(field, "type") == Some(AssociationKind::BelongsTo.as_str());
            text(field, "name") == name || refers && text(field, "foreignKey") == name
        })
    };
    let superfluous: Vec<&str> =
        known.iter().filter(|row| !is_listed(row)).filter_map(|row| text(row, "name")).collect();
    let (_, mut dropped) = fields::forget_fields(transaction, name, &superfluous).await?;
    // With a field go the associations over it.
    let known = transaction.find(&USER_FIELDS, Query::filter(Filter::eq("collectionName", name))).await?;
    // Columns come before the associations over them.
    let (associations, columns): (Vec<_>, Vec<_>) = listed.into_iter().partition(|field| {
        text(field, "type").is_some_and(|kind| definition::association_kind(kind).is_some())
    });
    for mut field in columns.into_iter().chain(associations) {
        field.remove("key");
        let known = known.iter().find(|row| text(row, "name") == text(&field, "name"));
        match known {
            Some(before) => fields::change(transaction, name, before, field).await?,
            None => {
                make_way(transaction, name, &field, &mut dropped).await?;
                fields::add(transaction, name, field).await?;
            }
        }
    }
    let Some(collection) = transaction.catalog().get(name).cloned() else { return Ok(()) };
    if collection.fields().is_empty() {
        return Err(refused(format!("the collection {name} would have no field")));
    }
    for column in &dropped {
        transaction.drop_column(&collection, column).await?;
    }
    Ok(())
}

/// Drops a column that is to go where a new field, or what it refers by, takes its name.
async fn make_way(
    transaction: &mut Transaction,
    name: &str,
    field: &Map<String, Value>,
    dropped: &mut Vec<Field>,
) -> Result<(), DataError> {
    let names: Vec<&str> = ["name", "columnName", "field", "foreignKey", "otherKey"]
        .into_iter()
        .filter_map(|option| text(field, option))
        .collect();
    let Some(collection) = transaction.catalog().get(name).cloned() else { return Ok(()) };
    for column in std::mem::take(dropped) {
        if names.iter().any(|name| name.eq_ignore_ascii_case(column.column())) {
            transaction.drop_column(&collection, &column).await?;
        } else {
            dropped.push(column);
        }
    }
    Ok(())
}
