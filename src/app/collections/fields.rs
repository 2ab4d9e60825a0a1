//! Making, changing and removing fields, with the columns and collections that they need.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::catalog::whole;
use super::definition::{self, Defined, text};
use super::names;
use super::rows::{merge, next_place, refresh, refused, row};
use crate::app::acl::store::{self, StoreError};
use crate::app::system::{USER_COLLECTIONS, USER_FIELDS};
use crate::data::{
    Association, AssociationKind, Collection, DataError, DataSource, Field, FieldType, Filter, Query, Record,
    Transaction, random_uid,
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

async fn write_last(
    transaction: &mut Transaction,
    collection: &str,
    given: Map<String, Value>,
) -> Result<Record, DataError> {
    let place = next_place(transaction, &USER_FIELDS, Filter::eq("collectionName", collection)).await?;
    write(transaction, collection, given, place).await
}

fn known(transaction: &Transaction, name: &str) -> Result<Collection, DataError> {
    let found = transaction.catalog().get(name).cloned();
    found.ok_or_else(|| refused(format!("there is no collection {name}")))
}

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

async fn add_column(
    transaction: &mut Transaction,
    collection: &Collection,
    field: &Field,
) -> Result<(), DataError> {
    if field.is_primary_key() {
        return Err(refused("a primary key belongs into the definition of the collection"));
    }
    // Records that are there have none: what must have a value is looked at when they are written.
    transaction.add_column(collection, &field.clone().nullable()).await?;
    if field.kind() == FieldType::Sort && collection.get(field.name()).is_none() {
        transaction.fill_positions(collection, field).await?;
    }
    Ok(())
}

/// A definition with what NocoBase fills in.
fn with_defaults(
    transaction: &Transaction,
    collection: &Collection,
    mut given: Map<String, Value>,
) -> Map<String, Value> {
    let kind = text(&given, "type").and_then(definition::association_kind);
    let Some(kind) = kind else { return given };
    let target = text(&given, "target").and_then(|target| transaction.catalog().get(target)).cloned();
    let mut usual = |name: &str, value: String| {
        if text(&given, name).is_none() {
            given.insert(name.to_owned(), Value::from(value));
        }
    };
    let key = |collection: &Collection| collection.single_key().map_or("id", Field::name).to_owned();
    let random = |prefix: &str| format!("{prefix}_{}", random_uid());
    usual("foreignKey", random("f"));
    if kind != AssociationKind::BelongsTo {
        usual("sourceKey", key(collection));
    }
    if kind != AssociationKind::HasOne
        && let Some(target) = &target
    {
        usual("targetKey", key(target));
    }
    if kind == AssociationKind::BelongsToMany {
        usual("through", random("t"));
        usual("otherKey", random("f"));
    }
    given
}

/// Sees to it that what an association needs is there: the columns that refer, the collection
/// between the two.
async fn prepare(
    transaction: &mut Transaction,
    collection: &Collection,
    association: &Association,
) -> Result<(), DataError> {
    let target = known(transaction, &association.target)?;
    let key = |collection: &Collection, name: &str| {
        collection.get(name).cloned().ok_or_else(|| {
            refused(format!("{}: the collection {} has no field {name}", association.name, collection.name()))
        })
    };
    match association.kind {
        AssociationKind::BelongsTo => {
            let referred = key(&target, &association.target_key)?;
            refer(transaction, collection, &association.foreign_key, &referred).await
        }
        AssociationKind::HasOne | AssociationKind::HasMany => {
            let referred = key(collection, &association.source_key)?;
            key(&target, &association.target_key)?;
            refer(transaction, &target, &association.foreign_key, &referred).await
        }
        AssociationKind::BelongsToMany => {
            let own = key(collection, &association.source_key)?;
            let other = key(&target, &association.target_key)?;
            let Some(through) = &association.through else { return Ok(()) };
            if association.foreign_key == through.other_key {
                return Err(refused(format!("{}: two records need two keys between them", association.name)));
            }
            if transaction.catalog().get(&through.collection).is_none() {
                let pair = [(&*association.foreign_key, &own), (&*through.other_key, &other)];
                return make_between(transaction, &through.collection, pair).await;
            }
            let between = known(transaction, &through.collection)?;
            refer(transaction, &between, &association.foreign_key, &own).await?;
            let between = known(transaction, &through.collection)?;
            refer(transaction, &between, &through.other_key, &other).await
        }
    }
}

/// The definition of a field that refers to another one.
fn referring(name: &str, referred: &Field) -> Map<String, Value> {
    let (kind, interface) = match referred.kind() {
        FieldType::Uuid => ("uuid", "uuid"),
        kind if kind.is_whole() => ("bigInt", "integer"),
        FieldType::Nanoid | FieldType::Uid => ("string", "input"),
        kind => (kind.as_str(), "input"),
    };
    let definition = json!({
        "name": name, "type": kind, "interface": interface, "isForeignKey": true, "autoFill": false, "index": true,
    });
    match definition {
        Value::Object(definition) => definition,
        _ => Map::new(),
    }
}

/// Adds a field that refers, where it is missing.
async fn refer(
    transaction: &mut Transaction,
    collection: &Collection,
    name: &str,
    referred: &Field,
) -> Result<(), DataError> {
    if collection.get(name).is_some() {
        return Ok(());
    }
    if collection.associated(name).is_some() {
        return Err(refused(format!(
            "{name} is an association of {}: it cannot refer too",
            collection.name()
        )));
    }
    names::check_new("field", name, collection.fields().iter().map(Field::column))?;
    let given = referring(name, referred);
    let Defined::Column(field) = definition::field(&given)? else { return Ok(()) };
    add_column(transaction, collection, &field).await?;
    write_last(transaction, collection.name(), given).await?;
    refresh(transaction, collection.name()).await.map(drop)
}

/// Makes the collection between two others.
async fn make_between(
    transaction: &mut Transaction,
    name: &str,
    pair: [(&str, &Field); 2],
) -> Result<(), DataError> {
    names::check_new("collection", name, transaction.catalog().iter().map(Collection::name))?;
    let options = json!({"isThrough": true, "autoGenId": false, "createdAt": true, "updatedAt": true, "sortable": false});
    let place = next_place(transaction, &USER_COLLECTIONS, Filter::All).await?;
    let new = json!({
        "key": random_uid(), "name": name, "title": name, "hidden": true, "options": options, "sort": place,
    });
    let Value::Object(new) = new else { return Ok(()) };
    let mut definitions = Vec::new();
    for (field, referred) in pair {
        let mut definition = referring(field, referred);
        definition.insert("primaryKey".to_owned(), Value::Bool(true));
        definition.insert("allowNull".to_owned(), Value::Bool(false));
        definitions.push(definition);
    }
    let defined: Vec<Defined> = definitions.iter().map(definition::field).collect::<Result<_, _>>()?;
    let shape = options.as_object().cloned().unwrap_or_default();
    let collection = super::catalog::collection(name, &shape, defined);
    if transaction.has_table(&collection).await? {
        return Err(refused(format!("there is a table {name} already, which is no collection's")));
    }
    transaction.create_table(&collection).await?;
    transaction.insert(&USER_COLLECTIONS, new).await?;
    for (place, definition) in (1_i64..).zip(definitions) {
        write(transaction, name, definition, place).await?;
    }
    refresh(transaction, name).await.map(drop)
}

/// Adds the same association seen from the other side; gives its key.
async fn add_reverse(
    transaction: &mut Transaction,
    collection: &Collection,
    association: &Association,
    mut reverse: Map<String, Value>,
    row: &Record,
) -> Result<Value, DataError> {
    let kind = match association.kind {
        AssociationKind::BelongsTo => text(&reverse, "type").unwrap_or("hasMany").to_owned(),
        AssociationKind::HasOne | AssociationKind::HasMany => "belongsTo".to_owned(),
        AssociationKind::BelongsToMany => "belongsToMany".to_owned(),
    };
    let mut set = |name: &str, value: &str| reverse.insert(name.to_owned(), Value::from(value));
    set("type", &kind);
    set("target", collection.name());
    set("foreignKey", &association.foreign_key);
    match &association.through {
        Some(through) => {
            set("through", &through.collection);
            set("foreignKey", &through.other_key);
            set("otherKey", &association.foreign_key);
            set("sourceKey", &association.target_key);
            set("targetKey", &association.source_key);
        }
        None if association.kind == AssociationKind::BelongsTo => {
            set("sourceKey", &association.target_key);
            set("targetKey", collection.single_key().map_or("id", Field::name));
        }
        None => {
            set("targetKey", &association.source_key);
        }
    }
    reverse.entry("name").or_insert_with(|| Value::from(format!("f_{}", random_uid())));
    reverse.insert("reverseKey".to_owned(), row.get("key").cloned().unwrap_or_default());
    reverse.remove("reverseField");
    let made = Box::pin(add(transaction, &association.target, reverse)).await?;
    Ok(made.get("key").cloned().unwrap_or_default())
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
            if was.is_long() != is.is_long() {
                return Err(refused(format!(
                    "the length of {name} stays within 255 characters, or beyond: make another field"
                )));
            }
            if was.is_unique() != is.is_unique() || was.is_indexed() != is.is_indexed() {
                transaction.drop_index(&known, &was).await?;
                transaction.create_index(&known, is).await?;
            }
        }
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
    let names = &names.iter().map(String::as_str).collect::<Vec<_>>()[..];
    source
        .redefine(|| async move |transaction: &mut Transaction| remove(transaction, collection, names).await)
        .await
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

/// Refuses to remove what is no field of a collection, before anything is removed.
async fn check_known(
    transaction: &mut Transaction,
    collection: &Collection,
    fields: &[&str],
) -> Result<(), DataError> {
    let written = Query::filter(Filter::eq("collectionName", collection.name())).fields(&["name"]);
    let written = transaction.find(&USER_FIELDS, written).await?;
    let is_known = |field: &str| {
        collection.get(field).is_some()
            || collection.associated(field).is_some()
            || written.iter().any(|row| text(row, "name") == Some(field))
    };
    match fields.iter().find(|field| !is_known(field)) {
        Some(unknown) => {
            Err(refused(format!("the collection {} has no field {unknown} to remove", collection.name())))
        }
        None => Ok(()),
    }
}

/// Removes fields of a collection.
pub(super) async fn remove(
    transaction: &mut Transaction,
    name: &str,
    fields: &[&str],
) -> Result<u64, DataError> {
    let mut removed = 0;
    let collection = known(transaction, name)?;
    check_known(transaction, &collection, fields).await?;
    // Associations first: what they need may go after them.
    let (associations, columns): (Vec<&str>, Vec<&str>) =
        fields.iter().partition(|field| collection.associated(field).is_some());
    for field_name in associations.iter().chain(&columns) {
        let filter = Filter::eq("collectionName", name).and(Filter::eq("name", *field_name));
        let Some(row) = transaction.find_one(&USER_FIELDS, Query::filter(filter.clone())).await? else {
            continue;
        };
        let collection = known(transaction, name)?;
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
        // MySQL and MariaDB remove a column for good: its row goes first.
        transaction.destroy(&USER_FIELDS, &filter).await?;
        store::field_destroyed(transaction, crate::app::acl::MAIN_DATA_SOURCE, name, field_name)
            .await
            .map_err(StoreError::into_data)?;
        if let Some(column) = column {
            forget_references(transaction, name, &[column.name()]).await?;
            // A system's collection has its columns, whatever was said of them.
            let is_ours = crate::app::system::COLLECTIONS
                .iter()
                .any(|known| known.name() == name && known.get(column.name()).is_some());
            if !is_ours {
                transaction.drop_column(&collection, &column).await?;
            }
        }
        refresh(transaction, name).await?;
        removed += 1;
    }
    Ok(removed)
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
