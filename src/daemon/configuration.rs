//! The daemon's configuration, complete: the settings that were given, and the defaults of the others.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::arguments::LogFormat;
use super::error::{ConfigurationError, Source};
use super::settings::{DEFAULT_LISTEN, Settings};
use crate::client::paths;
use crate::database::{Location, ServerLimits};
use crate::gateway::GatewayOptions;
use crate::protocol::{AccessLog, Limit, LimitValues, RootUser};
use crate::supervisor::logs::AccessLogFormat;

/// The configuration of the daemon, complete.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// The data directory.
    pub data_directory: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// The group that may use it, by name or number.
    pub socket_group: Option<String>,
    /// The settings of the HTTP gateway.
    pub gateway: GatewayOptions,
    /// The URL of the gateway from outside; its own address when absent.
    pub public_url: Option<String>,
    /// The main application's database.
    pub main_location: Location,
    /// The prefix of its tables' names.
    pub table_prefix: String,
    /// The limits for each database server.
    pub server_limits: ServerLimits,
    /// The limits of applications that have none of their own.
    pub limits: LimitValues,
    /// The root user of applications that are created without one.
    pub root: RootUser,
    /// How long a deleted application's data is kept.
    pub keep_deleted: Duration,
    /// How long a first visit waits for its application to start.
    pub visit_timeout: Duration,
    /// What to log: a level, or a filter.
    pub log_level: String,
    /// The log format.
    pub log_format: LogFormat,
    /// Which requests get a line in the access logs of applications without a setting of their own.
    pub access_log: AccessLog,
    /// The format of access logs.
    pub access_log_format: AccessLogFormat,
    /// How large a log file grows before it is rotated, in bytes.
    pub log_file_size: u64,
    /// How many rotated files of each log are kept.
    pub log_files: usize,
    /// Whether the file has a password in it.
    pub has_password_in_file: bool,
    /// The address to serve metrics on; none by default.
    pub metrics_listen: Option<SocketAddr>,
    /// How many applications have labels of their own in the metrics.
    pub metrics_applications: usize,
    /// What is likely to be a mistake, a sentence each.
    pub warnings: Vec<String>,
}

const DEFAULT_KEEP_DELETED: Duration = Duration::from_secs(30 * 24 * 3600);
const DEFAULT_VISIT_TIMEOUT: Duration = Duration::from_secs(20);
const DEFAULT_LOG_BYTES: u64 = 10 * 1024 * 1024;
const DEFAULT_LOG_FILES: usize = 3;
const DEFAULT_METRICS_APPLICATIONS: usize = 100;

impl Settings {
    /// Fills in the defaults.
    pub(super) fn complete(self, file: Option<PathBuf>) -> Result<Configuration, ConfigurationError> {
        let data_directory = absolute(self.data_dir.clone().unwrap_or_else(paths::default_data_directory));
        let main_location = self.main_location(data_directory.join("main").join("database.sqlite"))?;
        let has_password_in_file = self.has_password_in_file(&main_location);
        let listen = self.listen.unwrap_or(DEFAULT_LISTEN);
        self.check_metrics(listen)?;
        let usual = GatewayOptions::default();
        let gateway = GatewayOptions {
            listen,
            api_base_path: self.api_base_path.unwrap_or(usual.api_base_path),
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
            header_read_timeout: self.gateway.header_timeout.unwrap_or(usual.header_read_timeout),
            drain_timeout: self.gateway.drain_timeout.unwrap_or(usual.drain_timeout),
            max_connections: self.gateway.connections.unwrap_or(usual.max_connections),
        };
        let database = self.database;
        let mut limits = self.limits;
        if let Some(time) = database.statement_timeout {
            let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            limits.entry(Limit::StatementTimeMs).or_insert(time);
        }
        let usual = ServerLimits::default();
        Ok(Configuration {
            file,
            socket: absolute(self.socket.unwrap_or_else(paths::default_socket)),
            socket_group: self.socket_group,
            gateway,
            public_url: self.public_url,
            main_location,
            table_prefix: database.table_prefix.unwrap_or_default(),
            server_limits: ServerLimits {
                connections: database.connections,
                idle_timeout: database.idle_timeout.unwrap_or(usual.idle_timeout),
                statement_timeout: database.statement_timeout.unwrap_or(usual.statement_timeout),
            },
            limits,
            root: self.root_user,
            keep_deleted: self.keep_deleted.unwrap_or(DEFAULT_KEEP_DELETED),
            visit_timeout: self.gateway.visit_timeout.unwrap_or(DEFAULT_VISIT_TIMEOUT),
            log_level: self.log.level.unwrap_or_else(|| "info".to_owned()),
            log_format: self.log.format.unwrap_or_default(),
            access_log: self.log.access.unwrap_or_default(),
            access_log_format: self.log.access_format.unwrap_or_default(),
            log_file_size: self.log.file_bytes.unwrap_or(DEFAULT_LOG_BYTES),
            log_files: self.log.files.unwrap_or(DEFAULT_LOG_FILES),
            metrics_listen: self.metrics.listen,
            metrics_applications: self.metrics.applications.unwrap_or(DEFAULT_METRICS_APPLICATIONS),
            data_directory,
            has_password_in_file,
            warnings: Vec::new(),
        })
    }

    /// Whether the file has the root user's password, or that of the main application's database.
    fn has_password_in_file(&self, main_location: &Location) -> bool {
        let is_in_file = |key| matches!(self.sources.get(key), Some(Source::File(_)));
        let has_password = main_location.server_database().is_some_and(|at| at.server.password.is_some());
        is_in_file("root_user.password") || has_password && is_in_file("database.url")
    }

    /// Checks that metrics are not served where the applications are, whose clients may be anybody.
    fn check_metrics(&self, listen: SocketAddr) -> Result<(), ConfigurationError> {
        let Some(metrics) = self.metrics.listen.filter(|metrics| metrics.port() == listen.port()) else {
            return Ok(());
        };
        let is_same =
            metrics.ip() == listen.ip() || metrics.ip().is_unspecified() || listen.ip().is_unspecified();
        if metrics.port() == 0 || !is_same {
            return Ok(());
        }
        let key = "metrics.listen";
        let origin = self.sources.get(key).cloned().unwrap_or_else(|| Source::Variable(key.to_owned()));
        let problem = format!(
            "{metrics} is where the applications are served ({listen}), whose clients must not read metrics; \
             choose another port"
        );
        Err(ConfigurationError::Value { origin, key: key.to_owned(), problem })
    }

    /// The main application's database, by URL and schema.
    fn main_location(&self, otherwise: PathBuf) -> Result<Location, ConfigurationError> {
        let invalid = |key: &'static str, problem: String| {
            let origin = self.sources.get(key).cloned().unwrap_or_else(|| Source::Variable(key.to_owned()));
            ConfigurationError::Value { origin, key: key.to_owned(), problem }
        };
        let location = match &self.database.url {
            // The text may contain a password, so the error does not repeat it.
            Some(url) => Location::parse(url).map_err(|error| invalid("database.url", error.to_string()))?,
            None => Location::Sqlite(otherwise),
        };
        let Some(schema) = &self.database.schema else { return Ok(location) };
        location.with_schema(schema).ok_or_else(|| {
            let engine = location.engine().as_str();
            let problem =
                format!("the main application's database is {engine}, which has no schemas; leave it out");
            invalid("database.schema", problem)
        })
    }
}

/// Makes a path absolute, because clients and the log get it.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
