//! The cache of prepared statements of a connection.

use std::sync::Arc;

use lru::LruCache;
use tokio_postgres::Statement;

use super::plans::Plans;

/// The limit on prepared statements for each connection. Each costs the server some 20 KB, and a
/// database may hold a thousand schemas with statements of their own.
const PREPARED: std::num::NonZeroUsize = std::num::NonZeroUsize::new(128).unwrap();

/// The prepared statements of a connection.
pub(super) struct Statements {
    /// By SQL text.
    pub(super) prepared: LruCache<Box<str>, Prepared>,
    /// Statements with their values as literals.
    pub(super) plans: Plans<Prepared>,
    /// The number of schema changes when they were prepared.
    changes: u64,
}

/// A prepared statement, with the names of its columns.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) statement: Statement,
    pub(super) columns: Arc<[Box<str>]>,
}

impl Statements {
    pub(super) fn new() -> Self {
        Self { prepared: LruCache::new(PREPARED), plans: Plans::default(), changes: 0 }
    }

    /// Drops the statements that were prepared before the last of these schema changes.
    pub(super) fn keep_since(&mut self, changes: u64) {
        if self.changes != changes {
            self.clear();
            self.changes = changes;
        }
    }

    /// Stores a statement, unless the schema has changed since its preparation began. Evicted statements are
    /// closed on the server.
    pub(super) fn keep(&mut self, sql: &str, prepared: &Prepared, changes: u64) {
        if self.changes == changes {
            self.prepared.put(sql.into(), prepared.clone());
        }
    }

    pub(super) fn clear(&mut self) {
        self.prepared.clear();
        self.plans.clear();
    }
}
