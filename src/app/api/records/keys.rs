//! Parses the keys of records in requests.
//!
//! A text is one key, as it is: in a path, in `filterByTk` and in a filter. Several are a list
//! (`filterByTk[]=a&filterByTk[]=b`), and the parts of a key of several fields have their names
//! (`filterByTk[row]=1&filterByTk[number]=2`). Where no key can be a text, because it is a number or has
//! several fields, both may be written as JSON as well (`filterByTk=[1,2]`): there it can be
//! nothing else.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::app::api::ApiError;
use crate::data::{Collection, Field, Filter};

/// A filter for one key, several keys, or the parts of one; `None` if none is given.
pub(super) fn filter(collection: &Collection, given: &Value) -> Result<Option<Filter>, ApiError> {
    let fields = collection.key();
    let given = read(&fields, given);
    let parts = |object: &Map<String, Value>| {
        let known = |name: &String| fields.iter().any(|field| field.name() == name);
        if object.is_empty() || !object.keys().all(known) {
            return Err(ApiError::bad_request("filterByTk names what is no key"));
        }
        Ok(Filter::And(object.iter().map(|(name, value)| Filter::eq(name, value.clone())).collect()))
    };
    let single = || collection.single_key().map(|field| field.name().to_owned());
    Ok(match &*given {
        Value::Null => None,
        // The empty text is a key where keys are texts.
        Value::String(text) if text.is_empty() && !is_text(&fields) => {
            return Err(ApiError::bad_request("filterByTk is empty: say which key is meant"));
        }
        Value::Object(object) => match fields.as_slice() {
            [field] if !object.contains_key(field.name()) => {
                Some(Filter::one_of(field.name(), numbered(object)))
            }
            _ => Some(parts(object)?),
        },
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let each = items.iter().map(|item| {
                item.as_object().map_or_else(|| Err(ApiError::bad_request("filterByTk mixes keys")), parts)
            });
            Some(Filter::Or(each.collect::<Result<_, _>>()?))
        }
        Value::Array(items) => Some(Filter::one_of(single()?, items.clone())),
        Value::String(_) if fields.len() > 1 => {
            return Err(ApiError::bad_request("filterByTk must have each part of the key"));
        }
        one => Some(Filter::eq(single()?, one.clone())),
    })
}

/// The keys themselves, of one field; or objects that have it.
pub(super) fn all(field: &Field, given: &Value) -> Vec<Value> {
    match read(&[field], given).into_owned() {
        Value::Null => Vec::new(),
        Value::String(text) if text.is_empty() && !is_text(&[field]) => Vec::new(),
        Value::Array(items) => items,
        Value::Object(object) if !object.contains_key(field.name()) => numbered(&object),
        one => vec![one],
    }
}

/// Beyond so many, `qs` makes an object of an array.
fn numbered(object: &Map<String, Value>) -> Vec<Value> {
    object.values().cloned().collect()
}

/// Whether a key is one text.
fn is_text(fields: &[&Field]) -> bool {
    matches!(fields, [field] if field.kind().is_text())
}

/// What was given, read as JSON where no key can be a text.
fn read<'a>(fields: &[&Field], given: &'a Value) -> Cow<'a, Value> {
    let text = given.as_str().map(str::trim).filter(|text| !is_text(fields) && text.starts_with(['[', '{']));
    match text.and_then(|text| serde_json::from_str(text).ok()) {
        Some(read) => Cow::Owned(read),
        None => Cow::Borrowed(given),
    }
}
