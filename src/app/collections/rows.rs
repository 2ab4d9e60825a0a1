//! Rows of definitions, and the catalog that a transaction knows.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::catalog;
use crate::app::system::{USER_COLLECTIONS, USER_FIELDS};
use crate::data::{Collection, DataError, Filter, Query, Record, Sort, Transaction};

pub(super) fn refused(sentence: impl Into<String>) -> DataError {
    DataError::Refused(sentence.into())
}

/// Divides a definition into its columns and its options.
pub(super) fn row(given: Map<String, Value>, columns: &[&str], left_out: &[&str]) -> Record {
    let mut options = match given.get("options") {
        Some(Value::Object(options)) => options.clone(),
        _ => Map::new(),
    };
    let mut row = Record::new();
    for (name, value) in given {
        if columns.contains(&name.as_str()) {
            row.insert(name, value);
        } else if !left_out.contains(&name.as_str()) {
            options.insert(name, value);
        }
    }
    row.insert("options".to_owned(), Value::Object(options));
    row
}

/// The next place in an order.
pub(super) async fn next_place(
    transaction: &mut Transaction,
    table: &Collection,
    within: Filter,
) -> Result<i64, DataError> {
    let last = Query { limit: Some(1), ..Query::filter(within).sort(Sort::descending("sort")) };
    let last = transaction.find_one(table, last).await?;
    Ok(last.and_then(|row| row.get("sort")?.as_i64()).unwrap_or(0) + 1)
}

/// Reads a collection again, and puts it into the catalog of the transaction.
pub(super) async fn refresh(transaction: &mut Transaction, name: &str) -> Result<Collection, DataError> {
    let row = transaction.find_one(&USER_COLLECTIONS, Query::filter(Filter::eq("name", name))).await?;
    let fields = Query::filter(Filter::eq("collectionName", name)).sort(Sort::ascending("sort"));
    let fields = transaction.find(&USER_FIELDS, fields.sort(Sort::ascending("key"))).await?;
    let base = transaction.catalog().base();
    let built = catalog::build(&base, row.as_slice(), &fields);
    let collection = built.get(name).cloned().unwrap_or_else(|| Collection::new(name));
    let known = Arc::new(transaction.catalog().with(collection.clone()));
    transaction.set_catalog(known);
    Ok(collection)
}

/// Puts options over others.
pub(super) fn merge(options: &mut Value, over: Option<Value>) {
    if let (Value::Object(options), Some(Value::Object(over))) = (options, over) {
        options.extend(over);
    }
}
