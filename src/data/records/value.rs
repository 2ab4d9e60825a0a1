//! Converts values between JSON and storage by the field's type, and checks them.
//!
//! The accepted values are those of NocoBase: a number for a text, a numeric text for a number, an instant in
//! any zone. Values are always returned in the JSON type of the field.

use std::borrow::Cow;

use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, RoundingMode};
use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use sea_query::Expr;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::datetime;
use super::json_depth;
use super::number::{self, MAX_SAFE_INTEGER, Representation};
pub(in crate::data) use crate::data::error::{invalid, unreadable};
use crate::data::text::{Text, check_document};
use crate::data::{Collection, DataError, Field, FieldType};
use crate::database::{Engine, Value};

/// Converts a JSON value for the query builder.
pub(in crate::data) fn from_json(field: &Field, given: &Json) -> Result<sea_query::Value, DataError> {
    to_storage(field, given).map(Into::into)
}

/// Converts an operand to an expression of a statement.
pub(in crate::data) fn operand(
    engine: Engine,
    field: &Field,
    given: &Json,
) -> Result<Representation<Expr>, DataError> {
    let held = compared_value(field, given)?;
    Ok(held.map(|value| match (field.kind, value) {
        (FieldType::Decimal { precision, scale }, Value::Decimal(number)) => {
            engine.decimal(number, precision, scale)
        }
        (_, value) => Expr::val(sea_query::Value::from(value)),
    }))
}

/// Converts an operand. A number that the field cannot hold keeps its order among the field's values.
pub(in crate::data) fn compared_value(
    field: &Field,
    given: &Json,
) -> Result<Representation<Value>, DataError> {
    let not_a_number = || expected(field, given, "a number");
    // Any text can be an operand, also one that is too long for the field.
    if field.kind.is_text() || field.kind == FieldType::Password {
        let text = match given {
            Json::Bool(value) => Text::new(field, value.to_string())?,
            other => text(field, other, None)?,
        };
        return Ok(Representation::Exact(stored_text(text)));
    }
    let held = match field.kind {
        FieldType::Integer => {
            number::represent_integer(given, i32::MIN.into(), i32::MAX.into()).ok_or_else(not_a_number)?
        }
        FieldType::BigInt | FieldType::SnowflakeId | FieldType::Sort => {
            number::represent_integer(given, i64::MIN, i64::MAX).ok_or_else(not_a_number)?
        }
        FieldType::UnixTimestamp { .. } => match number::represent_integer(given, i64::MIN, i64::MAX) {
            Some(held) => held,
            None => return to_storage(field, given).map(Representation::Exact),
        },
        FieldType::Decimal { precision, scale } => {
            let held = number::represent_decimal(given, precision, scale).ok_or_else(not_a_number)?;
            return Ok(held.map(Value::Decimal));
        }
        _ => return convert(field, given).map(Representation::Exact),
    };
    Ok(held.map(Value::Integer))
}

/// Converts a JSON value for storage.
pub(in crate::data) fn to_storage(field: &Field, given: &Json) -> Result<Value, DataError> {
    let stored = convert(field, given)?;
    if field.unsigned && is_negative(&stored) {
        return Err(expected(field, given, "a number of at least 0, which an unsigned field requires"));
    }
    Ok(stored)
}

fn is_negative(stored: &Value) -> bool {
    match stored {
        Value::Integer(number) => *number < 0,
        Value::Real(number) => *number < 0.0,
        Value::Decimal(number) => number.sign() == Sign::Minus,
        _ => false,
    }
}

/// As [`to_storage`], but without the check of unsigned fields: operands may be negative.
fn convert(field: &Field, given: &Json) -> Result<Value, DataError> {
    if given.is_null() {
        if field.not_null {
            return Err(invalid(field, "it must have a value"));
        }
        return Ok(Value::Null);
    }
    match field.kind {
        FieldType::String | FieldType::Nanoid | FieldType::Uid | FieldType::Password => {
            text(field, given, usize::try_from(field.length()).ok()).map(stored_text)
        }
        FieldType::Text => text(field, given, None).map(stored_text),
        FieldType::Integer => {
            let number = whole(field, given)?;
            i32::try_from(number).map_err(|_| invalid(field, format!("{number} is out of range")))?;
            Ok(Value::Integer(number))
        }
        FieldType::BigInt | FieldType::SnowflakeId | FieldType::Sort => {
            whole(field, given).map(Value::Integer)
        }
        FieldType::Float | FieldType::Double => {
            number::double(given).map(Value::Real).ok_or_else(|| expected(field, given, "a number"))
        }
        FieldType::Decimal { precision, scale } => stored_decimal(field, given, precision, scale),
        FieldType::Boolean => {
            truth(given).map(Value::Bool).ok_or_else(|| expected(field, given, "true or false"))
        }
        FieldType::Json => {
            json_depth::check(field, given)?;
            document(field, given).map(Value::Json)
        }
        FieldType::Array | FieldType::Set => list(field, given),
        FieldType::DateTime => datetime::instant(given)
            .map(Value::DateTime)
            .ok_or_else(|| expected(field, given, "a date and time")),
        FieldType::DateTimeNoTz => datetime::wall_clock(given)
            .map(Value::DateTimeNoTz)
            .ok_or_else(|| expected(field, given, "a date and time")),
        FieldType::DateOnly => {
            datetime::date(given).map(Value::Date).ok_or_else(|| expected(field, given, "a date"))
        }
        FieldType::Time => {
            datetime::time(given).map(Value::Time).ok_or_else(|| expected(field, given, "a time of day"))
        }
        FieldType::UnixTimestamp { milliseconds } => datetime::since_1970(given, milliseconds)
            .map(Value::Integer)
            .ok_or_else(|| expected(field, given, "a date and time")),
        FieldType::Uuid => given
            .as_str()
            .and_then(|text| uuid::Uuid::try_parse(text.trim()).ok())
            .map(Value::Uuid)
            .ok_or_else(|| expected(field, given, "a UUID")),
    }
}

fn expected(field: &Field, given: &Json, what: &str) -> DataError {
    let mut shown: String = given.to_string().chars().take(60).collect();
    if field.is_hidden() {
        // The error must not reveal a hidden value.
        shown = "the value".to_owned();
    }
    invalid(field, format!("{shown} is not {what}"))
}

fn text(field: &Field, given: &Json, limit: Option<usize>) -> Result<Text, DataError> {
    let text: Cow<'_, str> = match given {
        Json::String(text) => text.into(),
        Json::Number(number) => number::digits(number).ok_or_else(|| too_many_digits(field))?.into(),
        _ => return Err(expected(field, given, "a text")),
    };
    let text = match text {
        Cow::Borrowed(text) if field.trimmed => text.trim().into(),
        text => text,
    };
    // A refused text is not copied: it may have megabytes.
    if let Some(limit) = limit {
        // A character has at most 4 bytes: such a text is too long in any case, and not counted.
        if text.len() / 4 > limit {
            return Err(invalid(field, format!("it has more than {limit} characters, which is the limit")));
        }
        let length = text.chars().count();
        if length > limit {
            return Err(invalid(field, format!("it has {length} characters, at most {limit} are allowed")));
        }
    }
    Text::new(field, text)
}

fn stored_text(text: Text) -> Value {
    Value::Text(text.into_string())
}

fn whole(field: &Field, given: &Json) -> Result<i64, DataError> {
    number::whole(given).ok_or_else(|| expected(field, given, "a whole number"))
}

fn too_many_digits(field: &Field) -> DataError {
    invalid(field, "a number has too many digits, written without an exponent")
}

/// Returns the whole number that a double represents exactly.
#[expect(clippy::cast_possible_truncation, reason = "it was checked to be whole and in range")]
fn exact_integer(number: f64) -> Option<i64> {
    const LARGEST: f64 = 9_007_199_254_740_991.0;
    (number.fract() == 0.0 && number.abs() <= LARGEST).then_some(number as i64)
}

fn stored_decimal(field: &Field, given: &Json, precision: u32, scale: u32) -> Result<Value, DataError> {
    let number = number::decimal(given).ok_or_else(|| expected(field, given, "a number"))?;
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
        Json::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Json::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        other => number::truth(other),
    }
}

/// Converts a document to the form that every engine stores: PostgreSQL cannot store U+0000, and writes
/// numbers without exponents.
pub(in crate::data) fn document(field: &Field, given: &Json) -> Result<Json, DataError> {
    check_document(field, given)?;
    without_exponents(field, given)
}

/// Rewrites every number of a document without an exponent.
fn without_exponents(field: &Field, given: &Json) -> Result<Json, DataError> {
    Ok(match given {
        Json::Array(items) => {
            Json::Array(items.iter().map(|item| without_exponents(field, item)).collect::<Result<_, _>>()?)
        }
        Json::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(name, value)| Ok((name.clone(), without_exponents(field, value)?)))
                .collect::<Result<_, DataError>>()?;
            Json::Object(entries)
        }
        // PostgreSQL stores -0 as 0.
        Json::Number(number) if number.as_i64().is_none_or(|whole| whole == 0) => {
            let digits = number::digits(number).ok_or_else(|| too_many_digits(field))?;
            digits.parse().map_or_else(|_| given.clone(), Json::Number)
        }
        other => other.clone(),
    })
}

fn list(field: &Field, given: &Json) -> Result<Value, DataError> {
    let parsed = given.as_str().and_then(|text| serde_json::from_str::<Json>(text).ok());
    let Some(items) = parsed.as_ref().unwrap_or(given).as_array() else {
        return Err(expected(field, given, "a list"));
    };
    json_depth::check(field, parsed.as_ref().unwrap_or(given))?;
    let mut kept: Vec<Json> = Vec::with_capacity(items.len());
    for item in items {
        let item = document(field, item)?;
        if field.kind != FieldType::Set || !kept.contains(&item) {
            kept.push(item);
        }
    }
    Ok(Value::Json(Json::Array(kept)))
}

/// Converts a stored value to JSON of the field's type.
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

/// As [`to_json`], but refuses numbers other than 0 and 1 in a boolean field, whose meaning is unknown.
pub(in crate::data) fn to_json_strictly(
    collection: &Collection,
    field: &Field,
    stored: Value,
) -> Result<Json, DataError> {
    match (field.kind, &stored) {
        (FieldType::Boolean, Value::Integer(number)) if !(0..=1).contains(number) => {
            Err(unreadable(collection, field.name(), field.kind.as_str()))
        }
        _ => to_json(collection, field, stored),
    }
}

/// Writes a stored value as JSON of the field's type, as [`to_json`] converts it. Texts and whole numbers are
/// written directly.
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
            // SQLite stores these as texts in the form of the response.
            | FieldType::DateTime
            | FieldType::DateOnly
            | FieldType::Uuid,
            Value::Text(text),
        ) => write_text(out, &text),
        (
            FieldType::Integer | FieldType::BigInt | FieldType::SnowflakeId | FieldType::Sort,
            Value::Integer(number),
        ) if number.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs() => write_json(out, &number),
        (FieldType::Decimal { scale, .. }, Value::Text(text)) if has_exact_scale(&text, scale) => {
            write_text(out, &text);
        }
        (FieldType::Json | FieldType::Array | FieldType::Set, Value::Text(text)) => {
            // Parsing validates the document; writing its text keeps all digits.
            let document: &RawValue = serde_json::from_str(&text)
                .map_err(|_| unreadable(collection, field.name(), field.kind.as_str()))?;
            out.extend_from_slice(document.get().as_bytes());
        }
        (_, stored) => write_json(out, &to_json(collection, field, stored)?),
    }
    Ok(())
}

/// Writes a text as JSON.
pub(in crate::data) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_json(out, text);
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing to memory cannot fail, nor can the types of the callers.
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
    if (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&number) {
        Json::from(number)
    } else {
        Json::String(number.to_string())
    }
}

pub(in crate::data) fn real_to_json(stored: Value) -> Option<Json> {
    match stored {
        Value::Real(number) => match exact_integer(number) {
            // As in JavaScript: 7, not 7.0.
            Some(whole) => Some(Json::from(whole)),
            None => serde_json::Number::from_f64(number).map(Json::Number),
        },
        Value::Integer(number) => Some(Json::from(number)),
        Value::Null => Some(Json::Null),
        _ => None,
    }
}

/// Whether a text is a number with exactly `scale` decimals.
fn has_exact_scale(text: &str, scale: u32) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    u32::try_from(decimals.len()) == Ok(scale)
        && !whole.is_empty()
        && are_digits(whole)
        && are_digits(decimals)
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
        // Engines without these types store texts in this form, with milliseconds.
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

/// Returns a key as a text, for comparisons: `1` and `"1"` are the same key.
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
