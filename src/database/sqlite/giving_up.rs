//! Ends work of a connection that nobody waits for any more, as servers are told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

use super::pace;

/// How far the work has come.
enum Progress {
    /// It waits for a thread.
    Waiting,
    /// A thread is at it, and can be interrupted by this.
    UnderWay(InterruptHandle),
    /// It has come to its end: its connection may be somebody else's by now.
    Ended,
    /// Nobody waits for it.
    GivenUp,
}

/// The worker's side.
pub(super) struct Work {
    progress: Arc<Mutex<Progress>>,
    given_up: Arc<AtomicBool>,
    limit: Option<Duration>,
}

/// The side of whoever waits; dropped, the work is given up.
pub(super) struct Waiting(Arc<Mutex<Progress>>, Arc<AtomicBool>);

/// Both sides of a piece of work that has not begun, and may take so long once it has.
pub(super) fn work(limit: Option<Duration>) -> (Work, Waiting) {
    let progress = Arc::new(Mutex::new(Progress::Waiting));
    let given_up = Arc::new(AtomicBool::new(false));
    let work = Work { progress: Arc::clone(&progress), given_up: Arc::clone(&given_up), limit };
    (work, Waiting(progress, given_up))
}

impl Work {
    /// Does it with a connection, until it ends or is interrupted; `None` when it was given up before.
    pub(super) fn run<T>(
        &self,
        connection: &mut Connection,
        work: impl FnOnce(&mut Connection) -> T,
    ) -> Option<T> {
        self.run_within(self.limit, connection, work)
    }

    /// The same for so long at most. What was undone then can be done again.
    pub(super) fn run_briefly<T>(
        &self,
        most: Duration,
        connection: &mut Connection,
        work: impl FnOnce(&mut Connection) -> T,
    ) -> Option<T> {
        let limit = self.limit.map_or(most, |limit| limit.min(most));
        self.run_within(Some(limit), connection, work)
    }

    fn run_within<T>(
        &self,
        limit: Option<Duration>,
        connection: &mut Connection,
        work: impl FnOnce(&mut Connection) -> T,
    ) -> Option<T> {
        {
            let mut progress = self.progress.lock();
            if matches!(*progress, Progress::GivenUp) {
                return None;
            }
            *progress = Progress::UnderWay(connection.get_interrupt_handle());
        }
        // Also when the work panics: what comes after on this connection must not be interrupted.
        let _ended = Ended(&self.progress);
        let _running = pace::begin(limit, &self.given_up);
        Some(work(connection))
    }
}

struct Ended<'a>(&'a Mutex<Progress>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut progress = self.0.lock();
        if !matches!(*progress, Progress::GivenUp) {
            *progress = Progress::Ended;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // What SQLite has not begun yet cannot be interrupted: it sees this when it asks.
        self.1.store(true, Ordering::Relaxed);
        let mut progress = self.0.lock();
        // Under the lock, so that it cannot meet the work after this one.
        if let Progress::UnderWay(handle) = &*progress {
            handle.interrupt();
        }
        // What has ended may be undone with others, and is not done again then.
        *progress = Progress::GivenUp;
    }
}
