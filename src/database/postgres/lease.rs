//! A connection, lent for a while. One that is given back in the middle of a statement is thrown
//! away, and the server is told to stop working on it: whoever asked has gone.

use std::sync::Arc;

use deadpool_postgres::Object;
use tokio::sync::OwnedSemaphorePermit;

use super::{Shared, error, tls};
use crate::database::DatabaseError;

/// A connection that is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<Object>,
    shared: Arc<Shared>,
    /// A statement was begun and has not come to its end.
    under_way: bool,
    /// After the connection, so that who waits for a turn finds it free.
    _turn: OwnedSemaphorePermit,
}

impl Lease {
    pub(super) fn new(connection: Object, shared: Arc<Shared>, turn: OwnedSemaphorePermit) -> Self {
        Self { connection: Some(connection), shared, under_way: false, _turn: turn }
    }

    /// Does something with the connection, to its end or not at all.
    pub(super) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&Object) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, DatabaseError> {
        let Some(connection) = &self.connection else {
            return Err(DatabaseError::Closed(self.shared.at.to_string()));
        };
        self.under_way = true;
        let done = work(connection).await;
        self.under_way = false;
        done.map_err(|failed| error::describe(&self.shared.at, &failed))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take_if(|_| self.under_way) else { return };
        let (cancel, mode) = (connection.cancel_token(), self.shared.at.server.tls);
        drop(Object::take(connection));
        let (Ok(runtime), Ok(connector)) = (tokio::runtime::Handle::try_current(), tls::connector(mode))
        else {
            return;
        };
        runtime.spawn(async move {
            // At worst the server works on in vain.
            let _ = cancel.cancel_query(connector).await;
        });
    }
}
