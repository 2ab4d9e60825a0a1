//! Keeps generated keys from being used twice. Servers generate keys outside of transactions, so that those
//! of failed or rolled back insertions are used up. SQLite keeps its sequences in a table (`sqlite_sequence`)
//! and rolls them back with everything else; this file moves them forward again.

use rusqlite::{Connection, ErrorCode, OptionalExtension, ffi, params};

use super::error;
use crate::database::Rendered;

/// The last key that was generated for each table, by the table's name.
pub(super) type Sequences = Vec<(String, i64)>;

/// Reads the sequences of all tables; empty before the first table that has one.
pub(super) fn read(connection: &Connection) -> Sequences {
    let read = || {
        let mut statement = connection.prepare_cached("SELECT name, seq FROM sqlite_sequence")?;
        statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Sequences>>()
    };
    read().unwrap_or_default()
}

/// After a rollback, moves every sequence to at least its value before.
pub(super) fn restore(connection: &Connection, before: &Sequences) {
    if before.is_empty() {
        return;
    }
    let now = read(connection);
    for (table, count) in before {
        let undone = now.iter().find(|(name, _)| name == table).is_none_or(|(_, now)| now < count);
        if undone && let Err(error) = raise(connection, table, *count) {
            tracing::warn!(table, %error, "keys of rolled back rows may be generated again");
        }
    }
}

fn raise(connection: &Connection, table: &str, count: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1";
    if connection.prepare_cached(sql)?.execute(params![table, count])? > 0 {
        return Ok(());
    }
    // No committed row had a generated key. If the table was rolled back as well, there is nothing to do.
    let sql = "INSERT INTO sqlite_sequence (name, seq) SELECT name, ?2 FROM sqlite_master \
               WHERE type = 'table' AND name = ?1";
    connection.prepare_cached(sql)?.execute(params![table, count]).map(drop)
}

/// After a failed insertion, uses up a key for each of its rows.
pub(super) fn use_up(connection: &Connection, statement: &Rendered) {
    let Some(insertion) = Insertion::read(&statement.sql) else { return };
    let rows = match insertion.columns.len() {
        columns if columns > 0 && statement.is_multi_row => statement.values.len() / columns,
        _ => 1,
    };
    let rows = i64::try_from(rows).unwrap_or(1).max(1);
    if let Err(error) = insertion.use_up(connection, rows) {
        tracing::warn!(table = insertion.table, %error, "the key of a failed insertion may be generated again");
    }
}

/// Translates an error: SQLite reports a full disk when a table's largest key is in use and the next one is
/// to be generated.
pub(super) fn without_key_left(
    connection: &Connection,
    statement: &Rendered,
    failed: rusqlite::Error,
) -> rusqlite::Error {
    let is_full = failed.sqlite_error_code() == Some(ErrorCode::DiskFull);
    let Some(insertion) = Insertion::read(&statement.sql).filter(|_| is_full) else { return failed };
    let sql = "SELECT 1 FROM sqlite_sequence WHERE name = ?1 AND seq = ?2";
    match connection.query_row(sql, params![insertion.table, i64::MAX], |_| Ok(())) {
        Ok(()) => rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_ERROR),
            Some(error::NO_KEY_LEFT.to_owned()),
        ),
        Err(_) => failed,
    }
}

/// The target of an insertion.
#[derive(Debug, PartialEq, Eq)]
struct Insertion {
    table: String,
    columns: Vec<String>,
}

impl Insertion {
    /// Parses the beginning of the query builder's text: `INSERT INTO "table" ("column", "column")`.
    fn read(sql: &str) -> Option<Self> {
        let (table, mut rest) = identifier(sql.strip_prefix("INSERT INTO ")?)?;
        let mut columns = Vec::new();
        if let Some(list) = rest.strip_prefix(" (") {
            rest = list;
            while let Some((column, after)) = identifier(rest) {
                columns.push(column);
                rest = after.strip_prefix(", ").unwrap_or("");
            }
        }
        Some(Self { table, columns })
    }

    fn use_up(&self, connection: &Connection, rows: i64) -> rusqlite::Result<()> {
        let sql = "SELECT name FROM pragma_table_info(?1) WHERE pk = 1";
        let key = connection.query_row(sql, [&self.table], |row| row.get::<_, String>(0)).optional()?;
        if key.is_none_or(|key| self.columns.contains(&key)) {
            return Ok(());
        }
        let sql = "UPDATE sqlite_sequence SET seq = seq + ?2 WHERE name = ?1";
        if connection.execute(sql, params![self.table, rows])? > 0 {
            return Ok(());
        }
        let sql = "INSERT INTO sqlite_sequence (name, seq) SELECT name, ?2 FROM sqlite_master \
                   WHERE type = 'table' AND name = ?1 AND sql LIKE '%AUTOINCREMENT%'";
        connection.execute(sql, params![self.table, rows]).map(drop)
    }
}

/// Parses a quoted identifier; returns it and the text after it.
fn identifier(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text.strip_prefix('"')?;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_an_insertion_is_parsed() {
        let read = |sql| Insertion::read(sql).map(|insertion| (insertion.table, insertion.columns));
        let found = |table: &str, columns: &[&str]| {
            Some((table.to_owned(), columns.iter().map(|&column| column.to_owned()).collect()))
        };
        assert_eq!(read(r#"INSERT INTO "a" ("b", "c") VALUES (?, ?)"#), found("a", &["b", "c"]));
        assert_eq!(
            read(r#"INSERT INTO "a ""b""" ("c, "") (") VALUES (?)"#),
            found(r#"a "b""#, &["c, \") ("])
        );
        assert_eq!(read(r#"INSERT INTO "a" DEFAULT VALUES"#), found("a", &[]));
        assert_eq!(read(r#"UPDATE "a" SET "b" = ?"#), None);
    }
}
