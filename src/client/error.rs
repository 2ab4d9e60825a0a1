//! What can go wrong between a client and its daemon.

use std::time::Duration;

use crate::protocol::{ErrorKind, RpcError};

/// Why a call did not give its result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// Nothing answers at the address, or it may not be used.
    #[error("no daemon can be reached at {address}: {why}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What the operating system or `ssh` said.
        why: String,
        /// The same as a kind, to tell "nothing there" from "not allowed".
        cause: std::io::ErrorKind,
    },
    /// A daemon is there and does not answer: its process is stopped, hung, or has too much to do.
    #[error("the daemon at {address}{} does not answer: waited {} s", process_named(*process), seconds(*waited))]
    Silent {
        /// Where it was asked.
        address: String,
        /// Its process ID, where that is known.
        process: Option<u32>,
        /// Whether it says that it is starting.
        starting: bool,
        /// How long was waited.
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
    /// The connection ended before the answer, or the next news, came. What was asked for may go on.
    #[error("the connection to the daemon at {address} ended: {why}")]
    Lost {
        /// Where it led.
        address: String,
        /// What ended it.
        why: String,
    },
    /// The daemon's answer is not what the method gives.
    #[error("the daemon's answer to {method} cannot be read: {why}")]
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
            std::io::ErrorKind::PermissionDenied => "this user may not use the socket".to_owned(),
            _ => error.to_string(),
        };
        Self::Unreachable { address: address.to_owned(), why, cause: error.kind() }
    }

    /// The daemon's word for it, when it is the daemon's error.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Rpc(error) => Some(error.kind()),
            Self::ProtocolMismatch { .. } => Some(ErrorKind::ProtocolMismatch),
            _ => None,
        }
    }

    /// Whether there is no daemon, as opposed to one that cannot be talked to.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        matches!(self, Self::Unreachable { cause: NotFound | ConnectionRefused, .. })
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { cause: std::io::ErrorKind::PermissionDenied, .. } => Some(
                "join the group that owns the socket, or run the command as the daemon's user".to_owned(),
            ),
            Self::Unreachable { .. } if self.is_absent() => {
                Some("start a daemon with: nbapps daemon start".to_owned())
            }
            Self::Unreachable { .. } => None,
            Self::Silent { starting: true, .. } => {
                Some("it is starting, and answers once its applications are known".to_owned())
            }
            Self::Silent { process: Some(id), .. } => Some(format!(
                "look at it with: ps -o pid,stat,etime,args -p {id}; where STAT begins with T it was stopped \
                 and goes on after: kill -CONT {id}"
            )),
            Self::Silent { process: None, .. } => Some(
                "see on its machine whether the process nbappsd was stopped or has too much to do".to_owned(),
            ),
            Self::ProtocolMismatch { .. } => Some(
                "use nbapps and nbappsd of the same version, and restart the daemon after an upgrade"
                    .to_owned(),
            ),
            Self::Rpc(error) => error.data.hint.clone(),
            Self::Lost { .. } => Some(
                "what was begun goes on unless the daemon ended too; look with: nbapps daemon status"
                    .to_owned(),
            ),
            Self::Unexpected { .. } => Some("use nbapps and nbappsd of the same version".to_owned()),
        }
    }
}
