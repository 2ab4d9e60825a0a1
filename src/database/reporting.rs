//! Asks a database and its server what they report of themselves (`report.rs`), and checks a file.

use super::report::Report;
use super::{Database, DatabaseError, EngineDatabase, sqlite};

impl Database {
    /// Asks the database and its server for their version, clock, connections and missing rights.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn report(&self) -> Result<Report, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(_) => Ok(sqlite::report()),
            EngineDatabase::Postgres(postgres) => postgres.report(&self.table_prefix).await,
            EngineDatabase::Mysql(mysql) => mysql.report(&self.table_prefix).await,
        }
    }

    /// Reads every page of a SQLite file and returns what is wrong with it, at most a few sentences. Dropping the
    /// future ends the check. `None` on servers, which check their own files.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn integrity_problems(&self) -> Result<Option<Vec<String>>, DatabaseError> {
        match &self.engine {
            EngineDatabase::Sqlite(sqlite) => sqlite.integrity_problems().await.map(Some),
            EngineDatabase::Postgres(_) | EngineDatabase::Mysql(_) => Ok(None),
        }
    }
}
