//! The limits on the use of servers, for the whole process.

use std::time::Duration;

use parking_lot::RwLock;

/// The limits on the use of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// The limit on connections to one server; `None` for what it allows, less a reserve, at most 64.
    pub connections: Option<u32>,
    /// The timeout of a statement.
    pub statement_timeout: Duration,
    /// The idle timeout of a connection.
    pub idle_timeout: Duration,
}

impl ServerLimits {
    const DEFAULT: Self = Self {
        connections: None,
        statement_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(30),
    };
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

static LIMITS: RwLock<ServerLimits> = RwLock::new(ServerLimits::DEFAULT);

/// Sets the limits for this process. The number of connections applies to servers not yet connected to.
pub fn set_limits(limits: ServerLimits) {
    *LIMITS.write() = limits;
}

pub(super) fn limits() -> ServerLimits {
    *LIMITS.read()
}
