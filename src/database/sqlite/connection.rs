//! One connection to a SQLite file: opening it and running statements on it, and the file's creation and
//! removal. All of this blocks and runs on a thread of the blocking pool.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::types::{Null, ToSqlOutput, Value as Owned, ValueRef};
use rusqlite::{CachedStatement as Prepared, Connection, OpenFlags, ToSql};

use super::file_names::{INDEX, LOG, beside};
use super::{error, functions, keys, progress_handler};
use crate::database::descriptors::are_used_up;
use crate::database::{DatabaseError, Rendered, Row, Value, decimal};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The single connection that writes.
    Writer,
    /// A connection that reads.
    Reader,
}

/// The size of a connection's cache of prepared statements.
const PREPARED: usize = 32;

/// The settings of every connection. With `synchronous=FULL` in WAL mode, acknowledged commits survive a
/// power failure. The page cache, in KiB, grows only with what is read. `LIKE` is case-sensitive, as on the
/// servers.
const SETTINGS: &str = "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL; \
                        PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024; \
                        PRAGMA case_sensitive_like = ON;";
/// The settings of the writer: a log that grew large under load is truncated.
const WRITER_SETTINGS: &str = "PRAGMA journal_size_limit = 8388608;";
/// The settings of readers: a bug must not write past the single writer.
const READER_SETTINGS: &str = "PRAGMA query_only = ON;";

/// The formats of dates and times, each with a fixed width.
const NO_TZ: &str = "%Y-%m-%d %H:%M:%S%.3f";
const DATE: &str = "%Y-%m-%d";
const TIME: &str = "%H:%M:%S%.3f";

/// A file's identity, whatever its name: device and inode.
pub(super) type Identity = (u64, u64);

/// The descriptors of a connection: the file, its log, and the log's index, which all connections to a file
/// share.
pub(super) const DESCRIPTORS: usize = 3;

/// The identity of the file at this path.
pub(super) fn identity(path: &Path) -> Result<Identity, DatabaseError> {
    let metadata = std::fs::metadata(path).map_err(|reason| unopened(path, &reason))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Opens a connection; the file must exist.
pub(super) fn open(path: &Path, role: Role) -> Result<Connection, DatabaseError> {
    // SQLite only says "unable to open"; the system knows the reason. The file must not be opened to find
    // out: closing it would release SQLite's locks on it.
    rustix::fs::access(path, rustix::fs::Access::READ_OK).map_err(|reason| unopened(path, &reason.into()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(|failed| error::describe(path, failed))?;
    set_up(path, &connection, role)
        .and_then(|()| progress_handler::watch(&mut connection))
        .map_err(|failed| error::describe(path, failed))?;
    Ok(connection)
}

fn set_up(path: &Path, connection: &Connection, role: Role) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(PREPARED);
    // Otherwise a statement is planned again for each bound value. The price: `LIKE` with a bound pattern
    // uses no index.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Otherwise an unknown column in double quotes is read as a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.execute_batch(SETTINGS)?;
    functions::register(connection)?;
    match role {
        Role::Reader => connection.execute_batch(READER_SETTINGS),
        Role::Writer => {
            connection.execute_batch(WRITER_SETTINGS)?;
            let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
            if mode != "wal" {
                // Some network file systems. It works there, but readers wait for the writer.
                tracing::warn!(file = %path.display(), mode, "this file system allows no write-ahead log");
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
    let _running = progress_handler::begin_briefly();
    let mut prepared = connection.prepare_cached("PRAGMA data_version").ok()?;
    prepared.query_row([], |row| row.get(0)).ok()
}

/// Creates an empty file that only its owner may read; there must be none.
pub(super) fn create_file(path: &Path) -> Result<(), DatabaseError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let shown = path.display();
    let made = options.open(path).and_then(|file| file.sync_all()).and_then(|()| match path.parent() {
        // Otherwise a power failure may lose the file's directory entry.
        #[cfg(unix)]
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    });
    made.map_err(|reason| match reason.kind() {
        _ if are_used_up(&reason) => error::no_descriptors(path),
        ErrorKind::AlreadyExists => {
            DatabaseError::Exists(format!("cannot create the database {shown}: the file exists already"))
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem => {
            DatabaseError::Storage(format!("cannot create the database {shown}: {reason}"))
        }
        ErrorKind::NotFound => DatabaseError::Unopened(format!(
            "cannot create the database {shown}: the directory does not exist"
        )),
        _ => DatabaseError::Unopened(format!("cannot create the database {shown}: {reason}")),
    })
}

/// Creates an empty file with two hard links, the second of which is the owner's mark; neither must exist. On
/// a file system without hard links, creates only the first.
pub(super) fn create_marked(path: &Path, mark: &Path) -> Result<(), DatabaseError> {
    create_file(mark)?;
    let linked = std::fs::hard_link(mark, path);
    let Err(reason) = linked else { return Ok(()) };
    // Whatever follows: the file is empty, and its name tells whose it was.
    let _ = std::fs::remove_file(mark);
    match reason.kind() {
        ErrorKind::AlreadyExists => Err(DatabaseError::Exists(format!(
            "cannot create the database {}: the file exists already",
            path.display()
        ))),
        _ => create_file(path),
    }
}

/// Removes a database whose file is also linked as `mark`, and that link.
pub(super) fn remove_marked(path: &Path, mark: &Path) -> Result<Vec<String>, DatabaseError> {
    use std::os::unix::fs::MetadataExt as _;
    let file = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let mut removed = Vec::new();
    let marked = file(mark);
    if marked.is_some() && marked == file(path) {
        removed = remove_files(path)?;
    }
    // The mark goes last, so that an interrupted removal is recognized and resumed.
    remove_files(mark)?;
    Ok(removed)
}

/// The files of a database: the log's index, the log, and itself.
fn files(path: &Path) -> impl Iterator<Item = PathBuf> {
    [INDEX, LOG, ""].into_iter().map(|end| beside(path, end))
}

/// Removes the files of a database and returns their paths.
pub(super) fn remove_files(path: &Path) -> Result<Vec<String>, DatabaseError> {
    let mut removed = Vec::new();
    for file in files(path) {
        match std::fs::remove_file(&file) {
            Ok(()) => removed.push(file.display().to_string()),
            Err(reason) if reason.kind() == ErrorKind::NotFound => {}
            Err(reason) => {
                return Err(DatabaseError::Storage(format!("cannot remove {}: {reason}", file.display())));
            }
        }
    }
    Ok(removed)
}

/// The size of the database and its log, in bytes.
pub(super) fn size(path: &Path) -> Result<u64, DatabaseError> {
    let main = std::fs::metadata(path).map_err(|reason| unopened(path, &reason))?;
    let rest = files(path).filter(|file| file != path).filter_map(|file| std::fs::metadata(file).ok());
    Ok(main.len() + rest.map(|file| file.len()).sum::<u64>())
}

fn unopened(path: &Path, reason: &std::io::Error) -> DatabaseError {
    let shown = path.display();
    match reason.kind() {
        ErrorKind::NotFound => {
            DatabaseError::Missing(format!("cannot open the database {shown}: the file does not exist"))
        }
        _ => DatabaseError::Unopened(format!("cannot open the database {shown}: {reason}")),
    }
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
    let counts = keys::counts(connection);
    connection.execute_batch(sql)?;
    keys::keep(connection, &counts);
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
    let changed = if statement.repeated {
        let changed =
            connection.prepare_cached(&statement.sql).and_then(|mut one| one.execute(bound(statement)));
        changed.map_err(|failed| count_failed(connection, statement, failed))?
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
    inserted.map_err(|failed| count_failed(connection, statement, failed))
}

/// Uses up the keys of an insertion that violated a constraint.
fn count_failed(connection: &Connection, statement: &Rendered, failed: rusqlite::Error) -> rusqlite::Error {
    if failed.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) {
        keys::use_up(connection, statement);
    }
    keys::without_key_left(connection, statement, failed)
}

fn bound(statement: &Rendered) -> impl rusqlite::Params {
    rusqlite::params_from_iter(statement.values.iter().map(Bound))
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
struct Bound<'a>(&'a sea_query::Value);

impl ToSql for Bound<'_> {
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
