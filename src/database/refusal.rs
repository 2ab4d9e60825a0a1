//! What an engine refuses because of what was asked for: somebody who asks for something else, or for
//! less, succeeds. The sentences are for the users of an application; they show no SQL.

/// Why an engine refused a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A text is longer than its column takes.
    #[error("{}: the value is longer than the field takes", named(column))]
    TooLong {
        /// The column, where the engine names it.
        column: Option<String>,
    },
    /// A number or a date is beyond what its column, or a sum, takes.
    #[error("{}: the value is out of the range of its type", named(column))]
    OutOfRange {
        /// The column, where the engine names it.
        column: Option<String>,
    },
    /// A value is none of its type.
    #[error("{}: the value is none of the field's type", named(column))]
    Malformed {
        /// The column, where the engine names it.
        column: Option<String>,
    },
    /// A text has a character that the database cannot hold.
    #[error("{}: the text has a character that the database cannot hold", named(column))]
    Character {
        /// The column, where the engine names it.
        column: Option<String>,
    },
    /// A rule of a table does not hold for a value.
    #[error("{rule}: the value breaks a rule of the table")]
    Rule {
        /// The rule's name, which is mostly a column's.
        rule: String,
    },
    /// Values of two types were compared.
    #[error("values of these types are never the same: compare fields and values of one type")]
    Incomparable,
    /// A regular expression that the engine does not take.
    #[error("the pattern is no regular expression that the database takes")]
    Pattern,
    /// The largest key is given, so that none comes after it.
    #[error(
        "{}: the largest key is used, and there is none behind it: give the record a key of its own",
        named(column)
    )]
    NoKeyLeft {
        /// The column, where the engine names it.
        column: Option<String>,
    },
    /// A table has as many columns as it can have.
    #[error("the table has as many columns as it can have, where columns that were removed may count too")]
    Columns,
    /// A row, or what a table says of it, is longer than a row can be.
    #[error(
        "a record of these fields is longer than a row of the table can be: keep long values in fields of type text or json, or in another collection"
    )]
    Row,
    /// A value is longer than an index takes.
    #[error("{}: the value is longer than an index of the database takes", named(column))]
    IndexEntry {
        /// The column, where the engine names it.
        column: Option<String>,
    },
    /// A table has as many indexes, or an index as many columns, as it can have.
    #[error("the table has as many indexes, or its key as many fields, as it can have")]
    Indexes,
    /// There is a table, a column or an index of this name, which was just made.
    #[error("there is a {what} of this name already")]
    Taken {
        /// What there is.
        what: &'static str,
    },
    /// The engine takes no such name for a table or a column.
    #[error("the database takes no such name for a collection or a field")]
    Name,
    /// A statement looks at more tables, has more conditions or is more deeply nested than can be.
    #[error(
        "the request is too complex for the database: it looks at too many associations, fields or conditions at once"
    )]
    Complex,
    /// A statement has more values than can be.
    #[error("the request has more values than a statement can have: ask for fewer at once")]
    Values,
    /// A statement or a value has more bytes than can be.
    #[error("a value of the request is longer than the database takes")]
    Bytes,
}

fn named(column: &Option<String>) -> &str {
    column.as_deref().unwrap_or("a field")
}
