//! Retries work that a conflict with others made fail: after a deadlock or a serialization failure nothing
//! was done, and another attempt may succeed.

use std::time::Duration;

use rand::Rng;

use super::DatabaseError;

/// The limit on attempts, besides the brief ones.
const MAX_TRIES: u32 = 12;
/// Attempts whose waits for locks are brief, since PostgreSQL takes a second to find a deadlock. Later ones
/// wait for locks until the statement's timeout.
const BRIEF_TRIES: u32 = 4;
/// The lock timeout of the first brief attempt: at least this, less than twice this. It doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The limit on the pause before the second attempt. It doubles each time, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(4);
/// The limit on any pause.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// The attempts at one piece of work.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    failed: u32,
}

impl Tries {
    /// The lock timeout of the next attempt; `None` for the statement's own. Random, so that one of two
    /// deadlocked transactions gives up first.
    pub(crate) fn lock_wait(&self) -> Option<Duration> {
        let wait = (self.failed < BRIEF_TRIES).then(|| FIRST_WAIT * (1 << self.failed))?;
        Some(rand::rng().random_range(wait..wait * 2))
    }

    /// After an attempt: whether to make another. If so, first pauses for a random time, so that those in
    /// conflict do not meet again.
    pub(crate) async fn again(&mut self, error: Option<&DatabaseError>) -> bool {
        let Some(DatabaseError::Conflict(_)) = error else { return false };
        self.failed += 1;
        if self.failed >= BRIEF_TRIES + MAX_TRIES {
            return false;
        }
        tokio::time::sleep(pause(self.failed)).await;
        true
    }
}

/// A random pause after so many failures.
fn pause(failed: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(MAX_PAUSE);
    rand::rng().random_range(Duration::ZERO..=longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_conflict_is_tried_again_and_not_for_ever() {
        let conflict = DatabaseError::Conflict("deadlock".to_owned());
        let (mut tries, mut done) = (Tries::default(), 1);
        while tries.again(Some(&conflict)).await {
            done += 1;
        }
        assert_eq!(done, BRIEF_TRIES + MAX_TRIES);
    }

    #[tokio::test]
    async fn the_first_tries_give_up_early_and_the_last_have_patience() {
        let conflict = DatabaseError::Conflict("deadlock".to_owned());
        let mut tries = Tries::default();
        for brief in 0..BRIEF_TRIES {
            let wait = FIRST_WAIT * (1 << brief);
            assert!(tries.lock_wait().is_some_and(|drawn| (wait..wait * 2).contains(&drawn)), "{brief}");
            assert!(tries.again(Some(&conflict)).await);
        }
        assert_eq!(tries.lock_wait(), None);
    }

    #[tokio::test]
    async fn other_failures_are_final() {
        for error in [DatabaseError::Busy(String::new()), DatabaseError::Unique { columns: Vec::new() }] {
            assert!(!Tries::default().again(Some(&error)).await, "{error:?}");
        }
        assert!(!Tries::default().again(None).await);
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        for (failed, longest) in [(1, FIRST_PAUSE), (2, FIRST_PAUSE * 2), (11, MAX_PAUSE), (99, MAX_PAUSE)] {
            assert!((0..100).all(|_| pause(failed) <= longest), "{failed}");
        }
    }
}
