//! How many connections there are at a time, and which of them go when another one comes.
//!
//! Connections that are open and ask for nothing must not keep out those that ask: when all seats
//! are taken, the connections that have been idle the longest are closed. Requests pay for two
//! atomic writes; the rest is done by whoever accepts.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// When all seats are taken, one in this many is freed.
const FREED: usize = 64;
/// How often idle connections are looked for while all seats are taken.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a connection may take to close that is to make room.
const LEAVING: Duration = Duration::from_secs(1);

/// How long a connection that has asked for nothing yet counts as one that is about to, in milliseconds:
/// its request may have come already, and is not read.
const BEGINNING: u64 = 500;

/// Written in place of a time: a request is in progress.
const BUSY: u64 = 0;
/// Written in place of a time: it was asked to leave.
const ASKED: u64 = u64::MAX;

/// The seat of one connection, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    /// Since when nothing was asked, in milliseconds, later than now where it is about to ask; or
    /// [`BUSY`] or [`ASKED`].
    idle_since: AtomicU64,
    wanted: Notify,
    _slot: OwnedSemaphorePermit,
}

impl Seat {
    /// A request has come.
    pub(super) fn is_busy(&self) {
        self.idle_since.store(BUSY, Ordering::Relaxed);
    }

    /// It was answered. From here on it is idle, also while its client is slow to read.
    pub(super) fn is_idle(&self) {
        self.idle_since.store(milliseconds(), Ordering::Relaxed);
    }

    /// Returns when another connection wants the seat; everybody who waits for that.
    pub(super) async fn is_wanted(&self) {
        let mut wanted = pin!(self.wanted.notified());
        wanted.as_mut().enable();
        if self.idle_since.load(Ordering::Relaxed) != ASKED {
            wanted.await;
        }
    }

    /// Returns when it is time to leave at once: a while after it was asked to, and not while a
    /// request is in progress.
    pub(super) async fn is_left(&self) {
        loop {
            tokio::time::sleep(LEAVING).await;
            if self.idle_since.load(Ordering::Relaxed) != BUSY {
                return;
            }
        }
    }
}

/// All seats.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    free: Arc<Semaphore>,
    taken: Vec<Weak<Seat>>,
}

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self { most, free: Arc::new(Semaphore::new(most)), taken: Vec::new() }
    }

    /// Waits for a seat, and has idle connections make room meanwhile.
    pub(super) async fn take(&mut self) -> Option<Arc<Seat>> {
        let slot = loop {
            if let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() {
                break slot;
            }
            self.make_room();
            if let Ok(slot) = tokio::time::timeout(PAUSE, Arc::clone(&self.free).acquire_owned()).await {
                break slot.ok()?;
            }
        };
        let seat = Arc::new(Seat {
            idle_since: AtomicU64::new(milliseconds() + BEGINNING),
            wanted: Notify::new(),
            _slot: slot,
        });
        if self.taken.len() >= self.taken.capacity() {
            // Before it grows: most of them may have gone.
            self.taken.retain(|seat| seat.strong_count() > 0);
        }
        self.taken.push(Arc::downgrade(&seat));
        Some(seat)
    }

    /// Asks those that have been idle the longest to leave.
    fn make_room(&mut self) {
        let (now, mut idle) = (milliseconds(), Vec::new());
        self.taken.retain(|seat| {
            let Some(seat) = seat.upgrade() else { return false };
            let since = seat.idle_since.load(Ordering::Relaxed);
            if since != BUSY && since <= now {
                idle.push((since, seat));
            }
            true
        });
        let leaving = (self.most / FREED).max(1).min(idle.len());
        if leaving == 0 {
            return;
        }
        idle.select_nth_unstable_by_key(leaving - 1, |(since, _)| *since);
        for (since, seat) in idle.drain(..leaving) {
            // A request may have come since.
            let asked = seat.idle_since.compare_exchange(since, ASKED, Ordering::Relaxed, Ordering::Relaxed);
            if asked.is_ok() {
                seat.wanted.notify_waiters();
            }
        }
    }
}

/// Milliseconds since a moment before the first connection.
fn milliseconds() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).map_or(ASKED / 2, |passed| passed + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_was_idle_the_longest_makes_room_and_who_is_busy_does_not() {
        let mut seats = Seats::new(3);
        let busy = seats.take().await.unwrap();
        busy.is_busy();
        let old = seats.take().await.unwrap();
        old.idle_since.store(1, Ordering::Relaxed);
        let new = seats.take().await.unwrap();
        new.idle_since.store(2, Ordering::Relaxed);
        let leaves = tokio::spawn(async move {
            old.is_wanted().await;
            drop(old);
        });
        let _next = seats.take().await.unwrap();
        leaves.await.unwrap();
        assert_eq!(new.idle_since.load(Ordering::Relaxed), 2);
        assert_eq!(busy.idle_since.load(Ordering::Relaxed), BUSY);
    }

    #[tokio::test]
    async fn who_has_just_come_is_left_the_time_to_ask() {
        let mut seats = Seats::new(1);
        let seat = seats.take().await.unwrap();
        assert!(seat.idle_since.load(Ordering::Relaxed) > BEGINNING, "it counts from later on");
        seat.idle_since.store(milliseconds() + 3_600_000, Ordering::Relaxed);
        seats.make_room();
        assert_ne!(seat.idle_since.load(Ordering::Relaxed), ASKED);
        seat.is_idle();
        seats.make_room();
        assert_eq!(seat.idle_since.load(Ordering::Relaxed), ASKED);
    }

    #[tokio::test]
    async fn seats_that_are_free_again_are_forgotten() {
        let mut seats = Seats::new(2);
        for _ in 0..1000 {
            drop(seats.take().await.unwrap());
        }
        assert!(seats.taken.len() <= 8, "{}", seats.taken.len());
    }
}
