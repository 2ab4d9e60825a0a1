//! The daemon's configuration, from the file, the environment and the command line. The environment overrides
//! the file, and the command line overrides both. `settings.rs` parses each of the three into one type; this
//! module merges them and fills in the defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::arguments::{Arguments, LogFormat};
use super::error::ConfigurationError;
use super::settings::Settings;
use crate::client::paths;
use crate::database::{Location, ServerLimits};
use crate::gateway::GatewayOptions;
use crate::protocol::{Limit, LimitValues, RootUser};

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
    /// How large an application's log file grows before it is rotated, in bytes.
    pub log_file_size: u64,
    /// How many rotated log files are kept for each application.
    pub log_files: usize,
}

impl Configuration {
    /// Reads the configuration file and the environment, and applies `arguments`.
    pub fn load(
        arguments: &Arguments,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigurationError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let named = arguments.config.clone().or_else(|| variable("NBAPPS_CONFIG").map(PathBuf::from));
        let file = named.or_else(|| Some(default_file(variable)).filter(|file| file.exists()));
        let in_file = match &file {
            Some(file) => Settings::read(file)?,
            None => Settings::default(),
        };
        let settings =
            Settings::from_arguments(arguments).over(Settings::from_environment(variable)?).over(in_file);
        settings.complete(file)
    }
}

fn default_file(variable: impl Fn(&str) -> Option<String>) -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/etc/nbapps/nbappsd.toml");
    }
    let home = || PathBuf::from(variable("HOME").unwrap_or_default()).join(".config");
    variable("XDG_CONFIG_HOME").map_or_else(home, PathBuf::from).join("nbapps/nbappsd.toml")
}

impl Settings {
    /// Fills in the defaults.
    fn complete(self, file: Option<PathBuf>) -> Result<Configuration, ConfigurationError> {
        let data_directory = absolute(self.data_dir.unwrap_or_else(paths::default_data_directory));
        let listen = self.listen.unwrap_or_else(|| {
            let host = self.app_host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            SocketAddr::new(host, self.app_port.unwrap_or(13000))
        });
        let usual = GatewayOptions::default();
        let seconds = |given: Option<super::settings::Span>, usual| given.map_or(usual, |span| span.0);
        let gateway = GatewayOptions {
            listen,
            api_base_path: self.api_base_path.unwrap_or(usual.api_base_path),
            trusted_proxies: self
                .trusted_proxies
                .unwrap_or_default()
                .into_iter()
                .map(|network| network.0)
                .collect(),
            header_read_timeout: seconds(self.gateway.header_timeout, usual.header_read_timeout),
            drain_timeout: seconds(self.gateway.drain_timeout, usual.drain_timeout),
            max_connections: self.gateway.connections.unwrap_or(usual.max_connections),
        };
        let usual_file = data_directory.join("main").join("database.sqlite");
        let database = self.database;
        let mut limits = self.limits;
        if let Some(span) = database.statement_timeout {
            let time = u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
            limits.entry(Limit::StatementTimeMs).or_insert(time);
        }
        let main_location = main_location(database.url.as_deref(), database.schema.as_deref(), usual_file)?;
        Ok(Configuration {
            file,
            socket: absolute(self.socket.unwrap_or_else(paths::default_socket)),
            socket_group: self.socket_group,
            gateway,
            public_url: self.public_url.map(|url| url.trim_end_matches('/').to_owned()),
            main_location,
            table_prefix: database.table_prefix.unwrap_or_default(),
            server_limits: ServerLimits {
                connections: database.connections.map(NonZeroU32::get),
                idle_timeout: seconds(database.idle_timeout, ServerLimits::default().idle_timeout),
                statement_timeout: seconds(
                    database.statement_timeout,
                    ServerLimits::default().statement_timeout,
                ),
            },
            limits,
            root: self.root_user.into(),
            keep_deleted: seconds(self.keep_deleted, Duration::from_secs(30 * 24 * 3600)),
            visit_timeout: seconds(self.gateway.visit_timeout, Duration::from_secs(20)),
            log_level: self.log.level.unwrap_or_else(|| "info".to_owned()),
            log_format: self.log.format.unwrap_or_default(),
            log_file_size: self.log.file_bytes.unwrap_or(10 * 1024 * 1024),
            log_files: self.log.files.unwrap_or(3),
            data_directory,
        })
    }
}

/// Makes a path absolute, because clients and the log get it.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The main application's database, by URL and schema.
fn main_location(
    url: Option<&str>,
    schema: Option<&str>,
    otherwise: PathBuf,
) -> Result<Location, ConfigurationError> {
    let location = match url {
        // The text may contain a password, so the error does not repeat it.
        Some(url) => Location::parse(url)
            .map_err(|error| ConfigurationError::value("database.url", error.to_string()))?,
        None => Location::Sqlite(otherwise),
    };
    let Some(schema) = schema else { return Ok(location) };
    location.with_schema(schema).ok_or_else(|| {
        let engine = location.engine().as_str();
        ConfigurationError::value(
            "database.schema",
            format!("the main application's database is {engine}, which has no schemas; leave it out"),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;

    fn load(
        file: &str,
        environment: &[(&str, &str)],
        flags: &[&str],
    ) -> Result<Configuration, ConfigurationError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nbappsd.toml");
        std::fs::write(&path, file).unwrap();
        let arguments = Arguments::parse_from(
            ["nbappsd", "--config", path.to_str().unwrap()].into_iter().chain(flags.iter().copied()),
        );
        let known = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Configuration::load(&arguments, known)
    }

    #[test]
    fn flags_beat_the_environment_and_that_the_file() {
        let file = "listen = '127.0.0.1:1'\nsocket = '/f'\nkeep_deleted = '2h'\n[log]\nlevel = 'debug'\n";
        let environment = [("NBAPPS_SOCKET", "/e"), ("NBAPPS_LISTEN", "127.0.0.1:2"), ("APP_PORT", "9")];
        let all = load(file, &environment, &["--listen", "127.0.0.1:3"]).unwrap();
        assert_eq!(all.gateway.listen.port(), 3);
        assert_eq!(all.socket, Path::new("/e"));
        assert_eq!(all.keep_deleted, Duration::from_secs(7200));
        assert_eq!(all.log_level, "debug");
        let nocobase =
            load("listen = '127.0.0.1:1'", &[("APP_PORT", "9"), ("APP_HOST", "0.0.0.0")], &[]).unwrap();
        assert_eq!(nocobase.gateway.listen.to_string(), "0.0.0.0:9");
        let root = load("", &[("INIT_ROOT_EMAIL", "a@b.c"), ("INIT_ROOT_PASSWORD", "p")], &[]).unwrap().root;
        assert_eq!((root.email.as_deref(), root.password.as_deref()), (Some("a@b.c"), Some("p")));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (file, environment, says) in [
            ("listn = 1", &[][..], "nbappsd.toml:1:1: unknown field `listn`"),
            ("\n[log]\nlevel = 7", &[], "nbappsd.toml:3:9: "),
            ("listen = [", &[], "nbappsd.toml:1:"),
            ("keep_deleted = 'soon'", &[], "keep_deleted"),
            ("[database]\nurl = 'oracle://u:secret@h/d'", &[], "no database URL"),
            ("[database]\nurl = 'mysql://u:secret@h/d'\nschema = 's'", &[], "no schemas"),
            ("[database]\nconnections = 0", &[], "connections"),
            ("[database]\nstatement_timeout = 30", &[], "statement_timeout"),
            ("", &[("NBAPPS_DATABASE_CONNECTIONS", "many")], "NBAPPS_DATABASE_CONNECTIONS"),
            ("[database]\nurl = 'postgres://u:secret@h/'", &[], "no database's name"),
            ("[limits]\nspeed = 1", &[], "there is no limit `speed`"),
            ("[limits]\nin_flight = 0", &[], "in-flight cannot be \"0\""),
            ("[limits]\nrequest_time = 30", &[], "such as 30s"),
            ("", &[("NBAPPS_LIMIT_BODY", "big")], "NBAPPS_LIMIT_BODY"),
            ("", &[("APP_PORT", "x")], "APP_PORT"),
            ("", &[("DB_DIALECT", "mysql")], "DB_USER"),
            ("", &[("DB_DIALECT", "oracle")], "DB_DIALECT"),
            ("", &[("APP_PROCESS_ADAPTER", "pm2")], "APP_PROCESS_ADAPTER"),
            ("", &[("APP_DISCOVERY_ADAPTER", "redis")], "local"),
            ("", &[("NBAPPS_LOG_FORMAT", "xml")], "NBAPPS_LOG_FORMAT"),
        ] {
            let said = load(file, environment, &[]).unwrap_err().to_string();
            assert!(said.contains(says), "{file} {environment:?}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn limits_of_all_applications_are_numbers_times_and_sizes() {
        let file = "[limits]\nin_flight = 8\nrequest_time = '2s'\nbody = '1MiB'\nrate = 'none'\n\
                    [gateway]\nconnections = 5\n[database]\nstatement_timeout = '7s'";
        let all =
            load(file, &[("NBAPPS_LIMIT_IN_FLIGHT", "9"), ("NBAPPS_LIMIT_QUEUE_TIME", "1s")], &[]).unwrap();
        let expected = [
            (Limit::InFlight, 9),
            (Limit::QueueTimeMs, 1_000),
            (Limit::RequestTimeMs, 2_000),
            (Limit::StatementTimeMs, 7_000),
            (Limit::BodyBytes, 1 << 20),
            (Limit::RequestsPerSecond, 0),
        ];
        assert_eq!(all.limits, LimitValues::from(expected));
        assert_eq!(all.gateway.max_connections, 5);
    }

    #[test]
    fn an_existing_nocobase_environment_serves() {
        let environment = [
            ("APP_PORT", "13000"),
            ("DB_DIALECT", "sqlite"),
            ("DB_STORAGE", "/srv/db.sqlite"),
            ("DB_HOST", "localhost"),
            ("APP_DISCOVERY_ADAPTER", "local"),
            ("APP_PROCESS_ADAPTER", "local"),
            ("API_BASE_PATH", "/v1/"),
        ];
        let all = load("", &environment, &[]).unwrap();
        assert_eq!(all.main_location, Location::Sqlite("/srv/db.sqlite".into()));
        assert_eq!(all.gateway.api_base_path, "/v1/");
        let environment = [
            ("DB_DIALECT", "postgres"),
            ("DB_USER", "ada"),
            ("DB_PASSWORD", "p@ss/w"),
            ("DB_DATABASE", "nocobase"),
            ("DB_SCHEMA", "main"),
            ("DB_TABLE_PREFIX", "nb_"),
        ];
        let all = load("", &environment, &[]).unwrap();
        assert_eq!(all.main_location.to_string(), "schema main of nocobase on localhost:5432");
        assert_eq!(all.table_prefix, "nb_");
        let mysql = [("DB_DIALECT", "mariadb"), ("DB_USER", "ada"), ("DB_DATABASE", "n"), ("DB_HOST", "h")];
        assert_eq!(load("", &mysql, &[]).unwrap().main_location.to_string(), "n on h:3306");
    }
}
