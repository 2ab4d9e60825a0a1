//! SQLite's result codes as the errors of this room (<https://www.sqlite.org/rescode.html>).

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use crate::database::DatabaseError;
use crate::database::descriptors::none_is_left;

/// What went wrong with a statement on an open database.
pub(super) fn describe(path: &Path, error: Error) -> DatabaseError {
    let shown = path.display();
    let Error::SqliteFailure(code, message) = &error else {
        return DatabaseError::Failed(format!("{shown}: {error}"));
    };
    let message = message.as_deref().unwrap_or_default();
    match code.code {
        ErrorCode::ConstraintViolation => constraint(path, code.extended_code, message),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            DatabaseError::Busy(format!("{shown} is held by another process: {error}"))
        }
        // Nobody is told of those that were interrupted because nobody waits for them.
        ErrorCode::OperationInterrupted => DatabaseError::TooSlow(format!(
            "a statement in {shown} took longer than it may, and was cancelled"
        )),
        ErrorCode::DiskFull => DatabaseError::Storage(format!("cannot write {shown}: the disk is full")),
        ErrorCode::ReadOnly => DatabaseError::Storage(format!("cannot write {shown}: it is read-only")),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen if none_is_left() => no_descriptors(path),
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
        _ => DatabaseError::Failed(format!("{shown}: {error}")),
    }
}

/// Whether a statement names a table or a column that is not there; SQLite has no code for it.
fn is_of_tables(message: &str) -> bool {
    message.starts_with("no such table: ")
        || message.starts_with("no such column: ")
        || (message.starts_with("table ") && message.contains(" has no column named "))
}

/// The file cannot be opened because the process has too many open.
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
        _ => DatabaseError::Failed(format!("{}: {message}", path.display())),
    }
}

/// The columns in `UNIQUE constraint failed: users.email, users.name`.
fn columns(message: &str) -> Vec<String> {
    let Some((_, list)) = message.split_once(": ") else { return Vec::new() };
    list.split(", ").filter_map(|one| Some(one.split_once('.')?.1.to_owned())).collect()
}

/// A worker's job panicked: a fault of this program.
pub(super) fn panicked(path: &Path) -> DatabaseError {
    DatabaseError::Failed(format!("work on {} broke off by a fault of this program", path.display()))
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
    fn sentences_name_the_file() {
        for code in
            [ffi::SQLITE_FULL, ffi::SQLITE_READONLY, ffi::SQLITE_IOERR, ffi::SQLITE_NOTADB, ffi::SQLITE_BUSY]
        {
            assert!(failure(code, "").to_string().contains("/x/a.sqlite"));
        }
    }
}
