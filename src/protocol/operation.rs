//! Operations: lifecycle commands, which go on when their client disconnects.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AppId, CreatedRootUser, RpcError, Wait};

/// How an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperationState {
    /// It is under way.
    #[default]
    Running,
    /// It ended well.
    Done,
    /// It failed; `error` says why.
    Failed,
}

impl OperationState {
    /// The outcome as it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A lifecycle command that is running or has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// Its ID.
    pub id: String,
    /// The method that began it, such as `app.create`.
    pub method: String,
    /// The application.
    pub app: AppId,
    /// How it stands.
    #[serde(default)]
    pub outcome: OperationState,
    /// When it began.
    #[serde(serialize_with = "super::time::serialize")]
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::time::optional")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
    /// The first user of the application that it created, with the generated password, when the answer to the
    /// call that began it could not be delivered. `operation.get` and `operation.wait` show it once, to the
    /// user who made that call, within 15 minutes of the operation's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<CreatedRootUser>,
}

/// The hint for a client that does not wait for the end of an operation of this method.
#[must_use]
pub fn wait_hint(method: &str, operation: &str) -> String {
    let shown = match method {
        "app.create" => ", which also shows the first user's password, once",
        _ => "",
    };
    format!("wait for it with: nbapps operation wait {operation}{shown}")
}

/// Parameters of `operation.get` and `operation.wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneOperation {
    /// The operation's ID.
    pub id: String,
    /// How to wait for its end; `operation.get` does not wait.
    #[serde(default)]
    pub wait: Wait,
}

/// The result of `operation.list`: the running operations and the last that ended, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationList {
    /// The operations.
    pub operations: Vec<Operation>,
}
