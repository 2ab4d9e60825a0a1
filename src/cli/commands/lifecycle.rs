//! The common part of start, stop and restart: the applications, how long to wait, and printing the results.

use std::sync::Arc;

use clap::Args;

use crate::cli::confirm;
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
    /// What `--all` takes away while it is done, as a verb: asked about first on another machine.
    pub(super) interrupts: Option<Interrupts>,
}

/// A command that takes applications from their users.
pub(super) struct Interrupts {
    /// The command, as an infinitive.
    pub(super) verb: &'static str,
    /// Whether it was confirmed on the command line.
    pub(super) yes: bool,
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
    let unbounded = context;
    let mut context = &unbounded.within(options.wait.timeout());
    let client = context.connect().await?;
    let is_broad = !selection.is_by_name();
    let ids = selection.without_main().resolve(context, &client, verb.applies).await?;
    let after_answer;
    if let (true, false, Some(Interrupts { verb, yes })) = (is_broad, ids.is_empty(), verb.interrupts) {
        let what = if ids.len() == 1 { "application" } else { "applications" };
        confirm::on_another_machine(context, yes, &format!("{verb} {} {what}", ids.len()))?;
        // The time of the answer does not count.
        after_answer = unbounded.within(options.wait.timeout());
        context = &after_answer;
    }
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
