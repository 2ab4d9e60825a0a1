//! Yields the core now and then on a thread that answers requests without a pause.
//!
//! The kernel lets a busy thread run for milliseconds. The processes that it works with wait as long: the
//! database server, or the client that reads the response. A thread that pauses between requests does not
//! yield: it would only lose its core to threads that never yield.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a thread answers requests before it yields.
const MAX_RUN: Duration = Duration::from_micros(250);
/// The shortest time between two requests that counts as a pause.
const MIN_PAUSE: Duration = Duration::from_micros(200);

thread_local! {
    static BUSY: Cell<Option<BusyPeriod>> = const { Cell::new(None) };
}

/// A time in which a thread has made no pause.
#[derive(Debug, Clone, Copy)]
struct BusyPeriod {
    since: Instant,
    /// When the thread last began or ended a request.
    last: Instant,
}

impl BusyPeriod {
    /// The period that a request beginning `now` belongs to.
    fn at(before: Option<Self>, now: Instant) -> Self {
        let before = before.filter(|busy| now.duration_since(busy.last) < MIN_PAUSE);
        Self { since: before.map_or(now, |busy| busy.since), last: now }
    }

    fn is_over_limit(self) -> bool {
        self.last.duration_since(self.since) >= MAX_RUN
    }
}

/// Notes that a request begins on this thread; yields the core first when the thread has been busy for
/// [`MAX_RUN`].
pub(super) fn yield_if_due() {
    let mut busy = BusyPeriod::at(BUSY.get(), Instant::now());
    if busy.is_over_limit() {
        std::thread::yield_now();
        busy = BusyPeriod::at(None, Instant::now());
    }
    BUSY.set(Some(busy));
}

/// Notes that a request has ended on this thread.
pub(super) fn request_ended() {
    BUSY.set(BUSY.get().map(|busy| BusyPeriod { last: Instant::now(), ..busy }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_busy_from_the_last_pause_between_its_requests() {
        let begin = Instant::now();
        let after = |micros| begin + Duration::from_micros(micros);
        let mut busy = None;
        for (at, since, for_long) in [
            (0, 0, false),
            (150, 0, false),
            (300, 0, true),
            (320, 0, true),
            (520, 520, false),
            (600, 520, false),
        ] {
            let now = BusyPeriod::at(busy, after(at));
            assert_eq!((now.since, now.is_over_limit()), (after(since), for_long), "{at}");
            busy = Some(now);
        }
    }

    #[test]
    fn a_thread_that_has_rested_begins_anew() {
        let long_ago = Instant::now().checked_sub(MAX_RUN).unwrap();
        BUSY.set(Some(BusyPeriod { since: long_ago, last: Instant::now() }));
        yield_if_due();
        let busy = BUSY.get().unwrap();
        assert!(busy.since > long_ago && !busy.is_over_limit());
        request_ended();
        assert!(BUSY.get().is_some_and(|now| now.since == busy.since && now.last >= busy.last));
    }
}
