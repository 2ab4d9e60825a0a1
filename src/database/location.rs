//! Locations of databases: parsing and formatting their URLs, comparing them, deriving new ones.

use std::path::{Path, PathBuf};

use super::{DatabaseError, Engine, InvalidUrl, ServerDatabase, mysql, postgres};

/// The location of a database. Its `Display` is for people and never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A database on a PostgreSQL server.
    Postgres(ServerDatabase),
    /// A database on a MySQL or MariaDB server.
    Mysql(ServerDatabase),
}

impl Location {
    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
            Self::Mysql(_) => Engine::Mysql,
        }
    }
}

/// Resolves links in a file's path, or in its directory's if there is no such file yet.
fn resolved(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| {
        let directory = path.parent().and_then(|directory| std::fs::canonicalize(directory).ok());
        match (directory, path.file_name()) {
            (Some(directory), Some(name)) => directory.join(name),
            _ => path.to_owned(),
        }
    })
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(at) | Self::Mysql(at) => at.fmt(f),
        }
    }
}

impl Location {
    /// Parses `sqlite:FILE`, `postgres://user:password@host:port/name?sslmode=require`, or the latter with
    /// `mysql://` or `mariadb://`. A relative file is in the current directory.
    ///
    /// # Errors
    /// When it is none of these. The message never quotes the text, which may contain a password.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let on_server = |engine| {
            ServerDatabase::parse(engine, url).map_err(|error| {
                InvalidUrl(format!(
                    "{error}; give one like {}://user:password@host:{}/name",
                    engine.as_str(),
                    engine.default_port()
                ))
            })
        };
        match url.split_once(':') {
            Some(("sqlite", file)) => {
                let file = file.strip_prefix("//").unwrap_or(file);
                if file.is_empty() || file == ":memory:" {
                    return Err(InvalidUrl("name a file: sqlite:/var/lib/nbapps/main.sqlite".to_owned()));
                }
                Ok(Self::Sqlite(std::path::absolute(file).unwrap_or_else(|_| file.into())))
            }
            Some(("postgres" | "postgresql", _)) => on_server(Engine::Postgres).map(Self::Postgres),
            Some(("mysql" | "mariadb", _)) => on_server(Engine::Mysql).map(Self::Mysql),
            _ => Err(InvalidUrl(
                "it is no database URL; give one like sqlite:/var/lib/nbapps/main.sqlite, \
                 postgres://user:password@host:5432/name or mysql://user:password@host:3306/name"
                    .to_owned(),
            )),
        }
    }

    /// A database on a server of an engine; `None` for SQLite, which has no server.
    #[must_use]
    pub fn on_server(engine: Engine, at: ServerDatabase) -> Option<Self> {
        match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Self::Postgres(at)),
            Engine::Mysql => Some(Self::Mysql(at)),
        }
    }

    /// The database on its server; `None` for SQLite, which has no server.
    #[must_use]
    pub fn server_database(&self) -> Option<&ServerDatabase> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(at) | Self::Mysql(at) => Some(at),
        }
    }

    /// The URL that [`Location::parse`] reads, without the password and the schema.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(at) | Self::Mysql(at) => at.url(self.engine()),
        }
    }

    /// Returns the same location with another password; SQLite has none.
    #[must_use]
    pub fn with_password(self, password: Option<String>) -> Self {
        let with = |mut at: ServerDatabase| {
            at.server.password = password;
            at
        };
        match self {
            Self::Sqlite(path) => Self::Sqlite(path),
            Self::Postgres(at) => Self::Postgres(with(at)),
            Self::Mysql(at) => Self::Mysql(with(at)),
        }
    }

    /// Returns the same location with its canonical name: a file's path without links and `..`.
    #[must_use]
    pub fn resolved(self) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(resolved(&path)),
            on_server => on_server,
        }
    }

    /// Whether both locations are the same database, as far as their names tell.
    #[must_use]
    pub fn is_same_database(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(one), Self::Sqlite(other)) => {
                one == other || one.file_name() == other.file_name() && resolved(one) == resolved(other)
            }
            (Self::Postgres(one), Self::Postgres(other)) | (Self::Mysql(one), Self::Mysql(other)) => {
                one.is_same_database(other)
            }
            _ => false,
        }
    }

    /// An identifier of the database: equal for equal locations, as far as their names tell.
    #[must_use]
    pub fn identity(&self) -> String {
        match self {
            Self::Sqlite(path) => resolved(path).display().to_string(),
            Self::Postgres(at) | Self::Mysql(at) => {
                let (machine, port, name, schema) = at.identity();
                format!("{} {machine}:{port}/{name}/{schema}", self.engine().as_str())
            }
        }
    }

    /// Checks that the engine allows the names, without asking a server.
    ///
    /// # Errors
    /// [`DatabaseError::InvalidName`], which says what is allowed.
    pub fn check_names(&self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(at) => postgres::check_names(at),
            Self::Mysql(at) => mysql::check_names(at),
        }
    }

    /// The directory that must exist before the database can be created; `None` on a server.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => path.parent(),
            Self::Postgres(_) | Self::Mysql(_) => None,
        }
    }

    /// Returns the name for another database on this one's server that holds `what`. It begins with this
    /// one's name, so that two hosts on one server do not collide; `None` for SQLite, which has no server.
    #[must_use]
    pub fn sibling_name(&self, what: &str) -> Option<String> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(at) | Self::Mysql(at) => Some(format!("{}_{what}", at.name)),
        }
    }

    /// Returns a schema of this name in this database; `None` if the engine has no schemas.
    #[must_use]
    pub fn with_schema(&self, schema: &str) -> Option<Self> {
        match self {
            Self::Postgres(at) => Some(Self::Postgres(at.with_schema(schema))),
            Self::Sqlite(_) | Self::Mysql(_) => None,
        }
    }

    /// Returns the database that a schema is in; `None` if this is not a schema.
    #[must_use]
    pub fn containing_database(&self) -> Option<Self> {
        match self {
            Self::Postgres(at) if at.schema.is_some() => Some(Self::Postgres(at.sibling(&at.name))),
            _ => None,
        }
    }

    /// Returns a database of this name on the same server; `None` for SQLite, which has no server.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Option<Self> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(at) => Some(Self::Postgres(at.sibling(name))),
            Self::Mysql(at) => Some(Self::Mysql(at.sibling(name))),
        }
    }
}
