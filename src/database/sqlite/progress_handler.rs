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
const STEPS: i32 = 2_000;
/// The time limit of a statement on a thread that has other requests to answer.
pub(super) const MOMENT: Duration = Duration::from_micros(500);
/// A statement that has run for this long yields the core at each call, so that short ones do not wait for
/// the end of a time slice.
const SHORT: Duration = Duration::from_millis(2);
/// The timeout for a lock of another process; within this process nobody waits for locks.
const BUSY: Duration = Duration::from_secs(5);
/// The interval at which the lock is retried.
const TRY: Duration = Duration::from_millis(5);

struct Run {
    began: Instant,
    limit: Option<Duration>,
    /// Whether it may wait for another process's lock.
    waits: bool,
    /// Whether nobody waits for it any more.
    given_up: Option<Arc<AtomicBool>>,
}

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
}

/// Marks a statement as running on this thread, until drop.
pub(super) struct Running(());

/// Notes that a statement with this timeout begins on this thread.
pub(super) fn begin(limit: Option<Duration>, given_up: &Arc<AtomicBool>) -> Running {
    let given_up = Some(Arc::clone(given_up));
    RUN.set(Some(Run { began: Instant::now(), limit, waits: true, given_up }));
    Running(())
}

/// Notes that a statement begins on this thread that must be short and not wait for locks.
pub(super) fn begin_briefly() -> Running {
    RUN.set(Some(Run { began: Instant::now(), limit: Some(MOMENT), waits: false, given_up: None }));
    Running(())
}

impl Drop for Running {
    fn drop(&mut self) {
        RUN.set(None);
    }
}

/// Installs the handlers on a connection.
pub(super) fn watch(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(waits))?;
    connection.progress_handler(STEPS, Some(is_over))
}

/// Whether to interrupt the statement on this thread.
fn is_over() -> bool {
    RUN.with_borrow(|run| {
        let Some(run) = run else { return false };
        let so_far = run.began.elapsed();
        if so_far >= SHORT {
            std::thread::yield_now();
        }
        let given_up = run.given_up.as_ref().is_some_and(|given_up| given_up.load(Ordering::Relaxed));
        given_up || run.limit.is_some_and(|limit| so_far >= limit)
    })
}

/// The busy handler: whether to retry, after so many tries. Sleeps before that.
fn waits(tries: i32) -> bool {
    let waited = TRY * u32::try_from(tries).unwrap_or(0);
    if waited >= BUSY || RUN.with_borrow(|run| run.as_ref().is_some_and(|run| !run.waits)) {
        return false;
    }
    std::thread::sleep(TRY);
    true
}
