//! `nbapps stop`: stops applications; visits do not start them.

use clap::Args;

use super::lifecycle::{self, Interrupts, LifecycleOptions, Verb};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values;
use crate::protocol::methods::AppStop;
use crate::protocol::{AppId, State};

/// Stop applications; visits do not start them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps stop crm hr
  nbapps stop --all
  nbapps stop -l team=sales,env!=prod
  nbapps stop crm --no-wait")]
pub(crate) struct Stop {
    /// The applications
    #[arg(
        value_name = "ID", required_unless_present_any = ["all", "selector"], conflicts_with_all = ["all", "selector"],
        value_parser = values::app_id, add = complete::stoppable(),
    )]
    ids: Vec<AppId>,

    /// All applications that are not stopped, but the main one
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

impl Stop {
    /// Stops the applications and prints the results.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let selection = Selection::new(self.ids, self.all, &self.selector);
        let interrupts = Some(Interrupts { verb: "stop", yes: self.yes });
        let verb = Verb { done: "stopped", applies: |state| state != State::Stopped, interrupts };
        lifecycle::run::<AppStop>(context, selection, self.options, verb).await
    }
}
