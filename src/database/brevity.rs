//! Which statements of a database are a moment's work. That shows when they are tried: what took
//! longer is remembered, for a while.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Rendered;

/// A statement that takes longer is nothing for whoever has others to answer.
pub(super) const MOMENT: Duration = Duration::from_micros(500);
/// So many times in a row it has to take longer: once, the processor may have been somebody else's.
const TIMES: u64 = 3;
/// For how many seconds a statement that took longer is not tried again.
const REMEMBERED: u64 = 30;
/// Statements that are remembered, of each database.
const STATEMENTS: usize = 16;
/// What is remembered of a statement: its hash, how often in a row it took longer, and until when.
const HASH: u64 = 0xffff_fff0_0000_0000;
const TIME: u64 = 0x0000_0001_0000_0000;
const COUNT: u64 = 0x0000_000f_0000_0000;
const UNTIL: u64 = 0x0000_0000_ffff_ffff;

/// Which statements of a database take longer than a moment.
#[derive(Debug, Default)]
pub(super) struct Brevity {
    long: [AtomicU64; STATEMENTS],
}

impl Brevity {
    /// Whether this is a statement that comes again and again, and nobody knows that it takes longer.
    pub(super) fn is_brief(&self, statement: &Rendered) -> bool {
        let (place, hash) = self.place(statement);
        let remembered = place.load(Ordering::Relaxed);
        let is_long = remembered & HASH == hash && (remembered & COUNT) / TIME >= TIMES;
        statement.repeated && !(is_long && remembered & UNTIL >= seconds())
    }

    /// Remembers whether it took longer than a moment.
    pub(super) fn remember(&self, statement: &Rendered, took_long: bool) {
        let (place, hash) = self.place(statement);
        let known = place.load(Ordering::Relaxed);
        let times = if known & HASH == hash { (known & COUNT) / TIME } else { 0 };
        if took_long {
            let times = (times + 1).min(TIMES);
            place.store(hash | (times * TIME) | (seconds() + REMEMBERED), Ordering::Relaxed);
        } else if times > 0 {
            place.store(0, Ordering::Relaxed);
        }
    }

    fn place(&self, statement: &Rendered) -> (&AtomicU64, u64) {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = HASHER.hash_one(&statement.sql);
        let [first, ..] = hash.to_le_bytes();
        (&self.long[usize::from(first) % STATEMENTS], hash & HASH)
    }
}

/// Seconds since a moment before the first statement.
fn seconds() -> u64 {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGINNING.elapsed().as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_again_and_again_is_remembered() {
        let (brevity, long, other) = (Brevity::default(), Rendered::of("SELECT 1"), Rendered::of("SELECT 2"));
        for took_long in [true, true, false, true, true] {
            brevity.remember(&long, took_long);
            assert!(brevity.is_brief(&long));
        }
        brevity.remember(&long, true);
        assert!(!brevity.is_brief(&long));
        assert!(brevity.is_brief(&other), "each statement for itself");
        assert!(!brevity.is_brief(&Rendered { repeated: false, ..other }));
    }
}
