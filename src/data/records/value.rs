//! Values on their way in and out: JSON, checked and converted by the field's type.
//!
//! What is accepted is what the same request gets from NocoBase: a number for a text, a numeric
//! text for a number, a moment in any zone. What comes out is always the type itself.

use chrono::{DateTime, NaiveDate, SecondsFormat, SubsecRound, Utc};
use serde_json::Value as Json;

use crate::data::{Collection, DataError, Field, FieldType};
use crate::database::Value;

/// Characters a `string` field holds.
const STRING_LENGTH: usize = 255;

pub(in crate::data) fn invalid(field: &Field, problem: impl Into<String>) -> DataError {
    DataError::Invalid { field: field.name().to_owned(), problem: problem.into() }
}

pub(super) fn unreadable(collection: &Collection, field: &str, expected: &'static str) -> DataError {
    DataError::Unreadable { collection: collection.name().to_owned(), field: field.to_owned(), expected }
}

/// A JSON value as the query builder binds it.
pub(in crate::data) fn from_json(field: &Field, given: &Json) -> Result<sea_query::Value, DataError> {
    to_storage(field, given).map(Into::into)
}

/// A JSON value as a field stores it.
pub(super) fn to_storage(field: &Field, given: &Json) -> Result<Value, DataError> {
    if given.is_null() {
        if field.not_null {
            return Err(invalid(field, "it must have a value"));
        }
        return Ok(Value::Null);
    }
    match field.kind {
        FieldType::String => text(field, given, Some(STRING_LENGTH)).map(Value::Text),
        FieldType::Text => text(field, given, None).map(Value::Text),
        FieldType::Integer => {
            let number = whole(field, given)?;
            i32::try_from(number).map_err(|_| invalid(field, format!("{number} is out of range")))?;
            Ok(Value::Integer(number))
        }
        FieldType::BigInt => whole(field, given).map(Value::Integer),
        FieldType::Double => number(given).map(Value::Real).ok_or_else(|| expected(field, given, "a number")),
        FieldType::Boolean => {
            truth(given).map(Value::Bool).ok_or_else(|| expected(field, given, "true or false"))
        }
        FieldType::Json => Ok(Value::Json(given.clone())),
        FieldType::DateTime => {
            moment(given).map(Value::DateTime).ok_or_else(|| expected(field, given, "a date and time"))
        }
        FieldType::Uuid => given
            .as_str()
            .and_then(|text| uuid::Uuid::try_parse(text).ok())
            .map(Value::Uuid)
            .ok_or_else(|| expected(field, given, "a UUID")),
    }
}

fn expected(field: &Field, given: &Json, what: &str) -> DataError {
    let mut shown: String = given.to_string().chars().take(60).collect();
    if field.is_hidden() {
        // A sentence is an answer too.
        shown = "what was given".to_owned();
    }
    invalid(field, format!("{shown} is not {what}"))
}

fn text(field: &Field, given: &Json, limit: Option<usize>) -> Result<String, DataError> {
    let text = match given {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => return Err(expected(field, given, "a text")),
    };
    // PostgreSQL cannot store it, and the answer is the same on every engine.
    if text.contains('\0') {
        return Err(invalid(field, "a text cannot hold the character U+0000"));
    }
    if let Some(limit) = limit {
        let length = text.chars().count();
        if length > limit {
            return Err(invalid(field, format!("it has {length} characters, at most {limit} are allowed")));
        }
    }
    Ok(text)
}

fn whole(field: &Field, given: &Json) -> Result<i64, DataError> {
    let found = match given {
        Json::Number(number) => number.as_i64().or_else(|| exact(number.as_f64()?)),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    found.ok_or_else(|| expected(field, given, "a whole number"))
}

/// The whole number that a float is, if it is one without a doubt.
#[expect(clippy::cast_possible_truncation, reason = "it was checked to be whole and in range")]
fn exact(number: f64) -> Option<i64> {
    const LARGEST: f64 = 9_007_199_254_740_991.0;
    (number.fract() == 0.0 && number.abs() <= LARGEST).then_some(number as i64)
}

fn number(given: &Json) -> Option<f64> {
    match given {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

fn truth(given: &Json) -> Option<bool> {
    match given {
        Json::Bool(value) => Some(*value),
        Json::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Json::String(text) => match text.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A moment: RFC 3339 in any zone, a date (its beginning in UTC), or milliseconds since 1970.
fn moment(given: &Json) -> Option<DateTime<Utc>> {
    let at = match given {
        Json::Number(number) => DateTime::from_timestamp_millis(number.as_i64()?)?,
        Json::String(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(at) => at.with_timezone(&Utc),
            Err(_) => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc(),
        },
        _ => return None,
    };
    // Beyond these years the texts of moments are no longer of one width, and out of order.
    let year = chrono::Datelike::year(&at);
    (0..=9999).contains(&year).then(|| at.trunc_subsecs(3))
}

/// A stored value as JSON of the field's type.
pub(super) fn to_json(collection: &Collection, field: &Field, stored: Value) -> Result<Json, DataError> {
    let json = match (field.kind, stored) {
        (_, Value::Null) => Some(Json::Null),
        (FieldType::Json, Value::Json(json)) => Some(json),
        (FieldType::Json, Value::Text(text)) => serde_json::from_str(&text).ok(),
        (FieldType::Boolean, Value::Bool(value)) => Some(Json::Bool(value)),
        (FieldType::Boolean, Value::Integer(number)) => Some(Json::Bool(number != 0)),
        (FieldType::Double, Value::Real(number)) => match exact(number) {
            // As JavaScript writes it: 7, not 7.0.
            Some(whole) => Some(Json::from(whole)),
            None => serde_json::Number::from_f64(number).map(Json::Number),
        },
        (FieldType::DateTime, Value::DateTime(at)) => {
            Some(Json::String(at.to_rfc3339_opts(SecondsFormat::Millis, true)))
        }
        (FieldType::Uuid, Value::Uuid(uuid)) => Some(Json::String(uuid.hyphenated().to_string())),
        // Texts of SQLite: written in this form by us.
        (FieldType::String | FieldType::Text | FieldType::DateTime | FieldType::Uuid, Value::Text(text)) => {
            Some(Json::String(text))
        }
        (FieldType::Integer | FieldType::BigInt | FieldType::Double, Value::Integer(number)) => {
            Some(Json::from(number))
        }
        _ => None,
    };
    json.ok_or_else(|| unreadable(collection, field.name(), field.kind.as_str()))
}
