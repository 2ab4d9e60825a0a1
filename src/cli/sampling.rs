//! What applications do within a window of time, from the difference between two samples of their counters.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::time::Instant;

use super::context::Context;
use super::error::CliError;
use crate::client::Client;
use crate::protocol::methods::AppStats;
use crate::protocol::{AppId, ApplicationStats, HostStats, ReadStats, RequestStats, Stats, percentile};

/// How often the sizes of databases are measured: on a server, each is a query.
const SIZES_INTERVAL: Duration = Duration::from_secs(30);
/// The shortest window, in seconds: samples have the time to the millisecond.
const MIN_WINDOW: f64 = 0.001;

/// What all applications did within a window, and what they use at its end.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// The end of the window.
    #[serde(serialize_with = "crate::protocol::time::serialize")]
    pub(crate) at: DateTime<Utc>,
    /// The length of the window; absent when each application has one of its own, since it is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window_seconds: Option<f64>,
    pub(crate) host: HostReport,
    pub(crate) applications: Vec<ApplicationReport>,
    /// IDs that do not exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) missing: Vec<AppId>,
}

/// Rates and durations within a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Rates {
    pub(crate) requests_per_second: f64,
    /// Responses with a status from 500 on.
    pub(crate) errors_per_second: f64,
    /// The duration within which half of the requests ended; `None` without requests.
    pub(crate) p50_seconds: Option<f64>,
    /// The duration within which 99 of 100 requests ended.
    pub(crate) p99_seconds: Option<f64>,
}

/// The host: its process, and its applications together.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct HostReport {
    #[serde(flatten)]
    pub(crate) rates: Rates,
    /// How many cores it kept busy; since it started, without a window.
    pub(crate) cpu_cores: f64,
    #[serde(flatten)]
    pub(crate) stats: HostStats,
}

/// An application.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ApplicationReport {
    #[serde(flatten)]
    pub(crate) rates: Rates,
    #[serde(flatten)]
    pub(crate) stats: ApplicationStats,
}

/// What was counted within a window.
#[derive(Debug, Default)]
struct Counted {
    seconds: f64,
    requests: u64,
    errors: u64,
    buckets: Vec<u64>,
}

impl Counted {
    /// Between the sample of `before` and that of `now`; from the beginning without `before`, or where the counters
    /// have begun anew.
    fn between(
        before: Option<(&ApplicationStats, DateTime<Utc>)>,
        now: &ApplicationStats,
        at: DateTime<Utc>,
    ) -> Self {
        let before = before.filter(|(before, _)| before.since == now.since);
        let begun = before.map_or(now.since, |(_, at)| at);
        let none = RequestStats::default();
        let earlier = before.and_then(|(before, _)| before.requests.as_ref()).unwrap_or(&none);
        let later = now.requests.as_ref().unwrap_or(&none);
        let counts = later.duration_buckets.iter().enumerate();
        let buckets = counts.map(|(bucket, count)| {
            count.saturating_sub(earlier.duration_buckets.get(bucket).copied().unwrap_or_default())
        });
        Self {
            seconds: seconds(begun, at),
            requests: later.requests().saturating_sub(earlier.requests()),
            errors: later.errors().saturating_sub(earlier.errors()),
            buckets: buckets.collect(),
        }
    }

    /// Adds what another application did within the same window.
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(sum, count)| *sum += count);
    }

    fn rates(&self) -> Rates {
        Rates {
            requests_per_second: self.requests as f64 / self.seconds,
            errors_per_second: self.errors as f64 / self.seconds,
            p50_seconds: percentile(&self.buckets, 0.5),
            p99_seconds: percentile(&self.buckets, 0.99),
        }
    }
}

fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    ((to - from).num_milliseconds() as f64 / 1e3).max(MIN_WINDOW)
}

impl Report {
    /// Of the time between two samples, or, without the first one, since the beginning.
    pub(crate) fn new(before: Option<&Stats>, now: Stats) -> Self {
        let Stats { at, host, applications, missing } = now;
        let known: HashMap<&AppId, &ApplicationStats> =
            before.iter().flat_map(|before| &before.applications).map(|stats| (&stats.id, stats)).collect();
        let window = before.map(|before| seconds(before.at, at));
        let mut all =
            Counted { seconds: window.unwrap_or_else(|| seconds(host.started_at, at)), ..Counted::default() };
        let report = |stats: ApplicationStats| {
            let earlier = before.and_then(|before| Some((*known.get(&stats.id)?, before.at)));
            let counted = Counted::between(earlier, &stats, at);
            all.add(&counted);
            ApplicationReport { rates: counted.rates(), stats }
        };
        let applications = applications.into_iter().map(report).collect();
        let used_before = before.map_or(0.0, |before| before.host.cpu_seconds_total);
        let cpu_cores = ((host.cpu_seconds_total - used_before) / all.seconds).max(0.0);
        let host = HostReport { rates: all.rates(), cpu_cores, stats: host };
        Self { at, window_seconds: window, host, applications, missing }
    }
}

/// Takes samples, one after the other.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// The applications; empty for all.
    ids: Vec<AppId>,
    before: Option<Stats>,
    /// The sizes that were measured last, and when.
    sizes: HashMap<AppId, u64>,
    sizes_at: Option<Instant>,
}

impl Sampler {
    pub(crate) fn new(ids: Vec<AppId>) -> Self {
        Self { ids, before: None, sizes: HashMap::new(), sizes_at: None }
    }

    /// The next request for a sample.
    pub(crate) fn request(&self) -> ReadStats {
        let sizes = self.sizes_at.is_none_or(|at| at.elapsed() >= SIZES_INTERVAL);
        ReadStats { ids: self.ids.clone(), sizes }
    }

    /// Takes a sample, and reports since the one before; since the beginning with the first one.
    pub(crate) async fn sample(&mut self, context: &Context, client: &Client) -> Result<Report, CliError> {
        let request = self.request();
        let measured = request.sizes;
        let stats = context.ask::<AppStats>(client, request).await?;
        Ok(self.report(stats, measured))
    }

    /// Reports a sample, in which sizes were `measured` or not, since the one before.
    pub(crate) fn report(&mut self, mut stats: Stats, measured: bool) -> Report {
        if measured {
            let sizes = stats.applications.iter().map(|stats| (&stats.id, stats.database_size_bytes));
            self.sizes = sizes.filter_map(|(id, size)| Some((id.clone(), size?))).collect();
            self.sizes_at = Some(Instant::now());
        } else {
            for application in &mut stats.applications {
                application.database_size_bytes = self.sizes.get(&application.id).copied();
            }
        }
        let before = self.before.replace(stats.clone());
        Report::new(before.as_ref(), stats)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A sample at this second, with requests of these applications: how many of 1 to 1.5 ms, and how many failed
    /// after 50 to 70 ms.
    pub(crate) fn sample(second: u32, requests: &[(&str, u64, u64)]) -> Stats {
        let at = |second: u32| format!("2026-01-31T08:00:{second:02}.000Z");
        let applications: Vec<_> = requests
            .iter()
            .map(|(id, good, failed)| {
                let mut buckets = vec![0; crate::protocol::DURATION_BOUNDS_US.len() + 1];
                (buckets[7], buckets[17]) = (*good, *failed);
                json!({
                    "id": id, "state": "running", "since": at(0), "in_flight": 2, "queued": 1, "connections": 3,
                    "database_connections": 4, "body_bytes": 70_000, "max_page_cache_bytes": 4 << 20,
                    "database_size_bytes": 200 << 10,
                    "requests": {
                        "responses_total": {"200": good, "500": failed}, "duration_buckets": buckets,
                        "duration_seconds_total": 1.5, "cold_starts_total": 2, "cold_start_seconds_total": 0.014,
                    },
                })
            })
            .collect();
        serde_json::from_value(json!({
            "at": at(second), "applications": applications,
            "host": {
                "started_at": at(0), "applications": applications.len(), "running": 1, "http_connections": 7,
                "max_http_connections": 10_000, "cpu_seconds_total": f64::from(second) / 4.0,
                "resident_memory_bytes": 50 << 20, "threads": 9, "open_files": 40, "max_open_files": 1024,
            },
        }))
        .unwrap()
    }

    #[test]
    fn rates_are_of_the_window() {
        let mut sampler = Sampler::new(Vec::new());
        let first = sampler.report(sample(10, &[("crm", 100, 0), ("hr", 0, 0)]), true);
        assert_eq!(first.window_seconds, None);
        assert!((first.applications[0].rates.requests_per_second - 10.0).abs() < 1e-9, "{first:?}");
        let report = sampler.report(sample(12, &[("crm", 106, 2), ("hr", 0, 0), ("new", 24, 0)]), false);
        assert_eq!(report.window_seconds, Some(2.0));
        let rates = &report.applications[0].rates;
        assert!(
            (rates.requests_per_second - 4.0).abs() < 1e-9 && (rates.errors_per_second - 1.0).abs() < 1e-9
        );
        let (p50, p99) = (rates.p50_seconds.unwrap(), rates.p99_seconds.unwrap());
        assert!(p50 > 0.001 && p50 < 0.0015 && p99 > 0.05 && p99 <= 0.07, "{rates:?}");
        assert_eq!(report.applications[1].rates, Rates::default());
        // One that is new is counted since its beginning.
        assert!((report.applications[2].rates.requests_per_second - 2.0).abs() < 1e-9, "{report:?}");
        assert!((report.host.rates.requests_per_second - 16.0).abs() < 1e-9, "{report:?}");
        assert!((report.host.cpu_cores - 0.25).abs() < 1e-9, "{report:?}");
    }

    #[test]
    fn counters_that_begin_anew_are_not_compared_with_those_before() {
        let before = sample(10, &[("crm", 100, 0)]);
        let mut now = sample(12, &[("crm", 3, 0)]);
        now.applications[0].since = before.at;
        let report = Report::new(Some(&before), now);
        assert!((report.applications[0].rates.requests_per_second - 1.5).abs() < 1e-9, "{report:?}");
    }

    #[test]
    fn sizes_are_kept_until_they_are_measured_again() {
        let mut sampler = Sampler::new(Vec::new());
        assert!(sampler.request().sizes);
        sampler.report(sample(10, &[("crm", 0, 0)]), true);
        assert!(!sampler.request().sizes);
        let mut next = sample(11, &[("crm", 0, 0), ("new", 0, 0)]);
        next.applications.iter_mut().for_each(|application| application.database_size_bytes = None);
        let report = sampler.report(next, false);
        let sizes: Vec<_> =
            report.applications.iter().map(|application| application.stats.database_size_bytes).collect();
        assert_eq!(sizes, [Some(200 << 10), None]);
    }

    #[test]
    fn data_has_the_units_in_its_names() {
        let report = Report::new(None, sample(10, &[("crm", 100, 1)]));
        let json = serde_json::to_value(&report).unwrap();
        let crm = &json["applications"][0];
        assert_eq!(
            (&crm["id"], &crm["body_bytes"], &crm["in_flight"]),
            (&json!("crm"), &json!(70_000), &json!(2))
        );
        assert!(crm["p99_seconds"].is_f64() && crm["requests_per_second"].is_f64(), "{json}");
        assert_eq!(json["host"]["resident_memory_bytes"], 50 << 20);
        let idle = serde_json::to_value(Report::new(None, sample(10, &[("crm", 0, 0)]))).unwrap();
        assert!(idle["applications"][0]["p50_seconds"].is_null(), "{idle}");
    }
}
