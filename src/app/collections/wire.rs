//! Converts definitions to what clients see: options stand among the columns.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::catalog::whole;
use crate::data::{Catalog, Record};

/// A row as it is shown: its columns, and its options among them.
fn spread(row: &Record) -> Map<String, Value> {
    let mut shown = whole(row);
    for (name, value) in row {
        if name != "options" && value.is_null() {
            shown.entry(name.clone()).or_insert(Value::Null);
        }
    }
    shown
}

/// A collection's definition.
pub(in crate::app) fn collection(row: &Record) -> Map<String, Value> {
    spread(row)
}

/// A field's definition.
pub(in crate::app) fn field(row: &Record) -> Map<String, Value> {
    spread(row)
}

/// All definitions together, as a client reads them once: `collections:listMeta`.
pub(in crate::app) fn meta(catalog: &Catalog, collections: &[Record], fields: &[Record]) -> Value {
    let mut by_collection: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for row in fields {
        if let Some(name) = row.get("collectionName").and_then(Value::as_str) {
            by_collection.entry(name).or_default().push(Value::Object(field(row)));
        }
    }
    let shown = collections.iter().map(|row| {
        let mut shown = collection(row);
        let name = row.get("name").and_then(Value::as_str).unwrap_or_default();
        shown.insert("fields".to_owned(), by_collection.remove(name).unwrap_or_default().into());
        if let Some(key) = catalog.get(name).map(|known| known.key()) {
            let key = match key.as_slice() {
                [one] => json!(one.name()),
                keys => keys.iter().map(|key| key.name()).collect(),
            };
            shown.entry("filterTargetKey").or_insert(key);
        }
        Value::Object(shown)
    });
    Value::Array(shown.collect())
}
