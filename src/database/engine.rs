//! The supported engines, and what each of them can do.

use sea_query::{ColumnType, Expr, ExprTrait, Query, SelectStatement, StringLen};

/// The SQLite collation that orders exact numbers; each connection defines it.
pub(super) const DECIMAL_COLLATION: &str = "decimal";

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
    /// NocoBase's name for the engine (`DB_DIALECT`): `sqlite`, `postgres`, `mysql`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    /// Parses a name: NocoBase's, or `postgresql` or `mariadb`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::Mysql),
            _ => None,
        }
    }

    /// Whether a database holds schemas, each with tables of its own.
    #[must_use]
    pub const fn has_schemas(self) -> bool {
        matches!(self, Self::Postgres)
    }

    /// Whether DDL is transactional: a rollback undoes it.
    #[must_use]
    pub const fn has_transactional_ddl(self) -> bool {
        // MySQL and MariaDB commit implicitly before and after DDL.
        matches!(self, Self::Sqlite | Self::Postgres)
    }

    /// Whether an `UPDATE` can return the rows it changed.
    #[must_use]
    pub const fn has_update_returning(self) -> bool {
        // Neither MySQL nor MariaDB has `UPDATE ... RETURNING`.
        matches!(self, Self::Sqlite | Self::Postgres)
    }

    /// The engine's implicit row identifiers, for tables without a key; a column of the same name hides one.
    /// They are unique within one state of the table; PostgreSQL's changes with each update of the row.
    #[must_use]
    pub const fn row_identifiers(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["rowid", "_rowid_", "oid"],
            Self::Postgres => &["ctid"],
            Self::Mysql => &[],
        }
    }

    /// Returns the column type for one of the query builder's types, replacing those that would truncate
    /// values or compare them wrongly. `DateTime` has no time zone. `Decimal` must have a precision and a
    /// scale, at most 65 and 30, which every engine takes.
    #[must_use]
    pub fn column_type(self, general: ColumnType) -> ColumnType {
        match (self, general) {
            // `timestamp` has whole seconds and ends in 2038; `text` ends at 64 KiB.
            (Self::Mysql, ColumnType::TimestampWithTimeZone) => ColumnType::custom("datetime(3)"),
            (Self::Mysql, ColumnType::DateTime) => ColumnType::custom("datetime(3)"),
            (Self::Mysql, ColumnType::Time) => ColumnType::custom("time(3)"),
            (Self::Mysql, ColumnType::Text) => ColumnType::custom("longtext"),
            (Self::Mysql, ColumnType::Blob) => ColumnType::custom("longblob"),
            (Self::Mysql, ColumnType::Uuid) => ColumnType::custom("char(36)"),
            // The order of texts must not depend on the database: see [`Engine::in_text_order`].
            (Self::Postgres, ColumnType::String(length)) => {
                let length = match length {
                    StringLen::N(length) => format!("({length})"),
                    StringLen::Max | StringLen::None => String::new(),
                };
                ColumnType::custom(format!("varchar{length} COLLATE \"C\""))
            }
            (Self::Postgres, ColumnType::Text) => ColumnType::custom("text COLLATE \"C\""),
            // Comparisons and containment operators need `jsonb`.
            (Self::Postgres, ColumnType::Json) => ColumnType::JsonBinary,
            // SQLite has binary floating-point numbers only: exact ones are texts that compare as numbers.
            (Self::Sqlite, ColumnType::Decimal(digits)) => {
                let digits =
                    digits.map_or_else(String::new, |(all, decimals)| format!("({all}, {decimals})"));
                ColumnType::custom(format!("text_decimal{digits} COLLATE {DECIMAL_COLLATION}"))
            }
            (_, general) => general,
        }
    }

    /// Returns the statement that moves a generated column's sequence past an explicitly given key;
    /// idempotent. `None` if the engine does so by itself.
    #[must_use]
    pub fn advance_sequence(
        self,
        schema: Option<&str>,
        table: &str,
        column: &str,
        key: i64,
    ) -> Option<SelectStatement> {
        if self != Self::Postgres {
            return None;
        }
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let table = match schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(table)),
            None => quoted(table),
        };
        let sequence =
            Expr::cust_with_values("pg_get_serial_sequence($1, $2)::regclass", [table, column.to_owned()]);
        let set = Expr::cust_with_exprs("setval($1, $2)", [sequence.clone(), Expr::val(key)]);
        let last = Expr::cust_with_exprs("coalesce(pg_sequence_last_value($1), 0)", [sequence]);
        Some(Query::select().expr(set).and_where(Expr::val(key).gt(last)).to_owned())
    }

    /// The default port of its servers; 0 for SQLite, which has none.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Sqlite => 0,
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }
}
