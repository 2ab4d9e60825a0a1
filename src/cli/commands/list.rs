//! `nbapps list`: lists the applications, or the deleted ones.

use clap::Args;
use serde::Serialize;

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
    /// List deleted applications that can be undeleted
    #[arg(long)]
    deleted: bool,

    /// List only applications in this state; may be given several times
    #[arg(long = "state", value_name = "STATE", value_parser = values::word::<State>(STATES))]
    states: Vec<State>,
}

/// Prints the applications, or a note when there are none.
fn print<T: Serialize>(
    context: &Context,
    found: &[T],
    none: &str,
    name: impl Fn(&T) -> &str,
    text: impl FnOnce() -> String,
) -> Result<(), CliError> {
    let console = &context.console;
    if found.is_empty() && console.is_for_people() {
        console.note(none);
        return Ok(());
    }
    console.list(found, name, text)
}

impl List {
    /// Prints the list.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let (deleted, format) = (self.deleted, context.console.format);
        let none = match (deleted, self.states.is_empty()) {
            (true, _) => "there are no deleted applications",
            (false, false) => "no application is in this state",
            (false, true) => "there are no applications yet; create one with: nbapps create ID --start",
        };
        let client = context.connect().await?;
        if !deleted && matches!(format, Format::Table | Format::Name) {
            let applications = context.summaries(&client, self.states).await?;
            let text = || application::summaries(&applications, context.console.width());
            return print(context, &applications, none, |application| application.id.as_str(), text);
        }
        let sizes = format == Format::Wide;
        let request = ListApplications { deleted, states: self.states, sizes, after: None };
        let applications = context.list(&client, request).await?;
        let text = || match deleted {
            true => application::deleted_list(&applications, context.console.width()),
            false => {
                let all: Vec<_> = applications.iter().collect();
                application::list(&all, true, context.console.width())
            }
        };
        print(context, &applications, none, |application| application.id.as_str(), text)
    }
}
