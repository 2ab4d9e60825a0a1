//! `nbapps config`: checks and shows the configuration of a daemon that is started here.
//!
//! `nbappsd` itself does both, so that what is checked here is what the daemon reads.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::{Args, Subcommand, ValueHint};
use serde_json::Value;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Format;
use crate::client::Address;
use crate::client::autostart::find_daemon;

/// Check and show the daemon's configuration
///
/// Reads the configuration file and the environment as a daemon would that is started here: see
/// CONFIGURATION in nbappsd(8).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps config check
  nbapps config check --config ./new.toml
  nbapps config view
  nbapps config view -o json")]
pub(crate) struct Config {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check every value; exits with 1 when one is invalid
    Check(File),
    /// Print the effective value of every key, and where it comes from
    View(File),
}

#[derive(Debug, Args)]
struct File {
    /// The configuration file [default: the one that the daemon reads]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
}

impl Config {
    /// Runs `nbappsd`, and prints what it says.
    pub(crate) fn run(self, context: &Context) -> Result<(), CliError> {
        if let Address::Ssh(host) = context.address()? {
            return Err(CliError::usage(
                format!("the configuration of another machine ({host}) cannot be read from here"),
                format!("run it there: {} nbapps config check", host.command_line()),
            ));
        }
        match self.command {
            ConfigCommand::Check(File { config }) => {
                daemon(config, &["--check-config"], Stdio::inherit()).map(drop)
            }
            ConfigCommand::View(File { config }) if context.console.is_for_people() => {
                daemon(config, &["--show-config", "toml"], Stdio::inherit()).map(drop)
            }
            ConfigCommand::View(File { config }) => {
                let printed = daemon(config, &["--show-config", "json"], Stdio::piped())?;
                if context.console.format == Format::Json {
                    return context.console.raw(&String::from_utf8_lossy(&printed));
                }
                let settings: Vec<Value> = serde_json::from_slice(&printed).map_err(|error| {
                    CliError::Io { what: "nbappsd --show-config".to_owned(), error: error.into() }
                })?;
                context.console.list(
                    &settings,
                    |setting| setting["key"].as_str().unwrap_or_default(),
                    String::new,
                )
            }
        }
    }
}

/// Runs `nbappsd` to its end, and returns what it printed where that is piped. It prints its errors itself.
fn daemon(config: Option<PathBuf>, arguments: &[&str], output: Stdio) -> Result<Vec<u8>, CliError> {
    let program = find_daemon()?;
    let mut command = Command::new(&program);
    if let Some(file) = config {
        command.arg("--config").arg(file);
    }
    let child = command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(Stdio::inherit()).spawn();
    let ended = child.and_then(std::process::Child::wait_with_output);
    let ended =
        ended.map_err(|error| CliError::Io { what: format!("cannot run {}", program.display()), error })?;
    match ended.status.success() {
        true => Ok(ended.stdout),
        false => Err(CliError::Reported(Exit::Failed)),
    }
}
