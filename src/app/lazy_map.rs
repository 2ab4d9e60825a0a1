//! Concurrent maps without locks that cost nothing while they are empty.

use std::hash::Hash;
use std::sync::OnceLock;

use papaya::HashMap;

/// A map that is allocated at the first insertion: its collector of removed entries takes 16 KiB,
/// which an idle application need not have. (The collector cannot be shared: dropping one map frees
/// the entries of all, also those that are still read.)
pub(super) struct LazyMap<K, V>(OnceLock<HashMap<K, V>>);

impl<K: Hash + Eq, V> std::fmt::Debug for LazyMap<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LazyMap").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<K, V> Default for LazyMap<K, V> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<K: Hash + Eq, V> LazyMap<K, V> {
    /// Reads the value of a key, if there is one.
    pub(super) fn get<T>(&self, key: &K, read: impl FnOnce(&V) -> T) -> Option<T> {
        self.0.get()?.pin().get(key).map(read)
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.get(key, |_| ()).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.0.get().map_or(0, |map| map.pin().len())
    }

    /// Inserts a value, replacing the one before.
    pub(super) fn insert(&self, key: K, value: V) {
        self.0.get_or_init(HashMap::new).pin().insert(key, value);
    }

    pub(super) fn remove(&self, key: &K) {
        if let Some(map) = self.0.get() {
            map.pin().remove(key);
        }
    }

    pub(super) fn clear(&self) {
        if let Some(map) = self.0.get() {
            map.pin().clear();
        }
    }

    /// Removes the entries for which `keep` is false.
    pub(super) fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        if let Some(map) = self.0.get() {
            map.pin().retain(|key, value| keep(key, value));
        }
    }
}
