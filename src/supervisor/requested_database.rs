//! The database that a creation requests: checks the options against the mode.

use serde::{Deserialize, Serialize};

use crate::database::{Engine, Location, Server, ServerDatabase, Tls};
use crate::protocol::{DatabaseMode, DatabaseRequest, ErrorKind, RpcError};

/// A database of another service, in the form in which the registry stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExternalDatabase {
    /// Its location, without the password.
    pub url: String,
    /// The schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The password, encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether the host creates the database.
    pub create: bool,
    /// Whether the host has begun to create tables. If not, no table in the database belongs to it.
    #[serde(default)]
    pub claimed: bool,
}

impl ExternalDatabase {
    /// Its location, with this password. `None` if the URL cannot be parsed.
    pub(crate) fn location(&self, password: Option<String>) -> Option<Location> {
        let location = Location::parse(&self.url).ok()?.with_password(password);
        match &self.schema {
            Some(schema) => location.with_schema(schema),
            None => Some(location),
        }
    }
}

/// The database that a creation requests, by mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestedDatabase {
    /// A database beside the main one, with this name if one is given.
    Database(Option<String>),
    /// A schema in the main database, with this name if one is given.
    Schema(Option<String>),
    /// A database of another service.
    Connection {
        /// Its location, with the password.
        location: Location,
        /// Whether it to create it if it is missing; after the preflight checks: whether it is missing.
        create: bool,
    },
}

impl RequestedDatabase {
    pub(crate) const fn mode(&self) -> DatabaseMode {
        match self {
            Self::Database(_) => DatabaseMode::Database,
            Self::Schema(_) => DatabaseMode::Schema,
            Self::Connection { .. } => DatabaseMode::Connection,
        }
    }
}

fn invalid(sentence: impl Into<String>) -> RpcError {
    RpcError::new(ErrorKind::InvalidSetting, sentence)
}

/// Parses a request, on a host whose main application's database is on this engine.
///
/// # Errors
/// If an option is invalid or does not fit the mode.
pub(crate) fn parse(request: &DatabaseRequest, main: Engine) -> Result<RequestedDatabase, RpcError> {
    check_prefix(request.table_prefix.as_deref())?;
    if request.mode == DatabaseMode::Connection {
        return connection(request);
    }
    if request.mode == DatabaseMode::Schema && !main.has_schemas() {
        return Err(RpcError::new(
            ErrorKind::SchemaUnsupported,
            format!(
                "schema mode creates a PostgreSQL schema in the main database, but the main database is {}, which \
                 has no such schemas",
                name_of(main)
            ),
        )
        .hint("use --db database: the application gets a database of its own"));
    }
    if let Some(dialect) = &request.dialect
        && Engine::parse(dialect) != Some(main)
    {
        return Err(RpcError::new(
            ErrorKind::EngineUnsupported,
            format!(
                "in {} mode the database is on the main application's service, which is {}, not {dialect}",
                request.mode.as_str(),
                name_of(main)
            ),
        )
        .hint("use --db connection with the --db options of the other service"));
    }
    let options_of_connections = [
        ("--db-url", request.url.is_some()),
        ("--db-host", request.host.is_some()),
        ("--db-port", request.port.is_some()),
        ("--db-user", request.user.is_some()),
        ("--db-password-file", request.password.is_some()),
        ("--db-sslmode", request.sslmode.is_some()),
        ("--create-database", request.create_database),
        (
            "--db-name",
            request.name.is_some() && (request.mode == DatabaseMode::Schema || main == Engine::Sqlite),
        ),
        ("--db-schema", request.schema.is_some() && request.mode == DatabaseMode::Database),
    ];
    if let Some((option, _)) = options_of_connections.into_iter().find(|(_, given)| *given) {
        return Err(invalid(format!("{option} cannot be combined with {} mode", request.mode.as_str()))
            .hint("use --db connection for a database of another service, or leave the option out"));
    }
    Ok(match request.mode {
        DatabaseMode::Schema => RequestedDatabase::Schema(request.schema.clone()),
        _ => RequestedDatabase::Database(request.name.clone()),
    })
}

fn connection(request: &DatabaseRequest) -> Result<RequestedDatabase, RpcError> {
    let location = match &request.url {
        Some(url) => {
            let parsed = Location::parse(url).map_err(|error| {
                invalid(format!("--db-url: {error}")).hint("examples are in: nbapps create --help")
            })?;
            let in_url = parsed.server_database().and_then(|at| at.server.password.clone());
            parsed.with_password(request.password.clone().or(in_url))
        }
        None => from_options(request)?,
    };
    let location = match &request.schema {
        Some(schema) => location.with_schema(schema).ok_or_else(|| {
            RpcError::new(
                ErrorKind::SchemaUnsupported,
                format!("--db-schema: {} has no schemas like PostgreSQL's", name_of(location.engine())),
            )
            .hint("leave it out: the whole database becomes the application's")
        })?,
        None => location,
    };
    if let Location::Sqlite(path) = &location
        && !path.is_absolute()
    {
        return Err(invalid(format!("the path of the SQLite file {} is not absolute", path.display()))
            .hint("give the whole path, from /"));
    }
    Ok(RequestedDatabase::Connection { location, create: request.create_database })
}

fn from_options(request: &DatabaseRequest) -> Result<Location, RpcError> {
    let needed = |value: &Option<String>, option: &str| {
        value.clone().ok_or_else(|| {
            invalid(format!("connection mode needs {option}"))
                .hint("give --db-url, or --db-dialect, --db-host, --db-user and --db-name")
        })
    };
    let dialect = needed(&request.dialect, "--db-dialect")?;
    let engine = Engine::parse(&dialect).ok_or_else(|| {
        invalid(format!("--db-dialect: \"{dialect}\" is not sqlite, postgres, mysql or mariadb"))
    })?;
    let name = needed(&request.name, "--db-name")?;
    if engine == Engine::Sqlite {
        return Ok(Location::Sqlite(name.into()));
    }
    let tls = match &request.sslmode {
        Some(mode) => Tls::parse(mode).ok_or_else(|| {
            invalid(format!("--db-sslmode: \"{mode}\" is not disable, prefer, require or verify-full"))
        })?,
        None => Tls::default(),
    };
    let server = Server {
        host: request.host.clone().unwrap_or_else(|| "localhost".to_owned()),
        port: request.port.unwrap_or(engine.default_port()),
        user: needed(&request.user, "--db-user")?,
        password: request.password.clone(),
        tls,
    };
    let at = ServerDatabase { server, name, schema: None };
    Location::on_server(engine, at).ok_or_else(|| invalid("SQLite has no server"))
}

/// Checks a prefix of tables' names, with which the names of tables and indexes fit on every engine.
pub(crate) fn check_prefix(prefix: Option<&str>) -> Result<(), RpcError> {
    const MAX_LENGTH: usize = 20;
    let Some(prefix) = prefix else { return Ok(()) };
    let known = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if known && prefix.len() <= MAX_LENGTH {
        return Ok(());
    }
    Err(invalid(format!("\"{prefix}\" cannot be the prefix of tables' names"))
        .hint(format!("use at most {MAX_LENGTH} of A-Z, a-z, 0-9 and _")))
}

const fn name_of(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "SQLite",
        Engine::Postgres => "PostgreSQL",
        Engine::Mysql => "MySQL or MariaDB",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(mode: DatabaseMode) -> DatabaseRequest {
        DatabaseRequest { mode, ..DatabaseRequest::default() }
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_connection_is_given_by_url_or_by_parts() {
        let by_url = DatabaseRequest {
            url: some("mysql://ada@h/crm?sslmode=require"),
            password: some("secret"),
            ..request(DatabaseMode::Connection)
        };
        let by_parts = DatabaseRequest {
            dialect: some("mariadb"),
            host: some("h"),
            user: some("ada"),
            name: some("crm"),
            sslmode: some("require"),
            password: some("secret"),
            ..request(DatabaseMode::Connection)
        };
        assert_eq!(parse(&by_url, Engine::Sqlite), parse(&by_parts, Engine::Sqlite));
        let Ok(RequestedDatabase::Connection { location, create }) = parse(&by_url, Engine::Sqlite) else {
            panic!()
        };
        assert!(!create);
        let stored =
            ExternalDatabase { url: location.url(), schema: None, password: None, create, claimed: false };
        assert!(!format!("{stored:?} {by_url:?}").contains("secret"));
        assert_eq!(stored.location(some("secret")), Some(location));
    }

    #[test]
    fn options_that_do_not_fit_the_mode_are_refused_with_a_hint() {
        let connection = request(DatabaseMode::Connection);
        for (request, main, kind) in [
            (request(DatabaseMode::Schema), Engine::Sqlite, ErrorKind::SchemaUnsupported),
            (request(DatabaseMode::Schema), Engine::Mysql, ErrorKind::SchemaUnsupported),
            (
                DatabaseRequest { dialect: some("mysql"), ..request(DatabaseMode::Database) },
                Engine::Postgres,
                ErrorKind::EngineUnsupported,
            ),
            (
                DatabaseRequest { host: some("h"), ..request(DatabaseMode::Schema) },
                Engine::Postgres,
                ErrorKind::InvalidSetting,
            ),
            (connection.clone(), Engine::Sqlite, ErrorKind::InvalidSetting),
            (
                DatabaseRequest { url: some("sqlite:/x"), schema: some("s"), ..connection.clone() },
                Engine::Sqlite,
                ErrorKind::SchemaUnsupported,
            ),
            (
                DatabaseRequest { dialect: some("sqlite"), name: some("x"), ..connection },
                Engine::Sqlite,
                ErrorKind::InvalidSetting,
            ),
            (
                DatabaseRequest { table_prefix: some("a;b"), ..request(DatabaseMode::Database) },
                Engine::Sqlite,
                ErrorKind::InvalidSetting,
            ),
        ] {
            let refused = parse(&request, main).unwrap_err();
            assert_eq!(refused.kind(), kind, "{request:?}: {refused}");
            assert!(refused.data.hint.is_some(), "{refused}");
        }
        let named = DatabaseRequest { schema: some("a;\"b\""), ..request(DatabaseMode::Schema) };
        assert_eq!(parse(&named, Engine::Postgres), Ok(RequestedDatabase::Schema(some("a;\"b\""))));
    }
}
