//! Turns within one process, where the database would have many do the same in vain.
//!
//! Those who find a record or make it: who asks for one that somebody else is just making waits
//! until it is there, and finds it, also where nothing in the database keeps it from being made twice.
//! Those who would lock the same in another order, and wait for each other until the database finds out:
//! requests that make several records with the same unique values, and removals that lead round in a ring.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, OnceLock};

use tokio::sync::{Mutex, MutexGuard, Notify};

use super::{Collection, Record};

/// How many are at it at a time. Two who ask for different records wait for each other where their hashes
/// meet.
const TURNS: usize = 16;

/// The turns of one data source; nothing as long as nobody asks.
#[derive(Debug, Default)]
pub(super) struct Finding {
    turns: OnceLock<Box<[Mutex<()>]>>,
    losers: Mutex<()>,
    rings: Mutex<()>,
    /// Hashes of the unique values that requests with several records are writing.
    written: parking_lot::Mutex<HashSet<u64>>,
    batch_ended: Notify,
}

/// The unique values of several records, as long as they are being written.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    finding: &'a Finding,
    values: HashSet<u64>,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.finding.written.lock().retain(|value| !self.values.contains(value));
        self.finding.batch_ended.notify_waiters();
    }
}

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Finding {
    /// Waits for the turn of whoever looks for a record of a collection by these values.
    pub(super) async fn turn(&self, collection: &str, sought: &Record) -> Option<MutexGuard<'_, ()>> {
        let turns = self.turns.get_or_init(|| (0..TURNS).map(|_| Mutex::default()).collect());
        let [first, ..] = HASHER.hash_one((collection, sought.to_owned())).to_le_bytes();
        match turns.get(usize::from(first) % TURNS) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }

    /// Waits for the turn of those whose transaction was undone because others were in its way: they do
    /// it again one after the other.
    pub(super) async fn losers(&self) -> MutexGuard<'_, ()> {
        self.losers.lock().await
    }

    /// Waits for the turn of removals that lead round in a ring.
    pub(super) async fn ring(&self) -> MutexGuard<'_, ()> {
        self.rings.lock().await
    }

    /// Waits until no other request with several records writes one of the unique values of these. All are
    /// taken together, so that no two wait for each other. `None` where there are none.
    pub(super) async fn batch(&self, collection: &Collection, records: &[Record]) -> Option<Batch<'_>> {
        if records.len() < 2 {
            return None;
        }
        let values = unique_values(collection, records);
        if values.is_empty() {
            return None;
        }
        loop {
            // Also what ends between the look and the wait is heard of.
            let ended = self.batch_ended.notified();
            if self.take(&values) {
                return Some(Batch { finding: self, values });
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

/// Hashes of the values that no two records may have.
fn unique_values(collection: &Collection, records: &[Record]) -> HashSet<u64> {
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
    async fn batches_with_a_value_in_common_come_one_after_the_other() {
        let finding = Finding::default();
        let tags = Collection::new("tags").field(Field::string("name").unique()).field(Field::string("note"));
        let first = finding.batch(&tags, &named(&["a", "b"])).await;
        let others = finding.batch(&tags, &named(&["c", "d"])).await;
        assert!(first.is_some() && others.is_some(), "nothing in common: they go together");
        assert!(finding.batch(&tags, &named(&["a"])).await.is_none(), "one record locks in no order");
        let records = named(&["x", "b"]);
        let mut second = Box::pin(finding.batch(&tags, &records));
        assert!(second.as_mut().now_or_never().is_none());
        drop(others);
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second.await);
        assert!(finding.written.lock().is_empty());
        let notes = Collection::new("notes").field(Field::string("name"));
        assert!(finding.batch(&notes, &named(&["a", "b"])).await.is_none(), "nothing is unique");
    }
}
