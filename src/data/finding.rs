//! Turns within one process, where the database would have many do the same in vain.
//!
//! Those who find a record or make it: who asks for one that somebody else is just making waits
//! until it is there, and finds it, also where nothing in the database keeps it from being made twice.

use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, OnceLock};

use tokio::sync::{Mutex, MutexGuard};

use super::Record;

/// How many are at it at a time. Two who ask for different records wait for each other where their hashes
/// meet.
const TURNS: usize = 16;

/// The turns of one data source; nothing as long as nobody asks.
#[derive(Debug, Default)]
pub(super) struct Finding {
    turns: OnceLock<Box<[Mutex<()>]>>,
    losers: Mutex<()>,
}

impl Finding {
    /// Waits for the turn of whoever looks for a record of a collection by these values.
    pub(super) async fn turn(&self, collection: &str, sought: &Record) -> Option<MutexGuard<'_, ()>> {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
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
}
