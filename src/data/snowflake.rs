//! IDs that the host generates: numbers for records without a generated key, short texts for definitions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::Rng as _;

/// The epoch of the numbers: 2024-01-01, in seconds since 1970.
const EPOCH_SECONDS: u64 = 1_704_067_200;
/// Bits for the numbers of one second. With 33 bits for the seconds they make 53, which JavaScript's numbers
/// hold exactly, and which last for 272 years.
const SEQUENCE_BITS: u32 = 20;
const MAX_SNOWFLAKE: u64 = (1 << 53) - 1;

/// The numbers of a second start at a random value of these low bits, so that they probably differ after a
/// restart, or beside another host on the same database. The table's key prevents duplicates.
const RANDOM_BITS: u32 = SEQUENCE_BITS - 1;

static LAST: AtomicU64 = AtomicU64::new(0);

/// Returns a number of at most 53 bits, greater than every previous one of this process, also if the clock
/// goes back. Numbers of different seconds are in the order of time.
#[must_use]
pub fn next_snowflake() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    next(&LAST, since_1970.saturating_sub(EPOCH_SECONDS))
}

fn next(last: &AtomicU64, seconds: u64) -> i64 {
    let begin = (seconds << SEQUENCE_BITS) + (rand::random::<u64>() >> (64 - RANDOM_BITS));
    let step = |last: u64| {
        let same_second = last >> SEQUENCE_BITS >= seconds;
        // If the numbers of a second are used up, those of the next follow.
        if same_second { last + 1 } else { begin }
    };
    // This cannot fail, as the closure always returns `Some`.
    let before = last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(step(last)));
    let number = step(before.unwrap_or_else(|last| last));
    i64::try_from(number.min(MAX_SNOWFLAKE)).unwrap_or(i64::MAX)
}

/// Returns 11 random characters of `a-z0-9`: a key for a collection or a field.
#[must_use]
pub fn random_uid() -> String {
    const CHARACTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = rand::rng();
    (0..11).map(|_| char::from(CHARACTERS[random.random_range(0..CHARACTERS.len())])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_never_repeat_and_fit_a_number_of_javascript() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    let numbers: Vec<i64> = (0..50_000).map(|_| next_snowflake()).collect();
                    assert!(numbers.is_sorted_by(|one, other| one < other));
                    numbers
                })
            })
            .collect();
        let numbers: Vec<i64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert!(numbers.iter().all(|&number| number > 0 && number < 1 << 53));
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
    }

    #[test]
    fn numbers_grow_with_time_and_also_when_the_clock_goes_back() {
        let last = AtomicU64::default();
        let times = [10, 10, 11, 5, 11, 12, 0];
        let numbers = times.map(|seconds| next(&last, seconds));
        assert!(numbers.is_sorted_by(|one, other| one < other), "{numbers:?}");
        assert_eq!(numbers.map(|number| number >> SEQUENCE_BITS), [10, 10, 11, 11, 11, 12, 12]);
    }

    #[test]
    fn a_second_of_too_many_numbers_continues_with_the_next() {
        let full = (7 << SEQUENCE_BITS) + (1 << SEQUENCE_BITS) - 1;
        let last = AtomicU64::new(full);
        assert_eq!(next(&last, 7), 8 << SEQUENCE_BITS);
        assert_eq!(next(&last, 7), (8 << SEQUENCE_BITS) + 1);
    }

    #[test]
    fn keys_have_eleven_characters_and_differ() {
        let keys: HashSet<String> = (0..1000).map(|_| random_uid()).collect();
        assert_eq!(keys.len(), 1000);
        assert!(
            keys.iter().all(|key| key.len() == 11 && key.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        );
    }
}
