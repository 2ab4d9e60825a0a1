//! Locks within the process, for operations that would conflict in the database again and again.
//!
//! - Find or create: a second request for the same values waits for the first, and then finds its record,
//!   also without a unique index.
//! - Records with the same unique values in one request, and removals that cascade in a cycle: two of them
//!   would lock the same rows in different orders, and wait until the database detects the deadlock.
//! - Retries after a conflict: they run one after the other.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, OnceLock};

use tokio::sync::{Mutex, MutexGuard, Notify};

use super::{Collection, Record};

/// The number of locks for find-or-create. Requests for different values share a lock if their hashes
/// collide.
const LOOKUP_LOCKS: usize = 16;

/// The locks of one data source. They are allocated at the first use.
#[derive(Debug, Default)]
pub(super) struct ProcessLocks {
    lookups: OnceLock<Box<[Mutex<()>]>>,
    retries: Mutex<()>,
    cascade_cycles: Mutex<()>,
    /// Hashes of the unique values that requests with several records are writing.
    written: parking_lot::Mutex<HashSet<u64>>,
    released: Notify,
}

/// A lock on the unique values of several records.
#[derive(Debug)]
pub(super) struct UniqueValuesLock<'a> {
    locks: &'a ProcessLocks,
    values: HashSet<u64>,
}

impl Drop for UniqueValuesLock<'_> {
    fn drop(&mut self) {
        self.locks.written.lock().retain(|value| !self.values.contains(value));
        self.locks.released.notify_waiters();
    }
}

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl ProcessLocks {
    /// Locks the search for a record of a collection by these values.
    pub(super) async fn lookup(&self, collection: &str, sought: &Record) -> Option<MutexGuard<'_, ()>> {
        let lookups = self.lookups.get_or_init(|| (0..LOOKUP_LOCKS).map(|_| Mutex::default()).collect());
        let [first, ..] = HASHER.hash_one((collection, sought.to_owned())).to_le_bytes();
        match lookups.get(usize::from(first) % LOOKUP_LOCKS) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        }
    }

    /// Locks the retry of a transaction after a conflict.
    pub(super) async fn retries(&self) -> MutexGuard<'_, ()> {
        self.retries.lock().await
    }

    /// Locks removals that cascade in a cycle.
    pub(super) async fn cascade_cycle(&self) -> MutexGuard<'_, ()> {
        self.cascade_cycles.lock().await
    }

    /// Locks all unique values of several records at once, so that two requests cannot deadlock. `None` if
    /// there is nothing to lock.
    pub(super) async fn unique_values(
        &self,
        collection: &Collection,
        records: &[Record],
    ) -> Option<UniqueValuesLock<'_>> {
        if records.len() < 2 {
            return None;
        }
        let values = hash_unique_values(collection, records);
        if values.is_empty() {
            return None;
        }
        loop {
            // Registered before the check, so that no notification is lost.
            let ended = self.released.notified();
            if self.take(&values) {
                return Some(UniqueValuesLock { locks: self, values });
            }
            ended.await;
        }
    }

    fn take(&self, values: &HashSet<u64>) -> bool {
        let mut written = self.written.lock();
        let is_free = written.is_disjoint(values);
        if is_free {
            written.extend(values);
        }
        is_free
    }
}

/// Hashes the values that must be unique.
fn hash_unique_values(collection: &Collection, records: &[Record]) -> HashSet<u64> {
    let fields = collection.fields().iter().filter(|field| field.is_unique() || field.is_primary_key());
    fields
        .flat_map(|field| {
            records.iter().filter_map(move |record| Some((field.name(), record.get(field.name())?)))
        })
        .filter(|(_, value)| !value.is_null())
        .map(|(field, value)| HASHER.hash_one((collection.name(), field, value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::data::Field;

    fn named(names: &[&str]) -> Vec<Record> {
        names.iter().map(|name| Record::from_iter([("name".to_owned(), json!(name))])).collect()
    }

    #[tokio::test]
    async fn requests_with_a_common_unique_value_run_one_after_the_other() {
        let locks = ProcessLocks::default();
        let tags = Collection::new("tags").field(Field::string("name").unique()).field(Field::string("note"));
        let first = locks.unique_values(&tags, &named(&["a", "b"])).await;
        let others = locks.unique_values(&tags, &named(&["c", "d"])).await;
        assert!(first.is_some() && others.is_some(), "nothing in common: they go together");
        assert!(locks.unique_values(&tags, &named(&["a"])).await.is_none(), "one record locks in no order");
        let records = named(&["x", "b"]);
        let mut second = Box::pin(locks.unique_values(&tags, &records));
        assert!(second.as_mut().now_or_never().is_none());
        drop(others);
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second.await);
        assert!(locks.written.lock().is_empty());
        let notes = Collection::new("notes").field(Field::string("name"));
        assert!(locks.unique_values(&notes, &named(&["a", "b"])).await.is_none(), "nothing is unique");
    }
}
