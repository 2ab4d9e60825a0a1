//! Values and rows as they come from any engine.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// One value. An engine without a type of its own for it stores the nearest: SQLite has a number
/// for a `Bool` and a text for `DateTime`, `Json` and `Uuid`, and gives those back; who reads knows
/// the field's type.
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
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A moment; engines keep milliseconds at least.
    DateTime(DateTime<Utc>),
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
            Value::Text(value) => Self::String(Some(value)),
            Value::Bytes(value) => Self::Bytes(Some(value)),
            Value::DateTime(value) => Self::ChronoDateTimeUtc(Some(value)),
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
