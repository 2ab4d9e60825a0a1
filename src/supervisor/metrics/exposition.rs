//! Writes the metrics as OpenMetrics text (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), which Prometheus
//! reads.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::protocol::{DURATION_BOUNDS_US, HostStats, Metrics};
use crate::supervisor::statistics::Usage;
use crate::supervisor::traffic::Totals;

/// The media type of the text.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The figures of an application, or of several together.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) totals: Totals,
    pub(super) usage: Usage,
    pub(super) database_size: Option<u64>,
}

/// All that the metrics tell.
#[derive(Debug)]
pub(super) struct Exposition {
    pub(super) host: HostStats,
    /// The number of applications in each state.
    pub(super) states: BTreeMap<&'static str, u64>,
    /// The figures by label.
    pub(super) applications: BTreeMap<String, Figures>,
}

/// A gauge of an application: name, unit, help, and its value; without a value, it is left out.
type ApplicationGauge = (&'static str, Option<Unit>, &'static str, fn(&Figures) -> Option<u64>);

const GAUGES: &[ApplicationGauge] = &[
    ("nbapps_application_running", None, "Whether the application is running.", |of| Some(of.usage.running)),
    ("nbapps_requests_in_flight", None, "Requests that the application works on.", |of| {
        Some(of.usage.in_flight)
    }),
    ("nbapps_requests_queued", None, "Requests that wait until the application can work on them.", |of| {
        Some(of.usage.queued)
    }),
    ("nbapps_request_connections", None, "HTTP connections with a request for the application.", |of| {
        Some(of.usage.connections)
    }),
    (
        "nbapps_request_body",
        Some(Unit::Bytes),
        "Memory for bodies of requests that are longer than 64 KiB.",
        |of| Some(of.usage.body_bytes),
    ),
    (
        "nbapps_database_connections",
        None,
        "Connections to the application's database: in use on a server, open on SQLite.",
        |of| Some(of.usage.database_connections),
    ),
    (
        "nbapps_database_page_cache_max",
        Some(Unit::Bytes),
        "The most memory that page caches of open connections to SQLite may take.",
        |of| of.usage.max_page_cache,
    ),
    (
        "nbapps_database_size",
        Some(Unit::Bytes),
        "The size of the application's data, at most a minute ago.",
        |of| of.database_size,
    ),
];

impl Exposition {
    /// The metrics as text.
    pub(super) fn metrics(self) -> Metrics {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        if let Err(error) = text::encode(&mut text, &registry) {
            tracing::error!(%error, "the metrics cannot be written as text");
        }
        Metrics { content_type: CONTENT_TYPE.to_owned(), text }
    }

    fn encode_host(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        // A gauge, as in other exporters: not every reader of this text knows the type of an info.
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let mut build =
            encoder.encode_descriptor("nbapps_build_info", "The version.", None, MetricType::Gauge)?;
        build.encode_family(&version)?.encode_gauge(&1_u64)?;
        let help = "Registered applications by state, the main one among them.";
        let mut states = encoder.encode_descriptor("nbapps_applications", help, None, MetricType::Gauge)?;
        for (state, count) in &self.states {
            states.encode_family(&[("state", *state)])?.encode_gauge(count)?;
        }
        let host = &self.host;
        let gauges = [
            ("nbapps_http_connections", None, "Open HTTP connections.", Some(host.http_connections)),
            (
                "nbapps_http_connections_max",
                None,
                "The most HTTP connections.",
                Some(host.max_http_connections),
            ),
            (
                "process_resident_memory",
                Some(Unit::Bytes),
                "Memory of the process that is in RAM.",
                host.resident_memory_bytes,
            ),
            (
                "process_virtual_memory",
                Some(Unit::Bytes),
                "Address space of the process.",
                host.virtual_memory_bytes,
            ),
            ("process_open_fds", None, "Open file descriptors.", host.open_files),
            ("process_max_fds", None, "The most open file descriptors.", host.max_open_files),
            ("process_threads", None, "Threads of the process.", host.threads),
        ];
        for (name, unit, help, value) in &gauges {
            if let Some(value) = value {
                let mut gauge = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
                gauge.encode_gauge(value)?;
            }
        }
        let unit = Some(&Unit::Seconds);
        let help = "When the process started, in seconds since 1970.";
        let mut start = encoder.encode_descriptor("process_start_time", help, unit, MetricType::Gauge)?;
        start.encode_gauge(&(host.started_at.timestamp_millis() as f64 / 1e3))?;
        let help = "Time that the threads of the process have worked on a core.";
        let mut cpu = encoder.encode_descriptor("process_cpu", help, unit, MetricType::Counter)?;
        cpu.encode_counter::<NoLabelSet, _, u64>(&host.cpu_seconds_total, None)
    }

    /// Writes the values of all applications under one description.
    fn encode_each(
        &self,
        mut encoder: MetricEncoder<'_>,
        encode: impl Fn(MetricEncoder<'_>, &Figures) -> fmt::Result,
    ) -> fmt::Result {
        for (label, figures) in &self.applications {
            encode(encoder.encode_family(&[("app", label.as_str())])?, figures)?;
        }
        Ok(())
    }

    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests to the API and the pages of the application, by status code; 499 for clients that have \
                    disconnected.";
        let mut requests = encoder.encode_descriptor("nbapps_requests", help, None, MetricType::Counter)?;
        for (label, figures) in &self.applications {
            for (code, count) in figures.totals.responses() {
                let labels = [("app", label.as_str()), ("code", code.as_str())];
                requests.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let help = "Time from the headers of a request to its response.";
        let seconds = Some(&Unit::Seconds);
        let durations =
            encoder.encode_descriptor("nbapps_request_duration", help, seconds, MetricType::Histogram)?;
        self.encode_each(durations, |mut encoder, figures| {
            let buckets = buckets(&figures.totals);
            let count = figures.totals.buckets().iter().sum();
            encoder.encode_histogram::<NoLabelSet>(figures.totals.duration(), count, &buckets, None)
        })?;
        let help = "Starts of the application that a request waited for.";
        let starts = encoder.encode_descriptor("nbapps_cold_starts", help, None, MetricType::Counter)?;
        self.encode_each(starts, |mut encoder, figures| {
            encoder.encode_counter::<NoLabelSet, _, u64>(&figures.totals.cold_starts().0, None)
        })?;
        let help = "Time that these starts took together.";
        let took = encoder.encode_descriptor("nbapps_cold_start", help, seconds, MetricType::Counter)?;
        self.encode_each(took, |mut encoder, figures| {
            encoder.encode_counter::<NoLabelSet, _, u64>(&figures.totals.cold_starts().1, None)
        })
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_host(&mut encoder)?;
        self.encode_requests(&mut encoder)?;
        for (name, unit, help, value) in GAUGES {
            if !self.applications.values().any(|figures| value(figures).is_some()) {
                continue;
            }
            let gauge = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            self.encode_each(gauge, |mut encoder, figures| match value(figures) {
                Some(value) => encoder.encode_gauge(&value),
                None => Ok(()),
            })?;
        }
        Ok(())
    }
}

/// The upper bounds 0.1 ms, 0.2 ms, 0.5 ms, 1 ms and so on, with the number of requests between each and the one
/// before it: every other one of the bounds by which requests are counted.
fn buckets(totals: &Totals) -> Vec<(f64, u64)> {
    let mut buckets = Vec::new();
    let mut below = 0;
    for (position, count) in totals.buckets().iter().enumerate() {
        below += count;
        match DURATION_BOUNDS_US.get(position) {
            Some(bound) if position % 2 == 0 => {
                buckets.push((f64::from(*bound) / 1e6, std::mem::take(&mut below)));
            }
            Some(_) => {}
            None => buckets.push((f64::INFINITY, below)),
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::supervisor::traffic::Traffic;

    fn figures() -> Figures {
        let traffic = Traffic::default();
        for (status, micros) in [(200, 90), (200, 1_200), (200, 1_700), (404, 4_000), (503, 200_000_000)] {
            traffic.count(status, Duration::from_micros(micros));
        }
        traffic.count_refusal(429);
        traffic.count_cold_start(Duration::from_millis(7));
        let usage = Usage { running: 1, in_flight: 2, max_page_cache: Some(1 << 20), ..Usage::default() };
        Figures { totals: traffic.totals().unwrap(), usage, database_size: Some(4096) }
    }

    fn exposition() -> Exposition {
        let host = HostStats {
            started_at: "2026-01-31T08:00:00.250Z".parse().unwrap(),
            http_connections: 3,
            max_http_connections: 10_000,
            cpu_seconds_total: 1.5,
            resident_memory_bytes: Some(20 << 20),
            ..HostStats::default()
        };
        let applications = [("_other".to_owned(), Figures::default()), ("crm".to_owned(), figures())];
        Exposition {
            host,
            states: BTreeMap::from([("running", 2), ("error", 0)]),
            applications: applications.into(),
        }
    }

    #[test]
    fn the_text_is_as_it_was_read() {
        let metrics = exposition().metrics();
        assert_eq!(metrics.content_type, CONTENT_TYPE);
        let text = metrics.text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn buckets_hold_every_request_once() {
        let buckets = buckets(&figures().totals);
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 5);
        let filled: Vec<_> = buckets.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [&(0.0001, 1), &(0.002, 2), &(0.005, 1), &(f64::INFINITY, 1)]);
        let bounds: Vec<_> = buckets.iter().map(|(bound, _)| *bound).collect();
        assert!(bounds.is_sorted() && bounds.len() == 20, "{bounds:?}");
    }

    #[test]
    fn label_values_are_escaped() {
        let applications = BTreeMap::from([("a\"b\\c\nd".to_owned(), Figures::default())]);
        let text = Exposition { applications, ..exposition() }.metrics().text;
        assert!(text.contains("nbapps_requests_in_flight{app=\"a\\\"b\\\\c\\nd\"} 0\n"), "{text}");
    }
}
