//! The database engines behind one type.
//!
//! [`Database`] is an open database of any engine: statements come in as trees of the query
//! builder and are put into the engine's words here ([`Statement`]); rows go out as [`Row`]s of
//! [`Value`]s. Above this room there is no SQL text, no engine's own type and no question which
//! engine it is.
//!
//! An engine is a folder here with a type of its own, and a variant in `Database` and
//! `Transaction`. SQLite does its work on the threads of `workers.rs`, which all databases share.
//! What engines with servers have in common is in `server/`: lending connections, statements,
//! transactions; such an engine adds its connection and how databases are made and removed.

use std::sync::Arc;

use sea_query::{ColumnType, InsertStatement, SelectStatement};

mod error;
mod location;
mod mysql;
mod postgres;
mod rows;
mod savepoints;
mod server;
mod sqlite;
mod statement;
mod value;
mod workers;

pub use error::DatabaseError;
pub use location::Location;
pub use rows::Rows;
pub use server::{InvalidUrl, Server, ServerDatabase, ServerLimits, Tls, set_limits};
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
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Sqlite => 0,
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }
}

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
                postgres.handle().query(&statement.render(Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => mysql.handle().query(&statement.render(Engine::Mysql)).await,
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
                postgres.handle().insert(&Rendered::insertion(statement, generated, Engine::Postgres)).await
            }
            EngineDatabase::Mysql(mysql) => {
                mysql.handle().insert(&Rendered::insertion(statement, generated, Engine::Mysql)).await
            }
        }
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
        let names = rows.into_iter().filter_map(|row| match row.into_values().into_iter().next() {
            Some(Value::Text(name)) => name.strip_prefix(&*self.table_prefix).map(str::to_owned),
            _ => None,
        });
        Ok(names.collect())
    }

    /// Begins a transaction that may write; it waits for the one before it. Dropped without
    /// [`Transaction::commit`], it is rolled back.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let engine = match &self.engine {
            EngineDatabase::Sqlite(sqlite) => EngineTransaction::Sqlite(sqlite.begin().await?),
            EngineDatabase::Postgres(postgres) => {
                EngineTransaction::Postgres(postgres.handle().begin().await?)
            }
            EngineDatabase::Mysql(mysql) => EngineTransaction::Mysql(mysql.handle().begin().await?),
        };
        Ok(Transaction { engine, table_prefix: Arc::clone(&self.table_prefix) })
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

/// A transaction. Its statements see what it wrote; nobody else does before the commit. A statement
/// that fails ends it: everything is rolled back, and what comes after is refused. After a savepoint
/// it can be gone back to that instead.
///
/// On MySQL and MariaDB a change of the schema commits what came before it, so that changes of the
/// schema stand at the beginning.
#[derive(Debug)]
pub struct Transaction {
    engine: EngineTransaction,
    table_prefix: Arc<str>,
}

#[derive(Debug)]
enum EngineTransaction {
    Sqlite(sqlite::Transaction),
    Postgres(postgres::Transaction),
    Mysql(mysql::Transaction),
}

impl Transaction {
    /// Where its tables are.
    #[must_use]
    pub fn namespace(&self) -> Namespace<'_> {
        let (engine, schema) = match &self.engine {
            EngineTransaction::Sqlite(_) => (Engine::Sqlite, None),
            EngineTransaction::Postgres(postgres) => (Engine::Postgres, postgres.schema()),
            EngineTransaction::Mysql(_) => (Engine::Mysql, None),
        };
        Namespace { engine, schema, table_prefix: &self.table_prefix }
    }

    /// Reads rows.
    pub async fn query(&mut self, statement: &SelectStatement) -> Result<Vec<Row>, DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.query(statement.render(Engine::Sqlite)).await,
            EngineTransaction::Postgres(postgres) => {
                postgres.query(&statement.render(Engine::Postgres)).await
            }
            EngineTransaction::Mysql(mysql) => mysql.query(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Changes something; see [`Database::execute`].
    pub async fn execute(&mut self, statement: &impl Change) -> Result<u64, DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.execute(statement.render(Engine::Sqlite)).await,
            EngineTransaction::Postgres(postgres) => {
                postgres.execute(&statement.render(Engine::Postgres)).await
            }
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

    /// Sets a savepoint; they may be nested. On MySQL and MariaDB a change of the schema ends them.
    pub async fn savepoint(&mut self) -> Result<(), DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.savepoint().await,
            EngineTransaction::Postgres(postgres) => postgres.savepoint().await,
            EngineTransaction::Mysql(mysql) => mysql.savepoint().await,
        }
    }

    /// Gives up the last savepoint and keeps what was done since.
    pub async fn release_savepoint(&mut self) -> Result<(), DatabaseError> {
        self.end_savepoint(true).await
    }

    /// Undoes what was done since the last savepoint, also after a failure, and gives it up.
    pub async fn roll_back_to_savepoint(&mut self) -> Result<(), DatabaseError> {
        self.end_savepoint(false).await
    }

    async fn end_savepoint(&mut self, keep: bool) -> Result<(), DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.end_savepoint(keep).await,
            EngineTransaction::Postgres(postgres) => postgres.end_savepoint(keep).await,
            EngineTransaction::Mysql(mysql) => mysql.end_savepoint(keep).await,
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
    /// Where its tables are.
    fn namespace(&self) -> Namespace<'_>;

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
    fn namespace(&self) -> Namespace<'_> {
        Database::namespace(self)
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
    fn namespace(&self) -> Namespace<'_> {
        Transaction::namespace(self)
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
