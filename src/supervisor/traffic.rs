//! Counts the requests of an application.
//!
//! A request costs three additions to atomic numbers. The counters are allocated with the first request, so that an
//! application without any has none.

use std::array;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::protocol::{DURATION_BOUNDS_US, RequestStats};

/// In place of a status: the client has disconnected before the response, as in the logs of other HTTP servers.
pub(crate) const CLIENT_DISCONNECTED: u16 = 499;

/// The status codes that are counted apart, in order.
const CODES: [u16; 25] = [
    200, 201, 204, 206, 302, 303, 304, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415, 422, 429, 499,
    500, 501, 503, 504,
];
/// One more counter for all other codes.
const RESPONSES: usize = CODES.len() + 1;
/// One more bucket for what took longer than all bounds.
const BUCKETS: usize = DURATION_BOUNDS_US.len() + 1;

/// The requests of an application since it is counted.
#[derive(Debug, Default)]
pub(crate) struct Traffic(OnceLock<Box<Counters>>);

#[derive(Debug)]
struct Counters {
    responses: [AtomicU64; RESPONSES],
    buckets: [AtomicU64; BUCKETS],
    duration_us: AtomicU64,
    cold_starts: AtomicU64,
    cold_start_us: AtomicU64,
}

impl Counters {
    fn new() -> Box<Self> {
        Box::new(Self {
            responses: array::from_fn(|_| AtomicU64::new(0)),
            buckets: array::from_fn(|_| AtomicU64::new(0)),
            duration_us: AtomicU64::new(0),
            cold_starts: AtomicU64::new(0),
            cold_start_us: AtomicU64::new(0),
        })
    }

    fn response(&self, status: u16) {
        let position = CODES.binary_search(&status).unwrap_or(CODES.len());
        self.responses[position].fetch_add(1, Relaxed);
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Traffic {
    fn counters(&self) -> &Counters {
        self.0.get_or_init(Counters::new)
    }

    /// Counts a request that was answered with this status after `took`.
    pub(crate) fn count(&self, status: u16, took: Duration) {
        let counters = self.counters();
        counters.response(status);
        let took = microseconds(took);
        let bucket = DURATION_BOUNDS_US.partition_point(|bound| u64::from(*bound) < took);
        counters.buckets[bucket].fetch_add(1, Relaxed);
        counters.duration_us.fetch_add(took, Relaxed);
    }

    /// Counts a request that was refused as it arrived: it says nothing about how long requests take.
    pub(crate) fn count_refusal(&self, status: u16) {
        self.counters().response(status);
    }

    /// Counts a start that a request waited for.
    pub(crate) fn count_cold_start(&self, took: Duration) {
        let counters = self.counters();
        counters.cold_starts.fetch_add(1, Relaxed);
        counters.cold_start_us.fetch_add(microseconds(took), Relaxed);
    }

    /// The counters as they are now; `None` before the first request.
    pub(crate) fn totals(&self) -> Option<Totals> {
        let counters = self.0.get()?;
        Some(Totals {
            responses: array::from_fn(|position| counters.responses[position].load(Relaxed)),
            buckets: array::from_fn(|position| counters.buckets[position].load(Relaxed)),
            duration_us: counters.duration_us.load(Relaxed),
            cold_starts: counters.cold_starts.load(Relaxed),
            cold_start_us: counters.cold_start_us.load(Relaxed),
        })
    }
}

/// The values of the counters of an application, or of several together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
    responses: [u64; RESPONSES],
    buckets: [u64; BUCKETS],
    duration_us: u64,
    cold_starts: u64,
    cold_start_us: u64,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            responses: [0; RESPONSES],
            buckets: [0; BUCKETS],
            duration_us: 0,
            cold_starts: 0,
            cold_start_us: 0,
        }
    }
}

impl Totals {
    /// The number of requests.
    pub(crate) fn requests(&self) -> u64 {
        self.responses.iter().sum()
    }

    /// Changes each value by the one of `other`.
    pub(crate) fn combine(&mut self, other: &Self, change: impl Fn(u64, u64) -> u64) {
        let arrays =
            [(&mut self.responses[..], &other.responses[..]), (&mut self.buckets[..], &other.buckets[..])];
        for (values, others) in arrays {
            values.iter_mut().zip(others).for_each(|(value, other)| *value = change(*value, *other));
        }
        for (value, other) in [
            (&mut self.duration_us, other.duration_us),
            (&mut self.cold_starts, other.cold_starts),
            (&mut self.cold_start_us, other.cold_start_us),
        ] {
            *value = change(*value, other);
        }
    }

    /// The number of responses by status code, without codes that did not occur.
    pub(crate) fn responses(&self) -> impl Iterator<Item = (String, u64)> {
        let names = CODES.iter().map(ToString::to_string).chain(["other".to_owned()]);
        names.zip(self.responses).filter(|(_, count)| *count > 0)
    }

    /// The number of requests whose duration is in each bucket.
    pub(crate) fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    /// The sum of the durations, in seconds.
    pub(crate) fn duration(&self) -> f64 {
        seconds(self.duration_us)
    }

    /// How often requests started the application, and how many seconds that took.
    pub(crate) fn cold_starts(&self) -> (u64, f64) {
        (self.cold_starts, seconds(self.cold_start_us))
    }
}

fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}

impl From<&Totals> for RequestStats {
    fn from(totals: &Totals) -> Self {
        let (cold_starts_total, cold_start_seconds_total) = totals.cold_starts();
        Self {
            responses_total: totals.responses().collect(),
            duration_buckets: totals.buckets.to_vec(),
            duration_seconds_total: totals.duration(),
            cold_starts_total,
            cold_start_seconds_total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order() {
        assert!(CODES.is_sorted() && CODES.contains(&CLIENT_DISCONNECTED));
    }

    #[test]
    fn an_application_without_requests_has_no_counters() {
        let traffic = Traffic::default();
        assert_eq!(traffic.totals(), None);
        assert!(size_of::<Traffic>() <= 16, "{}", size_of::<Traffic>());
        assert!(size_of::<Counters>() < 600, "{}", size_of::<Counters>());
    }

    #[test]
    fn requests_are_counted_by_code_and_duration() {
        let traffic = Traffic::default();
        for (status, micros) in [(200, 90), (200, 100), (200, 101), (404, 1_400), (418, 200_000_000)] {
            traffic.count(status, Duration::from_micros(micros));
        }
        traffic.count_refusal(429);
        traffic.count_cold_start(Duration::from_millis(7));
        let totals = traffic.totals().unwrap();
        assert_eq!(totals.requests(), 6);
        let stats = RequestStats::from(&totals);
        let codes: Vec<_> = stats.responses_total.iter().map(|(code, count)| (&**code, *count)).collect();
        assert_eq!(codes, [("200", 3), ("404", 1), ("429", 1), ("other", 1)]);
        let filled: Vec<_> =
            stats.duration_buckets.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(0, &2), (1, &1), (7, &1), (37, &1)]);
        assert!((stats.duration_seconds_total - 200.001_691).abs() < 1e-9, "{stats:?}");
        assert_eq!((stats.cold_starts_total, stats.cold_start_seconds_total), (1, 0.007));
    }

    #[test]
    fn totals_are_added_and_subtracted() {
        let traffic = Traffic::default();
        traffic.count(200, Duration::from_millis(2));
        let one = traffic.totals().unwrap();
        let mut two = one.clone();
        two.combine(&one, u64::wrapping_add);
        assert_eq!((two.requests(), two.duration()), (2, 0.004));
        two.combine(&one, u64::wrapping_sub);
        assert_eq!(two, one);
    }
}
