//! `nbapps daemon prefetch`: asks the daemon of another machine ahead of completion, and keeps the answer.
//!
//! Completion runs it in the background. It asks nobody for a password, and prints nothing that anybody would read.

use std::time::Duration;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::far_answers::FarAnswer;
use crate::client::{Address, Client, SshHost};
use crate::protocol::methods::{
    AppList, AppSummaries, KeyListMethod, Method, OperationListMethod, UserListMethod,
};

/// How long everything may take.
const PREFETCH_TIMEOUT: Duration = Duration::from_secs(20);

/// Asks, and keeps the answer or that there was none.
pub(super) async fn run(context: &Context, method: &str, params: String) -> Result<(), CliError> {
    // Whatever `ssh` asks must not appear at the prompt of a shell. It fails where there is no terminal anyway.
    let _ = rustix::process::setsid();
    let Address::Ssh(host) = context.address()? else {
        return Err(CliError::usage("no other machine is named", "name it with --host"));
    };
    match method {
        AppSummaries::NAME => prefetch::<AppSummaries>(&host, params).await,
        AppList::NAME => prefetch::<AppList>(&host, params).await,
        UserListMethod::NAME => prefetch::<UserListMethod>(&host, params).await,
        KeyListMethod::NAME => prefetch::<KeyListMethod>(&host, params).await,
        OperationListMethod::NAME => prefetch::<OperationListMethod>(&host, params).await,
        _ => Err(CliError::usage(format!("completion does not use {method}"), "name a method of completion")),
    }
}

async fn prefetch<M: Method>(host: &SshHost, params: String) -> Result<(), CliError> {
    let failed = |error| CliError::Io { what: "cannot write the cache of completion".to_owned(), error };
    let parsed: M::Params = serde_json::from_str(&params)
        .map_err(|error| CliError::usage(format!("{params}: {error}"), "give the parameters as JSON"))?;
    let Some(answer) = FarAnswer::of(host, M::NAME, params) else { return Ok(()) };
    let Some(asking) = answer.begin().map_err(failed)? else { return Ok(()) };
    let ask = async {
        let client = Client::connect_through(host.unattended_command(), host.to_string()).await?;
        client.call::<M>(parsed).await
    };
    let answered = tokio::time::timeout(PREFETCH_TIMEOUT, ask).await;
    let text = answered.ok().and_then(Result::ok).and_then(|answer| serde_json::to_string(&answer).ok());
    asking.end(text.as_deref()).map_err(failed)
}
