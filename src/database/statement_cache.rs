//! What is known about statements, kept as long as it is worth it.

use lru::LruCache;
use sea_query::Value;

use super::Rendered;

/// Statements of which something is kept, where no other number is said: counts may be another for
/// each user in a role with a scope.
const MAX_STATEMENTS: usize = 128;
/// Of a statement that binds more values, or has more bytes with them, nothing is kept.
pub(super) const MAX_VALUES: usize = 16;
const MAX_LENGTH: usize = 4096;

/// What is known about statements. Of more than it holds, what was not asked for the longest goes.
#[derive(Debug)]
pub(super) struct StatementCache<T> {
    most: usize,
    /// Without a bound of its own, which would be reserved at once; nothing where nothing is kept.
    entries: Option<LruCache<Rendered, T>>,
}

impl<T> Default for StatementCache<T> {
    fn default() -> Self {
        Self::at_most(MAX_STATEMENTS)
    }
}

impl<T> StatementCache<T> {
    /// What is known of no more statements than this.
    pub(super) const fn at_most(most: usize) -> Self {
        Self { most, entries: None }
    }

    /// What is known about a statement, without asking for it.
    pub(super) fn peek(&self, statement: &Rendered) -> Option<&T> {
        self.entries.as_ref().filter(|_| is_worth_it(statement))?.peek(statement)
    }

    /// What is known about a statement.
    pub(super) fn get(&mut self, statement: &Rendered) -> Option<&mut T> {
        self.entries.as_mut().filter(|_| is_worth_it(statement))?.get_mut(statement)
    }

    /// Keeps this about a statement, in place of what is known.
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

    /// Forgets what is known about a statement.
    pub(super) fn forget(&mut self, statement: &Rendered) {
        if let Some(entries) = self.entries.as_mut().filter(|_| is_worth_it(statement)) {
            entries.pop(statement);
        }
    }

    /// Forgets what is over, beginning with what was not asked for the longest, up to the first that
    /// is not.
    pub(super) fn forget_unused(&mut self, is_over: impl Fn(&T) -> bool) {
        let Some(entries) = &mut self.entries else { return };
        while entries.peek_lru().is_some_and(|(_, value)| is_over(value)) {
            entries.pop_lru();
        }
    }

    /// Forgets everything, and gives the memory back.
    pub(super) fn clear(&mut self) {
        self.entries = None;
    }
}

/// Whether something is kept of a statement. Comparing it with others takes no longer than looking
/// at its bytes.
fn is_worth_it(statement: &Rendered) -> bool {
    statement.values.len() <= MAX_VALUES && length(statement) <= MAX_LENGTH
}

/// The bytes of a statement's text, and of the texts and long numbers that it binds; JSON is too long.
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
