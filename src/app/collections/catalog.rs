//! Builds the catalog: the collections of the system with the fields that were added, and those
//! that users defined.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::definition::{self, Defined, text, truth};
use crate::app::system;
use crate::data::{Catalog, Collection, DataError, DataSource, Field, Filter, Query, Record, Sort};

/// Reads the definitions, and builds the catalog of them.
pub(in crate::app) async fn load(source: &DataSource) -> Result<Arc<Catalog>, DataError> {
    let base = source.catalog().base();
    let collections = source.find(&system::USER_COLLECTIONS, rows()).await?;
    let fields = source.find(&system::USER_FIELDS, rows()).await?;
    if collections.is_empty() && fields.is_empty() {
        return Ok(base);
    }
    Ok(Arc::new(build(&base, &collections, &fields)))
}

fn rows() -> Query {
    Query::filter(Filter::All).sort(Sort::ascending("sort")).sort(Sort::ascending("key"))
}

/// The tables that belong to collections which users made; for who removes an application.
pub(in crate::app) async fn tables(source: &DataSource) -> Result<Vec<Collection>, DataError> {
    let names = source.find(&system::USER_COLLECTIONS, Query::default().fields(&["name"])).await?;
    Ok(names.iter().filter_map(|row| text(row, "name")).map(Collection::new).collect())
}

/// Merges the columns and the options of a definition's row.
pub(super) fn whole(row: &Record) -> Map<String, Value> {
    let mut definition = match row.get("options") {
        Some(Value::Object(options)) => options.clone(),
        _ => Map::new(),
    };
    for (name, value) in row {
        if name != "options" && !value.is_null() {
            definition.insert(name.clone(), value.clone());
        }
    }
    definition
}

/// Builds the catalog. A definition that cannot be read is skipped: what another program wrote must
/// not keep the application from starting.
pub(super) fn build(base: &Arc<Catalog>, collections: &[Record], fields: &[Record]) -> Catalog {
    let mut by_collection: BTreeMap<&str, Vec<Defined>> = BTreeMap::new();
    for row in fields {
        let Some(collection) = text(row, "collectionName") else { continue };
        let mut given = whole(row);
        let defined = definition::field(&given).or_else(|error| {
            // What another program wrote may be longer than this one makes fields.
            given.remove("length").ok_or(error).and_then(|_| definition::field(&given))
        });
        match defined {
            Ok(defined) => by_collection.entry(collection).or_default().push(defined),
            Err(error) => tracing::warn!(%error, collection, "a field's definition cannot be read"),
        }
    }
    let mut own: BTreeMap<&str, Collection> = BTreeMap::new();
    for row in collections {
        let Some(name) = text(row, "name") else { continue };
        if base.get(name).is_some() || own.contains_key(name) {
            continue;
        }
        let fields = by_collection.remove(name).unwrap_or_default();
        own.insert(name, collection(name, &whole(row), fields));
    }
    // What was added to the system's own collections.
    for (name, fields) in by_collection {
        if let Some(known) = own.remove(name).or_else(|| base.get(name).cloned()) {
            own.insert(name, with_all(known, fields));
        }
    }
    // All others are shared by all applications.
    base.with_all(own.into_values())
}

/// Builds a collection from its definition.
pub(super) fn collection(name: &str, options: &Map<String, Value>, fields: Vec<Defined>) -> Collection {
    let given = |name: &str| fields.iter().any(|field| field.name() == name);
    let has_key =
        fields.iter().any(|field| matches!(field, Defined::Column(field) if field.is_primary_key()));
    let mut collection = Collection::new(name);
    if let Some(table) = text(options, "tableName") {
        collection = collection.in_table(table);
    }
    if !has_key && !given("id") && options.get("autoGenId") != Some(&Value::Bool(false)) {
        collection = collection.field(Field::big_int("id").primary_key().auto_increment());
    }
    for (option, name) in [("createdAt", "createdAt"), ("updatedAt", "updatedAt")] {
        if truth(options, option) && !given(name) {
            collection = collection.field(Field::date_time(name));
        }
    }
    if truth(options, "sortable") && !given("sort") {
        collection = collection.field(Field::sort("sort"));
    }
    let (created_by, updated_by) = (truth(options, "createdBy"), truth(options, "updatedBy"));
    if created_by && !given("createdBy") && !given("createdById") {
        collection = collection.created_by();
    }
    if updated_by && !given("updatedBy") && !given("updatedById") {
        collection = collection.updated_by();
    }
    let keys: Vec<&str> = match options.get("filterTargetKey") {
        Some(Value::String(key)) => vec![key],
        Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    collection = with_all(collection, fields);
    let known = keys.iter().all(|key| collection.get(key).is_some());
    if known { collection.named_by(&keys) } else { collection }
}

fn with_all(mut collection: Collection, fields: Vec<Defined>) -> Collection {
    for field in fields {
        if collection.get(field.name()).is_some() || collection.associated(field.name()).is_some() {
            continue;
        }
        // What refers by a column that nobody defined has one, all the same.
        if let Defined::Association(association) = &field
            && association.kind == crate::data::AssociationKind::BelongsTo
            && collection.get(&association.foreign_key).is_none()
            && matches!(&*association.foreign_key, "createdById" | "updatedById")
        {
            collection = collection.field(Field::big_int(&association.foreign_key));
        }
        collection = match field {
            Defined::Column(field) => collection.field(field),
            Defined::Association(association) => collection.association(association),
        };
    }
    collection
}
