//! What an engine refuses because of the request itself: with other or fewer values it would succeed. The
//! messages are for the users of an application; they show no SQL.

/// Why an engine refused a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A text exceeds its column's length.
    #[error("{}: the value is longer than the field takes", named(column))]
    TooLong {
        /// The column, if the engine names it.
        column: Option<String>,
    },
    /// A number or a date is out of the range of its column, or a sum overflows.
    #[error("{}: the value is out of the range of its type", named(column))]
    OutOfRange {
        /// The column, if the engine names it.
        column: Option<String>,
    },
    /// A value does not have its column's type.
    #[error("{}: the value is not of the field's type", named(column))]
    Malformed {
        /// The column, if the engine names it.
        column: Option<String>,
    },
    /// A text has a character that the database's encoding lacks.
    #[error("{}: the text has a character that the database cannot hold", named(column))]
    Character {
        /// The column, if the engine names it.
        column: Option<String>,
    },
    /// A check constraint does not hold.
    #[error("{rule}: the value breaks a rule of the table")]
    Rule {
        /// The constraint's name, which is mostly a column's.
        rule: String,
    },
    /// A comparison has operands of different types.
    #[error("values of these types are never the same: compare fields and values of one type")]
    Incomparable,
    /// The engine does not take the regular expression.
    #[error("the pattern is not a regular expression that the database supports")]
    Pattern,
    /// The largest key is in use, and no larger one can be generated.
    #[error(
        "{}: the largest possible key is in use, and none can follow it: give the record a key of its own",
        named(column)
    )]
    NoKeyLeft {
        /// The column, if the engine names it.
        column: Option<String>,
    },
    /// The table has reached the engine's limit on columns.
    #[error("the table has as many columns as it can have; removed columns may count too")]
    Columns,
    /// A row, or a table's definition of one, exceeds the engine's limit on row sizes.
    #[error(
        "a record of these fields is longer than a row of the table can be: keep long values in fields of type text or json, or in another collection"
    )]
    Row,
    /// A value exceeds the engine's limit on index entries.
    #[error("{}: the value is longer than an index entry can be", named(column))]
    IndexEntry {
        /// The column, if the engine names it.
        column: Option<String>,
    },
    /// The table has reached the engine's limit on indexes, or an index its limit on columns.
    #[error("the table has as many indexes, or its key as many fields, as it can have")]
    Indexes,
    /// The table, column or index to be created exists already.
    #[error("there is a {what} of this name already")]
    Taken {
        /// The kind of object.
        what: &'static str,
    },
    /// The engine does not allow this name for a table or a column.
    #[error("the database does not allow this name for a collection or a field")]
    Name,
    /// The statement exceeds the engine's limit on tables, conditions or nesting.
    #[error(
        "the request is too complex for the database: it uses too many associations, fields or conditions at once"
    )]
    Complex,
    /// The statement exceeds the engine's limit on bound values.
    #[error("the request has more values than a statement can have: ask for fewer at once")]
    Values,
    /// A statement or a value exceeds the engine's limit on bytes.
    #[error("a value of the request is longer than the database takes")]
    Bytes,
}

fn named(column: &Option<String>) -> &str {
    column.as_deref().unwrap_or("a field")
}
