//! The connections to a server, lent to whoever needs one for a statement or a transaction.
//!
//! A server has one budget for all of its databases: a connection in use holds a part of it, and
//! idle ones fill at most what is left. Who may have one is settled before (`fairness.rs`).

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
use crate::database::descriptors::most_on_server;

/// Connections to one server at the most, whatever it allows.
const MOST: u32 = 64;
/// Connections to one of its databases at the most, however many schemas are in it.
const MOST_IN_DATABASE: u32 = 16;
/// Of what the server allows, one in this many is left to others, and at least [`LEAST_RESERVE`].
const RESERVE: u32 = 10;
const LEAST_RESERVE: u32 = 3;
/// In how many rounds an idle connection's time is over.
const ROUNDS: u32 = 6;
/// How long a server that is full is asked again, and how often.
const FULL: Duration = Duration::from_secs(3);
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// How long connections that are being closed are waited for by whoever needs their places.
const CLOSING: Duration = Duration::from_secs(2);

/// One server, however it is reached; in a process with several runtimes, one for each of them,
/// since a connection ends with the runtime that drives it.
#[derive(PartialEq, Eq)]
struct Key {
    machine: String,
    port: u16,
    runtime: tokio::runtime::Id,
}

/// The servers of an engine that somebody here uses.
pub(in crate::database) struct Servers<C: 'static>(Mutex<Vec<(Key, Weak<Budget<C>>)>>);

impl<C: Connection> Servers<C> {
    pub(in crate::database) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The budget of a server; nothing is connected yet.
    pub(super) fn budget(&self, server: &Server) -> Arc<Budget<C>> {
        let runtime = tokio::runtime::Handle::current().id();
        let key = Key { machine: server.machine(), port: server.port, runtime };
        let mut known = self.0.lock();
        if let Some(budget) =
            known.iter().find(|(known, _)| *known == key).and_then(|(_, budget)| budget.upgrade())
        {
            return budget;
        }
        known.retain(|(_, budget)| budget.strong_count() > 0);
        let budget = Arc::new(Budget::new());
        known.push((key, Arc::downgrade(&budget)));
        tokio::spawn(close_idle(Arc::downgrade(&budget)));
        budget
    }
}

/// Closes what nobody has used for a while, as long as somebody has the server.
async fn close_idle<C: Connection>(budget: Weak<Budget<C>>) {
    loop {
        let timeout = limits().idle_timeout;
        tokio::time::sleep(timeout / ROUNDS).await;
        let Some(budget) = budget.upgrade() else { return };
        budget.retain_idle(|idle| idle.since.elapsed() < timeout);
    }
}

/// Whose connection it is: what speaks of a place names its schema, what connects does not.
pub(super) struct Place {
    pub(super) at: ServerDatabase,
    /// The database that it is in: connections are for databases, not for schemas.
    pub(super) around: Arc<ServerDatabase>,
    /// How long a statement may take, in milliseconds; 0 for what holds for all servers.
    pub(super) statement_ms: AtomicU64,
}

impl Place {
    /// How long a statement may take.
    pub(super) fn statement_time(&self) -> Duration {
        match self.statement_ms.load(Ordering::Relaxed) {
            0 => limits().statement_timeout,
            time => Duration::from_millis(time),
        }
    }
}

/// How many connections a server allows.
#[derive(Debug, Clone, Copy)]
pub(in crate::database) struct Allowance {
    /// To all who are no superusers.
    pub server: u32,
    /// To this user, where that is limited.
    pub user: Option<u32>,
}

/// The connections to one server.
pub(super) struct Budget<C> {
    all: Arc<Gate>,
    /// Of each user, by name: a server may allow one less than the others.
    users: Mutex<Vec<(String, Arc<Gate>)>>,
    /// Those that nobody uses, the longest unused first.
    idle: Mutex<VecDeque<Idle<C>>>,
    /// Of each database.
    databases: Mutex<Vec<(Arc<ServerDatabase>, Weak<Gate>)>>,
    /// Taken by whoever asks the server for its limit.
    asking: tokio::sync::Mutex<()>,
    closing: Arc<Closing>,
}

/// Connections that are being closed: the server counts them until it has let them go.
#[derive(Default)]
struct Closing {
    count: AtomicUsize,
    ended: Notify,
}

/// One of them, until this is dropped.
struct Closed(Arc<Closing>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify_waiters();
    }
}

struct Idle<C> {
    at: Arc<ServerDatabase>,
    connection: C,
    since: Instant,
}

impl<C: Connection> Budget<C> {
    fn new() -> Self {
        Self {
            all: Arc::new(Gate::of_unknown_size()),
            users: Mutex::default(),
            idle: Mutex::default(),
            databases: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            closing: Arc::default(),
        }
    }

    /// What a connection to a database has to pass: the gates of all who are in it, of all that the
    /// server knows as its user, and of all.
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
        let gate = Arc::new(Gate::of_size(MOST_IN_DATABASE));
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

    /// Lends a connection to a database, to somebody who has passed its gates.
    pub(super) async fn lend(&self, at: &Arc<ServerDatabase>) -> Result<C, DatabaseError> {
        while let Some(mut idle) = self.take_idle(at) {
            if idle.connection.is_usable(idle.since.elapsed()).await {
                return Ok(idle.connection);
            }
        }
        let user = self.user(&at.server.user);
        let mut connection = match self.moved(at, &user).await {
            Some(connection) => connection,
            None => {
                self.make_room(&at.server.user, &user);
                self.room().await;
                self.connect(at).await?
            }
        };
        if !user.is_sized() {
            self.ask_for_limits(&mut connection, at, &user).await?;
        }
        Ok(connection)
    }

    /// Takes a connection back that can be lent again.
    pub(super) fn take_back(&self, at: &Arc<ServerDatabase>, connection: C) {
        self.idle.lock().push_back(Idle { at: Arc::clone(at), connection, since: Instant::now() });
    }

    /// Closes what is unused of a database.
    pub(super) fn forget(&self, at: &ServerDatabase) {
        self.retain_idle(|idle| *idle.at != *at);
    }

    /// Closes all that is unused: the server went away, and these went with it.
    pub(super) fn forget_all(&self) {
        self.retain_idle(|_| false);
    }

    fn retain_idle(&self, keep: impl Fn(&Idle<C>) -> bool) {
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

    /// Closes connections beside what goes on; they count until the server has let them go.
    fn close(&self, connections: Vec<Idle<C>>) {
        // Without a runtime they end with the process.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for idle in connections {
            self.closing.count.fetch_add(1, Ordering::SeqCst);
            let counted = Closed(Arc::clone(&self.closing));
            runtime.spawn(async move {
                idle.connection.close().await;
                drop(counted);
            });
        }
    }

    /// Waits until those that are being closed leave a place to whoever has passed the gates.
    async fn room(&self) {
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
        // Else the server says that it is full, and is asked again.
        let _ = tokio::time::timeout(CLOSING, made).await;
    }

    fn take_idle(&self, at: &ServerDatabase) -> Option<Idle<C>> {
        let mut idle = self.idle.lock();
        // The last used is the likeliest to be alive.
        let place = idle.iter().rposition(|idle| *idle.at == *at)?;
        idle.remove(place)
    }

    /// A connection of another database that has come over to this one, where there is no room for one
    /// more: the server counts one that is closed until it has let it go, and does not say when.
    async fn moved(&self, at: &ServerDatabase, user: &Gate) -> Option<C> {
        let mut idle = self.take_movable(at, user)?;
        let moved = tokio::time::timeout(CONNECT_TIMEOUT, idle.connection.move_to(at)).await;
        if let Ok(Ok(())) = moved {
            return Some(idle.connection);
        }
        // Connecting says what is wrong, where it is more than this connection.
        self.close(vec![idle]);
        None
    }

    /// The longest unused of those that can go over to a database, where there is no room for one more
    /// within the server's and the user's limits.
    fn take_movable(&self, at: &ServerDatabase, user: &Gate) -> Option<Idle<C>> {
        if !C::MOVES {
            return None;
        }
        let (server, mut idle) = (&at.server, self.idle.lock());
        let of_user = idle.iter().filter(|idle| idle.at.server.user == server.user).count();
        let is_for_user = of_user > user.free();
        if !is_for_user && idle.len() <= self.all.free() {
            return None;
        }
        let place = idle.iter().position(|idle| {
            let found = &idle.at.server;
            (found.user == server.user || !is_for_user)
                && found.host == server.host
                && found.port == server.port
                && found.tls == server.tls
        })?;
        idle.remove(place)
    }

    /// Closes the longest unused until one more can be opened within the server's and the user's
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
            // Others have taken them: what is unused here makes room, or one of them may end.
            if !matches!(failed, DatabaseError::Full(_)) || began.elapsed() > FULL {
                return Err(failed);
            }
            let unused = self.idle.lock().pop_front();
            self.close(unused.into_iter().collect());
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }

    async fn ask_for_limits(
        &self,
        connection: &mut C,
        at: &ServerDatabase,
        user: &Gate,
    ) -> Result<(), DatabaseError> {
        let _asking = self.asking.lock().await;
        if user.is_sized() {
            return Ok(());
        }
        let allowed = connection.allowance().await.map_err(|error| C::describe(at, &error))?;
        let all = size(allowed.server, limits().connections).min(most_on_server());
        if !self.all.is_sized() {
            self.all.set_size(all);
        }
        // One stays with whoever else is this user.
        user.set_size(allowed.user.map_or(all, |most| most.saturating_sub(1).clamp(1, all)));
        tracing::debug!(server = %at.server, ?allowed, budget = all, "the server's connections are counted");
        Ok(())
    }
}

/// The budget of a server that allows so many connections.
fn size(allowed: u32, configured: Option<u32>) -> u32 {
    let reserve = (allowed / RESERVE).max(LEAST_RESERVE);
    allowed.saturating_sub(reserve).min(configured.unwrap_or(MOST)).max(1)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_budget_leaves_connections_to_others() {
        for (allowed, configured, budget) in [
            (97, None, 64),
            (27, None, 24),
            (97, Some(10), 10),
            (500, Some(200), 200),
            (27, Some(200), 24),
            (3, None, 1),
            (0, None, 1),
        ] {
            assert_eq!(size(allowed, configured), budget, "{allowed} allowed");
        }
    }
}
