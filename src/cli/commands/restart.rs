//! `nbapps restart`: restarts applications.

use clap::Args;

use super::lifecycle::{self, Interrupts, LifecycleOptions, Verb};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values;
use crate::protocol::methods::AppRestart;
use crate::protocol::{AppId, State};

/// Stop applications, if they are running, and start them
///
/// With --all and --selector, only those that are running.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps restart crm
  nbapps restart --all
  nbapps restart -l team=sales,env!=prod")]
pub(crate) struct Restart {
    /// The applications
    #[arg(
        value_name = "ID", required_unless_present_any = ["all", "selector"], conflicts_with_all = ["all", "selector"],
        value_parser = values::app_id, add = complete::existing(),
    )]
    ids: Vec<AppId>,

    /// All running applications, but the main one
    #[arg(long, conflicts_with = "selector")]
    all: bool,

    /// Do not ask; only --all on another machine asks, at a terminal
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    selector: SelectorOption,

    #[command(flatten)]
    options: LifecycleOptions,
}

impl Restart {
    /// Restarts the applications and prints the results.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let selection = Selection::new(self.ids, self.all, &self.selector);
        let interrupts = Some(Interrupts { verb: "restart", yes: self.yes });
        let verb = Verb { done: "restarted", applies: |state| state == State::Running, interrupts };
        lifecycle::run::<AppRestart>(context, selection, self.options, verb).await
    }
}
