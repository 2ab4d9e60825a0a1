//! The database engines behind one type.
//!
//! [`Database`] is an open database of any engine. Statements come in as trees of the query builder and are
//! rendered to the engine's SQL here ([`Statement`]); rows go out as [`Row`]s of [`Value`]s. The rooms above
//! see no SQL text and no type of an engine. Where engines differ in syntax (sums of exact numbers, arrays in
//! JSON, formatted dates), [`Engine`] returns the expression (`expression.rs`, `moment.rs`).
//!
//! Each engine is a folder with a type of its own, and a variant in `Database` and `Transaction`. SQLite runs
//! its blocking work on the threads of `blocking_pool.rs`, which all databases share. `server/` holds what
//! engines with servers have in common: the connection pool, statements, transactions. Such an engine adds
//! its connection, and how databases are created and dropped.

use std::sync::Arc;
use std::time::Duration;

use sea_query::{InsertStatement, SelectStatement, UpdateStatement};
use transaction::EngineTransaction;

mod blocking_pool;
mod date_format;
mod decimal;
mod descriptors;
mod engine;
mod error;
mod executor;
mod expression;
mod location;
mod moment;
mod mysql;
mod pattern;
mod postgres;
mod provisioning;
mod refusal;
mod report;
mod reporting;
mod resizable_semaphore;
mod retry;
mod rows;
mod savepoints;
mod server;
mod sqlite;
mod statement;
mod statement_cache;
mod transaction;
mod value;

pub(crate) use descriptors::is_descriptor_shortage;
pub use descriptors::set_descriptor_budget;
pub use engine::Engine;
pub use error::DatabaseError;
pub use executor::Executor;
pub use location::Location;
pub use moment::StoredMoment;
pub use pattern::{Pattern, Position, case_folded};
pub use refusal::Refusal;
pub use report::{ConnectionCounts, MissingRight, Report, Right};
pub(crate) use resizable_semaphore::{Permit, ResizableSemaphore};
pub(crate) use retry::Retry;
pub use rows::Rows;
pub use server::{InvalidUrl, Server, ServerDatabase, ServerLimits, Sessions, Tls, set_limits};
pub use statement::{Change, Rendered, Statement};
pub use transaction::Transaction;
pub use value::{Row, Value};

/// Where the tables of one application are, as its statements must name them.
#[derive(Debug, Clone, Copy)]
pub struct Namespace<'a> {
    /// The engine.
    pub engine: Engine,
    /// The schema of the tables, if statements must name it.
    pub schema: Option<&'a str>,
    /// The prefix of the tables' names; mostly empty.
    pub table_prefix: &'a str,
}

/// An open database. Cheap to clone; all clones share its connections, which are opened on demand and closed
/// after a while of idleness.
#[derive(Debug, Clone)]
pub struct Database {
    engine: EngineDatabase,
    table_prefix: Arc<str>,
}

#[derive(Debug, Clone)]
enum EngineDatabase {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
    Mysql(mysql::Mysql),
}

impl Database {
    /// Why the database cannot hold every text, and the SQL that creates one which can; `None` if it can. In
    /// MySQL and MariaDB each table has an encoding of its own, and those created here hold every text.
    pub async fn encoding_problem(&self) -> Result<Option<(String, String)>, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(_) | EngineDatabase::Mysql(_) => Ok(None),
            EngineDatabase::Postgres(postgres) => postgres.encoding_problem().await,
        }
    }

    /// Returns the same database for the tables with this prefix.
    #[must_use]
    pub fn with_table_prefix(self, prefix: &str) -> Self {
        Self { table_prefix: prefix.into(), ..self }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match &self.engine {
            EngineDatabase::Sqlite(_) => Engine::Sqlite,
            EngineDatabase::Postgres(_) => Engine::Postgres,
            EngineDatabase::Mysql(_) => Engine::Mysql,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> Location {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => Location::Sqlite(sqlite.path().to_owned()),
            EngineDatabase::Postgres(postgres) => Location::Postgres(postgres.handle().at().clone()),
            EngineDatabase::Mysql(mysql) => Location::Mysql(mysql.handle().at().clone()),
        }
    }

    /// Where its tables are.
    #[must_use]
    pub fn namespace(&self) -> Namespace<'_> {
        let schema = match &self.engine {
            EngineDatabase::Sqlite(_) | EngineDatabase::Mysql(_) => None,
            EngineDatabase::Postgres(postgres) => postgres.schema(),
        };
        Namespace { engine: self.engine(), schema, table_prefix: &self.table_prefix }
    }

    /// The number of connections in use; `None` for SQLite, which has no server.
    #[must_use]
    pub fn connections(&self) -> Option<usize> {
        match &self.engine {
            EngineDatabase::Sqlite(_) => None,
            EngineDatabase::Postgres(postgres) => Some(postgres.handle().in_use()),
            EngineDatabase::Mysql(mysql) => Some(mysql.handle().in_use()),
        }
    }

    /// The number of open connections: on SQLite those to its file, on a server those in use.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.open_connections(),
            EngineDatabase::Postgres(postgres) => postgres.handle().in_use(),
            EngineDatabase::Mysql(mysql) => mysql.handle().in_use(),
        }
    }

    /// The most memory that the page caches of its connections may take in this process, in bytes; `None` for
    /// engines with a server, which has the caches.
    #[must_use]
    pub fn max_page_cache(&self) -> Option<u64> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => Some(sqlite.max_page_cache()),
            EngineDatabase::Postgres(_) | EngineDatabase::Mysql(_) => None,
        }
    }

    /// Whether each connection has a server process to itself, as without a pooler in transaction mode;
    /// `None` for engines other than PostgreSQL, and before the first connection.
    #[must_use]
    pub fn sessions(&self) -> Option<Sessions> {
        match &self.engine {
            EngineDatabase::Sqlite(_) | EngineDatabase::Mysql(_) => None,
            EngineDatabase::Postgres(postgres) => postgres.sessions(),
        }
    }

    /// Sets the limit on concurrent connections (on SQLite: on those that read) and the timeout of a
    /// statement, from now on.
    pub fn set_limits(&self, connections: u32, statement_time: Duration) {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.set_limits(connections, statement_time),
            EngineDatabase::Postgres(postgres) => postgres.handle().set_limits(connections, statement_time),
            EngineDatabase::Mysql(mysql) => mysql.handle().set_limits(connections, statement_time),
        }
    }

    /// Closes idle connections that cost memory in this process; they are reopened on demand. Connections to
    /// servers stay until their idle timeout.
    pub async fn close_idle(&self) {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.close_idle().await,
            EngineDatabase::Postgres(_) | EngineDatabase::Mysql(_) => {}
        }
    }

    /// The size on disk, in bytes.
    pub async fn size(&self) -> Result<u64, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.size().await,
            EngineDatabase::Postgres(postgres) => postgres.size().await,
            EngineDatabase::Mysql(mysql) => mysql.size().await,
        }
    }

    /// Reads rows.
    pub async fn query(&self, statement: &SelectStatement) -> Result<Vec<Row>, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.query(statement.render(Engine::Sqlite)).await,
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().read(&statement.render(Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().query(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Reads the single number that a counting statement returns; fails with [`DatabaseError::Failed`] if it
    /// returns none. SQLite and PostgreSQL reuse a count until somebody commits; on servers, concurrent equal
    /// counts run once.
    pub async fn count(&self, statement: &SelectStatement) -> Result<u64, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.count(statement.render(Engine::Sqlite)).await,
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().count(&statement.render(Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().count(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Reads rows one by one, however many there are. Holds a connection until the last row is read or the
    /// rows are dropped.
    pub fn stream(&self, statement: &SelectStatement) -> Rows {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.stream(statement.render(Engine::Sqlite)),
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().stream(statement.render(Engine::Postgres))
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().stream(statement.render(Engine::Mysql)),
        }
    }

    /// Runs a statement in a transaction of its own, which is on the disk when this returns. Returns the
    /// number of rows that changed (0 for DDL).
    pub async fn execute(&self, statement: &impl Change) -> Result<u64, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.execute(statement.render(Engine::Sqlite)).await,
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().execute(&statement.render(Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().execute(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Updates rows in a transaction of its own, which is on the disk when this returns. Returns what the
    /// statement's `RETURNING` names. Only where [`Engine::has_update_returning`].
    pub async fn update_returning(&self, statement: &UpdateStatement) -> Result<Vec<Row>, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.update_returning(statement.render(Engine::Sqlite)).await,
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().query(&statement.render(Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().query(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Inserts one row and returns the value that the engine generated for the column `generated`. Generated
    /// values are never reused: those of failed or rolled back insertions are lost.
    pub async fn insert(
        &self,
        statement: &InsertStatement,
        generated: Option<&str>,
    ) -> Result<Option<i64>, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => {
                sqlite.insert(statement.render(Engine::Sqlite), generated.is_some()).await
            }
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().insert(&Rendered::insert(statement, generated, Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => {
                mysql.handle().insert(&Rendered::insert(statement, generated, Engine::Mysql)).await
            }
        }
    }

    /// Inserts several rows and returns the values that the engine generated for the column `generated`, in
    /// the order of the rows; empty without such a column. The statement must insert each of its rows
    /// (`VALUES` without `ON CONFLICT`), give that column no value, and bind at most 32,766 values.
    pub async fn insert_many(
        &self,
        statement: &InsertStatement,
        generated: Option<&str>,
    ) -> Result<Vec<i64>, DatabaseError> {
        let rendered = Rendered::insert_many(statement, generated, self.engine());
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.insert_many(rendered).await,
            EngineDatabase::Postgres(postgres) => postgres.handle().insert_many(&rendered).await,
            EngineDatabase::Mysql(mysql) => mysql.handle().insert_many(&rendered).await,
        }
    }

    /// The names of a table's columns in order; empty if there is no such table.
    pub async fn columns_of(&self, table: &str) -> Result<Vec<String>, DatabaseError> {
        let rows = match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.query(sqlite::columns_of(table)).await?,
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().query(&postgres::columns_of(postgres.schema(), table)).await?
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().query(&mysql::columns_of(table)).await?,
        };
        Ok(names(rows))
    }

    /// Whether the database has a table of this name.
    pub async fn has_table(&self, name: &str) -> Result<bool, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => Ok(!sqlite.query(sqlite::table_named(name)).await?.is_empty()),
            EngineDatabase::Postgres(postgres) => Ok(!postgres
                .handle()
                .query(&postgres::table_named(postgres.schema(), name))
                .await?
                .is_empty()),
            EngineDatabase::Mysql(mysql) => {
                Ok(!mysql.handle().query(&mysql::table_named(name)).await?.is_empty())
            }
        }
    }

    /// The names of all tables with the prefix, without it.
    pub async fn table_names(&self) -> Result<Vec<String>, DatabaseError> {
        let rows = match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.query(sqlite::table_names()).await?,
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().query(&postgres::table_names(postgres.schema())).await?
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().query(&mysql::table_names()).await?,
        };
        let without_prefix = |name: String| name.strip_prefix(&*self.table_prefix).map(str::to_owned);
        Ok(names(rows).into_iter().filter_map(without_prefix).collect())
    }

    /// Begins a transaction that may write. On SQLite it waits for the one before it. Dropping it without
    /// [`Transaction::commit`] rolls it back.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        self.begin_with_lock_timeout(None).await
    }

    /// Begins a transaction as [`Database::begin`] does. On PostgreSQL, a statement that waits longer than
    /// `wait` for a lock on a row or a key fails with [`DatabaseError::Conflict`]. For work that is retried
    /// then: this finds deadlocks sooner than the server does.
    pub(crate) async fn begin_with_lock_timeout(
        &self,
        wait: Option<Duration>,
    ) -> Result<Transaction, DatabaseError> {
        let engine = match &self.engine {
            EngineDatabase::Sqlite(sqlite) => EngineTransaction::Sqlite(sqlite.begin().await?),
            EngineDatabase::Postgres(postgres) => {
                EngineTransaction::Postgres(postgres.handle().begin(wait).await?)
            }
            // These servers find deadlocks at once.
            EngineDatabase::Mysql(mysql) => EngineTransaction::Mysql(mysql.handle().begin(None).await?),
        };
        Ok(Transaction::new(engine, Arc::clone(&self.table_prefix)))
    }

    /// Waits for running statements and transactions, then closes every connection. Later calls fail with
    /// [`DatabaseError::Closed`].
    pub async fn close(&self) {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.close().await,
            EngineDatabase::Postgres(postgres) => postgres.handle().close().await,
            EngineDatabase::Mysql(mysql) => mysql.handle().close().await,
        }
    }
}

/// Returns the single number of a count's result.
fn single_count(rows: Vec<Row>) -> Result<u64, DatabaseError> {
    match rows.first().and_then(|row| row.value(0)) {
        Some(Value::Integer(count)) if *count >= 0 => Ok(count.unsigned_abs()),
        other => Err(DatabaseError::Failed(format!("a count returned {other:?} instead of a number"))),
    }
}

/// Returns the texts in the first column.
fn names(rows: Vec<Row>) -> Vec<String> {
    let names = rows.into_iter().filter_map(|row| match row.into_values().into_iter().next() {
        Some(Value::Text(name)) => Some(name),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
pub(crate) mod tests;
