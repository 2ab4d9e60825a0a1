//! Whether a connection has a process of the server for itself, or a pooler (PgBouncer and what is like
//! it) gives it another one for each transaction: then what one statement leaves in its session, a
//! prepared statement for one, the next may not find there, or find what others left.
//!
//! A connection whose two ends are the same here and at the server leads straight there. Of others it is
//! tried: two connections take turns with their transactions, so that a pooler that shares processes
//! among them must change those that they have.
//!
//! Where processes are shared, statements go without names, also where the pooler keeps names apart
//! (`max_prepared_statements`): each process learns there in its own time what types a table's columns
//! have, and a value that is written in one type could be read in another.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use crate::database::Sessions;
use crate::database::server::ServerDatabase;

/// How long it may take to find out. Where a pooler has no second process to give, nothing comes.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often two connections take turns.
const ROUNDS: u32 = 4;

/// The two ends of a connection over TCP, as they are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) here: SocketAddr,
    pub(super) there: SocketAddr,
}

/// What all connections to one database have in common, as long as it is open here.
#[derive(Debug, Default)]
pub(in crate::database) struct Shared {
    /// 0 until it was found out.
    sessions: AtomicU8,
    /// Counts the changes of tables that were made here.
    changes: AtomicU64,
}

/// One database, by its server, its name and its user: a pooler may treat each in its own way.
#[derive(PartialEq, Eq)]
struct Key(String, u16, String, String);

impl Shared {
    /// Of a database; the schema does not matter.
    pub(super) fn of(at: &ServerDatabase) -> Arc<Self> {
        static KNOWN: Mutex<Vec<(Key, Weak<Shared>)>> = Mutex::new(Vec::new());
        let server = &at.server;
        let key = Key(server.machine(), server.port, at.name.clone(), server.user.clone());
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

    /// A number that is another one after each change of a table: what was prepared before it may be
    /// of columns that are not there any more, or of another type.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    pub(super) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
}

/// The rows that a statement without a name gives, as texts.
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

/// Whether a connection leads to the server itself: both sides see the same ends of it.
pub(super) async fn is_straight(client: &Client, ends: Ends) -> bool {
    let question = "SELECT host(inet_client_addr()), inet_client_port(), host(inet_server_addr()), \
                    inet_server_port()";
    // What speaks PostgreSQL's language without being it may not know the question.
    let Ok(rows) = texts(client, question).await else { return false };
    let Some([Some(client), Some(client_port), Some(server), Some(server_port)]) =
        rows.first().map(Vec::as_slice)
    else {
        return false;
    };
    is_end(ends.here, client, client_port) && is_end(ends.there, server, server_port)
}

fn is_end(end: SocketAddr, address: &str, port: &str) -> bool {
    let address = address.parse::<IpAddr>().map(|address| address.to_canonical());
    address == Ok(end.ip().to_canonical()) && port.parse() == Ok(end.port())
}

/// Finds out by a second connection to the same database; [`Sessions::Shared`], which is always right,
/// where there is none, or that does not succeed in time.
pub(super) async fn by_turns(one: &Client, other: impl Future<Output = Option<Client>>) -> Sessions {
    let keeps = async { keeps_its_process(one, &other.await?).await.ok() };
    match tokio::time::timeout(PATIENCE, keeps).await {
        Ok(Some(true)) => Sessions::Own,
        Ok(Some(false) | None) | Err(_) => Sessions::Shared,
    }
}

/// Whether the first connection has the same process of the server all the time, and the second never.
async fn keeps_its_process(one: &Client, other: &Client) -> Result<bool, Error> {
    let process = async |client: &Client| texts(client, "SELECT pg_backend_pid()").await;
    let own = process(one).await?;
    for round in 0..ROUNDS {
        other.batch_execute("BEGIN").await?;
        let is_kept = process(other).await? != own;
        one.batch_execute("BEGIN").await?;
        let is_kept = is_kept && process(one).await? == own;
        // Which of the two becomes free first decides which one is given next, the first or the last.
        let order = if round % 2 == 0 { [one, other] } else { [other, one] };
        for client in order {
            client.batch_execute("COMMIT").await?;
        }
        if !is_kept || process(one).await? != own {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_the_same_however_they_are_written() {
        let end: SocketAddr = "[::ffff:127.0.0.1]:5432".parse().unwrap();
        assert!(is_end(end, "127.0.0.1", "5432"));
        for (address, port) in [("127.0.0.1", "5433"), ("10.0.0.1", "5432"), ("", "5432"), ("127.0.0.1", "")]
        {
            assert!(!is_end(end, address, port), "{address} {port}");
        }
    }
}
