//! The host itself: who answers, and since when.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of a method that needs none.
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

/// The answer of `host.hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The daemon's name and version.
    pub server: String,
    /// The protocol version it speaks.
    pub protocol: u32,
    /// Where the main application's pages are.
    pub main_url: String,
}

/// The answer of `host.info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostInfo {
    /// The daemon's version.
    pub version: String,
    /// The protocol version it speaks.
    pub protocol: u32,
    /// Its process ID.
    pub pid: u32,
    /// When it started.
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
    /// Where the main application's pages are.
    pub main_url: String,
    /// The engine of the main application's database.
    pub engine: String,
    /// Applications registered, the main one not counted.
    pub applications: u64,
    /// Applications running, the main one not counted.
    pub running: u64,
}

/// The answer of `host.shutdown`: it has been accepted, the connection closes when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShuttingDown {
    /// The process that is ending.
    pub pid: u32,
}
