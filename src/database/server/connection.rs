//! What an engine's connection must do. The rest of this folder is the same for all engines.

use std::borrow::Cow;
use std::time::Duration;

use super::ServerDatabase;
use super::pool::{Allowance, ServerPools};
use crate::database::rows::RowSender;
use crate::database::{DatabaseError, Rendered, Row};

/// One connection to a database of a server.
pub(in crate::database) trait Connection: Send + Sync + Sized + 'static {
    /// The driver's error.
    type Error: Send;

    /// The SQL that begins a transaction.
    const BEGIN: &'static str;

    /// The SQL that begins a transaction with this lock timeout, for engines that are slow to find deadlocks.
    fn begin_with_lock_timeout(_wait: Duration) -> Cow<'static, str> {
        Self::BEGIN.into()
    }

    /// Whether DDL commits the transaction it is in.
    const DDL_COMMITS: bool;

    /// Whether a connection can switch to another database and another user of its server.
    const CAN_SWITCH: bool = false;

    /// The pools of this engine's servers.
    fn pools() -> &'static ServerPools<Self>;

    /// Connects; the caller applies [`super::CONNECT_TIMEOUT`].
    fn connect(at: &ServerDatabase) -> impl Future<Output = Result<Self, Self::Error>> + Send;

    /// Switches to another database, as the user given there, and resets the session; only if
    /// [`Connection::CAN_SWITCH`]. After an error the connection is unusable.
    fn switch_to(&mut self, _: &ServerDatabase) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// Asks how many connections the server allows.
    fn allowance(&mut self) -> impl Future<Output = Result<Allowance, Self::Error>> + Send;

    /// Whether the connection still works after it was idle.
    fn is_usable(&mut self, idle: Duration) -> impl Future<Output = bool> + Send;

    /// Translates the driver's error.
    fn describe(at: &ServerDatabase, error: &Self::Error) -> DatabaseError;

    /// Translates the error as [`Connection::describe`] does, asking the server for what its message omits.
    fn explain(
        &mut self,
        at: &ServerDatabase,
        error: Self::Error,
        statement: &Rendered,
    ) -> impl Future<Output = DatabaseError> + Send;

    /// Whether the connection is unusable after this error.
    fn is_broken(&self, error: &Self::Error) -> bool;

    /// Runs a statement that returns rows.
    fn query(&mut self, statement: &Rendered) -> impl Future<Output = Result<Vec<Row>, Self::Error>> + Send;

    /// Runs a statement that returns a single number. An engine that can tell that nothing has changed may
    /// return the last result.
    fn count(&mut self, statement: &Rendered) -> impl Future<Output = Result<Vec<Row>, Self::Error>> + Send {
        self.query(statement)
    }

    /// Runs a statement that returns rows, and passes them on until the reader is gone.
    fn stream(
        &mut self,
        statement: &Rendered,
        rows: &RowSender,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Runs a statement that changes something; returns the number of rows.
    fn execute(&mut self, statement: &Rendered) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Inserts one row; returns the value of the statement's generated column.
    fn insert(
        &mut self,
        statement: &Rendered,
    ) -> impl Future<Output = Result<Option<i64>, Self::Error>> + Send;

    /// Inserts several rows; returns the value of the statement's generated column for each.
    fn insert_many(
        &mut self,
        statement: &Rendered,
    ) -> impl Future<Output = Result<Vec<i64>, Self::Error>> + Send;

    /// Runs SQL that binds nothing and returns nothing.
    fn batch(&mut self, sql: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Closes the connection; returns once the server has been told and had the time to release it.
    fn close(self) -> impl Future<Output = ()> + Send;

    /// Closes the connection in the middle of a statement, and tells the server to cancel that.
    fn abandon(self, at: &ServerDatabase);
}

/// A connection with several statements in flight, which the server answers in order.
pub(in crate::database) trait Pipelining: Connection {
    /// Whether several statements may be in flight, given what is between here and the server.
    fn is_pipelining(&self) -> bool;

    /// Runs a statement that returns rows, concurrently with others.
    fn read(&self, statement: &Rendered) -> impl Future<Output = Result<Vec<Row>, Self::Error>> + Send;
}
