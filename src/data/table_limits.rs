//! Checks that a collection's table fits the limits of every engine.
//!
//! The smallest limit of all engines holds, so that a definition is refused on all of them or on none:
//! <https://mariadb.com/kb/en/innodb-limitations/>, <https://www.postgresql.org/docs/current/limits.html>,
//! <https://www.sqlite.org/limits.html>.

use sea_query::{ColumnType, StringLen};

use super::{Collection, DataError, Field, table};
use crate::database::Engine;

/// Limit of fields. InnoDB allows 1,017 columns, PostgreSQL 1,600, SQLite 2,000.
const MAX_FIELDS: usize = 1000;
/// Limit of fields in a key: MySQL allows 16, the others 32 or more.
const MAX_KEY_FIELDS: usize = 16;
/// Limit of bytes in an index entry: PostgreSQL allows 2,704, InnoDB 3,072.
const MAX_KEY_BYTES: usize = 2700;
/// Limit of indexes, with that of the key: MySQL and MariaDB allow 64.
const MAX_INDEXES: usize = 64;
/// Limit of bytes in a row. A page of InnoDB (16 KiB) holds at least two rows, which leaves 8,126 for each.
const MAX_ROW_BYTES: usize = 8126;
/// Limit of bytes in the declared columns of MySQL and MariaDB, except texts of any length and documents:
/// they allow 65,535, which include the null bitmap.
const MAX_DECLARED_BYTES: usize = 65_000;
/// Bytes of InnoDB's row header.
const ROW_HEADER_BYTES: usize = 24;
/// Bytes in the row of a value that is stored elsewhere, in InnoDB; in PostgreSQL it takes 24.
const OVERFLOW_POINTER_BYTES: usize = 41;
/// Maximum size of a character in bytes.
const CHARACTER_BYTES: usize = 4;

/// Checks that every engine can create the table of a collection.
///
/// # Errors
/// [`DataError::Refused`] with the first field beyond a limit, and the limit.
pub(super) fn check(collection: &Collection) -> Result<(), DataError> {
    let refused =
        |field: &Field, problem: String| Err(DataError::Refused(format!("{}: {problem}", field.name())));
    if let Some(field) = collection.fields().get(MAX_FIELDS) {
        return refused(field, format!("a collection has at most {MAX_FIELDS} fields that are columns"));
    }
    let (mut row, mut declared, mut indexes) = (ROW_HEADER_BYTES, 0, 1);
    for (at, field) in collection.fields().iter().enumerate() {
        let size = ColumnBytes::of(collection, at, field);
        row += size.row;
        declared += size.declared;
        if row + at / 8 > MAX_ROW_BYTES {
            return refused(
                field,
                format!(
                    "a row has at most {MAX_ROW_BYTES} bytes, of which a text or a document takes \
                     {OVERFLOW_POINTER_BYTES} and this field {}: move the field to another collection",
                    size.row
                ),
            );
        }
        if declared > MAX_DECLARED_BYTES {
            return refused(
                field,
                format!(
                    "the strings of a collection that are unique, indexed or have a default take at most \
                     {MAX_DECLARED_BYTES} bytes together, 4 for a character"
                ),
            );
        }
        if table::has_index(field) {
            indexes += 1;
        }
        if indexes > MAX_INDEXES {
            return refused(
                field,
                format!(
                    "a collection has at most {MAX_INDEXES} indexes, with those of its key and of unique fields"
                ),
            );
        }
    }
    check_key(collection)
}

fn check_key(collection: &Collection) -> Result<(), DataError> {
    let mut bytes = 0;
    for (at, field) in collection.primary_key().enumerate() {
        let refused = |problem: String| Err(DataError::Refused(format!("{}: {problem}", field.name())));
        if at >= MAX_KEY_FIELDS {
            return refused(format!("a key has at most {MAX_KEY_FIELDS} fields"));
        }
        let Some(own) = key_bytes(field) else {
            return refused(format!("a {} cannot be a key: make it a string", field.kind().as_str()));
        };
        bytes += own;
        if bytes > MAX_KEY_BYTES {
            return refused(format!(
                "the fields of a key take at most {MAX_KEY_BYTES} bytes together, 4 for a character of a string"
            ));
        }
    }
    Ok(())
}

/// Returns the maximum size of a value in an index, in bytes; `None` if it is unlimited.
fn key_bytes(field: &Field) -> Option<usize> {
    Some(match field.column_type() {
        ColumnType::Text | ColumnType::Json | ColumnType::JsonBinary => return None,
        other => bytes(&other),
    })
}

/// What a field takes of a table's limits, in bytes.
struct ColumnBytes {
    row: usize,
    declared: usize,
}

impl ColumnBytes {
    fn of(collection: &Collection, at: usize, field: &Field) -> Self {
        let kind = table::kind(collection, at, field, Engine::Mysql);
        match kind {
            ColumnType::Text | ColumnType::Json | ColumnType::JsonBinary => {
                Self { row: OVERFLOW_POINTER_BYTES, declared: 12 }
            }
            ColumnType::String(_) if !field.primary_key => {
                Self { row: OVERFLOW_POINTER_BYTES, declared: bytes(&kind) + 2 }
            }
            other => Self { row: bytes(&other), declared: bytes(&other) },
        }
    }
}

/// Returns the maximum size of a value in bytes, on InnoDB or PostgreSQL, whichever is greater, including
/// PostgreSQL's alignment.
fn bytes(kind: &ColumnType) -> usize {
    match kind {
        ColumnType::String(StringLen::N(characters)) => *characters as usize * CHARACTER_BYTES,
        ColumnType::Uuid => 36 * CHARACTER_BYTES,
        ColumnType::Decimal(digits) => 8 + digits.map_or(65, |(all, _)| all as usize) / 2,
        ColumnType::Boolean => 1,
        ColumnType::Integer | ColumnType::Date => 4,
        _ => 8,
    }
}
