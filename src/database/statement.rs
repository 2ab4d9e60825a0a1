//! From a statement as a tree to an engine's own SQL. The only place where SQL text comes to be,
//! but for what an engine says to itself.

use sea_query::{
    DeleteStatement, IndexCreateStatement, IndexDropStatement, InsertStatement, MysqlQueryBuilder,
    PostgresQueryBuilder, SelectStatement, SqliteQueryBuilder, TableAlterStatement, TableCreateStatement,
    TableDropStatement, UpdateStatement,
};

use super::Engine;

/// SQL of one engine with the values it binds.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The text.
    pub(super) sql: String,
    /// What is bound, in order.
    pub(super) values: Vec<sea_query::Value>,
    /// Whether it is asked again and again, so that preparing it once pays.
    pub(super) repeated: bool,
    /// Whether what it makes may be there already.
    pub(super) if_missing: bool,
    /// Whether the server makes a value that is asked for.
    pub(super) generated: bool,
}

const IF_MISSING: &str = " IF NOT EXISTS ";

impl Rendered {
    /// An insertion of one row that gives what the engine makes for the column `generated`.
    pub(super) fn insertion(statement: &InsertStatement, generated: Option<&str>, engine: Engine) -> Self {
        let rendered = match generated {
            // The others say it beside the answer.
            Some(column) if engine == Engine::Postgres => {
                statement.clone().returning_col(column.to_owned()).render(engine)
            }
            _ => statement.render(engine),
        };
        Self { generated: generated.is_some(), ..rendered }
    }
}

mod sealed {
    /// Keeps the list of statements closed.
    pub trait Sealed {}
}

/// A statement that a database runs.
pub trait Statement: sealed::Sealed + Sync {
    /// Writes it in the words of an engine.
    fn render(&self, engine: Engine) -> Rendered;
}

/// A statement that changes something: all but [`SelectStatement`].
pub trait Change: Statement {}

macro_rules! data_statements {
    ($($statement:ty),+) => { $(
        impl sealed::Sealed for $statement {}
        impl Statement for $statement {
            fn render(&self, engine: Engine) -> Rendered {
                let (sql, values) = match engine {
                    Engine::Sqlite => self.build(SqliteQueryBuilder),
                    Engine::Postgres => self.build(PostgresQueryBuilder),
                    Engine::Mysql => self.build(MysqlQueryBuilder),
                };
                Rendered { sql, values: values.0, repeated: true, if_missing: false, generated: false }
            }
        }
    )+ };
}

macro_rules! schema_statements {
    ($($statement:ty),+) => { $(
        impl sealed::Sealed for $statement {}
        impl Statement for $statement {
            fn render(&self, engine: Engine) -> Rendered {
                let sql = match engine {
                    Engine::Sqlite => self.build(SqliteQueryBuilder),
                    Engine::Postgres => self.build(PostgresQueryBuilder),
                    Engine::Mysql => self.build(MysqlQueryBuilder),
                };
                // MySQL cannot say this of an index: there it is known from what the others say.
                let if_missing = sql.contains(IF_MISSING)
                    || engine == Engine::Mysql && self.build(SqliteQueryBuilder).contains(IF_MISSING);
                Rendered { sql, values: Vec::new(), repeated: false, if_missing, generated: false }
            }
        }
        impl Change for $statement {}
    )+ };
}

data_statements!(SelectStatement, InsertStatement, UpdateStatement, DeleteStatement);
schema_statements!(
    TableCreateStatement,
    TableAlterStatement,
    TableDropStatement,
    IndexCreateStatement,
    IndexDropStatement
);
impl Change for InsertStatement {}
impl Change for UpdateStatement {}
impl Change for DeleteStatement {}
