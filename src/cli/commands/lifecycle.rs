//! The common part of start, stop and restart: the applications, how long to wait, and printing the results.

use std::sync::Arc;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::many;
use crate::cli::output::application;
use crate::cli::selection::Selection;
use crate::cli::values::WaitOptions;
use crate::protocol::methods::Method;
use crate::protocol::{ChangeState, State, StateChanged};

/// The options: whether and how long to wait, and whether to apply the command to all applications.
#[derive(Debug, Args)]
pub(super) struct LifecycleOptions {
    #[command(flatten)]
    pub(super) wait: WaitOptions,
}

/// A lifecycle command.
pub(super) struct Verb {
    /// The new state, for the result of an application.
    pub(super) done: &'static str,
    /// The states of applications to which `--all` and `--selector` apply.
    pub(super) applies: fn(State) -> bool,
}

/// Calls `M` for each application, and prints the results.
pub(super) async fn run<M>(
    context: &Context,
    selection: Selection,
    options: LifecycleOptions,
    verb: Verb,
) -> Result<(), CliError>
where
    M: Method<Params = ChangeState, Result = StateChanged> + 'static,
{
    let wait = options.wait.wait();
    let context = &context.within(options.wait.timeout());
    let client = context.connect().await?;
    let ids = selection.without_main().resolve(context, &client, verb.applies).await?;
    let results = many::each(&ids, |id| {
        let (context, client) = (context.clone(), Arc::clone(&client));
        async move {
            let subject = id.clone();
            context.work::<M>(&client, ChangeState { id, wait }, subject.as_str(), wait).await
        }
    })
    .await;
    results.report(
        context,
        |change| change.application.id.as_str(),
        |changes| match changes {
            [] => String::new(),
            _ => application::changed(changes, verb.done, wait.wait, context.console.width()),
        },
    )
}
