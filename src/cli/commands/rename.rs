//! `nbapps rename`: changes an application's display name.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::application;
use crate::cli::values;
use crate::protocol::methods::AppUpdate;
use crate::protocol::{AppId, Changes, UpdateApplication};

/// Change an application's display name
///
/// The ID never changes: databases, addresses and scripts rely on it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps rename crm --name \"Customer care\"
  nbapps rename crm --name CRM -o json")]
pub(crate) struct Rename {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::deletable())]
    id: AppId,

    /// The new display name
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    name: String,
}

impl Rename {
    /// Changes the name and prints the application.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let client = context.connect().await?;
        let changes = Changes { name: Some(self.name), ..Changes::default() };
        let renamed = context.ask::<AppUpdate>(&client, UpdateApplication { id: self.id, changes }).await?;
        context
            .console
            .show(&renamed, renamed.id.as_str(), || application::details(&renamed, &context.console))
    }
}
