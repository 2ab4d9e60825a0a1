//! The database engines that are measured.

use nbapps::protocol::{DatabaseMode, DatabaseRequest};

use crate::servers;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
    Mariadb,
}

impl Engine {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Mariadb];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "pg",
            Self::Mariadb => "mariadb",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Mariadb => "MariaDB",
        }
    }

    /// The database of this name, in which the host creates an application.
    pub(crate) fn database(self, name: &str) -> DatabaseRequest {
        let at = |url: String| DatabaseRequest {
            mode: DatabaseMode::Connection,
            url: Some(url),
            create_database: true,
            ..DatabaseRequest::default()
        };
        match self {
            Self::Sqlite => DatabaseRequest::default(),
            Self::Postgres => at(servers::postgres(name)),
            Self::Mariadb => at(servers::mariadb(name)),
        }
    }
}
