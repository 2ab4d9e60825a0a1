//! Applications as the host runs them: their states, their start modes and the operations that failed lately.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::verdict::{Verdict, check};
use crate::protocol::{AppId, Application, Operation, OperationState, StartMode, State};

/// How far back a failed operation counts.
const RECENT: TimeDelta = TimeDelta::hours(24);

/// Judges the state of an application. `operations` are those that are known, oldest first.
pub(super) fn judge_state(application: &Application, operations: &[Operation]) -> Verdict {
    let Application { id, state, reason, .. } = application;
    match state {
        State::Error => {
            let reason = reason.as_deref().unwrap_or("it does not say why");
            let advised = operations.iter().rev().filter(|operation| operation.app == *id);
            let advice = advised
                .filter_map(|operation| operation.error.as_ref())
                .find(|error| error.message == reason)
                .and_then(|error| error.data.hint.clone());
            let advice = advice.map_or_else(String::new, |advice| format!("{advice}; "));
            Verdict::failed(
                check::STATE,
                format!("it is in error: {reason}"),
                format!("{advice}nbapps logs {id} tells more; once that is mended: nbapps start {id}"),
            )
        }
        State::Stopped => Verdict::ok(check::STATE, "it is stopped, as an operator wanted"),
        State::Running => Verdict::ok(check::STATE, "it is running"),
        State::Initialized => Verdict::ok(check::STATE, "it starts with the next visit"),
        State::Preparing | State::Initializing | State::Commanding => {
            Verdict::ok(check::STATE, format!("a command is under way: it is {state}"))
        }
        State::NotFound => Verdict::skipped(check::STATE, "it was deleted meanwhile"),
    }
}

/// Judges how an application starts; `None` if there is nothing to say.
pub(super) fn judge_start_mode(application: &Application) -> Option<Verdict> {
    let Application { id, state, start_mode, idle_stop_seconds, .. } = application;
    if *start_mode != StartMode::WithMain {
        return None;
    }
    if *state == State::Initialized {
        return Some(Verdict::warning(
            check::START_MODE,
            "it is to run whenever the daemon does, and does not run",
            format!("nbapps start {id}"),
        ));
    }
    idle_stop_seconds.map(|seconds| {
        Verdict::warning(
            check::START_MODE,
            format!(
                "it is to stop after {seconds} s without a request, which counts only for start mode on-visit"
            ),
            format!("nbapps update {id} --start-mode on-visit, or nbapps update {id} --no-idle-stop"),
        )
    })
}

/// The operations that failed lately and were not repeated with success, with their applications. Those of
/// applications in `error` are left out: the state says the same.
pub(super) fn failed_lately<'a>(
    operations: &'a [Operation],
    now: DateTime<Utc>,
    in_error: &[&AppId],
) -> Vec<&'a Operation> {
    let mut last: HashMap<(&AppId, &str), &Operation> = HashMap::new();
    for operation in operations.iter().filter(|operation| operation.outcome != OperationState::Running) {
        last.insert((&operation.app, &operation.method), operation);
    }
    let is_recent = |operation: &Operation| operation.finished_at.is_some_and(|at| now - at <= RECENT);
    let mut failed: Vec<_> = last
        .into_values()
        .filter(|operation| operation.outcome == OperationState::Failed && is_recent(operation))
        .filter(|operation| !in_error.contains(&&operation.app))
        .collect();
    failed.sort_by_key(|operation| operation.started_at);
    failed
}

/// Describes an operation that failed.
pub(super) fn judge_failed(operation: &Operation) -> Verdict {
    let Operation { id, method, app, error, finished_at, .. } = operation;
    let at = finished_at.map_or_else(String::new, |at| format!(" at {}", at.format("%Y-%m-%dT%H:%M:%SZ")));
    let why = error.as_ref().map_or("it does not say why", |error| &error.message);
    let hint = error.as_ref().and_then(|error| error.data.hint.clone());
    Verdict::warning(
        check::OPERATIONS,
        format!("{method} of \"{app}\" failed{at}: {why}"),
        hint.unwrap_or_else(|| format!("nbapps operation show {id}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FindingStatus::{Failed, Ok as Passed, Warning};
    use crate::protocol::{ErrorKind, RpcError};

    fn application(state: State) -> Application {
        let now = Utc::now();
        Application {
            id: AppId::parse("crm").unwrap(),
            name: "CRM".into(),
            state,
            reason: (state == State::Error).then(|| "its database is gone".to_owned()),
            start_mode: StartMode::OnVisit,
            url: String::new(),
            domains: Vec::new(),
            database: crate::protocol::DatabaseDescription::default(),
            upgrade: crate::protocol::UpgradePolicy::Auto,
            environment: "local".into(),
            idle_stop_seconds: None,
            limits: crate::protocol::Limits::USUAL,
            own_limits: Vec::new(),
            access_log: crate::protocol::AccessLog::Errors,
            own_access_log: false,
            labels: crate::protocol::Labels::default(),
            inventory: None,
            protected: false,
            pinned: false,
            icon: None,
            created_at: now,
            updated_at: now,
            started_at: None,
            requests_in_flight: 0,
            deleted: None,
        }
    }

    fn operation(id: &str, method: &str, outcome: OperationState, hours_ago: i64) -> Operation {
        let at = Utc::now() - TimeDelta::hours(hours_ago);
        let failed = RpcError::new(ErrorKind::StartFailed, "its database is gone").hint("restore it");
        Operation {
            id: id.to_owned(),
            method: method.to_owned(),
            app: AppId::parse("crm").unwrap(),
            outcome,
            started_at: at,
            finished_at: (outcome != OperationState::Running).then_some(at),
            error: (outcome == OperationState::Failed).then_some(failed),
            admin: None,
        }
    }

    #[test]
    fn an_application_in_error_says_why_and_what_to_do() {
        let failed = [operation("1", "app.start", OperationState::Failed, 0)];
        let verdict = judge_state(&application(State::Error), &failed);
        assert_eq!(verdict.status, Failed);
        assert_eq!(verdict.message, "it is in error: its database is gone");
        let hint = verdict.hint.unwrap();
        assert!(hint.starts_with("restore it; ") && hint.ends_with("nbapps start crm"), "{hint}");
        let alone = judge_state(&application(State::Error), &[]).hint.unwrap();
        assert!(alone.starts_with("nbapps logs crm"), "{alone}");
        for state in [State::Running, State::Stopped, State::Initialized, State::Initializing] {
            assert_eq!(judge_state(&application(state), &failed).status, Passed, "{state}");
        }
    }

    #[test]
    fn start_modes_that_have_no_effect_are_named() {
        let with_main = |state| Application { start_mode: StartMode::WithMain, ..application(state) };
        assert_eq!(judge_start_mode(&application(State::Initialized)), None);
        assert_eq!(judge_start_mode(&with_main(State::Running)), None);
        assert_eq!(judge_start_mode(&with_main(State::Stopped)), None);
        assert_eq!(judge_start_mode(&with_main(State::Initialized)).unwrap().status, Warning);
        let idle = Application { idle_stop_seconds: Some(60), ..with_main(State::Running) };
        assert!(judge_start_mode(&idle).unwrap().message.contains("60 s"));
    }

    #[test]
    fn an_operation_that_was_repeated_with_success_is_forgotten() {
        use OperationState::{Done, Failed, Running};
        let crm = AppId::parse("crm").unwrap();
        let ids = |operations: &[Operation], in_error: &[&AppId]| {
            let failed = failed_lately(operations, Utc::now(), in_error);
            failed.iter().map(|operation| operation.id.clone()).collect::<Vec<_>>()
        };
        let failed = operation("1", "app.start", Failed, 2);
        assert_eq!(ids(std::slice::from_ref(&failed), &[]), ["1"]);
        assert!(ids(std::slice::from_ref(&failed), &[&crm]).is_empty());
        assert!(ids(&[failed.clone(), operation("2", "app.start", Done, 1)], &[]).is_empty());
        assert_eq!(ids(&[failed.clone(), operation("2", "app.stop", Done, 1)], &[]), ["1"]);
        assert_eq!(ids(&[failed.clone(), operation("2", "app.start", Running, 0)], &[]), ["1"]);
        assert!(ids(&[operation("3", "app.start", Failed, 30)], &[]).is_empty());
        let verdict = judge_failed(&failed);
        assert!(verdict.message.starts_with("app.start of \"crm\" failed at "), "{verdict:?}");
        assert_eq!(verdict.hint.as_deref(), Some("restore it"));
    }
}
