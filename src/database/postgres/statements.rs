//! The statements that a connection has prepared.

use std::sync::Arc;

use lru::LruCache;
use tokio_postgres::Statement;

use super::plans::Plans;

/// Statements that a connection keeps prepared. Each costs the server some 20 KB, and the
/// thousand schemas of a database have statements of their own.
const PREPARED: std::num::NonZeroUsize = std::num::NonZeroUsize::new(128).unwrap();

/// The statements that a connection has prepared.
pub(super) struct Statements {
    /// By their texts.
    pub(super) prepared: LruCache<Box<str>, Prepared>,
    /// Those with what they bind written in.
    pub(super) plans: Plans<Prepared>,
    /// How many changes of tables there were when they were prepared.
    changes: u64,
}

/// A statement that the server knows, with the names of what it gives.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) statement: Statement,
    pub(super) columns: Arc<[Box<str>]>,
}

impl Statements {
    pub(super) fn new() -> Self {
        Self { prepared: LruCache::new(PREPARED), plans: Plans::default(), changes: 0 }
    }

    /// Drops what was prepared before the last of these changes of tables.
    pub(super) fn keep_since(&mut self, changes: u64) {
        if self.changes != changes {
            self.clear();
            self.changes = changes;
        }
    }

    /// Keeps a statement, unless a table was changed since it was begun to be prepared. What falls out
    /// is closed on the server.
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
