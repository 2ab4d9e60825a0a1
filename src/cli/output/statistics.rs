//! Formats statistics for people.

use std::cmp::Ordering;

use clap::ValueEnum;
use comfy_table::Cell;

use super::application::size;
use super::table::{self, Fit, cell};
use crate::cli::sampling::{ApplicationReport, HostReport, Report};

/// A column of statistics, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// The application
    Id,
    /// Its state
    State,
    /// Requests in a second
    Requests,
    /// The duration within which half of the requests ended
    P50,
    /// The duration within which 99 of 100 requests ended
    P99,
    /// Responses with a status from 500 on, in a second
    Errors,
    /// Requests that it works on
    InFlight,
    /// Requests that wait
    Queued,
    /// HTTP connections with a request for it
    Connections,
    /// Connections to its database
    Database,
    /// The size of its data
    Size,
    /// Starts that a request waited for
    Starts,
    /// The most memory for page caches of SQLite
    Cache,
    /// Memory for long bodies of requests
    Bodies,
}

impl Column {
    /// Every column.
    pub(crate) const ALL: [Self; 14] = [
        Self::Id,
        Self::State,
        Self::Requests,
        Self::P50,
        Self::P99,
        Self::Errors,
        Self::InFlight,
        Self::Queued,
        Self::Connections,
        Self::Database,
        Self::Size,
        Self::Starts,
        Self::Cache,
        Self::Bodies,
    ];

    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Self::Id => "ID",
            Self::State => "STATE",
            Self::Requests => "REQ/S",
            Self::P50 => "P50",
            Self::P99 => "P99",
            Self::Errors => "ERR/S",
            Self::InFlight => "FLIGHT",
            Self::Queued => "QUEUE",
            Self::Connections => "CONN",
            Self::Database => "DB",
            Self::Size => "SIZE",
            Self::Starts => "STARTS",
            Self::Cache => "CACHE",
            Self::Bodies => "BODIES",
        }
    }

    /// The value of an application.
    pub(crate) fn text(self, of: &ApplicationReport) -> String {
        let (rates, stats) = (&of.rates, &of.stats);
        match self {
            Self::Id => stats.id.to_string(),
            Self::State => stats.state.to_string(),
            Self::Requests => rate(rates.requests_per_second),
            Self::P50 => duration(rates.p50_seconds),
            Self::P99 => duration(rates.p99_seconds),
            Self::Errors => rate(rates.errors_per_second),
            Self::InFlight => stats.in_flight.to_string(),
            Self::Queued => stats.queued.to_string(),
            Self::Connections => stats.connections.to_string(),
            Self::Database => stats.database_connections.to_string(),
            Self::Size => stats.database_size_bytes.map_or_else(|| "-".to_owned(), size),
            Self::Starts => cold_starts(of).0.to_string(),
            Self::Cache => at_most(stats.max_page_cache_bytes),
            Self::Bodies => size(stats.body_bytes),
        }
    }

    /// Compares two applications by this column: the least value first.
    pub(crate) fn compare(self, one: &ApplicationReport, other: &ApplicationReport) -> Ordering {
        let float = |value: fn(&ApplicationReport) -> f64| value(one).total_cmp(&value(other));
        // What has no value comes before all that has one.
        match self {
            Self::Id => {
                (!one.stats.id.is_main(), &one.stats.id).cmp(&(!other.stats.id.is_main(), &other.stats.id))
            }
            Self::State => one.stats.state.as_str().cmp(other.stats.state.as_str()),
            Self::Requests => float(|of| of.rates.requests_per_second),
            Self::P50 => float(|of| of.rates.p50_seconds.unwrap_or(-1.0)),
            Self::P99 => float(|of| of.rates.p99_seconds.unwrap_or(-1.0)),
            Self::Errors => float(|of| of.rates.errors_per_second),
            Self::InFlight => one.stats.in_flight.cmp(&other.stats.in_flight),
            Self::Queued => one.stats.queued.cmp(&other.stats.queued),
            Self::Connections => one.stats.connections.cmp(&other.stats.connections),
            Self::Database => one.stats.database_connections.cmp(&other.stats.database_connections),
            Self::Size => one.stats.database_size_bytes.cmp(&other.stats.database_size_bytes),
            Self::Starts => cold_starts(one).0.cmp(&cold_starts(other).0),
            Self::Cache => one.stats.max_page_cache_bytes.cmp(&other.stats.max_page_cache_bytes),
            Self::Bodies => one.stats.body_bytes.cmp(&other.stats.body_bytes),
        }
    }
}

/// How often requests started an application, and how many seconds that took.
pub(crate) fn cold_starts(of: &ApplicationReport) -> (u64, f64) {
    let requests = of.stats.requests.as_ref();
    requests.map_or((0, 0.0), |requests| (requests.cold_starts_total, requests.cold_start_seconds_total))
}

/// A number in a second.
pub(crate) fn rate(rate: f64) -> String {
    match rate {
        0.0 => "0".to_owned(),
        rate if rate < 0.1 => "<0.1".to_owned(),
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

/// A duration in two digits, which is as exact as it is known.
pub(crate) fn duration(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "-".to_owned() };
    let milliseconds = seconds * 1e3;
    match milliseconds {
        short if short < 1.0 => format!("{short:.2}ms"),
        short if short < 10.0 => format!("{short:.1}ms"),
        short if short < 1000.0 => format!("{short:.0}ms"),
        long if long < 10_000.0 => format!("{:.1}s", long / 1e3),
        long => format!("{:.0}s", long / 1e3),
    }
}

/// A size that is not exceeded.
pub(crate) fn at_most(bytes: Option<u64>) -> String {
    match bytes {
        None => "-".to_owned(),
        Some(0) => size(0),
        Some(bytes) => format!("<={}", size(bytes)),
    }
}

/// A line about the host.
pub(crate) fn host(host: &HostReport) -> String {
    let HostReport { rates, cpu_cores, stats } = host;
    let memory = stats.resident_memory_bytes.map_or_else(|| "-".to_owned(), size);
    let files = match (stats.open_files, stats.max_open_files) {
        (Some(open), Some(max)) => format!("{open}/{max}"),
        (Some(open), None) => open.to_string(),
        (None, _) => "-".to_owned(),
    };
    format!(
        "Host: {} requests/s, {} errors/s, memory {memory}, processor {:.0} %, files {files}, connections {}/{}",
        rate(rates.requests_per_second),
        rate(rates.errors_per_second),
        cpu_cores * 100.0,
        stats.http_connections,
        stats.max_http_connections,
    )
}

/// What the window of a report is, in words.
fn window(report: &Report) -> String {
    let at = super::application::time(report.at);
    match report.window_seconds {
        Some(seconds) => format!("of {seconds:.1} s, until {at}"),
        None => format!("of the time since each application is counted, until {at}"),
    }
}

/// A table of applications, no wider than `width`, with the host below. `wide` adds totals.
pub(crate) fn report(report: &Report, wide: bool, width: Option<usize>) -> String {
    let mut heading: Vec<&str> = Column::ALL.map(Column::heading).to_vec();
    if wide {
        heading.extend(["REQUESTS", "ERRORS", "COLD START", "SINCE"]);
    }
    let rows = report.applications.iter().map(|application| {
        let value = |column: Column| match column {
            Column::State => table::state(application.stats.state),
            column => cell(column.text(application)),
        };
        let mut row: Vec<Cell> = Column::ALL.map(value).to_vec();
        if wide {
            let requests = application.stats.requests.as_ref();
            let (starts, seconds) = cold_starts(application);
            row.extend([
                cell(requests.map_or(0, crate::protocol::RequestStats::requests).to_string()),
                cell(requests.map_or(0, crate::protocol::RequestStats::errors).to_string()),
                cell(duration((starts > 0).then(|| seconds / starts as f64))),
                cell(super::application::time(application.stats.since)),
            ]);
        }
        row
    });
    let table = table::columns(&heading, rows, Fit { width, narrowed: &[], may_drop: !wide });
    // In a narrow terminal, sentences go on in the next line.
    format!("{table}\n{}\nRates and durations are {}.\n", host(&report.host), window(report))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sampling::tests::sample;

    #[test]
    fn numbers_are_as_exact_as_they_are_known() {
        for (given, shown) in
            [(0.0, "0"), (0.04, "<0.1"), (0.26, "0.3"), (9.96, "10.0"), (10.4, "10"), (12_345.6, "12346")]
        {
            assert_eq!(rate(given), shown);
        }
        for (given, shown) in [
            (0.000_12, "0.12ms"),
            (0.0042, "4.2ms"),
            (0.042, "42ms"),
            (0.42, "420ms"),
            (4.2, "4.2s"),
            (42.0, "42s"),
        ] {
            assert_eq!(duration(Some(given)), shown);
        }
        assert_eq!(duration(None), "-");
    }

    #[test]
    fn the_table_is_as_it_was_read() {
        let report = Report::new(
            Some(&sample(10, &[("crm", 0, 0), ("hr", 7, 0)])),
            sample(12, &[("crm", 250, 2), ("hr", 7, 0)]),
        );
        let plain =
            |wide, width| anstream::adapter::strip_str(&super::report(&report, wide, width)).to_string();
        insta::assert_snapshot!([plain(false, None), plain(false, Some(60)), plain(true, None)].join("--\n"));
    }

    #[test]
    fn every_column_orders_applications() {
        let report = Report::new(
            Some(&sample(10, &[("a", 0, 0), ("main", 0, 0)])),
            sample(12, &[("a", 250, 5), ("main", 7, 0)]),
        );
        let [a, main] = &report.applications[..] else { panic!("{report:?}") };
        for column in Column::ALL {
            let expected = match column {
                Column::Id | Column::Requests | Column::P99 | Column::Errors => Ordering::Greater,
                Column::P50 => Ordering::Less,
                _ => Ordering::Equal,
            };
            assert_eq!(column.compare(a, main), expected, "{column:?}");
            assert_eq!(column.compare(a, a), Ordering::Equal, "{column:?}");
        }
    }
}
