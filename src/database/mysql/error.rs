//! The error numbers of MySQL and MariaDB as the errors of this room
//! (<https://mariadb.com/kb/en/mariadb-error-code-reference/>).

use mysql_async::{Error, IoError, ServerError};

use crate::database::expression::OUT_OF_STEPS;
use crate::database::{DatabaseError, ServerDatabase};

/// An index of this name is there already.
pub(super) const DUPLICATE_KEY_NAME: u16 = 1061;
const DUPLICATE_ENTRY: u16 = 1062;

/// What went wrong with a connection or a statement.
pub(super) fn describe(at: &ServerDatabase, error: &Error) -> DatabaseError {
    let unreachable = |reason: String| {
        DatabaseError::Unreachable(format!("cannot reach MySQL or MariaDB for {at}: {reason}"))
    };
    match error {
        Error::Server(said) => said_by_server(at, said),
        Error::Io(IoError::Io(error)) => unreachable(error.to_string()),
        Error::Io(IoError::Tls(error)) => unreachable(format!("the encrypted connection failed: {error}")),
        Error::Driver(mysql_async::DriverError::NoClientSslFlagFromServer) => {
            unreachable("it does not offer TLS, which sslmode asks for".to_owned())
        }
        other => unreachable(other.to_string()),
    }
}

fn said_by_server(at: &ServerDatabase, said: &ServerError) -> DatabaseError {
    let (server, message) = (&at.server, &said.message);
    match said.code {
        DUPLICATE_ENTRY | 1586 => DatabaseError::Unique { columns: Vec::new() },
        1216 | 1217 | 1451 | 1452 => DatabaseError::ForeignKey { columns: referring_columns(message) },
        1048 | 1364 => DatabaseError::NotNull { column: between_quotes(message).unwrap_or_default() },
        1007 => DatabaseError::Exists(format!(
            "cannot create the database {at}: there is one of this name already"
        )),
        // 1046: it was removed while it was open.
        1008 | 1046 | 1049 => missing(at),
        1045 | 1698 | 1251 | 1130 | 1862 => DatabaseError::Unreachable(format!(
            "the server {server} refuses the user {}: {message}",
            server.user
        )),
        1040 | 1203 | 1226 => {
            DatabaseError::Full(format!("the server {server} has no connection left: {message}"))
        }
        1053 | 1077 | 1079 | 1927 | 3169 | 4031 => {
            DatabaseError::Unreachable(format!("the server {server} is not ready: {message}"))
        }
        1 | 3 | 20 | 1004 | 1021 | 1026 | 1030 | 1041 | 1114 => {
            DatabaseError::Storage(format!("the server cannot write {at}: {message}"))
        }
        // Whatever it was doing, the system or the storage engine says that nothing more fits.
        _ if [": 28 ", ": 30 ", ": 122 ", ": 135 "].iter().any(|number| {
            message.contains(&format!("rrcode{number}")) || message.contains(&format!("rrno{number}"))
        }) =>
        {
            DatabaseError::Storage(format!("the server cannot write {at}: {message}"))
        }
        1194 | 1195 | 1034 | 1035 => DatabaseError::Corrupt(format!("{at} is damaged: {message}")),
        1205 | 1213 | 1020 | 1317 => DatabaseError::Busy(format!("{at}: {message}")),
        // MySQL has words of its own for a pattern that takes too long.
        1139 | 3698 | 3699 => DatabaseError::Pattern(format!("{at}: {message}")),
        1690 if message.contains(OUT_OF_STEPS) => DatabaseError::Pattern(format!("{at}: {message}")),
        // Also where there is no such database: who may not use it is not told.
        1044 => denied(at),
        1142 | 1143 => DatabaseError::Denied(format!(
            "the user {} may not do that in {at}: {message}; an administrator allows it with: {}",
            server.user,
            grant(at)
        )),
        1227 | 1370 | 1410 => {
            DatabaseError::Denied(format!("the user {} may not do that in {at}: {message}", server.user))
        }
        _ => DatabaseError::Failed(format!("{at}: {message}")),
    }
}

pub(super) fn missing(at: &ServerDatabase) -> DatabaseError {
    DatabaseError::Missing(format!("there is no database {at}"))
}

pub(super) fn is_missing_table(error: &Error) -> bool {
    matches!(error, Error::Server(said) if said.code == 1146)
}

/// The user has no right to the database.
pub(super) fn denied(at: &ServerDatabase) -> DatabaseError {
    DatabaseError::Denied(format!(
        "the user {} may not use or create the database {at}; an administrator allows it with: {}",
        at.server.user,
        grant(at)
    ))
}

/// What gives every right to the database.
fn grant(at: &ServerDatabase) -> String {
    format!(
        "GRANT ALL PRIVILEGES ON `{}`.* TO '{}'@'%'",
        at.name.replace('`', "``"),
        at.server.user.replace('\'', "''")
    )
}

/// The key in `Duplicate entry 'x' for key 'name'`; MySQL 8 writes `table.name`.
pub(super) fn violated_key(error: &Error) -> Option<String> {
    let Error::Server(said) = error else { return None };
    if said.code != DUPLICATE_ENTRY {
        return None;
    }
    // The entry may hold anything; the key is what the sentence ends with.
    let (_, key) = said.message.strip_suffix('\'')?.rsplit_once(" for key '")?;
    Some(key.rsplit_once('.').map_or(key, |(_, key)| key).to_owned())
}

/// The table that a statement of the query builder changes: the first name in it that ends a path.
pub(super) fn table_of(sql: &str) -> Option<String> {
    let mut rest = &sql[sql.find('`')?..];
    loop {
        let mut name = String::new();
        let mut characters = rest[1..].char_indices().peekable();
        let end = loop {
            match characters.next()? {
                (_, '`') if characters.peek().is_some_and(|(_, next)| *next == '`') => {
                    characters.next();
                    name.push('`');
                }
                (at, '`') => break at + 2,
                (_, other) => name.push(other),
            }
        };
        match rest[end..].strip_prefix(".`") {
            Some(_) => rest = &rest[end + 1..],
            None => return Some(name),
        }
    }
}

/// The columns in ``… FOREIGN KEY (`a`, `b`) REFERENCES …``.
fn referring_columns(message: &str) -> Vec<String> {
    let Some((_, rest)) = message.split_once(" FOREIGN KEY (") else { return Vec::new() };
    let columns = rest.split_once(") REFERENCES").map_or("", |(columns, _)| columns);
    let names = columns.split(", ").map(|name| name.trim_matches('`').replace("``", "`"));
    names.filter(|name| !name.is_empty()).collect()
}

fn between_quotes(message: &str) -> Option<String> {
    let (_, rest) = message.split_once('\'')?;
    Some(rest.split_once('\'')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_whoever_meets_it() {
        let at = ServerDatabase::parse(crate::database::Engine::Mysql, "mysql://u@h/crm").unwrap();
        let said = |code, message: &str| {
            said_by_server(&at, &ServerError { code, message: message.to_owned(), state: "HY000".to_owned() })
        };
        for (code, message) in [
            (1021, "Disk full (/tmp/x); waiting for someone to free some space..."),
            (3, "Error writing file './crm/a.frm' (Errcode: 28 \"No space left on device\")"),
            (1005, "Can't create table `crm`.`roles` (errno: 135 \"No more room in record file\")"),
        ] {
            assert!(matches!(said(code, message), DatabaseError::Storage(_)), "{message}");
        }
        let other = said(1005, "Can't create table `crm`.`a` (errno: 150 \"Foreign key constraint\")");
        assert!(matches!(other, DatabaseError::Failed(_)), "{other:?}");
    }

    #[test]
    fn the_table_is_read_from_the_statement() {
        for (sql, table) in [
            ("INSERT INTO `posts` (`title`) VALUES (?)", "posts"),
            ("UPDATE `a``b`.`c``d` SET `x` = 1", "c`d"),
            ("DELETE FROM `posts`", "posts"),
        ] {
            assert_eq!(table_of(sql).as_deref(), Some(table));
        }
        assert_eq!(table_of("SELECT 1"), None);
        assert_eq!(table_of("INSERT INTO `posts"), None);
    }
}
