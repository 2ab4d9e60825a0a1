//! `nbapps daemon`: runs, starts, stops and describes the daemon.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use comfy_table::Cell;
use serde::Serialize;
use tokio::time::Instant;

use super::daemon_logs::DaemonLogs;
use super::{dial, prefetch};
use crate::cli::confirm;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{application, table};
use crate::client::autostart::{Launch, find_daemon};
use crate::client::discovery::{Reason, Target};
use crate::client::{Address, Client, ClientError, paths, shell, silent};
use crate::protocol::methods::{HostInfoMethod, HostShutdown};
use crate::protocol::{HostInfo, Nothing};

/// How long the daemon may take to answer `status`, which needs no work.
const STATUS_TIMEOUT: Duration = Duration::from_millis(1500);

/// Run, start, stop and look at the daemon
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps daemon run --listen 127.0.0.1:8080
  nbapps daemon start
  nbapps daemon status -o json
  nbapps daemon logs -f
  nbapps daemon stop")]
pub(crate) struct Daemon {
    #[command(subcommand)]
    command: DaemonCommand,
}

#[derive(Debug, Subcommand)]
enum DaemonCommand {
    /// Run the daemon here, in the foreground
    Run {
        /// Options of nbappsd; see: nbappsd --help
        #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Start the daemon in the background and wait until it is ready
    Start {
        /// Wait at most this long
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
        timeout: Duration,
        /// Options of nbappsd; see: nbappsd --help
        #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Stop the daemon: drain requests, stop the applications, and wait for its end
    Stop {
        /// Wait at most this long
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
        timeout: Duration,
        /// Do not ask; only the daemon of another machine is asked about, at a terminal
        #[arg(short, long)]
        yes: bool,
    },
    /// Describe the daemon; exits with 3 when none is running, or when it does not answer
    Status,
    Logs(DaemonLogs),
    /// Connect standard input and output with the control socket
    #[command(hide = true)]
    DialStdio,
    /// Ask the daemon of another machine ahead of completion
    #[command(hide = true)]
    Prefetch {
        /// The method
        method: String,
        /// Its parameters, as JSON
        params: String,
    },
}

impl Daemon {
    /// Runs `daemon run`, which replaces this process and needs no runtime; gives any other command back.
    pub(crate) fn run_in_place(self, context: &Context) -> Result<Result<(), Self>, CliError> {
        match self.command {
            DaemonCommand::Run { arguments } => replace_process(context, arguments).map(Ok),
            command => Ok(Err(Self { command })),
        }
    }

    /// Whether it takes the place of this process, or its standard input and output: a shell cannot run it.
    pub(crate) fn takes_over(&self) -> bool {
        matches!(self.command, DaemonCommand::Run { .. } | DaemonCommand::DialStdio)
    }

    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            DaemonCommand::Run { arguments } => replace_process(context, arguments),
            DaemonCommand::Start { timeout, arguments } => start(context, timeout, arguments).await,
            DaemonCommand::Stop { timeout, yes } => stop(context, timeout, yes).await,
            DaemonCommand::Status => status(context).await,
            DaemonCommand::Logs(logs) => logs.run(context).await,
            DaemonCommand::DialStdio => dial::run(context).await,
            DaemonCommand::Prefetch { method, params } => prefetch::run(context, &method, params).await,
        }
    }
}

/// Replaces this process with `nbappsd`, which then gets the signals and the terminal.
fn replace_process(context: &Context, arguments: Vec<OsString>) -> Result<(), CliError> {
    let socket = context.named_socket()?;
    let program = find_daemon()?;
    let mut command = std::process::Command::new(&program);
    if let Some(socket) = socket {
        command.arg("--socket").arg(socket);
    }
    let error = command.args(arguments).exec();
    Err(CliError::Io { what: format!("cannot run {}", program.display()), error })
}

/// Describes the daemon, or soon reports that it does not answer. Which daemon was chosen, and why, is said either
/// way.
async fn status(context: &Context) -> Result<(), CliError> {
    let target = context.target()?;
    let described = look(context, &target).await;
    if described.is_err() {
        context.console.note(&format!("the chosen daemon is {}: {}", target.address, target.because()));
    }
    describe(context, described?, &target)
}

async fn look(context: &Context, target: &Target) -> Result<HostInfo, CliError> {
    let address = &target.address;
    let mut begun = Instant::now();
    let client = match address {
        Address::Socket(_) => {
            let connected = Client::connect_within(address, STATUS_TIMEOUT).await;
            connected.inspect_err(|_| context.note_denied(target))?
        }
        // `ssh` may ask for a password. The other end checks whether the daemon answers.
        Address::Ssh(_) => {
            let client = Client::connect(address).await?;
            begun = Instant::now();
            client
        }
    };
    let info = client.call::<HostInfoMethod>(Nothing {});
    match tokio::time::timeout_at(begun + STATUS_TIMEOUT, info).await {
        Ok(info) => Ok(info?),
        Err(_) => Err(silent(address, begun.elapsed()).into()),
    }
}

async fn start(context: &Context, timeout: Duration, arguments: Vec<OsString>) -> Result<(), CliError> {
    let context = &context.within(timeout);
    let named = context.named_socket()?;
    let data_directory = data_directory(&arguments);
    let launch = Launch {
        program: find_daemon()?,
        join_running: named.is_none(),
        socket: named.unwrap_or_else(paths::default_socket),
        data_directory,
        arguments,
        working_directory: None,
        patience: timeout,
    };
    let (client, started) = context.connected(launch.connect().await.map_err(CliError::from))?;
    match started {
        Some(daemon) => {
            context.console.note(&format!("started; its output goes to {}", daemon.log.display()))
        }
        None => context.console.note("a daemon is running already"),
    }
    let info = context.ask::<HostInfoMethod>(&client, Nothing {}).await?;
    context.console.show(&info, &info.socket, || table::listing(rows(&info)))
}

/// The data directory that the daemon's options or their configuration file name, else the default one; the daemon's
/// output goes there.
fn data_directory(arguments: &[OsString]) -> PathBuf {
    let mut arguments = arguments.iter();
    let mut configured = None;
    while let Some(argument) = arguments.next() {
        let Some(text) = argument.to_str() else { continue };
        if text == "--data-dir" {
            if let Some(value) = arguments.next() {
                return value.into();
            }
        } else if let Some(value) = text.strip_prefix("--data-dir=") {
            return value.into();
        } else if text == "--config" {
            configured = arguments.next().map(PathBuf::from);
        } else if let Some(value) = text.strip_prefix("--config=") {
            configured = Some(value.into());
        }
    }
    let in_environment = std::env::var_os("NBAPPS_DATA_DIR").is_some_and(|value| !value.is_empty());
    let configured = configured.filter(|_| !in_environment);
    configured.as_deref().and_then(paths::configured_data_directory).unwrap_or_else(paths::data_directory)
}

async fn stop(context: &Context, timeout: Duration, yes: bool) -> Result<(), CliError> {
    confirm::on_another_machine(context, yes, "stop the daemon, and all its applications,")?;
    let context = &context.within(timeout);
    let target = context.target()?;
    if target.reason == Reason::System {
        // Who means the system's daemon, on which others depend, names it.
        let socket = shell::word(paths::system_socket().as_os_str().as_encoded_bytes());
        context.console.note(&format!(
            "no daemon of this user is running; the system's is stopped with: nbapps --socket {socket} daemon stop"
        ));
        return Ok(());
    }
    let client = match context.connect_only().await {
        Err(CliError::Client(error)) if error.is_absent() => {
            context.console.note(&format!("no daemon is running at {}", target.address));
            return Ok(());
        }
        other => other?,
    };
    // The daemon may end before it has answered, which is what the command wants.
    let pid = match context.ask::<HostShutdown>(&client, Nothing {}).await {
        Ok(ending) => ending.pid.to_string(),
        Err(CliError::Client(ClientError::Lost { .. })) => "unknown".to_owned(),
        Err(error) => return Err(error),
    };
    let _spinner = context.console.spinner("daemon");
    match tokio::time::timeout(context.remaining(), client.closed()).await {
        Ok(()) => {
            context.console.note(&format!("the daemon (process {pid}) has stopped"));
            Ok(())
        }
        Err(_) => Err(CliError::TimedOut {
            message: format!("the daemon (process {pid}) had not stopped after {} s", timeout.as_secs()),
            hint: Some("it goes on stopping; look again with: nbapps daemon status".to_owned()),
        }),
    }
}

/// What `status` says: the daemon, and why it is the one that commands talk to.
#[derive(Debug, Serialize)]
struct Status {
    #[serde(flatten)]
    info: HostInfo,
    /// The socket or the host that commands connect to.
    address: String,
    /// Why: see [`Reason::as_str`].
    chosen_by: &'static str,
    /// The same as a sentence.
    chosen_because: String,
    /// The context by which it was chosen.
    context: Option<String>,
}

/// Prints the daemon, and why it is the one that commands talk to.
fn describe(context: &Context, info: HostInfo, target: &Target) -> Result<(), CliError> {
    let status = Status {
        info,
        address: target.address.to_string(),
        chosen_by: target.reason.as_str(),
        chosen_because: target.because(),
        context: target.context.as_ref().map(|context| context.name.to_string()),
    };
    context.console.show(&status, &status.info.socket, || {
        let chosen = format!("{}, {}", status.address, status.chosen_because);
        table::listing(std::iter::once(("Chosen", table::cell(chosen))).chain(rows(&status.info)))
    })
}

fn rows(info: &HostInfo) -> Vec<(&'static str, Cell)> {
    let mut rows = vec![
        ("Version", table::cell(format!("{} (protocol {})", info.version, info.protocol))),
        ("Process", table::cell(info.pid.to_string())),
        ("Running since", table::cell(application::time(info.started_at))),
        ("Main page", table::cell(&info.main_url)),
        ("Listens on", table::cell(&info.listen)),
        ("Socket", table::cell(&info.socket)),
        ("Data", table::cell(&info.data_directory)),
        ("Configuration", table::optional(info.config_file.as_deref())),
        ("Engine", table::cell(&info.engine)),
        (
            "Applications",
            table::cell(format!("{} beside main ({} running)", info.applications, info.running)),
        ),
    ];
    if let Some(address) = &info.metrics_listen {
        rows.insert(5, ("Metrics", table::cell(format!("http://{address}/metrics"))));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_found_among_the_daemons_options() {
        for arguments in [&["--listen", "x", "--data-dir", "/d"][..], &["--data-dir=/d"]] {
            let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
            assert_eq!(data_directory(&arguments), PathBuf::from("/d"));
        }
    }
}
