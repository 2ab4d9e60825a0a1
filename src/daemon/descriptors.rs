//! Divides the file descriptors of the process.
//!
//! The limit is raised as far as the system allows. The control socket, the main application and the daemon's
//! own files get their shares first, so that an operator can always use the daemon; the rest is for HTTP
//! connections and for databases.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::error::StartupError;
use crate::control::MAX_METRICS_CONNECTIONS;
use crate::doctor::Descriptors;

/// The fewest descriptors that the daemon starts with: with fewer, no application could answer.
const MIN_LIMIT: usize = 64;

/// Descriptors of the daemon itself: standard streams, listening sockets, locks, the runtime, directories that are
/// open briefly, and connections that read the metrics.
const OWN: usize = 28 + MAX_METRICS_CONNECTIONS;

/// Descriptors of the main application: its connections to a database file.
const MAIN: usize = 12;

/// One in this many descriptors is for the control socket.
const CONTROL_PART: usize = 16;
const MIN_CONTROL: usize = 8;
const MAX_CONTROL: usize = 512;

/// One in this many is for log files.
const LOG_PART: usize = 16;
const MIN_LOGS: usize = 4;
const MAX_LOGS: usize = 64;

/// The limit to assume when the system has none.
const UNLIMITED: usize = 1 << 20;

/// The shares of the process's file descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// The process's limit.
    pub(super) limit: usize,
    /// Connections to the control socket.
    pub(super) control: usize,
    /// Log files.
    pub(super) logs: usize,
    /// HTTP connections.
    pub(super) http: usize,
    /// HTTP connections that are configured.
    pub(super) configured_http: usize,
    /// Databases other than the main application's, and short-lived files.
    pub(super) databases: usize,
}

impl Shares {
    /// Raises the limit as far as the system allows, and divides it; at most `max_http` descriptors are for
    /// HTTP.
    pub(super) fn raise(max_http: usize) -> Self {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.map_or(UNLIMITED, |limit| usize::try_from(limit).unwrap_or(UNLIMITED));
        Self::of(limit, max_http)
    }

    /// Checks that the limit is high enough.
    ///
    /// # Errors
    /// Names the limit and the fewest descriptors that the daemon needs.
    pub(super) fn check(&self) -> Result<(), StartupError> {
        if self.limit >= MIN_LIMIT {
            return Ok(());
        }
        let sentence = format!(
            "this process may have {} open files, which are too few: the daemon needs {MIN_LIMIT} at least",
            self.limit
        );
        Err(StartupError::new(sentence, "raise the limit: ulimit -n 1024, or LimitNOFILE=1024 in its unit"))
    }

    /// Describes the limit for the checks of the host.
    pub(super) fn described(&self) -> Descriptors {
        Descriptors {
            limit: self.limit,
            minimum: MIN_LIMIT,
            configured: self.configured_http,
            possible: self.http,
            needed: OWN + MAIN + MAX_CONTROL + MAX_LOGS + 2 * self.configured_http,
        }
    }

    fn of(limit: usize, max_http: usize) -> Self {
        let control = (limit / CONTROL_PART).clamp(MIN_CONTROL, MAX_CONTROL);
        let logs = (limit / LOG_PART).clamp(MIN_LOGS, MAX_LOGS);
        let rest = limit.saturating_sub(OWN + MAIN + control + logs);
        let http = (rest / 2).min(max_http).max(1);
        Self { limit, control, logs, http, configured_http: max_http, databases: rest.saturating_sub(http) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_left_without() {
        for limit in [MIN_LIMIT, 128, 1024, 4096, 1 << 20] {
            let shares = Shares::of(limit, 10_000);
            let Shares { control, logs, http, databases, .. } = shares;
            assert!(OWN + MAIN + control + logs + http + databases <= limit.max(64), "{limit}: {shares:?}");
            assert!(control >= MIN_CONTROL && http >= 1, "{limit}: {shares:?}");
            assert!(limit < 128 || databases >= 32, "{limit}: {shares:?}");
            assert!(http <= 10_000, "{limit}: {shares:?}");
        }
    }

    #[test]
    fn the_limit_that_is_needed_leaves_room_for_all_connections() {
        for configured in [1, 100, 10_000] {
            let few = Shares::of(256, configured).described();
            assert_eq!(Shares::of(few.needed, configured).http, configured);
        }
    }
}
