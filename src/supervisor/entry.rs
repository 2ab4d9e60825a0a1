//! A registered application in memory: its registration, its state and, while it runs, the running application
//! with its requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, Notify, watch};

use crate::app::App;
use crate::database::Location;
use crate::protocol::{AccessLog, AppId, Happening, Limits, State};

use super::events::Events;
use super::limits::Admission;
use super::registry::Registration;
use super::state_machine::{CurrentState, may_transition};

/// A registered application.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: AppId,
    /// The location of its database.
    pub(crate) location: Location,
    pub(crate) registration: ArcSwap<Registration>,
    /// Admits its requests, within its limits.
    pub(crate) admission: Arc<Admission>,
    /// The lowest status of a response that its access log has a line for.
    access_log_from: AtomicU16,
    current: watch::Sender<CurrentState>,
    running: ArcSwapOption<RunningApplication>,
    /// Since when its requests are counted.
    pub(crate) counted_since: DateTime<Utc>,
    /// Held by the command that changes its state, so that commands run one at a time.
    pub(crate) command: Arc<Mutex<()>>,
}

impl Entry {
    pub(crate) fn new(
        registration: Registration,
        location: Location,
        current: CurrentState,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: registration.id.clone(),
            location,
            registration: ArcSwap::from_pointee(registration),
            admission: Admission::new(limits),
            access_log_from: AtomicU16::new(u16::MAX),
            current: watch::channel(current).0,
            running: ArcSwapOption::empty(),
            counted_since: crate::protocol::now(),
            command: Arc::default(),
        })
    }

    pub(crate) fn current_state(&self) -> CurrentState {
        self.current.borrow().clone()
    }

    pub(crate) fn state(&self) -> State {
        self.current.borrow().state
    }

    pub(crate) fn running(&self) -> Option<Arc<RunningApplication>> {
        self.running.load_full()
    }

    /// Changes the state and publishes the change. Only the holder of `command` may call it. A transition that the
    /// state machine does not allow is logged as an error and ignored.
    pub(crate) fn transition(&self, events: &Events, to: State, reason: Option<String>) {
        let mut from = to;
        self.current.send_if_modified(|current| {
            from = current.state;
            let allowed = may_transition(from, to);
            if allowed {
                *current = CurrentState { state: to, reason: reason.clone(), since: Instant::now() };
            }
            allowed
        });
        if may_transition(from, to) {
            match to {
                State::Error => tracing::error!(app = %self.id, %from, %to, reason, "state changed"),
                _ => tracing::info!(app = %self.id, %from, %to, reason, "state changed"),
            }
            events.publish(&self.id, Happening::StateChanged { from, to, reason });
        } else {
            debug_assert!(false, "{}: {from} must not become {to}", self.id);
            tracing::error!(app = %self.id, %from, %to, "a transition that the state machine does not allow was ignored");
        }
    }

    /// Replaces the reason of the state `error`.
    pub(crate) fn set_reason(&self, reason: String) {
        self.current.send_modify(|current| current.reason = Some(reason));
    }

    /// Lends the application to a request; `None` unless it runs.
    pub(crate) fn enter(&self) -> Option<ApplicationGuard> {
        let running = self.running.load_full()?;
        running.in_flight.fetch_add(1, Ordering::SeqCst);
        let guard = ApplicationGuard { running };
        // `enter` and `close` each write before they read, so that at least one of them sees the other.
        if guard.running.closing.load(Ordering::SeqCst) { None } else { Some(guard) }
    }

    /// Applies new limits, also to the running application.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.admission.set(limits);
        if let Some(running) = self.running() {
            set_database_limits(&running.app, &limits);
        }
    }

    /// The lowest status of a response that its access log has a line for; `u16::MAX` for none.
    pub(crate) fn access_log_from(&self) -> u16 {
        self.access_log_from.load(Ordering::Relaxed)
    }

    /// From now on its access log has these requests.
    pub(crate) fn set_access_log(&self, access_log: AccessLog) {
        self.access_log_from.store(access_log.min_status(), Ordering::Relaxed);
    }

    pub(crate) fn set_running(&self, app: Arc<App>) {
        set_database_limits(&app, &self.admission.limits());
        self.running.store(Some(Arc::new(RunningApplication {
            app,
            started_at: crate::protocol::now(),
            in_flight: AtomicU64::new(0),
            last_left: AtomicU64::new(milliseconds()),
            closing: AtomicBool::new(false),
            drained: Notify::new(),
        })));
    }

    /// Closes the running application: admits no more requests and waits, at most `timeout`, for those in flight.
    pub(crate) async fn close(&self, timeout: Duration) {
        let Some(running) = self.running.swap(None) else { return };
        running.closing.store(true, Ordering::SeqCst);
        let drained = async {
            while running.in_flight.load(Ordering::SeqCst) > 0 {
                running.drained.notified().await;
            }
        };
        if tokio::time::timeout(timeout, drained).await.is_err() {
            let left = running.in_flight.load(Ordering::SeqCst);
            tracing::warn!(app = %self.id, left, "closed with requests still in flight");
        }
        running.app.close().await;
    }
}

/// Applies the limits that the database enforces.
fn set_database_limits(app: &App, limits: &Limits) {
    let statement_time = Duration::from_millis(limits.statement_time_ms);
    app.source().database().set_limits(limits.database_connections, statement_time);
}

/// A running application.
#[derive(Debug)]
pub(crate) struct RunningApplication {
    pub(crate) app: Arc<App>,
    pub(crate) started_at: DateTime<Utc>,
    in_flight: AtomicU64,
    /// When the last request ended, in milliseconds since an arbitrary start.
    last_left: AtomicU64,
    closing: AtomicBool,
    drained: Notify,
}

impl RunningApplication {
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How long it has had no request in flight; zero while it has one.
    pub(crate) fn idle(&self) -> Duration {
        if self.in_flight() > 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(milliseconds().saturating_sub(self.last_left.load(Ordering::Relaxed)))
    }
}

/// A running application, lent to a request. A stop waits until this is dropped.
#[derive(Debug)]
pub struct ApplicationGuard {
    running: Arc<RunningApplication>,
}

impl std::ops::Deref for ApplicationGuard {
    type Target = Arc<App>;

    fn deref(&self) -> &Arc<App> {
        &self.running.app
    }
}

impl Drop for ApplicationGuard {
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
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}
