//! The cache of prepared statements of a connection.

use std::sync::Arc;

use lru::LruCache;
use tokio_postgres::Statement;

use super::plan_cache::PlanCache;

/// The limit on prepared statements for each connection. Each costs the server some 20 KB, and a
/// database may hold a thousand schemas with statements of their own.
const MAX_PREPARED: std::num::NonZeroUsize = std::num::NonZeroUsize::new(128).unwrap();

/// The prepared statements of a connection.
pub(super) struct PreparedStatements {
    /// By SQL text.
    pub(super) prepared: LruCache<Box<str>, Prepared>,
    /// Statements with their values as literals.
    pub(super) plans: PlanCache<Prepared>,
    /// The number of schema changes when they were prepared.
    schema_version: u64,
}

/// A prepared statement, with the names of its columns.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) statement: Statement,
    pub(super) columns: Arc<[Box<str>]>,
}

impl PreparedStatements {
    pub(super) fn new() -> Self {
        Self { prepared: LruCache::new(MAX_PREPARED), plans: PlanCache::default(), schema_version: 0 }
    }

    /// Drops the statements that were prepared before the last of these schema changes.
    pub(super) fn invalidate_before(&mut self, schema_version: u64) {
        if self.schema_version != schema_version {
            self.clear();
            self.schema_version = schema_version;
        }
    }

    /// Stores a statement, unless the schema has changed since its preparation began. Evicted statements are
    /// closed on the server.
    pub(super) fn insert(&mut self, sql: &str, prepared: &Prepared, schema_version: u64) {
        if self.schema_version == schema_version {
            self.prepared.put(sql.into(), prepared.clone());
        }
    }

    pub(super) fn clear(&mut self) {
        self.prepared.clear();
        self.plans.clear();
    }
}
