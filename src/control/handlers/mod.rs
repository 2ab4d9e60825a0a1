//! The handlers of the methods, one file for each family: `host.*` and `rpc.*`, `app.*`,
//! `operation.*`, `user.*` and `key.*`, the statistics, and those that go on after their response,
//! `events.subscribe`, `app.logs` and `host.logs`.

mod applications;
mod host;
mod operations;
mod statistics;
mod streams;
mod within;

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::doctor::Doctor;
use crate::supervisor::Supervisor;

/// What the daemon knows of itself.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Where it keeps its data.
    pub data_directory: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    /// The configuration file it read, if any.
    pub config_file: Option<PathBuf>,
    /// The address it listens on for HTTP.
    pub listen: String,
    /// The address it serves metrics on, if any.
    pub metrics_listen: Option<String>,
    /// Where the main application's pages are.
    pub main_url: String,
}

/// Handles the requests of all connections.
#[derive(Debug)]
pub struct RequestHandler {
    facts: HostFacts,
    supervisor: Arc<Supervisor>,
    doctor: Doctor,
    shutdown: CancellationToken,
}

impl RequestHandler {
    /// Handles requests about these applications, which `doctor` checks; `host.shutdown` cancels `shutdown`.
    #[must_use]
    pub fn new(
        facts: HostFacts,
        supervisor: Arc<Supervisor>,
        doctor: Doctor,
        shutdown: CancellationToken,
    ) -> Self {
        Self { facts, supervisor, doctor, shutdown }
    }
}
