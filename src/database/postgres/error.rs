//! Translates PostgreSQL's error codes (<https://www.postgresql.org/docs/current/errcodes-appendix.html>) to
//! [`DatabaseError`]s.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use super::quoted;
use crate::database::descriptors::is_descriptor_shortage;
use crate::database::{DatabaseError, Refusal, ServerDatabase};

/// Why a connection or a statement failed.
pub(in crate::database) enum ConnectionFailure {
    /// This machine lacks something.
    Machine(String),
    /// Nothing answers at the address.
    Unreachable(std::io::Error),
    Driver(Error),
}

impl From<std::io::Error> for ConnectionFailure {
    fn from(error: std::io::Error) -> Self {
        Self::Unreachable(error)
    }
}

impl From<Error> for ConnectionFailure {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

/// Translates the error of a connection or a statement.
pub(super) fn describe(at: &ServerDatabase, error: &Error) -> DatabaseError {
    let Some(said) = error.as_db_error() else { return without_answer(at, error) };
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
        _ if is_missing(said) => DatabaseError::Missing(format!("there is no database {at}")),
        // `pg_hba.conf` excludes this user from this database, but maybe not from others.
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
        SqlState::UNDEFINED_COLUMN | SqlState::UNDEFINED_TABLE => {
            DatabaseError::Outdated(format!("{at}: {sentence}"))
        }
        // A table was dropped or replaced between two steps of one statement.
        SqlState::INTERNAL_ERROR if is_of_a_table_gone(message) => {
            DatabaseError::Conflict(format!("{at}: {sentence}"))
        }
        SqlState::INVALID_REGULAR_EXPRESSION => DatabaseError::Pattern(format!("{at}: {message}")),
        SqlState::INSUFFICIENT_PRIVILEGE => denied(at, &sentence, right(at, message)),
        // The user has no access to the schema of its tables.
        SqlState::INVALID_SCHEMA_NAME if message.starts_with("no schema has been selected") => {
            denied(at, &sentence, right(at, "permission denied for schema public"))
        }
        _ => match refusal(said.code().code(), message, said.column().or(said.constraint())) {
            Some(refusal) => refusal.into(),
            None => DatabaseError::Failed(format!("{at}: {sentence}")),
        },
    }
}

/// Translates what PostgreSQL refuses because of a limit
/// (<https://www.postgresql.org/docs/current/limits.html>) or a value: classes 22, 23, 42 and 54. `named` is
/// the column or the constraint that it names.
fn refusal(code: &str, message: &str, named: Option<&str>) -> Option<Refusal> {
    let column = named.map(str::to_owned);
    Some(match code {
        "22001" | "22026" => Refusal::TooLong { column },
        "22003" | "22008" | "22015" => Refusal::OutOfRange { column },
        "22021" | "22P05" => Refusal::Character { column },
        "22019" | "22025" | "2201B" | "22P06" => Refusal::Pattern,
        "2200H" => Refusal::NoKeyLeft { column },
        // Users give no divisors: this is a bug in a statement.
        "22012" => return None,
        _ if code.starts_with("22") => Refusal::Malformed { column },
        "23514" | "23P01" | "23001" | "23000" => Refusal::Rule { rule: column.unwrap_or_default() },
        // There is no operator or conversion for these types.
        "42883" | "42804" | "42846" | "42P18" | "42P22" | "42P21" => Refusal::Incomparable,
        "42701" if message.contains("system column") => Refusal::Name,
        "42701" => Refusal::Taken { what: "field" },
        "42P07" => Refusal::Taken { what: "collection or index" },
        "42710" => Refusal::Taken { what: "collection or field" },
        "42602" | "42622" | "42939" => Refusal::Name,
        "54011" if message.contains("in an index") => Refusal::Indexes,
        "54011" if message.contains("target lists") => Refusal::Complex,
        "54011" => Refusal::Columns,
        "54000" if message.starts_with("row is too big") => Refusal::Row,
        "54000" if message.contains("index") => Refusal::IndexEntry { column },
        "54000" if message.contains("too many") || message.contains("cannot have more than") => {
            Refusal::Complex
        }
        "54001" | "54023" => Refusal::Complex,
        "54000" => Refusal::Bytes,
        // A value exceeds the largest allocation that the server makes.
        "XX000" if message.contains("invalid memory alloc request size") => Refusal::Bytes,
        _ => return None,
    })
}

/// Translates an error without a response: the server is unreachable, or the connection broke.
fn without_answer(at: &ServerDatabase, error: &Error) -> DatabaseError {
    let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    if is_of_a_value(error) {
        tracing::debug!(%reason, "the driver refused a value");
        return Refusal::Malformed { column: None }.into();
    }
    let cause = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    if cause.is_some_and(is_descriptor_shortage) {
        return DatabaseError::no_descriptors(format_args!("cannot connect to PostgreSQL for {at}"));
    }
    DatabaseError::Unreachable(format!("cannot reach PostgreSQL for {at}: {reason}"))
}

/// Whether the database does not exist; PgBouncer reports it as a protocol violation.
fn is_missing(said: &DbError) -> bool {
    let is_passed_on = || {
        let message = said.message();
        message.starts_with("database ") && message.ends_with(" does not exist")
    };
    match *said.code() {
        SqlState::INVALID_CATALOG_NAME => true,
        SqlState::PROTOCOL_VIOLATION => is_passed_on(),
        _ => false,
    }
}

/// Joins the server's message, its detail and its hint.
fn sentence(said: &DbError) -> String {
    let mut sentence = said.message().to_owned();
    for (what, more) in [("detail", said.detail()), ("hint", said.hint())] {
        if let Some(more) = more {
            sentence.push_str(&format!("; {what}: {}", more.trim_end_matches('.')));
        }
    }
    sentence
}

/// Whether the driver failed to encode or decode a value, which leaves the connection intact. Only the
/// message tells.
fn is_of_a_value(error: &Error) -> bool {
    let said = error.to_string();
    said.starts_with("error serializing parameter") || said.starts_with("error deserializing column")
}

/// Whether a table, a column or an index was dropped during the statement.
fn is_of_a_table_gone(message: &str) -> bool {
    ["could not open relation with OID", "cache lookup failed for", "tuple concurrently"]
        .iter()
        .any(|start| message.starts_with(start))
}

fn denied(at: &ServerDatabase, sentence: &str, right: Option<String>) -> DatabaseError {
    let right = right.map_or_else(String::new, |sql| format!("; its owner allows it with: {sql}"));
    DatabaseError::Denied(format!("the user {} may not do that in {at}: {sentence}{right}", at.server.user))
}

/// Returns the SQL that grants what "permission denied for schema public" or "must be owner of table posts"
/// lacks.
fn right(at: &ServerDatabase, message: &str) -> Option<String> {
    if let Some(what) = message.strip_prefix("must be owner of ") {
        let (kind, name) = what.rsplit_once(' ')?;
        let kind = match kind {
            "relation" => "TABLE".to_owned(),
            kind => kind.to_uppercase(),
        };
        let (name, role) = (quoted(name.trim_matches('"')).ok()?, quoted(&at.server.user).ok()?);
        return Some(format!("ALTER {kind} {name} OWNER TO {role}"));
    }
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

/// Parses the columns in `DatabaseKey (email, name)=(a, b) already exists.` or `… is not present in table
/// "users".`
fn key_columns(said: &DbError) -> Vec<String> {
    let columns = said.detail().and_then(|detail| detail.strip_prefix("Key (")?.split_once(")=("));
    columns.map(|(columns, _)| columns.split(", ").map(unquote).collect()).unwrap_or_default()
}

fn unquote(name: &str) -> String {
    name.trim_matches('"').replace("\"\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Engine;

    #[test]
    fn a_missing_privilege_is_reported_with_the_sql_that_grants_it() {
        let at = ServerDatabase::parse(Engine::Postgres, "postgres://app@db/crm").unwrap();
        for (message, sql) in [
            ("permission denied for schema public", r#"GRANT USAGE, CREATE ON SCHEMA "public" TO "app""#),
            ("must be owner of table posts", r#"ALTER TABLE "posts" OWNER TO "app""#),
            ("must be owner of relation posts", r#"ALTER TABLE "posts" OWNER TO "app""#),
            ("must be owner of database crm", r#"ALTER DATABASE "crm" OWNER TO "app""#),
            ("must be owner of schema s1", r#"ALTER SCHEMA "s1" OWNER TO "app""#),
        ] {
            assert_eq!(right(&at, message).as_deref(), Some(sql), "{message}");
        }
    }

    #[test]
    fn limits_and_invalid_values_become_refusals() {
        let column = || Some("title".to_owned());
        for (code, message, expected) in [
            (
                "22001",
                "value too long for type character varying(255)",
                Refusal::TooLong { column: column() },
            ),
            ("22003", "integer out of range", Refusal::OutOfRange { column: column() }),
            (
                "22021",
                "invalid byte sequence for encoding \"UTF8\": 0x00",
                Refusal::Character { column: column() },
            ),
            ("22P02", "invalid input syntax for type bigint: \"x\"", Refusal::Malformed { column: column() }),
            ("2201B", "invalid regular expression: brackets [] not balanced", Refusal::Pattern),
            ("2200H", "nextval: reached maximum value of sequence", Refusal::NoKeyLeft { column: column() }),
            ("23514", "violates check constraint", Refusal::Rule { rule: "title".to_owned() }),
            ("42883", "operator does not exist: character varying = bigint", Refusal::Incomparable),
            ("42701", "column name \"ctid\" conflicts with a system column name", Refusal::Name),
            ("42701", "column \"a\" of relation \"b\" already exists", Refusal::Taken { what: "field" }),
            ("54011", "tables can have at most 1600 columns", Refusal::Columns),
            ("54011", "cannot use more than 32 columns in an index", Refusal::Indexes),
            ("54011", "target lists can have at most 1664 entries", Refusal::Complex),
            ("54000", "row is too big: size 12832, maximum size 8160", Refusal::Row),
            (
                "54000",
                "index row size 4016 exceeds btree version 4 maximum 2704",
                Refusal::IndexEntry { column: column() },
            ),
            ("54001", "stack depth limit exceeded", Refusal::Complex),
        ] {
            assert_eq!(refusal(code, message, Some("title")), Some(expected), "{message}");
        }
        for code in ["22012", "42601", "42P01", "42703", "0A000", "XX000", "57014"] {
            assert_eq!(refusal(code, "", None), None, "{code}");
        }
    }
}
