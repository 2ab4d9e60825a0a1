//! `nbapps list`: the applications, or the deleted ones.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{Format, application};
use crate::cli::values::{self, STATES};
use crate::protocol::{ListApplications, State};

/// List the applications
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps list
  nbapps list --state error -o wide
  nbapps list --deleted
  nbapps list -o json | jq -r '.[] | select(.protected | not) | .id'
  nbapps stop $(nbapps list --state running -o name | grep '^test-')")]
pub(crate) struct List {
    /// List the deleted ones that can be undeleted, instead
    #[arg(long)]
    deleted: bool,

    /// Only those in this state; may be given several times
    #[arg(long = "state", value_name = "STATE", value_parser = values::word::<State>(STATES))]
    states: Vec<State>,
}

impl List {
    /// Prints them.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let (deleted, filtered) = (self.deleted, !self.states.is_empty());
        let client = context.connect().await?;
        let request = ListApplications {
            deleted,
            states: self.states,
            sizes: context.console.format == Format::Wide,
            after: None,
        };
        let applications = context.list(&client, request).await?;
        let console = &context.console;
        if applications.is_empty() && console.is_for_people() {
            console.note(match (deleted, filtered) {
                (true, _) => "no deleted application is kept",
                (false, true) => "no application is in such a state",
                (false, false) => "there is no application yet; make one with: nbapps create ID --start",
            });
            return Ok(());
        }
        let wide = console.format == Format::Wide;
        console.list(
            &applications,
            |application| application.id.as_str(),
            || match deleted {
                true => application::deleted_list(&applications),
                false => application::list(&applications, wide),
            },
        )
    }
}
