//! The settings of one source: the file, the environment or the command line. Each sets some of them.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::arguments::{Arguments, LogFormat};
use super::error::ConfigurationError;
use super::limits;
use crate::database::Engine;
use crate::gateway::Network;
use crate::protocol::{LimitValues, RootUser};

/// The settings of one source. The fields are named as the keys of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) socket: Option<PathBuf>,
    pub(super) socket_group: Option<String>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) public_url: Option<String>,
    pub(super) api_base_path: Option<String>,
    pub(super) trusted_proxies: Option<Vec<Proxy>>,
    pub(super) keep_deleted: Option<Span>,
    pub(super) database: DatabaseSettings,
    pub(super) root_user: RootUserSettings,
    pub(super) log: LogSettings,
    pub(super) gateway: GatewaySettings,
    /// `[limits]`: the limits of applications that have none of their own.
    #[serde(deserialize_with = "limits::read")]
    pub(super) limits: LimitValues,
    /// NocoBase's `APP_HOST` and `APP_PORT`, either of which may be absent.
    #[serde(skip)]
    pub(super) app_host: Option<IpAddr>,
    #[serde(skip)]
    pub(super) app_port: Option<u16>,
}

/// `[database]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DatabaseSettings {
    pub(super) url: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) table_prefix: Option<String>,
    pub(super) connections: Option<NonZeroU32>,
    pub(super) statement_timeout: Option<Span>,
    pub(super) idle_timeout: Option<Span>,
}

/// `[root_user]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RootUserSettings {
    email: Option<String>,
    username: Option<String>,
    nickname: Option<String>,
    password: Option<String>,
}

/// `[log]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogSettings {
    pub(super) level: Option<String>,
    pub(super) format: Option<LogFormat>,
    pub(super) file_bytes: Option<u64>,
    pub(super) files: Option<usize>,
}

/// `[gateway]`: the limits of all applications together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GatewaySettings {
    pub(super) connections: Option<usize>,
    pub(super) header_timeout: Option<Span>,
    pub(super) visit_timeout: Option<Span>,
    pub(super) drain_timeout: Option<Span>,
}

/// A duration as people write it: `30d`, `1h 30m`, `500ms`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Span(pub(super) Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        humantime::parse_duration(&text)
            .map(Self)
            .map_err(|error| format!("\"{text}\" is not a duration such as 30d or 1h 30m: {error}"))
    }
}

/// A proxy's address or network.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Proxy(pub(super) Network);

impl TryFrom<String> for Proxy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: crate::gateway::InvalidNetwork| error.to_string())
    }
}

impl DatabaseSettings {
    /// Fills in absent settings from `weaker`. A schema belongs to its URL.
    fn over(self, weaker: Self) -> Self {
        let (url, schema) = match self.url {
            Some(url) => (Some(url), self.schema),
            None => (weaker.url, self.schema.or(weaker.schema)),
        };
        Self {
            url,
            schema,
            table_prefix: self.table_prefix.or(weaker.table_prefix),
            connections: self.connections.or(weaker.connections),
            statement_timeout: self.statement_timeout.or(weaker.statement_timeout),
            idle_timeout: self.idle_timeout.or(weaker.idle_timeout),
        }
    }
}

impl From<RootUserSettings> for RootUser {
    fn from(given: RootUserSettings) -> Self {
        Self {
            email: given.email,
            username: given.username,
            nickname: given.nickname,
            password: given.password,
        }
    }
}

impl Settings {
    /// Parses a TOML file.
    pub(super) fn read(file: &Path) -> Result<Self, ConfigurationError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigurationError::Unreadable { file: file.to_owned(), error })?;
        toml::from_str(&text).map_err(|error| {
            let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
            ConfigurationError::Malformed {
                file: file.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
                problem: problem(&error, &text),
            }
        })
    }

    /// Reads the environment: this program's variables, which override NocoBase's.
    pub(super) fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigurationError> {
        let get = &variable;
        only_local(get, "APP_DISCOVERY_ADAPTER", "applications are found in this host's own registry")?;
        only_local(get, "APP_PROCESS_ADAPTER", "applications run in this host's own process")?;
        let proxies = get("NBAPPS_TRUSTED_PROXIES").map(|text| {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| Proxy::try_from(part.to_owned())).collect::<Result<Vec<_>, _>>()
        });
        let proxies = proxies.transpose();
        Ok(Self {
            data_dir: get("NBAPPS_DATA_DIR").map(PathBuf::from),
            socket: get("NBAPPS_SOCKET").map(PathBuf::from),
            socket_group: get("NBAPPS_SOCKET_GROUP"),
            listen: parsed(get, "NBAPPS_LISTEN", "an address with a port, such as 127.0.0.1:13000")?,
            public_url: get("NBAPPS_PUBLIC_URL"),
            api_base_path: get("API_BASE_PATH"),
            trusted_proxies: proxies
                .map_err(|error| ConfigurationError::value("NBAPPS_TRUSTED_PROXIES", error))?,
            keep_deleted: span(get, "NBAPPS_KEEP_DELETED")?,
            database: DatabaseSettings {
                url: database_url(get)?,
                // Ignored for engines without schemas, as `DB_HOST` is for SQLite.
                schema: get("DB_SCHEMA").filter(|_| get("DB_DIALECT").as_deref() == Some("postgres")),
                table_prefix: get("DB_TABLE_PREFIX"),
                connections: parsed(get, "NBAPPS_DATABASE_CONNECTIONS", "a number from 1 on")?,
                statement_timeout: span(get, "NBAPPS_DATABASE_STATEMENT_TIMEOUT")?,
                idle_timeout: span(get, "NBAPPS_DATABASE_IDLE_TIMEOUT")?,
            },
            root_user: RootUserSettings {
                email: get("INIT_ROOT_EMAIL"),
                username: get("INIT_ROOT_USERNAME"),
                nickname: get("INIT_ROOT_NICKNAME"),
                password: get("INIT_ROOT_PASSWORD"),
            },
            log: LogSettings {
                level: get("NBAPPS_LOG_LEVEL"),
                format: log_format(get)?,
                ..LogSettings::default()
            },
            gateway: GatewaySettings::default(),
            limits: limits::from_environment(get)?,
            app_host: parsed(get, "APP_HOST", "an IP address, such as 0.0.0.0")?,
            app_port: parsed(get, "APP_PORT", "a port from 0 to 65535")?,
        })
    }

    /// Reads the command line.
    pub(super) fn from_arguments(arguments: &Arguments) -> Self {
        let given = arguments.clone();
        Self {
            data_dir: given.data_dir,
            socket: given.socket,
            socket_group: given.socket_group,
            listen: given.listen,
            log: LogSettings { level: given.log_level, format: given.log_format, ..LogSettings::default() },
            ..Self::default()
        }
    }

    /// Fills in absent settings from `weaker`.
    pub(super) fn over(self, weaker: Self) -> Self {
        // A weaker `listen` must not override a stronger `APP_PORT`.
        let weaker_listen = weaker.listen.map(|listen| {
            SocketAddr::new(self.app_host.unwrap_or(listen.ip()), self.app_port.unwrap_or(listen.port()))
        });
        Self {
            data_dir: self.data_dir.or(weaker.data_dir),
            socket: self.socket.or(weaker.socket),
            socket_group: self.socket_group.or(weaker.socket_group),
            listen: self.listen.or(weaker_listen),
            public_url: self.public_url.or(weaker.public_url),
            api_base_path: self.api_base_path.or(weaker.api_base_path),
            trusted_proxies: self.trusted_proxies.or(weaker.trusted_proxies),
            keep_deleted: self.keep_deleted.or(weaker.keep_deleted),
            database: self.database.over(weaker.database),
            root_user: RootUserSettings {
                email: self.root_user.email.or(weaker.root_user.email),
                username: self.root_user.username.or(weaker.root_user.username),
                nickname: self.root_user.nickname.or(weaker.root_user.nickname),
                password: self.root_user.password.or(weaker.root_user.password),
            },
            log: LogSettings {
                level: self.log.level.or(weaker.log.level),
                format: self.log.format.or(weaker.log.format),
                file_bytes: self.log.file_bytes.or(weaker.log.file_bytes),
                files: self.log.files.or(weaker.log.files),
            },
            gateway: GatewaySettings {
                connections: self.gateway.connections.or(weaker.gateway.connections),
                header_timeout: self.gateway.header_timeout.or(weaker.gateway.header_timeout),
                visit_timeout: self.gateway.visit_timeout.or(weaker.gateway.visit_timeout),
                drain_timeout: self.gateway.drain_timeout.or(weaker.gateway.drain_timeout),
            },
            limits: weaker.limits.into_iter().chain(self.limits).collect(),
            app_host: self.app_host.or(weaker.app_host),
            app_port: self.app_port.or(weaker.app_port),
        }
    }
}

/// The message with the key that it concerns, which the parser shows only in its excerpt of the line.
fn problem(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().and_then(|span| {
        let start = text[..span.start.min(text.len())].rfind('\n').map_or(0, |at| at + 1);
        text[start..].lines().next()
    });
    let key = line.and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    match key {
        Some(key) if !error.message().contains(key) => format!("{key}: {}", error.message()),
        _ => error.message().to_owned(),
    }
}

fn only_local(
    variable: impl Fn(&str) -> Option<String>,
    name: &str,
    because: &str,
) -> Result<(), ConfigurationError> {
    match variable(name).as_deref() {
        None | Some("local") => Ok(()),
        Some(other) => Err(ConfigurationError::value(
            name,
            format!("\"{other}\" is not supported, only \"local\": {because}"),
        )),
    }
}

fn parsed<T: FromStr>(
    variable: impl Fn(&str) -> Option<String>,
    name: &str,
    expected: &str,
) -> Result<Option<T>, ConfigurationError> {
    let parse = |text: String| {
        text.parse().map_err(|_| ConfigurationError::value(name, format!("\"{text}\" is not {expected}")))
    };
    variable(name).map(parse).transpose()
}

fn span(variable: impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<Span>, ConfigurationError> {
    variable(name)
        .map(|text| Span::try_from(text).map_err(|error| ConfigurationError::value(name, error)))
        .transpose()
}

fn log_format(variable: impl Fn(&str) -> Option<String>) -> Result<Option<LogFormat>, ConfigurationError> {
    let name = "NBAPPS_LOG_FORMAT";
    match variable(name).as_deref() {
        None => Ok(None),
        Some("text") => Ok(Some(LogFormat::Text)),
        Some("json") => Ok(Some(LogFormat::Json)),
        Some("auto") => Ok(Some(LogFormat::Auto)),
        Some(other) => {
            Err(ConfigurationError::value(name, format!("\"{other}\" is none of text, json, auto")))
        }
    }
}

/// The database's URL: `NBAPPS_DATABASE_URL`, else NocoBase's `DB_DIALECT` with `DB_STORAGE` for SQLite, or with
/// `DB_HOST`, `DB_PORT`, `DB_DATABASE`, `DB_USER` and `DB_PASSWORD` for a server. The latter are ignored beside
/// `DB_DIALECT=sqlite`, where they are often set.
fn database_url(variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>, ConfigurationError> {
    if let Some(url) = variable("NBAPPS_DATABASE_URL") {
        return Ok(Some(url));
    }
    let refuse = |name: &str, problem: String| Err(ConfigurationError::value(name, problem));
    match variable("DB_DIALECT").as_deref() {
        None | Some("sqlite") => Ok(variable("DB_STORAGE").map(|file| format!("sqlite:{file}"))),
        Some(dialect) => {
            let Some(engine) = Engine::parse(dialect) else {
                return refuse(
                    "DB_DIALECT",
                    format!("\"{dialect}\" is none of sqlite, postgres, mysql and mariadb"),
                );
            };
            let encoded = |name: &str| {
                let value = variable(name)?;
                Some(utf8_percent_encode(&value, NON_ALPHANUMERIC).to_string())
            };
            let (Some(user), Some(database)) = (encoded("DB_USER"), encoded("DB_DATABASE")) else {
                let missing = if variable("DB_USER").is_none() { "DB_USER" } else { "DB_DATABASE" };
                return refuse(missing, format!("DB_DIALECT={dialect} needs it"));
            };
            let password = encoded("DB_PASSWORD").map(|password| format!(":{password}")).unwrap_or_default();
            let host = variable("DB_HOST").unwrap_or_else(|| "localhost".to_owned());
            let port = variable("DB_PORT").unwrap_or_else(|| engine.default_port().to_string());
            Ok(Some(format!("{}://{user}{password}@{host}:{port}/{database}", engine.as_str())))
        }
    }
}
