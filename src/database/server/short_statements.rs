//! Which statements are short, as far as it was seen.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::database::Rendered;

/// So many times in a row a statement was short to be known as short: with some values it may not be.
const TIMES: u64 = 3;
/// Statements that are remembered, of each database.
const STATEMENTS: usize = 32;
/// What is remembered of a statement: its hash, and how often in a row it was short.
const HASH: u64 = !COUNT;
const COUNT: u64 = 0xf;

/// The statements of a database that were short again and again.
#[derive(Debug, Default)]
pub(super) struct ShortStatements {
    known: [AtomicU64; STATEMENTS],
}

impl ShortStatements {
    /// Whether it comes again and again, and has been short.
    pub(super) fn is_short(&self, statement: &Rendered) -> bool {
        let (place, hash) = self.place(statement);
        let known = place.load(Ordering::Relaxed);
        statement.repeated && known & HASH == hash && known & COUNT >= TIMES
    }

    /// Remembers whether it was short this time.
    pub(super) fn remember(&self, statement: &Rendered, was_short: bool) {
        let (place, hash) = self.place(statement);
        let known = place.load(Ordering::Relaxed);
        let count = known & COUNT;
        let next = match (known & HASH == hash, was_short) {
            (true, true) if count >= TIMES => return,
            (true, true) => hash | (count + 1),
            (true, false) => 0,
            (false, true) if count <= 1 => hash | 1,
            // Both come: whoever comes more often has the place in the end.
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
