//! Creates, opens and drops databases, and tells by an owner's mark which of them may be removed.

use std::sync::Arc;

use super::{Database, DatabaseError, EngineDatabase, Location, mysql, postgres, sqlite};

impl Database {
    /// Creates an empty database and opens it; fails with [`DatabaseError::Exists`] if there is one already.
    /// The directory of a SQLite file must exist.
    pub async fn create(at: &Location) -> Result<Self, DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::create(path).await.map(Self::sqlite),
            Location::Postgres(at) => postgres::Postgres::create(at).await.map(Self::postgres),
            Location::Mysql(at) => mysql::Mysql::create(at).await.map(Self::mysql),
        }
    }

    /// Opens an existing database; fails with [`DatabaseError::Missing`] if there is none.
    pub async fn open(at: &Location) -> Result<Self, DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::open(path).await.map(Self::sqlite),
            Location::Postgres(at) => postgres::Postgres::open(at).await.map(Self::postgres),
            Location::Mysql(at) => mysql::Mysql::open(at).await.map(Self::mysql),
        }
    }

    /// Opens an existing database as [`Database::open`] does, with connections of its own beside those that
    /// applications share: on a server one that is new. For a brief look, also at a database in use.
    pub async fn open_apart(at: &Location) -> Result<Self, DatabaseError> {
        match at {
            Location::Sqlite(_) => Self::open(at).await,
            Location::Postgres(at) => postgres::Postgres::open_apart(at).await.map(Self::postgres),
            Location::Mysql(at) => mysql::Mysql::open_apart(at).await.map(Self::mysql),
        }
    }

    /// Opens a database that may be missing. Asks the server first whether it exists, if that takes no
    /// connection to the database itself: after a failed connection to a missing database, a pooler delays
    /// further ones for a while, even once the database has been created.
    pub async fn open_if_present(at: &Location) -> Result<Self, DatabaseError> {
        match at {
            Location::Postgres(at) => postgres::Postgres::open_if_present(at).await.map(Self::postgres),
            Location::Sqlite(_) | Location::Mysql(_) => Self::open(at).await,
        }
    }

    /// Opens a database; creates an empty one if there is none.
    pub async fn open_or_create(at: &Location) -> Result<Self, DatabaseError> {
        match Self::open(at).await {
            Err(DatabaseError::Missing(_)) => {}
            other => return other,
        }
        if let Some(around) = at.containing_database() {
            // The database that the schema is in may be missing too.
            Box::pin(Self::open_or_create(&around)).await?.close().await;
        }
        Self::create(at).await
    }

    /// Creates a database as [`Database::create`] does, marked with its owner, so that
    /// [`Database::remove_owned`] recognizes it. On a server the mark is a comment; a SQLite file
    /// has a hard link that names the owner, until [`Database::clear_owner`].
    pub async fn create_owned(at: &Location, owner: &str) -> Result<Self, DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::create_owned(path, owner).await.map(Self::sqlite),
            Location::Postgres(at) => postgres::Postgres::create_owned(at, owner).await.map(Self::postgres),
            Location::Mysql(at) => mysql::Mysql::create_owned(at, owner).await.map(Self::mysql),
        }
    }

    /// Removes the owner's mark from a SQLite file, which is in use from here on. Does nothing on servers.
    pub async fn clear_owner(at: &Location, owner: &str) -> Result<(), DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::clear_owner(path, owner).await,
            Location::Postgres(_) | Location::Mysql(_) => Ok(()),
        }
    }

    /// Whether the database carries any owner's mark. Always `false` for a SQLite file.
    pub async fn is_owned(&self) -> Result<bool, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(_) => Ok(false),
            EngineDatabase::Postgres(postgres) => postgres.is_owned().await,
            EngineDatabase::Mysql(mysql) => mysql.is_owned().await,
        }
    }

    /// Removes a database as [`Database::remove`] does, or what an interrupted creation left of it, if it
    /// carries this owner's mark. Leaves alone the databases of others, and SQLite files whose mark was
    /// removed.
    pub async fn remove_owned(at: &Location, owner: &str) -> Result<Vec<String>, DatabaseError> {
        match at {
            Location::Sqlite(path) => sqlite::Sqlite::remove_owned(path, owner).await,
            Location::Postgres(at) => postgres::Postgres::remove_owned(at, owner).await,
            Location::Mysql(at) => mysql::Mysql::remove_owned(at, owner).await,
        }
    }

    /// Removes empty databases that crashes left behind: those marked with an owner whose name begins with
    /// `owners` and which is not `known`. Looks through the databases of the server and, on PostgreSQL,
    /// through the schemas of the location's database; SQLite files are left to the owner of their directory.
    /// Returns what was removed.
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

    /// Drops a database with everything in it. It must not be open. Returns what was removed: nothing if
    /// there was no such database.
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
}
