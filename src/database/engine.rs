//! The database engines there are.

use sea_query::{ColumnType, Expr, ExprTrait, Query, SelectStatement, StringLen};

/// SQLite's name for the order of exact numbers, which every connection is taught.
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

    /// Whether a transaction that is rolled back takes back what it did to tables.
    #[must_use]
    pub const fn undoes_definitions(self) -> bool {
        // Both MySQL and MariaDB commit before and after it.
        matches!(self, Self::Sqlite | Self::Postgres)
    }

    /// Whether a statement that changes rows can give them as they are then.
    #[must_use]
    pub const fn returns_changes(self) -> bool {
        // Neither MySQL nor MariaDB has `UPDATE ... RETURNING`.
        matches!(self, Self::Sqlite | Self::Postgres)
    }

    /// Its names for the row of a table that has no key, none of them where a column has the same. In
    /// one state of the table no two rows have the same; PostgreSQL's changes with the row.
    #[must_use]
    pub const fn row_names(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["rowid", "_rowid_", "oid"],
            Self::Postgres => &["ctid"],
            Self::Mysql => &[],
        }
    }

    /// The column type for what the builder's type stands for, where the builder's own would not
    /// hold all of it or not compare it as what it is. A `DateTime` is one without a time zone; a
    /// `Decimal` must say its digits and decimals, of which every engine has 65 and 30 at most.
    #[must_use]
    pub fn column_type(self, general: ColumnType) -> ColumnType {
        match (self, general) {
            // A `timestamp` has whole seconds and ends in 2038, a `text` 64 KiB.
            (Self::Mysql, ColumnType::TimestampWithTimeZone) => ColumnType::custom("datetime(3)"),
            (Self::Mysql, ColumnType::DateTime) => ColumnType::custom("datetime(3)"),
            (Self::Mysql, ColumnType::Time) => ColumnType::custom("time(3)"),
            (Self::Mysql, ColumnType::Text) => ColumnType::custom("longtext"),
            (Self::Mysql, ColumnType::Blob) => ColumnType::custom("longblob"),
            (Self::Mysql, ColumnType::Uuid) => ColumnType::custom("char(36)"),
            // Texts are sorted alike in every database: see [`Engine::in_text_order`].
            (Self::Postgres, ColumnType::String(length)) => {
                let length = match length {
                    StringLen::N(length) => format!("({length})"),
                    StringLen::Max | StringLen::None => String::new(),
                };
                ColumnType::custom(format!("varchar{length} COLLATE \"C\""))
            }
            (Self::Postgres, ColumnType::Text) => ColumnType::custom("text COLLATE \"C\""),
            // What compares and looks into JSON needs the second.
            (Self::Postgres, ColumnType::Json) => ColumnType::JsonBinary,
            // SQLite's numbers are binary: exact ones are texts that are compared as numbers.
            (Self::Sqlite, ColumnType::Decimal(digits)) => {
                let digits =
                    digits.map_or_else(String::new, |(all, decimals)| format!("({all}, {decimals})"));
                ColumnType::custom(format!("text_decimal{digits} COLLATE {DECIMAL_COLLATION}"))
            }
            (_, general) => general,
        }
    }

    /// The statement that sees to it that a column which counts by itself goes on behind a key that
    /// a row brought with it; run twice, it does no more. `None` where the engine does so anyway.
    #[must_use]
    pub fn count_on(
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
