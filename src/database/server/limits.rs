//! What may be asked of servers, for the whole process.

use std::time::Duration;

use parking_lot::RwLock;

/// What may be asked of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections to one server at the most; `None` for what it allows, less a reserve, at most 64.
    pub connections: Option<u32>,
    /// How long a server may take to answer a statement.
    pub statement_timeout: Duration,
    /// How long a connection stays open unused.
    pub idle_timeout: Duration,
}

impl ServerLimits {
    const USUAL: Self = Self {
        connections: None,
        statement_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(30),
    };
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self::USUAL
    }
}

static LIMITS: RwLock<ServerLimits> = RwLock::new(ServerLimits::USUAL);

/// Sets what this process may ask of servers; the number of connections, of those that nobody has
/// asked yet.
pub fn set_limits(limits: ServerLimits) {
    *LIMITS.write() = limits;
}

pub(super) fn limits() -> ServerLimits {
    *LIMITS.read()
}
