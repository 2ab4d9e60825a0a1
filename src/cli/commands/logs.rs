//! `nbapps logs`: prints the logs of applications, or their access logs.

use clap::Args;

use crate::cli::commands::log_lines::{LineOptions, Printer};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values;
use crate::protocol::methods::AppLogs;
use crate::protocol::{AppId, ReadLogs};

/// Print the logs of applications, and follow them
///
/// The lines of several applications are merged by time, and each begins with the ID of its application.
/// With --selector, those of the applications that have the labels when the command begins.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps logs crm -n 50
  nbapps logs crm shop -f
  nbapps logs --all --since 10m --level warn
  nbapps logs -l team=sales -f
  nbapps logs crm --access -f
  nbapps logs crm --since 2026-01-31T08:00:00Z -o jsonl")]
pub(crate) struct LogsArgs {
    /// The applications
    #[arg(
        value_name = "ID", required_unless_present_any = ["all", "selector"],
        conflicts_with_all = ["all", "selector"],
        value_parser = values::app_id, add = complete::existing(),
    )]
    ids: Vec<AppId>,

    /// All applications; with --follow also those that are created later
    #[arg(long, conflicts_with = "selector")]
    all: bool,

    #[command(flatten)]
    selector: SelectorOption,

    /// Print the access log: the requests that failed, or all
    ///
    /// Which requests it has is set by `nbapps update ID --access-log`, or for all applications by
    /// access of [log] in the daemon's configuration.
    #[arg(long)]
    access: bool,

    #[command(flatten)]
    lines: LineOptions,
}

impl LogsArgs {
    /// Prints the lines.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let console = &context.console;
        self.lines.check(console)?;
        let is_one = self.ids.len() == 1;
        let selection = Selection::new(self.ids, false, &self.selector);
        let client = context.connect_alone().await?;
        let ids = selection.resolve(context, &client, |_| true).await?;
        let printer = if is_one { Printer::of_one() } else { Printer::of_several(&ids) };
        let request = ReadLogs {
            id: ids.first().filter(|_| is_one).cloned(),
            ids: if is_one { Vec::new() } else { ids },
            all: self.all,
            access: self.access,
            lines: self.lines.count(),
            since: self.lines.since,
            level: self.lines.level,
            follow: self.lines.follow,
        };
        if !request.follow {
            let logs = context.ask::<AppLogs>(&client, request).await?;
            return printer.list(console, &logs);
        }
        let (logs, news) = client.follow_logs(request).await?;
        printer.follow(console, &logs, news).await
    }
}
