//! Cancels work on a connection that nobody waits for any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

use super::progress_handler;

/// The state that both sides share.
#[derive(Default)]
struct CancelState {
    /// Whether nobody waits any more. The progress handler reads it, since a statement that has not begun
    /// cannot be interrupted.
    cancelled: Arc<AtomicBool>,
    /// Interrupts the work while it runs; `None` before and after, when the connection is somebody else's.
    interrupt: Mutex<Option<InterruptHandle>>,
}

/// The side that does the work.
pub(super) struct CancellableWork {
    shared: Arc<CancelState>,
    limit: Option<Duration>,
}

/// The side that waits; dropping it cancels the work.
pub(super) struct CancelOnDrop(Arc<CancelState>);

/// Returns both sides of work that has not begun, with its timeout.
pub(super) fn cancellable(limit: Option<Duration>) -> (CancellableWork, CancelOnDrop) {
    let shared = Arc::<CancelState>::default();
    (CancellableWork { shared: Arc::clone(&shared), limit }, CancelOnDrop(shared))
}

impl CancellableWork {
    /// Runs `work` to its end or its interruption; `None` if it was cancelled before.
    pub(super) fn run<T>(
        &self,
        connection: &mut Connection,
        work: impl FnOnce(&mut Connection) -> T,
    ) -> Option<T> {
        self.run_within(self.limit, connection, work)
    }

    /// Runs `work` for at most this long. Work that was interrupted can be run again.
    pub(super) fn run_for_at_most<T>(
        &self,
        max: Duration,
        connection: &mut Connection,
        work: impl FnOnce(&mut Connection) -> T,
    ) -> Option<T> {
        let limit = self.limit.map_or(max, |limit| limit.min(max));
        self.run_within(Some(limit), connection, work)
    }

    fn run_within<T>(
        &self,
        limit: Option<Duration>,
        connection: &mut Connection,
        work: impl FnOnce(&mut Connection) -> T,
    ) -> Option<T> {
        let CancelState { cancelled, interrupt } = &*self.shared;
        {
            let mut interrupt = interrupt.lock();
            if cancelled.load(Ordering::Relaxed) {
                return None;
            }
            *interrupt = Some(connection.get_interrupt_handle());
        }
        // Also if the work panics: what follows on this connection must not be interrupted.
        let _clear_interrupt = ClearInterrupt(interrupt);
        let _running = progress_handler::start(limit, cancelled);
        Some(work(connection))
    }
}

struct ClearInterrupt<'a>(&'a Mutex<Option<InterruptHandle>>);

impl Drop for ClearInterrupt<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let CancelState { cancelled, interrupt } = &*self.0;
        // Under the lock, so that it cannot interrupt the work after this one.
        let interrupt = interrupt.lock();
        cancelled.store(true, Ordering::Relaxed);
        if let Some(handle) = &*interrupt {
            handle.interrupt();
        }
    }
}
