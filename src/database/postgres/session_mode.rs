//! Finds out whether a connection has a server session of its own, or a pooler (such as PgBouncer) assigns
//! another session to each transaction. In the latter case session state is unreliable: a prepared statement,
//! for example, may be gone at the next statement, or be somebody else's.
//!
//! A connection is direct if the server sees the same two addresses as this process. Otherwise two
//! connections alternate their transactions, so that a pooler that shares sessions is forced to swap them.
//!
//! With shared sessions, statements are unnamed, even if the pooler tracks prepared statements
//! (`max_prepared_statements`): each session learns of changed column types in its own time, so that a value
//! could be written as one type and read as another.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use crate::database::Sessions;
use crate::database::server::ServerDatabase;

/// The timeout of the check. It is reached if a pooler has no second session to assign.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of alternations.
const ROUNDS: u32 = 4;

/// The two addresses of a TCP connection, as this process sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoints {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

/// The state that all connections to one database share while it is open.
#[derive(Debug, Default)]
pub(in crate::database) struct DatabaseState {
    /// 0 while unknown.
    sessions: AtomicU8,
    /// Counts the schema changes made here.
    schema_version: AtomicU64,
}

/// One database, by server, name and user: a pooler may treat each differently.
#[derive(PartialEq, Eq)]
struct DatabaseKey(String, u16, String, String);

impl DatabaseState {
    /// Returns the shared state of a database; the schema does not matter.
    pub(super) fn of(at: &ServerDatabase) -> Arc<Self> {
        static KNOWN: Mutex<Vec<(DatabaseKey, Weak<DatabaseState>)>> = Mutex::new(Vec::new());
        let server = &at.server;
        let key = DatabaseKey(server.machine(), server.port, at.name.clone(), server.user.clone());
        let mut known = KNOWN.lock();
        if let Some(shared) = known.iter().find(|(known, _)| *known == key).and_then(|(_, one)| one.upgrade())
        {
            return shared;
        }
        known.retain(|(_, shared)| shared.strong_count() > 0);
        let shared = Arc::new(Self::default());
        known.push((key, Arc::downgrade(&shared)));
        shared
    }

    pub(super) fn sessions(&self) -> Option<Sessions> {
        match self.sessions.load(Ordering::Relaxed) {
            1 => Some(Sessions::Own),
            2 => Some(Sessions::Shared),
            _ => None,
        }
    }

    pub(super) fn set_sessions(&self, sessions: Sessions) {
        let number = match sessions {
            Sessions::Own => 1,
            Sessions::Shared => 2,
        };
        self.sessions.store(number, Ordering::Relaxed);
    }

    /// A number that grows with each schema change. Statements prepared before may refer to columns that are
    /// gone or have another type.
    pub(super) fn schema_version(&self) -> u64 {
        self.schema_version.load(Ordering::SeqCst)
    }

    pub(super) fn note_schema_change(&self) {
        self.schema_version.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs an unnamed statement and returns its rows as texts.
pub(super) async fn texts(client: &Client, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
    let answers = client.simple_query(sql).await?;
    let rows = answers.into_iter().filter_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
        }
        _ => None,
    });
    Ok(rows.collect())
}

/// Whether a connection is direct: both sides see the same addresses.
pub(super) async fn is_direct(client: &Client, ends: Endpoints) -> bool {
    let query = "SELECT host(inet_client_addr()), inet_client_port(), host(inet_server_addr()), \
                    inet_server_port()";
    // Other servers with PostgreSQL's protocol may not know these functions.
    let Ok(rows) = texts(client, query).await else { return false };
    let Some([Some(client), Some(client_port), Some(server), Some(server_port)]) =
        rows.first().map(Vec::as_slice)
    else {
        return false;
    };
    is_endpoint(ends.local, client, client_port) && is_endpoint(ends.remote, server, server_port)
}

fn is_endpoint(end: SocketAddr, address: &str, port: &str) -> bool {
    let address = address.parse::<IpAddr>().map(|address| address.to_canonical());
    address == Ok(end.ip().to_canonical()) && port.parse() == Ok(end.port())
}

/// Checks with a second connection to the same database. If there is none, or the check fails or times out,
/// the answer is [`Sessions::Shared`], which is always safe.
pub(super) async fn by_alternation(one: &Client, other: impl Future<Output = Option<Client>>) -> Sessions {
    let keeps = async { keeps_its_session(one, &other.await?).await.ok() };
    match tokio::time::timeout(CHECK_TIMEOUT, keeps).await {
        Ok(Some(true)) => Sessions::Own,
        Ok(Some(false) | None) | Err(_) => Sessions::Shared,
    }
}

/// Whether the first connection keeps its session throughout, and the second never gets that one.
async fn keeps_its_session(one: &Client, other: &Client) -> Result<bool, Error> {
    let session = async |client: &Client| texts(client, "SELECT pg_backend_pid()").await;
    let own = session(one).await?;
    for round in 0..ROUNDS {
        other.batch_execute("BEGIN").await?;
        let is_kept = session(other).await? != own;
        one.batch_execute("BEGIN").await?;
        let is_kept = is_kept && session(one).await? == own;
        // The session released first or last is reassigned next, depending on the pooler: tries both orders.
        let order = if round % 2 == 0 { [one, other] } else { [other, one] };
        for client in order {
            client.batch_execute("COMMIT").await?;
        }
        if !is_kept || session(one).await? != own {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_equal_in_every_notation() {
        let end: SocketAddr = "[::ffff:127.0.0.1]:5432".parse().unwrap();
        assert!(is_endpoint(end, "127.0.0.1", "5432"));
        for (address, port) in [("127.0.0.1", "5433"), ("10.0.0.1", "5432"), ("", "5432"), ("127.0.0.1", "")]
        {
            assert!(!is_endpoint(end, address, port), "{address} {port}");
        }
    }
}
