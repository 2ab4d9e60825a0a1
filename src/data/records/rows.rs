//! Which rows records are: a record may be named by what others are named by, too.

use serde_json::Value as Json;

use crate::data::{Collection, DataError, Field, Filter, Operator, Record};

/// The filter for the rows of these records.
///
/// # Errors
/// [`DataError::Refused`] where nothing tells the rows of a collection apart, or one of these from
/// others.
pub fn keyed(collection: &Collection, records: &[Record]) -> Result<Filter, DataError> {
    if records.is_empty() {
        return Ok(Filter::never());
    }
    told_apart(collection, records, Operator::In, |rows| rows)
}

/// Whether [`keyed`] means the rows of these records and no others.
pub(super) fn are_told_apart(collection: &Collection, records: &[Record]) -> bool {
    let shown_whole = |keys: Vec<&Field>| keys.iter().all(|key| key.kind().is_shown_whole());
    collection.row_keys().is_ok_and(shown_whole) && keyed(collection, records).is_ok()
}

/// The filter for all rows but those of these records.
///
/// # Errors
/// As [`keyed`].
pub(super) fn others(collection: &Collection, records: &[Record]) -> Result<Filter, DataError> {
    if records.is_empty() {
        return Ok(Filter::All);
    }
    told_apart(collection, records, Operator::NotIn, |rows| Filter::Not(Box::new(rows)))
}

fn told_apart(
    collection: &Collection,
    records: &[Record],
    by_one: Operator,
    by_several: impl FnOnce(Filter) -> Filter,
) -> Result<Filter, DataError> {
    let keys: Vec<&str> = collection.row_keys()?.into_iter().map(Field::name).collect();
    let value = |record: &Record, name: &str| {
        // Any number of rows may have none.
        record.get(name).filter(|value| !value.is_null()).cloned().ok_or_else(|| {
            let collection = collection.name();
            DataError::Refused(format!("a record of {collection} has no {name}, by which it is told apart"))
        })
    };
    if let [key] = keys.as_slice() {
        let values: Result<Vec<Json>, _> = records.iter().map(|record| value(record, key)).collect();
        return Ok(Filter::on(*key, by_one, values?));
    }
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        let parts: Result<_, _> =
            keys.iter().map(|key| value(record, key).map(|value| Filter::eq(*key, value))).collect();
        rows.push(Filter::And(parts?));
    }
    Ok(by_several(Filter::Or(rows)))
}
