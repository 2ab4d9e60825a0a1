//! Runs commands as operations, which continue when their client disconnects. Another client can find them and
//! wait for them.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::protocol::{AppId, ErrorKind, Operation, OperationState, RpcError, Wait, wait_hint};

/// How many operations are listed. Of more, the oldest that have ended are forgotten.
const MAX_KNOWN: usize = 1000;

/// The operations in progress, and the last ones that have ended.
#[derive(Debug, Default)]
pub struct Operations {
    known: Mutex<VecDeque<watch::Receiver<Operation>>>,
    tasks: TaskTracker,
}

/// The result of an operation for the client that began it.
#[derive(Debug)]
pub enum OperationOutcome<T> {
    /// It succeeded while the client waited.
    Done(T),
    /// The client does not wait for it.
    Detached,
}

impl Operations {
    /// Runs `work` in a task of its own, and waits for it as `wait` says. Returns the operation's ID and the
    /// outcome. `work` always runs to completion, also if the caller is dropped.
    ///
    /// # Errors
    /// The error of `work`; `timeout` if it takes longer than the client waits; `shutting_down` after
    /// [`Self::close`].
    pub fn run<T: Send + 'static>(
        &self,
        method: &str,
        app: &AppId,
        wait: Wait,
        work: impl Future<Output = Result<T, RpcError>> + Send + 'static,
    ) -> impl Future<Output = Result<(String, OperationOutcome<T>), RpcError>> {
        self.run_as(Self::new_id(), method, app, wait, work)
    }

    /// The ID for an operation that is yet to begin.
    pub fn new_id() -> String {
        uuid::Uuid::new_v4().to_string()
    }

    /// Runs `work` as [`Operations::run`] does, as the operation of this ID.
    pub async fn run_as<T: Send + 'static>(
        &self,
        id: String,
        method: &str,
        app: &AppId,
        wait: Wait,
        work: impl Future<Output = Result<T, RpcError>> + Send + 'static,
    ) -> Result<(String, OperationOutcome<T>), RpcError> {
        if self.tasks.is_closed() {
            return Err(RpcError::new(
                ErrorKind::ShuttingDown,
                "the daemon is shutting down and accepts no more commands",
            ));
        }
        let operation = Operation {
            id: id.clone(),
            method: method.to_owned(),
            app: app.clone(),
            outcome: OperationState::Running,
            started_at: crate::protocol::now(),
            finished_at: None,
            error: None,
            admin: None,
        };
        let (sender, receiver) = watch::channel(operation);
        self.remember(receiver);
        // What is logged on the way, a panic too, belongs to the application.
        let span = tracing::error_span!("operation", %app, method, operation = id);
        let work = async move {
            let result = work.await;
            if let Err(error) = &result {
                log_failure(error);
            }
            sender.send_modify(|operation| {
                operation.finished_at = Some(crate::protocol::now());
                operation.error = result.as_ref().err().cloned();
                operation.outcome = match result {
                    Ok(_) => OperationState::Done,
                    Err(_) => OperationState::Failed,
                };
            });
            result
        };
        let task = self.tasks.spawn(work.instrument(span));
        if !wait.wait {
            return Ok((id, OperationOutcome::Detached));
        }
        match tokio::time::timeout(Duration::from_millis(wait.timeout_ms), task).await {
            Ok(Ok(result)) => Ok((id, OperationOutcome::Done(result?))),
            Ok(Err(panic)) => Err(RpcError::new(
                ErrorKind::Internal,
                format!("{method} of \"{app}\" failed inside the daemon: {panic}"),
            )
            .hint("its log has the details; please report it")),
            Err(_) => Err(timed_out(method, app, &id, wait)),
        }
    }

    fn remember(&self, operation: watch::Receiver<Operation>) {
        let mut known = self.known.lock();
        while known.len() >= MAX_KNOWN {
            // An operation in progress is never forgotten.
            let Some(oldest) = known.iter().position(|known| known.borrow().finished_at.is_some()) else {
                break;
            };
            known.remove(oldest);
        }
        known.push_back(operation);
    }

    /// Lists the known operations, oldest first.
    pub fn list(&self) -> Vec<Operation> {
        self.known.lock().iter().map(|known| known.borrow().clone()).collect()
    }

    /// Returns an operation.
    pub fn get(&self, id: &str) -> Result<Operation, RpcError> {
        self.find(id).map(|known| known.borrow().clone())
    }

    /// Waits until an operation ends.
    pub async fn wait(&self, id: &str, wait: Wait) -> Result<Operation, RpcError> {
        let mut known = self.find(id)?;
        let ended = known.wait_for(|operation| operation.finished_at.is_some());
        match tokio::time::timeout(Duration::from_millis(wait.timeout_ms), ended).await {
            Ok(Ok(operation)) => Ok(operation.clone()),
            // The task panicked.
            Ok(Err(_)) => {
                Err(RpcError::new(ErrorKind::Internal, format!("operation {id} failed inside the daemon")))
            }
            Err(_) => {
                let operation = self.get(id)?;
                Err(timed_out(&operation.method, &operation.app, id, wait))
            }
        }
    }

    /// An operation on this application that is under way; [`ended`] waits for its end.
    pub(super) fn under_way(&self, app: &AppId) -> Option<watch::Receiver<Operation>> {
        let is_under_way = |known: &&watch::Receiver<Operation>| {
            let operation = known.borrow();
            // The sender of one that panicked is gone.
            operation.app == *app && operation.finished_at.is_none() && known.has_changed().is_ok()
        };
        self.known.lock().iter().find(is_under_way).cloned()
    }

    fn find(&self, id: &str) -> Result<watch::Receiver<Operation>, RpcError> {
        self.known.lock().iter().find(|known| known.borrow().id == id).cloned().ok_or_else(|| {
            RpcError::new(ErrorKind::OperationNotFound, format!("there is no operation \"{id}\""))
                .hint("list the known operations with: nbapps operation list")
        })
    }

    /// Accepts no more operations, and waits for those in progress.
    pub async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Waits until an operation is no longer under way.
pub(super) async fn ended(mut operation: watch::Receiver<Operation>) {
    // An error says that it panicked.
    let _ = operation.wait_for(|operation| operation.finished_at.is_some()).await;
}

/// Logs why an operation failed: at error when the host or a database failed, at warn when the operation was
/// refused.
fn log_failure(error: &RpcError) {
    if error.kind().is_failure() {
        tracing::error!(%error, "operation failed");
    } else {
        tracing::warn!(%error, "operation failed");
    }
}

fn timed_out(method: &str, app: &AppId, id: &str, wait: Wait) -> RpcError {
    let seconds = wait.timeout_ms as f64 / 1000.0;
    RpcError::new(
        ErrorKind::Timeout,
        format!("{method} of \"{app}\" did not end within {seconds} s; it continues"),
    )
    .hint(wait_hint(method, id))
    .details(serde_json::json!({"operation": id}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until_it_ends() -> Wait {
        Wait::default()
    }

    #[tokio::test]
    async fn an_operation_continues_without_its_client() {
        let operations = Operations::default();
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let work = async move {
            released.await.unwrap();
            Ok(7)
        };
        let brief = Wait { wait: true, timeout_ms: 1 };
        let error = operations.run("app.start", &AppId::main(), brief, work).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let id = error.data.details.unwrap()["operation"].as_str().unwrap().to_owned();
        assert!(operations.get(&id).unwrap().finished_at.is_none());
        release.send(()).unwrap();
        assert!(operations.wait(&id, until_it_ends()).await.unwrap().error.is_none());
    }

    #[tokio::test]
    async fn a_failure_is_listed_and_a_panic_is_an_error() {
        let operations = Operations::default();
        let refused = async { Err::<(), _>(RpcError::new(ErrorKind::Refused, "no")) };
        assert_eq!(
            operations.run("x", &AppId::main(), until_it_ends(), refused).await.unwrap_err().message,
            "no"
        );
        assert_eq!(operations.list()[0].error.as_ref().unwrap().message, "no");
        let broken = async { panic!("broken") };
        let error = operations.run::<()>("x", &AppId::main(), until_it_ends(), broken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }

    #[tokio::test]
    async fn no_operation_begins_after_the_close() {
        let operations = Operations::default();
        operations.close().await;
        let error = operations.run("x", &AppId::main(), until_it_ends(), async { Ok(()) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ShuttingDown);
    }
}
