//! Limits the connections to the control socket, of all users and of each.
//!
//! At the limit, the connection that has been idle the longest is closed, so that a program that forgets
//! to close its connections keeps nobody out. When all connections are busy, a new one is refused.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::protocol::{ErrorKind, RpcError};

/// Hands out a bounded number of [`ClientPermit`]s.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    /// The most connections at a time.
    max: usize,
    /// The most connections of one user at a time: the rest is for other users.
    max_of_user: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    next: u64,
    connections: HashMap<u64, CountedClient>,
}

#[derive(Debug)]
struct CountedClient {
    user: Option<u32>,
    /// When the client last sent a line.
    active: Instant,
    /// The requests in flight, streams included.
    requests: TaskTracker,
    evicted: CancellationToken,
}

/// The right to one open connection, given back on drop.
#[derive(Debug)]
pub(super) struct ClientPermit {
    limit: Arc<ConnectionLimit>,
    id: u64,
    /// Cancelled when the connection is to close for another one.
    pub(super) evicted: CancellationToken,
    /// The requests in flight, streams included.
    pub(super) requests: TaskTracker,
}

impl ConnectionLimit {
    /// Allows `max` connections, at most half of them of one user.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, max_of_user: (max / 2).max(1), open: Mutex::default() })
    }

    /// Admits a connection of this user.
    ///
    /// # Errors
    /// `TooManyConnections` when the limit is reached and all connections are busy.
    pub(super) fn acquire(self: &Arc<Self>, user: Option<u32>) -> Result<ClientPermit, RpcError> {
        let mut open = self.open.lock();
        let of_user = open.connections.values().filter(|connection| connection.user == user).count();
        if of_user >= self.max_of_user {
            open.evict_idle(|connection| connection.user == user).ok_or_else(|| self.refusal(user))?;
        } else if open.connections.len() >= self.max {
            open.evict_idle(|_| true).ok_or_else(|| self.refusal(None))?;
        }
        let id = open.next;
        open.next += 1;
        let (evicted, requests) = (CancellationToken::new(), TaskTracker::new());
        let connection = CountedClient {
            user,
            active: Instant::now(),
            requests: requests.clone(),
            evicted: evicted.clone(),
        };
        open.connections.insert(id, connection);
        drop(open);
        Ok(ClientPermit { limit: Arc::clone(self), id, evicted, requests })
    }

    fn refusal(&self, user: Option<u32>) -> RpcError {
        let sentence = match user {
            Some(user) => format!(
                "the control socket serves {} connections of user {user} at a time, and all of them are busy",
                self.max_of_user
            ),
            None => format!(
                "the control socket serves {} connections at a time, and all of them are busy",
                self.max
            ),
        };
        RpcError::new(ErrorKind::TooManyConnections, sentence)
            .hint("end programs that follow events or logs or that wait, or try again later")
    }
}

impl OpenConnections {
    /// Evicts the connection that has been idle the longest, of those that `may_evict` allows.
    fn evict_idle(&mut self, may_evict: impl Fn(&CountedClient) -> bool) -> Option<()> {
        let idle = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.requests.is_empty() && may_evict(connection));
        let id = *idle.min_by_key(|(_, connection)| connection.active)?.0;
        self.connections.remove(&id)?.evicted.cancel();
        Some(())
    }
}

impl ClientPermit {
    /// Notes that the client sent a line.
    pub(super) fn mark_active(&self) {
        if let Some(connection) = self.limit.open.lock().connections.get_mut(&self.id) {
            connection.active = Instant::now();
        }
    }
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        self.limit.open.lock().connections.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_idlest_makes_room_and_the_busy_stay() {
        let limit = ConnectionLimit::new(4);
        let first = limit.acquire(Some(1)).unwrap();
        let second = limit.acquire(Some(1)).unwrap();
        first.mark_active();
        let third = limit.acquire(Some(1)).unwrap();
        assert!(second.evicted.is_cancelled() && !first.evicted.is_cancelled());
        drop(second);
        for permit in [&first, &third] {
            permit.requests.spawn(std::future::pending::<()>());
        }
        let refused = limit.acquire(Some(1)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TooManyConnections);
        assert!(refused.message.contains("2 connections of user 1"), "{refused}");
        // Others have room still, until all of it is taken.
        let others = [limit.acquire(Some(2)).unwrap(), limit.acquire(Some(3)).unwrap()];
        for permit in &others {
            permit.requests.spawn(std::future::pending::<()>());
        }
        assert!(limit.acquire(Some(4)).unwrap_err().message.contains("4 connections at a time"));
        drop(first);
        limit.acquire(Some(4)).unwrap();
    }
}
