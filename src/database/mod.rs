//! The database engines behind one type.
//!
//! [`Database`] is an open database of any engine: statements come in as trees of the query
//! builder and are put into the engine's words here ([`Statement`]); rows go out as [`Row`]s of
//! [`Value`]s. Above this room there is no SQL text, no engine's own type and no question which
//! engine it is.
//!
//! An engine is a folder here with a type of its own, and a variant in `Database` and
//! `Transaction`. SQLite does its work on the threads of `workers.rs`, which all databases share.

use std::path::{Path, PathBuf};

use sea_query::{ColumnType, InsertStatement, SelectStatement};

mod error;
mod mysql;
mod postgres;
mod server;
mod sqlite;
mod statement;
mod value;
mod workers;

pub use error::DatabaseError;
pub use server::{InvalidUrl, Server, ServerDatabase, Tls, limit_connections};
pub use statement::{Change, Rendered, Statement};
pub use value::{Row, Value};

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
    const fn default_port(self) -> u16 {
        match self {
            Self::Sqlite => 0,
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }
}

/// Where a database is. Its `Display` is what people are shown and never has a password.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A database on a PostgreSQL server.
    Postgres(ServerDatabase),
    /// A database on a MySQL or MariaDB server.
    Mysql(ServerDatabase),
}

impl Location {
    /// The engine it is for.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
            Self::Mysql(_) => Engine::Mysql,
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(at) | Self::Mysql(at) => at.fmt(f),
        }
    }
}

impl Location {
    /// The directory that must be there before the database can be made; none for a server.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => path.parent(),
            Self::Postgres(_) | Self::Mysql(_) => None,
        }
    }

    /// The name for a database beside this one that holds `what`, led by this one's own, so that
    /// two hosts on one server keep out of each other's way; `None` for SQLite, which has no server.
    #[must_use]
    pub fn name_beside(&self, what: &str) -> Option<String> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(at) | Self::Mysql(at) => Some(format!("{}_{what}", at.name)),
        }
    }

    /// A schema of this name in this database; `None` for an engine that has none.
    #[must_use]
    pub fn within(&self, schema: &str) -> Option<Self> {
        match self {
            Self::Postgres(at) => Some(Self::Postgres(at.within(schema))),
            Self::Sqlite(_) | Self::Mysql(_) => None,
        }
    }

    /// A database of this name on the same server; `None` for SQLite, which has no server.
    #[must_use]
    pub fn beside(&self, name: &str) -> Option<Self> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(at) => Some(Self::Postgres(at.beside(name))),
            Self::Mysql(at) => Some(Self::Mysql(at.beside(name))),
        }
    }
}

/// An open database. Cheap to clone; all clones share its connections, which are opened when they
/// are needed and closed when they have been idle for a while.
#[derive(Debug, Clone)]
pub struct Database {
    engine: EngineDatabase,
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

    /// Opens a database, making an empty one where there is none.
    pub async fn open_or_create(at: &Location) -> Result<Self, DatabaseError> {
        match Self::open(at).await {
            Err(DatabaseError::Missing(_)) => Self::create(at).await,
            other => other,
        }
    }

    /// As [`Database::create`], for an owner that [`Database::remove_owned`] knows it by. On a
    /// server the database carries the owner's mark; a SQLite file is its directory's.
    pub async fn create_owned(at: &Location, owner: &str) -> Result<Self, DatabaseError> {
        match at {
            Location::Sqlite(_) => Self::create(at).await,
            Location::Postgres(at) => postgres::Postgres::create_owned(at, owner).await.map(Self::postgres),
            Location::Mysql(at) => mysql::Mysql::create_owned(at, owner).await.map(Self::mysql),
        }
    }

    /// As [`Database::remove`], when it was made for this owner, as far as making it came; one of
    /// somebody else is left alone.
    pub async fn remove_owned(at: &Location, owner: &str) -> Result<Vec<String>, DatabaseError> {
        match at {
            Location::Sqlite(_) => Self::remove(at).await,
            Location::Postgres(at) => postgres::Postgres::remove_owned(at, owner).await,
            Location::Mysql(at) => mysql::Mysql::remove_owned(at, owner).await,
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
        Self { engine: EngineDatabase::Sqlite(engine) }
    }

    fn postgres(engine: postgres::Postgres) -> Self {
        Self { engine: EngineDatabase::Postgres(engine) }
    }

    fn mysql(engine: mysql::Mysql) -> Self {
        Self { engine: EngineDatabase::Mysql(engine) }
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
            EngineDatabase::Postgres(postgres) => Location::Postgres(postgres.at().clone()),
            EngineDatabase::Mysql(mysql) => Location::Mysql(mysql.at().clone()),
        }
    }

    /// The schema that its tables are in, where statements must name it.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        match &self.engine {
            EngineDatabase::Sqlite(_) | EngineDatabase::Mysql(_) => None,
            EngineDatabase::Postgres(postgres) => postgres.schema(),
        }
    }

    /// Connections in use now; `None` for SQLite, which has no server.
    #[must_use]
    pub fn connections(&self) -> Option<usize> {
        match &self.engine {
            EngineDatabase::Sqlite(_) => None,
            EngineDatabase::Postgres(postgres) => Some(postgres.in_use()),
            EngineDatabase::Mysql(mysql) => Some(mysql.in_use()),
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
            EngineDatabase::Postgres(postgres) => postgres.query(&statement.render(Engine::Postgres)).await,
            EngineDatabase::Mysql(mysql) => mysql.query(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Changes something, in a transaction of its own that is on the disk when this returns.
    /// Gives the number of rows that changed (0 for a change of the schema).
    pub async fn execute(&self, statement: &impl Change) -> Result<u64, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.execute(statement.render(Engine::Sqlite)).await,
            EngineDatabase::Postgres(postgres) => postgres.execute(&statement.render(Engine::Postgres)).await,
            EngineDatabase::Mysql(mysql) => mysql.execute(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Inserts one row, and gives the value that the engine made for the column `generated`.
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
                postgres.insert(&Rendered::insertion(statement, generated, Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => {
                mysql.insert(&Rendered::insertion(statement, generated, Engine::Mysql)).await
            }
        }
    }

    /// Whether it has a table of this name.
    pub async fn has_table(&self, name: &str) -> Result<bool, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => Ok(!sqlite.query(sqlite::table_named(name)).await?.is_empty()),
            EngineDatabase::Postgres(postgres) => {
                Ok(!postgres.query(&postgres::table_named(postgres.schema(), name)).await?.is_empty())
            }
            EngineDatabase::Mysql(mysql) => Ok(!mysql.query(&mysql::table_named(name)).await?.is_empty()),
        }
    }

    /// Begins a transaction that may write; it waits for the one before it. Dropped without
    /// [`Transaction::commit`], it is rolled back.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => {
                Ok(Transaction { engine: EngineTransaction::Sqlite(sqlite.begin().await?) })
            }
            EngineDatabase::Postgres(postgres) => {
                Ok(Transaction { engine: EngineTransaction::Postgres(postgres.begin().await?) })
            }
            EngineDatabase::Mysql(mysql) => {
                Ok(Transaction { engine: EngineTransaction::Mysql(mysql.begin().await?) })
            }
        }
    }

    /// Lets running statements and transactions end, then closes every connection. What is asked
    /// of it from now on is answered with [`DatabaseError::Closed`].
    pub async fn close(&self) {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.close().await,
            EngineDatabase::Postgres(postgres) => postgres.close().await,
            EngineDatabase::Mysql(mysql) => mysql.close().await,
        }
    }
}

/// A transaction. Its statements see what it wrote; nobody else does before the commit. A statement
/// that fails ends it: everything is rolled back, and what comes after is refused.
#[derive(Debug)]
pub struct Transaction {
    engine: EngineTransaction,
}

#[derive(Debug)]
enum EngineTransaction {
    Sqlite(sqlite::Transaction),
    Postgres(postgres::Transaction),
    Mysql(mysql::Transaction),
}

impl Transaction {
    /// The engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match &self.engine {
            EngineTransaction::Sqlite(_) => Engine::Sqlite,
            EngineTransaction::Postgres(_) => Engine::Postgres,
            EngineTransaction::Mysql(_) => Engine::Mysql,
        }
    }

    /// The schema that its tables are in; see [`Database::schema`].
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        match &self.engine {
            EngineTransaction::Sqlite(_) | EngineTransaction::Mysql(_) => None,
            EngineTransaction::Postgres(postgres) => postgres.schema(),
        }
    }

    /// Reads rows.
    pub async fn query(&mut self, statement: &SelectStatement) -> Result<Vec<Row>, DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.query(statement.render(Engine::Sqlite)).await,
            EngineTransaction::Postgres(postgres) => postgres.query(&statement.render(Engine::Postgres)).await,
            EngineTransaction::Mysql(mysql) => mysql.query(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Changes something; see [`Database::execute`].
    pub async fn execute(&mut self, statement: &impl Change) -> Result<u64, DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.execute(statement.render(Engine::Sqlite)).await,
            EngineTransaction::Postgres(postgres) => postgres.execute(&statement.render(Engine::Postgres)).await,
            EngineTransaction::Mysql(mysql) => mysql.execute(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Inserts one row; see [`Database::insert`].
    pub async fn insert(
        &mut self,
        statement: &InsertStatement,
        generated: Option<&str>,
    ) -> Result<Option<i64>, DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => {
                sqlite.insert(statement.render(Engine::Sqlite), generated.is_some()).await
            }
            EngineTransaction::Postgres(postgres) => {
                postgres.insert(&Rendered::insertion(statement, generated, Engine::Postgres)).await
            }
            EngineTransaction::Mysql(mysql) => {
                mysql.insert(&Rendered::insertion(statement, generated, Engine::Mysql)).await
            }
        }
    }

    /// Whether there is a table of this name.
    pub async fn has_table(&mut self, name: &str) -> Result<bool, DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => {
                Ok(!sqlite.query(sqlite::table_named(name)).await?.is_empty())
            }
            EngineTransaction::Postgres(postgres) => {
                Ok(!postgres.query(&postgres::table_named(postgres.schema(), name)).await?.is_empty())
            }
            EngineTransaction::Mysql(mysql) => Ok(!mysql.query(&mysql::table_named(name)).await?.is_empty()),
        }
    }

    /// Makes everything it did last: when this returns, it survives a power failure.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        match self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.commit().await,
            EngineTransaction::Postgres(postgres) => postgres.commit().await,
            EngineTransaction::Mysql(mysql) => mysql.commit().await,
        }
    }
}

/// Where statements go: a [`Database`], each in a transaction of its own, or a [`Transaction`].
pub trait Executor: Send {
    /// The schema that its tables are in; see [`Database::schema`].
    fn schema(&self) -> Option<&str>;

    /// Reads rows.
    fn query(
        &mut self,
        statement: &SelectStatement,
    ) -> impl Future<Output = Result<Vec<Row>, DatabaseError>> + Send;

    /// Changes something; see [`Database::execute`].
    fn execute(&mut self, statement: &impl Change)
    -> impl Future<Output = Result<u64, DatabaseError>> + Send;

    /// Inserts one row; see [`Database::insert`].
    fn insert(
        &mut self,
        statement: &InsertStatement,
        generated: Option<&str>,
    ) -> impl Future<Output = Result<Option<i64>, DatabaseError>> + Send;
}

impl Executor for &Database {
    fn schema(&self) -> Option<&str> {
        Database::schema(self)
    }

    async fn query(&mut self, statement: &SelectStatement) -> Result<Vec<Row>, DatabaseError> {
        Database::query(self, statement).await
    }

    async fn execute(&mut self, statement: &impl Change) -> Result<u64, DatabaseError> {
        Database::execute(self, statement).await
    }

    async fn insert(
        &mut self,
        statement: &InsertStatement,
        generated: Option<&str>,
    ) -> Result<Option<i64>, DatabaseError> {
        Database::insert(self, statement, generated).await
    }
}

impl Executor for &mut Transaction {
    fn schema(&self) -> Option<&str> {
        Transaction::schema(self)
    }

    async fn query(&mut self, statement: &SelectStatement) -> Result<Vec<Row>, DatabaseError> {
        Transaction::query(self, statement).await
    }

    async fn execute(&mut self, statement: &impl Change) -> Result<u64, DatabaseError> {
        Transaction::execute(self, statement).await
    }

    async fn insert(
        &mut self,
        statement: &InsertStatement,
        generated: Option<&str>,
    ) -> Result<Option<i64>, DatabaseError> {
        Transaction::insert(self, statement, generated).await
    }
}

#[cfg(test)]
pub(crate) mod tests;
