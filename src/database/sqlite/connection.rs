//! One connection to a SQLite file: opening it, and running statements on it. All of this blocks and runs on
//! a thread of the blocking pool.

use std::path::Path;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::types::{Null, ToSqlOutput, Value as Owned, ValueRef};
use rusqlite::{CachedStatement as Prepared, Connection, OpenFlags, ToSql};

use super::files::open_error;
use super::{error, functions, progress_handler, sequences};
use crate::database::{DatabaseError, Rendered, Row, Value, decimal};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionRole {
    /// The single connection that writes.
    Writer,
    /// A connection that reads.
    Reader,
}

/// The size of a connection's cache of prepared statements.
const MAX_PREPARED: usize = 32;

/// The settings of every connection. With `synchronous=FULL` in WAL mode, acknowledged commits survive a
/// power failure. The page cache, in KiB, grows only with what is read. `LIKE` is case-sensitive, as on the
/// servers.
const SETTINGS: &str = "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL; \
                        PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024; \
                        PRAGMA case_sensitive_like = ON;";
/// The most memory that a connection's page cache takes, in bytes: the `cache_size` of [`SETTINGS`].
pub(super) const MAX_PAGE_CACHE: u64 = 1024 * 1024;
/// The settings of the writer: a log that grew large under load is truncated.
const WRITER_SETTINGS: &str = "PRAGMA journal_size_limit = 8388608;";
/// The settings of readers: a bug must not write past the single writer.
const READER_SETTINGS: &str = "PRAGMA query_only = ON;";

/// The formats of dates and times, each with a fixed width.
const NO_TZ: &str = "%Y-%m-%d %H:%M:%S%.3f";
const DATE: &str = "%Y-%m-%d";
const TIME: &str = "%H:%M:%S%.3f";

/// The descriptors of a connection: the file, its log, and the log's index, which all connections to a file
/// share.
pub(super) const DESCRIPTORS: usize = 3;

/// Opens a connection; the file must exist.
pub(super) fn open(path: &Path, role: ConnectionRole) -> Result<Connection, DatabaseError> {
    // SQLite only says "unable to open"; the system knows the reason. The file must not be opened to find
    // out: closing it would release SQLite's locks on it.
    rustix::fs::access(path, rustix::fs::Access::READ_OK)
        .map_err(|reason| open_error(path, &reason.into()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(|failed| error::describe(path, failed))?;
    set_up(path, &connection, role)
        .and_then(|()| progress_handler::install(&mut connection))
        .map_err(|failed| error::describe(path, failed))?;
    Ok(connection)
}

fn set_up(path: &Path, connection: &Connection, role: ConnectionRole) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(MAX_PREPARED);
    // Otherwise a statement is planned again for each bound value. The price: `LIKE` with a bound pattern
    // uses no index.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Otherwise an unknown column in double quotes is read as a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.execute_batch(SETTINGS)?;
    functions::register(connection)?;
    match role {
        ConnectionRole::Reader => connection.execute_batch(READER_SETTINGS),
        ConnectionRole::Writer => {
            connection.execute_batch(WRITER_SETTINGS)?;
            let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
            if mode != "wal" {
                // Some network file systems. It works there, but readers wait for the writer.
                tracing::warn!(file = %path.display(), mode, "the file system supports no write-ahead log");
            }
            // In a new file, the first read creates the log.
            check(connection)
        }
    }
}

/// Checks that the file is a database: SQLite reads it only when it has to.
pub(super) fn check(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))
}

/// A number that changes when another connection commits; `None` if SQLite cannot tell at once.
pub(super) fn data_version(connection: &Connection) -> Option<i64> {
    let _running = progress_handler::start_short();
    let mut prepared = connection.prepare_cached("PRAGMA data_version").ok()?;
    prepared.query_row([], |row| row.get(0)).ok()
}

/// Begins a transaction with the write lock, so that it cannot fail later because of another writer.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
}

pub(super) fn commit(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("COMMIT")?.execute([]).map(drop)
}

/// Rolls back. Returns whether that succeeded.
pub(super) fn roll_back(connection: &Connection) -> bool {
    undo(connection, "ROLLBACK").is_ok()
}

/// Runs `sql`, which rolls back, but keeps the generated keys used up.
pub(super) fn undo(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let before = sequences::read(connection);
    connection.execute_batch(sql)?;
    sequences::restore(connection, &before);
    Ok(())
}

/// Reads all rows.
pub(super) fn query(connection: &Connection, statement: &Rendered) -> rusqlite::Result<Vec<Row>> {
    all(&mut connection.prepare_cached(&statement.sql)?, statement)
}

/// Reads all rows of a prepared statement.
pub(super) fn all(prepared: &mut Prepared<'_>, statement: &Rendered) -> rusqlite::Result<Vec<Row>> {
    let mut all = Vec::new();
    rows(prepared, statement, |row| {
        all.push(row);
        true
    })?;
    Ok(all)
}

/// Reads rows until `wanted` returns `false`.
pub(super) fn read(
    connection: &Connection,
    statement: &Rendered,
    wanted: impl FnMut(Row) -> bool,
) -> rusqlite::Result<()> {
    rows(&mut connection.prepare_cached(&statement.sql)?, statement, wanted)
}

fn rows(
    prepared: &mut Prepared<'_>,
    statement: &Rendered,
    mut wanted: impl FnMut(Row) -> bool,
) -> rusqlite::Result<()> {
    let columns: Arc<[Box<str>]> = prepared.column_names().map(Into::into).collect();
    let mut rows = prepared.query(bound(statement))?;
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(columns.len());
        for at in 0..columns.len() {
            values.push(value(row.get_ref(at)?));
        }
        if !wanted(Row::new(Arc::clone(&columns), values)) {
            break;
        }
    }
    Ok(())
}

/// Runs a statement that changes something and returns the number of rows.
pub(super) fn execute(connection: &Connection, statement: &Rendered) -> rusqlite::Result<u64> {
    let changed = if statement.is_recurring {
        let changed =
            connection.prepare_cached(&statement.sql).and_then(|mut one| one.execute(bound(statement)));
        changed.map_err(|failed| use_up_keys(connection, statement, failed))?
    } else {
        // For DDL, `execute` returns the number of the statement before.
        connection.prepare(&statement.sql)?.execute(bound(statement))?;
        0
    };
    Ok(changed as u64)
}

/// Inserts a row and returns its generated key.
pub(super) fn insert(
    connection: &Connection,
    statement: &Rendered,
    generated: bool,
) -> rusqlite::Result<Option<i64>> {
    execute(connection, statement)?;
    Ok(generated.then(|| connection.last_insert_rowid()))
}

/// Inserts rows and returns the first column that the statement returns for each.
pub(super) fn insert_many(connection: &Connection, statement: &Rendered) -> rusqlite::Result<Vec<i64>> {
    let inserted = connection.prepare_cached(&statement.sql).and_then(|mut prepared| {
        let mut rows = prepared.query(bound(statement))?;
        let mut made = Vec::new();
        while let Some(row) = rows.next()? {
            made.push(row.get(0)?);
        }
        Ok(made)
    });
    inserted.map_err(|failed| use_up_keys(connection, statement, failed))
}

/// Uses up the keys of an insertion that violated a constraint.
fn use_up_keys(connection: &Connection, statement: &Rendered, failed: rusqlite::Error) -> rusqlite::Error {
    if failed.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) {
        sequences::use_up(connection, statement);
    }
    sequences::without_key_left(connection, statement, failed)
}

fn bound(statement: &Rendered) -> impl rusqlite::Params {
    rusqlite::params_from_iter(statement.values.iter().map(BoundValue))
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        }),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
    }
}

/// A value of the query builder, as SQLite stores it.
struct BoundValue<'a>(&'a sea_query::Value);

impl ToSql for BoundValue<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        use sea_query::Value as Given;
        let null = || ToSqlOutput::from(Null);
        let whole = |number: i64| ToSqlOutput::Owned(Owned::Integer(number));
        let real = |number: f64| ToSqlOutput::Owned(Owned::Real(number));
        let text = |text: String| ToSqlOutput::Owned(Owned::Text(text));
        Ok(match self.0 {
            Given::Bool(value) => value.map_or_else(null, |value| whole(value.into())),
            Given::TinyInt(value) => value.map_or_else(null, |value| whole(value.into())),
            Given::SmallInt(value) => value.map_or_else(null, |value| whole(value.into())),
            Given::Int(value) => value.map_or_else(null, |value| whole(value.into())),
            Given::BigInt(value) => value.map_or_else(null, whole),
            Given::TinyUnsigned(value) => value.map_or_else(null, |value| whole(value.into())),
            Given::SmallUnsigned(value) => value.map_or_else(null, |value| whole(value.into())),
            Given::Unsigned(value) => value.map_or_else(null, |value| whole(value.into())),
            Given::BigUnsigned(None) => null(),
            Given::BigUnsigned(Some(value)) => whole(i64::try_from(*value).map_err(refused)?),
            Given::Float(value) => value.map_or_else(null, |value| real(value.into())),
            Given::Double(value) => value.map_or_else(null, real),
            Given::Char(value) => value.map_or_else(null, |letter| text(letter.into())),
            Given::String(value) => value
                .as_ref()
                .map_or_else(null, |text| ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
            Given::Bytes(value) => {
                value.as_ref().map_or_else(null, |bytes| ToSqlOutput::Borrowed(ValueRef::Blob(bytes)))
            }
            Given::Json(value) => value.as_ref().map_or_else(null, |json| text(json.to_string())),
            // Always the same width and zone, so that the texts sort as the moments do.
            Given::ChronoDateTimeUtc(value) => {
                value.map_or_else(null, |at| text(at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)))
            }
            Given::ChronoDateTime(value) => value.map_or_else(null, |at| text(at.format(NO_TZ).to_string())),
            Given::ChronoDate(value) => value.map_or_else(null, |date| text(date.format(DATE).to_string())),
            Given::ChronoTime(value) => value.map_or_else(null, |time| text(time.format(TIME).to_string())),
            Given::BigDecimal(None) => null(),
            Given::BigDecimal(Some(value)) if !decimal::is_storable(value) => {
                return Err(refused("a number has too many digits"));
            }
            Given::BigDecimal(Some(value)) => text(decimal::text(value)),
            Given::Uuid(value) => value.map_or_else(null, |uuid| text(uuid.hyphenated().to_string())),
            other => return Err(refused(format!("SQLite stores no values like {other:?}"))),
        })
    }
}

fn refused(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_cache_is_as_large_as_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database");
        std::fs::write(&path, "").unwrap();
        let connection = open(&path, ConnectionRole::Reader).unwrap();
        let pages: i64 = connection.query_row("PRAGMA cache_size", [], |row| row.get(0)).unwrap();
        assert_eq!(u64::try_from(-pages).unwrap() * 1024, MAX_PAGE_CACHE);
    }
}
