//! A thread that answers requests lets others have its core now and then.
//!
//! Left to itself the kernel lets a thread that is always busy run for milliseconds, and whoever it
//! works with waits as long: a database's process, or the reader of its answers.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a thread goes on with requests.
const AT_A_TIME: Duration = Duration::from_micros(500);

thread_local! {
    /// Since when it has had no rest.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// This thread was at rest until now.
pub(crate) fn rested() {
    SINCE.set(Some(Instant::now()));
}

/// Gives the core to whoever waits for it, where this thread has had no rest for a while.
pub(super) fn rest_if_due() {
    let is_due = |since: Instant| since.elapsed() >= AT_A_TIME;
    if SINCE.get().is_some_and(is_due) {
        std::thread::yield_now();
        rested();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_rests_when_it_has_had_none_for_long() {
        rest_if_due();
        assert_eq!(SINCE.get(), None, "nobody says when this thread is at rest");
        let long_ago = Instant::now().checked_sub(Duration::from_secs(1));
        SINCE.set(long_ago);
        rest_if_due();
        assert!(SINCE.get() > long_ago);
        let soon = Instant::now().checked_add(Duration::from_secs(1));
        SINCE.set(soon);
        rest_if_due();
        assert_eq!(SINCE.get(), soon, "it has just begun");
    }
}
