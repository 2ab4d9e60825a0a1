//! Watches running statements: interrupts them at their timeout, and yields the core meanwhile.
//!
//! SQLite calls the progress handler every few thousand steps. Nearly all statements end before that, and pay
//! for one look at the clock when they begin.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// The number of steps between two calls: a fraction of a millisecond.
const STEPS_PER_CALL: i32 = 2_000;
/// The time limit of a statement on a thread that has other requests to answer.
pub(super) const INLINE_TIME_LIMIT: Duration = Duration::from_micros(500);
/// A statement that has run for this long yields the core at each call, so that short ones do not wait for
/// the end of a time slice.
const YIELD_AFTER: Duration = Duration::from_millis(2);
/// The timeout for a lock of another process; within this process nobody waits for locks.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval at which the lock is retried.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(5);

struct RunningStatement {
    began: Instant,
    limit: Option<Duration>,
    /// Whether it may wait for another process's lock.
    may_wait: bool,
    /// Whether nobody waits for it any more.
    cancelled: Option<Arc<AtomicBool>>,
}

thread_local! {
    static RUNNING: RefCell<Option<RunningStatement>> = const { RefCell::new(None) };
}

/// Marks a statement as running on this thread, until drop.
pub(super) struct StatementGuard(());

/// Notes that a statement with this timeout begins on this thread.
pub(super) fn start(limit: Option<Duration>, cancelled: &Arc<AtomicBool>) -> StatementGuard {
    let cancelled = Some(Arc::clone(cancelled));
    RUNNING.set(Some(RunningStatement { began: Instant::now(), limit, may_wait: true, cancelled }));
    StatementGuard(())
}

/// Notes that a statement begins on this thread that must be short and not wait for locks.
pub(super) fn start_short() -> StatementGuard {
    RUNNING.set(Some(RunningStatement {
        began: Instant::now(),
        limit: Some(INLINE_TIME_LIMIT),
        may_wait: false,
        cancelled: None,
    }));
    StatementGuard(())
}

impl Drop for StatementGuard {
    fn drop(&mut self) {
        RUNNING.set(None);
    }
}

/// Installs the handlers on a connection.
pub(super) fn install(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(retry_lock))?;
    connection.progress_handler(STEPS_PER_CALL, Some(should_interrupt))
}

/// Whether to interrupt the statement on this thread.
fn should_interrupt() -> bool {
    RUNNING.with_borrow(|run| {
        let Some(run) = run else { return false };
        let so_far = run.began.elapsed();
        if so_far >= YIELD_AFTER {
            std::thread::yield_now();
        }
        let cancelled = run.cancelled.as_ref().is_some_and(|cancelled| cancelled.load(Ordering::Relaxed));
        cancelled || run.limit.is_some_and(|limit| so_far >= limit)
    })
}

/// The busy handler: whether to retry, after so many tries. Sleeps before that.
fn retry_lock(tries: i32) -> bool {
    let waited = LOCK_RETRY_INTERVAL * u32::try_from(tries).unwrap_or(0);
    if waited >= LOCK_TIMEOUT || RUNNING.with_borrow(|run| run.as_ref().is_some_and(|run| !run.may_wait)) {
        return false;
    }
    std::thread::sleep(LOCK_RETRY_INTERVAL);
    true
}
