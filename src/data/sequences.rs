//! The places that records get at the end of an order: whole numbers behind the last one.
//!
//! The last place of an order is read once and remembered from then on. Every transaction takes its
//! places off the same number before it writes them, so that no two take the same, and none waits for
//! another to commit. What is rolled back leaves a gap.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedMutexGuard};

use super::DataError;

/// Orders that are remembered while no transaction writes to them.
const MAX_IDLE_SEQUENCES: usize = 4096;

/// An order: a field of a table, among the records that have the same in another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SequenceName {
    pub(super) table: String,
    pub(super) column: String,
    /// The column that divides the records, and what they have in it.
    pub(super) scope: Option<(String, String)>,
}

/// All orders of a data source. Cheap to clone; all clones know the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequences {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sequences: Mutex<HashMap<SequenceName, Arc<Sequence>>>,
    /// Whose turn it is to move records of a table.
    move_locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Sequences {
    /// An order. As long as whoever asks keeps it, nobody is given another one of the same name: a
    /// transaction keeps it to its end.
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

    /// Waits until nobody else moves records of a table. Moves lock rows in an order of their own each:
    /// two at a time would wait for each other.
    pub(super) async fn move_lock(&self, table: &str) -> OwnedMutexGuard<()> {
        let lock = Arc::clone(self.inner.move_locks.lock().entry(table.to_owned()).or_default());
        lock.lock_owned().await
    }

    /// The orders of a table are to be read anew.
    pub(super) fn forget(&self, table: &str) {
        self.inner.sequences.lock().retain(|name, sequence| name.table != table || is_in_use(sequence));
        self.inner.move_locks.lock().remove(table);
    }
}

/// Whether somebody else than the memory itself has it.
fn is_in_use(sequence: &Arc<Sequence>) -> bool {
    Arc::strong_count(sequence) > 1
}

/// What is known of an order.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// Set once the last place has been read from the table.
    pub(super) loaded: OnceCell<()>,
    /// Whether the last place is to be read once more: somebody else gave records places.
    stale: AtomicBool,
    /// No record has a place behind it.
    last: Mutex<i64>,
    /// How often somebody said a place, or took one away, and did not let the order give it.
    explicit: AtomicU64,
    /// That number when all places were last seen to be distinct.
    distinct: Mutex<Option<u64>>,
}

impl Sequence {
    /// Takes so many places behind the last; gives the first of them.
    ///
    /// # Errors
    /// [`DataError::Refused`] where numbers go no further.
    pub(super) fn allocate(&self, count: usize) -> Result<i64, DataError> {
        let mut last = self.last.lock();
        let end = i64::try_from(count).ok().and_then(|count| last.checked_add(count));
        let end = end.ok_or_else(|| {
            let last = *last;
            DataError::Refused(format!(
                "there is no place behind {last}, the last of the order: move it first"
            ))
        })?;
        let first = *last + 1;
        *last = end;
        Ok(first)
    }

    /// Somebody gives a record this place, or none.
    pub(super) fn note_explicit(&self, position: Option<i64>) {
        self.explicit.fetch_add(1, Ordering::SeqCst);
        if let Some(position) = position {
            self.raise_to(position);
        }
    }

    /// How often somebody gave a place. Read before looking whether all are distinct.
    pub(super) fn explicit_count(&self) -> u64 {
        self.explicit.load(Ordering::SeqCst)
    }

    /// Each record has a place, and no other has the same: that was seen after this [`Order::given`], while
    /// nobody else was changing the order.
    pub(super) fn set_distinct(&self, explicit: u64) {
        *self.distinct.lock() = Some(explicit);
    }

    /// Whether that is known, and still so.
    pub(super) fn is_distinct(&self) -> bool {
        *self.distinct.lock() == Some(self.explicit_count())
    }

    /// The last place is to be read once more.
    pub(super) fn set_stale(&self) {
        self.stale.store(true, Ordering::SeqCst);
    }

    /// Whether it is; once.
    pub(super) fn take_stale(&self) -> bool {
        self.stale.load(Ordering::SeqCst) && self.stale.swap(false, Ordering::SeqCst)
    }

    /// A record has this place.
    pub(super) fn raise_to(&self, position: i64) {
        let mut last = self.last.lock();
        *last = position.max(*last);
    }

    /// The last place that was read or taken.
    pub(super) fn last(&self) -> i64 {
        *self.last.lock()
    }

    /// Ends the order at another place, if no place was taken since `before` was the last of it; gives
    /// whether it does.
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
    fn no_place_is_taken_twice() {
        let sequence = Sequence::default();
        sequence.raise_to(7);
        sequence.raise_to(3);
        assert_eq!(
            (sequence.allocate(1).unwrap(), sequence.allocate(3).unwrap(), sequence.allocate(1).unwrap()),
            (8, 9, 12)
        );
        assert!(!sequence.reset_to(2, 11), "a place was taken since");
        assert!(sequence.reset_to(2, 12));
        assert_eq!(sequence.allocate(1).unwrap(), 3);
        sequence.raise_to(i64::MAX - 1);
        assert_eq!(sequence.allocate(1).unwrap(), i64::MAX);
        assert!(sequence.allocate(1).is_err());
    }

    #[test]
    fn distinct_places_are_known_until_somebody_gives_one() {
        let sequence = Sequence::default();
        assert!(!sequence.is_distinct());
        let before = sequence.explicit_count();
        sequence.set_distinct(before);
        assert!(sequence.is_distinct());
        sequence.allocate(2).unwrap();
        assert!(sequence.is_distinct(), "it gives distinct places itself");
        sequence.note_explicit(None);
        assert!(!sequence.is_distinct());
        sequence.set_distinct(before);
        assert!(!sequence.is_distinct(), "a place was given since it was looked at");
    }

    #[test]
    fn an_order_in_use_is_remembered_and_others_make_room() {
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
