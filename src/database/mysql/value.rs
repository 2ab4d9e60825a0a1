//! Converts values to and from the protocol of MySQL and MariaDB.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use mysql_async::Value as Wire;
use mysql_async::consts::{ColumnFlags, ColumnType};
use sea_query::Value as Bound;

use crate::database::{Value, decimal};

/// The character set of binary data.
const BINARY: u16 = 63;

/// Converts a bound value for the server.
pub(super) fn parameter(value: &Bound) -> Wire {
    match value {
        Bound::Bool(Some(value)) => Wire::Int((*value).into()),
        Bound::TinyInt(Some(value)) => Wire::Int((*value).into()),
        Bound::SmallInt(Some(value)) => Wire::Int((*value).into()),
        Bound::Int(Some(value)) => Wire::Int((*value).into()),
        Bound::BigInt(Some(value)) => Wire::Int(*value),
        Bound::TinyUnsigned(Some(value)) => Wire::UInt((*value).into()),
        Bound::SmallUnsigned(Some(value)) => Wire::UInt((*value).into()),
        Bound::Unsigned(Some(value)) => Wire::UInt((*value).into()),
        Bound::BigUnsigned(Some(value)) => Wire::UInt(*value),
        Bound::Float(Some(value)) => Wire::Float(*value),
        Bound::Double(Some(value)) => Wire::Double(*value),
        Bound::String(Some(value)) => Wire::Bytes(value.as_bytes().to_vec()),
        Bound::Char(Some(value)) => Wire::Bytes(value.to_string().into_bytes()),
        Bound::Bytes(Some(value)) => Wire::Bytes(value.to_vec()),
        Bound::Json(Some(value)) => Wire::Bytes(value.to_string().into_bytes()),
        Bound::ChronoDateTimeUtc(Some(value)) => moment(value.naive_utc()),
        Bound::ChronoDateTime(Some(value)) => moment(*value),
        Bound::ChronoDate(Some(value)) => moment(value.and_time(NaiveTime::MIN)),
        Bound::ChronoTime(Some(value)) => time(*value),
        Bound::BigDecimal(Some(value)) => Wire::Bytes(decimal::text(value).into_bytes()),
        Bound::Uuid(Some(value)) => Wire::Bytes(value.hyphenated().to_string().into_bytes()),
        // Types that are never bound; a null of any type.
        _ => Wire::NULL,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "parts of a date and a time of day")]
fn moment(at: NaiveDateTime) -> Wire {
    let micros = at.and_utc().timestamp_subsec_micros().min(999_999);
    let year = u16::try_from(at.year()).unwrap_or(0);
    let (month, day) = (at.month() as u8, at.day() as u8);
    Wire::Date(year, month, day, at.hour() as u8, at.minute() as u8, at.second() as u8, micros)
}

#[expect(clippy::cast_possible_truncation, reason = "parts of a time of day")]
fn time(at: NaiveTime) -> Wire {
    let micros = (at.nanosecond() / 1000).min(999_999);
    Wire::Time(false, 0, at.hour() as u8, at.minute() as u8, at.second() as u8, micros)
}

/// Converts a value of a row, by its column's type.
pub(super) fn received(value: Wire, column: &mysql_async::Column) -> Value {
    match value {
        Wire::NULL => Value::Null,
        Wire::Int(value) => Value::Integer(value),
        // An unsigned number beyond the signed range: a text keeps it exact.
        Wire::UInt(value) => {
            i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Integer)
        }
        Wire::Float(value) => Value::Real(value.into()),
        Wire::Double(value) => Value::Real(value),
        Wire::Date(year, month, day, hour, minute, second, micros) => {
            let date = NaiveDate::from_ymd_opt(year.into(), month.into(), day.into());
            if column.column_type() == ColumnType::MYSQL_TYPE_DATE {
                return date.map_or(Value::Null, Value::Date);
            }
            let at = date
                .and_then(|date| date.and_hms_micro_opt(hour.into(), minute.into(), second.into(), micros));
            at.map_or(Value::Null, |at| Value::DateTime(at.and_utc()))
        }
        Wire::Time(negative, days, hours, minutes, seconds, micros) => {
            let hours = days * 24 + u32::from(hours);
            let of_day = NaiveTime::from_hms_micro_opt(hours, minutes.into(), seconds.into(), micros);
            // The type also holds durations, which are not times of day.
            of_day.filter(|_| !negative).map_or_else(
                || {
                    let sign = if negative { "-" } else { "" };
                    Value::Text(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}"))
                },
                Value::Time,
            )
        }
        Wire::Bytes(bytes) => from_bytes(bytes, column),
    }
}

fn from_bytes(bytes: Vec<u8>, column: &mysql_async::Column) -> Value {
    let kind = column.column_type();
    let of_bytes = column.character_set() == BINARY
        && column.flags().contains(ColumnFlags::BINARY_FLAG)
        && matches!(
            kind,
            ColumnType::MYSQL_TYPE_BLOB
                | ColumnType::MYSQL_TYPE_TINY_BLOB
                | ColumnType::MYSQL_TYPE_MEDIUM_BLOB
                | ColumnType::MYSQL_TYPE_LONG_BLOB
                | ColumnType::MYSQL_TYPE_STRING
                | ColumnType::MYSQL_TYPE_VAR_STRING
                | ColumnType::MYSQL_TYPE_BIT
        );
    if of_bytes {
        return Value::Bytes(bytes);
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Value::Bytes(error.into_bytes()),
    };
    match kind {
        ColumnType::MYSQL_TYPE_JSON => serde_json::from_str(&text).map_or(Value::Text(text), Value::Json),
        ColumnType::MYSQL_TYPE_DECIMAL | ColumnType::MYSQL_TYPE_NEWDECIMAL => match decimal::parse(&text) {
            Some(value) => decimal::unmark_integer_sum(value, decimal::INTEGER_SUM_SCALE_ON_MYSQL),
            None => Value::Text(text),
        },
        _ => Value::Text(text),
    }
}
