//! Translates the error numbers of MySQL and MariaDB
//! (<https://mariadb.com/kb/en/mariadb-error-code-reference/>) to [`DatabaseError`]s.

use mysql_async::{Error, IoError, ServerError};

use crate::database::descriptors::is_descriptor_shortage;
use crate::database::expression::OUT_OF_STEPS;
use crate::database::{DatabaseError, Refusal, ServerDatabase};

/// An index of this name exists already.
pub(super) const DUPLICATE_KEY_NAME: u16 = 1061;
const DUPLICATE_ENTRY: u16 = 1062;

/// A statement exceeded its time limit: MariaDB's number and MySQL's.
const STATEMENT_TIMEOUT: [u16; 2] = [1969, 3024];

/// Translates the error of a connection or a statement.
pub(super) fn describe(at: &ServerDatabase, error: &Error) -> DatabaseError {
    let unreachable = |reason: String| {
        DatabaseError::Unreachable(format!("cannot reach MySQL or MariaDB for {at}: {reason}"))
    };
    match error {
        Error::Server(said) => said_by_server(at, said),
        Error::Io(IoError::Io(error)) if is_descriptor_shortage(error) => {
            DatabaseError::no_descriptors(format_args!("cannot connect to MySQL or MariaDB for {at}"))
        }
        Error::Io(IoError::Io(error)) => unreachable(error.to_string()),
        Error::Io(IoError::Tls(error)) => unreachable(format!("the encrypted connection failed: {error}")),
        Error::Driver(mysql_async::DriverError::NoClientSslFlagFromServer) => {
            unreachable("it does not offer TLS, which sslmode requires".to_owned())
        }
        other => unreachable(other.to_string()),
    }
}

fn said_by_server(at: &ServerDatabase, said: &ServerError) -> DatabaseError {
    let (server, message) = (&at.server, &said.message);
    if let Some(refusal) = refusal(said.code, message) {
        return refusal.into();
    }
    match said.code {
        DUPLICATE_ENTRY | 1586 => DatabaseError::Unique { columns: Vec::new() },
        1216 | 1217 | 1451 | 1452 => DatabaseError::ForeignKey { columns: referring_columns(message) },
        1048 | 1364 => DatabaseError::NotNull { column: between(message, '\'').unwrap_or_default() },
        1007 => DatabaseError::Exists(format!(
            "cannot create the database {at}: there is one of this name already"
        )),
        // 1046: it was dropped while it was open.
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
        // Whatever the error, the system or the storage engine reports a full disk.
        _ if [": 28 ", ": 30 ", ": 122 ", ": 135 "].iter().any(|number| {
            message.contains(&format!("rrcode{number}")) || message.contains(&format!("rrno{number}"))
        }) =>
        {
            DatabaseError::Storage(format!("the server cannot write {at}: {message}"))
        }
        1194 | 1195 | 1034 | 1035 => DatabaseError::Corrupt(format!("{at} is damaged: {message}")),
        // MySQL has errors of its own for patterns that take too long.
        1139 | 3698 | 3699 => DatabaseError::Pattern(format!("{at}: {message}")),
        1690 if message.contains(OUT_OF_STEPS) => DatabaseError::Pattern(format!("{at}: {message}")),
        code if STATEMENT_TIMEOUT.contains(&code) => DatabaseError::TooSlow(format!("{at}: {message}")),
        1205 | 1317 => DatabaseError::Busy(format!("{at}: {message}")),
        // A deadlock; a row or a table's definition that others changed during the transaction; a prepared
        // statement that the server could not prepare again.
        1213 | 1020 | 1412 | 1615 => DatabaseError::Conflict(format!("{at}: {message}")),
        // Unknown column, unknown table.
        1054 | 1146 => DatabaseError::Outdated(format!("{at}: {message}")),
        // Also if there is no such database, unless the user has a privilege on it.
        // The message names the account that matched, and the database.
        1044 => denied(at, message, account_in(message).as_deref()),
        // The message names the client's host, which may differ from the account's.
        1142 | 1143 => denied(at, message, None),
        1227 | 1370 | 1410 => {
            DatabaseError::Denied(format!("the user {} may not do that in {at}: {message}", server.user))
        }
        _ => DatabaseError::Failed(format!("{at}: {message}")),
    }
}

/// Translates what MySQL and MariaDB refuse because of a limit or a value.
fn refusal(code: u16, message: &str) -> Option<Refusal> {
    let column = || named(message);
    Some(match code {
        1406 | 1074 => Refusal::TooLong { column: column() },
        1264 | 1441 | 1916 => Refusal::OutOfRange { column: column() },
        1690 if !message.contains(OUT_OF_STEPS) => Refusal::OutOfRange { column: column() },
        // A character that the column's encoding lacks, as opposed to a value of another type.
        1366 if message.starts_with("Incorrect string value") => Refusal::Character { column: column() },
        1300 | 1977 | 3854 => Refusal::Character { column: column() },
        1265 | 1292 | 1366 | 1367 | 1411 | 1365 | 1425 | 1426 | 1427 | 1917 | 1918 => {
            Refusal::Malformed { column: column() }
        }
        // Malformed documents, or too deeply nested ones.
        3140 | 3141 | 3143 | 3144 | 3156 | 3157 | 4036..=4044 => Refusal::Malformed { column: column() },
        3819 | 4025 => Refusal::Rule { rule: rule(message) },
        1267 | 1270 | 1271 | 4078 => Refusal::Incomparable,
        3685..=3697 | 1210 => Refusal::Pattern,
        1467 | 167 => Refusal::NoKeyLeft { column: None },
        1030 if message.contains("error 167") => Refusal::NoKeyLeft { column: None },
        1117 => Refusal::Columns,
        1118 | 1713 | 139 => Refusal::Row,
        1005 | 1030 if message.contains("rror 139 ") || message.contains("rrno: 139 ") => Refusal::Row,
        1071 | 1170 | 1167 | 1709 | 1073 => Refusal::IndexEntry { column: column() },
        1069 | 1070 => Refusal::Indexes,
        1050 => Refusal::Taken { what: "collection" },
        1060 => Refusal::Taken { what: "field" },
        1059 | 1102 | 1103 | 1166 | 1280 => Refusal::Name,
        1104 | 1116 | 1436 | 1473 => Refusal::Complex,
        1064 if message.starts_with("memory exhausted") => Refusal::Complex,
        1390 => Refusal::Values,
        1153 | 1301 | 1162 => Refusal::Bytes,
        _ => return None,
    })
}

/// Parses the column in `… for column 'title' at row 1`, or ``… for column `crm`.`posts`.`title` at row 1``.
fn named(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(" column ")?;
    let path = rest.split_once(" at row ").map_or(rest, |(path, _)| path);
    let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
    let name = name.trim_matches(|quote| matches!(quote, '\'' | '`'));
    (!name.is_empty() && !name.contains(' ')).then(|| name.to_owned())
}

/// Parses the constraint in ``CONSTRAINT `posts.body` failed for `crm`.`posts` ``. MariaDB names those that
/// check JSON documents after their column.
fn rule(message: &str) -> String {
    let rule = between(message, '`').or_else(|| between(message, '\'')).unwrap_or_default();
    rule.rsplit_once('.').map_or(rule.as_str(), |(_, column)| column).to_owned()
}

fn between(message: &str, quote: char) -> Option<String> {
    let (_, rest) = message.split_once(quote)?;
    Some(rest.split_once(quote)?.0.to_owned())
}

pub(super) fn is_too_slow(error: &Error) -> bool {
    matches!(error, Error::Server(said) if STATEMENT_TIMEOUT.contains(&said.code))
}

pub(super) fn missing(at: &ServerDatabase) -> DatabaseError {
    DatabaseError::Missing(format!("there is no database {at}"))
}

pub(super) fn is_missing_table(error: &Error) -> bool {
    matches!(error, Error::Server(said) if said.code == 1146)
}

/// Whether the user lacks a privilege on the database or a table.
pub(super) fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Server(said) if matches!(said.code, 1044 | 1142 | 1143))
}

/// The error for a missing privilege: the server's message, and the SQL that grants it if the account is
/// known (`name@host`, as from `CURRENT_USER()`).
pub(super) fn denied(at: &ServerDatabase, message: &str, account: Option<&str>) -> DatabaseError {
    let database = Some(at.name.clone()).filter(|name| !name.is_empty()).or_else(|| database_in(message));
    let place = match &database {
        Some(name) => format!("the database {name} on {}", at.server),
        None => format!("databases on {}", at.server),
    };
    let sentence = format!("the user {} may not do that in {place}: {message}", at.server.user);
    let statement = database.zip(account).map(|(database, account)| grant(&database, account));
    let advice =
        statement.map_or_else(String::new, |sql| format!("; an administrator allows it with: {sql}"));
    DatabaseError::Denied(format!("{sentence}{advice}"))
}

/// The SQL that grants an account every privilege on a database.
fn grant(database: &str, account: &str) -> String {
    let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let database = database.replace('`', "``");
    format!("GRANT ALL PRIVILEGES ON `{database}`.* TO {}@{}", quoted(user), quoted(host))
}

/// Parses the account in `Access denied for user 'app'@'%' to database 'crm'`: `app@%`.
fn account_in(message: &str) -> Option<String> {
    let (before, after) = message.split_once("'@'")?;
    Some(format!("{}@{}", before.split_once('\'')?.1, after.split_once('\'')?.0))
}

/// Parses the database in the same message, or in ``… command denied to user 'app'@'::1' for table
/// `crm`.`posts` ``.
fn database_in(message: &str) -> Option<String> {
    if let Some((_, rest)) = message.rsplit_once(" to database '") {
        return Some(rest.trim_end_matches('\'').to_owned());
    }
    let (_, rest) = message.rsplit_once(" for table `")?;
    Some(rest.split_once("`.`")?.0.replace("``", "`"))
}

/// Parses the key in `Duplicate entry 'x' for key 'name'`; MySQL 8 writes `table.name`.
pub(super) fn violated_key(error: &Error) -> Option<String> {
    let Error::Server(said) = error else { return None };
    if said.code != DUPLICATE_ENTRY {
        return None;
    }
    // The entry may contain anything; the key is at the end of the message.
    let (_, key) = said.message.strip_suffix('\'')?.rsplit_once(" for key '")?;
    Some(key.rsplit_once('.').map_or(key, |(_, key)| key).to_owned())
}

/// The table that a statement of the query builder changes: the first name in it, without its qualifier.
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

/// Parses the columns in ``… FOREIGN KEY (`a`, `b`) REFERENCES …``.
fn referring_columns(message: &str) -> Vec<String> {
    let Some((_, rest)) = message.split_once(" FOREIGN KEY (") else { return Vec::new() };
    let columns = rest.split_once(") REFERENCES").map_or("", |(columns, _)| columns);
    let names = columns.split(", ").map(|name| name.trim_matches('`').replace("``", "`"));
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> ServerDatabase {
        ServerDatabase::parse(crate::database::Engine::Mysql, "mysql://app@h/crm").unwrap()
    }

    #[test]
    fn a_full_disk_is_recognized_whichever_component_reports_it() {
        let at = at();
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
    fn the_hint_grants_the_account_the_database() {
        let at = |name: &str| ServerDatabase { name: name.to_owned(), ..at() };
        let said = |at: &ServerDatabase, code, message: &str| {
            said_by_server(at, &ServerError { code, message: message.to_owned(), state: "42000".to_owned() })
                .to_string()
        };
        let message = "Access denied for user 'app'@'10.%' to database 'crm_x'";
        let grant = "GRANT ALL PRIVILEGES ON `crm_x`.* TO 'app'@'10.%'";
        for name in ["", "crm_x"] {
            assert!(said(&at(name), 1044, message).contains(grant), "{name}");
        }
        // The client's host may differ from the account's, which has to be asked for.
        let message = "CREATE command denied to user 'app'@'127.0.0.1' for table `crm`.`posts`";
        assert!(!said(&at(""), 1142, message).contains("GRANT"));
        let asked = denied(&at(""), message, Some("app@%")).to_string();
        assert!(asked.contains("GRANT ALL PRIVILEGES ON `crm`.* TO 'app'@'%'"), "{asked}");
    }

    #[test]
    fn limits_and_invalid_values_become_refusals() {
        let column = |name: &str| Some(name.to_owned());
        for (code, message, expected) in [
            (1406, "Data too long for column 'title' at row 1", Refusal::TooLong { column: column("title") }),
            (
                1264,
                "Out of range value for column `crm`.`posts`.`views` at row 1",
                Refusal::OutOfRange { column: column("views") },
            ),
            (
                1366,
                "Incorrect string value: '\\xF0\\x9F\\x98\\x80' for column `crm`.`posts`.`title` at row 1",
                Refusal::Character { column: column("title") },
            ),
            (
                1366,
                "Incorrect integer value: 'x y' for column `crm`.`posts`.`views` at row 1",
                Refusal::Malformed { column: column("views") },
            ),
            (
                4025,
                "CONSTRAINT `posts.body` failed for `crm`.`posts`",
                Refusal::Rule { rule: "body".to_owned() },
            ),
            (
                1467,
                "Failed to read auto-increment value from storage engine",
                Refusal::NoKeyLeft { column: None },
            ),
            (1117, "Too many columns", Refusal::Columns),
            (
                1118,
                "Row size too large (> 8126). Changing some columns to TEXT or BLOB may help",
                Refusal::Row,
            ),
            (1030, "Got error 139 \"Too big row\" from storage engine InnoDB", Refusal::Row),
            (
                1071,
                "Specified key was too long; max key length is 3072 bytes",
                Refusal::IndexEntry { column: None },
            ),
            (1116, "Too many tables; MariaDB can only use 61 tables in a join", Refusal::Complex),
            (1390, "Prepared statement contains too many placeholders", Refusal::Values),
            (1166, "Incorrect column name 'DB_ROW_ID'", Refusal::Name),
        ] {
            assert_eq!(refusal(code, message), Some(expected), "{message}");
        }
        for code in [1064, 1146, 1054, 1213, 1205, 1030, 1021] {
            assert_eq!(refusal(code, ""), None, "{code}");
        }
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
