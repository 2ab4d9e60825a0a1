//! Waiting until an application is in a state.
//!
//! A wait ends when the state is reached, and also when it is out of reach: an application in `error` or
//! `stopped`, or one that is gone, changes no more by itself. While an operation on the application is under
//! way, no state that it rests in counts: `start --no-wait` and then a wait must not find the state
//! before the start.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use crate::protocol::{
    AppId, Application, ErrorKind, Gone, RpcError, StartMode, State, WaitForState, Waited,
};

use super::Supervisor;
use super::entry::Entry;
use super::operations;
use super::state_machine::CurrentState;

/// What a wait makes of an application's state.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is the state that is waited for.
    Reached,
    /// It may become that state.
    Pending,
    /// It does not become that state by itself.
    OutOfReach,
}

/// Judges an application at rest or between states: `current`, which is to become `target`. `may_idle` is
/// whether it stops by itself when nobody uses it.
fn judge(current: State, target: State, is_busy: bool, may_idle: bool) -> Verdict {
    use State::{Commanding, Error, Initialized, Initializing, NotFound, Preparing, Running, Stopped};
    let passes = matches!(target, Preparing | Initializing | Commanding);
    if current == target && (passes || !is_busy) {
        return Verdict::Reached;
    }
    if is_busy {
        return Verdict::Pending;
    }
    match (current, target) {
        // Somebody may yet delete it.
        (_, NotFound) => Verdict::Pending,
        (Error | Stopped | NotFound, _) => Verdict::OutOfReach,
        // It is prepared once.
        (Initializing | Initialized | Running | Commanding, Preparing) => Verdict::OutOfReach,
        (Running, Initialized) if !may_idle => Verdict::OutOfReach,
        (Preparing | Initializing | Initialized | Running | Commanding, _) => Verdict::Pending,
    }
}

impl Supervisor {
    /// Waits for a state of an application.
    ///
    /// # Errors
    /// `Timeout` when the state is not reached in time, and, as soon as it is out of reach: `StartFailed` for an
    /// application in `error`, `AppNotFound` for one that is gone, `Conflict` in other states.
    pub async fn wait(&self, wait: WaitForState) -> Result<Waited, RpcError> {
        match wait.state {
            State::NotFound => Self::refuse_main(&wait.id, "deleted")?,
            State::Stopped => Self::refuse_main(&wait.id, "stopped")?,
            _ => {}
        }
        let reached = Box::pin(self.until(&wait.id, wait.state));
        match tokio::time::timeout(Duration::from_millis(wait.timeout_ms), reached).await {
            Ok(reached) => reached,
            Err(_) => {
                let seconds = wait.timeout_ms as f64 / 1000.0;
                let now = self.find(wait.id.as_str()).map_or(State::NotFound, |entry| entry.state());
                Err(RpcError::new(
                    ErrorKind::Timeout,
                    format!("\"{}\" is {now} and did not become {} within {seconds} s", wait.id, wait.state),
                )
                .hint(format!("see why with: nbapps show {0}; nbapps logs {0}", wait.id)))
            }
        }
    }

    async fn until(&self, id: &AppId, target: State) -> Result<Waited, RpcError> {
        // Subscribed before anything is looked at: no change is missed.
        let (_, mut events) = self.events.subscribe();
        loop {
            let under_way = self.operations.under_way(id);
            let entry = self.find(id.as_str());
            let current_state = entry
                .as_ref()
                .map_or_else(|| CurrentState::now(State::NotFound), |entry| entry.current_state());
            let may_idle = entry.as_ref().is_some_and(|entry| may_idle(entry));
            match judge(current_state.state, target, under_way.is_some(), may_idle) {
                Verdict::Reached => return Ok(self.waited(id, entry.as_deref()).await),
                Verdict::OutOfReach => return Err(self.out_of_reach(id, current_state, target).await),
                Verdict::Pending => {}
            }
            let ended = async {
                match under_way {
                    Some(operation) => operations::ended(operation).await,
                    None => std::future::pending().await,
                }
            };
            let changed = async {
                loop {
                    match events.recv().await {
                        Ok(event) if event.app != *id => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => return,
                        // It ends with the supervisor.
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
            };
            tokio::select! {
                () = ended => {}
                () = changed => {}
            }
        }
    }

    /// Describes what was waited for.
    async fn waited(&self, id: &AppId, entry: Option<&Entry>) -> Waited {
        let found = match entry {
            Some(entry) => Some(self.describe(entry)),
            None => self.latest_deleted(id).await,
        };
        match found {
            Some(application) => Waited::Application(Box::new(application)),
            None => Waited::Gone(Gone { id: id.clone(), state: State::NotFound }),
        }
    }

    /// The application of this ID that `undelete` would bring back; none also when that cannot be looked up.
    async fn latest_deleted(&self, id: &AppId) -> Option<Application> {
        let deleted = self.deleted_of(id).await.ok()?;
        deleted.iter().find(|deleted| !deleted.purging).map(|deleted| self.describe_deleted(deleted))
    }

    /// The error for an application that does not exist; with the reason where its creation has failed.
    fn never_created(&self, id: &AppId) -> RpcError {
        let last = self.operations.list().into_iter().rev().find(|operation| operation.app == *id);
        let failed = last.filter(|operation| operation.method == "app.create");
        match failed.and_then(|operation| Some((operation.error?, operation.id))) {
            Some((error, operation)) => {
                let sentence = format!("there is no application \"{id}\": creating it failed: {error}");
                RpcError::new(ErrorKind::AppNotFound, sentence)
                    .hint(format!("see more with: nbapps operation show {operation}"))
            }
            None => RpcError::app_not_found(id.as_str()),
        }
    }

    /// Why an application does not come into a state.
    async fn out_of_reach(&self, id: &AppId, current: CurrentState, target: State) -> RpcError {
        match current.state {
            State::Error => {
                let reason = current.reason.as_deref().unwrap_or("it could not start");
                RpcError::new(ErrorKind::StartFailed, format!("\"{id}\" is in error: {reason}")).hint(
                    format!("see more with: nbapps logs {id}; and start it again with: nbapps start {id}"),
                )
            }
            State::NotFound => match self.latest_deleted(id).await {
                Some(_) => RpcError::new(ErrorKind::AppNotFound, format!("\"{id}\" was deleted"))
                    .hint(format!("bring it back with: nbapps undelete {id}")),
                None => self.never_created(id),
            },
            State::Stopped => RpcError::new(
                ErrorKind::Conflict,
                format!("\"{id}\" was stopped by an operator, and does not become {target} by itself"),
            )
            .hint(format!("start it with: nbapps start {id}")),
            state => RpcError::new(
                ErrorKind::Conflict,
                format!("\"{id}\" is {state}, and does not become {target} again"),
            ),
        }
    }
}

/// Whether an application stops by itself when nobody uses it.
fn may_idle(entry: &Entry) -> bool {
    let registration = entry.registration.load();
    registration.start_mode() == StartMode::OnVisit && registration.idle_stop_seconds().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on each state, in the order of [`State::ALL`]: `+` reached, `.` pending, `-` out of reach.
    fn verdicts(target: State, is_busy: bool, may_idle: bool) -> String {
        let letter = |current| match judge(current, target, is_busy, may_idle) {
            Verdict::Reached => '+',
            Verdict::Pending => '.',
            Verdict::OutOfReach => '-',
        };
        State::ALL.into_iter().map(letter).collect()
    }

    #[test]
    fn every_state_and_target_has_its_verdict() {
        let all = State::ALL.map(|target| format!("{target} {}", verdicts(target, false, false)));
        // preparing, initializing, initialized, running, commanding, stopped, error, not_found
        insta::assert_snapshot!(all.join("\n"), @r"
        preparing +-------
        initializing .+...---
        initialized ..+-.---
        running ...+.---
        commanding ....+---
        stopped .....+--
        error .....-+-
        not_found .......+
        ");
        assert_eq!(verdicts(State::Initialized, false, true), "..+..---");
    }

    #[test]
    fn an_operation_under_way_decides_first() {
        for target in State::ALL {
            let found = verdicts(target, true, false);
            let passes = matches!(target, State::Preparing | State::Initializing | State::Commanding);
            assert_eq!(found.contains('+'), passes, "{target}");
            assert!(!found.contains('-'), "{target}");
        }
    }
}
