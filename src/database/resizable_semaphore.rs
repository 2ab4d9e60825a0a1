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
    owed: AtomicU32,
    closing: AtomicBool,
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
            owed: AtomicU32::new(0),
            closing: AtomicBool::new(false),
        }
    }

    /// Changes the number of permits; those in use stay valid.
    pub(crate) fn resize(&self, size: u32) {
        let before = self.size.swap(size, Ordering::SeqCst);
        if self.closing.load(Ordering::SeqCst) {
            return;
        }
        if size < before {
            self.owed.fetch_add(before - size, Ordering::SeqCst);
            self.settle();
            return;
        }
        let more = size - before;
        let mut kept = 0;
        let update = |owed: u32| {
            kept = owed.min(more);
            Some(owed - kept)
        };
        let _ = self.owed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, update);
        self.free.add_permits((more - kept) as usize);
    }

    /// Acquires a permit if one is free and nobody waits.
    pub(crate) fn try_take(self: &Arc<Self>) -> Result<Permit, TryAcquireError> {
        Arc::clone(&self.free).try_acquire_owned().map(|permit| self.lend(permit))
    }

    /// Waits for a permit; fails once the semaphore is closed.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Permit, AcquireError> {
        Arc::clone(&self.free).acquire_owned().await.map(|permit| self.lend(permit))
    }

    fn lend(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Permit {
        Permit { permit: Some(permit), semaphore: Arc::clone(self) }
    }

    /// Waits until all permits are given back, and keeps them. Later callers wait forever, or until
    /// [`ResizableSemaphore::refuse`].
    pub(crate) async fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        let size = self.size.load(Ordering::SeqCst);
        if let Ok(all) = self.free.acquire_many(size).await {
            all.forget();
        }
    }

    /// Hands out no more permits; waiters fail.
    pub(crate) fn refuse(&self) {
        self.free.close();
    }

    /// Counts one permit as removed, if any is to be removed.
    fn pay(&self) -> bool {
        self.owed.load(Ordering::SeqCst) > 0
            && self.owed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |owed| owed.checked_sub(1)).is_ok()
    }

    /// Removes free permits, as many as are to be removed.
    fn settle(&self) {
        while self.pay() {
            if self.free.forget_permits(1) == 0 {
                self.owed.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        if self.semaphore.pay() {
            return permit.forget();
        }
        drop(permit);
        // The number may have been lowered meanwhile.
        self.semaphore.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(semaphore: &Arc<ResizableSemaphore>) -> Vec<Permit> {
        std::iter::from_fn(|| semaphore.try_take().ok()).collect()
    }

    #[test]
    fn their_number_changes_while_some_are_taken() {
        let semaphore = Arc::new(ResizableSemaphore::new(4));
        let mut taken = count(&semaphore);
        assert_eq!(taken.len(), 4);
        semaphore.resize(2);
        taken.truncate(2);
        assert!(semaphore.try_take().is_err(), "two of two are taken");
        taken.pop();
        assert_eq!(count(&semaphore).len(), 1);
        semaphore.resize(1);
        assert!(semaphore.try_take().is_err());
        semaphore.resize(3);
        assert_eq!(count(&semaphore).len(), 2, "one of three is taken");
        drop(taken);
        assert_eq!(count(&semaphore).len(), 3);
        semaphore.resize(1);
        semaphore.resize(2);
        assert_eq!(count(&semaphore).len(), 2);
    }

    #[tokio::test]
    async fn who_waits_gets_a_new_place_and_closing_waits_for_all() {
        let semaphore = Arc::new(ResizableSemaphore::new(1));
        let first = semaphore.take().await.unwrap();
        let waiting = tokio::spawn({
            let semaphore = Arc::clone(&semaphore);
            async move { semaphore.take().await }
        });
        tokio::task::yield_now().await;
        semaphore.resize(2);
        let second = waiting.await.unwrap().unwrap();
        let closing = tokio::spawn({
            let semaphore = Arc::clone(&semaphore);
            async move { semaphore.close().await }
        });
        tokio::task::yield_now().await;
        drop(first);
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        drop(second);
        closing.await.unwrap();
        semaphore.resize(5);
        assert!(semaphore.try_take().is_err(), "closed semaphore do not grow");
    }
}
