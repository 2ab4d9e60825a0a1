//! The limits of applications on shared resources of the host.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A limit of an application. The unit is in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Requests in flight at a time.
    InFlight,
    /// Requests that wait; a further one is refused.
    Queue,
    /// How long a request may wait.
    QueueTimeMs,
    /// How long a request may take, from its headers to the response. Then it is cancelled.
    RequestTimeMs,
    /// How long a statement may take in its database. Then it is cancelled.
    StatementTimeMs,
    /// The longest body of a request.
    BodyBytes,
    /// Connections with a request for it, from the headers to the response, including those whose body is
    /// still arriving.
    Connections,
    /// Requests a second; 0 for no limit.
    RequestsPerSecond,
    /// Connections to its database at a time; on SQLite, the reading ones.
    DatabaseConnections,
}

/// All limits of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Requests in flight at a time.
    pub in_flight: u32,
    /// Requests that wait.
    pub queue: u32,
    /// How long a request may wait, in milliseconds.
    pub queue_time_ms: u64,
    /// How long a request may take, in milliseconds.
    pub request_time_ms: u64,
    /// How long a statement may take in its database, in milliseconds.
    pub statement_time_ms: u64,
    /// The longest body of a request, in bytes.
    pub body_bytes: u64,
    /// Connections with a request for it.
    pub connections: u32,
    /// Requests a second; null for no limit. Where it is set, 0 is no limit.
    #[serde(with = "optional_rate")]
    #[schemars(with = "Option<u32>")]
    pub requests_per_second: u32,
    /// Connections to its database at a time.
    pub database_connections: u32,
}

/// Writes a rate without a limit as null.
mod optional_rate {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(rate: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        Some(*rate).filter(|rate| *rate > 0).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        Option::deserialize(deserializer).map(Option::unwrap_or_default)
    }
}

/// Values of some limits.
pub type LimitValues = BTreeMap<Limit, u64>;

/// Changes of some limits: a value, or none for the limit of all applications.
pub type LimitChanges = BTreeMap<Limit, Option<u64>>;

/// An invalid value of a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the limit {} cannot be {given}: give {expected}", limit.name())]
pub struct InvalidLimit {
    /// The limit.
    pub limit: Limit,
    /// The invalid value.
    pub given: String,
    /// The valid values, in words.
    pub expected: String,
}

const KIB: u64 = 1024;
/// The units of sizes, in bytes.
const UNITS: [(&str, u64); 4] = [("GiB", KIB * KIB * KIB), ("MiB", KIB * KIB), ("KiB", KIB), ("B", 1)];
const DAY_MS: u64 = 24 * 3600 * 1000;
/// The word for no limit of the rate.
const NONE: &str = "none";

impl Limit {
    /// All limits, in the order of listings.
    pub const ALL: [Self; 9] = [
        Self::InFlight,
        Self::Queue,
        Self::QueueTimeMs,
        Self::RequestTimeMs,
        Self::StatementTimeMs,
        Self::BodyBytes,
        Self::Connections,
        Self::RequestsPerSecond,
        Self::DatabaseConnections,
    ];

    /// Its name on the command line; in the daemon's configuration, with `_` for `-`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in-flight",
            Self::Queue => "queue",
            Self::QueueTimeMs => "queue-time",
            Self::RequestTimeMs => "request-time",
            Self::StatementTimeMs => "statement-time",
            Self::BodyBytes => "body",
            Self::Connections => "connections",
            Self::RequestsPerSecond => "rate",
            Self::DatabaseConnections => "database-connections",
        }
    }

    /// The limit of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.name() == name)
    }

    /// The valid values.
    #[must_use]
    pub const fn range(self) -> RangeInclusive<u64> {
        match self {
            Self::InFlight | Self::Connections => 1..=1_000_000,
            Self::Queue | Self::RequestsPerSecond => 0..=1_000_000,
            Self::QueueTimeMs | Self::RequestTimeMs | Self::StatementTimeMs => 1..=DAY_MS,
            Self::BodyBytes => 1..=KIB * KIB * KIB,
            Self::DatabaseConnections => 1..=1_000,
        }
    }

    /// Checks a value.
    ///
    /// # Errors
    /// [`InvalidLimit`] when it is out of range.
    pub fn check(self, value: u64) -> Result<u64, InvalidLimit> {
        if self.range().contains(&value) { Ok(value) } else { Err(self.invalid(self.written(value))) }
    }

    /// Parses a value: `64`, `30s`, `10MiB`, and for the rate `none`.
    ///
    /// # Errors
    /// [`InvalidLimit`] when it cannot be parsed or is out of range.
    pub fn parse(self, text: &str) -> Result<u64, InvalidLimit> {
        let text = text.trim();
        let value = match self {
            Self::RequestsPerSecond if text == NONE => Some(0),
            Self::QueueTimeMs | Self::RequestTimeMs | Self::StatementTimeMs => {
                humantime::parse_duration(text)
                    .ok()
                    .map(|time| time.as_millis())
                    .and_then(|ms| ms.try_into().ok())
            }
            Self::BodyBytes => bytes(text),
            _ => text.parse().ok(),
        };
        value.filter(|value| self.range().contains(value)).ok_or_else(|| self.invalid(format!("\"{text}\"")))
    }

    /// Formats a value as [`Limit::parse`] parses it.
    #[must_use]
    pub fn written(self, value: u64) -> String {
        match self {
            Self::RequestsPerSecond if value == 0 => NONE.to_owned(),
            Self::QueueTimeMs | Self::RequestTimeMs | Self::StatementTimeMs => {
                // Without spaces, so that it is one word on a command line.
                humantime::format_duration(Duration::from_millis(value)).to_string().replace(' ', "")
            }
            Self::BodyBytes => {
                let fits = |unit: &&(&str, u64)| value >= unit.1 && value.is_multiple_of(unit.1);
                let (unit, size) = UNITS.iter().find(fits).copied().unwrap_or(("B", 1));
                format!("{}{unit}", value / size)
            }
            _ => value.to_string(),
        }
    }

    fn invalid(self, given: String) -> InvalidLimit {
        let (from, to) = self.range().into_inner();
        let (from, to) = (self.written(from), self.written(to));
        let expected = match self {
            Self::RequestsPerSecond => format!("requests in a second, from 1 to {to}, or {NONE}"),
            Self::QueueTimeMs | Self::RequestTimeMs | Self::StatementTimeMs => {
                format!("a duration from {from} to {to}, such as 30s")
            }
            Self::BodyBytes => format!("a size from {from} to {to}, such as 10MiB"),
            _ => format!("a number from {from} to {to}"),
        };
        InvalidLimit { limit: self, given, expected }
    }
}

/// Parses `10MiB`, `512KiB`, `1000B` or `1000`.
fn bytes(text: &str) -> Option<u64> {
    let (number, size) = UNITS
        .iter()
        .find_map(|(unit, size)| text.strip_suffix(unit).map(|number| (number, *size)))
        .unwrap_or((text, 1));
    number.trim_end().parse::<u64>().ok()?.checked_mul(size)
}

impl Limits {
    /// The default limits.
    pub const USUAL: Self = Self {
        in_flight: 64,
        queue: 256,
        queue_time_ms: 5_000,
        request_time_ms: 60_000,
        statement_time_ms: 30_000,
        body_bytes: 10 * KIB * KIB,
        connections: 1_000,
        requests_per_second: 0,
        database_connections: 8,
    };

    /// The value of a limit.
    #[must_use]
    pub const fn of(&self, limit: Limit) -> u64 {
        match limit {
            Limit::InFlight => self.in_flight as u64,
            Limit::Queue => self.queue as u64,
            Limit::QueueTimeMs => self.queue_time_ms,
            Limit::RequestTimeMs => self.request_time_ms,
            Limit::StatementTimeMs => self.statement_time_ms,
            Limit::BodyBytes => self.body_bytes,
            Limit::Connections => self.connections as u64,
            Limit::RequestsPerSecond => self.requests_per_second as u64,
            Limit::DatabaseConnections => self.database_connections as u64,
        }
    }

    /// The limits with some values replaced; invalid values are ignored.
    #[must_use]
    pub fn with(mut self, values: &LimitValues) -> Self {
        for (&limit, &value) in values {
            if limit.range().contains(&value) {
                self.set(limit, value);
            }
        }
        self
    }

    fn set(&mut self, limit: Limit, value: u64) {
        let number = u32::try_from(value).unwrap_or(u32::MAX);
        match limit {
            Limit::InFlight => self.in_flight = number,
            Limit::Queue => self.queue = number,
            Limit::QueueTimeMs => self.queue_time_ms = value,
            Limit::RequestTimeMs => self.request_time_ms = value,
            Limit::StatementTimeMs => self.statement_time_ms = value,
            Limit::BodyBytes => self.body_bytes = value,
            Limit::Connections => self.connections = number,
            Limit::RequestsPerSecond => self.requests_per_second = number,
            Limit::DatabaseConnections => self.database_connections = number,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::USUAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_it_was() {
        for limit in Limit::ALL {
            assert_eq!(Limit::named(limit.name()), Some(limit));
            let (from, to) = limit.range().into_inner();
            for value in [from, to, Limits::USUAL.of(limit)] {
                assert_eq!(limit.parse(&limit.written(value)), Ok(value), "{}", limit.name());
                assert_eq!(Limits::USUAL.with(&LimitValues::from([(limit, value)])).of(limit), value);
            }
            let wire = serde_json::to_value(limit).unwrap();
            let field = serde_json::to_value(Limits::USUAL).unwrap()[wire.as_str().unwrap()].take();
            let usual = Some(Limits::USUAL.of(limit)).filter(|value| limit.written(*value) != NONE);
            assert_eq!(field, serde_json::json!(usual), "{wire}: the same name in both");
        }
    }

    #[test]
    fn no_limit_of_the_rate_is_null() {
        for (rate, written) in [(0, "\"requests_per_second\":null"), (7, "\"requests_per_second\":7")] {
            let limits = Limits { requests_per_second: rate, ..Limits::USUAL };
            let json = serde_json::to_string(&limits).unwrap();
            assert!(json.contains(written), "{json}");
            assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), limits);
        }
    }

    #[test]
    fn values_are_written_as_people_do() {
        use Limit::{BodyBytes, InFlight, RequestTimeMs, RequestsPerSecond};
        for (limit, text, value) in [
            (InFlight, "64", Some(64)),
            (InFlight, "0", None),
            (InFlight, "-1", None),
            (RequestTimeMs, "1m 30s", Some(90_000)),
            (RequestTimeMs, "250ms", Some(250)),
            (RequestTimeMs, "30", None),
            (RequestTimeMs, "0s", None),
            (RequestTimeMs, "2days", None),
            (BodyBytes, "1000", Some(1000)),
            (BodyBytes, "512KiB", Some(512 << 10)),
            (BodyBytes, "1.5MiB", None),
            (BodyBytes, "2GiB", None),
            (RequestsPerSecond, "none", Some(0)),
            (RequestsPerSecond, "10", Some(10)),
        ] {
            assert_eq!(limit.parse(text).ok(), value, "{} {text}", limit.name());
        }
        assert_eq!(BodyBytes.written(10 << 20), "10MiB");
        assert_eq!(BodyBytes.written(1025), "1025B");
        assert_eq!(RequestTimeMs.written(90_500), "1m30s500ms");
    }

    #[test]
    fn a_value_that_cannot_be_is_told_with_what_can() {
        let said = Limit::RequestTimeMs.parse("soon").unwrap_err().to_string();
        assert_eq!(
            said,
            "the limit request-time cannot be \"soon\": give a duration from 1ms to 1day, such as 30s"
        );
        let said = Limit::InFlight.check(0).unwrap_err().to_string();
        assert_eq!(said, "the limit in-flight cannot be 0: give a number from 1 to 1000000");
        let usual = Limits::USUAL.with(&LimitValues::from([(Limit::InFlight, 0)]));
        assert_eq!(usual, Limits::USUAL);
    }
}
