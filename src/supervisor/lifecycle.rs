//! Starting and stopping applications, and lending them to requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::{App, AppOptions};
use crate::data::DataSource;
use crate::database::Database;
use crate::protocol::{
    Application, ChangeState, ErrorKind, RpcError, StartMode, State, StateChanged, WaitForState,
};

use super::Supervisor;
use super::applications;
use super::boot::JWT_SECRET;
use super::entry::{Entry, Visit};
use super::failure::Failure;
use super::limits::{Arrival, Refused};
use super::operations::Outcome;

/// How long an application that failed to start is left alone by visits.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How many applications start at once when the daemon starts.
const STARTS_AT_ONCE: usize = 8;
/// How often idle applications are looked for.
const IDLE_CHECK: Duration = Duration::from_millis(500);
/// How often deleted applications whose time has come are looked for.
const EXPIRY_CHECK: Duration = Duration::from_secs(3600);

/// Why a request cannot be answered by its application now.
#[derive(Debug, Clone)]
pub struct Unavailable {
    /// The ID that was asked for, as it was given.
    pub id: String,
    /// Its state: `not_found` is a 404, all else a 503.
    pub state: State,
    /// One sentence: what is the matter, and why.
    pub message: String,
    /// Seconds after which asking again makes sense.
    pub retry_after: Option<u64>,
}

impl Supervisor {
    /// Lends the application, starting it when it may be started by a visit; waits for that, bounded.
    pub async fn visit(self: &Arc<Self>, id: &str) -> Result<Visit, Unavailable> {
        let Some(entry) = self.find(id) else { return Err(unavailable(id, State::NotFound, None)) };
        match entry.enter() {
            Some(visit) => Ok(visit),
            // In a box: what runs, nearly all, does not need the place.
            None => Box::pin(self.visit_at_rest(entry)).await,
        }
    }

    /// Lets a request for an application in, from its headers on: the first of the limits.
    pub fn arrive(&self, id: &str) -> Result<Result<Arrival, Refused>, Unavailable> {
        let found = self.entries.pin().get(id).map(|entry| entry.admission.arrive());
        found.ok_or_else(|| unavailable(id, State::NotFound, None))
    }

    /// How long a refusal is held back before it is sent, so that an application that refuses
    /// many requests leaves the host to others.
    pub fn pause(&self, id: &str) -> Duration {
        let known = self.entries.pin().get(id).map(|entry| entry.admission.pause());
        known.unwrap_or_else(|| self.pause_of_unknown(id))
    }

    /// The same for an application that is not there; no time for one that is.
    pub fn pause_of_unknown(&self, id: &str) -> Duration {
        if self.entries.pin().contains_key(id) { Duration::ZERO } else { self.unknown.refusal() }
    }

    async fn visit_at_rest(self: &Arc<Self>, entry: Arc<Entry>) -> Result<Visit, Unavailable> {
        let deadline = Instant::now() + self.options.visit_timeout;
        loop {
            let standing = entry.standing();
            if !may_be_started_by_visit(&standing) || self.is_closing() {
                return Err(unavailable(entry.id.as_str(), standing.state, standing.reason));
            }
            // A task of its own: the start goes on when this visitor leaves. All visitors queue
            // for the command; the first starts, the others find it running.
            let supervisor = self.clone();
            let starting = entry.clone();
            let start = tokio::spawn(async move { supervisor.start_for_visit(&starting).await });
            if tokio::time::timeout_at(deadline, start).await.is_err() {
                return Err(unavailable(entry.id.as_str(), State::Initializing, None));
            }
            if let Some(visit) = entry.enter() {
                return Ok(visit);
            }
        }
    }

    async fn start_for_visit(self: &Arc<Self>, entry: &Arc<Entry>) {
        let _command = entry.command.lock().await;
        let standing = entry.standing();
        if standing.state != State::Running && may_be_started_by_visit(&standing) && !self.is_closing() {
            // The error is in the entry's standing; the visitor reads it there.
            let _ = self.start_locked(entry, None).await;
        }
    }

    /// Starts an application at rest. The caller holds its command. `source` is its data source
    /// when it is open already.
    pub(crate) async fn start_locked(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        source: Option<DataSource>,
    ) -> Result<(), RpcError> {
        entry.go(&self.events, State::Initializing, None);
        match self.open_app(entry, source).await {
            Ok(app) => {
                entry.set_running(app);
                entry.go(&self.events, State::Running, None);
                Ok(())
            }
            Err(error) => {
                entry.go(&self.events, State::Error, Some(error.message.clone()));
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
                .hint("bring secret.key back as it was when the application was made")
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

    /// Stops a running application. The caller holds its command.
    pub(crate) async fn stop_locked(&self, entry: &Entry, to: State) {
        entry.close(self.options.drain_timeout).await;
        entry.go(&self.events, to, None);
    }

    /// Starts one.
    pub async fn start(self: &Arc<Self>, change: ChangeState) -> Result<StateChanged, RpcError> {
        self.change("app.start", change, |supervisor, entry| async move {
            let _command = entry.command.lock().await;
            supervisor.start_by_operator(&entry).await
        })
        .await
    }

    async fn start_by_operator(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<bool, RpcError> {
        match entry.state() {
            State::Running => return Ok(false),
            State::Initialized | State::Stopped | State::Error => {}
            state => return Err(in_the_way(entry, state, "started")),
        }
        self.keep_status(entry, State::Initialized).await?;
        self.start_locked(entry, None).await?;
        rest(entry).await;
        Ok(true)
    }

    /// Stops one; it stays stopped, also over a restart of the daemon, until it is started.
    pub async fn stop(self: &Arc<Self>, change: ChangeState) -> Result<StateChanged, RpcError> {
        Self::refuse_main(&change.id, "stopped")?;
        self.change("app.stop", change, |supervisor, entry| async move {
            let _command = entry.command.lock().await;
            match entry.state() {
                State::Stopped => return Ok(false),
                State::Running | State::Initialized | State::Error => {}
                state => return Err(in_the_way(&entry, state, "stopped")),
            }
            // Written first: a crash on the way must not bring it back to life.
            supervisor.keep_status(&entry, State::Stopped).await?;
            supervisor.stop_locked(&entry, State::Stopped).await;
            Ok(true)
        })
        .await
    }

    /// Stops one, if it runs, and starts it.
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
        let work = work(self.clone(), entry.clone());
        let (operation, outcome) = self.operations.run(method, &change.id, change.wait, work).await?;
        let changed = match outcome {
            Outcome::Done(changed) => changed,
            Outcome::Detached => true,
        };
        Ok(StateChanged { application: self.describe(&entry), changed, operation })
    }

    /// Writes the state that must survive the daemon.
    pub(crate) async fn keep_status(&self, entry: &Entry, status: State) -> Result<(), RpcError> {
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

    /// Waits for a state.
    pub async fn wait(&self, wait: WaitForState) -> Result<Application, RpcError> {
        let entry = self.entry(&wait.id)?;
        let mut standing = entry.watch();
        let reached = standing.wait_for(|standing| standing.state == wait.state);
        match tokio::time::timeout(Duration::from_millis(wait.timeout_ms), reached).await {
            Ok(_) => Ok(self.describe(&entry)),
            Err(_) => {
                let seconds = wait.timeout_ms as f64 / 1000.0;
                let now = entry.state();
                Err(RpcError::new(
                    ErrorKind::Timeout,
                    format!("\"{}\" is {now}, and did not become {} within {seconds} s", wait.id, wait.state),
                )
                .hint(format!("see why with: nbapps show {0}; nbapps logs {0}", wait.id)))
            }
        }
    }

    /// Starts the applications whose start mode is `with-main`, in parallel, bounded; gives when
    /// all are up or in error.
    pub async fn start_with_main(self: &Arc<Self>) {
        let places = Arc::new(tokio::sync::Semaphore::new(STARTS_AT_ONCE));
        let mut starts = tokio::task::JoinSet::new();
        for entry in self.all_entries() {
            if entry.registration.load().start_mode() != StartMode::WithMain {
                continue;
            }
            let (supervisor, places) = (self.clone(), places.clone());
            starts.spawn(async move {
                let _place = places.acquire().await;
                let _command = entry.command.lock().await;
                if entry.state() == State::Initialized && !supervisor.is_closing() {
                    // The error is in the entry's standing.
                    let _ = supervisor.start_locked(&entry, None).await;
                    rest(&entry).await;
                }
            });
        }
        starts.join_all().await;
    }

    /// Tasks that run as long as the supervisor: idle stops, and removing what was deleted long ago.
    pub(crate) fn spawn_caretakers(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(IDLE_CHECK);
            loop {
                tick.tick().await;
                let Some(supervisor) = weak.upgrade().filter(|supervisor| !supervisor.is_closing()) else {
                    break;
                };
                supervisor.stop_idle().await;
            }
        });
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(EXPIRY_CHECK);
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
            // Somebody else's command on it is work: it is not idle then.
            let Ok(_command) = entry.command.try_lock() else { continue };
            if entry.state() == State::Running && is_idle(&entry) {
                self.stop_locked(&entry, State::Initialized).await;
            }
        }
    }
}

/// Nobody has asked for what was started: until somebody does, it needs no connections.
async fn rest(entry: &Entry) {
    if let Some(running) = entry.running() {
        running.app.source().database().close_idle().await;
    }
}

fn may_be_started_by_visit(standing: &super::state_machine::Standing) -> bool {
    match standing.state {
        // Running, when it was entered a moment too early or left a moment too late.
        State::Preparing | State::Initializing | State::Initialized | State::Running => true,
        State::Error => standing.since.elapsed() >= RETRY_AFTER,
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
        (State::Commanding, _) => format!("the application \"{id}\" is busy with a command of its operator"),
        _ => format!("the application \"{id}\" is not running"),
    };
    let retry_after = match state {
        State::NotFound | State::Stopped => None,
        State::Error => Some(RETRY_AFTER.as_secs()),
        _ => Some(1),
    };
    Unavailable { id: id.to_owned(), state, message, retry_after }
}

fn in_the_way(entry: &Entry, state: State, what: &str) -> RpcError {
    if state == State::NotFound {
        return RpcError::app_not_found(entry.id.as_str());
    }
    RpcError::new(ErrorKind::Conflict, format!("\"{}\" is {state} and cannot be {what} now", entry.id))
        .hint(format!("wait until it is done: nbapps wait {} --for initialized", entry.id))
}

#[cfg(test)]
mod tests {
    use super::super::state_machine::Standing;
    use super::*;

    /// The time is that of the monotonic clock: whatever is done to the other one, it goes by.
    #[test]
    fn an_application_in_error_is_left_alone_for_a_while_only() {
        let now = std::time::Instant::now();
        let since = |past: Duration| Standing {
            since: now.checked_sub(past).unwrap_or(now),
            ..Standing::now(State::Error)
        };
        assert!(!may_be_started_by_visit(&since(Duration::ZERO)));
        assert!(may_be_started_by_visit(&since(RETRY_AFTER)));
    }
}
