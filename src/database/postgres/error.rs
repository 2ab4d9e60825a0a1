//! PostgreSQL's error codes as the errors of this room
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use super::quoted;
use crate::database::{DatabaseError, ServerDatabase};

/// What went wrong with a connection or a statement.
pub(super) fn describe(at: &ServerDatabase, error: &Error) -> DatabaseError {
    let Some(said) = error.as_db_error() else {
        // No answer of the server: it could not be reached, or the connection broke.
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        if is_of_a_value(error) {
            return DatabaseError::Failed(format!("{at}: a value does not fit: {reason}"));
        }
        return DatabaseError::Unreachable(format!("cannot reach PostgreSQL for {at}: {reason}"));
    };
    let message = said.message();
    match *said.code() {
        SqlState::UNIQUE_VIOLATION => DatabaseError::Unique { columns: key_columns(said) },
        SqlState::FOREIGN_KEY_VIOLATION => DatabaseError::ForeignKey { columns: key_columns(said) },
        SqlState::NOT_NULL_VIOLATION => {
            DatabaseError::NotNull { column: said.column().unwrap_or_default().to_owned() }
        }
        SqlState::DUPLICATE_DATABASE | SqlState::DUPLICATE_SCHEMA => DatabaseError::Exists(format!(
            "cannot create the database {at}: there is one of this name already"
        )),
        SqlState::INVALID_CATALOG_NAME => DatabaseError::Missing(format!("there is no database {at}")),
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            DatabaseError::Unreachable(format!(
                "PostgreSQL at {} refuses the user {}: {message}",
                at.server, at.server.user
            ))
        }
        SqlState::TOO_MANY_CONNECTIONS => {
            DatabaseError::Full(format!("PostgreSQL at {} has no connection left: {message}", at.server))
        }
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => {
            DatabaseError::Unreachable(format!("PostgreSQL at {} is not ready: {message}", at.server))
        }
        SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY | SqlState::IO_ERROR => {
            DatabaseError::Storage(format!("PostgreSQL cannot write {at}: {message}"))
        }
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => {
            DatabaseError::Corrupt(format!("{at} is damaged: {message}"))
        }
        SqlState::OBJECT_IN_USE
        | SqlState::LOCK_NOT_AVAILABLE
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::T_R_DEADLOCK_DETECTED => DatabaseError::Busy(format!("{at}: {message}")),
        SqlState::INVALID_REGULAR_EXPRESSION => DatabaseError::Pattern(format!("{at}: {message}")),
        SqlState::INSUFFICIENT_PRIVILEGE => DatabaseError::Denied(format!(
            "the user {} may not do that in {at}: {message}{}",
            at.server.user,
            right(at, message).map_or_else(String::new, |sql| format!("; its owner allows it with: {sql}"))
        )),
        _ => DatabaseError::Failed(format!("{at}: {message}")),
    }
}

/// Whether the driver could not write or read a value: nothing is wrong with the connection. It says
/// so in its sentence alone.
fn is_of_a_value(error: &Error) -> bool {
    let said = error.to_string();
    said.starts_with("error serializing parameter") || said.starts_with("error deserializing column")
}

/// What gives the right that "permission denied for schema public" speaks of.
fn right(at: &ServerDatabase, message: &str) -> Option<String> {
    let (kind, name) = message.strip_prefix("permission denied for ")?.split_once(' ')?;
    let (rights, kind) = match kind {
        "schema" => ("USAGE, CREATE", "SCHEMA"),
        "database" => ("CONNECT, CREATE", "DATABASE"),
        "table" => ("ALL", "TABLE"),
        _ => return None,
    };
    let (name, role) = (quoted(name.trim_matches('"')).ok()?, quoted(&at.server.user).ok()?);
    Some(format!("GRANT {rights} ON {kind} {name} TO {role}"))
}

/// The columns in `Key (email, name)=(a, b) already exists.`, or `… is not present in table "users".`
fn key_columns(said: &DbError) -> Vec<String> {
    let columns = said.detail().and_then(|detail| detail.strip_prefix("Key (")?.split_once(")=("));
    columns.map(|(columns, _)| columns.split(", ").map(unquote).collect()).unwrap_or_default()
}

fn unquote(name: &str) -> String {
    name.trim_matches('"').replace("\"\"", "\"")
}
