//! The command line of `nbappsd`; its manual page is generated from it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum, ValueHint};

/// Run many data applications in one process
///
/// nbappsd is the host: it runs the applications, answers HTTP requests for them, and is managed
/// with nbapps over its control socket. It stays in the foreground. SIGTERM and SIGINT end it:
/// requests are drained and applications stopped; a second signal ends it at once.
///
/// Settings come from the configuration file, the environment and these options; the environment overrides the
/// file, and options override both.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "nbappsd", version, max_term_width = 100, args_override_self = true)]
#[command(after_help = "\
Examples:
  nbappsd
  nbappsd --data-dir /srv/nbapps --listen 0.0.0.0:13000
  nbappsd --config /etc/nbapps/nbappsd.toml

Environment:
  NBAPPS_CONFIG, NBAPPS_DATA_DIR, NBAPPS_SOCKET, NBAPPS_SOCKET_GROUP, NBAPPS_LISTEN,
  NBAPPS_LOG_LEVEL, NBAPPS_LOG_FORMAT
                     as the options
  NBAPPS_PUBLIC_URL, NBAPPS_TRUSTED_PROXIES, NBAPPS_KEEP_DELETED
                     as public_url, trusted_proxies (separated by commas) and keep_deleted in the
                     file
  NBAPPS_DATABASE_URL, NBAPPS_DATABASE_CONNECTIONS, NBAPPS_DATABASE_STATEMENT_TIMEOUT,
  NBAPPS_DATABASE_IDLE_TIMEOUT
                     as url, connections, statement_timeout and idle_timeout of [database] there
  NBAPPS_LIMIT_IN_FLIGHT, _QUEUE, _QUEUE_TIME, _REQUEST_TIME, _STATEMENT_TIME, _BODY, _CONNECTIONS,
  _RATE, _DATABASE_CONNECTIONS
                     as the keys of [limits] there
  APP_HOST, APP_PORT, API_BASE_PATH, DB_DIALECT, DB_STORAGE, DB_HOST, DB_PORT, DB_DATABASE,
  DB_USER, DB_PASSWORD, DB_SCHEMA, DB_TABLE_PREFIX, INIT_ROOT_EMAIL, INIT_ROOT_USERNAME,
  INIT_ROOT_NICKNAME, INIT_ROOT_PASSWORD
                     as NocoBase reads them; the INIT_ROOT ones make each application's root user
  APP_DISCOVERY_ADAPTER, APP_PROCESS_ADAPTER
                     local, or not set
  SSL_CERT_FILE      certificate authorities for sslmode=verify-full, instead of the machine's list
  NOTIFY_SOCKET      where to say READY=1, as systemd does")]
pub struct Arguments {
    /// Read this configuration file (TOML)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// The data directory [default: /var/lib/nbapps for root, else ~/.local/state/nbapps]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,

    /// The control socket [default: /run/nbapps/control.sock for root, else in $XDG_RUNTIME_DIR]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,

    /// The group whose members may use the control socket
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,

    /// The address to listen on for HTTP [default: 127.0.0.1:13000]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// What to log: error, warn, info, debug, trace, or a filter such as nbapps=debug,info
    /// [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// The log format; auto is text on a terminal and JSON elsewhere [default: auto]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

/// The log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Arguments::command().debug_assert();
        let given =
            Arguments::try_parse_from(["nbappsd", "--listen", "[::1]:80", "--log-format", "json"]).unwrap();
        assert_eq!(given.listen.unwrap().port(), 80);
        assert_eq!(given.log_format, Some(LogFormat::Json));
        assert!(Arguments::try_parse_from(["nbappsd", "--listen", "here"]).is_err());
    }

    #[test]
    fn the_help_is_as_it_was_read() {
        insta::assert_snapshot!(Arguments::command().term_width(100).render_long_help().to_string());
    }
}
