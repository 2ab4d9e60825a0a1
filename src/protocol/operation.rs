//! Operations: lifecycle commands, which go on when their client disconnects.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AppId, RpcError, Wait};

/// A lifecycle command that is running or has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// Its ID.
    pub id: String,
    /// The method that began it, such as `app.create`.
    pub method: String,
    /// The application.
    pub app: AppId,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
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
