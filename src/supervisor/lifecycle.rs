//! Starts and stops applications, and lends them to requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use crate::app::{App, AppOptions};
use crate::data::DataSource;
use crate::database::Database;
use crate::protocol::{ChangeState, ErrorKind, RpcError, StartMode, State, StateChanged};

use super::Supervisor;
use super::applications;
use super::entry::{ApplicationGuard, Entry};
use super::error_context::ErrorContext;
use super::limits::{Arrival, Refused};
use super::operations::OperationOutcome;
use super::secrets::{JWT_SECRET, KEY_FILE};
use super::state_machine::CurrentState;

/// How long visits do not start an application after it failed to start.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// How many applications start at the same time when the daemon starts.
const MAX_CONCURRENT_STARTS: usize = 8;
/// How often idle applications are stopped.
const IDLE_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How often expired deleted applications are purged.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(3600);

/// Why an application cannot answer a request now.
#[derive(Debug, Clone)]
pub struct Unavailable {
    /// The requested ID, as it was given.
    pub id: String,
    /// Its state. The response is 404 for `not_found`, 503 for the others.
    pub state: State,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The seconds after which to try again; `None` if that is useless.
    pub retry_after: Option<u64>,
}

impl Supervisor {
    /// Lends an application to a request. Starts it if a visit may, and waits for that, at most as long as
    /// configured.
    pub async fn visit(self: &Arc<Self>, id: &str) -> Result<ApplicationGuard, Unavailable> {
        let Some(entry) = self.find(id) else { return Err(unavailable(id, State::NotFound, None)) };
        match entry.enter() {
            Some(guard) => Ok(guard),
            // Boxed, to keep the future small for the common case, an application that runs.
            None => Box::pin(self.start_and_visit(entry)).await,
        }
    }

    /// Admits a request for an application once its headers are read. This checks the first of the limits.
    pub fn arrive(&self, id: &str) -> Result<Result<Arrival, Refused>, Unavailable> {
        let found = self.entries.pin().get(id).map(|entry| entry.admission.arrive());
        found.ok_or_else(|| unavailable(id, State::NotFound, None))
    }

    /// Returns how long to delay a refusal, so that an application that refuses many requests leaves resources to
    /// the others.
    pub fn refusal_delay(&self, id: &str) -> Duration {
        let known = self.entries.pin().get(id).map(|entry| entry.admission.refusal_delay());
        known.unwrap_or_else(|| self.refusal_delay_of_unknown(id))
    }

    /// Returns the same for an application that does not exist; zero for one that exists.
    pub fn refusal_delay_of_unknown(&self, id: &str) -> Duration {
        if self.entries.pin().contains_key(id) { Duration::ZERO } else { self.unknown.refusal_delay() }
    }

    async fn start_and_visit(self: &Arc<Self>, entry: Arc<Entry>) -> Result<ApplicationGuard, Unavailable> {
        let deadline = Instant::now() + self.options.visit_timeout;
        loop {
            let current = entry.current_state();
            if !may_be_started_by_visit(&current) || self.is_closing() {
                return Err(unavailable(entry.id.as_str(), current.state, current.reason));
            }
            // In a task of its own, so that the start continues if this request is cancelled. All requests wait
            // for the command; the first one starts the application, the others find it running.
            let supervisor = self.clone();
            let starting = entry.clone();
            let start = tokio::spawn(async move { supervisor.start_for_visit(&starting).await });
            if tokio::time::timeout_at(deadline, start).await.is_err() {
                return Err(unavailable(entry.id.as_str(), State::Initializing, None));
            }
            if let Some(guard) = entry.enter() {
                return Ok(guard);
            }
        }
    }

    async fn start_for_visit(self: &Arc<Self>, entry: &Arc<Entry>) {
        let _command = entry.command.lock().await;
        let current = entry.current_state();
        if current.state != State::Running && may_be_started_by_visit(&current) && !self.is_closing() {
            let begun = Instant::now();
            // The request reads the error from the entry's state.
            if self.start_locked(entry, None).await.is_ok() {
                entry.admission.traffic().count_cold_start(begun.elapsed());
            }
        }
    }

    /// Starts an application that does not run. The caller holds `entry.command`. `source` is its data source, if
    /// that is open already.
    pub(crate) async fn start_locked(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        source: Option<DataSource>,
    ) -> Result<(), RpcError> {
        entry.transition(&self.events, State::Initializing, None);
        let span = tracing::error_span!("start", app = %entry.id);
        match self.open_app(entry, source).instrument(span).await {
            Ok(app) => {
                entry.set_running(app);
                entry.transition(&self.events, State::Running, None);
                Ok(())
            }
            Err(error) => {
                entry.transition(&self.events, State::Error, Some(error.message.clone()));
                Err(error)
            }
        }
    }

    async fn open_app(
        self: &Arc<Self>,
        entry: &Entry,
        source: Option<DataSource>,
    ) -> Result<Arc<App>, RpcError> {
        let doing = format!("starting the application \"{}\"", entry.id);
        let registration = entry.registration.load_full();
        if let Some(reason) = registration.damage.reason(&entry.id) {
            return Err(RpcError::new(ErrorKind::StartFailed, reason));
        }
        let jwt_secret = self.key.open(&entry.id, JWT_SECRET, &registration.jwt_secret);
        let jwt_secret = jwt_secret.map_err(|error| {
            RpcError::new(ErrorKind::StartFailed, format!("{doing} failed: {error}"))
                .hint(format!("restore {KEY_FILE} as it was when the application was created"))
        })?;
        let source = match source {
            Some(source) => source,
            None => {
                let database = Database::open(&entry.location).await;
                let database = database.map_err(|error| error.while_doing(&doing))?;
                let prefix = registration.provision.as_ref().map(|provision| &*provision.table_prefix);
                DataSource::new(database.with_table_prefix(prefix.unwrap_or_default()))
            }
        };
        let database = source.database().clone();
        let resources = if entry.id.is_main() { vec![applications::resource(self)] } else { Vec::new() };
        let options =
            AppOptions { name: entry.id.as_str().into(), jwt_secret, source, resources, plugins: Vec::new() };
        match App::open(options).await {
            Ok(app) => Ok(app),
            Err(error) => {
                database.close().await;
                Err(error.while_doing(&doing))
            }
        }
    }

    /// Stops a running application. The caller holds `entry.command`.
    pub(crate) async fn stop_locked(&self, entry: &Entry, to: State) {
        entry.close(self.options.drain_timeout).await;
        entry.transition(&self.events, to, None);
    }

    /// Starts an application.
    pub async fn start(self: &Arc<Self>, change: ChangeState) -> Result<StateChanged, RpcError> {
        self.change("app.start", change, |supervisor, entry| async move {
            let _command = entry.command.lock().await;
            supervisor.start_by_operator(&entry).await
        })
        .await
    }

    /// Starts one; gives whether it did not run before. The caller holds its command.
    pub(super) async fn start_by_operator(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<bool, RpcError> {
        match entry.state() {
            State::Running => return Ok(false),
            State::Initialized | State::Stopped | State::Error => {}
            state => return Err(conflicting_state(entry, state, "started")),
        }
        self.persist_status(entry, State::Initialized).await?;
        self.start_locked(entry, None).await?;
        release_connections(entry).await;
        Ok(true)
    }

    /// Stops an application. It stays stopped, also after a restart of the daemon, until it is started.
    pub async fn stop(self: &Arc<Self>, change: ChangeState) -> Result<StateChanged, RpcError> {
        Self::refuse_main(&change.id, "stopped")?;
        self.change("app.stop", change, |supervisor, entry| async move {
            let _command = entry.command.lock().await;
            match entry.state() {
                State::Stopped => return Ok(false),
                State::Running | State::Initialized | State::Error => {}
                state => return Err(conflicting_state(&entry, state, "stopped")),
            }
            // Written first, so that it stays stopped after a crash.
            supervisor.persist_status(&entry, State::Stopped).await?;
            supervisor.stop_locked(&entry, State::Stopped).await;
            Ok(true)
        })
        .await
    }

    /// Restarts an application; starts it if it does not run.
    pub async fn restart(self: &Arc<Self>, change: ChangeState) -> Result<StateChanged, RpcError> {
        Self::refuse_main(&change.id, "restarted alone")?;
        self.change("app.restart", change, |supervisor, entry| async move {
            let _command = entry.command.lock().await;
            if entry.state() == State::Running {
                supervisor.stop_locked(&entry, State::Initialized).await;
            }
            supervisor.start_by_operator(&entry).await
        })
        .await
    }

    async fn change<F, W>(
        self: &Arc<Self>,
        method: &str,
        change: ChangeState,
        work: F,
    ) -> Result<StateChanged, RpcError>
    where
        F: FnOnce(Arc<Self>, Arc<Entry>) -> W,
        W: Future<Output = Result<bool, RpcError>> + Send + 'static,
    {
        let entry = self.entry(&change.id)?;
        let work = Box::pin(work(self.clone(), entry.clone()));
        let (operation, outcome) = self.operations.run(method, &change.id, change.wait, work).await?;
        let changed = match outcome {
            OperationOutcome::Done(changed) => changed,
            OperationOutcome::Detached => true,
        };
        Ok(StateChanged { application: self.describe(&entry), changed, operation })
    }

    /// Writes a state that must survive the daemon.
    pub(crate) async fn persist_status(&self, entry: &Entry, status: State) -> Result<(), RpcError> {
        let registration = entry.registration.load_full();
        if registration.status == status || entry.id.is_main() {
            return Ok(());
        }
        let written = self.registry.set_status(&entry.id, status).await;
        written.map_err(|error| error.while_doing(format!("registering \"{}\" as {status}", entry.id)))?;
        let mut registration = (*registration).clone();
        registration.status = status;
        entry.registration.store(Arc::new(registration));
        Ok(())
    }

    /// Starts the applications whose start mode is `with-main`, several at a time. Returns when all are running or
    /// in `error`.
    pub async fn start_with_main(self: &Arc<Self>) {
        let permits = Arc::new(tokio::sync::Semaphore::new(MAX_CONCURRENT_STARTS));
        let mut starts = tokio::task::JoinSet::new();
        for entry in self.all_entries() {
            if entry.registration.load().start_mode() != StartMode::WithMain {
                continue;
            }
            let (supervisor, permits) = (self.clone(), permits.clone());
            starts.spawn(async move {
                let _permit = permits.acquire().await;
                let _command = entry.command.lock().await;
                if entry.state() == State::Initialized && !supervisor.is_closing() {
                    // The entry's state has the error.
                    let _ = supervisor.start_locked(&entry, None).await;
                    release_connections(&entry).await;
                }
            });
        }
        starts.join_all().await;
    }

    /// Spawns the tasks that run as long as the supervisor: they stop idle applications, and purge expired ones.
    pub(crate) fn spawn_background_tasks(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(IDLE_CHECK_INTERVAL);
            loop {
                tick.tick().await;
                let Some(supervisor) = weak.upgrade().filter(|supervisor| !supervisor.is_closing()) else {
                    break;
                };
                supervisor.stop_idle().await;
                supervisor.first_passwords.expire(std::time::Instant::now());
            }
        });
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(EXPIRY_CHECK_INTERVAL);
            loop {
                tick.tick().await;
                let Some(supervisor) = weak.upgrade().filter(|supervisor| !supervisor.is_closing()) else {
                    break;
                };
                Box::pin(supervisor.purge_expired()).await;
                supervisor.sweep_all().await;
            }
        });
    }

    async fn stop_idle(&self) {
        for entry in self.all_entries() {
            let Some(seconds) = entry.registration.load().idle_stop_seconds() else { continue };
            let is_idle = |entry: &Entry| {
                entry.running().is_some_and(|running| running.idle() >= Duration::from_secs(seconds))
            };
            if !is_idle(&entry) || entry.registration.load().start_mode() != StartMode::OnVisit {
                continue;
            }
            // An application with a command in progress is not idle.
            let Ok(_command) = entry.command.try_lock() else { continue };
            if entry.state() == State::Running && is_idle(&entry) {
                self.stop_locked(&entry, State::Initialized).await;
            }
        }
    }
}

/// Closes the connections of an application that was not started by a request, until the first request needs
/// some.
async fn release_connections(entry: &Entry) {
    if let Some(running) = entry.running() {
        running.app.source().database().close_idle().await;
    }
}

fn may_be_started_by_visit(current: &CurrentState) -> bool {
    match current.state {
        // `running` if it was started or stopped since the request found it otherwise.
        State::Preparing | State::Initializing | State::Initialized | State::Running => true,
        State::Error => current.since.elapsed() >= RETRY_INTERVAL,
        State::Stopped | State::Commanding | State::NotFound => false,
    }
}

fn unavailable(id: &str, state: State, reason: Option<String>) -> Unavailable {
    let message = match (state, reason) {
        (State::NotFound, _) => format!("there is no application \"{id}\""),
        (State::Stopped, _) => format!("the application \"{id}\" was stopped by an operator"),
        (State::Error, Some(reason)) => format!("the application \"{id}\" could not start: {reason}"),
        (State::Preparing, _) => format!("the application \"{id}\" is being prepared"),
        (State::Initializing, _) => format!("the application \"{id}\" is starting"),
        (State::Commanding, _) => format!("the application \"{id}\" is busy with an operator's command"),
        _ => format!("the application \"{id}\" is not running"),
    };
    let retry_after = match state {
        State::NotFound | State::Stopped => None,
        State::Error => Some(RETRY_INTERVAL.as_secs()),
        _ => Some(1),
    };
    Unavailable { id: id.to_owned(), state, message, retry_after }
}

fn conflicting_state(entry: &Entry, state: State, what: &str) -> RpcError {
    if state == State::NotFound {
        return RpcError::app_not_found(entry.id.as_str());
    }
    RpcError::new(ErrorKind::Conflict, format!("\"{}\" is {state} and cannot be {what} now", entry.id))
        .hint(format!("wait until it is done: nbapps wait {} --for initialized", entry.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_starts_an_application_in_error_after_the_retry_interval() {
        let now = std::time::Instant::now();
        let since = |past: Duration| CurrentState {
            since: now.checked_sub(past).unwrap_or(now),
            ..CurrentState::now(State::Error)
        };
        assert!(!may_be_started_by_visit(&since(Duration::ZERO)));
        assert!(may_be_started_by_visit(&since(RETRY_INTERVAL)));
    }
}
