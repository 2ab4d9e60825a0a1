//! What bodies of requests say.

use serde_json::{Map, Value as Json};

use super::error::{StoreError, invalid};
use crate::data::Record;

/// What a body says; it must be an object.
pub(super) fn object<'a>(body: &'a Json, what: &str) -> Result<&'a Map<String, Json>, StoreError> {
    body.as_object().ok_or_else(|| invalid(format!("{what} must be an object")))
}

/// A text that is not empty, where there is one.
pub(super) fn text<'a>(body: &'a Map<String, Json>, name: &str) -> Result<Option<&'a str>, StoreError> {
    match body.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim())),
        Some(_) => Err(invalid(format!("{name} must be a text"))),
    }
}

/// The number that an ID is, also where it is written as a text.
pub(super) fn number(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

pub(super) fn stored_id(record: &Record) -> i64 {
    record.get("id").and_then(Json::as_i64).unwrap_or_default()
}
