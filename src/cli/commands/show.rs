//! `nbapps show`: shows an application with all its settings.

use clap::Args;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::application;
use crate::cli::values;
use crate::protocol::methods::AppGet;
use crate::protocol::{AppId, OneApplication};

/// Show one application with all its settings
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps show crm
  nbapps show crm -o json | jq -r .url")]
pub(crate) struct Show {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,
}

impl Show {
    /// Prints the application.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let client = context.connect().await?;
        let shown = context.ask::<AppGet>(&client, OneApplication { id: self.id }).await?;
        context.console.show(&shown, shown.id.as_str(), || application::details(&shown, &context.console))
    }
}
