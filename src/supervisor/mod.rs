//! All applications of the host: the registry, their states, and the commands on them.
//!
//! [`Supervisor`] holds an entry for each registered application (`entry.rs`): its record in the registry
//! (`registry/`), its state (`state_machine.rs`) and, while it runs, the running application. Commands on an entry
//! run one at a time, each as an operation (`operations.rs`), so that it continues when its client disconnects.
//!
//! - `boot.rs` opens everything at the start of the daemon.
//! - `creation.rs` and `deletion.rs` are sagas: a crash cannot leave one half done. `storage.rs` creates and removes
//!   the directories and databases.
//! - `lifecycle.rs` starts and stops applications, and lends them to requests; `limits.rs` enforces what each may
//!   use of the host.
//! - `settings.rs` changes settings, `description.rs` describes applications to clients, `inspection.rs` to the checks
//!   of the host.
//! - `traffic.rs` counts requests, `statistics.rs` takes samples of the counters, `metrics.rs` writes them for
//!   Prometheus.
//! - `users.rs` and `keys.rs` change the users and API keys of an application through its own API (`api_call.rs`);
//!   `api_request.rs` forwards a client's call of that API, and `database_access.rs` tells how its database is reached.
//! - `applications.rs` offers the commands over HTTP.

mod api_call;
mod api_request;
mod applications;
mod boot;
mod claims;
mod create_or_find;
mod creation;
mod database_access;
mod deletion;
mod description;
mod domains;
mod entry;
mod error_context;
mod events;
mod first_passwords;
mod first_start;
mod host_name;
mod inspection;
mod keys;
mod lifecycle;
mod limits;
mod list_filter;
pub mod logs;
mod metrics;
mod open_error;
mod operations;
mod preflight;
mod process;
mod registry;
mod requested_database;
mod reserve;
mod root_account;
mod secrets;
mod settings;
mod sizes;
mod state_machine;
mod statistics;
mod storage;
mod sweep;
mod texts;
mod traffic;
mod users;
mod waiting;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

use crate::database::{Engine, Location};
use crate::protocol::{self, AppId, ErrorKind, Operation, RpcError, State};

use entry::Entry;
use first_passwords::FirstPasswords;
use registry::{Registration, Registry};
use state_machine::CurrentState;
use storage::Storage;

pub use entry::ApplicationGuard;
pub(crate) use error_context::ErrorContext;
pub use events::Events;
pub use first_passwords::ShownPassword;
pub use inspection::Inspected;
pub use lifecycle::Unavailable;
pub(crate) use limits::SMALL_BODY;
pub use limits::{Arrival, Refused, RequestPermit};
pub use operations::Operations;
pub(crate) use requested_database::check_prefix;
pub(crate) use root_account::RootAccount;
pub(crate) use secrets::KEY_FILE;
pub use secrets::SecretKey;
pub use statistics::ConnectionGauge;

/// The options with which the host's applications are opened.
#[derive(Debug)]
pub struct SupervisorOptions {
    /// The directory with everything that belongs to the host.
    pub data_directory: PathBuf,
    /// The location of the main application's database.
    pub main_location: Location,
    /// The prefix of the main application's tables.
    pub table_prefix: String,
    /// The gateway's URL, without a slash at the end: `http://127.0.0.1:13000`.
    pub main_url: String,
    /// The root user (`INIT_ROOT_*`) of the main application and of every other that is created without one.
    pub root: protocol::RootUser,
    /// How long a deleted application's data is kept.
    pub keep_deleted: Duration,
    /// How long a request waits for its application to start.
    pub visit_timeout: Duration,
    /// How long a stop waits for requests in flight.
    pub drain_timeout: Duration,
    /// The configured limits of every application.
    pub limits: protocol::LimitValues,
    /// Which requests get a line in the access logs of applications without a setting of their own.
    pub access_log: protocol::AccessLog,
    /// The applications' log files.
    pub logs: Arc<logs::LogFiles>,
    /// How many applications have labels of their own in the metrics.
    pub metrics_applications: usize,
}

/// The beginning of a stage of a long operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The name, for programs.
    pub name: &'static str,
    /// How many stages are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
    /// The description, for people.
    pub message: String,
    /// The operation that it belongs to, where that is known.
    pub operation: Option<String>,
}

/// The channel to which a saga sends its stages. It may have no receiver.
pub type Stages = tokio::sync::mpsc::UnboundedSender<Stage>;

/// All applications of this host.
#[derive(Debug)]
pub struct Supervisor {
    options: SupervisorOptions,
    key: SecretKey,
    storage: Storage,
    registry: Registry,
    entries: papaya::HashMap<AppId, Arc<Entry>>,
    /// The application of each domain.
    domains: papaya::HashMap<String, AppId>,
    /// Held while IDs, domains and directories are checked and taken.
    reservations: Mutex<()>,
    events: Events,
    operations: Operations,
    first_passwords: FirstPasswords,
    /// Delays the refusals of requests for applications that do not exist.
    unknown: limits::Pacer,
    /// Tells the number of HTTP connections, once there is a gateway.
    connections: OnceLock<ConnectionGauge>,
    metrics: metrics::MetricsState,
    opened_at: DateTime<Utc>,
    closing: AtomicBool,
}

impl Supervisor {
    /// The events of all applications.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The operations in progress and the last ended ones.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// The first user of the application that an operation created, for the user who began it, if nobody has
    /// seen the generated password.
    pub async fn unseen_password(&self, operation: &Operation, user: Option<u32>) -> Option<ShownPassword> {
        operation.finished_at?;
        self.first_passwords.claim(&operation.id, user).await
    }

    /// The logs of all applications.
    pub fn logs(&self) -> &logs::LogFiles {
        &self.options.logs
    }

    /// Returns how many applications are registered and how many of them run, without the main one.
    pub fn counts(&self) -> (u64, u64) {
        let entries = self.entries.pin();
        let others = || entries.values().filter(|entry| !entry.id.is_main());
        let running = others().filter(|entry| entry.state() == State::Running).count();
        (others().count() as u64, running as u64)
    }

    /// The engine of the main application's database.
    pub fn engine(&self) -> Engine {
        self.options.main_location.engine()
    }

    /// The IDs of all applications, in order, the main one first.
    pub fn ids(&self) -> Vec<AppId> {
        let mut ids: Vec<AppId> = self.entries.pin().keys().cloned().collect();
        ids.sort_unstable_by(|one, other| (!one.is_main(), one).cmp(&(!other.is_main(), other)));
        ids
    }

    /// The lowest status of a response that the application's access log has a line for; `None` for no
    /// application and for a log that is off.
    pub fn access_log_from(&self, id: &str) -> Option<u16> {
        let from = self.entries.pin().get(id).map(|entry| entry.access_log_from())?;
        (from < u16::MAX).then_some(from)
    }

    /// Which requests the access log of an application has a line for.
    fn access_log(&self, registration: &Registration) -> protocol::AccessLog {
        registration.access_log().unwrap_or(self.options.access_log)
    }

    /// Returns the application with this domain (lower case, no port).
    pub fn by_domain(&self, host: &str) -> Option<AppId> {
        self.domains.pin().get(host).cloned()
    }

    /// Makes the entry of an application, and begins its log. If the registration is damaged, its state is
    /// `error`.
    fn new_entry(&self, registration: Registration, location: Location, state: State) -> Arc<Entry> {
        self.options.logs.begin(&registration.id);
        let limits = self.limits(&registration, &location);
        let current = match registration.damage.reason(&registration.id) {
            Some(reason) => CurrentState { reason: Some(reason), ..CurrentState::now(State::Error) },
            None => CurrentState::now(state),
        };
        let access_log = self.access_log(&registration);
        let entry = Entry::new(registration, location, current, limits);
        entry.set_access_log(access_log);
        entry
    }

    /// Returns the limits of an application.
    fn limits(&self, registration: &Registration, location: &Location) -> protocol::Limits {
        let own_server = location.server_database().is_some_and(|at| at.schema.is_none());
        limits::effective(&registration.limits(), &self.options.limits, !own_server)
    }

    fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries.pin().get(id).cloned()
    }

    fn entry(&self, id: &AppId) -> Result<Arc<Entry>, RpcError> {
        self.find(id.as_str()).ok_or_else(|| RpcError::app_not_found(id.as_str()))
    }

    fn all_entries(&self) -> Vec<Arc<Entry>> {
        self.entries.pin().values().cloned().collect()
    }

    fn refuse_main(id: &AppId, what: &str) -> Result<(), RpcError> {
        if !id.is_main() {
            return Ok(());
        }
        Err(RpcError::new(ErrorKind::Refused, format!("the main application cannot be {what}"))
            .hint("it holds the registry of the others and runs as long as the daemon: nbapps daemon stop"))
    }

    /// Accepts no more commands, waits for those in progress, and stops every application, the main one last.
    pub async fn shutdown(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.operations.close().await;
        let mut closing = tokio::task::JoinSet::new();
        let (main, others): (Vec<_>, Vec<_>) =
            self.all_entries().into_iter().partition(|entry| entry.id.is_main());
        for entry in others {
            let timeout = self.options.drain_timeout;
            closing.spawn(async move {
                let _command = entry.command.lock().await;
                entry.close(timeout).await;
            });
        }
        closing.join_all().await;
        for entry in main {
            entry.close(self.options.drain_timeout).await;
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }
}
