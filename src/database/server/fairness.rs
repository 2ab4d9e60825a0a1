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
const AT_FIRST: u32 = 2;

/// Limits the number of connections in use.
pub(super) struct Gate {
    places: Arc<Semaphore>,
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
            places: Arc::new(Semaphore::new(size as usize)),
            further: Arc::new(Semaphore::new(further(size) as usize)),
            size: AtomicU32::new(size),
        }
    }

    /// Creates the gate for a server whose limits are unknown.
    pub(super) fn of_unknown_size() -> Self {
        Self { size: AtomicU32::new(0), ..Self::of_size(AT_FIRST) }
    }

    pub(super) fn is_sized(&self) -> bool {
        self.size.load(Ordering::Relaxed) != 0
    }

    /// Sets the size, once it is known.
    pub(super) fn set_size(&self, size: u32) {
        if size >= AT_FIRST {
            self.places.add_permits((size - AT_FIRST) as usize);
        } else {
            self.places.forget_permits((AT_FIRST - size) as usize);
        }
        self.further.add_permits((further(size) - further(AT_FIRST)) as usize);
        self.size.store(size, Ordering::Relaxed);
    }

    /// The number of free slots.
    pub(super) fn free(&self) -> usize {
        self.places.available_permits()
    }
}

/// The limit on one application's connections: its load slows down itself, not its neighbours.
pub(super) struct Turns {
    all: Arc<ResizableSemaphore>,
    first: Arc<Semaphore>,
    gates: [Arc<Gate>; 3],
    /// Counts the permits: each holds a clone, waiters do not.
    taken: Arc<()>,
}

/// The right to one connection, given back on drop.
pub(super) struct Turn {
    _own: Permit,
    _rank: Rank,
    _places: [OwnedSemaphorePermit; 3],
    _taken: Arc<()>,
}

#[expect(dead_code, reason = "held until they are dropped")]
enum Rank {
    First(OwnedSemaphorePermit),
    Further([OwnedSemaphorePermit; 3]),
}

impl Turns {
    pub(super) fn new(most: u32, gates: [Arc<Gate>; 3]) -> Self {
        let all = Arc::new(ResizableSemaphore::new(most));
        Self { all, first: Arc::new(Semaphore::new(1)), gates, taken: Arc::new(()) }
    }

    /// The number of permits in use.
    pub(super) fn taken(&self) -> usize {
        Arc::strong_count(&self.taken) - 1
    }

    /// Waits for a permit; fails once this is closed.
    pub(super) async fn take(&self) -> Result<Turn, AcquireError> {
        let own = self.all.take().await?;
        let rank = tokio::select! {
            biased;
            first = Arc::clone(&self.first).acquire_owned() => Rank::First(first?),
            further = self.each(|gate| &gate.further) => Rank::Further(further?),
        };
        let places = self.each(|gate| &gate.places).await?;
        Ok(Turn { _own: own, _rank: rank, _places: places, _taken: Arc::clone(&self.taken) })
    }

    async fn each(
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
        self.all.close().await;
        self.all.refuse();
    }

    /// Changes the number of permits, from now on.
    pub(super) fn resize(&self, most: u32) {
        self.all.resize(most.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_left_for_those_who_have_none() {
        for (size, more) in [(1, 0), (2, 0), (3, 1), (4, 2), (6, 3), (16, 8), (64, 32)] {
            assert_eq!(further(size), more, "{size}");
            // An application that takes all it may leaves a slot to another.
            assert!(size == 1 || 1 + more < size, "{size}");
        }
    }
}
