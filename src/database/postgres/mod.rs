//! PostgreSQL. What a statement binds takes the types the server expects (`value.rs`), and what it
//! answers is told apart by its code (`error.rs`).

mod connection;
mod counts;
mod error;
mod plans;
mod schema;
mod tls;
mod value;

use sea_query::{Expr, ExprTrait, Order, Query};

use super::server::{self, Handle, ServerDatabase};
use super::{DatabaseError, Engine, Rendered, Statement, Value};
use connection::PostgresConnection;

pub(super) type Transaction = server::Transaction<PostgresConnection>;

/// The database that every server has, to be in while another is made or removed.
const MAINTENANCE: &str = "postgres";

/// An open PostgreSQL database.
#[derive(Debug, Clone)]
pub(super) struct Postgres {
    handle: Handle<PostgresConnection>,
}

/// The question for all tables of a schema; without one, of that which new tables go to.
pub(super) fn table_names(schema: Option<&str>) -> Rendered {
    let schema = schema.map_or_else(|| Expr::cust("current_schema()"), Expr::val);
    let mut question = Query::select();
    question.column("tablename").from("pg_tables").and_where(Expr::col("schemaname").eq(schema));
    question.order_by("tablename", Order::Asc).to_owned().render(Engine::Postgres)
}

/// The question whether a table exists in a schema; without one, in that which new tables go to.
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

/// The question whether a table in a schema has an index; without one, in that which new tables go to.
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

/// The question for the columns of a table in a schema; without one, in that which new tables go to.
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
    /// Makes the database and opens it; the user must have the right `CREATEDB`.
    pub(super) async fn create(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        if let Some(schema) = &at.schema {
            return Self::create_schema(at, schema, None).await;
        }
        in_maintenance(at, async |maintenance| maintenance.make(at, at).await).await?;
        Self::open(at).await
    }

    /// Makes the database as one that `owner` owns: under the owner's name first, so that it can
    /// be told from everybody else's at every moment, then marked with it, then renamed.
    pub(super) async fn create_owned(at: &ServerDatabase, owner: &str) -> Result<Self, DatabaseError> {
        if let Some(schema) = &at.schema {
            return Self::create_schema(at, schema, Some(owner)).await;
        }
        let (first, name) = (at.beside(&unfinished(owner)), quoted(&at.name)?);
        let at_first = quoted(&first.name)?;
        in_maintenance(at, async |maintenance| {
            maintenance.make(&first, at).await?;
            let mark = format!("COMMENT ON DATABASE {at_first} IS {}", literal(&mark(owner)));
            let made = match maintenance.run_alone(&mark).await {
                Ok(()) => maintenance.run_alone(&format!("ALTER DATABASE {at_first} RENAME TO {name}")).await,
                failed => failed,
            };
            if made.is_err() {
                maintenance.drop_database(&at_first).await?;
            }
            made.map_err(|failed| refused_creation(at, failed))
        })
        .await?;
        Self::open(at).await
    }

    pub(super) async fn open(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        let postgres = Self::to(at);
        match &at.schema {
            Some(schema) => postgres.require_schema(schema).await?,
            None => postgres.handle.connect().await?,
        }
        Ok(postgres)
    }

    /// The way there, before it is known where it leads.
    fn to(at: &ServerDatabase) -> Self {
        Self { handle: Handle::new(at) }
    }

    /// Removes the database; connections that others still have to it are ended.
    pub(super) async fn remove(at: &ServerDatabase) -> Result<Vec<String>, DatabaseError> {
        if let Some(schema) = &at.schema {
            return Self::remove_schema(at, schema, |_| true).await;
        }
        in_maintenance(at, async |maintenance| maintenance.remove_where(at, |_| true).await).await
    }

    /// Removes what [`Self::create_owned`] made for this owner, as far as it came.
    pub(super) async fn remove_owned(at: &ServerDatabase, owner: &str) -> Result<Vec<String>, DatabaseError> {
        let wanted = mark(owner);
        if let Some(schema) = &at.schema {
            return Self::remove_schema(at, schema, |comment| comment == wanted).await;
        }
        in_maintenance(at, async |maintenance| {
            let mut removed = maintenance.remove_where(&at.beside(&unfinished(owner)), |_| true).await?;
            removed.extend(maintenance.remove_where(at, |comment| comment == wanted).await?);
            Ok(removed)
        })
        .await
    }

    /// Makes a database; a failure speaks of the one that is `meant`.
    async fn make(&self, at: &ServerDatabase, meant: &ServerDatabase) -> Result<(), DatabaseError> {
        let made = self.run_alone(&format!("CREATE DATABASE {}", quoted(&at.name)?)).await;
        made.map_err(|failed| refused_creation(meant, failed))
    }

    /// Removes a database if there is one and its comment fits.
    async fn remove_where(
        &self,
        at: &ServerDatabase,
        fits: impl FnOnce(&str) -> bool,
    ) -> Result<Vec<String>, DatabaseError> {
        let Some(comment) = self.comment(&comment_of(&at.name)).await? else { return Ok(Vec::new()) };
        if !fits(&comment) {
            return Ok(Vec::new());
        }
        self.drop_database(&quoted(&at.name)?).await?;
        Ok(vec![format!("database {at}")])
    }

    /// The answer to a question for something of a name and its comment: `None` where there is no
    /// such thing, an empty one where it has none.
    async fn comment(&self, question: &Rendered) -> Result<Option<String>, DatabaseError> {
        let row = self.handle.query(question).await?.into_iter().next();
        Ok(row.map(|row| match row.get("comment") {
            Some(Value::Text(comment)) => comment.clone(),
            _ => String::new(),
        }))
    }

    /// Whether it carries somebody's mark.
    pub(super) async fn is_owned(&self) -> Result<bool, DatabaseError> {
        let question = match &self.at().schema {
            Some(schema) => schema::comment_of(schema),
            None => comment_of(&self.at().name),
        };
        Ok(self.comment(&question).await?.is_some_and(|comment| comment.starts_with(&mark(""))))
    }

    async fn drop_database(&self, quoted: &str) -> Result<(), DatabaseError> {
        self.run_alone(&format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")).await
    }

    pub(super) fn schema(&self) -> Option<&str> {
        self.at().schema.as_deref()
    }

    /// What statements, transactions and closing go through.
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
            _ => Err(DatabaseError::Failed(format!("{} does not say how large it is", self.at()))),
        }
    }

    /// A statement that cannot be in a transaction and binds nothing.
    async fn run_alone(&self, sql: &str) -> Result<(), DatabaseError> {
        self.handle.batch(sql).await
    }
}

/// Does something in the database that every server has.
async fn in_maintenance<T>(
    at: &ServerDatabase,
    work: impl AsyncFnOnce(&Postgres) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    quoted(&at.name)?;
    let maintenance = Postgres::open(&at.beside(MAINTENANCE)).await?;
    let done = work(&maintenance).await;
    maintenance.handle.close().await;
    done
}

fn refused_creation(at: &ServerDatabase, failed: DatabaseError) -> DatabaseError {
    match failed {
        DatabaseError::Exists(_) => DatabaseError::Exists(format!(
            "cannot create the database {at}: there is one of this name already"
        )),
        DatabaseError::Denied(_) => DatabaseError::Denied(format!(
            "the user {user} may not create databases on {server}; a superuser allows it with: \
             ALTER ROLE {role} CREATEDB",
            user = at.server.user,
            server = at.server,
            role = quoted(&at.server.user).unwrap_or_default(),
        )),
        other => other,
    }
}

/// The name of a database while it is being made for this owner.
fn unfinished(owner: &str) -> String {
    format!("nbapps-{owner}")
}

/// The comment of a database that was made for this owner.
fn mark(owner: &str) -> String {
    format!("made by nbapps, key {owner}")
}

/// The question for a database of this name, and its comment.
fn comment_of(name: &str) -> Rendered {
    let comment = Expr::cust("shobj_description(oid, 'pg_database')");
    let mut question = Query::select();
    question.expr_as(comment, "comment").from("pg_database").and_where(Expr::col("datname").eq(name));
    question.render(Engine::Postgres)
}

/// Whether the database and the schema have names that the server takes as they are.
pub(super) fn check_names(at: &ServerDatabase) -> Result<(), DatabaseError> {
    quoted(&at.name)?;
    at.schema.as_deref().map_or(Ok(()), |schema| quoted(schema).map(drop))
}

/// A name as the server reads it whatever is in it.
fn quoted(name: &str) -> Result<String, DatabaseError> {
    // PostgreSQL cuts longer names off without a word, and two would be one.
    const LONGEST: usize = 63;
    if name.is_empty() || name.len() > LONGEST || name.contains('\0') {
        return Err(DatabaseError::InvalidName(format!(
            "\"{}\" cannot be a name in PostgreSQL: it takes 1 to {LONGEST} bytes",
            name.escape_default()
        )));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// A text as the server reads it whatever is in it (`standard_conforming_strings` is on since 9.1).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
