//! A semaphore whose number of permits can change while some are in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// Hands out permits in the order of arrival. Acquiring a free one takes no lock.
#[derive(Debug)]
pub(crate) struct ResizableSemaphore {
    free: Arc<Semaphore>,
    size: AtomicU32,
    /// Permits to be removed that are still in use.
    excess: AtomicU32,
    draining: AtomicBool,
}

/// A permit, given back on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    /// `None` only during drop.
    permit: Option<OwnedSemaphorePermit>,
    semaphore: Arc<ResizableSemaphore>,
}

impl ResizableSemaphore {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(size as usize)),
            size: AtomicU32::new(size),
            excess: AtomicU32::new(0),
            draining: AtomicBool::new(false),
        }
    }

    /// Changes the number of permits; those in use stay valid.
    pub(crate) fn resize(&self, size: u32) {
        let before = self.size.swap(size, Ordering::SeqCst);
        if self.draining.load(Ordering::SeqCst) {
            return;
        }
        if size < before {
            self.excess.fetch_add(before - size, Ordering::SeqCst);
            self.remove_free_excess();
            return;
        }
        let more = size - before;
        let mut kept = 0;
        let update = |excess: u32| {
            kept = excess.min(more);
            Some(excess - kept)
        };
        let _ = self.excess.fetch_update(Ordering::SeqCst, Ordering::SeqCst, update);
        self.free.add_permits((more - kept) as usize);
    }

    /// Acquires a permit if one is free and nobody waits.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Result<Permit, TryAcquireError> {
        Arc::clone(&self.free).try_acquire_owned().map(|permit| self.permit(permit))
    }

    /// Waits for a permit; fails once the semaphore is closed.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Permit, AcquireError> {
        Arc::clone(&self.free).acquire_owned().await.map(|permit| self.permit(permit))
    }

    fn permit(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Permit {
        Permit { permit: Some(permit), semaphore: Arc::clone(self) }
    }

    /// Waits until all permits are given back, and keeps them. Later callers wait forever, or until
    /// [`ResizableSemaphore::close`].
    pub(crate) async fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        let size = self.size.load(Ordering::SeqCst);
        if let Ok(all) = self.free.acquire_many(size).await {
            all.forget();
        }
    }

    /// Hands out no more permits; waiters fail.
    pub(crate) fn close(&self) {
        self.free.close();
    }

    /// Counts one permit as removed, if any is to be removed.
    fn remove_excess(&self) -> bool {
        self.excess.load(Ordering::SeqCst) > 0
            && self
                .excess
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |excess| excess.checked_sub(1))
                .is_ok()
    }

    /// Removes free permits, as many as are to be removed.
    fn remove_free_excess(&self) {
        while self.remove_excess() {
            if self.free.forget_permits(1) == 0 {
                self.excess.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        if self.semaphore.remove_excess() {
            return permit.forget();
        }
        drop(permit);
        // The number may have been lowered meanwhile.
        self.semaphore.remove_free_excess();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(semaphore: &Arc<ResizableSemaphore>) -> Vec<Permit> {
        std::iter::from_fn(|| semaphore.try_acquire().ok()).collect()
    }

    #[test]
    fn the_number_of_permits_changes_while_some_are_in_use() {
        let semaphore = Arc::new(ResizableSemaphore::new(4));
        let mut taken = count(&semaphore);
        assert_eq!(taken.len(), 4);
        semaphore.resize(2);
        taken.truncate(2);
        assert!(semaphore.try_acquire().is_err(), "two of two are taken");
        taken.pop();
        assert_eq!(count(&semaphore).len(), 1);
        semaphore.resize(1);
        assert!(semaphore.try_acquire().is_err());
        semaphore.resize(3);
        assert_eq!(count(&semaphore).len(), 2, "one of three is taken");
        drop(taken);
        assert_eq!(count(&semaphore).len(), 3);
        semaphore.resize(1);
        semaphore.resize(2);
        assert_eq!(count(&semaphore).len(), 2);
    }

    #[tokio::test]
    async fn waiters_get_added_permits_and_drain_waits_for_all() {
        let semaphore = Arc::new(ResizableSemaphore::new(1));
        let first = semaphore.acquire().await.unwrap();
        let waiting = tokio::spawn({
            let semaphore = Arc::clone(&semaphore);
            async move { semaphore.acquire().await }
        });
        tokio::task::yield_now().await;
        semaphore.resize(2);
        let second = waiting.await.unwrap().unwrap();
        let draining = tokio::spawn({
            let semaphore = Arc::clone(&semaphore);
            async move { semaphore.drain().await }
        });
        tokio::task::yield_now().await;
        drop(first);
        tokio::task::yield_now().await;
        assert!(!draining.is_finished());
        drop(second);
        draining.await.unwrap();
        semaphore.resize(5);
        assert!(semaphore.try_acquire().is_err(), "a closed semaphore does not grow");
    }
}
