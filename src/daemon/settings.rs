//! The settings as they were given; what was not given has no value. `keys.rs` says what each may be, and
//! `configuration.rs` fills in the defaults.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::arguments::LogFormat;
use super::error::Source;
use crate::gateway::Network;
use crate::protocol::{AccessLog, LimitValues, RootUser};
use crate::supervisor::logs::AccessLogFormat;

/// The address that the daemon listens on by default.
pub(super) const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 13000);

/// The settings of all sources. The fields are named as the keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) socket: Option<PathBuf>,
    pub(super) socket_group: Option<String>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) public_url: Option<String>,
    pub(super) api_base_path: Option<String>,
    pub(super) trusted_proxies: Option<Vec<Network>>,
    pub(super) keep_deleted: Option<Duration>,
    pub(super) database: DatabaseSettings,
    pub(super) root_user: RootUser,
    pub(super) log: LogSettings,
    pub(super) gateway: GatewaySettings,
    pub(super) metrics: MetricsSettings,
    /// `[limits]`: the limits of applications that have none of their own.
    pub(super) limits: LimitValues,
    /// Where the values come from, by key.
    pub(super) sources: BTreeMap<&'static str, Source>,
}

/// `[database]`
#[derive(Debug, Clone, Default)]
pub(super) struct DatabaseSettings {
    pub(super) url: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) table_prefix: Option<String>,
    pub(super) connections: Option<u32>,
    pub(super) statement_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
}

/// `[log]`
#[derive(Debug, Clone, Default)]
pub(super) struct LogSettings {
    pub(super) level: Option<String>,
    pub(super) format: Option<LogFormat>,
    pub(super) access: Option<AccessLog>,
    pub(super) access_format: Option<AccessLogFormat>,
    pub(super) file_bytes: Option<u64>,
    pub(super) files: Option<usize>,
}

/// `[gateway]`: the limits of all applications together.
#[derive(Debug, Clone, Default)]
pub(super) struct GatewaySettings {
    pub(super) connections: Option<usize>,
    pub(super) header_timeout: Option<Duration>,
    pub(super) visit_timeout: Option<Duration>,
    pub(super) drain_timeout: Option<Duration>,
}

/// `[metrics]`
#[derive(Debug, Clone, Default)]
pub(super) struct MetricsSettings {
    pub(super) listen: Option<SocketAddr>,
    pub(super) applications: Option<usize>,
}

impl Settings {
    /// Sets the database, and takes back the schema of another one.
    pub(super) fn set_database(&mut self, url: String) {
        self.database.url = Some(url);
        self.database.schema = None;
        self.sources.remove("database.schema");
    }
}
