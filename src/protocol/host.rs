//! The daemon itself: its version, its process and where it keeps things.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The directory of the logs in the data directory.
pub(crate) const LOG_DIRECTORY: &str = "logs";

/// The file of the daemon's own log in [`LOG_DIRECTORY`]. No application's log has this name: their IDs begin
/// with a letter.
pub(crate) const DAEMON_LOG_FILE: &str = "_daemon.log";

/// Parameters of a method that takes none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Parameters of `host.hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The client's name and version, for the log.
    pub client: String,
    /// The protocol version it speaks.
    pub protocol: u32,
}

/// The result of `host.hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The daemon's name and version.
    pub server: String,
    /// The protocol version it speaks.
    pub protocol: u32,
    /// The URL of the main application's pages.
    pub main_url: String,
}

/// The result of `host.info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostInfo {
    /// The daemon's version.
    pub version: String,
    /// The protocol version it speaks.
    pub protocol: u32,
    /// Its process ID.
    pub pid: u32,
    /// When it started.
    #[serde(serialize_with = "super::time::serialize")]
    pub started_at: DateTime<Utc>,
    /// Where it keeps its data.
    pub data_directory: String,
    /// Its control socket.
    pub socket: String,
    /// The configuration file it read, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_file: Option<String>,
    /// The address it listens on for HTTP.
    pub listen: String,
    /// The address it serves metrics for Prometheus on, if any: `GET /metrics`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<String>,
    /// The URL of the main application's pages.
    pub main_url: String,
    /// The engine of the main application's database.
    pub engine: String,
    /// The number of registered applications, without the main one.
    pub applications: u64,
    /// The number of running applications, without the main one.
    pub running: u64,
}

/// The result of `host.shutdown`: the shutdown has begun, and the connection closes when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShuttingDown {
    /// The process that is ending.
    pub pid: u32,
}
