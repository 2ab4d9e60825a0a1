//! Looks after a statement while it runs: ends it when its time is over, and lets others have the
//! processor meanwhile.
//!
//! SQLite asks every few thousand steps whether it is to go on. Statements that are done before
//! that, nearly all, pay for one look at the clock when they begin.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// After how many steps SQLite asks: a fraction of a millisecond.
const STEPS: i32 = 2_000;
/// A statement that takes longer is nothing for whoever has other requests to answer.
pub(super) const MOMENT: Duration = Duration::from_micros(500);
/// A statement that has run for so long gives the processor up whenever it is asked, to whoever
/// needs it: a short one that comes meanwhile does not wait for the end of a time slice.
const SHORT: Duration = Duration::from_millis(2);
/// How long a lock of another process is waited for; within this one, none is ever waited for.
const BUSY: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile.
const TRY: Duration = Duration::from_millis(5);

struct Run {
    began: Instant,
    limit: Option<Duration>,
    /// Whether it may wait for another process.
    waits: bool,
    /// Whether nobody waits for it any more.
    given_up: Option<Arc<AtomicBool>>,
}

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
}

/// The time in which a statement runs on this thread; it ends when this is dropped.
pub(super) struct Running(());

/// A statement begins on this thread, and may take so long.
pub(super) fn begin(limit: Option<Duration>, given_up: &Arc<AtomicBool>) -> Running {
    let given_up = Some(Arc::clone(given_up));
    RUN.set(Some(Run { began: Instant::now(), limit, waits: true, given_up }));
    Running(())
}

/// The same where nothing is waited for, and that is over in a moment.
pub(super) fn begin_briefly() -> Running {
    RUN.set(Some(Run { began: Instant::now(), limit: Some(MOMENT), waits: false, given_up: None }));
    Running(())
}

impl Drop for Running {
    fn drop(&mut self) {
        RUN.set(None);
    }
}

/// Has SQLite ask.
pub(super) fn watch(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(waits))?;
    connection.progress_handler(STEPS, Some(is_over))
}

/// Whether the statement on this thread is to end now.
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

/// Whether another process's lock is to be waited for, after so many tries. Waits a little.
fn waits(tries: i32) -> bool {
    let waited = TRY * u32::try_from(tries).unwrap_or(0);
    if waited >= BUSY || RUN.with_borrow(|run| run.as_ref().is_some_and(|run| !run.waits)) {
        return false;
    }
    std::thread::sleep(TRY);
    true
}
