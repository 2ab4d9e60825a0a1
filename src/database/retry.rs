//! Retries work that a conflict with others made fail: after a deadlock or a serialization failure nothing
//! was done, and another attempt may succeed.

use std::time::Duration;

use rand::Rng;

use super::DatabaseError;

/// The limit on attempts, besides the brief ones.
const MAX_ATTEMPTS: u32 = 12;
/// Attempts whose waits for locks are brief, since PostgreSQL takes a second to find a deadlock. Later ones
/// wait for locks until the statement's timeout.
const BRIEF_ATTEMPTS: u32 = 4;
/// The lock timeout of the first brief attempt: at least this, less than twice this. It doubles each time.
const FIRST_LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// The limit on the pause before the second attempt. It doubles each time, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(4);
/// The limit on any pause.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// The attempts at one piece of work.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    failed: u32,
}

impl Retry {
    /// The lock timeout of the next attempt; `None` for the statement's own. Random, so that one of two
    /// deadlocked transactions gives up first.
    pub(crate) fn lock_timeout(&self) -> Option<Duration> {
        let wait = (self.failed < BRIEF_ATTEMPTS).then(|| FIRST_LOCK_TIMEOUT * (1 << self.failed))?;
        Some(rand::rng().random_range(wait..wait * 2))
    }

    /// After an attempt: whether to make another. If so, first pauses for a random time, so that those in
    /// conflict do not meet again.
    pub(crate) async fn should_retry(&mut self, error: Option<&DatabaseError>) -> bool {
        let Some(DatabaseError::Conflict(_)) = error else { return false };
        self.failed += 1;
        if self.failed >= BRIEF_ATTEMPTS + MAX_ATTEMPTS {
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
    async fn conflicts_are_retried_a_limited_number_of_times() {
        let conflict = DatabaseError::Conflict("deadlock".to_owned());
        let (mut retry, mut done) = (Retry::default(), 1);
        while retry.should_retry(Some(&conflict)).await {
            done += 1;
        }
        assert_eq!(done, BRIEF_ATTEMPTS + MAX_ATTEMPTS);
    }

    #[tokio::test]
    async fn only_the_first_attempts_have_a_lock_timeout() {
        let conflict = DatabaseError::Conflict("deadlock".to_owned());
        let mut retry = Retry::default();
        for brief in 0..BRIEF_ATTEMPTS {
            let wait = FIRST_LOCK_TIMEOUT * (1 << brief);
            assert!(retry.lock_timeout().is_some_and(|drawn| (wait..wait * 2).contains(&drawn)), "{brief}");
            assert!(retry.should_retry(Some(&conflict)).await);
        }
        assert_eq!(retry.lock_timeout(), None);
    }

    #[tokio::test]
    async fn other_failures_are_not_retried() {
        for error in [DatabaseError::Busy(String::new()), DatabaseError::Unique { columns: Vec::new() }] {
            assert!(!Retry::default().should_retry(Some(&error)).await, "{error:?}");
        }
        assert!(!Retry::default().should_retry(None).await);
    }

    #[test]
    fn pauses_grow_up_to_the_limit() {
        for (failed, longest) in [(1, FIRST_PAUSE), (2, FIRST_PAUSE * 2), (11, MAX_PAUSE), (99, MAX_PAUSE)] {
            assert!((0..100).all(|_| pause(failed) <= longest), "{failed}");
        }
    }
}
