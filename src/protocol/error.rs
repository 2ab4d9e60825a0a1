//! Errors of the control socket: a code, a sentence, and a kind that scripts can rely on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind of an error. Its name is the same in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The line is not JSON (JSON-RPC -32700).
    ParseError,
    /// The message is not a JSON-RPC 2.0 request (-32600).
    InvalidRequest,
    /// There is no such method (-32601).
    MethodNotFound,
    /// The parameters do not fit the method (-32602).
    InvalidParams,
    /// A line is longer than 4 MiB; the connection is closed.
    LineTooLong,
    /// Client and daemon speak different versions of the protocol.
    ProtocolMismatch,
    /// No application has this ID.
    AppNotFound,
    /// An application of this ID exists already.
    AppExists,
    /// The text is not an application ID.
    InvalidId,
    /// The value of a setting is invalid; the message names the setting.
    InvalidSetting,
    /// The application's state does not allow this.
    Conflict,
    /// A custom domain belongs to another application.
    DomainTaken,
    /// The application is not running.
    NotRunning,
    /// The application could not start; the message says why.
    StartFailed,
    /// The database cannot be reached or opened.
    DatabaseUnreachable,
    /// The database refused a statement, or failed.
    DatabaseFailed,
    /// The database's data was written by a newer host.
    VersionTooNew,
    /// This engine or connection mode is not available on this host.
    EngineUnsupported,
    /// Schema mode needs PostgreSQL.
    SchemaUnsupported,
    /// A precondition is missing: the application is protected or is the main one, or a confirmation is missing.
    Refused,
    /// The user is not allowed to do this.
    PermissionDenied,
    /// The wait timed out; the operation goes on.
    Timeout,
    /// The daemon is shutting down.
    ShuttingDown,
    /// There is no such operation (finished ones are forgotten after a while).
    OperationNotFound,
    /// The disk is full or cannot be written.
    Storage,
    /// A bug of the daemon.
    Internal,
    /// The control socket has its maximum of connections or of long lines.
    TooManyConnections,
    /// The other end of a connection through `ssh` cannot reach its daemon.
    DaemonUnreachable,
    /// The application has no such user.
    UserNotFound,
    /// The application has no such role.
    RoleNotFound,
    /// The application has no such API key.
    KeyNotFound,
}

impl ErrorKind {
    /// Every kind, for documentation.
    pub const ALL: &'static [Self] = &[
        Self::ParseError,
        Self::InvalidRequest,
        Self::MethodNotFound,
        Self::InvalidParams,
        Self::LineTooLong,
        Self::ProtocolMismatch,
        Self::AppNotFound,
        Self::AppExists,
        Self::InvalidId,
        Self::InvalidSetting,
        Self::Conflict,
        Self::DomainTaken,
        Self::NotRunning,
        Self::StartFailed,
        Self::DatabaseUnreachable,
        Self::DatabaseFailed,
        Self::VersionTooNew,
        Self::EngineUnsupported,
        Self::SchemaUnsupported,
        Self::Refused,
        Self::PermissionDenied,
        Self::Timeout,
        Self::ShuttingDown,
        Self::OperationNotFound,
        Self::Storage,
        Self::Internal,
        Self::TooManyConnections,
        Self::DaemonUnreachable,
        Self::UserNotFound,
        Self::RoleNotFound,
        Self::KeyNotFound,
    ];

    /// Whether the host or a database failed, rather than refused what was asked for.
    #[must_use]
    pub(crate) const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::StartFailed
                | Self::DatabaseUnreachable
                | Self::DatabaseFailed
                | Self::VersionTooNew
                | Self::Storage
                | Self::Internal
        )
    }

    /// The JSON-RPC error code: the specification's where it has one (-32768 to -32000), else one of this
    /// protocol from -31000 downward.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::ParseError => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            other => -31000 - other as i64,
        }
    }

    /// The kind as it is written on the wire.
    #[must_use]
    pub fn as_str(self) -> String {
        match serde_json::to_value(self) {
            Ok(Value::String(text)) => text,
            _ => format!("{self:?}"),
        }
    }
}

/// An error response of the control socket.
///
/// `message` says what was tried, on what, and what went wrong; the hint says what to do next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// The JSON-RPC error code; see [`ErrorKind::code`].
    pub code: i64,
    /// One sentence.
    pub message: String,
    /// The kind, the hint and further facts.
    pub data: ErrorData,
}

/// What an error says beside its message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Facts for programs: the states or the values involved.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "super::value::optional")]
    #[schemars(with = "Option<Value>")]
    pub details: Option<Value>,
}

impl RpcError {
    /// An error of `kind` with its message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            code: kind.code(),
            message: message.into(),
            data: ErrorData { kind, hint: None, details: None },
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.data.hint = Some(hint.into());
        self
    }

    /// Adds facts for programs.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.data.details = Some(details);
        self
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.data.kind
    }

    /// No application has this ID.
    #[must_use]
    pub fn app_not_found(id: &str) -> Self {
        Self::new(ErrorKind::AppNotFound, format!("there is no application \"{id}\""))
            .hint("list the applications with: nbapps list")
    }
}

impl From<super::InvalidAppId> for RpcError {
    fn from(error: super::InvalidAppId) -> Self {
        Self::new(ErrorKind::InvalidId, error.to_string()).hint(super::InvalidAppId::RULE)
    }
}

impl From<super::InvalidLabel> for RpcError {
    fn from(error: super::InvalidLabel) -> Self {
        Self::new(ErrorKind::InvalidSetting, error.to_string())
    }
}

impl From<super::InvalidLimit> for RpcError {
    fn from(error: super::InvalidLimit) -> Self {
        Self::new(ErrorKind::InvalidSetting, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_number_of_its_own() {
        let mut codes: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
    }
}
