//! What an engine's connection to a server can do. The rest of this folder is the same for all.

use std::borrow::Cow;
use std::time::Duration;

use super::ServerDatabase;
use super::pool::{Allowance, Servers};
use crate::database::rows::RowSender;
use crate::database::{DatabaseError, Rendered, Row};

/// One connection to a database of a server.
pub(in crate::database) trait Connection: Send + Sync + Sized + 'static {
    /// What the engine's driver says when something goes wrong.
    type Error: Send;

    /// Begins a transaction.
    const BEGIN: &'static str;

    /// Begins a transaction whose statements wait for others no longer than this, where the engine needs
    /// that to find those quickly who wait for each other.
    fn begin_within(_wait: Duration) -> Cow<'static, str> {
        Self::BEGIN.into()
    }

    /// Whether a change of the schema commits the transaction it is in.
    const CHANGES_COMMIT: bool;

    /// Whether a connection can go over to another database and another user of its server.
    const MOVES: bool = false;

    /// The servers of this engine that somebody here uses.
    fn servers() -> &'static Servers<Self>;

    /// Connects; bounded by [`super::CONNECT_TIMEOUT`] outside.
    fn connect(at: &ServerDatabase) -> impl Future<Output = Result<Self, Self::Error>> + Send;

    /// Goes over to another database, as the user that is asked for there, and begins there as a new
    /// connection does; only where it [`Connection::MOVES`]. After an error it cannot be used any more.
    fn move_to(&mut self, _: &ServerDatabase) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// How many connections the server allows.
    fn allowance(&mut self) -> impl Future<Output = Result<Allowance, Self::Error>> + Send;

    /// Whether it still leads to the server, after it was not used for a while.
    fn is_usable(&mut self, idle: Duration) -> impl Future<Output = bool> + Send;

    /// The error in the words of this room.
    fn describe(at: &ServerDatabase, error: &Self::Error) -> DatabaseError;

    /// As [`Connection::describe`], after asking the server what its words leave open.
    fn explain(
        &mut self,
        at: &ServerDatabase,
        error: Self::Error,
        statement: &Rendered,
    ) -> impl Future<Output = DatabaseError> + Send;

    /// Whether nothing can be done with it after this error.
    fn is_broken(&self, error: &Self::Error) -> bool;

    /// Runs a statement that gives rows.
    fn query(&mut self, statement: &Rendered) -> impl Future<Output = Result<Vec<Row>, Self::Error>> + Send;

    /// Runs a statement that gives one row with the number that it counts. An engine that can tell that
    /// nothing has changed since need not count again.
    fn count(&mut self, statement: &Rendered) -> impl Future<Output = Result<Vec<Row>, Self::Error>> + Send {
        self.query(statement)
    }

    /// Runs a statement that gives rows, and passes them on until nobody reads them any more.
    fn stream(
        &mut self,
        statement: &Rendered,
        rows: &RowSender,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Runs a statement that changes something; gives the number of rows.
    fn execute(&mut self, statement: &Rendered) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Runs an insertion of one row; gives the value made for the column that it says is generated.
    fn insert(
        &mut self,
        statement: &Rendered,
    ) -> impl Future<Output = Result<Option<i64>, Self::Error>> + Send;

    /// Runs an insertion of several rows; gives the value made for each in the column that it says
    /// is generated.
    fn insert_many(
        &mut self,
        statement: &Rendered,
    ) -> impl Future<Output = Result<Vec<i64>, Self::Error>> + Send;

    /// Runs SQL that binds nothing and gives nothing.
    fn batch(&mut self, sql: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Closes it; gives when the server has been told, and has had the time to let it go.
    fn close(self) -> impl Future<Output = ()> + Send;

    /// Closes it in the middle of a statement, and tells the server to stop working on that:
    /// whoever asked has gone.
    fn abandon(self, at: &ServerDatabase);
}

/// A connection on which several statements can be under way: the server answers them one after the
/// other.
pub(in crate::database) trait Pipelining: Connection {
    /// Whether what is between here and the server lets several be under way.
    fn is_pipelining(&self) -> bool;

    /// Runs a statement that gives rows, while others do the same.
    fn read(&self, statement: &Rendered) -> impl Future<Output = Result<Vec<Row>, Self::Error>> + Send;
}
