//! Takes samples of the statistics of applications and of the host.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::protocol::{AppId, ApplicationStats, HostStats, ReadStats, RequestStats, Stats};

use super::Supervisor;
use super::description::in_order;
use super::entry::Entry;
use super::limits::InUse;
use super::process;

/// Tells how many HTTP connections are open: each holds a permit.
#[derive(Debug, Clone)]
pub struct ConnectionGauge {
    permits: Arc<Semaphore>,
    max: usize,
}

impl ConnectionGauge {
    /// For connections that hold the permits of this semaphore, which has `max` of them.
    #[must_use]
    pub fn new(permits: Arc<Semaphore>, max: usize) -> Self {
        Self { permits, max }
    }

    /// The number of open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.max.saturating_sub(self.permits.available_permits())
    }

    /// The most connections.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }
}

impl Supervisor {
    /// Sets, once, what tells the number of HTTP connections.
    pub fn set_connection_gauge(&self, gauge: ConnectionGauge) {
        let _ = self.connections.set(gauge);
    }

    /// What the process uses.
    pub fn host_stats(&self) -> HostStats {
        let (applications, running) = self.counts();
        let connections = self.connections.get();
        HostStats {
            started_at: self.opened_at,
            applications,
            running,
            http_connections: connections.map_or(0, ConnectionGauge::open) as u64,
            max_http_connections: connections.map_or(0, ConnectionGauge::max) as u64,
            ..process::usage()
        }
    }

    /// Takes a sample: of all applications, or of some.
    pub async fn stats(&self, read: &ReadStats) -> Stats {
        let (mut entries, missing) = self.entries_of(&read.ids);
        entries.sort_unstable_by(in_order);
        let mut applications: Vec<_> = entries.iter().map(|entry| application_stats(entry)).collect();
        // Before the sizes, which take their time.
        let (at, host) = (crate::protocol::now(), self.host_stats());
        if read.sizes {
            let is_measured = |id: &AppId| !read.ids.is_empty() || self.is_running(id);
            let places = applications.iter_mut().filter(|application| is_measured(&application.id));
            self.measure_each(places.map(|stats| (&stats.id, &mut stats.database_size_bytes))).await;
        }
        Stats { at, host, applications, missing }
    }

    /// The entries of these applications, each once, and the IDs that do not exist; without IDs, all entries.
    fn entries_of(&self, ids: &[AppId]) -> (Vec<Arc<Entry>>, Vec<AppId>) {
        if ids.is_empty() {
            return (self.all_entries(), Vec::new());
        }
        let (mut entries, mut missing, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for id in ids.iter().filter(|id| seen.insert(*id)) {
            match self.find(id.as_str()) {
                Some(entry) => entries.push(entry),
                None => missing.push(id.clone()),
            }
        }
        (entries, missing)
    }

    /// Whether an application runs.
    pub(super) fn is_running(&self, id: &AppId) -> bool {
        self.find(id.as_str()).is_some_and(|entry| entry.running().is_some())
    }
}

/// What an application uses now, or several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// 1 if it is running.
    pub(super) running: u64,
    pub(super) in_flight: u64,
    pub(super) queued: u64,
    pub(super) connections: u64,
    pub(super) body_bytes: u64,
    pub(super) database_connections: u64,
    /// The most memory for its page caches; `None` where they are in a server.
    pub(super) max_page_cache: Option<u64>,
}

impl Usage {
    pub(super) fn of(entry: &Entry) -> Self {
        let InUse { queued, connections, body_bytes } = entry.admission.in_use();
        let by_requests =
            Self { queued: queued.into(), connections: connections.into(), body_bytes, ..Self::default() };
        let Some(running) = entry.running() else { return by_requests };
        let database = running.app.source().database();
        Self {
            running: 1,
            in_flight: running.in_flight(),
            database_connections: database.open_connections() as u64,
            max_page_cache: database.max_page_cache(),
            ..by_requests
        }
    }

    /// Adds what another application uses.
    pub(super) fn add(&mut self, other: &Self) {
        self.running += other.running;
        self.in_flight += other.in_flight;
        self.queued += other.queued;
        self.connections += other.connections;
        self.body_bytes += other.body_bytes;
        self.database_connections += other.database_connections;
        let caches = [self.max_page_cache, other.max_page_cache];
        self.max_page_cache = caches.into_iter().flatten().reduce(|one, more| one + more);
    }
}

/// The statistics of an application, without the size of its data.
fn application_stats(entry: &Entry) -> ApplicationStats {
    let usage = Usage::of(entry);
    let current = entry.current_state();
    ApplicationStats {
        id: entry.id.clone(),
        state: current.state,
        reason: current.reason,
        since: entry.counted_since,
        requests: entry.admission.traffic().totals().as_ref().map(RequestStats::from),
        in_flight: usage.in_flight,
        queued: usage.queued,
        connections: usage.connections,
        database_connections: usage.database_connections,
        body_bytes: usage.body_bytes,
        max_page_cache_bytes: usage.max_page_cache,
        database_size_bytes: None,
    }
}
