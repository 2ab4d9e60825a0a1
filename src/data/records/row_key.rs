//! Finds the row behind each record by a unique key. The key in an API request need not be unique, so that it
//! may find several rows.

use serde_json::Value as Json;

use crate::data::{Collection, Condition, DataError, Field, Filter, Operator, Record};

/// Returns the filter for the rows of these records.
///
/// # Errors
/// [`DataError::Refused`] if the collection has no unique key, or if one of the records lacks it.
pub fn row_key_filter(collection: &Collection, records: &[Record]) -> Result<Filter, DataError> {
    if records.is_empty() {
        return Ok(Filter::never());
    }
    let keys: Vec<&str> = collection.row_keys()?.into_iter().map(Field::name).collect();
    let value = |record: &Record, name: &str| {
        key_value(record, name).cloned().ok_or_else(|| {
            let collection = collection.name();
            DataError::Refused(format!("a record of {collection} has no {name}, which identifies it"))
        })
    };
    if let [key] = keys.as_slice() {
        let values: Result<_, _> = records.iter().map(|record| value(record, key)).collect();
        return Ok(Filter::one_of(*key, values?));
    }
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        let parts: Result<_, _> =
            keys.iter().map(|key| value(record, key).map(|value| Filter::eq(*key, value))).collect();
        rows.push(Filter::And(parts?));
    }
    Ok(Filter::Or(rows))
}

/// Returns the filter for all rows except those of these records.
///
/// # Errors
/// As [`row_key_filter`].
pub(super) fn other_rows(collection: &Collection, records: &[Record]) -> Result<Filter, DataError> {
    Ok(match row_key_filter(collection, records)? {
        // Rows without a key are other rows, too.
        Filter::Condition(one) => Filter::Condition(Condition { operator: Operator::NotIn, ..one }),
        rows => Filter::Not(Box::new(rows)),
    })
}

/// Whether [`row_key_filter`] finds exactly the rows of these records.
pub(super) fn have_row_keys(collection: &Collection, records: &[Record]) -> bool {
    let by = |key: &Field| {
        key.kind().has_lossless_json() && records.iter().all(|record| key_value(record, key.name()).is_some())
    };
    collection.row_keys().is_ok_and(|keys| keys.into_iter().all(by))
}

/// Returns a value of a key. Null is none: any number of rows may have it.
fn key_value<'a>(record: &'a Record, name: &str) -> Option<&'a Json> {
    record.get(name).filter(|value| !value.is_null())
}
