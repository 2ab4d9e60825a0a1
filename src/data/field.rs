//! The fields of a collection: their types and rules.

use std::sync::Arc;

use sea_query::ColumnType;
use serde_json::Value;

use super::{DataError, records};

/// The length of a string in characters, unless its field sets another.
pub(super) const DEFAULT_STRING_LENGTH: u32 = 255;

/// The type of a field, in NocoBase's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// A text of limited length.
    String,
    /// A text of any length.
    Text,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    BigInt,
    /// A floating-point number, with the precision of a `Double`.
    Float,
    /// A floating-point number.
    Double,
    /// An exact decimal number.
    Decimal {
        /// The number of digits.
        precision: u32,
        /// The number of digits after the point.
        scale: u32,
    },
    /// True or false.
    Boolean,
    /// An instant, to the millisecond.
    DateTime,
    /// A date and a time of day, without a zone.
    DateTimeNoTz,
    /// A date.
    DateOnly,
    /// A time of day.
    Time,
    /// An instant, stored as a number since 1970.
    UnixTimestamp {
        /// Whether it counts milliseconds instead of seconds.
        milliseconds: bool,
    },
    /// A JSON document.
    Json,
    /// A list of values.
    Array,
    /// A list of distinct values.
    Set,
    /// A UUID.
    Uuid,
    /// A short random text.
    Nanoid,
    /// A random text with a prefix.
    Uid,
    /// A number that the host generates, greater than those before it.
    SnowflakeId,
    /// The hash of a password, which is never shown.
    Password,
    /// A position in an order.
    Sort,
}

impl FieldType {
    /// Returns the name of the type in definitions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Text => "text",
            Self::Integer => "integer",
            Self::BigInt => "bigInt",
            Self::Float => "float",
            Self::Double => "double",
            Self::Decimal { .. } => "decimal",
            Self::Boolean => "boolean",
            Self::DateTime => "date",
            Self::DateTimeNoTz => "datetimeNoTz",
            Self::DateOnly => "dateOnly",
            Self::Time => "time",
            Self::UnixTimestamp { .. } => "unixTimestamp",
            Self::Json => "json",
            Self::Array => "array",
            Self::Set => "set",
            Self::Uuid => "uuid",
            Self::Nanoid => "nanoid",
            Self::Uid => "uid",
            Self::SnowflakeId => "snowflakeId",
            Self::Password => "password",
            Self::Sort => "sort",
        }
    }

    fn column_type(self) -> ColumnType {
        match self {
            Self::String | Self::Nanoid | Self::Uid | Self::Password => {
                ColumnType::string(Some(DEFAULT_STRING_LENGTH))
            }
            Self::Text => ColumnType::Text,
            Self::Integer => ColumnType::Integer,
            Self::BigInt | Self::UnixTimestamp { .. } | Self::SnowflakeId | Self::Sort => {
                ColumnType::BigInteger
            }
            Self::Float | Self::Double => ColumnType::Double,
            Self::Decimal { precision, scale } => ColumnType::Decimal(Some((precision, scale))),
            Self::Boolean => ColumnType::Boolean,
            Self::DateTime => ColumnType::TimestampWithTimeZone,
            Self::DateTimeNoTz => ColumnType::DateTime,
            Self::DateOnly => ColumnType::Date,
            Self::Time => ColumnType::Time,
            Self::Json => ColumnType::Json,
            // Searching them needs the parsed form, if an engine has one.
            Self::Array | Self::Set => ColumnType::JsonBinary,
            Self::Uuid => ColumnType::Uuid,
        }
    }

    /// Whether its values are texts that can be searched.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::String | Self::Text | Self::Nanoid | Self::Uid)
    }

    /// Whether its values are whole numbers.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Integer | Self::BigInt | Self::SnowflakeId | Self::Sort)
    }

    /// Whether its values are dates or instants.
    #[must_use]
    pub const fn is_date(self) -> bool {
        matches!(self, Self::DateTime | Self::DateTimeNoTz | Self::DateOnly | Self::UnixTimestamp { .. })
    }

    /// Whether equal JSON means equal stored values. For a time, JSON lacks the fraction of a second, which
    /// is stored.
    #[must_use]
    pub const fn has_lossless_json(self) -> bool {
        !matches!(self, Self::DateTimeNoTz | Self::Time | Self::Json | Self::Array | Self::Set)
    }

    /// Whether its values are lists.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Array | Self::Set)
    }
}

/// Generates the value of a field in a new record that is given none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Generator {
    /// A random UUID.
    Uuid,
    /// Random characters of an alphabet.
    Nanoid {
        /// The number of characters.
        size: usize,
        /// The alphabet.
        alphabet: Arc<[char]>,
    },
    /// Random characters after a prefix.
    Uid {
        /// The prefix.
        prefix: Arc<str>,
    },
    /// A number greater than those before it.
    Snowflake,
    /// The time at which the record is created.
    Now,
    /// The position after the last one of all records, or of those with the same value in a field.
    Position {
        /// The field that scopes the order.
        scope: Option<Arc<str>>,
    },
}

/// A field of a collection: the constructor of its type, followed by its rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub(super) name: Arc<str>,
    pub(super) column: Arc<str>,
    pub(super) kind: FieldType,
    pub(super) primary_key: bool,
    pub(super) auto_increment: bool,
    pub(super) unique: bool,
    pub(super) indexed: bool,
    pub(super) not_null: bool,
    pub(super) hidden: bool,
    pub(super) unsigned: bool,
    pub(super) trimmed: bool,
    pub(super) touched: bool,
    pub(super) length: Option<u32>,
    pub(super) default: Option<Value>,
    pub(super) generator: Option<Generator>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])+ $name:ident => $kind:ident;)+) => { $(
        $(#[$doc])+
        #[must_use]
        pub fn $name(name: &str) -> Self {
            Self::new(name, FieldType::$kind)
        }
    )+ };
}

impl Field {
    /// Returns a field of a type.
    #[must_use]
    pub fn new(name: &str, kind: FieldType) -> Self {
        let name: Arc<str> = name.into();
        Self {
            column: Arc::clone(&name),
            name,
            kind,
            primary_key: false,
            auto_increment: false,
            unique: false,
            indexed: false,
            not_null: false,
            hidden: kind == FieldType::Password,
            unsigned: false,
            trimmed: false,
            touched: false,
            length: None,
            default: None,
            generator: None,
        }
    }

    constructors! {
        /// Returns a text field of at most 255 characters.
        string => String;
        /// Returns a text field of any length.
        text => Text;
        /// Returns a field for whole numbers of 32 bits.
        integer => Integer;
        /// Returns a field for whole numbers of 64 bits.
        big_int => BigInt;
        /// Returns a field for true and false.
        boolean => Boolean;
        /// Returns a field for JSON documents.
        json => Json;
        /// Returns a field for instants, to the millisecond.
        date_time => DateTime;
        /// Returns a field for UUIDs.
        uuid => Uuid;
        /// Returns a field for the hash of a password.
        password => Password;
    }

    /// Returns a field for positions in the order of all records.
    #[must_use]
    pub fn sort(name: &str) -> Self {
        Self::new(name, FieldType::Sort).generated(Generator::Position { scope: None })
    }

    /// Makes it the primary key, or a part of it; it is not null.
    #[must_use]
    pub fn primary_key(mut self) -> Self {
        self.primary_key = true;
        self.not_null = true;
        self
    }

    /// Lets the database generate it for new records. Only for the primary key.
    #[must_use]
    pub fn auto_increment(mut self) -> Self {
        self.auto_increment = true;
        self
    }

    /// Allows no two records with the same value, but any number without one.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Gives it an index.
    #[must_use]
    pub fn indexed(mut self) -> Self {
        self.indexed = true;
        self
    }

    /// Requires a value.
    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.not_null = true;
        self
    }

    /// Omits it from every record, unless a query names it: for passwords.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Refuses negative numbers.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.unsigned = true;
        self
    }

    /// Strips white space around its texts before they are stored.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        self.trimmed = true;
        self
    }

    /// Sets it to the current time at every update of the record.
    #[must_use]
    pub fn touched(mut self) -> Self {
        self.touched = true;
        self
    }

    /// Sets the maximum length of a string in characters; by default, 255.
    #[must_use]
    pub fn max_length(mut self, characters: u32) -> Self {
        self.length = Some(characters);
        self
    }

    /// Sets the value of a new record that is given none.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Sets the generator for a new record that is given no value.
    #[must_use]
    pub fn generated(mut self, generator: Generator) -> Self {
        self.generator = Some(generator);
        self
    }

    /// Sets another name of the column.
    #[must_use]
    pub fn in_column(mut self, column: &str) -> Self {
        self.column = column.into();
        self
    }

    /// Allows nulls in the column, whatever the rule of the field: for records that exist already.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.not_null = false;
        self
    }

    /// Converts a value to the form in which a record shows it.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if it does not fit the field.
    pub fn check(&self, value: &Value) -> Result<Value, DataError> {
        let stored = records::value::to_storage(self, value)?;
        // A hidden field is never shown, but its default is a value all the same.
        records::value::to_json(&super::Collection::new(""), self, stored)
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of its column, usually its own name.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Returns its type.
    #[must_use]
    pub const fn kind(&self) -> FieldType {
        self.kind
    }

    /// Returns the type of its column. A string has a column of the default length, so that its own length
    /// can change at any time below that; a longer string is a text of any length.
    pub(super) fn column_type(&self) -> ColumnType {
        match (self.kind, self.length) {
            (FieldType::String, Some(length)) if length > DEFAULT_STRING_LENGTH => ColumnType::Text,
            (kind, _) => kind.column_type(),
        }
    }

    /// Returns the maximum length of a string in characters.
    pub(super) fn length(&self) -> u32 {
        self.length.unwrap_or(DEFAULT_STRING_LENGTH)
    }

    /// Whether its column holds texts of any length, which no index covers as a whole.
    #[must_use]
    pub fn is_long(&self) -> bool {
        matches!(self.column_type(), ColumnType::Text)
    }

    /// Whether it is omitted from records.
    #[must_use]
    pub const fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Whether it is the primary key or a part of it.
    #[must_use]
    pub const fn is_primary_key(&self) -> bool {
        self.primary_key
    }

    /// Whether it requires a value.
    #[must_use]
    pub const fn is_not_null(&self) -> bool {
        self.not_null
    }

    /// Whether it has an index.
    #[must_use]
    pub const fn is_indexed(&self) -> bool {
        self.indexed
    }

    /// Whether the database generates it for new records.
    #[must_use]
    pub const fn is_auto_increment(&self) -> bool {
        self.auto_increment
    }

    /// Returns the generator for a new record that is given no value.
    #[must_use]
    pub const fn generator(&self) -> Option<&Generator> {
        self.generator.as_ref()
    }

    /// Whether the value of a new record is generated if none is given.
    #[must_use]
    pub const fn is_generated(&self) -> bool {
        self.auto_increment || self.generator.is_some()
    }

    /// Whether it has a default value.
    #[must_use]
    pub const fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// Whether no two records may have the same value.
    #[must_use]
    pub const fn is_unique(&self) -> bool {
        self.unique
    }
}
