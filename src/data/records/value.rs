//! Values on their way in and out: JSON, checked and converted by the field's type.
//!
//! What is accepted is what the same request gets from NocoBase: a number for a text, a numeric
//! text for a number, a moment in any zone. What comes out is always the type itself.

use std::borrow::Cow;

use bigdecimal::{BigDecimal, RoundingMode};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, SubsecRound, Utc};
use serde_json::Value as Json;

use super::depth;
use crate::data::{Collection, DataError, Field, FieldType};
use crate::database::Value;

/// Characters a `string` field holds.
const STRING_LENGTH: usize = 255;
/// The largest whole number that a JavaScript client reads as it is; larger ones go out as texts.
const SAFE_INTEGER: i64 = 9_007_199_254_740_991;

pub(in crate::data) fn invalid(field: &Field, problem: impl Into<String>) -> DataError {
    DataError::Invalid { field: field.name().to_owned(), problem: problem.into() }
}

pub(in crate::data) fn unreadable(collection: &Collection, field: &str, expected: &'static str) -> DataError {
    DataError::Unreadable { collection: collection.name().to_owned(), field: field.to_owned(), expected }
}

/// A JSON value as the query builder binds it.
pub(in crate::data) fn from_json(field: &Field, given: &Json) -> Result<sea_query::Value, DataError> {
    to_storage(field, given).map(Into::into)
}

/// A JSON value that a field is compared with.
pub(in crate::data) fn operand(field: &Field, given: &Json) -> Result<sea_query::Value, DataError> {
    // A text is compared with whatever it looks like, and with a longer one than it could be.
    if field.kind.is_text() || field.kind == FieldType::Password {
        let text = match given {
            Json::Bool(value) => value.to_string(),
            other => text(field, other, None)?,
        };
        return Ok(Value::Text(text).into());
    }
    // So are whole numbers: 1.5 is between two of them.
    if field.kind.is_whole() || matches!(field.kind, FieldType::UnixTimestamp { .. }) {
        return Ok(match (whole(field, given), number(given)) {
            (Ok(number), _) => Value::Integer(number),
            (Err(_), Some(number)) => Value::Real(number),
            (Err(_), None) => to_storage(field, given)?,
        }
        .into());
    }
    if let FieldType::Decimal { scale, .. } = field.kind {
        // As exact as it was given: rounded, it could be equal to what it is not.
        return decimal(given)
            .map(|number| number.with_scale(number.fractional_digit_count().max(i64::from(scale))))
            .map(|number| Value::Decimal(number).into())
            .ok_or_else(|| expected(field, given, "a number"));
    }
    to_storage(field, given).map(Into::into)
}

/// A JSON value as a field stores it.
pub(in crate::data) fn to_storage(field: &Field, given: &Json) -> Result<Value, DataError> {
    if given.is_null() {
        if field.not_null {
            return Err(invalid(field, "it must have a value"));
        }
        return Ok(Value::Null);
    }
    match field.kind {
        FieldType::String | FieldType::Nanoid | FieldType::Uid | FieldType::Password => {
            text(field, given, Some(STRING_LENGTH)).map(Value::Text)
        }
        FieldType::Text => text(field, given, None).map(Value::Text),
        FieldType::Integer => {
            let number = whole(field, given)?;
            i32::try_from(number).map_err(|_| invalid(field, format!("{number} is out of range")))?;
            Ok(Value::Integer(number))
        }
        FieldType::BigInt | FieldType::SnowflakeId | FieldType::Sort => {
            whole(field, given).map(Value::Integer)
        }
        FieldType::Float | FieldType::Double => {
            number(given).map(Value::Real).ok_or_else(|| expected(field, given, "a number"))
        }
        FieldType::Decimal { precision, scale } => stored_decimal(field, given, precision, scale),
        FieldType::Boolean => {
            truth(given).map(Value::Bool).ok_or_else(|| expected(field, given, "true or false"))
        }
        FieldType::Json => {
            depth::check(field, given)?;
            Ok(Value::Json(document(given)))
        }
        FieldType::Array | FieldType::Set => list(field, given),
        FieldType::DateTime => {
            moment(given).map(Value::DateTime).ok_or_else(|| expected(field, given, "a date and time"))
        }
        FieldType::DateTimeNoTz => wall_clock(given)
            .map(Value::DateTimeNoTz)
            .ok_or_else(|| expected(field, given, "a date and time")),
        FieldType::DateOnly => date(given).map(Value::Date).ok_or_else(|| expected(field, given, "a date")),
        FieldType::Time => {
            time(given).map(Value::Time).ok_or_else(|| expected(field, given, "a time of day"))
        }
        FieldType::UnixTimestamp { milliseconds } => seconds(given, milliseconds)
            .map(Value::Integer)
            .ok_or_else(|| expected(field, given, "a date and time")),
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
    let text: Cow<'_, str> = match given {
        Json::String(text) => text.into(),
        Json::Number(number) => number.to_string().into(),
        _ => return Err(expected(field, given, "a text")),
    };
    // What is refused is not copied: it may be megabytes.
    if let Some(limit) = limit {
        // No character takes more bytes: this is too long by far, and is not counted.
        if text.len() / 4 > limit {
            return Err(invalid(field, format!("it has more than the {limit} characters that are allowed")));
        }
        let length = text.chars().count();
        if length > limit {
            return Err(invalid(field, format!("it has {length} characters, at most {limit} are allowed")));
        }
    }
    // PostgreSQL cannot store it, and the answer is the same on every engine.
    if text.contains('\0') {
        return Err(invalid(field, "a text cannot hold the character U+0000"));
    }
    Ok(text.into_owned())
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
pub(in crate::data) fn exact(number: f64) -> Option<i64> {
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

fn decimal(given: &Json) -> Option<BigDecimal> {
    let text = match given {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    // An exponent of millions is no number that anybody has.
    let number: BigDecimal = text.parse().ok().filter(|_| text.len() <= 200)?;
    (number.digits() <= 200 && number.fractional_digit_count().abs() <= 200).then_some(number)
}

fn stored_decimal(field: &Field, given: &Json, precision: u32, scale: u32) -> Result<Value, DataError> {
    let number = decimal(given).ok_or_else(|| expected(field, given, "a number"))?;
    let rounded = number.with_scale_round(i64::from(scale), RoundingMode::HalfUp);
    let digits = rounded.digits();
    if digits > u64::from(precision) {
        return Err(invalid(field, format!("it has {digits} digits, at most {precision} are allowed")));
    }
    Ok(Value::Decimal(rounded))
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

/// A document as every engine keeps it: PostgreSQL has no place for U+0000 within one.
fn document(given: &Json) -> Json {
    match given {
        Json::String(text) if text.contains('\0') => Json::String(text.replace('\0', "")),
        Json::Array(items) => items.iter().map(document).collect(),
        Json::Object(entries) => {
            entries.iter().map(|(name, value)| (name.replace('\0', ""), document(value))).collect()
        }
        other => other.clone(),
    }
}

fn list(field: &Field, given: &Json) -> Result<Value, DataError> {
    let parsed = given.as_str().and_then(|text| serde_json::from_str::<Json>(text).ok());
    let Some(items) = parsed.as_ref().unwrap_or(given).as_array() else {
        return Err(expected(field, given, "a list"));
    };
    depth::check(field, parsed.as_ref().unwrap_or(given))?;
    let mut kept: Vec<Json> = Vec::with_capacity(items.len());
    for item in items {
        let item = document(item);
        if field.kind != FieldType::Set || !kept.contains(&item) {
            kept.push(item);
        }
    }
    Ok(Value::Json(Json::Array(kept)))
}

/// Beyond these years the texts of moments are no longer of one width, and out of order.
fn in_range(date: &impl Datelike) -> bool {
    (0..=9999).contains(&date.year())
}

/// A moment: RFC 3339 in any zone, a date and time of day or a date (in UTC), or milliseconds since
/// 1970.
fn moment(given: &Json) -> Option<DateTime<Utc>> {
    let at = match given {
        Json::Number(number) => DateTime::from_timestamp_millis(number.as_i64()?)?,
        Json::String(text) => match DateTime::parse_from_rfc3339(text.trim()) {
            Ok(at) => at.with_timezone(&Utc),
            Err(_) => without_zone(text)?.and_utc(),
        },
        _ => return None,
    };
    in_range(&at).then(|| at.trunc_subsecs(3))
}

/// A date and a time of day without a zone, or a date alone.
fn without_zone(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let known = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    known.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
}

/// A date and a time of day; those of a moment are what they are in UTC.
fn wall_clock(given: &Json) -> Option<NaiveDateTime> {
    let at = given.as_str().and_then(without_zone).or_else(|| Some(moment(given)?.naive_utc()))?;
    in_range(&at).then(|| at.trunc_subsecs(3))
}

fn date(given: &Json) -> Option<NaiveDate> {
    wall_clock(given).map(|at| at.date())
}

fn time(given: &Json) -> Option<NaiveTime> {
    let text = given.as_str()?.trim();
    let forms = ["%H:%M:%S%.f", "%H:%M"];
    let known = forms.iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok());
    known.or_else(|| Some(wall_clock(given)?.time())).map(|time| time.trunc_subsecs(3))
}

/// A moment as a number since 1970; a number is one already.
fn seconds(given: &Json, milliseconds: bool) -> Option<i64> {
    if let Json::Number(number) = given {
        let number = number.as_i64().or_else(|| exact(number.as_f64()?.floor()))?;
        let thousandth = if milliseconds { Some(number) } else { number.checked_mul(1000) };
        return DateTime::from_timestamp_millis(thousandth?).filter(in_range).map(|_| number);
    }
    let at = moment(given)?;
    Some(if milliseconds { at.timestamp_millis() } else { at.timestamp() })
}

/// A stored value as JSON of the field's type.
pub(in crate::data) fn to_json(
    collection: &Collection,
    field: &Field,
    stored: Value,
) -> Result<Json, DataError> {
    let found = match field.kind {
        FieldType::String | FieldType::Text | FieldType::Nanoid | FieldType::Uid | FieldType::Password => {
            text_to_json(stored)
        }
        FieldType::Integer | FieldType::BigInt | FieldType::SnowflakeId | FieldType::Sort => match stored {
            Value::Integer(number) => Some(whole_to_json(number)),
            Value::Null => Some(Json::Null),
            _ => None,
        },
        FieldType::Float | FieldType::Double => real_to_json(stored),
        FieldType::Decimal { scale, .. } => decimal_to_json(stored, scale),
        FieldType::Json | FieldType::Array | FieldType::Set => match stored {
            Value::Json(json) => Some(json),
            Value::Text(text) => serde_json::from_str(&text).ok(),
            Value::Null => Some(Json::Null),
            _ => None,
        },
        FieldType::Boolean => match stored {
            Value::Bool(value) => Some(Json::Bool(value)),
            Value::Integer(number) => Some(Json::Bool(number != 0)),
            Value::Null => Some(Json::Null),
            _ => None,
        },
        _ => time_to_json(field.kind, stored),
    };
    found.ok_or_else(|| unreadable(collection, field.name(), field.kind.as_str()))
}

/// Writes a stored value as JSON of the field's type: what [`to_json`] gives, without making it first
/// where it is a text or a whole number already.
pub(in crate::data) fn write(
    out: &mut Vec<u8>,
    collection: &Collection,
    field: &Field,
    stored: Value,
) -> Result<(), DataError> {
    match (field.kind, stored) {
        (
            FieldType::String
            | FieldType::Text
            | FieldType::Nanoid
            | FieldType::Uid
            | FieldType::Password
            // Texts of SQLite, in the form that goes out.
            | FieldType::DateTime
            | FieldType::DateOnly
            | FieldType::Uuid,
            Value::Text(text),
        ) => write_text(out, &text),
        (
            FieldType::Integer | FieldType::BigInt | FieldType::SnowflakeId | FieldType::Sort,
            Value::Integer(number),
        ) if number.unsigned_abs() <= SAFE_INTEGER.unsigned_abs() => write_json(out, &number),
        (_, stored) => write_json(out, &to_json(collection, field, stored)?),
    }
    Ok(())
}

/// Writes a text as JSON.
pub(in crate::data) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_json(out, text);
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Into memory, and of types that are JSON.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

fn text_to_json(stored: Value) -> Option<Json> {
    match stored {
        Value::Text(text) => Some(Json::String(text)),
        Value::Null => Some(Json::Null),
        _ => None,
    }
}

pub(in crate::data) fn whole_to_json(number: i64) -> Json {
    if (-SAFE_INTEGER..=SAFE_INTEGER).contains(&number) {
        Json::from(number)
    } else {
        Json::String(number.to_string())
    }
}

pub(in crate::data) fn real_to_json(stored: Value) -> Option<Json> {
    match stored {
        Value::Real(number) => match exact(number) {
            // As JavaScript writes it: 7, not 7.0.
            Some(whole) => Some(Json::from(whole)),
            None => serde_json::Number::from_f64(number).map(Json::Number),
        },
        Value::Integer(number) => Some(Json::from(number)),
        Value::Null => Some(Json::Null),
        _ => None,
    }
}

fn decimal_to_json(stored: Value, scale: u32) -> Option<Json> {
    let number = match stored {
        Value::Decimal(number) => number,
        Value::Text(text) => text.parse().ok()?,
        Value::Integer(number) => BigDecimal::from(number),
        Value::Null => return Some(Json::Null),
        _ => return None,
    };
    Some(Json::String(number.with_scale(i64::from(scale)).to_plain_string()))
}

fn time_to_json(kind: FieldType, stored: Value) -> Option<Json> {
    let moment = |at: DateTime<Utc>| Json::String(at.to_rfc3339_opts(SecondsFormat::Millis, true));
    match (kind, stored) {
        (_, Value::Null) => Some(Json::Null),
        (FieldType::DateTime, Value::DateTime(at)) => Some(moment(at)),
        (FieldType::DateTime, Value::DateTimeNoTz(at)) => Some(moment(at.and_utc())),
        (FieldType::DateTimeNoTz, Value::DateTimeNoTz(at)) => Some(clock_to_json(at)),
        (FieldType::DateTimeNoTz, Value::DateTime(at)) => Some(clock_to_json(at.naive_utc())),
        (FieldType::DateOnly, Value::Date(date)) => Some(Json::String(date.format("%Y-%m-%d").to_string())),
        (FieldType::DateOnly, Value::DateTime(at)) => {
            Some(Json::String(at.date_naive().format("%Y-%m-%d").to_string()))
        }
        (FieldType::Time, Value::Time(time)) => Some(Json::String(time.format("%H:%M:%S").to_string())),
        (FieldType::UnixTimestamp { milliseconds }, Value::Integer(number)) => {
            let thousandth = if milliseconds { Some(number) } else { number.checked_mul(1000) };
            DateTime::from_timestamp_millis(thousandth?).map(moment)
        }
        (FieldType::Uuid, Value::Uuid(uuid)) => Some(Json::String(uuid.hyphenated().to_string())),
        // Texts of engines without such types: written in this form by us, with milliseconds.
        (FieldType::DateTimeNoTz, Value::Text(text)) => {
            Some(Json::String(text.get(..19).map_or(text.clone(), str::to_owned)))
        }
        (FieldType::Time, Value::Text(text)) => {
            Some(Json::String(text.get(..8).map_or(text.clone(), str::to_owned)))
        }
        (FieldType::DateTime | FieldType::DateOnly | FieldType::Uuid, Value::Text(text)) => {
            Some(Json::String(text))
        }
        _ => None,
    }
}

/// A key as texts compare it: `1` and `"1"` are one key.
pub(in crate::data) fn key_text(key: &Json) -> Option<String> {
    match key {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn clock_to_json(at: NaiveDateTime) -> Json {
    Json::String(at.format("%Y-%m-%d %H:%M:%S").to_string())
}
