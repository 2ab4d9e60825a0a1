//! What a database and its server report of themselves, for the checks of the host. Nothing of it changes anything.

use chrono::{DateTime, Utc};

use super::{Row, Value};

/// What a database and its server report of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The product: `SQLite`, `PostgreSQL`, `MySQL` or `MariaDB`.
    pub product: &'static str,
    /// Its version, in the product's form.
    pub version: String,
    /// The first two numbers of the version.
    pub number: (u32, u32),
    /// The server's clock when it answered; `None` without a server.
    pub clock: Option<DateTime<Utc>>,
    /// The connections of the server; `None` without a server.
    pub connections: Option<ConnectionCounts>,
    /// The rights that the user lacks; `None` if the server does not tell.
    pub missing: Option<Vec<MissingRight>>,
    /// Tables whose encoding cannot hold every text, with the SQL that changes that. PostgreSQL has one encoding for
    /// the whole database: see [`encoding_problem`](super::Database::encoding_problem).
    pub narrow_tables: Vec<(String, String)>,
}

/// The connections of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// How many the server allows, without those that it reserves for administrators.
    pub allowed: u32,
    /// How many the user may have, if that is limited.
    pub allowed_to_user: Option<u32>,
    /// How many there are, of all clients; `None` if the server does not tell.
    pub used: Option<u32>,
}

/// A right that the user lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRight {
    /// What the user may not do.
    pub right: Right,
    /// The SQL that grants it.
    pub grant: String,
}

/// What a user may be allowed to do in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// Create databases beside this one.
    CreateDatabases,
    /// Create schemas in this database.
    CreateSchemas,
    /// Create tables in the database or schema.
    CreateTables,
    /// Read and write this table.
    UseTable(String),
    /// Change the columns of this table, or drop it.
    ChangeTable(String),
    /// These privileges, by the server's names, in the whole database.
    Privileges(Vec<&'static str>),
}

/// Returns the first two numbers of a version such as `15.8 (Debian 15.8-0)` or `10.11.6-MariaDB`.
pub(super) fn version_number(version: &str) -> (u32, u32) {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Returns the number in a column, if it is one that fits.
pub(super) fn number(row: &Row, column: &str) -> Option<u32> {
    match row.get(column)? {
        Value::Integer(number) => u32::try_from(*number).ok(),
        Value::Text(number) => number.parse().ok(),
        _ => None,
    }
}

/// Whether the value in a column is true.
pub(super) fn is_true(row: &Row, column: &str) -> bool {
    matches!(row.get(column), Some(Value::Bool(true)))
}

/// Returns the moment in a column.
pub(super) fn moment(row: &Row, column: &str) -> Option<DateTime<Utc>> {
    match row.get(column)? {
        Value::DateTime(moment) => Some(*moment),
        Value::DateTimeNoTz(moment) => Some(moment.and_utc()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_two_numbers() {
        for (text, expected) in [
            ("15.8 (Debian 15.8-0+deb12u1)", (15, 8)),
            ("18beta1", (18, 0)),
            ("10.11.6-MariaDB-0+deb12u1", (10, 11)),
            ("8.0.36", (8, 0)),
            ("17", (17, 0)),
            ("", (0, 0)),
        ] {
            assert_eq!(version_number(text), expected, "{text}");
        }
    }
}
