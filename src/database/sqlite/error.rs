//! Translates SQLite's result codes (<https://www.sqlite.org/rescode.html>) to [`DatabaseError`]s.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};
use rustix::process::{Resource, getrlimit};

use super::file_names::{LOG, beside};
use crate::database::descriptors::no_descriptor_left;
use crate::database::{DatabaseError, Refusal};

/// The message for a table whose largest key is in use; SQLite has none.
pub(super) const NO_KEY_LEFT: &str = "no key is left";

/// The message for a number beyond the range of its type.
pub(super) const OUT_OF_RANGE: &str = "the number is out of range";

/// The most bytes that SQLite writes at once: a page of 64 KiB with its header in the log.
const ONE_WRITE: u64 = 65_536 + 24;

/// Translates the error of a statement on an open database.
pub(super) fn describe(path: &Path, error: Error) -> DatabaseError {
    let shown = path.display();
    let (code, message) = match &error {
        Error::SqliteFailure(code, message) => (code, message),
        Error::ToSqlConversionFailure(reason) => {
            tracing::debug!(%reason, "SQLite does not store such a value");
            return Refusal::Malformed { column: None }.into();
        }
        _ => return DatabaseError::Failed(format!("{shown}: {error}")),
    };
    let message = message.as_deref().unwrap_or_default();
    match code.code {
        ErrorCode::ConstraintViolation => constraint(path, code.extended_code, message),
        ErrorCode::TooBig => Refusal::Bytes.into(),
        ErrorCode::TypeMismatch => Refusal::Malformed { column: None }.into(),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            DatabaseError::Busy(format!("{shown} is held by another process: {error}"))
        }
        // Only timeouts are seen: nobody receives the errors of cancelled statements.
        ErrorCode::OperationInterrupted => DatabaseError::TooSlow(format!(
            "a statement in {shown} exceeded its time limit and was cancelled"
        )),
        ErrorCode::ReadOnly => DatabaseError::Storage(format!("cannot write {shown}: it is read-only")),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen if no_descriptor_left() => no_descriptors(path),
        ErrorCode::SystemIoFailure | ErrorCode::DiskFull if let Some(limit) = reached_limit(path) => {
            DatabaseError::FileLimit(format!(
                "cannot write {shown}: its file has reached this process's limit of {limit} bytes"
            ))
        }
        ErrorCode::DiskFull => DatabaseError::Storage(format!("cannot write {shown}: the disk is full")),
        ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed => {
            DatabaseError::Storage(format!("the disk failed on {shown}: {error}"))
        }
        ErrorCode::NotADatabase => DatabaseError::Corrupt(format!("{shown} is not a SQLite database")),
        ErrorCode::DatabaseCorrupt => DatabaseError::Corrupt(format!("{shown} is damaged: {error}")),
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            DatabaseError::Unopened(format!("cannot open {shown}: {error}"))
        }
        ErrorCode::SchemaChanged => DatabaseError::Outdated(format!("{shown}: {error}")),
        _ if is_of_tables(message) => DatabaseError::Outdated(format!("{shown}: {error}")),
        _ => match refusal(message) {
            Some(refusal) => refusal.into(),
            None => DatabaseError::Failed(format!("{shown}: {error}")),
        },
    }
}

/// Translates what SQLite refuses because of a limit (<https://www.sqlite.org/limits.html>) or a value. Only
/// the message tells them apart.
fn refusal(message: &str) -> Option<Refusal> {
    let has = |part: &str| message.contains(part);
    Some(if message.starts_with("too many columns in result set") || has("too many columns in set list") {
        Refusal::Complex
    } else if message.starts_with("too many columns") {
        Refusal::Columns
    } else if has("too many SQL variables") || has("variable number must be between") {
        Refusal::Values
    } else if has("Expression tree is too large")
        || has("parser stack overflow")
        || has("Recursion limit")
        || has("too many terms in")
        || has("too many columns in")
        || has("too many references to")
        || has("too many FROM clause terms")
        || has("tables in a join")
        || has("too many arguments on function")
        || has("LIKE or GLOB pattern too complex")
    {
        Refusal::Complex
    } else if message == NO_KEY_LEFT {
        Refusal::NoKeyLeft { column: None }
    } else if has("integer overflow") || message == OUT_OF_RANGE {
        Refusal::OutOfRange { column: None }
    } else if has("malformed JSON") || has("JSON path error") || has("JSON cannot hold") {
        Refusal::Malformed { column: None }
    } else if message.starts_with("duplicate column name") {
        Refusal::Taken { what: "field" }
    } else if message.starts_with("table ") && has(" already exists") {
        Refusal::Taken { what: "collection" }
    } else if message.starts_with("index ") && has(" already exists") {
        Refusal::Taken { what: "index" }
    } else if has("object name reserved for internal use") {
        Refusal::Name
    } else {
        return None;
    })
}

/// Whether a statement names an unknown table or column; SQLite has no code for that.
fn is_of_tables(message: &str) -> bool {
    message.starts_with("no such table: ")
        || message.starts_with("no such column: ")
        || (message.starts_with("table ") && message.contains(" has no column named "))
}

/// Returns the process's limit on file sizes (`ulimit -f`) if a file of the database has reached it: SQLite
/// does not report the system's reason.
fn reached_limit(path: &Path) -> Option<u64> {
    let limit = getrlimit(Resource::Fsize).current?;
    let bytes = |end| std::fs::metadata(beside(path, end)).map_or(0, |file| file.len());
    (bytes("").max(bytes(LOG)).saturating_add(ONE_WRITE) >= limit).then_some(limit)
}

/// The error for a file that cannot be opened because the process has too many open.
pub(super) fn no_descriptors(path: &Path) -> DatabaseError {
    DatabaseError::no_descriptors(format_args!("cannot open the database {}", path.display()))
}

fn constraint(path: &Path, extended: i32, message: &str) -> DatabaseError {
    match extended {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            DatabaseError::Unique { columns: columns(message) }
        }
        ffi::SQLITE_CONSTRAINT_NOTNULL => {
            DatabaseError::NotNull { column: columns(message).into_iter().next().unwrap_or_default() }
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => DatabaseError::ForeignKey { columns: Vec::new() },
        ffi::SQLITE_CONSTRAINT_CHECK => {
            let rule = message.split_once(": ").map_or(message, |(_, rule)| rule);
            // Tables have a single kind of rule: a key that is limited to 32 bits. It has its column's name.
            Refusal::NoKeyLeft { column: Some(rule.to_owned()) }.into()
        }
        ffi::SQLITE_CONSTRAINT_DATATYPE => Refusal::Malformed { column: None }.into(),
        _ => DatabaseError::Failed(format!("{}: {message}", path.display())),
    }
}

/// Parses the columns in `UNIQUE constraint failed: users.email, users.name`.
fn columns(message: &str) -> Vec<String> {
    let Some((_, list)) = message.split_once(": ") else { return Vec::new() };
    list.split(", ").filter_map(|one| Some(one.split_once('.')?.1.to_owned())).collect()
}

/// The error for a job that panicked.
pub(super) fn panicked(path: &Path) -> DatabaseError {
    DatabaseError::Failed(format!("work on {} panicked: this is a bug in nbapps", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(extended: i32, message: &str) -> DatabaseError {
        describe(
            Path::new("/x/a.sqlite"),
            Error::SqliteFailure(ffi::Error::new(extended), Some(message.into())),
        )
    }

    #[test]
    fn result_codes_become_errors() {
        assert_eq!(
            failure(ffi::SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: users.email, users.name"),
            DatabaseError::Unique { columns: vec!["email".into(), "name".into()] }
        );
        assert_eq!(
            failure(ffi::SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: index 'lower'"),
            DatabaseError::Unique { columns: vec![] }
        );
        assert_eq!(
            failure(ffi::SQLITE_CONSTRAINT_NOTNULL, "NOT NULL constraint failed: users.email"),
            DatabaseError::NotNull { column: "email".into() }
        );
        assert_eq!(
            failure(ffi::SQLITE_CONSTRAINT_FOREIGNKEY, ""),
            DatabaseError::ForeignKey { columns: Vec::new() }
        );
        assert!(matches!(failure(ffi::SQLITE_FULL, ""), DatabaseError::Storage(_)));
        assert!(matches!(failure(ffi::SQLITE_READONLY, ""), DatabaseError::Storage(_)));
        assert!(matches!(failure(ffi::SQLITE_IOERR, ""), DatabaseError::Storage(_)));
        assert!(matches!(failure(ffi::SQLITE_NOTADB, ""), DatabaseError::Corrupt(_)));
        assert!(matches!(failure(ffi::SQLITE_BUSY, ""), DatabaseError::Busy(_)));
        for message in ["no such table: x", "no such column: a.b", "table a has no column named b"] {
            assert!(matches!(failure(ffi::SQLITE_ERROR, message), DatabaseError::Outdated(_)), "{message}");
        }
        assert!(matches!(
            failure(ffi::SQLITE_SCHEMA, "database schema has changed"),
            DatabaseError::Outdated(_)
        ));
        assert!(matches!(failure(ffi::SQLITE_ERROR, "near \"x\": syntax error"), DatabaseError::Failed(_)));
    }

    #[test]
    fn limits_and_invalid_values_become_refusals() {
        for (message, refusal) in [
            ("too many columns on posts", Refusal::Columns),
            ("too many columns in result set", Refusal::Complex),
            ("too many SQL variables", Refusal::Values),
            ("Expression tree is too large (maximum depth 1000)", Refusal::Complex),
            ("at most 64 tables in a join", Refusal::Complex),
            ("too many terms in ORDER BY clause", Refusal::Complex),
            ("integer overflow", Refusal::OutOfRange { column: None }),
            (OUT_OF_RANGE, Refusal::OutOfRange { column: None }),
            ("malformed JSON", Refusal::Malformed { column: None }),
            ("duplicate column name: a", Refusal::Taken { what: "field" }),
            ("table posts already exists", Refusal::Taken { what: "collection" }),
        ] {
            assert_eq!(failure(ffi::SQLITE_ERROR, message), DatabaseError::Refused(refusal), "{message}");
        }
        assert_eq!(failure(ffi::SQLITE_TOOBIG, ""), DatabaseError::Refused(Refusal::Bytes));
        let mismatch = Refusal::Malformed { column: None };
        assert_eq!(failure(ffi::SQLITE_MISMATCH, ""), DatabaseError::Refused(mismatch));
    }

    #[test]
    fn messages_name_the_file() {
        for code in
            [ffi::SQLITE_FULL, ffi::SQLITE_READONLY, ffi::SQLITE_IOERR, ffi::SQLITE_NOTADB, ffi::SQLITE_BUSY]
        {
            assert!(failure(code, "").to_string().contains("/x/a.sqlite"));
        }
    }
}
