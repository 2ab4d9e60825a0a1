//! PostgreSQL's error codes as the errors of this room
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use super::quoted;
use crate::database::descriptors::are_used_up;
use crate::database::{DatabaseError, ServerDatabase};

/// What went wrong with a connection or a statement.
pub(super) fn describe(at: &ServerDatabase, error: &Error) -> DatabaseError {
    let Some(said) = error.as_db_error() else {
        // No answer of the server: it could not be reached, or the connection broke.
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        if is_of_a_value(error) {
            return DatabaseError::Failed(format!("{at}: a value does not fit: {reason}"));
        }
        let cause = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        if cause.is_some_and(are_used_up) {
            return DatabaseError::no_descriptors(format_args!("cannot connect to PostgreSQL for {at}"));
        }
        return DatabaseError::Unreachable(format!("cannot reach PostgreSQL for {at}: {reason}"));
    };
    let (message, sentence) = (said.message(), sentence(said));
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
        // The server's rules leave this database out for this user; others may be open.
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION if message.starts_with("no pg_hba.conf entry") => {
            DatabaseError::Denied(format!(
                "PostgreSQL at {} does not let the user {} into {}: {sentence}",
                at.server, at.server.user, at.name
            ))
        }
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            DatabaseError::Unreachable(format!(
                "PostgreSQL at {} refuses the user {}: {sentence}",
                at.server, at.server.user
            ))
        }
        SqlState::TOO_MANY_CONNECTIONS => {
            DatabaseError::Full(format!("PostgreSQL at {} has no connection left: {sentence}", at.server))
        }
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => {
            DatabaseError::Unreachable(format!("PostgreSQL at {} is not ready: {sentence}", at.server))
        }
        SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY | SqlState::IO_ERROR => {
            DatabaseError::Storage(format!("PostgreSQL cannot write {at}: {sentence}"))
        }
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => {
            DatabaseError::Corrupt(format!("{at} is damaged: {sentence}"))
        }
        SqlState::OBJECT_IN_USE | SqlState::LOCK_NOT_AVAILABLE => {
            DatabaseError::Busy(format!("{at}: {sentence}"))
        }
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
            DatabaseError::Conflict(format!("{at}: {sentence}"))
        }
        SqlState::UNDEFINED_COLUMN
        | SqlState::UNDEFINED_TABLE
        | SqlState::UNDEFINED_FUNCTION
        | SqlState::DATATYPE_MISMATCH => DatabaseError::Outdated(format!("{at}: {sentence}")),
        // A table was removed, or made anew, between two steps of one statement.
        SqlState::INTERNAL_ERROR if is_of_a_table_gone(message) => {
            DatabaseError::Conflict(format!("{at}: {sentence}"))
        }
        SqlState::INVALID_REGULAR_EXPRESSION => DatabaseError::Pattern(format!("{at}: {message}")),
        SqlState::INSUFFICIENT_PRIVILEGE => DatabaseError::Denied(format!(
            "the user {} may not do that in {at}: {sentence}{}",
            at.server.user,
            right(at, message).map_or_else(String::new, |sql| format!("; its owner allows it with: {sql}"))
        )),
        _ => DatabaseError::Failed(format!("{at}: {sentence}")),
    }
}

/// All that the server says: the sentence, and its own detail and hint.
fn sentence(said: &DbError) -> String {
    let mut sentence = said.message().to_owned();
    for (what, more) in [("detail", said.detail()), ("hint", said.hint())] {
        if let Some(more) = more {
            sentence.push_str(&format!("; {what}: {}", more.trim_end_matches('.')));
        }
    }
    sentence
}

/// Whether the driver could not write or read a value: nothing is wrong with the connection. It says
/// so in its sentence alone.
fn is_of_a_value(error: &Error) -> bool {
    let said = error.to_string();
    said.starts_with("error serializing parameter") || said.starts_with("error deserializing column")
}

/// Whether the server lost a table, a column or an index from under a statement.
fn is_of_a_table_gone(message: &str) -> bool {
    ["could not open relation with OID", "cache lookup failed for", "tuple concurrently"]
        .iter()
        .any(|start| message.starts_with(start))
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
