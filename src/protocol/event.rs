//! Notifications: events of applications, progress of requests, and log lines.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AppId, RequestId, State};

/// An event of an application. Sent as the notification `event`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Counts the events since the daemon started; a gap means that events were lost.
    pub number: u64,
    /// When it happened.
    #[serde(serialize_with = "super::time::serialize")]
    pub at: DateTime<Utc>,
    /// The application.
    pub app: AppId,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happening {
    /// The state changed: from `not_found` on creation, to `not_found` on deletion.
    StateChanged {
        /// The state before.
        from: State,
        /// The state now.
        to: State,
        /// Why, when it is `error`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Its settings changed.
    Updated,
    /// Its JWT secret was replaced; all of its tokens ended.
    SecretRotated,
}

/// Parameters of `events.subscribe`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SubscribeEvents {
    /// Only events of these applications; empty for all.
    pub ids: Vec<AppId>,
}

/// The result of `events.subscribe`: from here on, every event is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscribed {
    /// The number of the last event before the first that will be sent.
    pub after: u64,
}

/// The progress of a request. Sent as the notification `progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The request it belongs to.
    pub request: RequestId,
    /// The stage's name, for programs.
    pub stage: String,
    /// Stages or units done.
    pub done: u64,
    /// The number of all of them, 0 when unknown.
    pub total: u64,
    /// The stage in words, for people.
    pub message: String,
    /// The ID of the operation that goes on when the client disconnects, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Details for finding a bug in the host.
    Trace,
    /// Details.
    Debug,
    /// Normal events.
    Info,
    /// Events that an operator should look at.
    Warn,
    /// Failures.
    Error,
}

/// One line of a log. Sent as the notification `log` when following.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When it was written.
    #[serde(serialize_with = "super::time::serialize")]
    pub at: DateTime<Utc>,
    /// Its level.
    pub level: LogLevel,
    /// The application that it is about. In the daemon's log most lines are about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Its message.
    pub message: String,
    /// Its fields.
    #[serde(flatten, serialize_with = "super::value::map")]
    #[schemars(with = "Map<String, Value>")]
    pub fields: Map<String, Value>,
}

/// Parameters of `app.logs`: `id`, `ids` or `all` say which applications; the lines of several are merged by
/// time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadLogs {
    /// The application's ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AppId>,
    /// The IDs of several applications.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<AppId>,
    /// Whether to read the logs of all applications; with `follow` also of those that are created later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Whether to read the access logs instead.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub access: bool,
    /// The number of last lines; all that are kept when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Only lines from this time on.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::time::optional")]
    pub since: Option<DateTime<Utc>>,
    /// Only lines of at least this level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Whether to send new lines as `log` notifications until the connection closes.
    pub follow: bool,
}

/// Parameters of `host.logs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadHostLogs {
    /// The number of last lines; all that are kept when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Only lines from this time on.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::time::optional")]
    pub since: Option<DateTime<Utc>>,
    /// Only lines of at least this level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Whether to send new lines as `log` notifications until the connection closes.
    pub follow: bool,
}

/// The result of `app.logs` and `host.logs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Logs {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
}
