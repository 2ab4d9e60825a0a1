//! The marks by which what was made for an owner is told from what others made.
//!
//! Databases and schemas carry a mark as their comment; where a server has no comments, a table has it.

use crate::database::{Row, Value};

/// The mark of what was made for this owner, or for all whose names begin so.
pub(in crate::database) fn mark(owner: &str) -> String {
    format!("made by nbapps, key {owner}")
}

/// Each name with its owner, of rows that have a `name` and, as `comment`, a mark.
pub(in crate::database) fn marked_rows(rows: &[Row]) -> impl Iterator<Item = (&str, &str)> {
    rows.iter().map(|row| {
        let [name, comment] = ["name", "comment"].map(|column| match row.get(column) {
            Some(Value::Text(text)) => text.as_str(),
            _ => "",
        });
        (name, comment.strip_prefix(&mark("")).unwrap_or_default())
    })
}
