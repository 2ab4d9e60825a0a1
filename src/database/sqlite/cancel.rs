//! Cancels work on a connection that nobody waits for any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

use super::progress_handler;

/// The state that both sides share.
#[derive(Default)]
struct Shared {
    /// Whether nobody waits any more. The progress handler reads it, since a statement that has not begun
    /// cannot be interrupted.
    given_up: Arc<AtomicBool>,
    /// Interrupts the work while it runs; `None` before and after, when the connection is somebody else's.
    under_way: Mutex<Option<InterruptHandle>>,
}

/// The side that does the work.
pub(super) struct Work {
    shared: Arc<Shared>,
    limit: Option<Duration>,
}

/// The side that waits; dropping it cancels the work.
pub(super) struct Waiting(Arc<Shared>);

/// Returns both sides of work that has not begun, with its timeout.
pub(super) fn work(limit: Option<Duration>) -> (Work, Waiting) {
    let shared = Arc::<Shared>::default();
    (Work { shared: Arc::clone(&shared), limit }, Waiting(shared))
}

impl Work {
    /// Runs `work` to its end or its interruption; `None` if it was cancelled before.
    pub(super) fn run<T>(
        &self,
        connection: &mut Connection,
        work: impl FnOnce(&mut Connection) -> T,
    ) -> Option<T> {
        self.run_within(self.limit, connection, work)
    }

    /// Runs `work` for at most this long. Work that was interrupted can be run again.
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
        // Also if the work panics: what follows on this connection must not be interrupted.
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
        // Under the lock, so that it cannot interrupt the work after this one.
        let under_way = under_way.lock();
        given_up.store(true, Ordering::Relaxed);
        if let Some(handle) = &*under_way {
            handle.interrupt();
        }
    }
}
