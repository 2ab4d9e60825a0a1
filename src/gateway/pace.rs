//! A thread that answers one request after the other lets others have its core now and then.
//!
//! Left to itself the kernel lets a thread that is always busy run for milliseconds, and whoever it
//! works with waits as long: a database's process, or the reader of its answers. A thread with pauses
//! between its requests is left alone: it would only give its core to those who never give theirs.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a thread goes on with requests.
const AT_A_TIME: Duration = Duration::from_micros(250);
/// What is shorter between the end of a request and the beginning of another one is no pause.
const PAUSE: Duration = Duration::from_micros(200);

thread_local! {
    static BUSY: Cell<Option<Busy>> = const { Cell::new(None) };
}

/// A thread without a pause.
#[derive(Debug, Clone, Copy)]
struct Busy {
    since: Instant,
    /// When it last began or ended a request.
    last: Instant,
}

impl Busy {
    /// As it is when a request begins.
    fn at(before: Option<Self>, now: Instant) -> Self {
        let before = before.filter(|busy| now.duration_since(busy.last) < PAUSE);
        Self { since: before.map_or(now, |busy| busy.since), last: now }
    }

    fn is_for_long(self) -> bool {
        self.last.duration_since(self.since) >= AT_A_TIME
    }
}

/// A request begins on this thread: gives the core to whoever waits for it, where the thread has been
/// busy for a while.
pub(super) fn rest_if_due() {
    let mut busy = Busy::at(BUSY.get(), Instant::now());
    if busy.is_for_long() {
        std::thread::yield_now();
        busy = Busy::at(None, Instant::now());
    }
    BUSY.set(Some(busy));
}

/// A request has ended on this thread.
pub(super) fn request_ended() {
    BUSY.set(BUSY.get().map(|busy| Busy { last: Instant::now(), ..busy }));
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
            let now = Busy::at(busy, after(at));
            assert_eq!((now.since, now.is_for_long()), (after(since), for_long), "{at}");
            busy = Some(now);
        }
    }

    #[test]
    fn a_thread_that_has_rested_begins_anew() {
        let long_ago = Instant::now().checked_sub(AT_A_TIME).unwrap();
        BUSY.set(Some(Busy { since: long_ago, last: Instant::now() }));
        rest_if_due();
        let busy = BUSY.get().unwrap();
        assert!(busy.since > long_ago && !busy.is_for_long());
        request_ended();
        assert!(BUSY.get().is_some_and(|now| now.since == busy.since && now.last >= busy.last));
    }
}
