//! `nbapps operation`: shows lifecycle commands, which go on when their client disconnects.

use std::time::Duration;

use chrono::Utc;
use clap::{Args, Subcommand};

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::table::Fit;
use crate::cli::output::{Console, Format, application, table};
use crate::cli::{complete, values};
use crate::protocol::methods::{OperationGet, OperationListMethod, OperationWait};
use crate::protocol::{Nothing, OneOperation, Operation, Wait};

/// List, show and wait for operations: running creations, starts, stops and deletions
///
/// A creation that was interrupted goes on; once it is done, show and wait print the generated password of the first
/// user, once, to the user who began it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps operation list
  nbapps operation wait \\
    $(nbapps create crm --no-wait -o json | jq -r .operation)")]
pub(crate) struct OperationArgs {
    #[command(subcommand)]
    command: OperationCommand,
}

#[derive(Debug, Subcommand)]
enum OperationCommand {
    /// List the running operations and the last that ended
    #[command(visible_alias = "ls")]
    List,
    /// Show one operation
    #[command(alias = "get")]
    Show {
        /// The operation
        #[arg(value_name = "OPERATION", add = complete::operations())]
        id: String,
    },
    /// Wait for the end of an operation, and fail if it failed
    Wait {
        /// The operation
        #[arg(value_name = "OPERATION", add = complete::operations())]
        id: String,
        /// Wait at most this long
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
        timeout: Duration,
    },
}

impl OperationArgs {
    /// Prints the operations.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let bounded = match &self.command {
            OperationCommand::Wait { timeout, .. } => Some(context.within(*timeout)),
            OperationCommand::List | OperationCommand::Show { .. } => None,
        };
        let context = bounded.as_ref().unwrap_or(context);
        let client = context.connect().await?;
        let console = &context.console;
        match self.command {
            OperationCommand::List => {
                let list = context.ask::<OperationListMethod>(&client, Nothing {}).await?.operations;
                if list.is_empty() && console.is_for_people() {
                    console.note("no operation is running, and none has ended lately");
                    return Ok(());
                }
                let wide = console.format == Format::Wide;
                console.list(&list, |operation| operation.id.as_str(), || columns(&list, wide))
            }
            OperationCommand::Show { id } => {
                let request = OneOperation { id, wait: Wait::default() };
                let shown = context.ask::<OperationGet>(&client, request).await?;
                show(console, &shown)
            }
            OperationCommand::Wait { id, timeout } => {
                let subject = id.clone();
                let wait = Wait { wait: true, timeout_ms: values::milliseconds(timeout) };
                let request = OneOperation { id, wait };
                let ended = context.work::<OperationWait>(&client, request, &subject, wait).await?;
                show(console, &ended)?;
                ended.error.map_or(Ok(()), |error| Err(error.into()))
            }
        }
    }
}

/// Prints one operation. The password in it is shown only now.
fn show(console: &Console, operation: &Operation) -> Result<(), CliError> {
    console.show(operation, &operation.id, || details(operation))?;
    if operation.admin.is_some() {
        application::note_hidden_password(console);
    }
    Ok(())
}

fn took(operation: &Operation) -> String {
    let end = operation.finished_at.unwrap_or_else(Utc::now);
    let milliseconds = (end - operation.started_at).num_milliseconds().max(0).unsigned_abs();
    humantime::format_duration(Duration::from_millis(milliseconds)).to_string()
}

fn columns(operations: &[Operation], wide: bool) -> String {
    let rows = operations.iter().map(|operation| {
        let mut row = vec![
            table::cell(&operation.id),
            table::cell(&operation.method),
            table::cell(operation.app.as_str()),
            table::cell(operation.outcome.as_str()),
            table::cell(application::time(operation.started_at)),
        ];
        if wide {
            row.push(table::cell(took(operation)));
            row.push(table::optional(operation.error.as_ref().map(|error| &error.message)));
        }
        row
    });
    let heading = ["OPERATION", "METHOD", "APPLICATION", "OUTCOME", "BEGAN", "TOOK", "ERROR"];
    table::columns(if wide { &heading } else { &heading[..5] }, rows, Fit::WHOLE)
}

fn details(operation: &Operation) -> String {
    let mut pairs = vec![
        ("Operation", table::cell(&operation.id)),
        ("Method", table::cell(&operation.method)),
        ("Application", table::cell(operation.app.as_str())),
        ("Outcome", table::cell(operation.outcome.as_str())),
        ("Began", table::cell(application::time(operation.started_at))),
        ("Ended", table::optional(operation.finished_at.map(application::time))),
    ];
    if let Some(error) = &operation.error {
        pairs.push(("Error", table::cell(&error.message)));
        pairs.push(("Kind", table::cell(error.kind().as_str())));
    }
    pairs.extend(operation.admin.iter().flat_map(application::first_user));
    table::listing(pairs)
}
