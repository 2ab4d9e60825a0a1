//! Lifecycle commands as operations: they go on to their end when their client has gone, and
//! another client can find and await them.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::protocol::{AppId, ErrorKind, Operation, RpcError, Wait};

/// How many ended operations are remembered.
const REMEMBERED: usize = 1000;

/// The operations under way and the last that ended.
#[derive(Debug, Default)]
pub struct Operations {
    known: Mutex<VecDeque<watch::Receiver<Operation>>>,
    tasks: TaskTracker,
}

/// What a client gets of an operation.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It ended well while the client waited.
    Done(T),
    /// The client did not want to wait.
    Detached,
}

impl Operations {
    /// Runs `work` in a task of its own and waits for it as `wait` says. Gives the operation's ID
    /// with the outcome. `work` is never dropped half way, whatever becomes of the caller.
    pub async fn run<T: Send + 'static>(
        &self,
        method: &str,
        app: &AppId,
        wait: Wait,
        work: impl Future<Output = Result<T, RpcError>> + Send + 'static,
    ) -> Result<(String, Outcome<T>), RpcError> {
        if self.tasks.is_closed() {
            return Err(RpcError::new(
                ErrorKind::ShuttingDown,
                "the daemon is shutting down and takes no more commands",
            ));
        }
        let id = uuid::Uuid::new_v4().to_string();
        let operation = Operation {
            id: id.clone(),
            method: method.to_owned(),
            app: app.clone(),
            started_at: crate::protocol::now(),
            finished_at: None,
            error: None,
        };
        let (told, watched) = watch::channel(operation);
        self.remember(watched);
        let task = self.tasks.spawn(async move {
            let result = work.await;
            told.send_modify(|operation| {
                operation.finished_at = Some(crate::protocol::now());
                operation.error = result.as_ref().err().cloned();
            });
            result
        });
        if !wait.wait {
            return Ok((id, Outcome::Detached));
        }
        match tokio::time::timeout(Duration::from_millis(wait.timeout_ms), task).await {
            Ok(Ok(result)) => Ok((id, Outcome::Done(result?))),
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
        while known.len() >= REMEMBERED {
            // Only what has ended is forgotten.
            let Some(oldest) = known.iter().position(|known| known.borrow().finished_at.is_some()) else {
                break;
            };
            known.remove(oldest);
        }
        known.push_back(operation);
    }

    /// All that are known, oldest first.
    pub fn list(&self) -> Vec<Operation> {
        self.known.lock().iter().map(|known| known.borrow().clone()).collect()
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Result<Operation, RpcError> {
        self.find(id).map(|known| known.borrow().clone())
    }

    /// Waits for the end of one.
    pub async fn wait(&self, id: &str, wait: Wait) -> Result<Operation, RpcError> {
        let mut known = self.find(id)?;
        let ended = known.wait_for(|operation| operation.finished_at.is_some());
        match tokio::time::timeout(Duration::from_millis(wait.timeout_ms), ended).await {
            Ok(Ok(operation)) => Ok(operation.clone()),
            // The task panicked: it will never say that it ended.
            Ok(Err(_)) => {
                Err(RpcError::new(ErrorKind::Internal, format!("operation {id} broke off inside the daemon")))
            }
            Err(_) => {
                let operation = self.get(id)?;
                Err(timed_out(&operation.method, &operation.app, id, wait))
            }
        }
    }

    fn find(&self, id: &str) -> Result<watch::Receiver<Operation>, RpcError> {
        self.known.lock().iter().find(|known| known.borrow().id == id).cloned().ok_or_else(|| {
            RpcError::new(ErrorKind::OperationNotFound, format!("there is no operation \"{id}\""))
                .hint("list those that are known with: nbapps operation list")
        })
    }

    /// Takes no more operations and waits for those under way.
    pub async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn timed_out(method: &str, app: &AppId, id: &str, wait: Wait) -> RpcError {
    let seconds = wait.timeout_ms as f64 / 1000.0;
    RpcError::new(
        ErrorKind::Timeout,
        format!("{method} of \"{app}\" has not ended within {seconds} s; it goes on"),
    )
    .hint(format!("wait for it with: nbapps operation wait {id}"))
    .details(serde_json::json!({"operation": id}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient() -> Wait {
        Wait::default()
    }

    #[tokio::test]
    async fn an_operation_outlives_its_client() {
        let operations = Operations::default();
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let work = async move {
            released.await.unwrap();
            Ok(7)
        };
        let impatient = Wait { wait: true, timeout_ms: 1 };
        let error = operations.run("app.start", &AppId::main(), impatient, work).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let id = error.data.details.unwrap()["operation"].as_str().unwrap().to_owned();
        assert!(operations.get(&id).unwrap().finished_at.is_none());
        release.send(()).unwrap();
        assert!(operations.wait(&id, patient()).await.unwrap().error.is_none());
    }

    #[tokio::test]
    async fn a_failure_is_remembered_and_a_panic_is_an_error() {
        let operations = Operations::default();
        let refused = async { Err::<(), _>(RpcError::new(ErrorKind::Refused, "no")) };
        assert_eq!(operations.run("x", &AppId::main(), patient(), refused).await.unwrap_err().message, "no");
        assert_eq!(operations.list()[0].error.as_ref().unwrap().message, "no");
        let broken = async { panic!("broken") };
        let error = operations.run::<()>("x", &AppId::main(), patient(), broken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }

    #[tokio::test]
    async fn closed_it_takes_no_more() {
        let operations = Operations::default();
        operations.close().await;
        let error = operations.run("x", &AppId::main(), patient(), async { Ok(()) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ShuttingDown);
    }
}
