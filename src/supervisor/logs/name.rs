//! Which log: an application's, its access log, or the daemon's.

use std::fmt;

use crate::protocol::{AppId, DAEMON_LOG_FILE};

/// A log, by what it is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogName {
    /// What the host logs about an application.
    Application(AppId),
    /// The requests to an application.
    Access(AppId),
    /// Everything that the host logs.
    Daemon,
}

impl LogName {
    /// The application that all of its lines are about.
    pub(super) fn app(&self) -> Option<&AppId> {
        match self {
            Self::Application(app) | Self::Access(app) => Some(app),
            Self::Daemon => None,
        }
    }

    /// The name of its file: the current one is 0, the one before it 1, and so on. No two logs share one: an
    /// ID has no dot, and begins with a letter.
    pub(super) fn file(&self, number: usize) -> String {
        let name = match self {
            Self::Application(app) => format!("{app}.log"),
            Self::Access(app) => format!("{app}.access.log"),
            Self::Daemon => DAEMON_LOG_FILE.to_owned(),
        };
        if number == 0 { name } else { format!("{name}.{number}") }
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application(app) => write!(f, "the log of \"{app}\""),
            Self::Access(app) => write!(f, "the access log of \"{app}\""),
            Self::Daemon => f.write_str("the daemon's log"),
        }
    }
}
