//! Whose turn it is to have a connection.
//!
//! A connection to a database passes three gates: of all who are in that database, of all whom the
//! server knows as the same user, and of all on the server. Each lets a number through at a time, in
//! order of arrival. Whoever has none yet may take what is free; who has one already, and wants more
//! beside it, takes those from half of the places: however busy some applications are, places are
//! left for those that want but one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::database::{Permit, ResizableSemaphore};

/// Connections before it is known how many the server allows.
const AT_FIRST: u32 = 2;

/// Lets a number of connections be in use at a time.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    /// Of these, the ones that may be somebody's second, third and so on.
    further: Arc<Semaphore>,
    /// 0 while it is not known.
    size: AtomicU32,
}

/// How many of a gate's places may be somebody's further ones.
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

    /// For a server that was not asked yet how many it allows.
    pub(super) fn of_unknown_size() -> Self {
        Self { size: AtomicU32::new(0), ..Self::of_size(AT_FIRST) }
    }

    pub(super) fn is_sized(&self) -> bool {
        self.size.load(Ordering::Relaxed) != 0
    }

    /// Says the size of a gate that has none.
    pub(super) fn set_size(&self, size: u32) {
        if size >= AT_FIRST {
            self.places.add_permits((size - AT_FIRST) as usize);
        } else {
            self.places.forget_permits((AT_FIRST - size) as usize);
        }
        self.further.add_permits((further(size) - further(AT_FIRST)) as usize);
        self.size.store(size, Ordering::Relaxed);
    }

    /// Permits that nobody has.
    pub(super) fn free(&self) -> usize {
        self.places.available_permits()
    }
}

/// The connections that one application has at a time: it slows itself, not its neighbours.
pub(super) struct Turns {
    all: Arc<ResizableSemaphore>,
    first: Arc<Semaphore>,
    gates: [Arc<Gate>; 3],
    /// Each turn has one of these; who still waits has none.
    taken: Arc<()>,
}

/// A turn, given back when it is dropped.
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

    /// Turns that somebody has.
    pub(super) fn taken(&self) -> usize {
        Arc::strong_count(&self.taken) - 1
    }

    /// Waits for a turn; fails once they are closed.
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

    /// Waits until all turns were given back, and gives no more.
    pub(super) async fn close(&self) {
        self.all.close().await;
        self.all.refuse();
    }

    /// From now on there are so many.
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
            // One who takes all that is let leaves a place to another.
            assert!(size == 1 || 1 + more < size, "{size}");
        }
    }
}
