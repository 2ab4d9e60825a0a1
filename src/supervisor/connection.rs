//! Which database a creation asks for: its options checked, and what they mean for the mode.

use serde::{Deserialize, Serialize};

use crate::database::{Engine, Location, Server, ServerDatabase, Tls};
use crate::protocol::{DatabaseMode, DatabaseRequest, ErrorKind, RpcError};

/// A database of another service, as the registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection {
    /// Where it is, without the password.
    pub url: String,
    /// The schema in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The password, encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether the host makes the database itself.
    pub create: bool,
    /// Whether the host has begun to make tables in it: only then are any its own.
    #[serde(default)]
    pub claimed: bool,
}

impl Connection {
    /// Where it is, reached with this password.
    pub(crate) fn location(&self, password: Option<String>) -> Option<Location> {
        let location = Location::parse(&self.url).ok()?.with_password(password);
        match &self.schema {
            Some(schema) => location.with_schema(schema),
            None => Some(location),
        }
    }
}

/// What a creation wants to have, in the words of its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A database beside the main one, of this name where one is given.
    Database(Option<String>),
    /// A schema in the main database, of this name where one is given.
    Schema(Option<String>),
    /// A database of another service.
    Connection {
        /// Where, with the password.
        location: Location,
        /// Whether it may be made when it is missing; after the survey: whether it is to be made.
        create: bool,
    },
}

impl Wanted {
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

/// What the request means on a host whose main application's database is on this engine.
pub(crate) fn wanted(request: &DatabaseRequest, main: Engine) -> Result<Wanted, RpcError> {
    check_prefix(request.table_prefix.as_deref())?;
    if request.mode == DatabaseMode::Connection {
        return connection(request);
    }
    if request.mode == DatabaseMode::Schema && !main.has_schemas() {
        return Err(RpcError::new(
            ErrorKind::SchemaUnsupported,
            format!(
                "schema mode makes a PostgreSQL schema in the main database, and the main database is {}, which \
                 has no schemas of that kind",
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
                "in {} mode the data is on the main application's service, which is {}, not {dialect}",
                request.mode.as_str(),
                name_of(main)
            ),
        )
        .hint("use --db connection with the --db options of the other service"));
    }
    let elsewhere = [
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
    if let Some((option, _)) = elsewhere.into_iter().find(|(_, given)| *given) {
        return Err(invalid(format!("{option} does not go with {} mode", request.mode.as_str()))
            .hint("say --db connection for a database of another service, or leave the option out"));
    }
    Ok(match request.mode {
        DatabaseMode::Schema => Wanted::Schema(request.schema.clone()),
        _ => Wanted::Database(request.name.clone()),
    })
}

fn connection(request: &DatabaseRequest) -> Result<Wanted, RpcError> {
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
                format!("--db-schema: {} has no schemas of PostgreSQL's kind", name_of(location.engine())),
            )
            .hint("leave it out: the whole database becomes the application's")
        })?,
        None => location,
    };
    if let Location::Sqlite(path) = &location
        && !path.is_absolute()
    {
        return Err(invalid(format!("the SQLite file {} has no absolute path", path.display()))
            .hint("give the whole path, from / on"));
    }
    Ok(Wanted::Connection { location, create: request.create_database })
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
        invalid(format!("--db-dialect: \"{dialect}\" is none of sqlite, postgres, mysql and mariadb"))
    })?;
    let name = needed(&request.name, "--db-name")?;
    if engine == Engine::Sqlite {
        return Ok(Location::Sqlite(name.into()));
    }
    let tls = match &request.sslmode {
        Some(mode) => Tls::parse(mode).ok_or_else(|| {
            invalid(format!("--db-sslmode: \"{mode}\" is none of disable, prefer, require and verify-full"))
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

/// What the names of tables may begin with: so that they and their indexes fit every engine.
pub(crate) fn check_prefix(prefix: Option<&str>) -> Result<(), RpcError> {
    const LONGEST: usize = 20;
    let Some(prefix) = prefix else { return Ok(()) };
    let known = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if known && prefix.len() <= LONGEST {
        return Ok(());
    }
    Err(invalid(format!("\"{prefix}\" cannot be what tables' names begin with"))
        .hint(format!("use at most {LONGEST} of A-Z, a-z, 0-9 and _")))
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
    fn a_connection_is_a_url_or_its_parts() {
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
        assert_eq!(wanted(&by_url, Engine::Sqlite), wanted(&by_parts, Engine::Sqlite));
        let Ok(Wanted::Connection { location, create }) = wanted(&by_url, Engine::Sqlite) else { panic!() };
        assert!(!create);
        let kept = Connection { url: location.url(), schema: None, password: None, create, claimed: false };
        assert!(!format!("{kept:?} {by_url:?}").contains("secret"));
        assert_eq!(kept.location(some("secret")), Some(location));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_way_out() {
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
            let refused = wanted(&request, main).unwrap_err();
            assert_eq!(refused.kind(), kind, "{request:?}: {refused}");
            assert!(refused.data.hint.is_some(), "{refused}");
        }
        let named = DatabaseRequest { schema: some("a;\"b\""), ..request(DatabaseMode::Schema) };
        assert_eq!(wanted(&named, Engine::Postgres), Ok(Wanted::Schema(some("a;\"b\""))));
    }
}
