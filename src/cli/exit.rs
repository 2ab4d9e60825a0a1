//! The exit codes of `nbapps`. Scripts rely on them: they stay.

use std::process::ExitCode;

use crate::protocol::ErrorKind;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line, or a value in it, cannot be used.
    Usage = 2,
    /// No daemon can be talked to.
    Unreachable = 3,
    /// There is no such application or operation.
    NotFound = 4,
    /// It exists already, or its state is in conflict with the command.
    Conflict = 5,
    /// It did not end in time; it goes on.
    TimedOut = 6,
    /// Refused: a confirmation, a precondition or a permission is missing.
    Refused = 7,
}

impl Exit {
    /// Every code with its meaning, for help and manual pages.
    pub(crate) const MEANINGS: &'static str = "  0  done
  1  failed
  2  wrong usage
  3  daemon unreachable
  4  no such application
  5  already exists, or in conflict with its state
  6  timed out; the operation goes on
  7  refused: confirmation, precondition or permission missing";

    /// How grave it is when several commands end differently: the graver, the less an operator
    /// could have known before.
    const fn gravity(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 1,
            Self::NotFound => 2,
            Self::Refused => 3,
            Self::Conflict => 4,
            Self::TimedOut => 5,
            Self::Failed => 6,
            Self::Unreachable => 7,
        }
    }

    /// The gravest of several.
    pub(crate) fn worst(exits: impl IntoIterator<Item = Self>) -> Self {
        exits.into_iter().max_by_key(|exit| exit.gravity()).unwrap_or(Self::Done)
    }

    /// The code for an error the daemon answered with.
    pub(crate) const fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidParams
            | ErrorKind::InvalidId
            | ErrorKind::InvalidSetting
            | ErrorKind::LineTooLong => Self::Usage,
            ErrorKind::ProtocolMismatch | ErrorKind::ShuttingDown | ErrorKind::TooManyConnections => {
                Self::Unreachable
            }
            ErrorKind::AppNotFound | ErrorKind::OperationNotFound => Self::NotFound,
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
