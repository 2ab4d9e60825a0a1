//! What start, stop and restart have in common: which applications, how long to wait, and the
//! printing of what came of it.

use std::sync::Arc;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::many;
use crate::cli::output::application;
use crate::cli::values::WaitOptions;
use crate::client::Client;
use crate::protocol::methods::Method;
use crate::protocol::{AppId, ChangeState, State, StateChanged};

/// How long and whether to wait, and whether all applications are meant.
#[derive(Debug, Args)]
pub(super) struct LifecycleOptions {
    #[command(flatten)]
    pub(super) wait: WaitOptions,
}

/// A lifecycle command in words.
pub(super) struct Verb {
    /// What is said of an application to which it was done.
    pub(super) done: &'static str,
    /// To which of all applications `--all` applies it.
    pub(super) applies: fn(State) -> bool,
}

/// Calls `M` for each application, and prints what came of it.
pub(super) async fn run<M>(
    context: &Context,
    ids: Vec<AppId>,
    all: bool,
    options: LifecycleOptions,
    verb: Verb,
) -> Result<(), CliError>
where
    M: Method<Params = ChangeState, Result = StateChanged> + 'static,
{
    let wait = options.wait.wait();
    let context = &context.within(options.wait.timeout());
    let client = context.connect().await?;
    let ids = if all { matching(context, &client, verb.applies).await? } else { ids };
    if ids.is_empty() {
        context.console.note("no application needs this");
    }
    let results = many::each(&ids, |id| {
        let (context, client) = (context.clone(), Arc::clone(&client));
        async move {
            let subject = id.clone();
            context.work::<M>(&client, ChangeState { id, wait }, subject.as_str(), wait).await
        }
    })
    .await;
    results.report(context, |changes| {
        let text = || match changes {
            [] => String::new(),
            _ => application::changed(changes, verb.done, wait.wait),
        };
        context.console.list(changes, |change| change.application.id.as_str(), text)
    })
}

/// The applications in a matching state, without the main one.
async fn matching(
    context: &Context,
    client: &Client,
    applies: fn(State) -> bool,
) -> Result<Vec<AppId>, CliError> {
    let applications = context.summaries(client, Vec::new()).await?;
    Ok(applications
        .into_iter()
        .filter(|application| !application.id.is_main() && applies(application.state))
        .map(|application| application.id)
        .collect())
}
