//! Limits the number of open connections, and closes idle ones to make room for new ones.
//!
//! An idle connection must not keep a new one out: at the limit, the connections that have been idle
//! the longest are evicted. A request costs two atomic writes; the task that accepts does the rest.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::supervisor::ConnectionGauge;

/// At the limit, one connection in this many is evicted at a time.
const EVICTED_SHARE: usize = 64;
/// How often idle connections are looked for at the limit.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// How long an evicted connection may take to close by itself.
const EVICTION_GRACE: Duration = Duration::from_secs(1);

/// How long a new connection counts as busy before its first request, in milliseconds: the request may have
/// arrived without having been read.
const FIRST_REQUEST_GRACE_MS: u64 = 500;

/// In place of a time: a request is in progress.
const BUSY: u64 = 0;
/// In place of a time: the connection is evicted.
const EVICTED: u64 = u64::MAX;

/// The right to one open connection, given back on drop.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    /// Since when the connection is idle, in milliseconds; in the future for a new connection; or [`BUSY`] or
    /// [`EVICTED`].
    idle_since: AtomicU64,
    eviction: Notify,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionPermit {
    /// Notes that a request has arrived.
    pub(super) fn mark_busy(&self) {
        self.idle_since.store(BUSY, Ordering::Relaxed);
    }

    /// Notes that the request is answered. The connection is idle from here on, also while its client is slow
    /// to read.
    pub(super) fn mark_idle(&self) {
        self.idle_since.store(milliseconds(), Ordering::Relaxed);
    }

    /// Waits until the connection is evicted. Wakes every waiter.
    pub(super) async fn evicted(&self) {
        let mut eviction = pin!(self.eviction.notified());
        eviction.as_mut().enable();
        if self.idle_since.load(Ordering::Relaxed) != EVICTED {
            eviction.await;
        }
    }

    /// Waits until an evicted connection has used up its grace period and has no request in progress.
    pub(super) async fn eviction_overdue(&self) {
        loop {
            tokio::time::sleep(EVICTION_GRACE).await;
            if self.idle_since.load(Ordering::Relaxed) != BUSY {
                return;
            }
        }
    }
}

/// Hands out a bounded number of [`ConnectionPermit`]s.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    max: usize,
    permits: Arc<Semaphore>,
    open: Vec<Weak<ConnectionPermit>>,
}

impl ConnectionLimiter {
    pub(super) fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self { max, permits: Arc::new(Semaphore::new(max)), open: Vec::new() }
    }

    /// Tells the number of open connections.
    pub(super) fn gauge(&self) -> ConnectionGauge {
        ConnectionGauge::new(Arc::clone(&self.permits), self.max)
    }

    /// Waits for a permit, and evicts idle connections meanwhile. `None` once the semaphore is closed.
    pub(super) async fn acquire(&mut self) -> Option<Arc<ConnectionPermit>> {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                break permit;
            }
            self.evict_idle();
            if let Ok(permit) =
                tokio::time::timeout(RETRY_INTERVAL, Arc::clone(&self.permits).acquire_owned()).await
            {
                break permit.ok()?;
            }
        };
        let connection = Arc::new(ConnectionPermit {
            idle_since: AtomicU64::new(milliseconds() + FIRST_REQUEST_GRACE_MS),
            eviction: Notify::new(),
            _permit: permit,
        });
        if self.open.len() >= self.open.capacity() {
            // Before the list grows: most of its connections may be closed.
            self.open.retain(|connection| connection.strong_count() > 0);
        }
        self.open.push(Arc::downgrade(&connection));
        Some(connection)
    }

    /// Evicts the connections that have been idle the longest.
    fn evict_idle(&mut self) {
        let (now, mut idle) = (milliseconds(), Vec::new());
        self.open.retain(|connection| {
            let Some(connection) = connection.upgrade() else { return false };
            let since = connection.idle_since.load(Ordering::Relaxed);
            if since != BUSY && since <= now {
                idle.push((since, connection));
            }
            true
        });
        let leaving = (self.max / EVICTED_SHARE).max(1).min(idle.len());
        if leaving == 0 {
            return;
        }
        idle.select_nth_unstable_by_key(leaving - 1, |(since, _)| *since);
        for (since, connection) in idle.drain(..leaving) {
            // A request may have arrived meanwhile.
            let evicted =
                connection.idle_since.compare_exchange(since, EVICTED, Ordering::Relaxed, Ordering::Relaxed);
            if evicted.is_ok() {
                connection.eviction.notify_waiters();
            }
        }
    }
}

/// Milliseconds since a moment before the first connection.
fn milliseconds() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).map_or(EVICTED / 2, |passed| passed + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_was_idle_the_longest_makes_room_and_who_is_busy_does_not() {
        let mut limiter = ConnectionLimiter::new(3);
        let busy = limiter.acquire().await.unwrap();
        busy.mark_busy();
        let old = limiter.acquire().await.unwrap();
        old.idle_since.store(1, Ordering::Relaxed);
        let new = limiter.acquire().await.unwrap();
        new.idle_since.store(2, Ordering::Relaxed);
        let leaves = tokio::spawn(async move {
            old.evicted().await;
            drop(old);
        });
        let _next = limiter.acquire().await.unwrap();
        leaves.await.unwrap();
        assert_eq!(new.idle_since.load(Ordering::Relaxed), 2);
        assert_eq!(busy.idle_since.load(Ordering::Relaxed), BUSY);
    }

    #[tokio::test]
    async fn who_has_just_come_is_left_the_time_to_ask() {
        let mut limiter = ConnectionLimiter::new(1);
        let connection = limiter.acquire().await.unwrap();
        assert!(
            connection.idle_since.load(Ordering::Relaxed) > FIRST_REQUEST_GRACE_MS,
            "it counts from later on"
        );
        connection.idle_since.store(milliseconds() + 3_600_000, Ordering::Relaxed);
        limiter.evict_idle();
        assert_ne!(connection.idle_since.load(Ordering::Relaxed), EVICTED);
        connection.mark_idle();
        limiter.evict_idle();
        assert_eq!(connection.idle_since.load(Ordering::Relaxed), EVICTED);
    }

    #[tokio::test]
    async fn closed_connections_are_forgotten() {
        let mut limiter = ConnectionLimiter::new(2);
        for _ in 0..1000 {
            drop(limiter.acquire().await.unwrap());
        }
        assert!(limiter.open.len() <= 8, "{}", limiter.open.len());
        let gauge = limiter.gauge();
        assert_eq!((gauge.open(), gauge.max()), (0, 2));
        let _open = limiter.acquire().await.unwrap();
        assert_eq!(gauge.open(), 1);
    }
}
