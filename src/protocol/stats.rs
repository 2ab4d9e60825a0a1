//! Statistics: what requests to an application did since it is counted, and what the host uses now.
//!
//! Counters only grow. A client that wants rates takes two samples, and divides what was added by the time between
//! them; [`percentile`] estimates durations from the difference of two histograms.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AppId, State};

/// The upper bounds of the buckets of durations, in microseconds. One more bucket counts what took longer.
pub const DURATION_BOUNDS_US: [u32; 37] = [
    100,
    150,
    200,
    300,
    500,
    700,
    1_000,
    1_500,
    2_000,
    3_000,
    5_000,
    7_000,
    10_000,
    15_000,
    20_000,
    30_000,
    50_000,
    70_000,
    100_000,
    150_000,
    200_000,
    300_000,
    500_000,
    700_000,
    1_000_000,
    1_500_000,
    2_000_000,
    3_000_000,
    5_000_000,
    7_000_000,
    10_000_000,
    15_000_000,
    20_000_000,
    30_000_000,
    50_000_000,
    70_000_000,
    100_000_000,
];

/// Parameters of `app.stats`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadStats {
    /// The applications; empty for all.
    pub ids: Vec<AppId>,
    /// Whether to query the databases for the size of their data: those of running applications, and of those in
    /// `ids`.
    pub sizes: bool,
}

/// The result of `app.stats`: a sample of all counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// When the sample was taken.
    #[serde(serialize_with = "super::time::serialize")]
    pub at: DateTime<Utc>,
    /// The host as a whole.
    pub host: HostStats,
    /// The applications by ID, the main one first.
    pub applications: Vec<ApplicationStats>,
    /// Those of `ids` that do not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<AppId>,
}

/// What the process that runs all applications uses. Values that the system does not tell are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostStats {
    /// When it started.
    #[serde(serialize_with = "super::time::serialize")]
    pub started_at: DateTime<Utc>,
    /// The number of registered applications, without the main one.
    pub applications: u64,
    /// The number of running applications, without the main one.
    pub running: u64,
    /// Open HTTP connections, with and without a request.
    pub http_connections: u64,
    /// The most HTTP connections.
    pub max_http_connections: u64,
    /// The time that its threads have worked on a core, in seconds.
    pub cpu_seconds_total: f64,
    /// Its memory that is in RAM: of all applications together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_memory_bytes: Option<u64>,
    /// Its address space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_memory_bytes: Option<u64>,
    /// Its threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
    /// Its open file descriptors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// The most file descriptors that it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_open_files: Option<u64>,
}

/// The statistics of an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationStats {
    /// Its ID.
    pub id: AppId,
    /// Its state.
    pub state: State,
    /// Why it is in `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when its requests are counted: since the daemon started, or since it was created or undeleted.
    #[serde(serialize_with = "super::time::serialize")]
    pub since: DateTime<Utc>,
    /// Its requests since then; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestStats>,
    /// Requests that it works on now.
    pub in_flight: u64,
    /// Requests that wait until it can work on them.
    pub queued: u64,
    /// HTTP connections with a request for it.
    pub connections: u64,
    /// Connections to its database: those that it uses on a server, those that are open on SQLite.
    pub database_connections: u64,
    /// The memory for bodies of requests that are longer than 64 KiB.
    pub body_bytes: u64,
    /// The most memory that the page caches of its open connections to a SQLite file may take; absent on other
    /// engines, whose caches are in the server. What they take now is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_page_cache_bytes: Option<u64>,
    /// The size of its data; absent unless requested (`sizes`), or when the database cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_size_bytes: Option<u64>,
}

/// Counters of requests to an application's API and pages. Health checks, redirects and assets are not among them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestStats {
    /// Responses by status code, those of other codes as `other`; 499 stands for clients that have disconnected
    /// before the response.
    pub responses_total: BTreeMap<String, u64>,
    /// How long requests took from their headers to the response, with the wait in the queue and the start of the
    /// application: the number in each of the buckets 0.1 ms, 0.15 ms, 0.2 ms, 0.3 ms, 0.5 ms, 0.7 ms, and so on for
    /// each power of ten up to 100 s, and of those that took longer. Requests that `rate` or `connections` refuse
    /// are not among them.
    pub duration_buckets: Vec<u64>,
    /// The sum of these durations.
    pub duration_seconds_total: f64,
    /// How often a request started the application.
    pub cold_starts_total: u64,
    /// How long these starts took together.
    pub cold_start_seconds_total: f64,
}

impl RequestStats {
    /// The number of requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.responses_total.values().sum()
    }

    /// The number of responses with a status from 500 on: the application or the host failed, or refused the request
    /// because of a limit.
    #[must_use]
    pub fn errors(&self) -> u64 {
        let failed = self.responses_total.iter().filter(|(code, _)| code.starts_with('5'));
        failed.map(|(_, count)| count).sum()
    }
}

/// The duration, in seconds, within which this share of the counted requests ended; `None` when none is counted.
/// It is interpolated within a bucket, in which the true value is, too.
#[must_use]
pub fn percentile(buckets: &[u64], share: f64) -> Option<f64> {
    let all: u64 = buckets.iter().sum();
    if all == 0 {
        return None;
    }
    let seconds = |position: usize| DURATION_BOUNDS_US.get(position).map(|bound| f64::from(*bound) / 1e6);
    // The rank of the request, from 1 on.
    let rank = (share * float(all)).ceil().max(1.0);
    let mut below = 0.0;
    for (position, count) in buckets.iter().map(|count| float(*count)).enumerate() {
        if below + count >= rank {
            let lower = position.checked_sub(1).and_then(seconds).unwrap_or(0.0);
            // What took longer than the last bound has no upper one.
            let upper = seconds(position).unwrap_or(lower);
            return Some(lower + (upper - lower) * (rank - below) / count);
        }
        below += count;
    }
    None
}

/// A count as a number with a fraction; exact up to 2^53.
fn float(count: u64) -> f64 {
    count as f64
}

/// The result of `host.metrics`: what `GET /metrics` responds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// The media type: OpenMetrics text, which Prometheus reads.
    pub content_type: String,
    /// The text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counted: &[(usize, u64)]) -> Vec<u64> {
        let mut buckets = vec![0; DURATION_BOUNDS_US.len() + 1];
        for (position, count) in counted {
            buckets[*position] = *count;
        }
        buckets
    }

    #[test]
    fn bounds_grow_by_half_at_most() {
        for pair in DURATION_BOUNDS_US.windows(2) {
            let growth = f64::from(pair[1]) / f64::from(pair[0]);
            assert!(growth > 1.3 && growth < 1.7, "{pair:?}");
        }
    }

    #[test]
    fn a_percentile_lies_in_its_bucket() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&buckets(&[]), 0.5), None);
        let near = |counted: &[(usize, u64)], share, expected: f64| {
            let found = percentile(&buckets(counted), share).unwrap();
            assert!((found - expected).abs() < 1e-9, "{counted:?} {share}: {found}");
        };
        // One request of at most 0.1 ms.
        near(&[(0, 1)], 0.5, 0.000_1);
        // 98 requests of 1 to 1.5 ms, and two of 5 to 7 ms: the 99th is the first of these.
        near(&[(7, 98), (11, 2)], 0.5, 0.001 + 0.000_5 * 50.0 / 98.0);
        near(&[(7, 98), (11, 2)], 0.99, 0.006);
        near(&[(7, 98), (11, 2)], 1.0, 0.007);
        // What is beyond the last bound took at least that long.
        near(&[(37, 3)], 0.99, 100.0);
    }

    #[test]
    fn errors_are_those_of_the_host() {
        let codes = [("200", 7), ("404", 2), ("499", 1), ("500", 1), ("503", 3), ("other", 1)];
        let responses_total = codes.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
        let requests = RequestStats { responses_total, ..RequestStats::default() };
        assert_eq!((requests.requests(), requests.errors()), (15, 4));
    }
}
