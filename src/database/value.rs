//! Values and rows, as every engine returns them.

use std::sync::Arc;

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// One value. An engine without a type for it stores the nearest one and returns that; the reader knows the
/// field's type:
///
/// - SQLite returns a number for a `Bool`, and a text for `Decimal` (`-12.50`), `DateTime`
///   (`2024-05-06T07:08:09.000Z`), `DateTimeNoTz` (`2024-05-06 07:08:09.000`), `Date` (`2024-05-06`), `Time`
///   (`07:08:09.000`), `Json` and `Uuid`. Dates and times have a fixed width, so that they sort as texts.
/// - MySQL and MariaDB return a number for a `Bool` and a text for a `Uuid`. `DateTime` and `DateTimeNoTz`
///   share a type and come back as a `DateTime`; for the latter, ignore its zone. MariaDB returns a text for
///   `Json`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL's `NULL`.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// An exact number, with its column's scale.
    Decimal(BigDecimal),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A point in time, at least to the millisecond.
    DateTime(DateTime<Utc>),
    /// A date and time of day without a time zone.
    DateTimeNoTz(NaiveDateTime),
    /// A date.
    Date(NaiveDate),
    /// A time of day.
    Time(NaiveTime),
    /// A JSON document.
    Json(serde_json::Value),
    /// A UUID.
    Uuid(uuid::Uuid),
}

impl From<Value> for sea_query::Value {
    fn from(value: Value) -> Self {
        match value {
            // An untyped null: every engine takes it for any column.
            Value::Null => Self::String(None),
            Value::Bool(value) => Self::Bool(Some(value)),
            Value::Integer(value) => Self::BigInt(Some(value)),
            Value::Real(value) => Self::Double(Some(value)),
            Value::Decimal(value) => Self::BigDecimal(Some(Box::new(value))),
            Value::Text(value) => Self::String(Some(value)),
            Value::Bytes(value) => Self::Bytes(Some(value)),
            Value::DateTime(value) => Self::ChronoDateTimeUtc(Some(value)),
            Value::DateTimeNoTz(value) => Self::ChronoDateTime(Some(value)),
            Value::Date(value) => Self::ChronoDate(Some(value)),
            Value::Time(value) => Self::ChronoTime(Some(value)),
            Value::Json(value) => Self::Json(Some(Box::new(value))),
            Value::Uuid(value) => Self::Uuid(Some(value)),
        }
    }
}

/// One row of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    columns: Arc<[Box<str>]>,
    values: Vec<Value>,
}

impl Row {
    pub(super) fn new(columns: Arc<[Box<str>]>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// The columns' names, in the order of the statement.
    #[must_use]
    pub fn columns(&self) -> &[Box<str>] {
        &self.columns
    }

    /// The value at an index, from 0; `None` beyond the last.
    #[must_use]
    pub fn value(&self, at: usize) -> Option<&Value> {
        self.values.get(at)
    }

    /// The values, in the order of the columns.
    #[must_use]
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// The value of a column; `None` if the result has no such column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        let at = self.columns.iter().position(|name| &**name == column)?;
        self.values.get(at)
    }

    /// The text in a column; `None` if there is none.
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        match self.get(column)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}
