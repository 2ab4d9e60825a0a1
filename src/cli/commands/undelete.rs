//! `nbapps undelete`: restores deleted applications.

use std::sync::Arc;

use clap::Args;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::many;
use crate::cli::output::{Format, application};
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values;
use crate::protocol::methods::AppUndelete;
use crate::protocol::{AppId, OneApplication};

/// Restore deleted applications
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps list --deleted
  nbapps undelete crm
  nbapps undelete -l team=sales")]
pub(crate) struct Undelete {
    /// The deleted applications
    #[arg(
        value_name = "ID", required_unless_present = "selector", conflicts_with = "selector",
        value_parser = values::app_id, add = complete::deleted(),
    )]
    ids: Vec<AppId>,

    #[command(flatten)]
    selector: SelectorOption,
}

impl Undelete {
    /// Restores the applications and prints them.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let client = context.connect().await?;
        let selection = Selection::new(self.ids, false, &self.selector);
        let ids = selection.resolve_deleted(context, &client).await?;
        let results = many::each(&ids, |id| {
            let (context, client) = (context.clone(), Arc::clone(&client));
            async move { context.ask::<AppUndelete>(&client, OneApplication { id }).await }
        })
        .await;
        let console = &context.console;
        results.report(
            context,
            |application| application.id.as_str(),
            |applications| application::list(applications, console.format == Format::Wide, console.width()),
        )
    }
}
