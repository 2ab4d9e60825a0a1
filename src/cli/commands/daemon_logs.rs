//! `nbapps daemon logs`: prints the daemon's own log.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::log_lines::{LineOptions, Printer};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::client::{Address, daemon_log, paths};
use crate::protocol::ReadHostLogs;
use crate::protocol::methods::HostLogs;

/// Print the daemon's own log, and follow it
///
/// Asks the daemon. When none is running, reads the log in the data directory: why a daemon did not
/// start is in it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps daemon logs -n 50
  nbapps daemon logs -f
  nbapps daemon logs --since 10m --level warn
  nbapps daemon logs --data-dir /srv/nbapps")]
pub(crate) struct DaemonLogs {
    #[command(flatten)]
    lines: LineOptions,

    /// Read the log of the daemon of this data directory, when none is running [default: the
    /// daemon's default]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    data_dir: Option<PathBuf>,
}

impl DaemonLogs {
    /// Prints the lines.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let console = &context.console;
        self.lines.check(console)?;
        let request = ReadHostLogs {
            lines: self.lines.count(),
            since: self.lines.since,
            level: self.lines.level,
            follow: self.lines.follow,
        };
        let client = match context.connect_only().await {
            Err(CliError::Client(error))
                if error.is_absent() && matches!(context.address(), Ok(Address::Socket(_))) =>
            {
                let directory = self.data_dir.unwrap_or_else(paths::data_directory);
                // What does not run cannot be followed.
                return match print_file(context, &directory, &request)? {
                    true if !request.follow => Ok(()),
                    _ => Err(error.into()),
                };
            }
            other => other?,
        };
        if !request.follow {
            let logs = context.ask::<HostLogs>(&client, request).await?;
            return Printer::of_one().list(console, &logs);
        }
        let (logs, news) = client.follow_host_logs(request).await?;
        Printer::of_one().follow(console, &logs, news).await
    }
}

/// Prints the log of a daemon that does not run; gives whether it can be read.
fn print_file(context: &Context, directory: &Path, request: &ReadHostLogs) -> Result<bool, CliError> {
    let (console, path) = (&context.console, daemon_log::path(directory));
    match daemon_log::read(directory, request) {
        Ok(logs) => {
            console.note(&format!("no daemon is running; this is the log in {}", path.display()));
            Printer::of_one().list(console, &logs)?;
            Ok(true)
        }
        Err(error) => {
            console.note(&format!(
                "the log in {} cannot be read: {error}; name another data directory with --data-dir, or \
                 look at that of a system service with: journalctl -u nbappsd",
                path.display()
            ));
            Ok(false)
        }
    }
}
