//! PostgreSQL. Values take the types that the server expects (`value.rs`); errors are told apart by their
//! codes (`error.rs`).

mod catalog;
mod connection;
mod count_cache;
mod dial;
mod error;
mod plan_cache;
mod prepared_statements;
mod provisioning;
mod report;
mod schema;
mod session_mode;
mod text_values;
mod tls;
mod value;

use std::sync::Arc;

use sea_query::{Expr, ExprTrait, Query};

use super::server::{self, DatabaseHandle, ServerDatabase, mark};
use super::{DatabaseError, Engine, Rendered, Sessions, Statement, Value};
use connection::PostgresConnection;
use session_mode::DatabaseState;

pub(super) use catalog::{columns_of, index_named, table_named, table_names};

pub(super) type Transaction = server::ServerTransaction<PostgresConnection>;

/// An open PostgreSQL database.
#[derive(Debug, Clone)]
pub(super) struct Postgres {
    handle: DatabaseHandle<PostgresConnection>,
    /// What is known of the database while it is open, even without a connection.
    shared: Arc<DatabaseState>,
}

impl Postgres {
    pub(super) async fn open(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        Self::to(at).reached().await
    }

    /// Returns itself if the database, or its schema, exists and admits the user.
    async fn reached(self) -> Result<Self, DatabaseError> {
        let reached = match &self.at().schema {
            Some(schema) => self.require_schema(schema).await,
            None => self.handle.connect().await,
        };
        reached.map(|()| self)
    }

    /// Creates a handle without connecting.
    fn to(at: &ServerDatabase) -> Self {
        Self { handle: DatabaseHandle::new(at), shared: DatabaseState::of(at) }
    }

    /// Whether connections have sessions of their own; `None` before the first connection.
    pub(super) fn sessions(&self) -> Option<Sessions> {
        self.shared.sessions()
    }

    /// Runs a query for an object's comment: `None` if there is no such object, empty if it has no comment.
    async fn comment(&self, query: &Rendered) -> Result<Option<String>, DatabaseError> {
        let row = self.handle.query(query).await?.into_iter().next();
        Ok(row.map(|row| row.text("comment").unwrap_or_default().to_owned()))
    }

    /// Whether the database or schema carries any owner's mark.
    pub(super) async fn is_owned(&self) -> Result<bool, DatabaseError> {
        let query = match &self.at().schema {
            Some(schema) => schema::comment_of(schema),
            None => comment_of(&self.at().name),
        };
        Ok(self.comment(&query).await?.is_some_and(|comment| comment.starts_with(&mark(""))))
    }

    pub(super) fn schema(&self) -> Option<&str> {
        self.at().schema.as_deref()
    }

    /// The handle for statements, transactions and closing.
    pub(super) fn handle(&self) -> &DatabaseHandle<PostgresConnection> {
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
    pub(super) async fn encoding_problem(&self) -> Result<Option<(String, String)>, DatabaseError> {
        let encoding = Expr::cust("current_setting('server_encoding')");
        let query = Query::select().expr_as(encoding, "encoding").to_owned();
        let rows = self.handle.query(&query.render(Engine::Postgres)).await?;
        let Some(encoding) = rows.first().and_then(|row| row.text("encoding")) else {
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
    let mut query = Query::select();
    query.expr_as(comment, "comment").from("pg_database").and_where(Expr::col("datname").eq(name));
    query.render(Engine::Postgres)
}

/// Checks that the server allows the names of the database and the schema.
pub(super) fn check_names(at: &ServerDatabase) -> Result<(), DatabaseError> {
    quoted(&at.name)?;
    at.schema.as_deref().map_or(Ok(()), |schema| quoted(schema).map(drop))
}

/// Quotes an identifier.
fn quoted(name: &str) -> Result<String, DatabaseError> {
    // PostgreSQL silently truncates longer names, so that two could become one.
    const MAX_NAME: usize = 63;
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        return Err(DatabaseError::InvalidName(format!(
            "\"{}\" cannot be a name in PostgreSQL: it takes 1 to {MAX_NAME} bytes",
            name.escape_default()
        )));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// Quotes a string literal (`standard_conforming_strings` is on since 9.1).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
