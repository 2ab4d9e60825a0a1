//! Implements the pages' view of the host with the supervisor.

use std::sync::Arc;

use crate::pages::{HostView, ListedApplication, StateChange};
use crate::protocol::{AppId, Application, ChangeState, RpcError, State, Wait};
use crate::supervisor::Supervisor;

/// How long a button waits for its operation, which goes on after that.
const BUTTON_WAIT: Wait = Wait { wait: true, timeout_ms: 20_000 };

/// The host as pages see it.
pub(super) struct SupervisorView<'a>(pub(super) &'a Arc<Supervisor>);

impl HostView for SupervisorView<'_> {
    fn list(&self) -> Vec<ListedApplication> {
        self.0.list().into_iter().map(listed).collect()
    }

    fn describe(&self, id: &str) -> Option<ListedApplication> {
        self.0.get(&AppId::parse(id).ok()?).ok().map(listed)
    }

    fn start<'a>(&'a self, id: &'a str) -> StateChange<'a> {
        Box::pin(async move {
            let id = AppId::parse(id).map_err(RpcError::from).map_err(sentence)?;
            self.0.start(ChangeState { id, wait: BUTTON_WAIT }).await.map(|_| ()).map_err(sentence)
        })
    }

    fn stop<'a>(&'a self, id: &'a str) -> StateChange<'a> {
        Box::pin(async move {
            let id = AppId::parse(id).map_err(RpcError::from).map_err(sentence)?;
            self.0.stop(ChangeState { id, wait: BUTTON_WAIT }).await.map(|_| ()).map_err(sentence)
        })
    }
}

/// The message of an error, with its hint.
fn sentence(error: RpcError) -> String {
    match error.data.hint {
        Some(hint) => format!("{} ({hint})", error.message),
        None => error.message,
    }
}

fn listed(application: Application) -> ListedApplication {
    use State::{Error, Initialized, Initializing, Running, Stopped};
    let state = application.state;
    let main = application.id.is_main();
    ListedApplication {
        id: application.id.into(),
        name: application.name,
        state: state.as_str(),
        reason: application.reason,
        start_mode: application.start_mode.as_str(),
        engine: application.database.engine,
        can_start: !main && matches!(state, Initialized | Stopped | Error),
        can_stop: !main && matches!(state, Initialized | Running),
        can_visit: matches!(state, Initializing | Initialized | Running),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        AccessLog, DatabaseDescription, DatabaseMode, ErrorKind, StartMode, UpgradePolicy,
    };

    fn application(id: &str, state: State) -> Application {
        let now = chrono::Utc::now();
        Application {
            id: AppId::parse(id).unwrap(),
            name: "CRM".into(),
            state,
            reason: None,
            start_mode: StartMode::WithMain,
            url: String::new(),
            domains: Vec::new(),
            database: DatabaseDescription {
                mode: DatabaseMode::Database,
                engine: "sqlite".into(),
                location: String::new(),
                ..DatabaseDescription::default()
            },
            upgrade: UpgradePolicy::Auto,
            environment: "local".into(),
            idle_stop_seconds: None,
            limits: crate::protocol::Limits::USUAL,
            own_limits: Vec::new(),
            access_log: AccessLog::Errors,
            own_access_log: false,
            labels: crate::protocol::Labels::new(),
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

    #[test]
    fn buttons_fit_the_state() {
        for (id, state, start, stop, visit) in [
            ("crm", State::Running, false, true, true),
            ("crm", State::Initialized, true, true, true),
            ("crm", State::Stopped, true, false, false),
            ("crm", State::Error, true, false, false),
            ("crm", State::Commanding, false, false, false),
            ("main", State::Running, false, false, true),
        ] {
            let listed = listed(application(id, state));
            assert_eq!(
                (listed.can_start, listed.can_stop, listed.can_visit),
                (start, stop, visit),
                "{id} {state}"
            );
            assert_eq!(
                (listed.state, listed.start_mode, &*listed.engine),
                (state.as_str(), "with-main", "sqlite")
            );
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        let error = RpcError::new(ErrorKind::Refused, "crm cannot be stopped").hint("try later");
        assert_eq!(sentence(error), "crm cannot be stopped (try later)");
    }
}
