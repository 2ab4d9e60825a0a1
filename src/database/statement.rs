//! Renders statements from the query builder's trees to an engine's SQL. No other file turns a request into
//! SQL text; engines write only their own housekeeping statements.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use sea_query::{
    DeleteStatement, IndexCreateStatement, IndexDropStatement, InsertStatement, MysqlQueryBuilder,
    PostgresQueryBuilder, QueryBuilder, SelectStatement, SqlWriter, SqliteQueryBuilder, TableAlterStatement,
    TableCreateStatement, TableDropStatement, TableRenameStatement, UpdateStatement,
};

use super::Engine;
use super::statement_cache::MAX_VALUES;

/// SQL of one engine, with the values it binds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Rendered {
    /// The text.
    pub(super) sql: String,
    /// The bound values, in order.
    pub(super) values: Vec<sea_query::Value>,
    /// Whether the statement recurs, so that preparing it once pays.
    pub(super) is_recurring: bool,
    /// Whether the statement says `IF NOT EXISTS`.
    pub(super) if_not_exists: bool,
    /// The column whose generated value the caller asks for.
    pub(super) generated: Option<Box<str>>,
    /// Whether the statement inserts several rows.
    pub(super) is_multi_row: bool,
    /// Whether the statement matches a pattern under MariaDB's limit on steps for each text, so that the time
    /// for all texts needs a limit, too.
    pub(super) has_step_limit: bool,
    /// The byte offset of each placeholder, if the statement asks PostgreSQL for a page of rows and binds no
    /// more values than a cached statement may; else empty.
    pub(super) placeholders: Vec<usize>,
}

/// A marker that sets [`Rendered::has_step_limit`] of the statement it is in. It renders to nothing and is
/// not bound.
pub(super) const STEP_LIMIT_MARKER: sea_query::Value = sea_query::Value::TinyUnsigned(None);

#[cfg(test)]
impl Rendered {
    /// Creates a statement that binds nothing and is prepared.
    pub(super) fn of(sql: &str) -> Self {
        Self { sql: sql.to_owned(), is_recurring: true, ..Self::default() }
    }
}

const IF_NOT_EXISTS: &str = " IF NOT EXISTS ";
/// What precedes the number of rows.
const LIMIT: &str = " LIMIT ";

impl Rendered {
    /// A hash of the text, unique enough within this process.
    pub(super) fn hash(&self) -> u64 {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        HASHER.hash_one(&self.sql)
    }

    /// Renders an insertion of one row that returns the value generated for the column `generated`.
    pub(super) fn insert(statement: &InsertStatement, generated: Option<&str>, engine: Engine) -> Self {
        let rendered = match generated {
            // Other engines report it beside the result.
            Some(column) if engine == Engine::Postgres => {
                statement.clone().returning_col(column.to_owned()).render(engine)
            }
            _ => statement.render(engine),
        };
        Self { generated: generated.map(Into::into), ..rendered }
    }

    /// Renders an insertion of several rows that returns the value generated for the column `generated` of
    /// each.
    pub(super) fn insert_many(statement: &InsertStatement, generated: Option<&str>, engine: Engine) -> Self {
        let rendered = match generated {
            // MySQL has no `RETURNING`, and MariaDB reports the values in its own way.
            Some(column) if engine != Engine::Mysql => {
                statement.clone().returning_col(column.to_owned()).render(engine)
            }
            _ => statement.render(engine),
        };
        Self { generated: generated.map(Into::into), is_multi_row: true, ..rendered }
    }
}

/// Collects a statement's text and its bound values.
struct SqlCollector {
    engine: Engine,
    sql: String,
    values: Vec<sea_query::Value>,
    placeholders: Vec<usize>,
    /// Whether the statement has a limit of more than one row.
    has_page_limit: bool,
    has_step_limit: bool,
}

impl SqlCollector {
    fn new(engine: Engine) -> Self {
        let sql = String::with_capacity(256);
        Self {
            engine,
            sql,
            values: Vec::new(),
            placeholders: Vec::new(),
            has_page_limit: false,
            has_step_limit: false,
        }
    }

    /// Writes PostgreSQL's next placeholder, cast to `kind` if it must not take the type of its context.
    fn push_placeholder(&mut self, kind: Option<&str>) {
        let number = self.values.len() + 1;
        self.sql.push_str(if kind.is_some() { "CAST(" } else { "" });
        if number <= MAX_VALUES {
            self.placeholders.push(self.sql.len());
        }
        self.sql.push_str(&format!("${number}"));
        if let Some(kind) = kind {
            self.sql.push_str(&format!(" AS {kind})"));
        }
    }

    fn rendered(self) -> Rendered {
        let all_placed = self.placeholders.len() == self.values.len();
        let placeholders = if self.has_page_limit && all_placed { self.placeholders } else { Vec::new() };
        let (sql, values, has_step_limit) = (self.sql, self.values, self.has_step_limit);
        Rendered { sql, values, is_recurring: true, has_step_limit, placeholders, ..Rendered::default() }
    }
}

impl std::fmt::Write for SqlCollector {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.sql.push_str(text);
        Ok(())
    }

    // The query builder quotes names character by character.
    fn write_char(&mut self, character: char) -> std::fmt::Result {
        self.sql.push(character);
        Ok(())
    }
}

impl std::fmt::Display for SqlCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sql)
    }
}

impl SqlWriter for SqlCollector {
    fn push_param<T: QueryBuilder>(&mut self, value: sea_query::Value, _: &T) {
        match (self.engine, &value) {
            (Engine::Mysql, sea_query::Value::TinyUnsigned(None)) => {
                self.has_step_limit = true;
                return;
            }
            // Without the cast it would take the type of a column of integers, which cannot hold it.
            (Engine::Postgres, sea_query::Value::BigDecimal(Some(_))) => {
                self.push_placeholder(Some("numeric"))
            }
            (Engine::Postgres, sea_query::Value::Double(Some(value)))
                if value.fract() != 0.0 || value.abs() >= INTEGER_LIMIT =>
            {
                self.push_placeholder(Some("float8"));
            }
            (Engine::Postgres, sea_query::Value::BigInt(Some(value))) if i32::try_from(*value).is_err() => {
                self.push_placeholder(Some("bigint"));
            }
            (Engine::Postgres, sea_query::Value::BigUnsigned(Some(rows))) if self.sql.ends_with(LIMIT) => {
                self.has_page_limit |= *rows > 1;
                if self.values.is_empty() {
                    // A statement without bound values has a single plan from the start.
                    self.sql.push_str(&rows.to_string());
                    return;
                }
                self.push_placeholder(None);
            }
            (Engine::Postgres, _) => self.push_placeholder(None),
            // MySQL binds decimals as texts, which compare with numbers as doubles.
            (Engine::Mysql, sea_query::Value::BigDecimal(Some(value))) => {
                let decimals = value.fractional_digit_count().clamp(0, MAX_MYSQL_SCALE);
                self.sql.push_str(&format!("CAST(? AS decimal(65, {decimals}))"));
            }
            (Engine::Sqlite | Engine::Mysql, _) => self.sql.push('?'),
        }
        self.values.push(value);
    }

    fn as_writer(&mut self) -> &mut dyn std::fmt::Write {
        self
    }
}

/// From this magnitude on, a number does not fit a column of integers.
const INTEGER_LIMIT: f64 = 9_223_372_036_854_775_808.0;

/// The largest scale of MySQL's exact numbers.
const MAX_MYSQL_SCALE: i64 = 30;

mod sealed {
    /// Keeps others from implementing `Statement`.
    pub trait Sealed {}
}

/// A statement that a database can run.
pub trait Statement: sealed::Sealed + Sync {
    /// Renders the statement to an engine's SQL.
    fn render(&self, engine: Engine) -> Rendered;
}

/// A statement that changes something: any but [`SelectStatement`].
pub trait Change: Statement {}

macro_rules! data_statements {
    ($($statement:ty),+) => { $(
        impl sealed::Sealed for $statement {}
        impl Statement for $statement {
            fn render(&self, engine: Engine) -> Rendered {
                let mut writer = SqlCollector::new(engine);
                match engine {
                    Engine::Sqlite => self.build_collect_any_into(&SqliteQueryBuilder, &mut writer),
                    Engine::Postgres => self.build_collect_any_into(&PostgresQueryBuilder, &mut writer),
                    Engine::Mysql => self.build_collect_any_into(&MysqlQueryBuilder, &mut writer),
                }
                writer.rendered()
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
                let if_not_exists = sql.contains(IF_NOT_EXISTS);
                Rendered { sql, if_not_exists, ..Rendered::default() }
            }
        }
        impl Change for $statement {}
    )+ };
}

impl sealed::Sealed for IndexCreateStatement {}
impl Statement for IndexCreateStatement {
    fn render(&self, engine: Engine) -> Rendered {
        let postgres = self.build(PostgresQueryBuilder);
        // MySQL has no `IF NOT EXISTS` for indexes: PostgreSQL's text says whether it was asked for.
        let if_not_exists = postgres.contains(IF_NOT_EXISTS);
        let sql = match engine {
            Engine::Sqlite => self.build(SqliteQueryBuilder),
            Engine::Postgres => postgres,
            Engine::Mysql => self.build(MysqlQueryBuilder),
        };
        Rendered { sql, if_not_exists, ..Rendered::default() }
    }
}
impl Change for IndexCreateStatement {}

data_statements!(SelectStatement, InsertStatement, UpdateStatement, DeleteStatement);
schema_statements!(
    TableCreateStatement,
    TableAlterStatement,
    TableDropStatement,
    TableRenameStatement,
    IndexDropStatement
);
impl Change for InsertStatement {}
impl Change for UpdateStatement {}
impl Change for DeleteStatement {}

#[cfg(test)]
mod tests {
    use sea_query::{Expr, ExprTrait, Query};

    use super::super::Pattern;
    use super::*;

    #[test]
    fn a_statement_with_a_step_limit_is_marked() {
        let pattern = |words| Pattern::regular(words, true).unwrap();
        let fits = |words| Engine::Mysql.matches(Expr::col("text"), &pattern(words));
        for (words, is_marked) in [(r"a\w*!", true), ("abc", false)] {
            let inner = Query::select().column("id").from("t").and_where(fits(words).not()).to_owned();
            let outer = Query::select().column("id").from_subquery(inner.clone(), "t").to_owned();
            let change = Query::update().table("t").value("a", 1).and_where(fits(words)).to_owned();
            let removal = Query::delete().from_table("t").and_where(fits(words)).to_owned();
            for rendered in [
                inner.render(Engine::Mysql),
                outer.render(Engine::Mysql),
                change.render(Engine::Mysql),
                removal.render(Engine::Mysql),
            ] {
                assert_eq!(rendered.has_step_limit, is_marked, "{rendered:?}");
                assert_eq!(rendered.values.len(), rendered.sql.matches('?').count(), "{rendered:?}");
            }
        }
        assert!(
            !Query::select().expr(Expr::val("(*LIMIT_MATCH=")).take().render(Engine::Mysql).has_step_limit
        );
    }

    #[test]
    fn pages_on_postgres_know_their_placeholders() {
        let page = Query::select().column("a").from("t").limit(20).to_owned();
        let next = page.clone().offset(40).to_owned();
        let chosen = page.clone().and_where(Expr::col("a$1").eq(i64::MAX)).to_owned();
        let all = Query::select().column("a").from("t").and_where(Expr::col(" LIMIT ").eq(7_u64)).to_owned();
        let one = all.clone().limit(1).to_owned();
        let (seven, twenty) = (|| 7_u64.into(), || 20_u64.into());
        for (statement, sql, values, named) in [
            (page, r#"SELECT "a" FROM "t" LIMIT 20"#, vec![], vec![]),
            (next, r#"SELECT "a" FROM "t" LIMIT 20 OFFSET $1"#, vec![40_u64.into()], vec!["$1"]),
            (
                chosen.clone(),
                r#"SELECT "a" FROM "t" WHERE "a$1" = CAST($1 AS bigint) LIMIT $2"#,
                vec![i64::MAX.into(), twenty()],
                vec!["$1", "$2"],
            ),
            (all, r#"SELECT "a" FROM "t" WHERE " LIMIT " = $1"#, vec![seven()], vec![]),
            (
                one,
                r#"SELECT "a" FROM "t" WHERE " LIMIT " = $1 LIMIT $2"#,
                vec![seven(), 1_u64.into()],
                vec![],
            ),
        ] {
            let rendered = statement.render(Engine::Postgres);
            let placeholders = rendered.placeholders.iter();
            assert_eq!(placeholders.map(|&place| &rendered.sql[place..place + 2]).collect::<Vec<_>>(), named);
            assert_eq!((rendered.sql.as_str(), rendered.values), (sql, values));
            assert!(statement.render(Engine::Mysql).placeholders.is_empty());
        }
        let mut many = chosen;
        for _ in 0..MAX_VALUES {
            many.and_where(Expr::col("a").ne(1));
        }
        assert!(many.render(Engine::Postgres).placeholders.is_empty());
    }
}
