//! A value that is read from the database once, and again after it was invalidated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

/// A value that memory keeps until it is invalidated. Read by many at once without a lock.
#[derive(Debug)]
pub(super) struct Cached<T> {
    known: ArcSwapOption<CachedValue<T>>,
    /// How many times it was invalidated.
    invalidations: AtomicU64,
}

#[derive(Debug)]
struct CachedValue<T> {
    value: Arc<T>,
    /// How many times it had been invalidated when reading it began: what was read before an
    /// invalidation is outdated, also where it arrives after it.
    as_of: u64,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { known: ArcSwapOption::empty(), invalidations: AtomicU64::new(0) }
    }
}

impl<T> Cached<T> {
    /// The value, read by `read` unless one is known that is still valid.
    ///
    /// # Errors
    /// Those of `read`; nothing is kept then.
    pub(super) async fn get_or_read<E>(&self, read: impl AsyncFnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let as_of = self.invalidations.load(Ordering::SeqCst);
        if let Some(known) = self.known.load().as_ref().filter(|known| known.as_of == as_of) {
            return Ok(Arc::clone(&known.value));
        }
        // In a box: nearly always nothing is read, and whoever asks would carry the place for it.
        let value = Arc::new(Box::pin(read()).await?);
        let new = Arc::new(CachedValue { value: Arc::clone(&value), as_of });
        self.known.rcu(|known| match known {
            // Another reader began later.
            Some(known) if known.as_of > as_of => Some(Arc::clone(known)),
            _ => Some(Arc::clone(&new)),
        });
        Ok(value)
    }

    /// The value that was read last, valid or not.
    pub(super) fn last(&self) -> Option<Arc<T>> {
        self.known.load().as_ref().map(|known| Arc::clone(&known.value))
    }

    /// From now on the value is read again by whoever asks for it.
    pub(super) fn invalidate(&self) {
        self.invalidations.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    async fn get(cached: &Cached<u8>, value: u8) -> u8 {
        *cached.get_or_read(async || Ok::<_, Infallible>(value)).await.unwrap()
    }

    #[tokio::test]
    async fn a_value_is_read_once_until_it_is_invalidated() {
        let cached = Cached::default();
        assert_eq!(cached.last(), None);
        assert_eq!((get(&cached, 1).await, get(&cached, 2).await), (1, 1));
        cached.invalidate();
        assert_eq!(cached.last().as_deref(), Some(&1));
        assert_eq!((get(&cached, 3).await, get(&cached, 4).await), (3, 3));
        assert_eq!(cached.last().as_deref(), Some(&3));
    }

    #[tokio::test]
    async fn what_was_read_before_an_invalidation_is_not_kept_after_it() {
        let cached = Cached::default();
        let read = cached.get_or_read(async || {
            cached.invalidate();
            // Another reader begins later and is done sooner.
            assert_eq!(get(&cached, 2).await, 2);
            Ok::<_, Infallible>(1)
        });
        assert_eq!(*read.await.unwrap(), 1);
        assert_eq!(get(&cached, 3).await, 2);
        assert_eq!(cached.last().as_deref(), Some(&2));
    }

    #[tokio::test]
    async fn an_error_is_not_kept() {
        let cached = Cached::<u8>::default();
        assert_eq!(cached.get_or_read(async || Err("no")).await, Err("no"));
        assert_eq!(get(&cached, 1).await, 1);
    }
}
