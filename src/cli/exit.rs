//! The exit codes of `nbapps`. Scripts rely on them: they never change.

use std::process::ExitCode;

use crate::protocol::ErrorKind;

/// The exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command succeeded.
    Done = 0,
    /// The command failed.
    Failed = 1,
    /// The command line, or a value in it, is invalid.
    Usage = 2,
    /// No daemon can be reached.
    Unreachable = 3,
    /// The application, or what was named of it, does not exist.
    NotFound = 4,
    /// The application exists already, or its state conflicts with the command.
    Conflict = 5,
    /// The command timed out; the operation goes on.
    TimedOut = 6,
    /// A confirmation, a precondition or a permission is missing.
    Refused = 7,
    /// Ctrl-C while the daemon worked: 128 and the number of the signal, as shells do.
    Interrupted = 130,
}

impl Exit {
    /// For `--detailed-exitcode`, as in terraform: something differs, or did.
    pub(crate) const DIFFERENCES: Self = Self::Usage;

    /// All codes with their meanings, for help and manual pages.
    pub(crate) const MEANINGS: &'static str = "  0  done
  1  failed
  2  wrong usage
  3  daemon unreachable
  4  no such application, operation, user, role or key
  5  already exists, or in conflict with its state
  6  timed out; the operation goes on
  7  refused: confirmation, precondition or permission missing
  130  interrupted with Ctrl-C; the operation goes on";

    /// The severity, for several commands that end differently: the higher, the less an operator could have
    /// expected it.
    const fn severity(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 1,
            Self::NotFound => 2,
            Self::Refused => 3,
            Self::Conflict => 4,
            Self::TimedOut => 5,
            Self::Failed => 6,
            Self::Unreachable => 7,
            Self::Interrupted => 8,
        }
    }

    /// The most severe of several codes.
    pub(crate) fn worst(exits: impl IntoIterator<Item = Self>) -> Self {
        exits.into_iter().max_by_key(|exit| exit.severity()).unwrap_or(Self::Done)
    }

    /// The code for an error of the daemon.
    pub(crate) const fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidParams
            | ErrorKind::InvalidId
            | ErrorKind::InvalidSetting
            | ErrorKind::LineTooLong => Self::Usage,
            ErrorKind::ProtocolMismatch
            | ErrorKind::ShuttingDown
            | ErrorKind::TooManyConnections
            | ErrorKind::DaemonUnreachable => Self::Unreachable,
            ErrorKind::AppNotFound
            | ErrorKind::OperationNotFound
            | ErrorKind::UserNotFound
            | ErrorKind::RoleNotFound
            | ErrorKind::KeyNotFound => Self::NotFound,
            ErrorKind::AppExists | ErrorKind::Conflict | ErrorKind::DomainTaken | ErrorKind::NotRunning => {
                Self::Conflict
            }
            ErrorKind::Timeout => Self::TimedOut,
            ErrorKind::Refused
            | ErrorKind::PermissionDenied
            | ErrorKind::EngineUnsupported
            | ErrorKind::SchemaUnsupported => Self::Refused,
            ErrorKind::ParseError
            | ErrorKind::InvalidRequest
            | ErrorKind::MethodNotFound
            | ErrorKind::StartFailed
            | ErrorKind::DatabaseUnreachable
            | ErrorKind::DatabaseFailed
            | ErrorKind::VersionTooNew
            | ErrorKind::Storage
            | ErrorKind::Internal => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_code() {
        let codes: Vec<String> = ErrorKind::ALL
            .iter()
            .map(|kind| format!("{} {}", Exit::of_kind(*kind) as u8, kind.as_str()))
            .collect();
        insta::assert_snapshot!(codes.join("\n"));
    }

    #[test]
    fn the_worst_of_many_decides() {
        use Exit::*;
        for (exits, worst) in [
            (&[][..], Done),
            (&[Done, Done], Done),
            (&[Done, NotFound], NotFound),
            (&[Failed, NotFound, Refused], Failed),
            (&[TimedOut, Conflict], TimedOut),
            (&[Unreachable, Failed], Unreachable),
        ] {
            assert_eq!(Exit::worst(exits.iter().copied()), worst, "{exits:?}");
        }
    }
}
