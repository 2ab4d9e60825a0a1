//! Runs a command on several applications concurrently, and reports each result.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output::Format;
use crate::protocol::{AppId, ErrorKind};

/// The most applications at a time.
const AT_ONCE: usize = 16;

/// The results for several applications, in the order of the command line.
#[derive(Debug)]
pub(crate) struct Results<T> {
    all: Vec<(AppId, Result<T, CliError>)>,
}

/// The result for one application, as data.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Shown<'a, T> {
    Done(&'a T),
    Failed { id: &'a AppId, error: Failure },
}

/// Why the command failed for an application.
#[derive(Debug, Serialize)]
struct Failure {
    /// The kind of the daemon's error; absent when the daemon did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<ErrorKind>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The exit code that the error leads to.
    exit_code: u8,
}

/// The IDs without duplicates, in their order.
pub(crate) fn unique(ids: &[AppId]) -> Vec<AppId> {
    let mut seen = HashSet::new();
    ids.iter().filter(|id| seen.insert(*id)).cloned().collect()
}

/// Runs `work` for each of `ids`. A failure does not stop the others, and duplicate IDs count once.
pub(crate) async fn each<T, F>(ids: &[AppId], work: impl Fn(AppId) -> F) -> Results<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CliError>> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    let unique = unique(ids);
    for (position, id) in unique.iter().enumerate() {
        let (turns, work) = (Arc::clone(&turns), work(id.clone()));
        tasks.spawn(async move {
            // The semaphore is never closed; without a permit the work would run all the same.
            let _turn = turns.acquire().await;
            (position, work.await)
        });
    }
    let mut ended: HashMap<usize, Result<T, CliError>> = HashMap::new();
    while let Some(task) = tasks.join_next().await {
        // A task that panicked leaves no result.
        ended.extend(task.ok());
    }
    let result = |position| {
        ended.remove(&position).unwrap_or_else(|| {
            let error = std::io::Error::other("it panicked");
            Err(CliError::Io { what: "a task of nbapps ended".to_owned(), error })
        })
    };
    let all = unique.into_iter().zip((0..).map(result)).collect();
    Results { all }
}

impl<T> Results<T> {
    /// All results, in the order of the IDs.
    pub(crate) fn into_all(self) -> Vec<(AppId, Result<T, CliError>)> {
        self.all
    }
}

impl<T: Serialize> Results<T> {
    /// Puts the errors of applications on which nothing was run before the results.
    pub(crate) fn beside(mut self, failed: Vec<(AppId, CliError)>) -> Self {
        self.all.splice(0..0, failed.into_iter().map(|(id, error)| (id, Err(error))));
        self
    }

    /// Prints the results, then each failure, and returns the most severe one. As data, failures are among the
    /// results, each with its ID; `name` is the name of a result, and `text` formats the results for people.
    pub(crate) fn report(
        self,
        context: &Context,
        name: impl Fn(&T) -> &str,
        text: impl FnOnce(&[&T]) -> String,
    ) -> Result<(), CliError> {
        let console = &context.console;
        let done: Vec<&T> = self.all.iter().filter_map(|(_, result)| result.as_ref().ok()).collect();
        if matches!(console.format, Format::Json | Format::Jsonl | Format::Yaml) {
            let shown: Vec<Shown<'_, T>> = self.all.iter().map(|(id, result)| shown(id, result)).collect();
            console.list(&shown, |_| "", String::new)?;
        } else if !done.is_empty() || self.all.is_empty() {
            console.list(&done, |done| name(done), || text(&done))?;
        }
        let is_single = self.all.len() == 1;
        let mut failed: Vec<CliError> = self.all.into_iter().filter_map(|(_, result)| result.err()).collect();
        if is_single {
            // The error of a single application is the command's.
            return failed.pop().map_or(Ok(()), Err);
        }
        for error in &failed {
            console.error(error);
        }
        match Exit::worst(failed.iter().map(CliError::exit)) {
            Exit::Done => Ok(()),
            exit => Err(CliError::Reported(exit)),
        }
    }
}

fn shown<'a, T>(id: &'a AppId, result: &'a Result<T, CliError>) -> Shown<'a, T> {
    match result {
        Ok(done) => Shown::Done(done),
        Err(error) => {
            let kind = match error {
                CliError::Client(error) => error.kind(),
                _ => None,
            };
            let exit_code = error.exit() as u8;
            Shown::Failed {
                id,
                error: Failure { kind, message: error.to_string(), hint: error.hint(), exit_code },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::context::GlobalOptions;
    use crate::protocol::RpcError;

    fn ids(texts: &[&str]) -> Vec<AppId> {
        texts.iter().map(|text| AppId::parse(text).unwrap()).collect()
    }

    #[tokio::test]
    async fn one_that_fails_stops_no_other() {
        let results = each(&ids(&["crm", "gone", "hr", "crm"]), |id| async move {
            if id.as_str() == "gone" { Err(RpcError::app_not_found("gone").into()) } else { Ok(id) }
        })
        .await;
        let context = Context::new(GlobalOptions { quiet: true, ..GlobalOptions::default() });
        let mut printed = Vec::new();
        let end = results.report(&context, AppId::as_str, |done| {
            printed = done.iter().map(|id| (*id).clone()).collect();
            String::new()
        });
        assert_eq!(printed, ids(&["crm", "hr"]));
        assert!(matches!(end, Err(CliError::Reported(Exit::NotFound))));
    }

    #[tokio::test]
    async fn more_than_have_a_turn_at_once_are_done() {
        let many: Vec<_> = (0..100).map(|number| AppId::parse(&format!("a{number}")).unwrap()).collect();
        let results = each(&many, |id| async move {
            tokio::task::yield_now().await;
            Ok(id)
        })
        .await;
        let done: Vec<_> = results.all.into_iter().filter_map(|(_, result)| result.ok()).collect();
        assert_eq!(done, many);
    }
}
