//! Sequences: allocate the positions of new records at the end of an order.
//!
//! The last position of an order is read once and cached. Transactions allocate positions from the cached
//! number before they write them, so that no two get the same, and none waits for another to commit. A
//! rollback leaves a gap.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedMutexGuard};

use super::DataError;

/// Limit of cached sequences that no transaction uses.
const MAX_IDLE_SEQUENCES: usize = 4096;

/// Identifies a sequence: a sort field of a table, in one scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SequenceName {
    pub(super) table: String,
    pub(super) column: String,
    /// The column that scopes the order, and its value.
    pub(super) scope: Option<(String, String)>,
}

/// The sequences of a data source. Cheap to clone; clones share their state.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequences {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sequences: Mutex<HashMap<SequenceName, Arc<Sequence>>>,
    /// Serializes the moves of records of a table.
    move_locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Sequences {
    /// Returns a sequence. While the caller keeps it, everybody gets the same one: a transaction keeps it
    /// until its end.
    pub(super) fn sequence(&self, name: &SequenceName) -> Arc<Sequence> {
        let mut sequences = self.inner.sequences.lock();
        if let Some(sequence) = sequences.get(name) {
            return Arc::clone(sequence);
        }
        if sequences.len() >= MAX_IDLE_SEQUENCES {
            sequences.retain(|_, sequence| is_in_use(sequence));
        }
        Arc::clone(sequences.entry(name.clone()).or_default())
    }

    /// Waits until no other move of a table's records is running. Each move locks rows in its own order, so
    /// that two at a time could deadlock.
    pub(super) async fn move_lock(&self, table: &str) -> OwnedMutexGuard<()> {
        let lock = Arc::clone(self.inner.move_locks.lock().entry(table.to_owned()).or_default());
        lock.lock_owned().await
    }

    /// Forgets the cached positions of a table.
    pub(super) fn forget(&self, table: &str) {
        self.inner.sequences.lock().retain(|name, sequence| name.table != table || is_in_use(sequence));
        self.inner.move_locks.lock().remove(table);
    }
}

/// Whether the cache is not the only owner.
fn is_in_use(sequence: &Arc<Sequence>) -> bool {
    Arc::strong_count(sequence) > 1
}

/// The cached state of a sequence.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// Set once the last position is loaded from the table.
    pub(super) loaded: OnceCell<()>,
    /// Whether the last position must be loaded again, because other writers set positions explicitly.
    stale: AtomicBool,
    /// No record has a greater position.
    last: Mutex<i64>,
    /// How often a position was set or removed explicitly, not allocated.
    explicit: AtomicU64,
    /// The value of `explicit` when all positions were last seen to be distinct.
    distinct: Mutex<Option<u64>>,
}

impl Sequence {
    /// Allocates `count` positions after the last one and returns the first of them.
    ///
    /// # Errors
    /// [`DataError::Refused`] if the numbers are used up.
    pub(super) fn allocate(&self, count: usize) -> Result<i64, DataError> {
        let mut last = self.last.lock();
        let end = i64::try_from(count).ok().and_then(|count| last.checked_add(count));
        let end = end.ok_or_else(|| {
            let last = *last;
            DataError::Refused(format!(
                "there is no position after {last}, the last of the order: move that record first"
            ))
        })?;
        let first = *last + 1;
        *last = end;
        Ok(first)
    }

    /// Notes that a record is explicitly given this position, or none.
    pub(super) fn note_explicit(&self, position: Option<i64>) {
        self.explicit.fetch_add(1, Ordering::SeqCst);
        if let Some(position) = position {
            self.raise_to(position);
        }
    }

    /// Returns how often positions were set explicitly. Read it before checking that all are distinct.
    pub(super) fn explicit_count(&self) -> u64 {
        self.explicit.load(Ordering::SeqCst)
    }

    /// Notes that all positions are distinct, which was checked after this [`Sequence::explicit_count`],
    /// while nobody else changed the order.
    pub(super) fn set_distinct(&self, explicit: u64) {
        *self.distinct.lock() = Some(explicit);
    }

    /// Whether all positions are known to be distinct.
    pub(super) fn is_distinct(&self) -> bool {
        *self.distinct.lock() == Some(self.explicit_count())
    }

    /// Requires the last position to be loaded again.
    pub(super) fn set_stale(&self) {
        self.stale.store(true, Ordering::SeqCst);
    }

    /// Returns whether the last position must be loaded again, and resets that.
    pub(super) fn take_stale(&self) -> bool {
        self.stale.load(Ordering::SeqCst) && self.stale.swap(false, Ordering::SeqCst)
    }

    /// Notes that a record has this position.
    pub(super) fn raise_to(&self, position: i64) {
        let mut last = self.last.lock();
        *last = position.max(*last);
    }

    /// Returns the last position that was loaded or allocated.
    pub(super) fn last(&self) -> i64 {
        *self.last.lock()
    }

    /// Resets the last position, unless positions were allocated since it was `before`; returns whether it
    /// did.
    pub(super) fn reset_to(&self, position: i64, before: i64) -> bool {
        let mut last = self.last.lock();
        let is_unchanged = *last == before;
        if is_unchanged {
            *last = position;
        }
        is_unchanged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(table: &str, scope: usize) -> SequenceName {
        let scope = Some(("list".to_owned(), scope.to_string()));
        SequenceName { table: table.to_owned(), column: "sort".to_owned(), scope }
    }

    #[test]
    fn no_position_is_allocated_twice() {
        let sequence = Sequence::default();
        sequence.raise_to(7);
        sequence.raise_to(3);
        assert_eq!(
            (sequence.allocate(1).unwrap(), sequence.allocate(3).unwrap(), sequence.allocate(1).unwrap()),
            (8, 9, 12)
        );
        assert!(!sequence.reset_to(2, 11), "a position was allocated since");
        assert!(sequence.reset_to(2, 12));
        assert_eq!(sequence.allocate(1).unwrap(), 3);
        sequence.raise_to(i64::MAX - 1);
        assert_eq!(sequence.allocate(1).unwrap(), i64::MAX);
        assert!(sequence.allocate(1).is_err());
    }

    #[test]
    fn positions_are_known_to_be_distinct_until_one_is_set() {
        let sequence = Sequence::default();
        assert!(!sequence.is_distinct());
        let before = sequence.explicit_count();
        sequence.set_distinct(before);
        assert!(sequence.is_distinct());
        sequence.allocate(2).unwrap();
        assert!(sequence.is_distinct(), "allocated positions are distinct");
        sequence.note_explicit(None);
        assert!(!sequence.is_distinct());
        sequence.set_distinct(before);
        assert!(!sequence.is_distinct(), "a position was set since the check");
    }

    #[test]
    fn a_sequence_in_use_is_kept_and_others_are_evicted() {
        let sequences = Sequences::default();
        let used = sequences.sequence(&name("cards", 0));
        used.raise_to(5);
        for scope in 1..=2 * MAX_IDLE_SEQUENCES {
            sequences.sequence(&name("cards", scope));
        }
        assert!(sequences.inner.sequences.lock().len() <= MAX_IDLE_SEQUENCES);
        sequences.forget("cards");
        assert_eq!(sequences.sequence(&name("cards", 0)).last(), 5);
        drop(used);
        sequences.forget("posts");
        assert_eq!(sequences.sequence(&name("cards", 0)).last(), 5);
        sequences.forget("cards");
        assert_eq!(sequences.sequence(&name("cards", 0)).last(), 0);
    }
}
