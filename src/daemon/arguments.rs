//! The command line of `nbappsd`; its manual page is generated from it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

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
  nbappsd --check-config

Environment:
  NBAPPS_CONFIG      the configuration file, as --config
  NBAPPS_…           the variables of the keys of the configuration: see CONFIGURATION in nbappsd(8)
  APP_…, DB_…, INIT_ROOT_…
                     NocoBase's variables, as NocoBase reads them
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

    /// Check the configuration, and do not run
    #[arg(long, conflicts_with = "show_config")]
    pub check_config: bool,

    /// Print the effective value of every key and where it comes from, and do not run
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub show_config: Option<ConfigFormat>,

    /// Check what keeps the daemon from starting, print the findings as JSON, and do not run; see
    /// nbapps-doctor(1)
    #[arg(long, conflicts_with_all = ["check_config", "show_config"])]
    pub doctor: bool,
}

impl Arguments {
    /// Whether the configuration is only inspected, and no daemon runs.
    #[must_use]
    pub fn inspects(&self) -> bool {
        self.check_config || self.show_config.is_some()
    }
}

/// The format of the printed configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConfigFormat {
    /// A configuration file, with comments.
    Toml,
    /// A JSON array of the keys.
    Json,
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

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as ValueEnum>::from_str(text, false)
    }
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
