//! Runs a command on several applications concurrently, and reports each result.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use crate::protocol::AppId;

/// The most applications at a time.
const AT_ONCE: usize = 16;

/// The results for several applications, in the order of the command line.
#[derive(Debug)]
pub(crate) struct Results<T> {
    done: Vec<T>,
    failed: Vec<CliError>,
}

/// Runs `work` for each of `ids`. A failure does not stop the others, and duplicate IDs count once.
pub(crate) async fn each<T, F>(ids: &[AppId], work: impl Fn(AppId) -> F) -> Results<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CliError>> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    let mut seen = HashSet::new();
    for (position, id) in ids.iter().filter(|id| seen.insert(*id)).enumerate() {
        let (turns, work) = (Arc::clone(&turns), work(id.clone()));
        tasks.spawn(async move {
            // The semaphore is never closed; without a permit the work would run all the same.
            let _turn = turns.acquire().await;
            (position, work.await)
        });
    }
    let mut ended = Vec::with_capacity(tasks.len());
    while let Some(task) = tasks.join_next().await {
        match task {
            Ok(result) => ended.push(result),
            Err(error) => {
                let error = std::io::Error::other(error);
                ended.push((
                    usize::MAX,
                    Err(CliError::Io { what: "a task of nbapps ended".to_owned(), error }),
                ));
            }
        }
    }
    ended.sort_by_key(|(position, _)| *position);
    let mut results = Results { done: Vec::new(), failed: Vec::new() };
    for (_, result) in ended {
        match result {
            Ok(done) => results.done.push(done),
            Err(error) => results.failed.push(error),
        }
    }
    results
}

impl<T> Results<T> {
    /// Prints the results with `print`, then each failure, and returns the most severe one.
    pub(crate) fn report(
        mut self,
        context: &Context,
        print: impl FnOnce(&[T]) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        if !self.done.is_empty() || self.failed.is_empty() {
            print(&self.done)?;
        }
        if self.done.is_empty() && self.failed.len() == 1 {
            // The error of a single application is the command's.
            return self.failed.pop().map_or(Ok(()), Err);
        }
        for error in &self.failed {
            context.console.error(error);
        }
        match Exit::worst(self.failed.iter().map(CliError::exit)) {
            Exit::Done => Ok(()),
            exit => Err(CliError::Reported(exit)),
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
        let end = results.report(&context, |done| {
            printed = done.to_vec();
            Ok(())
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
        assert_eq!(results.done, many);
    }
}
