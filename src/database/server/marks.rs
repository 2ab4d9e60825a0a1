//! Owner marks: what was created for an owner carries one, so that nothing of others is ever removed.
//!
//! The mark of a database or a schema is its comment; on servers without such comments, it is in a table.

use crate::database::Row;

/// The mark for this owner, or the prefix of the marks for owners whose names begin so.
pub(in crate::database) fn mark(owner: &str) -> String {
    format!("made by nbapps, key {owner}")
}

/// Returns each name with its owner, from rows with a `name` and a mark as `comment`.
pub(in crate::database) fn marked_rows(rows: &[Row]) -> impl Iterator<Item = (&str, &str)> {
    rows.iter().map(|row| {
        let [name, comment] = ["name", "comment"].map(|column| row.text(column).unwrap_or_default());
        (name, comment.strip_prefix(&mark("")).unwrap_or_default())
    })
}
