//! `nbapps show`: shows applications with all their settings.

use std::sync::Arc;

use clap::Args;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::many;
use crate::cli::output::application;
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values;
use crate::protocol::methods::AppGet;
use crate::protocol::{AppId, OneApplication};

/// Show applications with all their settings
///
/// As JSON and YAML, one ID gives an object; several IDs, --selector and --all give an array.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps show crm
  nbapps show crm hr
  nbapps show -l team=sales
  nbapps show crm -o json | jq -r .url")]
pub(crate) struct Show {
    /// The applications
    #[arg(
        value_name = "ID", required_unless_present_any = ["all", "selector"],
        conflicts_with_all = ["all", "selector"],
        value_parser = values::app_id, add = complete::existing(),
    )]
    ids: Vec<AppId>,

    /// All applications
    #[arg(long, conflicts_with = "selector")]
    all: bool,

    #[command(flatten)]
    selector: SelectorOption,
}

impl Show {
    /// Prints the applications.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let selection = Selection::new(self.ids, self.all, &self.selector);
        let client = context.connect().await?;
        if let Some(id) = selection.single() {
            let shown = context.ask::<AppGet>(&client, OneApplication { id: id.clone() }).await?;
            return context
                .console
                .show(&shown, shown.id.as_str(), || application::details(&shown, &context.console));
        }
        let ids = selection.resolve(context, &client, |_| true).await?;
        let results = many::each(&ids, |id| {
            let (context, client) = (context.clone(), Arc::clone(&client));
            async move { context.ask::<AppGet>(&client, OneApplication { id }).await }
        })
        .await;
        results.report(
            context,
            |shown| shown.id.as_str(),
            |shown| application::details_of_all(shown, &context.console),
        )
    }
}
