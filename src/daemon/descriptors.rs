//! How the file descriptors of the process are shared out.
//!
//! The limit is raised as far as the system allows and read once. The control socket, the main
//! application and the daemon's own files get theirs first, so that an operator can always look and
//! stop something; the rest is for the connections of browsers and for databases.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::error::StartupError;

/// What the daemon needs at least: with fewer it would start, and no application would answer.
const MIN_LIMIT: usize = 64;

/// Of the daemon itself: standard streams, sockets that listen, locks, the runtime, directories that
/// are open for a moment.
const OWN: usize = 28;

/// Of the main application: what its connections to a database file have open.
const MAIN: usize = 12;

/// Of this many descriptors, one is for the control socket.
const CONTROL_PART: usize = 16;
const MIN_CONTROL: usize = 8;
const MAX_CONTROL: usize = 512;

/// Of this many, one is for log files.
const LOG_PART: usize = 16;
const MIN_LOGS: usize = 4;
const MAX_LOGS: usize = 64;

/// Where a system names no limit.
const UNLIMITED: usize = 1 << 20;

/// So many descriptors for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// The process's limit.
    pub(super) limit: usize,
    /// Connections to the control socket.
    pub(super) control: usize,
    /// Log files.
    pub(super) logs: usize,
    /// Connections of browsers and other clients of HTTP.
    pub(super) http: usize,
    /// Database files other than the main application's, and what else comes and goes.
    pub(super) databases: usize,
}

impl Shares {
    /// Raises the limit to what the process may have, and shares it out; at most `max_http`
    /// descriptors are for HTTP.
    pub(super) fn raise(max_http: usize) -> Self {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.map_or(UNLIMITED, |limit| usize::try_from(limit).unwrap_or(UNLIMITED));
        Self::of(limit, max_http)
    }

    /// Whether the daemon can work with so many.
    ///
    /// # Errors
    /// Says how many there are, and how many it takes.
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

    fn of(limit: usize, max_http: usize) -> Self {
        let control = (limit / CONTROL_PART).clamp(MIN_CONTROL, MAX_CONTROL);
        let logs = (limit / LOG_PART).clamp(MIN_LOGS, MAX_LOGS);
        let rest = limit.saturating_sub(OWN + MAIN + control + logs);
        let http = (rest / 2).min(max_http).max(1);
        Self { limit, control, logs, http, databases: rest.saturating_sub(http) }
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
}
