//! A bounded LRU cache keyed by statement, for counts, plans and the like.

use lru::LruCache;
use sea_query::Value;

use super::Rendered;

/// The default capacity. Statements are many: a role's scope may make a count differ for each user.
const DEFAULT_CAPACITY: usize = 128;
/// Statements with more values, or with more bytes including their values, are not cached.
pub(super) const MAX_VALUES: usize = 16;
const MAX_BYTES: usize = 4096;

/// A cache keyed by statement. At capacity, it evicts the least recently used entry.
#[derive(Debug)]
pub(super) struct StatementCache<T> {
    capacity: usize,
    /// `None` while empty. Unbounded, because a bounded `LruCache` reserves its capacity at once.
    entries: Option<LruCache<Rendered, T>>,
}

impl<T> Default for StatementCache<T> {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl<T> StatementCache<T> {
    /// Creates a cache for this many statements.
    pub(super) const fn with_capacity(capacity: usize) -> Self {
        Self { capacity, entries: None }
    }

    /// Returns a statement's entry without marking it as used.
    pub(super) fn peek(&self, statement: &Rendered) -> Option<&T> {
        self.entries.as_ref().filter(|_| is_cacheable(statement))?.peek(statement)
    }

    /// Returns a statement's entry and marks it as used.
    pub(super) fn get(&mut self, statement: &Rendered) -> Option<&mut T> {
        self.entries.as_mut().filter(|_| is_cacheable(statement))?.get_mut(statement)
    }

    /// Stores an entry for a statement, replacing the one before.
    pub(super) fn insert(&mut self, statement: &Rendered, value: T) {
        if !is_cacheable(statement) {
            return;
        }
        let entries = self.entries.get_or_insert_with(LruCache::unbounded);
        entries.put(statement.clone(), value);
        if entries.len() > self.capacity {
            entries.pop_lru();
        }
    }

    /// Removes a statement's entry.
    pub(super) fn remove(&mut self, statement: &Rendered) {
        if let Some(entries) = self.entries.as_mut().filter(|_| is_cacheable(statement)) {
            entries.pop(statement);
        }
    }

    /// Removes expired entries from the least recently used on, up to the first that is not expired.
    pub(super) fn evict_expired(&mut self, is_expired: impl Fn(&T) -> bool) {
        let Some(entries) = &mut self.entries else { return };
        while entries.peek_lru().is_some_and(|(_, value)| is_expired(value)) {
            entries.pop_lru();
        }
    }

    /// Removes all entries and releases the memory.
    pub(super) fn clear(&mut self) {
        self.entries = None;
    }
}

/// Whether a statement is cached. The limits keep comparing keys as cheap as reading their bytes.
fn is_cacheable(statement: &Rendered) -> bool {
    statement.values.len() <= MAX_VALUES && length(statement) <= MAX_BYTES
}

/// The bytes of a statement's text and of the values it binds; JSON counts as too long.
fn length(statement: &Rendered) -> usize {
    let bound = statement.values.iter().map(|value| match value {
        Value::String(Some(text)) => text.len(),
        Value::Bytes(Some(bytes)) => bytes.len(),
        Value::Json(Some(_)) => usize::MAX,
        Value::BigDecimal(Some(number)) => {
            let digits = number.digits().saturating_add(number.fractional_digit_count().unsigned_abs());
            usize::try_from(digits).unwrap_or(usize::MAX)
        }
        _ => 0,
    });
    bound.fold(statement.sql.len(), usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(table: usize) -> Rendered {
        Rendered::of(&format!("SELECT count(*) FROM t{table}"))
    }

    #[test]
    fn the_least_recently_used_entry_is_evicted() {
        let mut cache = StatementCache::default();
        for table in 0..2 * DEFAULT_CAPACITY {
            cache.insert(&of(table), table);
            assert_eq!(cache.get(&of(0)), Some(&mut 0));
        }
        assert_eq!(cache.entries.as_ref().map(LruCache::len), Some(DEFAULT_CAPACITY));
        assert_eq!(cache.peek(&of(1)), None);
        assert_eq!(cache.peek(&of(2 * DEFAULT_CAPACITY - 1)), Some(&(2 * DEFAULT_CAPACITY - 1)));
        cache.insert(&of(0), 7);
        assert_eq!(cache.peek(&of(0)), Some(&7));
        assert_eq!(cache.entries.as_ref().map(LruCache::len), Some(DEFAULT_CAPACITY));
        let bound = Rendered { values: vec![1_i32.into()], ..of(0) };
        assert_eq!(cache.peek(&bound), None, "with other values it is another statement");
        cache.remove(&of(0));
        assert_eq!(cache.peek(&of(0)), None);
        cache.evict_expired(|&table| table < 2 * DEFAULT_CAPACITY - 5);
        assert_eq!(cache.entries.as_ref().map(LruCache::len), Some(5));
        cache.clear();
        assert!(cache.entries.is_none());
    }

    #[test]
    fn large_statements_are_not_cached() {
        let mut cache = StatementCache::default();
        let many = Rendered { values: vec![1_i32.into(); MAX_VALUES + 1], ..of(0) };
        let long = Rendered::of(&"x".repeat(MAX_BYTES + 1));
        let bound = Rendered { values: vec!["x".repeat(MAX_BYTES).into()], ..of(0) };
        let document = Rendered { values: vec![serde_json::json!({}).into()], ..of(0) };
        let exponent: bigdecimal::BigDecimal = "1e1000000000".parse().unwrap();
        let exponent = Rendered { values: vec![exponent.into()], ..of(0) };
        cache.insert(&of(0), 0);
        for statement in [many, long, bound, document, exponent] {
            cache.insert(&statement, 1);
            assert_eq!(cache.peek(&statement), None);
        }
    }
}
