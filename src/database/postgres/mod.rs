//! PostgreSQL. Values take the types that the server expects (`value.rs`); errors are told apart by their
//! codes (`error.rs`).

mod connection;
mod counts;
mod dial;
mod error;
mod making;
mod plans;
mod schema;
mod sessions;
mod statements;
mod tls;
mod unnamed;
mod value;

use std::sync::Arc;

use sea_query::{Expr, ExprTrait, Order, Query};

use super::server::{self, Handle, ServerDatabase, mark};
use super::{DatabaseError, Engine, Rendered, Sessions, Statement, Value};
use connection::PostgresConnection;
use sessions::Shared;

pub(super) type Transaction = server::Transaction<PostgresConnection>;

/// An open PostgreSQL database.
#[derive(Debug, Clone)]
pub(super) struct Postgres {
    handle: Handle<PostgresConnection>,
    /// What is known of the database while it is open, even without a connection.
    shared: Arc<Shared>,
}

/// Selects the names of all tables in a schema; without one, in the user's current schema.
pub(super) fn table_names(schema: Option<&str>) -> Rendered {
    let schema = schema.map_or_else(|| Expr::cust("current_schema()"), Expr::val);
    let mut question = Query::select();
    question.column("tablename").from("pg_tables").and_where(Expr::col("schemaname").eq(schema));
    question.order_by("tablename", Order::Asc).to_owned().render(Engine::Postgres)
}

/// Selects the table of this name in a schema; without one, in the user's current schema.
pub(super) fn table_named(schema: Option<&str>, name: &str) -> Rendered {
    let schema = schema.map_or_else(|| Expr::cust("current_schema()"), Expr::val);
    Query::select()
        .column("tablename")
        .from("pg_tables")
        .and_where(Expr::col("schemaname").eq(schema))
        .and_where(Expr::col("tablename").eq(name))
        .to_owned()
        .render(Engine::Postgres)
}

/// Selects a table's index of this name in a schema; without one, in the user's current schema.
pub(super) fn index_named(schema: Option<&str>, table: &str, name: &str) -> Rendered {
    let schema = schema.map_or_else(|| Expr::cust("current_schema()"), Expr::val);
    Query::select()
        .column("indexname")
        .from("pg_indexes")
        .and_where(Expr::col("schemaname").eq(schema))
        .and_where(Expr::col("tablename").eq(table))
        .and_where(Expr::col("indexname").eq(name))
        .to_owned()
        .render(Engine::Postgres)
}

/// Selects the names of a table's columns in a schema; without one, in the user's current schema.
pub(super) fn columns_of(schema: Option<&str>, table: &str) -> Rendered {
    let schema = schema.map_or_else(|| Expr::cust("current_schema()"), Expr::val);
    Query::select()
        .expr_as(Expr::col("column_name").cast_as("text"), "name")
        .from(("information_schema", "columns"))
        .and_where(Expr::col("table_schema").eq(schema))
        .and_where(Expr::col("table_name").eq(table))
        .order_by("ordinal_position", Order::Asc)
        .to_owned()
        .render(Engine::Postgres)
}

impl Postgres {
    pub(super) async fn open(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        let postgres = Self::to(at);
        match &at.schema {
            Some(schema) => postgres.require_schema(schema).await?,
            None => postgres.handle.connect().await?,
        }
        Ok(postgres)
    }

    /// Creates a handle without connecting.
    fn to(at: &ServerDatabase) -> Self {
        Self { handle: Handle::new(at), shared: Shared::of(at) }
    }

    /// Whether connections have sessions of their own; `None` before the first connection.
    pub(super) fn sessions(&self) -> Option<Sessions> {
        self.shared.sessions()
    }

    /// Runs a query for an object's comment: `None` if there is no such object, empty if it has no comment.
    async fn comment(&self, question: &Rendered) -> Result<Option<String>, DatabaseError> {
        let row = self.handle.query(question).await?.into_iter().next();
        Ok(row.map(|row| match row.get("comment") {
            Some(Value::Text(comment)) => comment.clone(),
            _ => String::new(),
        }))
    }

    /// Whether the database or schema carries any owner's mark.
    pub(super) async fn is_owned(&self) -> Result<bool, DatabaseError> {
        let question = match &self.at().schema {
            Some(schema) => schema::comment_of(schema),
            None => comment_of(&self.at().name),
        };
        Ok(self.comment(&question).await?.is_some_and(|comment| comment.starts_with(&mark(""))))
    }

    pub(super) fn schema(&self) -> Option<&str> {
        self.at().schema.as_deref()
    }

    /// The handle for statements, transactions and closing.
    pub(super) fn handle(&self) -> &Handle<PostgresConnection> {
        &self.handle
    }

    fn at(&self) -> &ServerDatabase {
        self.handle.at()
    }

    pub(super) async fn size(&self) -> Result<u64, DatabaseError> {
        let size = match &self.at().schema {
            Some(schema) => schema::size_of(schema),
            None => Expr::cust("pg_database_size(current_database())"),
        };
        let statement = Query::select().expr_as(size, "size").to_owned();
        let rows = self.handle.query(&statement.render(Engine::Postgres)).await?;
        match rows.first().and_then(|row| row.get("size")) {
            Some(Value::Integer(bytes)) => Ok(u64::try_from(*bytes).unwrap_or(0)),
            _ => Err(DatabaseError::Failed(format!("{} did not report its size", self.at()))),
        }
    }

    /// Why the database cannot hold every text, with the SQL that creates one that can; `None` if it can.
    pub(super) async fn unfit_for_text(&self) -> Result<Option<(String, String)>, DatabaseError> {
        let encoding = Expr::cust("current_setting('server_encoding')");
        let question = Query::select().expr_as(encoding, "encoding").to_owned();
        let rows = self.handle.query(&question.render(Engine::Postgres)).await?;
        let Some(Value::Text(encoding)) = rows.first().and_then(|row| row.get("encoding")) else {
            return Err(DatabaseError::Failed(format!("{} did not report its encoding", self.at())));
        };
        if encoding == "UTF8" {
            return Ok(None);
        }
        let name = quoted(&format!("{}_utf8", self.at().name)).or_else(|_| quoted("name"))?;
        Ok(Some((
            format!("{} is encoded in {encoding}, which cannot hold every text", self.at()),
            format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"),
        )))
    }

    /// Runs a statement that cannot be in a transaction and binds nothing.
    async fn run_alone(&self, sql: &str) -> Result<(), DatabaseError> {
        self.handle.batch(sql).await
    }
}

/// Selects the database of this name, with its comment.
fn comment_of(name: &str) -> Rendered {
    let comment = Expr::cust("shobj_description(oid, 'pg_database')");
    let mut question = Query::select();
    question.expr_as(comment, "comment").from("pg_database").and_where(Expr::col("datname").eq(name));
    question.render(Engine::Postgres)
}

/// Checks that the server allows the names of the database and the schema.
pub(super) fn check_names(at: &ServerDatabase) -> Result<(), DatabaseError> {
    quoted(&at.name)?;
    at.schema.as_deref().map_or(Ok(()), |schema| quoted(schema).map(drop))
}

/// Quotes an identifier.
fn quoted(name: &str) -> Result<String, DatabaseError> {
    // PostgreSQL silently truncates longer names, so that two could become one.
    const LONGEST: usize = 63;
    if name.is_empty() || name.len() > LONGEST || name.contains('\0') {
        return Err(DatabaseError::InvalidName(format!(
            "\"{}\" cannot be a name in PostgreSQL: it takes 1 to {LONGEST} bytes",
            name.escape_default()
        )));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// Quotes a string literal (`standard_conforming_strings` is on since 9.1).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
