//! Settles who may have a connection.
//!
//! A connection passes three gates: the database's, the user's and the server's. Each admits a limited
//! number, in order of arrival. An application's first connection may be any free one; further connections
//! come out of half of the slots only. However busy some applications are, slots are left for those that need
//! only one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::database::{Permit, ResizableSemaphore};

/// The size of a gate before the server's limits are known.
const INITIAL_SIZE: u32 = 2;

/// Limits the number of connections in use.
pub(super) struct Gate {
    slots: Arc<Semaphore>,
    /// The permits for an application's second connection and beyond.
    further: Arc<Semaphore>,
    /// 0 while the size is unknown.
    size: AtomicU32,
}

/// How many of a gate's slots may hold further connections.
fn further(size: u32) -> u32 {
    (size / 2).min(size.saturating_sub(2))
}

impl Gate {
    pub(super) fn of_size(size: u32) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(size as usize)),
            further: Arc::new(Semaphore::new(further(size) as usize)),
            size: AtomicU32::new(size),
        }
    }

    /// Creates the gate for a server whose limits are unknown.
    pub(super) fn of_unknown_size() -> Self {
        Self { size: AtomicU32::new(0), ..Self::of_size(INITIAL_SIZE) }
    }

    pub(super) fn is_sized(&self) -> bool {
        self.size.load(Ordering::Relaxed) != 0
    }

    /// Sets the size, once it is known.
    pub(super) fn set_size(&self, size: u32) {
        if size >= INITIAL_SIZE {
            self.slots.add_permits((size - INITIAL_SIZE) as usize);
        } else {
            self.slots.forget_permits((INITIAL_SIZE - size) as usize);
        }
        self.further.add_permits((further(size) - further(INITIAL_SIZE)) as usize);
        self.size.store(size, Ordering::Relaxed);
    }

    /// The number of free slots.
    pub(super) fn free(&self) -> usize {
        self.slots.available_permits()
    }
}

/// The limit on one application's connections: its load slows down itself, not its neighbours.
pub(super) struct PoolPermits {
    all: Arc<ResizableSemaphore>,
    first: Arc<Semaphore>,
    gates: [Arc<Gate>; 3],
    /// Counts the permits: each holds a clone, waiters do not.
    in_use: Arc<()>,
}

/// The right to one connection, given back on drop.
pub(super) struct PoolPermit {
    _own: Permit,
    _rank: Rank,
    _slots: [OwnedSemaphorePermit; 3],
    _in_use: Arc<()>,
}

#[expect(dead_code, reason = "held until they are dropped")]
enum Rank {
    First(OwnedSemaphorePermit),
    Further([OwnedSemaphorePermit; 3]),
}

impl PoolPermits {
    pub(super) fn new(max: u32, gates: [Arc<Gate>; 3]) -> Self {
        let all = Arc::new(ResizableSemaphore::new(max));
        Self { all, first: Arc::new(Semaphore::new(1)), gates, in_use: Arc::new(()) }
    }

    /// The number of permits in use.
    pub(super) fn in_use(&self) -> usize {
        Arc::strong_count(&self.in_use) - 1
    }

    /// Waits for a permit; fails once this is closed.
    pub(super) async fn acquire(&self) -> Result<PoolPermit, AcquireError> {
        let own = self.all.acquire().await?;
        let rank = tokio::select! {
            biased;
            first = Arc::clone(&self.first).acquire_owned() => Rank::First(first?),
            further = self.acquire_each(|gate| &gate.further) => Rank::Further(further?),
        };
        let slots = self.acquire_each(|gate| &gate.slots).await?;
        Ok(PoolPermit { _own: own, _rank: rank, _slots: slots, _in_use: Arc::clone(&self.in_use) })
    }

    async fn acquire_each(
        &self,
        of: impl Fn(&Gate) -> &Arc<Semaphore>,
    ) -> Result<[OwnedSemaphorePermit; 3], AcquireError> {
        let [database, user, all] = &self.gates;
        Ok([
            Arc::clone(of(database)).acquire_owned().await?,
            Arc::clone(of(user)).acquire_owned().await?,
            Arc::clone(of(all)).acquire_owned().await?,
        ])
    }

    /// Waits until all permits are given back, and hands out no more.
    pub(super) async fn close(&self) {
        self.all.drain().await;
        self.all.close();
    }

    /// Changes the number of permits, from now on.
    pub(super) fn resize(&self, max: u32) {
        self.all.resize(max.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_left_for_first_connections() {
        for (size, more) in [(1, 0), (2, 0), (3, 1), (4, 2), (6, 3), (16, 8), (64, 32)] {
            assert_eq!(further(size), more, "{size}");
            // An application that uses all it is allowed leaves a slot to another.
            assert!(size == 1 || 1 + more < size, "{size}");
        }
    }
}
