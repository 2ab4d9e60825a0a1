//! Parses a request to move a record or a definition.

use serde_json::{Map, Value};

use super::parameters::truth;
use crate::app::api::{ApiError, Call};

/// How something is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum MoveMethod {
    /// In the place of the target.
    Usual,
    /// Right behind the target.
    InsertAfter,
    /// Before all others of the order that it comes into.
    Prepend,
}

/// What is moved, and where to.
#[derive(Debug)]
pub(in crate::app) struct Moving {
    /// The key of what is moved.
    pub(in crate::app) source: Value,
    /// The key of what it is moved to.
    pub(in crate::app) target: Option<Value>,
    pub(in crate::app) method: MoveMethod,
    /// The field that holds the order.
    pub(in crate::app) field: Option<String>,
    /// The order that it is moved into.
    pub(in crate::app) scope: Option<Map<String, Value>>,
    /// Whether it goes before all others.
    pub(in crate::app) sticky: bool,
}

impl Moving {
    /// Reads it from the query string, or else from the body.
    ///
    /// # Errors
    /// 400 for what is missing, and for what is not understood: it would move something elsewhere.
    pub(in crate::app) fn of(call: &Call<'_>) -> Result<Self, ApiError> {
        let given = |name: &str| {
            let value = call.params.get(name).or_else(|| call.body.get(name));
            value.filter(|value| !value.is_null()).cloned()
        };
        let key = |name: &str| match given(name) {
            None => Ok(None),
            Some(key @ (Value::String(_) | Value::Number(_))) => Ok(Some(key)),
            Some(other) => Err(ApiError::bad_request(format!("{name} is one key, not {other}"))),
        };
        let Some(source) = key("sourceId")? else {
            return Err(ApiError::bad_request("say what is moved: sourceId is missing"));
        };
        Ok(Self {
            source,
            target: key("targetId")?,
            method: method(given("method"))?,
            field: match given("sortField") {
                None => None,
                Some(Value::String(name)) if !name.is_empty() => Some(name),
                Some(other) => {
                    return Err(ApiError::bad_request(format!(
                        "sortField is the name of a field, not {other}"
                    )));
                }
            },
            scope: scope(given("targetScope"))?,
            sticky: given("sticky").map_or(Ok(None), |given| truth("sticky", &given))?.unwrap_or(false),
        })
    }
}

fn method(given: Option<Value>) -> Result<MoveMethod, ApiError> {
    match given {
        None => Ok(MoveMethod::Usual),
        Some(Value::String(name)) if name == "insertAfter" => Ok(MoveMethod::InsertAfter),
        Some(Value::String(name)) if name == "prepend" => Ok(MoveMethod::Prepend),
        Some(other) => {
            Err(ApiError::bad_request(format!("method is insertAfter or prepend, or left out, not {other}")))
        }
    }
}

fn scope(given: Option<Value>) -> Result<Option<Map<String, Value>>, ApiError> {
    let read = match given {
        None => return Ok(None),
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Some(other) => other,
    };
    match read {
        Value::Object(scope) if !scope.is_empty() => Ok(Some(scope)),
        other => Err(ApiError::bad_request(format!(
            "targetScope is an object with the field that divides the records, not {other}"
        ))),
    }
}
