//! One registered application in memory: its registration, where it stands, and, while it runs,
//! the running application with the count of requests in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, Notify, watch};

use crate::app::App;
use crate::database::Location;
use crate::protocol::{AppId, Happening, Limits, State};

use super::events::Events;
use super::limits::Admission;
use super::registry::Registration;
use super::state_machine::{Standing, may_go};

/// A registered application.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: AppId,
    /// Where its database is.
    pub(crate) location: Location,
    pub(crate) registration: ArcSwap<Registration>,
    /// What requests pass before they get to it.
    pub(crate) admission: Arc<Admission>,
    standing: watch::Sender<Standing>,
    running: ArcSwapOption<Running>,
    /// Held by whatever changes its state: one command at a time.
    pub(crate) command: Arc<Mutex<()>>,
}

impl Entry {
    pub(crate) fn new(
        registration: Registration,
        location: Location,
        standing: Standing,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: registration.id.clone(),
            location,
            registration: ArcSwap::from_pointee(registration),
            admission: Admission::new(limits),
            standing: watch::channel(standing).0,
            running: ArcSwapOption::empty(),
            command: Arc::default(),
        })
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    pub(crate) fn state(&self) -> State {
        self.standing.borrow().state
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    pub(crate) fn running(&self) -> Option<Arc<Running>> {
        self.running.load_full()
    }

    /// Takes a step of the state machine and tells everybody. Only the holder of `command` calls it.
    pub(crate) fn go(&self, events: &Events, to: State, reason: Option<String>) {
        let mut from = to;
        self.standing.send_if_modified(|standing| {
            from = standing.state;
            let allowed = may_go(from, to);
            if allowed {
                *standing = Standing { state: to, reason: reason.clone(), since: Instant::now() };
            }
            allowed
        });
        if may_go(from, to) {
            tracing::info!(app = %self.id, %from, %to, reason, "state changed");
            events.publish(&self.id, Happening::StateChanged { from, to, reason });
        } else {
            debug_assert!(false, "{}: {from} may not become {to}", self.id);
            tracing::error!(app = %self.id, %from, %to, "a step that the state machine does not have was refused");
        }
    }

    /// Says why it is in error, where that is not the same any more.
    pub(crate) fn explain(&self, reason: String) {
        self.standing.send_modify(|standing| standing.reason = Some(reason));
    }

    /// Lends the application to one request, if it runs.
    pub(crate) fn enter(&self) -> Option<Visit> {
        let running = self.running.load_full()?;
        running.in_flight.fetch_add(1, Ordering::SeqCst);
        let visit = Visit { running };
        // Entering and closing each write before they read: one of the two sees the other.
        if visit.running.closing.load(Ordering::SeqCst) { None } else { Some(visit) }
    }

    /// From now on these limits hold, also in what runs.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.admission.set(limits);
        if let Some(running) = self.running() {
            limit(&running.app, &limits);
        }
    }

    pub(crate) fn set_running(&self, app: Arc<App>) {
        limit(&app, &self.admission.limits());
        self.running.store(Some(Arc::new(Running {
            app,
            started_at: crate::protocol::now(),
            in_flight: AtomicU64::new(0),
            last_left: AtomicU64::new(milliseconds()),
            closing: AtomicBool::new(false),
            drained: Notify::new(),
        })));
    }

    /// Lends it to no further request, waits for those in it (at most `patience`), and closes it.
    pub(crate) async fn close(&self, patience: Duration) {
        let Some(running) = self.running.swap(None) else { return };
        running.closing.store(true, Ordering::SeqCst);
        let drained = async {
            while running.in_flight.load(Ordering::SeqCst) > 0 {
                running.drained.notified().await;
            }
        };
        if tokio::time::timeout(patience, drained).await.is_err() {
            let left = running.in_flight.load(Ordering::SeqCst);
            tracing::warn!(app = %self.id, left, "closed with requests still in flight");
        }
        running.app.close().await;
    }
}

/// What of the limits its database keeps to.
fn limit(app: &App, limits: &Limits) {
    let statement_time = Duration::from_millis(limits.statement_time_ms);
    app.source().database().set_limits(limits.database_connections, statement_time);
}

/// A running application.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) app: Arc<App>,
    pub(crate) started_at: DateTime<Utc>,
    in_flight: AtomicU64,
    /// When the last request left, in milliseconds since the process began to count.
    last_left: AtomicU64,
    closing: AtomicBool,
    drained: Notify,
}

impl Running {
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How long no request has been in it; nothing while one is.
    pub(crate) fn idle(&self) -> Duration {
        if self.in_flight() > 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(milliseconds().saturating_sub(self.last_left.load(Ordering::Relaxed)))
    }
}

/// A running application, lent to one request. Stopping it waits until this is dropped.
#[derive(Debug)]
pub struct Visit {
    running: Arc<Running>,
}

impl std::ops::Deref for Visit {
    type Target = Arc<App>;

    fn deref(&self) -> &Arc<App> {
        &self.running.app
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.running.last_left.store(milliseconds(), Ordering::Relaxed);
        if self.running.in_flight.fetch_sub(1, Ordering::SeqCst) == 1
            && self.running.closing.load(Ordering::SeqCst)
        {
            self.running.drained.notify_one();
        }
    }
}

fn milliseconds() -> u64 {
    static BEGINNING: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    u64::try_from(BEGINNING.elapsed().as_millis()).unwrap_or(u64::MAX)
}
