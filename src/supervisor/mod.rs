//! Applications as a whole: what is registered, where each stands, and every command on them.
//!
//! [`Supervisor`] holds an entry for each registered application (`entry.rs`): its row of the
//! registry (`registry.rs`), its state (`state_machine.rs`), and the running application while it
//! runs. Commands change an entry one at a time: `creation.rs` and `deletion.rs` are sagas that a
//! crash cannot leave half done, `lifecycle.rs` starts, stops and lends applications to requests,
//! `settings.rs` changes what is registered, `limits.rs` keeps to what each may take of the host. Each runs as an operation (`operations.rs`), so that
//! it goes on when its client has gone. `applications.rs` offers the same commands over HTTP.

mod applications;
mod boot;
mod connection;
mod creation;
mod damage;
mod deletion;
mod description;
mod domains;
mod entry;
mod events;
mod failpoint;
mod failure;
mod first_start;
mod lifecycle;
mod limits;
pub mod logs;
mod operations;
mod preflight;
mod registry;
mod reserve;
mod root_account;
mod secrets;
mod settings;
mod sharing;
mod sizes;
mod state_machine;
mod storage;
mod sweep;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::database::{Engine, Location};
use crate::protocol::{self, AppId, ErrorKind, RpcError, State};

use entry::Entry;
use registry::{Registration, Registry};
use state_machine::Standing;
use storage::Premises;

pub use entry::Visit;
pub use events::Events;
pub use lifecycle::Unavailable;
pub(crate) use limits::SMALL_BODY;
pub use limits::{Arrival, Refused, Turn};
pub use operations::Operations;
pub use secrets::SecretKey;

/// What the host's applications are opened with.
#[derive(Debug)]
pub struct SupervisorOptions {
    /// Where everything is kept.
    pub data_directory: PathBuf,
    /// The main application's database.
    pub main_location: Location,
    /// What the names of the main application's tables begin with.
    pub table_prefix: String,
    /// Where the gateway is reached, without a slash at the end: `http://127.0.0.1:13000`.
    pub main_url: String,
    /// `INIT_ROOT_*`: the root user of the main application and of every other that is not given one.
    pub root: protocol::RootUser,
    /// How long a deleted application's data is kept.
    pub keep_deleted: Duration,
    /// How long a first visit waits for its application to start.
    pub visit_timeout: Duration,
    /// How long a stop waits for requests in flight.
    pub drain_timeout: Duration,
    /// What each application may take of the host, where that is configured.
    pub limits: protocol::LimitValues,
    /// The applications' log files.
    pub logs: Arc<logs::LogFiles>,
}

/// One stage of long work, as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name, for programs.
    pub name: &'static str,
    /// How many stages are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
    /// In words.
    pub message: String,
}

/// Where stages are told; without a listener nothing is lost.
pub type Stages = tokio::sync::mpsc::UnboundedSender<Stage>;

/// All applications of this host.
#[derive(Debug)]
pub struct Supervisor {
    options: SupervisorOptions,
    key: SecretKey,
    premises: Premises,
    registry: Registry,
    entries: papaya::HashMap<AppId, Arc<Entry>>,
    /// Which application answers under which host name.
    domains: papaya::HashMap<String, AppId>,
    /// Held while IDs, domains and directories are checked and taken.
    reservations: Mutex<()>,
    events: Events,
    operations: Operations,
    /// The pace of refusals to who asks for what is not there.
    unknown: limits::Pace,
    closing: AtomicBool,
}

impl Supervisor {
    /// What happens to applications.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Commands under way and ended.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// The applications' logs.
    pub fn logs(&self) -> &logs::LogFiles {
        &self.options.logs
    }

    /// How many are registered, and how many of them run; the main one not counted.
    pub fn counts(&self) -> (u64, u64) {
        let entries = self.entries.pin();
        let others = || entries.values().filter(|entry| !entry.id.is_main());
        let running = others().filter(|entry| entry.state() == State::Running).count();
        (others().count() as u64, running as u64)
    }

    /// The main application's engine.
    pub fn engine(&self) -> Engine {
        self.options.main_location.engine()
    }

    /// The application that answers under this host name (lower case, no port).
    pub fn by_domain(&self, host: &str) -> Option<AppId> {
        self.domains.pin().get(host).cloned()
    }

    /// An application as the host keeps it in memory; from here on it has a log of its own.
    /// One whose registration is damaged is in error at once.
    fn new_entry(&self, registration: Registration, location: Location, state: State) -> Arc<Entry> {
        self.options.logs.begin(&registration.id);
        let limits = self.limits(&registration, &location);
        let standing = match registration.damage.reason(&registration.id) {
            Some(reason) => Standing { reason: Some(reason), ..Standing::now(State::Error) },
            None => Standing::now(state),
        };
        Entry::new(registration, location, standing, limits)
    }

    /// The limits of an application.
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

    /// Takes no more commands, lets those under way end, stops every application, the main one
    /// last.
    pub async fn shutdown(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.operations.close().await;
        let mut closing = tokio::task::JoinSet::new();
        let (main, others): (Vec<_>, Vec<_>) =
            self.all_entries().into_iter().partition(|entry| entry.id.is_main());
        for entry in others {
            let patience = self.options.drain_timeout;
            closing.spawn(async move {
                let _command = entry.command.lock().await;
                entry.close(patience).await;
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
