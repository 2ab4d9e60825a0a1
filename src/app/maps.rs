//! Maps that many read and write at once without a lock.

use std::hash::Hash;
use std::sync::{Arc, LazyLock};

use papaya::HashMap;
use seize::Collector;

/// An empty map. What is taken out of it is freed, once nobody reads it any more, by a collector that
/// all maps of all applications share: one of its own costs each map 16 KiB.
pub(super) fn map<K: Hash + Eq + Send + 'static, V: Send + 'static>() -> HashMap<K, V> {
    static COLLECTOR: LazyLock<Arc<Collector>> = LazyLock::new(Arc::default);
    HashMap::builder().shared_collector(Arc::clone(&COLLECTOR)).build()
}
