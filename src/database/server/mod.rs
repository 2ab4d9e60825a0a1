//! Databases on servers: where they are, and what engines with servers have in common. That is the connection
//! pool (`pool.rs`), statements and transactions on leased connections, pipelined short reads (`pipeline.rs`)
//! and counts that run once for all who wait for them (`single_flight.rs`). An engine adds its
//! [`Connection`].

mod address;
mod connection;
mod fairness;
mod handle;
mod lease;
mod limits;
mod marks;
mod pipeline;
mod pool;
mod short_statements;
mod single_flight;
mod transaction;

use std::time::Duration;

pub use address::{InvalidUrl, Server, ServerDatabase, Tls};
pub(super) use connection::{Connection, Pipelining};
pub(super) use handle::DatabaseHandle;
pub use limits::{ServerLimits, set_limits};
pub(super) use marks::{mark, marked_rows};
pub(super) use pool::{Allowance, ServerPools};
pub(super) use transaction::ServerTransaction;

/// The timeout for connecting to a server.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout for acquiring a connection, and for waiting on a lock that others hold.
pub(super) const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout for a terminated session without a client to end, and the interval at which it is checked.
pub(super) const SESSION_END_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const SESSION_END_POLL: Duration = Duration::from_millis(50);
/// The timeout for DDL, and for creating or dropping a database.
const DDL_TIMEOUT: Duration = Duration::from_secs(600);
/// The timeout for streaming rows, whose pace the reader sets.
const STREAM_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Whether a connection has a server session of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// It has: session state lasts from one statement to the next.
    Own,
    /// It has not: a pooler assigns a session to each transaction.
    Shared,
}
