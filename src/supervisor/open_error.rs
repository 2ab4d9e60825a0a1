//! Why the host's applications cannot be opened: the error of `boot.rs` and of what it calls.

use crate::protocol::RpcError;

use super::secrets::{KEY_FILE, SecretError};

/// Why the applications cannot be opened at all.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct OpenError {
    /// What was tried, on what, and what went wrong.
    pub sentence: String,
    /// What the operator can do about it.
    pub hint: Option<String>,
}

impl From<RpcError> for OpenError {
    fn from(error: RpcError) -> Self {
        Self { sentence: error.message, hint: error.data.hint }
    }
}

impl From<SecretError> for OpenError {
    fn from(error: SecretError) -> Self {
        let hint = match &error {
            SecretError::Sealed { .. } | SecretError::Malformed { .. } | SecretError::NoFile { .. } => {
                Some(format!("restore {KEY_FILE} as it was when the applications were created"))
            }
            SecretError::Missing { path } => Some(format!(
                "restore {KEY_FILE} from a backup of the data directory, or from the machine that ran this host \
                 before, to {} with mode 600; under systemd it may be a credential of that name instead",
                path.display()
            )),
            SecretError::File { .. } | SecretError::Exposed { .. } => None,
        };
        Self { sentence: error.to_string(), hint }
    }
}
