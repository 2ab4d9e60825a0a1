//! The database engines there are.

use sea_query::ColumnType;

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite, embedded.
    Sqlite,
    /// PostgreSQL, a server.
    Postgres,
    /// MySQL or MariaDB, a server.
    Mysql,
}

impl Engine {
    /// NocoBase's word for it (`DB_DIALECT`): `sqlite`, `postgres`, `mysql`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    /// The engine of this name: NocoBase's words, and `postgresql`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::Mysql),
            _ => None,
        }
    }

    /// Whether a database of it holds schemas, each with tables of its own.
    #[must_use]
    pub const fn has_schemas(self) -> bool {
        matches!(self, Self::Postgres)
    }

    /// The column type for what the builder's type stands for, where it would not hold all of it.
    #[must_use]
    pub fn column_type(self, general: ColumnType) -> ColumnType {
        match (self, general) {
            // A `timestamp` has whole seconds and ends in 2038, a `text` 64 KiB.
            (Self::Mysql, ColumnType::TimestampWithTimeZone) => ColumnType::custom("datetime(3)"),
            (Self::Mysql, ColumnType::Text) => ColumnType::custom("longtext"),
            (Self::Mysql, ColumnType::Uuid) => ColumnType::custom("char(36)"),
            (_, general) => general,
        }
    }

    /// The port its servers listen on; 0 for SQLite, which has none.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Sqlite => 0,
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }
}
