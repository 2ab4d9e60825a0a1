//! [`Executor`]: runs statements on a database, or within a transaction.

use sea_query::{InsertStatement, SelectStatement, UpdateStatement};

use super::{Change, Database, DatabaseError, Namespace, Row, Transaction, single_count};

/// Runs statements: a [`Database`] runs each in a transaction of its own, a [`Transaction`] within itself.
pub trait Executor: Send {
    /// Where its tables are.
    fn namespace(&self) -> Namespace<'_>;

    /// Reads rows.
    fn query(
        &mut self,
        statement: &SelectStatement,
    ) -> impl Future<Output = Result<Vec<Row>, DatabaseError>> + Send;

    /// Reads the single number that a counting statement returns; see [`Database::count`].
    fn count(
        &mut self,
        statement: &SelectStatement,
    ) -> impl Future<Output = Result<u64, DatabaseError>> + Send;

    /// Runs a statement that changes something; see [`Database::execute`].
    fn execute(&mut self, statement: &impl Change)
    -> impl Future<Output = Result<u64, DatabaseError>> + Send;

    /// Updates rows and returns them as they are then; see [`Database::update_returning`].
    fn update_returning(
        &mut self,
        statement: &UpdateStatement,
    ) -> impl Future<Output = Result<Vec<Row>, DatabaseError>> + Send;

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

    async fn count(&mut self, statement: &SelectStatement) -> Result<u64, DatabaseError> {
        Database::count(self, statement).await
    }

    async fn execute(&mut self, statement: &impl Change) -> Result<u64, DatabaseError> {
        Database::execute(self, statement).await
    }

    async fn update_returning(&mut self, statement: &UpdateStatement) -> Result<Vec<Row>, DatabaseError> {
        Database::update_returning(self, statement).await
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

    async fn count(&mut self, statement: &SelectStatement) -> Result<u64, DatabaseError> {
        single_count(Transaction::query(self, statement).await?)
    }

    async fn execute(&mut self, statement: &impl Change) -> Result<u64, DatabaseError> {
        Transaction::execute(self, statement).await
    }

    async fn update_returning(&mut self, statement: &UpdateStatement) -> Result<Vec<Row>, DatabaseError> {
        Transaction::update_returning(self, statement).await
    }

    async fn insert(
        &mut self,
        statement: &InsertStatement,
        generated: Option<&str>,
    ) -> Result<Option<i64>, DatabaseError> {
        Transaction::insert(self, statement, generated).await
    }
}
