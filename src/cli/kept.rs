//! A connection that outlives a command: a shell's. Commands share it as long as the daemon answers on it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::client::{Address, Client};

/// How long the daemon may take to show that it is there, as for a greeting.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection, with the address that it leads to; none until a command has connected.
#[derive(Debug, Default)]
pub(crate) struct KeptConnection {
    open: Mutex<Option<(Address, Arc<Client>)>>,
}

impl KeptConnection {
    /// The connection to this address, if it is open and the daemon answers on it within `patience`: the daemon may
    /// have been restarted since the last command.
    pub(crate) async fn open(&self, address: &Address, patience: Duration) -> Option<Arc<Client>> {
        let client = self.unchecked(address)?;
        if client.answers(patience.min(ANSWER_TIMEOUT)).await {
            return Some(client);
        }
        *self.open.lock() = None;
        None
    }

    /// The connection to this address, whether or not the daemon still answers on it.
    pub(crate) fn unchecked(&self, address: &Address) -> Option<Arc<Client>> {
        let open = self.open.lock();
        open.as_ref().filter(|(open, _)| open == address).map(|(_, client)| Arc::clone(client))
    }

    /// Keeps a connection, in the place of another one.
    pub(crate) fn keep(&self, address: Address, client: &Arc<Client>) {
        *self.open.lock() = Some((address, Arc::clone(client)));
    }
}
