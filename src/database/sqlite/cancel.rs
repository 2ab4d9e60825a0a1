//! Ends work of a connection that nobody waits for any more, as servers are told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

use super::progress_handler;

/// What both sides know of a piece of work.
#[derive(Default)]
struct Shared {
    /// Nobody waits for it any more. SQLite is told when it asks: what it has not begun yet cannot be
    /// interrupted.
    given_up: Arc<AtomicBool>,
    /// What interrupts it while a thread is at it: before and after, the connection is somebody else's.
    under_way: Mutex<Option<InterruptHandle>>,
}

/// The worker's side.
pub(super) struct Work {
    shared: Arc<Shared>,
    limit: Option<Duration>,
}

/// The side of whoever waits; dropped, the work is given up.
pub(super) struct Waiting(Arc<Shared>);

/// Both sides of a piece of work that has not begun, and may take so long once it has.
pub(super) fn work(limit: Option<Duration>) -> (Work, Waiting) {
    let shared = Arc::<Shared>::default();
    (Work { shared: Arc::clone(&shared), limit }, Waiting(shared))
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
        let Shared { given_up, under_way } = &*self.shared;
        {
            let mut under_way = under_way.lock();
            if given_up.load(Ordering::Relaxed) {
                return None;
            }
            *under_way = Some(connection.get_interrupt_handle());
        }
        // Also when the work panics: what comes after on this connection must not be interrupted.
        let _ended = Ended(under_way);
        let _running = progress_handler::begin(limit, given_up);
        Some(work(connection))
    }
}

struct Ended<'a>(&'a Mutex<Option<InterruptHandle>>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Shared { given_up, under_way } = &*self.0;
        // Under the lock, so that it cannot meet the work after this one.
        let under_way = under_way.lock();
        given_up.store(true, Ordering::Relaxed);
        if let Some(handle) = &*under_way {
            handle.interrupt();
        }
    }
}
