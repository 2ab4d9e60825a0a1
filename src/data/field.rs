//! One field of a collection that is a column: its type and its rules.

use std::sync::Arc;

use sea_query::ColumnType;
use serde_json::Value;

use super::{DataError, records};

/// Characters of a string, where its field says nothing of them.
pub(super) const DEFAULT_STRING_LENGTH: u32 = 255;

/// The type of a field, in NocoBase's words.
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
    /// A number with a fraction; as exact as a `Double`.
    Float,
    /// A number with a fraction.
    Double,
    /// An exact number of so many digits, so many of them behind the point.
    Decimal {
        /// All digits.
        precision: u32,
        /// Those behind the point.
        scale: u32,
    },
    /// True or false.
    Boolean,
    /// A moment, to the millisecond.
    DateTime,
    /// A date and a time of day, wherever that is.
    DateTimeNoTz,
    /// A date.
    DateOnly,
    /// A time of day.
    Time,
    /// A moment, kept as a number since 1970.
    UnixTimestamp {
        /// Whether it counts milliseconds, and not seconds.
        milliseconds: bool,
    },
    /// A JSON document.
    Json,
    /// A list of values.
    Array,
    /// A list of values, each once.
    Set,
    /// A UUID.
    Uuid,
    /// A short random text.
    Nanoid,
    /// A random text behind a prefix.
    Uid,
    /// A number that the host makes, larger than those before it.
    SnowflakeId,
    /// A hash of a password; nobody is ever shown it.
    Password,
    /// A place in an order.
    Sort,
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
            // What looks into them needs the parsed form, where an engine has one.
            Self::Array | Self::Set => ColumnType::JsonBinary,
            Self::Uuid => ColumnType::Uuid,
        }
    }

    /// Whether its values are texts, in which others can be looked for.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::String | Self::Text | Self::Nanoid | Self::Uid)
    }

    /// Whether its values are whole numbers.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Integer | Self::BigInt | Self::SnowflakeId | Self::Sort)
    }

    /// Whether its values are dates or moments.
    #[must_use]
    pub const fn is_date(self) -> bool {
        matches!(self, Self::DateTime | Self::DateTimeNoTz | Self::DateOnly | Self::UnixTimestamp { .. })
    }

    /// Whether a value, as it is shown, is that of what has it and of nothing else: of a time the
    /// fractions of a second are stored and not shown.
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

/// What fills a field of a new record that is given no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Generator {
    /// A random UUID.
    Uuid,
    /// So many random characters of an alphabet.
    Nanoid {
        /// Their number.
        size: usize,
        /// The characters to choose from.
        alphabet: Arc<[char]>,
    },
    /// Random characters behind a prefix.
    Uid {
        /// The prefix.
        prefix: Arc<str>,
    },
    /// A number larger than those before it.
    Snowflake,
    /// The moment at which the record is made.
    Now,
    /// The place behind all others, or behind those with the same value in a field.
    Position {
        /// That field.
        scope: Option<Arc<str>>,
    },
}

/// One field of a collection. Begun by the constructor of its type, completed by its rules.
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
    /// A field of a type.
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
        /// A text of at most 255 characters.
        string => String;
        /// A text of any length.
        text => Text;
        /// A whole number of 32 bits.
        integer => Integer;
        /// A whole number of 64 bits.
        big_int => BigInt;
        /// True or false.
        boolean => Boolean;
        /// A JSON document.
        json => Json;
        /// A moment, to the millisecond.
        date_time => DateTime;
        /// A UUID.
        uuid => Uuid;
        /// A hash of a password.
        password => Password;
    }

    /// A place in the order of all records.
    #[must_use]
    pub fn sort(name: &str) -> Self {
        Self::new(name, FieldType::Sort).generated(Generator::Position { scope: None })
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

    /// Records are found by it without looking at all of them.
    #[must_use]
    pub fn indexed(mut self) -> Self {
        self.indexed = true;
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

    /// It holds no number less than 0.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.unsigned = true;
        self
    }

    /// Its texts are stored without the blanks around them.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        self.trimmed = true;
        self
    }

    /// It holds the moment at which the record was changed last.
    #[must_use]
    pub fn touched(mut self) -> Self {
        self.touched = true;
        self
    }

    /// A string has so many characters at most, not 255.
    #[must_use]
    pub fn max_length(mut self, characters: u32) -> Self {
        self.length = Some(characters);
        self
    }

    /// The value of a new record that is given none.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// What makes the value of a new record that is given none.
    #[must_use]
    pub fn generated(mut self, generator: Generator) -> Self {
        self.generator = Some(generator);
        self
    }

    /// Its column has another name than the field.
    #[must_use]
    pub fn in_column(mut self, column: &str) -> Self {
        self.column = column.into();
        self
    }

    /// A value may be missing in the table, whatever the field's own rule: what records that are
    /// there have none of.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.not_null = false;
        self
    }

    /// A value as a record of it would show it.
    ///
    /// # Errors
    /// [`DataError::Invalid`] when it does not fit.
    pub fn check(&self, value: &Value) -> Result<Value, DataError> {
        let stored = records::value::to_storage(self, value)?;
        // What is hidden is shown to nobody, but it is a default all the same.
        records::value::to_json(&super::Collection::new(""), self, stored)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its column's name; mostly its own.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> FieldType {
        self.kind
    }

    /// Its column's type. That of a string has the usual length, within which a field's own can change
    /// at any time; a longer one has none.
    pub(super) fn column_type(&self) -> ColumnType {
        match (self.kind, self.length) {
            (FieldType::String, Some(length)) if length > DEFAULT_STRING_LENGTH => ColumnType::Text,
            (kind, _) => kind.column_type(),
        }
    }

    /// Characters that a string of it may have.
    pub(super) fn length(&self) -> u32 {
        self.length.unwrap_or(DEFAULT_STRING_LENGTH)
    }

    /// Whether its column holds texts of any length, of which no index holds all.
    #[must_use]
    pub fn is_long(&self) -> bool {
        matches!(self.column_type(), ColumnType::Text)
    }

    /// Whether records are given without it.
    #[must_use]
    pub const fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Whether the primary key is, or begins with, this field.
    #[must_use]
    pub const fn is_primary_key(&self) -> bool {
        self.primary_key
    }

    /// Whether it always has a value.
    #[must_use]
    pub const fn is_not_null(&self) -> bool {
        self.not_null
    }

    /// Whether records are found by it without looking at all of them.
    #[must_use]
    pub const fn is_indexed(&self) -> bool {
        self.indexed
    }

    /// Whether the database counts it up for new records.
    #[must_use]
    pub const fn is_auto_increment(&self) -> bool {
        self.auto_increment
    }

    /// What makes the value of a new record that is given none.
    #[must_use]
    pub const fn generator(&self) -> Option<&Generator> {
        self.generator.as_ref()
    }

    /// Whether a new record that is given no value gets one of its own.
    #[must_use]
    pub const fn is_generated(&self) -> bool {
        self.auto_increment || self.generator.is_some()
    }

    /// Whether there is one value for all new records that are given none.
    #[must_use]
    pub const fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// Whether no two records have the same value.
    #[must_use]
    pub const fn is_unique(&self) -> bool {
        self.unique
    }
}
