//! The errors of commands, with their exit codes.

use std::io;
use std::path::PathBuf;

use super::exit::Exit;
use crate::client::ClientError;
use crate::client::autostart::StartError;
use crate::client::contexts::ContextsError;
use crate::protocol::RpcError;

/// An error of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The daemon answered with an error, or could not be reached.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No daemon answered, and none could be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No daemon could be started beside one that this user may not use.
    #[error("{error}")]
    StartBeside {
        /// Why not.
        error: Box<StartError>,
        /// The socket of the other daemon.
        socket: PathBuf,
    },
    /// The command line is wrong in a way that clap does not detect.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// There is already what was to be made, or it is in use.
    #[error("{message}")]
    Conflict {
        /// What there is.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// There is nothing of this name.
    #[error("{message}")]
    NotFound {
        /// What there is not.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A confirmation is missing.
    #[error("{message}")]
    Refused {
        /// What was refused.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// What the command was to do failed.
    #[error("{message}")]
    Failed {
        /// What failed.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The command timed out.
    #[error("{message}")]
    TimedOut {
        /// What timed out.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The user pressed Ctrl-C while the daemon worked.
    #[error("{message}")]
    Interrupted {
        /// What goes on.
        message: String,
        /// How to find it again.
        hint: Option<String>,
    },
    /// A file or a terminal failed.
    #[error("{what}: {error}")]
    Io {
        /// The operation, and on what.
        what: String,
        /// What went wrong.
        error: io::Error,
    },
    /// Standard output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(io::Error),
    /// The reader of the output has closed it, and needs no more.
    #[error("the output was closed")]
    ClosedPipe,
    /// The errors have been printed, one for each application.
    #[error("not everything could be done")]
    Reported(Exit),
}

impl CliError {
    /// An error of the command line.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// An operation of the daemon that the command no longer waits for.
    pub(crate) fn timed_out(message: impl Into<String>) -> Self {
        let hint = Some("list the running operations with: nbapps operation list".to_owned());
        Self::TimedOut { message: message.into(), hint }
    }

    /// A missing confirmation.
    pub(crate) fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: Some(hint.into()) }
    }

    /// The exit code of the command.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) | Self::Start(StartError::Client(error)) => exit_of_client(error),
            Self::StartBeside { error, .. } => match &**error {
                StartError::Client(error) => exit_of_client(error),
                _ => Exit::Unreachable,
            },
            Self::Start(_) => Exit::Unreachable,
            Self::Usage { .. } => Exit::Usage,
            Self::Conflict { .. } => Exit::Conflict,
            Self::NotFound { .. } => Exit::NotFound,
            Self::Refused { .. } => Exit::Refused,
            Self::TimedOut { .. } => Exit::TimedOut,
            Self::Interrupted { .. } => Exit::Interrupted,
            Self::Failed { .. } | Self::Io { .. } | Self::Output(_) => Exit::Failed,
            Self::ClosedPipe => Exit::Done,
            Self::Reported(exit) => *exit,
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.hint(),
            Self::Start(error) => error.hint(),
            Self::StartBeside { error, socket } => {
                let beside = format!(
                    "the system's daemon may be the one to use: {} is open to members of its group, which the system's \
                     administrator adds users to",
                    socket.display()
                );
                Some(error.hint().map_or_else(|| beside.clone(), |hint| format!("{hint}; {beside}")))
            }
            Self::Usage { hint, .. }
            | Self::Conflict { hint, .. }
            | Self::NotFound { hint, .. }
            | Self::Refused { hint, .. }
            | Self::Failed { hint, .. }
            | Self::TimedOut { hint, .. }
            | Self::Interrupted { hint, .. } => hint.clone(),
            Self::Io { .. } | Self::Output(_) | Self::ClosedPipe | Self::Reported(_) => None,
        }
    }
}

impl From<ContextsError> for CliError {
    fn from(error: ContextsError) -> Self {
        Self::Client(ClientError::Discovery(error.into()))
    }
}

impl From<RpcError> for CliError {
    fn from(error: RpcError) -> Self {
        Self::Client(ClientError::Rpc(error))
    }
}

fn exit_of_client(error: &ClientError) -> Exit {
    match error {
        ClientError::Unreachable { cause: io::ErrorKind::PermissionDenied, .. } => Exit::Refused,
        ClientError::Unreachable { .. }
        | ClientError::Program { .. }
        | ClientError::Silent { .. }
        | ClientError::ProtocolMismatch { .. }
        | ClientError::Lost { .. } => Exit::Unreachable,
        ClientError::Rpc(error) => Exit::of_kind(error.kind()),
        ClientError::Discovery(_) => Exit::Usage,
        ClientError::Unexpected { .. } => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_daemon_is_three_however_it_is_found_out() {
        let absent = || ClientError::Unreachable {
            address: "/x".into(),
            why: "x".into(),
            cause: io::ErrorKind::NotFound,
        };
        assert_eq!(CliError::Client(absent()).exit(), Exit::Unreachable);
        assert_eq!(CliError::Start(StartError::Client(absent())).exit(), Exit::Unreachable);
        let no_program = CliError::Start(StartError::NoProgram { beside: "/x".into() });
        assert_eq!(no_program.exit(), Exit::Unreachable);
    }
}
