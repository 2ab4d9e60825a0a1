//! The connection pool of a server. Connections are leased for a statement or a transaction.
//!
//! All databases of a server share its pool: the connections in use count against its size, and idle ones use
//! at most the rest. Who may lease a connection is settled before (`fairness.rs`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::fairness::Gate;
use super::limits::limits;
use super::{CONNECT_TIMEOUT, Connection, Server, ServerDatabase};
use crate::database::DatabaseError;
use crate::database::descriptors::max_server_connections;

/// The limit on connections to one server, whatever it allows.
const MAX_CONNECTIONS: u32 = 64;
/// The limit on connections to one database, however many schemas are in it.
const MAX_CONNECTIONS_TO_DATABASE: u32 = 16;
/// One in this many of the connections that the server allows is left to others, at least [`MIN_RESERVE`].
const RESERVED_SHARE: u32 = 10;
const MIN_RESERVE: u32 = 3;
/// How often idle connections are checked within their timeout.
const IDLE_CHECKS: u32 = 6;
/// How long connecting is retried while the server has no connection left, and at which interval.
const FULL_TIMEOUT: Duration = Duration::from_secs(3);
const FULL_RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait for connections that are being closed before their slots are used.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Identifies a server, by whichever of its names. A process with several async runtimes has a pool for each
/// of them, since a connection ends with the runtime that drives it.
#[derive(PartialEq, Eq)]
struct PoolKey {
    machine: String,
    port: u16,
    runtime: tokio::runtime::Id,
}

/// The pools of an engine's servers that are in use.
pub(in crate::database) struct ServerPools<C: 'static>(Mutex<Vec<(PoolKey, Weak<ServerPool<C>>)>>);

impl<C: Connection> ServerPools<C> {
    pub(in crate::database) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Returns the pool of a server, without connecting.
    pub(super) fn get(&self, server: &Server) -> Arc<ServerPool<C>> {
        let runtime = tokio::runtime::Handle::current().id();
        let key = PoolKey { machine: server.machine(), port: server.port, runtime };
        let mut known = self.0.lock();
        if let Some(pool) = known.iter().find(|(known, _)| *known == key).and_then(|(_, pool)| pool.upgrade())
        {
            return pool;
        }
        known.retain(|(_, pool)| pool.strong_count() > 0);
        let pool = Arc::new(ServerPool::new());
        known.push((key, Arc::downgrade(&pool)));
        tokio::spawn(enforce_idle_timeout(Arc::downgrade(&pool)));
        pool
    }
}

/// Closes connections at their idle timeout, as long as the pool exists.
async fn enforce_idle_timeout<C: Connection>(pool: Weak<ServerPool<C>>) {
    loop {
        let timeout = limits().idle_timeout;
        tokio::time::sleep(timeout / IDLE_CHECKS).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.retain_idle(|idle| idle.since.elapsed() < timeout);
    }
}

/// The application that a connection is for. Errors name its schema; connections are per database.
pub(super) struct Tenant {
    pub(super) at: ServerDatabase,
    /// The database without the schema, which connections belong to.
    pub(super) database: Arc<ServerDatabase>,
    /// The statement timeout in milliseconds; 0 for that of all servers.
    pub(super) statement_timeout_ms: AtomicU64,
}

impl Tenant {
    /// The statement timeout.
    pub(super) fn statement_timeout(&self) -> Duration {
        match self.statement_timeout_ms.load(Ordering::Relaxed) {
            0 => limits().statement_timeout,
            time => Duration::from_millis(time),
        }
    }
}

/// How many connections a server allows.
#[derive(Debug, Clone, Copy)]
pub(in crate::database) struct Allowance {
    /// To all users who are not superusers.
    pub server: u32,
    /// To this user, if that is limited.
    pub user: Option<u32>,
}

/// The connection pool of one server.
pub(super) struct ServerPool<C> {
    all: Arc<Gate>,
    /// By user name: a server may allow one user less than the others.
    users: Mutex<Vec<(String, Arc<Gate>)>>,
    /// The idle connections, the least recently used first.
    idle: Mutex<VecDeque<IdleConnection<C>>>,
    /// By database.
    databases: Mutex<Vec<(Arc<ServerDatabase>, Weak<Gate>)>>,
    /// Held while the server is asked for its limits.
    fetching_limits: tokio::sync::Mutex<()>,
    closing: Arc<Closing>,
}

/// Connections that are being closed: the server counts them until it has released them.
#[derive(Default)]
struct Closing {
    count: AtomicUsize,
    ended: Notify,
}

/// One connection being closed, until drop.
struct ClosingGuard(Arc<Closing>);

impl Drop for ClosingGuard {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify_waiters();
    }
}

struct IdleConnection<C> {
    at: Arc<ServerDatabase>,
    connection: C,
    since: Instant,
}

impl<C: Connection> ServerPool<C> {
    /// Creates a pool that nobody else finds, and whose idle connections have no timeout.
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Gate::of_unknown_size()),
            users: Mutex::default(),
            idle: Mutex::default(),
            databases: Mutex::default(),
            fetching_limits: tokio::sync::Mutex::default(),
            closing: Arc::default(),
        }
    }

    /// The gates that a connection to a database has to pass: the database's, the user's and the server's.
    pub(super) fn gates(&self, at: &Arc<ServerDatabase>) -> [Arc<Gate>; 3] {
        [self.database(at), self.user(&at.server.user), Arc::clone(&self.all)]
    }

    fn database(&self, at: &Arc<ServerDatabase>) -> Arc<Gate> {
        let mut databases = self.databases.lock();
        if let Some(gate) =
            databases.iter().find(|(known, _)| known == at).and_then(|(_, gate)| gate.upgrade())
        {
            return gate;
        }
        databases.retain(|(_, gate)| gate.strong_count() > 0);
        let gate = Arc::new(Gate::of_size(MAX_CONNECTIONS_TO_DATABASE));
        databases.push((Arc::clone(at), Arc::downgrade(&gate)));
        gate
    }

    fn user(&self, name: &str) -> Arc<Gate> {
        let mut users = self.users.lock();
        if let Some((_, gate)) = users.iter().find(|(known, _)| known == name) {
            return Arc::clone(gate);
        }
        let gate = Arc::new(Gate::of_unknown_size());
        users.push((name.to_owned(), Arc::clone(&gate)));
        gate
    }

    /// Leases a connection to a database, to a caller that has passed its gates.
    pub(super) async fn acquire(&self, at: &Arc<ServerDatabase>) -> Result<C, DatabaseError> {
        while let Some(mut idle) = self.take_idle(at) {
            if idle.connection.is_usable(idle.since.elapsed()).await {
                return Ok(idle.connection);
            }
        }
        let user = self.user(&at.server.user);
        let mut connection = match self.switch_idle(at, &user).await {
            Some(connection) => connection,
            None => {
                self.make_room(&at.server.user, &user);
                self.wait_for_room().await;
                self.connect(at).await?
            }
        };
        if !user.is_sized() {
            self.fetch_limits(&mut connection, at, &user).await?;
        }
        Ok(connection)
    }

    /// Takes back a connection that can be leased again.
    pub(super) fn release(&self, at: &Arc<ServerDatabase>, connection: C) {
        self.idle.lock().push_back(IdleConnection { at: Arc::clone(at), connection, since: Instant::now() });
    }

    /// Closes a database's idle connections.
    pub(super) fn close_idle_of(&self, at: &ServerDatabase) {
        self.retain_idle(|idle| *idle.at != *at);
    }

    /// Closes all idle connections: the server went away, and these with it.
    pub(super) fn close_all_idle(&self) {
        self.retain_idle(|_| false);
    }

    fn retain_idle(&self, keep: impl Fn(&IdleConnection<C>) -> bool) {
        let mut closed = Vec::new();
        let mut all = self.idle.lock();
        for idle in std::mem::take(&mut *all) {
            if keep(&idle) {
                all.push_back(idle);
            } else {
                closed.push(idle);
            }
        }
        drop(all);
        self.close(closed);
    }

    /// Closes connections in the background; they count until the server has released them.
    fn close(&self, connections: Vec<IdleConnection<C>>) {
        // Without a runtime, they end with the process.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for idle in connections {
            self.closing.count.fetch_add(1, Ordering::SeqCst);
            let guard = ClosingGuard(Arc::clone(&self.closing));
            runtime.spawn(async move {
                idle.connection.close().await;
                drop(guard);
            });
        }
    }

    /// Waits until the connections being closed leave a slot for a caller that has passed the gates.
    async fn wait_for_room(&self) {
        let made = async {
            loop {
                let ended = self.closing.ended.notified();
                let mut ended = std::pin::pin!(ended);
                ended.as_mut().enable();
                let closing = self.closing.count.load(Ordering::SeqCst);
                if closing == 0 || self.idle.lock().len() + closing <= self.all.free() {
                    return;
                }
                ended.await;
            }
        };
        // If that takes too long, the server reports that it is full, and connecting is retried.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, made).await;
    }

    fn take_idle(&self, at: &ServerDatabase) -> Option<IdleConnection<C>> {
        let mut idle = self.idle.lock();
        // The most recently used is the likeliest to be alive.
        let position = idle.iter().rposition(|idle| *idle.at == *at)?;
        idle.remove(position)
    }

    /// Switches an idle connection of another database to this one if the limits leave no room for another.
    /// Closing it instead would not help: the server counts a connection until it has released it, and does
    /// not say when.
    async fn switch_idle(&self, at: &ServerDatabase, user: &Gate) -> Option<C> {
        let mut idle = self.take_switchable(at, user)?;
        let switched = tokio::time::timeout(CONNECT_TIMEOUT, idle.connection.switch_to(at)).await;
        if let Ok(Ok(())) = switched {
            return Some(idle.connection);
        }
        // Connecting anew reports what is wrong, if it is more than this connection.
        self.close(vec![idle]);
        None
    }

    /// Takes the least recently used idle connection that can switch to a database, if the server's and the
    /// user's limits leave no room for another.
    fn take_switchable(&self, at: &ServerDatabase, user: &Gate) -> Option<IdleConnection<C>> {
        if !C::CAN_SWITCH {
            return None;
        }
        let (server, mut idle) = (&at.server, self.idle.lock());
        let of_user = idle.iter().filter(|idle| idle.at.server.user == server.user).count();
        let is_for_user = of_user > user.free();
        if !is_for_user && idle.len() <= self.all.free() {
            return None;
        }
        let position = idle.iter().position(|idle| {
            let found = &idle.at.server;
            (found.user == server.user || !is_for_user)
                && found.host == server.host
                && found.port == server.port
                && found.tls == server.tls
        })?;
        idle.remove(position)
    }

    /// Closes the least recently used connections until another fits within the server's and the user's
    /// limits.
    fn make_room(&self, user: &str, gate: &Gate) {
        let mut closed = Vec::new();
        let mut idle = self.idle.lock();
        while idle.iter().filter(|idle| idle.at.server.user == user).count() > gate.free() {
            let first = idle.iter().position(|idle| idle.at.server.user == user);
            closed.extend(first.and_then(|first| idle.remove(first)));
        }
        while idle.len() > self.all.free() {
            closed.extend(idle.pop_front());
        }
        drop(idle);
        self.close(closed);
    }

    async fn connect(&self, at: &ServerDatabase) -> Result<C, DatabaseError> {
        let began = Instant::now();
        loop {
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, C::connect(at)).await;
            let failed = match connected {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => C::describe(at, &error),
                Err(_) => {
                    return Err(DatabaseError::Unreachable(format!(
                        "cannot reach {at}: the server did not answer in {} s",
                        CONNECT_TIMEOUT.as_secs()
                    )));
                }
            };
            // Other clients use up the connections: closing an idle one of ours makes room, or one of theirs
            // may end.
            if !matches!(failed, DatabaseError::Full(_)) || began.elapsed() > FULL_TIMEOUT {
                return Err(failed);
            }
            let unused = self.idle.lock().pop_front();
            self.close(unused.into_iter().collect());
            tokio::time::sleep(FULL_RETRY_INTERVAL).await;
        }
    }

    async fn fetch_limits(
        &self,
        connection: &mut C,
        at: &ServerDatabase,
        user: &Gate,
    ) -> Result<(), DatabaseError> {
        let _guard = self.fetching_limits.lock().await;
        if user.is_sized() {
            return Ok(());
        }
        let allowance = connection.allowance().await.map_err(|error| C::describe(at, &error))?;
        let all = max_pool_size(allowance.server, limits().connections).min(max_server_connections());
        if !self.all.is_sized() {
            self.all.set_size(all);
        }
        // One connection is left to other clients of this user.
        user.set_size(allowance.user.map_or(all, |most| most.saturating_sub(1).clamp(1, all)));
        tracing::debug!(server = %at.server, ?allowance, max_connections = all, "the server told its connection limits");
        Ok(())
    }
}

/// The size of the pool for a server that allows this many connections.
fn max_pool_size(allowance: u32, configured: Option<u32>) -> u32 {
    let reserve = (allowance / RESERVED_SHARE).max(MIN_RESERVE);
    allowance.saturating_sub(reserve).min(configured.unwrap_or(MAX_CONNECTIONS)).max(1)
}

#[cfg(test)]
mod tests {
    use super::max_pool_size;

    #[test]
    fn a_pool_leaves_connections_to_others() {
        for (allowance, configured, size) in [
            (97, None, 64),
            (27, None, 24),
            (97, Some(10), 10),
            (500, Some(200), 200),
            (27, Some(200), 24),
            (3, None, 1),
            (0, None, 1),
        ] {
            assert_eq!(max_pool_size(allowance, configured), size, "{allowance} allowed");
        }
    }
}
