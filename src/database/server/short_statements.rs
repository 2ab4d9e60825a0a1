//! Remembers which statements were short.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::database::Rendered;

/// A statement counts as short after so many short runs in a row: it may depend on the values.
const MIN_SHORT_RUNS: u64 = 3;
/// The number of statements remembered for each database.
const MAX_STATEMENTS: usize = 32;
/// An entry: the statement's hash, and the number of short runs in a row.
const HASH_MASK: u64 = !COUNT_MASK;
const COUNT_MASK: u64 = 0xf;

/// The statements of a database that were short repeatedly.
#[derive(Debug, Default)]
pub(super) struct ShortStatements {
    entries: [AtomicU64; MAX_STATEMENTS],
}

impl ShortStatements {
    /// Whether the statement recurs and has been short.
    pub(super) fn is_short(&self, statement: &Rendered) -> bool {
        let (entry, hash) = self.entry(statement);
        let known = entry.load(Ordering::Relaxed);
        statement.is_recurring && known & HASH_MASK == hash && known & COUNT_MASK >= MIN_SHORT_RUNS
    }

    /// Records whether a run was short.
    pub(super) fn record(&self, statement: &Rendered, was_short: bool) {
        let (entry, hash) = self.entry(statement);
        let known = entry.load(Ordering::Relaxed);
        let count = known & COUNT_MASK;
        let next = match (known & HASH_MASK == hash, was_short) {
            (true, true) if count >= MIN_SHORT_RUNS => return,
            (true, true) => hash | (count + 1),
            (true, false) => 0,
            (false, true) if count <= 1 => hash | 1,
            // Two statements share the entry: the more frequent one gets it in the end.
            (false, true) => (known & HASH_MASK) | (count - 1),
            (false, false) => return,
        };
        entry.store(next, Ordering::Relaxed);
    }

    fn entry(&self, statement: &Rendered) -> (&AtomicU64, u64) {
        let hash = statement.hash();
        let [.., last] = hash.to_le_bytes();
        (&self.entries[usize::from(last) % MAX_STATEMENTS], hash & HASH_MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_short_after_enough_short_runs_until_a_long_one() {
        let (short, statement) = (ShortStatements::default(), Rendered::of("SELECT 1"));
        for was_short in [true, true, false, true, true] {
            short.record(&statement, was_short);
            assert!(!short.is_short(&statement));
        }
        short.record(&statement, true);
        assert!(short.is_short(&statement));
        assert!(!short.is_short(&Rendered { is_recurring: false, ..Rendered::of("SELECT 1") }));
        short.record(&statement, false);
        assert!(!short.is_short(&statement));
    }

    #[test]
    fn the_more_frequent_of_two_colliding_statements_gets_the_entry() {
        let short = ShortStatements::default();
        let often = Rendered::of("SELECT 0");
        let entry = |statement: &Rendered| std::ptr::from_ref(short.entry(statement).0);
        let mut others = (1..).map(|number| Rendered::of(&format!("SELECT {number}")));
        let seldom = others.find(|other| entry(other) == entry(&often)).unwrap();
        for _ in 0..10 {
            (0..4).for_each(|_| short.record(&often, true));
            assert!(short.is_short(&often));
            short.record(&seldom, true);
        }
        (0..10).for_each(|_| short.record(&seldom, true));
        assert!(short.is_short(&seldom));
    }
}
