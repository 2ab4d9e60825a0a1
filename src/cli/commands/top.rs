//! `nbapps top`: shows what applications do, on a screen of its own.

use std::time::Duration;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::statistics::Column;
use crate::cli::output::{Format, has_whole_terminal};
use crate::cli::top::{self, TopOptions};
use crate::cli::values;

/// Show all applications and what they do, on a screen that follows them
///
/// The columns are those of nbapps stats, which its help describes. Keys sort and filter the applications, show
/// details of one, and start or stop it; ? shows them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps top
  nbapps top --sort p99 --filter shop
  nbapps --host ssh://ops@server top --interval 5s")]
pub(crate) struct Top {
    /// The time between two samples
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = values::sample_interval)]
    interval: Duration,

    /// Sort by this column at first
    #[arg(long, value_name = "COLUMN", value_enum, default_value_t = Column::Requests)]
    sort: Column,

    /// Show only applications with this text in their IDs at first
    #[arg(long, value_name = "TEXT", default_value_t, hide_default_value = true)]
    filter: String,
}

impl Top {
    /// Shows the screen.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        if context.console.format != Format::Table {
            return Err(CliError::usage(
                "top shows a screen, which has no other format",
                "as data: nbapps stats --watch -o jsonl",
            ));
        }
        if !has_whole_terminal() {
            return Err(CliError::usage(
                "top needs a terminal for its screen and for the keys",
                "without one: nbapps stats --watch",
            ));
        }
        let Self { interval, sort, filter } = self;
        top::run(context, TopOptions { interval, sort, filter: filter.to_ascii_lowercase() }).await
    }
}
