//! The control socket of a daemon on this machine, and which process is behind it.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;

use super::{Address, ClientError};
use crate::protocol::SocketLock;

/// How long a daemon may take to answer the greeting, which needs no work.
const GREETING: Duration = Duration::from_secs(5);

/// The same for one that is starting: it answers once its applications are known.
const STARTING: Duration = Duration::from_secs(30);

/// How long to wait where the queue of connections to be accepted is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(50);

/// Opens a control socket, for who carries the bytes elsewhere. Waits while the socket's queue of
/// connections is full, which only a daemon that accepts none lets happen.
///
/// # Errors
/// [`ClientError::Unreachable`] when nothing listens there.
pub async fn open_socket(path: &Path) -> Result<UnixStream, ClientError> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(QUEUE_PAUSE).await;
            }
            other => {
                return other.map_err(|error| ClientError::unreachable(&path.display().to_string(), error));
            }
        }
    }
}

/// How long the daemon at this socket may take to answer the greeting.
pub(super) fn greeting_time(socket: &Path) -> Duration {
    if SocketLock::read(socket).is_some_and(|lock| lock.starting) { STARTING } else { GREETING }
}

/// What the lock says of the daemon there, when that is on this machine and the lock can be read.
fn daemon_at(address: &Address) -> Option<SocketLock> {
    match address {
        Address::Socket(path) => SocketLock::read(path),
        Address::Ssh(_) => None,
    }
}

/// The error for a daemon at `address` that has not answered for so long.
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
