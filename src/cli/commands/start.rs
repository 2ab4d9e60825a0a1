//! `nbapps start`: starts applications.

use clap::Args;

use super::lifecycle::{self, LifecycleOptions, Verb};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values;
use crate::protocol::methods::AppStart;
use crate::protocol::{AppId, State};

/// Start applications
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps start crm hr
  nbapps start --all
  nbapps start -l team=sales,env!=prod
  nbapps start crm --timeout 10s")]
pub(crate) struct Start {
    /// The applications
    #[arg(
        value_name = "ID", required_unless_present_any = ["all", "selector"], conflicts_with_all = ["all", "selector"],
        value_parser = values::app_id, add = complete::startable(),
    )]
    ids: Vec<AppId>,

    /// All applications that are not running
    #[arg(long, conflicts_with = "selector")]
    all: bool,

    #[command(flatten)]
    selector: SelectorOption,

    #[command(flatten)]
    options: LifecycleOptions,
}

impl Start {
    /// Starts the applications and prints the results.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let selection = Selection::new(self.ids, self.all, &self.selector);
        let verb = Verb { done: "started", applies: |state| state != State::Running, interrupts: None };
        lifecycle::run::<AppStart>(context, selection, self.options, verb).await
    }
}
