//! One field of a collection: its type and its rules.

use std::sync::Arc;

use sea_query::ColumnType;
use serde_json::Value;

/// The type of a field, in NocoBase's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// A text of at most 255 characters.
    String,
    /// A text of any length.
    Text,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    BigInt,
    /// A number with a fraction.
    Double,
    /// True or false.
    Boolean,
    /// A JSON document.
    Json,
    /// A moment, to the millisecond.
    DateTime,
    /// A UUID.
    Uuid,
}

impl FieldType {
    /// The type as it is written in a definition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Text => "text",
            Self::Integer => "integer",
            Self::BigInt => "bigInt",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Json => "json",
            Self::DateTime => "date",
            Self::Uuid => "uuid",
        }
    }

    pub(super) fn column_type(self) -> ColumnType {
        match self {
            Self::String => ColumnType::string(Some(255)),
            Self::Text => ColumnType::Text,
            Self::Integer => ColumnType::Integer,
            Self::BigInt => ColumnType::BigInteger,
            Self::Double => ColumnType::Double,
            Self::Boolean => ColumnType::Boolean,
            Self::Json => ColumnType::Json,
            Self::DateTime => ColumnType::TimestampWithTimeZone,
            Self::Uuid => ColumnType::Uuid,
        }
    }
}

/// One field of a collection. Begun by the constructor of its type, completed by its rules.
#[derive(Debug, Clone)]
pub struct Field {
    pub(super) name: Arc<str>,
    pub(super) kind: FieldType,
    pub(super) primary_key: bool,
    pub(super) auto_increment: bool,
    pub(super) unique: bool,
    pub(super) not_null: bool,
    pub(super) hidden: bool,
    pub(super) default: Option<Value>,
}

impl Field {
    /// A field of a type.
    #[must_use]
    pub fn new(name: &str, kind: FieldType) -> Self {
        Self {
            name: name.into(),
            kind,
            primary_key: false,
            auto_increment: false,
            unique: false,
            not_null: false,
            hidden: false,
            default: None,
        }
    }

    /// A text of at most 255 characters.
    #[must_use]
    pub fn string(name: &str) -> Self {
        Self::new(name, FieldType::String)
    }

    /// A text of any length.
    #[must_use]
    pub fn text(name: &str) -> Self {
        Self::new(name, FieldType::Text)
    }

    /// A whole number of 32 bits.
    #[must_use]
    pub fn integer(name: &str) -> Self {
        Self::new(name, FieldType::Integer)
    }

    /// A whole number of 64 bits.
    #[must_use]
    pub fn big_int(name: &str) -> Self {
        Self::new(name, FieldType::BigInt)
    }

    /// A number with a fraction.
    #[must_use]
    pub fn double(name: &str) -> Self {
        Self::new(name, FieldType::Double)
    }

    /// True or false.
    #[must_use]
    pub fn boolean(name: &str) -> Self {
        Self::new(name, FieldType::Boolean)
    }

    /// A JSON document.
    #[must_use]
    pub fn json(name: &str) -> Self {
        Self::new(name, FieldType::Json)
    }

    /// A moment, to the millisecond.
    #[must_use]
    pub fn date_time(name: &str) -> Self {
        Self::new(name, FieldType::DateTime)
    }

    /// A UUID.
    #[must_use]
    pub fn uuid(name: &str) -> Self {
        Self::new(name, FieldType::Uuid)
    }

    /// The primary key, or a part of it; it always has a value.
    #[must_use]
    pub fn primary_key(mut self) -> Self {
        self.primary_key = true;
        self.not_null = true;
        self
    }

    /// The database counts it up for new records. For the primary key alone.
    #[must_use]
    pub fn auto_increment(mut self) -> Self {
        self.auto_increment = true;
        self
    }

    /// No two records have the same value; any number have none.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// It always has a value.
    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.not_null = true;
        self
    }

    /// Left out of every record but where it is asked for by name: a password.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// The value of a new record that is given none.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Its name, which is its column's name too.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> FieldType {
        self.kind
    }

    /// Whether records are given without it.
    #[must_use]
    pub const fn is_hidden(&self) -> bool {
        self.hidden
    }
}
