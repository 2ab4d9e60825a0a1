//! `nbapps wait`: waits until applications are in a state.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::many;
use crate::cli::output::{Format, application};
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values::{self, STATES};
use crate::protocol::methods::AppWait;
use crate::protocol::{AppId, State, Wait, WaitForState};

/// Wait until applications are in a state
///
/// The wait also ends, with the reason, when an application does not come into that state by itself: it is in
/// error, was stopped by an operator, or was deleted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps wait crm --for running --timeout 30s
  nbapps wait crm hr --for stopped
  nbapps wait -l team=sales --for running
  nbapps wait crm --for not_found")]
pub(crate) struct WaitArgs {
    /// The applications
    #[arg(
        value_name = "ID", required_unless_present = "selector", conflicts_with = "selector",
        value_parser = values::app_id, add = complete::existing(),
    )]
    ids: Vec<AppId>,

    #[command(flatten)]
    selector: SelectorOption,

    /// The state to wait for; not_found is that of one that is deleted or does not exist
    #[arg(long = "for", value_name = "STATE", default_value = "running", value_parser = values::word::<State>(STATES))]
    state: State,

    /// Wait at most this long
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl WaitArgs {
    /// Waits for the applications and prints them.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let context = &context.within(self.timeout);
        let client = context.connect().await?;
        let (state, timeout_ms) = (self.state, values::milliseconds(self.timeout));
        let is_for_none = state == State::NotFound;
        let selection = Selection::new(self.ids, false, &self.selector).may_be_none(is_for_none);
        let ids = selection.resolve(context, &client, |_| true).await?;
        let results = many::each(&ids, |id| {
            let (context, client) = (context.clone(), Arc::clone(&client));
            async move {
                let subject = id.clone();
                let wait = Wait { wait: true, timeout_ms };
                let request = WaitForState { id, state, timeout_ms };
                context.work::<AppWait>(&client, request, subject.as_str(), wait).await
            }
        })
        .await;
        let console = &context.console;
        results.report(
            context,
            |waited| waited.id().as_str(),
            |all| {
                if all.is_empty() {
                    return String::new();
                }
                let wide = console.format == Format::Wide;
                application::waited(all, wide, console.width())
            },
        )
    }
}
