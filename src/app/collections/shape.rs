//! Definitions in the shape in which clients see them: what is beside the columns stands among them.

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
    let shown = collections.iter().map(|row| {
        let mut shown = collection(row);
        let name = row.get("name").and_then(Value::as_str).unwrap_or_default();
        let own =
            fields.iter().filter(|field| field.get("collectionName").and_then(Value::as_str) == Some(name));
        let own: Vec<Value> = own.map(|row| Value::Object(field(row))).collect();
        shown.insert("fields".to_owned(), Value::Array(own));
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
