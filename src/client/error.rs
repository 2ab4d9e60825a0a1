//! The errors of a client.

use std::time::Duration;

use super::discovery::DiscoveryError;
use crate::protocol::{ErrorKind, RpcError};

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// It is not clear which daemon is meant.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// Nothing listens at the address, or the user is not allowed to use it.
    #[error("cannot reach a daemon at {address}: {why}")]
    Unreachable {
        /// The address.
        address: String,
        /// The error of the operating system or of `ssh`.
        why: String,
        /// The kind of that error.
        cause: std::io::ErrorKind,
    },
    /// No daemon answered through a program, mostly `ssh`.
    #[error("cannot reach a daemon at {address}: {why}")]
    Program {
        /// The address.
        address: String,
        /// Why not.
        why: String,
        /// What to do next.
        hint: String,
    },
    /// A daemon has the socket and does not answer: its process is stopped, hangs, or is overloaded.
    #[error("the daemon at {address}{} does not answer: waited {} s", process_named(*process), seconds(*waited))]
    Silent {
        /// The address.
        address: String,
        /// Its process ID, if known.
        process: Option<u32>,
        /// Whether it is starting.
        starting: bool,
        /// How long the client waited.
        waited: Duration,
    },
    /// The daemon speaks another version of the protocol.
    #[error("{message}")]
    ProtocolMismatch {
        /// One sentence that names both versions.
        message: String,
    },
    /// The daemon answered with an error.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The connection ended before the response or the next notification. The operation may go on.
    #[error("the connection to the daemon at {address} ended: {why}")]
    Lost {
        /// The address.
        address: String,
        /// Why it ended.
        why: String,
    },
    /// The response is not a result of the method.
    #[error("cannot parse the daemon's response to {method}: {why}")]
    Unexpected {
        /// The method.
        method: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

fn process_named(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

/// Seconds, to a tenth.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

impl ClientError {
    pub(super) fn unreachable(address: &str, error: std::io::Error) -> Self {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no socket".to_owned(),
            std::io::ErrorKind::ConnectionRefused => "nothing listens on the socket".to_owned(),
            std::io::ErrorKind::PermissionDenied => "this user is not allowed to use the socket".to_owned(),
            _ => error.to_string(),
        };
        Self::Unreachable { address: address.to_owned(), why, cause: error.kind() }
    }

    /// The kind of the error, if it is the daemon's.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Rpc(error) => Some(error.kind()),
            Self::ProtocolMismatch { .. } => Some(ErrorKind::ProtocolMismatch),
            _ => None,
        }
    }

    /// Whether there is no daemon at the address.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        match self {
            Self::Unreachable { cause, .. } => matches!(cause, NotFound | ConnectionRefused),
            Self::Rpc(error) => {
                error.kind() == ErrorKind::DaemonUnreachable
                    && error.data.details.as_ref().is_some_and(|details| details["absent"] == true)
            }
            _ => false,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Discovery(error) => Some(error.hint()),
            Self::Unreachable { cause: std::io::ErrorKind::PermissionDenied, .. } => Some(
                "join the group that owns the socket, or run the command as the daemon's user".to_owned(),
            ),
            Self::Unreachable { .. } if self.is_absent() => {
                Some("start a daemon with: nbapps daemon start".to_owned())
            }
            Self::Unreachable { .. } => None,
            Self::Program { hint, .. } => Some(hint.clone()),
            Self::Silent { starting: true, .. } => {
                Some("it is starting, and answers once it has read its registry".to_owned())
            }
            Self::Silent { process: Some(id), .. } => Some(format!(
                "look at it with: ps -o pid,stat,etime,args -p {id}; where STAT begins with T it was stopped \
                 and goes on after: kill -CONT {id}"
            )),
            Self::Silent { process: None, .. } => {
                Some("check on its machine whether the process nbappsd is stopped or overloaded".to_owned())
            }
            Self::ProtocolMismatch { .. } => Some(
                "use nbapps and nbappsd of the same version, and restart the daemon after an upgrade"
                    .to_owned(),
            ),
            Self::Rpc(error) => error.data.hint.clone(),
            Self::Lost { .. } => Some(
                "operations go on unless the daemon ended, too; check with: nbapps daemon status".to_owned(),
            ),
            Self::Unexpected { .. } => Some("use nbapps and nbappsd of the same version".to_owned()),
        }
    }

    /// The error as the other end of a connection through `ssh` reports it.
    #[must_use]
    pub fn into_report(self) -> RpcError {
        match self {
            Self::Rpc(error) => error,
            other => {
                let kind = match &other {
                    Self::Unreachable { cause: std::io::ErrorKind::PermissionDenied, .. } => {
                        ErrorKind::PermissionDenied
                    }
                    _ => ErrorKind::DaemonUnreachable,
                };
                let mut report = RpcError::new(kind, other.to_string())
                    .details(serde_json::json!({"absent": other.is_absent()}));
                report.data.hint = other.hint();
                report
            }
        }
    }
}
