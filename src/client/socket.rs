//! Opens the control socket of a daemon on this machine, and finds the process behind it.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;

use super::address::Address;
use super::error::ClientError;
use crate::protocol::SocketLock;

/// How long a daemon may take to answer the greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a daemon that is starting may take to answer the greeting: it answers once it has read its
/// registry.
const STARTING_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when the socket's queue of connections is full.
const QUEUE_RETRY: Duration = Duration::from_millis(50);

/// Opens a control socket without greeting the daemon. Waits while the socket's queue of connections is
/// full, which happens only when the daemon accepts none.
///
/// # Errors
/// [`ClientError::Unreachable`] when nothing listens there.
pub async fn open_socket(path: &Path) -> Result<UnixStream, ClientError> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(QUEUE_RETRY).await;
            }
            other => {
                return other.map_err(|error| ClientError::unreachable(&path.display().to_string(), error));
            }
        }
    }
}

/// How long the daemon at a socket may take to answer the greeting.
pub(super) fn greeting_time(socket: &Path) -> Duration {
    if SocketLock::read(socket).is_some_and(|lock| lock.starting) {
        STARTING_TIMEOUT
    } else {
        GREETING_TIMEOUT
    }
}

/// The content of the daemon's lock file; `None` for another machine, or when it cannot be read.
fn daemon_at(address: &Address) -> Option<SocketLock> {
    match address {
        Address::Socket(path) => SocketLock::read(path),
        Address::Ssh(_) => None,
    }
}

/// The error for a daemon at `address` that has not answered within `waited`.
#[must_use]
pub fn silent(address: &Address, waited: Duration) -> ClientError {
    let lock = daemon_at(address);
    ClientError::Silent {
        address: address.to_string(),
        process: lock.map(|lock| lock.process),
        starting: lock.is_some_and(|lock| lock.starting),
        waited,
    }
}
