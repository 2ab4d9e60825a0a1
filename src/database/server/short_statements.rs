//! Remembers which statements were short.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::database::Rendered;

/// A statement counts as short after so many short runs in a row: it may depend on the values.
const TIMES: u64 = 3;
/// The number of statements remembered for each database.
const STATEMENTS: usize = 32;
/// An entry: the statement's hash, and the number of short runs in a row.
const HASH: u64 = !COUNT;
const COUNT: u64 = 0xf;

/// The statements of a database that were short repeatedly.
#[derive(Debug, Default)]
pub(super) struct ShortStatements {
    known: [AtomicU64; STATEMENTS],
}

impl ShortStatements {
    /// Whether the statement recurs and has been short.
    pub(super) fn is_short(&self, statement: &Rendered) -> bool {
        let (place, hash) = self.place(statement);
        let known = place.load(Ordering::Relaxed);
        statement.repeated && known & HASH == hash && known & COUNT >= TIMES
    }

    /// Records whether a run was short.
    pub(super) fn remember(&self, statement: &Rendered, was_short: bool) {
        let (place, hash) = self.place(statement);
        let known = place.load(Ordering::Relaxed);
        let count = known & COUNT;
        let next = match (known & HASH == hash, was_short) {
            (true, true) if count >= TIMES => return,
            (true, true) => hash | (count + 1),
            (true, false) => 0,
            (false, true) if count <= 1 => hash | 1,
            // Two statements share the entry: the more frequent one gets it in the end.
            (false, true) => (known & HASH) | (count - 1),
            (false, false) => return,
        };
        place.store(next, Ordering::Relaxed);
    }

    fn place(&self, statement: &Rendered) -> (&AtomicU64, u64) {
        let hash = statement.hash();
        let [.., last] = hash.to_le_bytes();
        (&self.known[usize::from(last) % STATEMENTS], hash & HASH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_short_again_and_again_is_short_until_it_is_not() {
        let (short, statement) = (ShortStatements::default(), Rendered::of("SELECT 1"));
        for was_short in [true, true, false, true, true] {
            short.remember(&statement, was_short);
            assert!(!short.is_short(&statement));
        }
        short.remember(&statement, true);
        assert!(short.is_short(&statement));
        assert!(!short.is_short(&Rendered { repeated: false, ..Rendered::of("SELECT 1") }));
        short.remember(&statement, false);
        assert!(!short.is_short(&statement));
    }

    #[test]
    fn the_one_of_two_in_a_place_that_comes_more_often_has_it() {
        let short = ShortStatements::default();
        let often = Rendered::of("SELECT 0");
        let place = |statement: &Rendered| std::ptr::from_ref(short.place(statement).0);
        let mut others = (1..).map(|number| Rendered::of(&format!("SELECT {number}")));
        let seldom = others.find(|other| place(other) == place(&often)).unwrap();
        for _ in 0..10 {
            (0..4).for_each(|_| short.remember(&often, true));
            assert!(short.is_short(&often));
            short.remember(&seldom, true);
        }
        (0..10).for_each(|_| short.remember(&seldom, true));
        assert!(short.is_short(&seldom));
    }
}
