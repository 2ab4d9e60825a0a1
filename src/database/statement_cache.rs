//! A bounded LRU cache keyed by statement, for counts, plans and the like.

use lru::LruCache;
use sea_query::Value;

use super::Rendered;

/// The default capacity. Statements are many: a role's scope may make a count differ for each user.
const MAX_STATEMENTS: usize = 128;
/// Statements with more values, or with more bytes including their values, are not cached.
pub(super) const MAX_VALUES: usize = 16;
const MAX_LENGTH: usize = 4096;

/// A cache keyed by statement. At capacity, it evicts the least recently used entry.
#[derive(Debug)]
pub(super) struct StatementCache<T> {
    most: usize,
    /// `None` while empty. Unbounded, because a bounded `LruCache` reserves its capacity at once.
    entries: Option<LruCache<Rendered, T>>,
}

impl<T> Default for StatementCache<T> {
    fn default() -> Self {
        Self::at_most(MAX_STATEMENTS)
    }
}

impl<T> StatementCache<T> {
    /// Creates a cache for this many statements.
    pub(super) const fn at_most(most: usize) -> Self {
        Self { most, entries: None }
    }

    /// Returns a statement's entry without marking it as used.
    pub(super) fn peek(&self, statement: &Rendered) -> Option<&T> {
        self.entries.as_ref().filter(|_| is_worth_it(statement))?.peek(statement)
    }

    /// Returns a statement's entry and marks it as used.
    pub(super) fn get(&mut self, statement: &Rendered) -> Option<&mut T> {
        self.entries.as_mut().filter(|_| is_worth_it(statement))?.get_mut(statement)
    }

    /// Stores an entry for a statement, replacing the one before.
    pub(super) fn keep(&mut self, statement: &Rendered, value: T) {
        if !is_worth_it(statement) {
            return;
        }
        let entries = self.entries.get_or_insert_with(LruCache::unbounded);
        entries.put(statement.clone(), value);
        if entries.len() > self.most {
            entries.pop_lru();
        }
    }

    /// Removes a statement's entry.
    pub(super) fn forget(&mut self, statement: &Rendered) {
        if let Some(entries) = self.entries.as_mut().filter(|_| is_worth_it(statement)) {
            entries.pop(statement);
        }
    }

    /// Removes expired entries from the least recently used on, up to the first that is not expired.
    pub(super) fn forget_unused(&mut self, is_over: impl Fn(&T) -> bool) {
        let Some(entries) = &mut self.entries else { return };
        while entries.peek_lru().is_some_and(|(_, value)| is_over(value)) {
            entries.pop_lru();
        }
    }

    /// Removes all entries and releases the memory.
    pub(super) fn clear(&mut self) {
        self.entries = None;
    }
}

/// Whether a statement is cached. The limits keep comparing keys as cheap as reading their bytes.
fn is_worth_it(statement: &Rendered) -> bool {
    statement.values.len() <= MAX_VALUES && length(statement) <= MAX_LENGTH
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
    fn what_is_asked_for_is_kept_longest() {
        let mut kept = StatementCache::default();
        for table in 0..2 * MAX_STATEMENTS {
            kept.keep(&of(table), table);
            assert_eq!(kept.get(&of(0)), Some(&mut 0));
        }
        assert_eq!(kept.entries.as_ref().map(LruCache::len), Some(MAX_STATEMENTS));
        assert_eq!(kept.peek(&of(1)), None);
        assert_eq!(kept.peek(&of(2 * MAX_STATEMENTS - 1)), Some(&(2 * MAX_STATEMENTS - 1)));
        kept.keep(&of(0), 7);
        assert_eq!(kept.peek(&of(0)), Some(&7));
        assert_eq!(kept.entries.as_ref().map(LruCache::len), Some(MAX_STATEMENTS));
        let bound = Rendered { values: vec![1_i32.into()], ..of(0) };
        assert_eq!(kept.peek(&bound), None, "with other values it is another statement");
        kept.forget(&of(0));
        assert_eq!(kept.peek(&of(0)), None);
        kept.forget_unused(|&table| table < 2 * MAX_STATEMENTS - 5);
        assert_eq!(kept.entries.as_ref().map(LruCache::len), Some(5));
        kept.clear();
        assert!(kept.entries.is_none());
    }

    #[test]
    fn no_more_is_kept_than_is_worth_it() {
        let mut kept = StatementCache::default();
        let many = Rendered { values: vec![1_i32.into(); MAX_VALUES + 1], ..of(0) };
        let long = Rendered::of(&"x".repeat(MAX_LENGTH + 1));
        let bound = Rendered { values: vec!["x".repeat(MAX_LENGTH).into()], ..of(0) };
        let document = Rendered { values: vec![serde_json::json!({}).into()], ..of(0) };
        let exponent: bigdecimal::BigDecimal = "1e1000000000".parse().unwrap();
        let exponent = Rendered { values: vec![exponent.into()], ..of(0) };
        kept.keep(&of(0), 0);
        for statement in [many, long, bound, document, exponent] {
            kept.keep(&statement, 1);
            assert_eq!(kept.peek(&statement), None);
        }
    }
}
