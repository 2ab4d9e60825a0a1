//! The database engines behind one type.
//!
//! [`Database`] is an open database of any engine: statements come in as trees of the query
//! builder and are put into the engine's words here ([`Statement`]); rows go out as [`Row`]s of
//! [`Value`]s. Above this room there is no SQL text, no engine's own type and no question which
//! engine it is: what engines can only say in words of their own, sums of exact numbers, lists in
//! JSON, dates by their parts, are expressions that [`Engine`] gives (`expression.rs`, `moment.rs`).
//!
//! An engine is a folder here with a type of its own, and a variant in `Database` and
//! `Transaction`. SQLite does what is more than a moment's work on the threads of `blocking_pool.rs`, which
//! all databases share.
//! What engines with servers have in common is in `server/`: lending connections, statements,
//! transactions; such an engine adds its connection and how databases are made and removed.

use std::sync::Arc;
use std::time::Duration;

use sea_query::{InsertStatement, SelectStatement, UpdateStatement};
use transaction::EngineTransaction;

mod again;
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
mod refusal;
mod resizable_semaphore;
mod rows;
mod savepoints;
mod server;
mod sqlite;
mod statement;
mod statement_cache;
mod transaction;
mod value;

pub(crate) use again::Tries;
pub(crate) use descriptors::are_used_up;
pub use descriptors::set_descriptor_budget;
pub use engine::Engine;
pub use error::DatabaseError;
pub use executor::Executor;
pub use location::Location;
pub use moment::StoredMoment;
pub use pattern::{Pattern, Position, case_folded};
pub use refusal::Refusal;
pub(crate) use resizable_semaphore::{Permit, ResizableSemaphore};
pub use rows::Rows;
pub use server::{InvalidUrl, Server, ServerDatabase, ServerLimits, Sessions, Tls, set_limits};
pub use statement::{Change, Rendered, Statement};
pub use transaction::Transaction;
pub use value::{Row, Value};

/// Where a statement's tables are: what it must say to mean those of one application.
#[derive(Debug, Clone, Copy)]
pub struct Namespace<'a> {
    /// The engine.
    pub engine: Engine,
    /// The schema that the tables are in, where statements must name it.
    pub schema: Option<&'a str>,
    /// What the tables' names begin with; mostly nothing.
    pub table_prefix: &'a str,
}

/// An open database. Cheap to clone; all clones share its connections, which are opened when they
/// are needed and closed when they have been idle for a while.
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
    /// Makes a new, empty database and opens it; [`DatabaseError::Exists`] when there is one
    /// already. The directory of a SQLite file must exist.
    pub async fn create(at: &Location) -> Result<Self, DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::create(path).await.map(Self::sqlite),
            Location::Postgres(at) => postgres::Postgres::create(at).await.map(Self::postgres),
            Location::Mysql(at) => mysql::Mysql::create(at).await.map(Self::mysql),
        }
    }

    /// Opens a database that exists; [`DatabaseError::Missing`] when there is none.
    pub async fn open(at: &Location) -> Result<Self, DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::open(path).await.map(Self::sqlite),
            Location::Postgres(at) => postgres::Postgres::open(at).await.map(Self::postgres),
            Location::Mysql(at) => mysql::Mysql::open(at).await.map(Self::mysql),
        }
    }

    /// Opens a database that may be missing. A server is asked for it first where it can be asked without
    /// connecting to the database: a pooler holds the connections to one that was missing back for a while,
    /// also when it has been made since.
    pub async fn open_if_present(at: &Location) -> Result<Self, DatabaseError> {
        match at {
            Location::Postgres(at) => postgres::Postgres::open_if_present(at).await.map(Self::postgres),
            Location::Sqlite(_) | Location::Mysql(_) => Self::open(at).await,
        }
    }

    /// Opens a database, making an empty one where there is none.
    pub async fn open_or_create(at: &Location) -> Result<Self, DatabaseError> {
        match Self::open(at).await {
            Err(DatabaseError::Missing(_)) => {}
            other => return other,
        }
        if let Some(around) = at.around() {
            // The database that the schema is in may be missing too.
            Box::pin(Self::open_or_create(&around)).await?.close().await;
        }
        Self::create(at).await
    }

    /// As [`Database::create`], for an owner that [`Database::remove_owned`] knows it by. On a
    /// server the database carries the owner's mark; a SQLite file has a second name with the owner's in
    /// it, until [`Database::settle_owned`].
    pub async fn create_owned(at: &Location, owner: &str) -> Result<Self, DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::create_owned(path, owner).await.map(Self::sqlite),
            Location::Postgres(at) => postgres::Postgres::create_owned(at, owner).await.map(Self::postgres),
            Location::Mysql(at) => mysql::Mysql::create_owned(at, owner).await.map(Self::mysql),
        }
    }

    /// Of a SQLite file that was made for this owner: it is not told from others any more, and is used.
    pub async fn settle_owned(at: &Location, owner: &str) -> Result<(), DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::settle_owned(path, owner).await,
            Location::Postgres(_) | Location::Mysql(_) => Ok(()),
        }
    }

    /// Whether it was made for an owner, whoever that is; no SQLite file says so.
    pub async fn is_owned(&self) -> Result<bool, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(_) => Ok(false),
            EngineDatabase::Postgres(postgres) => postgres.is_owned().await,
            EngineDatabase::Mysql(mysql) => mysql.is_owned().await,
        }
    }

    /// As [`Database::remove`], when it was made for this owner, as far as making it came; one of
    /// somebody else is left alone, and so is a SQLite file that was settled.
    pub async fn remove_owned(at: &Location, owner: &str) -> Result<Vec<String>, DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::remove_owned(path, owner).await,
            Location::Postgres(at) => postgres::Postgres::remove_owned(at, owner).await,
            Location::Mysql(at) => mysql::Mysql::remove_owned(at, owner).await,
        }
    }

    /// Removes what was made for owners whose names begin with `owners`, who are not `known`, and has
    /// nothing in it: what crashes left behind. Databases of the server and, where the place has schemas,
    /// schemas of its database are looked through; a SQLite file is its directory's. Gives what was
    /// removed.
    pub async fn sweep(
        at: &Location,
        owners: &str,
        known: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<String>, DatabaseError> {
        match at {
            Location::Sqlite(_) => Ok(Vec::new()),
            Location::Postgres(at) => {
                let mut removed = postgres::Postgres::sweep(at, owners, known).await?;
                removed.extend(postgres::Postgres::sweep_schemas(at, owners, known).await?);
                Ok(removed)
            }
            Location::Mysql(at) => mysql::Mysql::sweep(at, owners, known).await,
        }
    }

    /// Why not every text can be kept in it, and the SQL that makes one in which it can; `None` where it
    /// can. In MySQL and MariaDB that is for the tables to say, and those made here can.
    pub async fn unfit_for_text(&self) -> Result<Option<(String, String)>, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(_) | EngineDatabase::Mysql(_) => Ok(None),
            EngineDatabase::Postgres(postgres) => postgres.unfit_for_text().await,
        }
    }

    /// Removes a database for good, with everything in it. It must not be open. Gives what was
    /// removed, which is nothing where there was none.
    pub async fn remove(at: &Location) -> Result<Vec<String>, DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::remove(path).await,
            Location::Postgres(at) => postgres::Postgres::remove(at).await,
            Location::Mysql(at) => mysql::Mysql::remove(at).await,
        }
    }

    fn sqlite(engine: sqlite::Sqlite) -> Self {
        Self::of(EngineDatabase::Sqlite(engine))
    }

    fn postgres(engine: postgres::Postgres) -> Self {
        Self::of(EngineDatabase::Postgres(engine))
    }

    fn mysql(engine: mysql::Mysql) -> Self {
        Self::of(EngineDatabase::Mysql(engine))
    }

    fn of(engine: EngineDatabase) -> Self {
        Self { engine, table_prefix: Arc::from("") }
    }

    /// The same database, for the tables whose names begin with this.
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

    /// Connections in use now; `None` for SQLite, which has no server.
    #[must_use]
    pub fn connections(&self) -> Option<usize> {
        match &self.engine {
            EngineDatabase::Sqlite(_) => None,
            EngineDatabase::Postgres(postgres) => Some(postgres.handle().in_use()),
            EngineDatabase::Mysql(mysql) => Some(mysql.handle().in_use()),
        }
    }

    /// Whether each connection has a process of the server for itself; `None` for engines without
    /// poolers of their language, and before the first connection.
    #[must_use]
    pub fn sessions(&self) -> Option<Sessions> {
        match &self.engine {
            EngineDatabase::Sqlite(_) | EngineDatabase::Mysql(_) => None,
            EngineDatabase::Postgres(postgres) => postgres.sessions(),
        }
    }

    /// How many connections it may have at a time (on SQLite: that read), and how long a statement
    /// may take; from now on.
    pub fn set_limits(&self, connections: u32, statement_time: Duration) {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.set_limits(connections, statement_time),
            EngineDatabase::Postgres(postgres) => postgres.handle().set_limits(connections, statement_time),
            EngineDatabase::Mysql(mysql) => mysql.handle().set_limits(connections, statement_time),
        }
    }

    /// Closes connections that nobody uses and that cost memory here; they are opened again when they
    /// are needed. Those to servers are left to their time.
    pub async fn rest(&self) {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.rest().await,
            EngineDatabase::Postgres(_) | EngineDatabase::Mysql(_) => {}
        }
    }

    /// Bytes on disk.
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

    /// Reads the one number that a statement counts; [`DatabaseError::Failed`] where it gives no number.
    /// SQLite and PostgreSQL do not count again as long as nobody has committed anything since; servers
    /// count once for all who wait for the same.
    pub async fn count(&self, statement: &SelectStatement) -> Result<u64, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.count(statement.render(Engine::Sqlite)).await,
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().count(&statement.render(Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().count(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Reads rows one after the other, however many they are. A connection is held until the last
    /// was read, or until the rows are dropped.
    pub fn stream(&self, statement: &SelectStatement) -> Rows {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.stream(statement.render(Engine::Sqlite)),
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().stream(statement.render(Engine::Postgres))
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().stream(statement.render(Engine::Mysql)),
        }
    }

    /// Changes something, in a transaction of its own that is on the disk when this returns.
    /// Gives the number of rows that changed (0 for a change of the schema).
    pub async fn execute(&self, statement: &impl Change) -> Result<u64, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.execute(statement.render(Engine::Sqlite)).await,
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().execute(&statement.render(Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().execute(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Changes rows, in a transaction of its own that is on the disk when this returns, and gives what
    /// the statement says to return of each. Only where [`Engine::returns_changes`].
    pub async fn change(&self, statement: &UpdateStatement) -> Result<Vec<Row>, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.change(statement.render(Engine::Sqlite)).await,
            EngineDatabase::Postgres(postgres) => {
                postgres.handle().query(&statement.render(Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().query(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Inserts one row, and gives the value that the engine made for the column `generated`. A value
    /// is never made twice: what a refused or undone insertion was given is used up.
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
                postgres.handle().insert(&Rendered::insertion(statement, generated, Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => {
                mysql.handle().insert(&Rendered::insertion(statement, generated, Engine::Mysql)).await
            }
        }
    }

    /// Inserts several rows, and gives the values that the engine made for the column `generated`,
    /// in the order of the rows; nothing where none is named. The statement must be of rows that
    /// are all inserted (`VALUES`, without `ON CONFLICT`), none of which gives that column a value,
    /// and may bind 32,766 values at most.
    pub async fn insert_many(
        &self,
        statement: &InsertStatement,
        generated: Option<&str>,
    ) -> Result<Vec<i64>, DatabaseError> {
        let rendered = Rendered::insertions(statement, generated, self.engine());
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.insert_many(rendered).await,
            EngineDatabase::Postgres(postgres) => postgres.handle().insert_many(&rendered).await,
            EngineDatabase::Mysql(mysql) => mysql.handle().insert_many(&rendered).await,
        }
    }

    /// The names of a table's columns in their order; none when there is no such table.
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

    /// Whether it has a table of this name.
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

    /// The names of all tables, without their prefix; tables without it are nobody's concern here.
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

    /// Begins a transaction that may write; it waits for the one before it. Dropped without
    /// [`Transaction::commit`], it is rolled back.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        self.begin_within(None).await
    }

    /// The same; where PostgreSQL lets a statement of it wait for a row or a key that others hold for
    /// longer than `wait`, that statement fails with [`DatabaseError::Conflict`]. For what is done again
    /// then: those who wait for each other are found sooner than by the server.
    pub(crate) async fn begin_within(&self, wait: Option<Duration>) -> Result<Transaction, DatabaseError> {
        let engine = match &self.engine {
            EngineDatabase::Sqlite(sqlite) => EngineTransaction::Sqlite(sqlite.begin().await?),
            EngineDatabase::Postgres(postgres) => {
                EngineTransaction::Postgres(postgres.handle().begin(wait).await?)
            }
            // It finds them at once.
            EngineDatabase::Mysql(mysql) => EngineTransaction::Mysql(mysql.handle().begin(None).await?),
        };
        Ok(Transaction::new(engine, Arc::clone(&self.table_prefix)))
    }

    /// Lets running statements and transactions end, then closes every connection. What is asked
    /// of it from now on is answered with [`DatabaseError::Closed`].
    pub async fn close(&self) {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.close().await,
            EngineDatabase::Postgres(postgres) => postgres.handle().close().await,
            EngineDatabase::Mysql(mysql) => mysql.handle().close().await,
        }
    }
}

/// The one number of an answer.
fn counted(rows: Vec<Row>) -> Result<u64, DatabaseError> {
    match rows.first().and_then(|row| row.value(0)) {
        Some(Value::Integer(count)) if *count >= 0 => Ok(count.unsigned_abs()),
        other => Err(DatabaseError::Failed(format!("the answer to a count is no number but {other:?}"))),
    }
}

/// The texts that rows begin with.
fn names(rows: Vec<Row>) -> Vec<String> {
    let names = rows.into_iter().filter_map(|row| match row.into_values().into_iter().next() {
        Some(Value::Text(name)) => Some(name),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
pub(crate) mod tests;
