//! Values and rows as they come from any engine.

use std::sync::Arc;

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// One value. An engine without a type of its own for it stores the nearest and gives that back;
/// who reads knows the field's type:
///
/// - SQLite has a number for a `Bool`, and a text for `Decimal` (`-12.50`), `DateTime`
///   (`2024-05-06T07:08:09.000Z`), `DateTimeNoTz` (`2024-05-06 07:08:09.000`), `Date`
///   (`2024-05-06`), `Time` (`07:08:09.000`), `Json` and `Uuid`. Those of moments, dates and times
///   always have this width, so that their order is that of what they stand for.
/// - MySQL and MariaDB have a number for a `Bool`, a text for a `Uuid`, and one type for `DateTime`
///   and `DateTimeNoTz`: what comes back is a `DateTime` that is to be read without its zone.
///   MariaDB gives a text for `Json`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// An exact number, with as many decimals as its column has.
    Decimal(BigDecimal),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A moment; engines keep milliseconds at least.
    DateTime(DateTime<Utc>),
    /// A date and time of day that are nobody's moment: in no time zone.
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
            // A typeless null: every engine takes it for any column.
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

/// One row of an answer.
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

    /// The value at a place, from 0, `None` where there are fewer.
    #[must_use]
    pub fn value(&self, at: usize) -> Option<&Value> {
        self.values.get(at)
    }

    /// The values, in the order of the columns.
    #[must_use]
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// The value of a column, `None` where the answer has no such column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        let at = self.columns.iter().position(|name| &**name == column)?;
        self.values.get(at)
    }
}
