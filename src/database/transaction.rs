//! A transaction on any engine.

use std::sync::Arc;

use sea_query::{InsertStatement, SelectStatement, UpdateStatement};

use super::{
    Change, DatabaseError, Engine, Namespace, Rendered, Row, Statement, mysql, names, postgres, sqlite,
};

/// A transaction. Its statements see its own changes; others see them after the commit. A statement that
/// fails ends the transaction: everything is rolled back, and later statements fail. After a savepoint, the
/// transaction can be rolled back to that instead.
///
/// On MySQL and MariaDB, DDL commits what came before it; it belongs at the beginning of a transaction.
#[derive(Debug)]
pub struct Transaction {
    engine: EngineTransaction,
    table_prefix: Arc<str>,
}

#[derive(Debug)]
pub(super) enum EngineTransaction {
    Sqlite(sqlite::SqliteTransaction),
    Postgres(postgres::Transaction),
    Mysql(mysql::Transaction),
}

impl Transaction {
    pub(super) fn new(engine: EngineTransaction, table_prefix: Arc<str>) -> Self {
        Self { engine, table_prefix }
    }

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

    /// Runs a statement that changes something; see [`Database::execute`].
    pub async fn execute(&mut self, statement: &impl Change) -> Result<u64, DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.execute(statement.render(Engine::Sqlite)).await,
            EngineTransaction::Postgres(postgres) => {
                postgres.execute(&statement.render(Engine::Postgres)).await
            }
            EngineTransaction::Mysql(mysql) => mysql.execute(&statement.render(Engine::Mysql)).await,
        }
    }

    /// Updates rows and returns them as they are then; see [`Database::update_returning`].
    pub async fn update_returning(&mut self, statement: &UpdateStatement) -> Result<Vec<Row>, DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.query(statement.render(Engine::Sqlite)).await,
            EngineTransaction::Postgres(postgres) => {
                postgres.query(&statement.render(Engine::Postgres)).await
            }
            EngineTransaction::Mysql(mysql) => mysql.query(&statement.render(Engine::Mysql)).await,
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
                postgres.insert(&Rendered::insert(statement, generated, Engine::Postgres)).await
            }
            EngineTransaction::Mysql(mysql) => {
                mysql.insert(&Rendered::insert(statement, generated, Engine::Mysql)).await
            }
        }
    }

    /// Inserts several rows; see [`Database::insert_many`].
    pub async fn insert_many(
        &mut self,
        statement: &InsertStatement,
        generated: Option<&str>,
    ) -> Result<Vec<i64>, DatabaseError> {
        let rendered = Rendered::insert_many(statement, generated, self.namespace().engine);
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.insert_many(rendered).await,
            EngineTransaction::Postgres(postgres) => postgres.insert_many(&rendered).await,
            EngineTransaction::Mysql(mysql) => mysql.insert_many(&rendered).await,
        }
    }

    /// The names of a table's columns in order; empty if there is no such table.
    pub async fn columns_of(&mut self, table: &str) -> Result<Vec<String>, DatabaseError> {
        let rows = match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.query(sqlite::columns_of(table)).await?,
            EngineTransaction::Postgres(postgres) => {
                postgres.query(&postgres::columns_of(postgres.schema(), table)).await?
            }
            EngineTransaction::Mysql(mysql) => mysql.query(&mysql::columns_of(table)).await?,
        };
        Ok(names(rows))
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

    /// Whether a table has an index of this name.
    pub async fn has_index(&mut self, table: &str, name: &str) -> Result<bool, DatabaseError> {
        let found = match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.query(sqlite::index_named(table, name)).await?,
            EngineTransaction::Postgres(postgres) => {
                postgres.query(&postgres::index_named(postgres.schema(), table, name)).await?
            }
            EngineTransaction::Mysql(mysql) => mysql.query(&mysql::index_named(table, name)).await?,
        };
        Ok(!found.is_empty())
    }

    /// Sets a savepoint. Savepoints nest. On MySQL and MariaDB, DDL releases them.
    pub async fn savepoint(&mut self) -> Result<(), DatabaseError> {
        match &mut self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.savepoint().await,
            EngineTransaction::Postgres(postgres) => postgres.savepoint().await,
            EngineTransaction::Mysql(mysql) => mysql.savepoint().await,
        }
    }

    /// Releases the last savepoint and keeps what was done since.
    pub async fn release_savepoint(&mut self) -> Result<(), DatabaseError> {
        self.end_savepoint(true).await
    }

    /// Rolls back to the last savepoint, also after a failed statement, and releases it.
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

    /// Commits. When this returns, the changes survive a power failure.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        match self.engine {
            EngineTransaction::Sqlite(sqlite) => sqlite.commit().await,
            EngineTransaction::Postgres(postgres) => postgres.commit().await,
            EngineTransaction::Mysql(mysql) => mysql.commit().await,
        }
    }
}
