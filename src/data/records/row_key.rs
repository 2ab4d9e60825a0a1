//! Which rows records are: a record may be named by what others are named by, too.

use serde_json::Value as Json;

use crate::data::{Collection, Condition, DataError, Field, Filter, Operator, Record};

/// The filter for the rows of these records.
///
/// # Errors
/// [`DataError::Refused`] where nothing tells the rows of a collection apart, or one of these from
/// others.
pub fn row_key_filter(collection: &Collection, records: &[Record]) -> Result<Filter, DataError> {
    if records.is_empty() {
        return Ok(Filter::never());
    }
    let keys: Vec<&str> = collection.row_keys()?.into_iter().map(Field::name).collect();
    let value = |record: &Record, name: &str| {
        key_value(record, name).cloned().ok_or_else(|| {
            let collection = collection.name();
            DataError::Refused(format!("a record of {collection} has no {name}, by which it is told apart"))
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

/// The filter for all rows but those of these records.
///
/// # Errors
/// As [`row_key_filter`].
pub(super) fn other_rows(collection: &Collection, records: &[Record]) -> Result<Filter, DataError> {
    Ok(match row_key_filter(collection, records)? {
        // Those without a key are others, too.
        Filter::Condition(one) => Filter::Condition(Condition { operator: Operator::NotIn, ..one }),
        rows => Filter::Not(Box::new(rows)),
    })
}

/// Whether [`row_key_filter`] means the rows of these records and no others.
pub(super) fn have_row_keys(collection: &Collection, records: &[Record]) -> bool {
    let by = |key: &Field| {
        key.kind().has_lossless_json() && records.iter().all(|record| key_value(record, key.name()).is_some())
    };
    collection.row_keys().is_ok_and(|keys| keys.into_iter().all(by))
}

/// The value that a record is told apart by: any number of rows may have none.
fn key_value<'a>(record: &'a Record, name: &str) -> Option<&'a Json> {
    record.get(name).filter(|value| !value.is_null())
}
