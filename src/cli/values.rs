//! Parses the values of options: names of the protocol, durations, limits and secrets.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;

use super::error::CliError;
use crate::protocol::{AppId, Limit, Wait};

/// A parser for `words`, which the protocol parses.
pub(crate) fn word<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words)
        .try_map(|word| serde_json::from_value::<T>(serde_json::Value::String(word)))
}

/// The words for [`crate::protocol::StartMode`].
pub(crate) const START_MODES: &[&str] = &["on-visit", "with-main"];
/// The words for [`crate::protocol::UpgradePolicy`].
pub(crate) const UPGRADE_POLICIES: &[&str] = &["auto", "manual"];
/// The words for [`crate::protocol::DatabaseMode`].
pub(crate) const DATABASE_MODES: &[&str] = &["database", "connection", "schema"];
/// The words for [`crate::protocol::LogLevel`].
pub(crate) const LOG_LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error"];
/// The words for [`crate::protocol::AccessLogSetting`].
pub(crate) const ACCESS_LOGS: &[&str] = &["off", "errors", "all", "default"];
/// The words for [`crate::protocol::State`].
pub(crate) const STATES: &[&str] =
    &["preparing", "initializing", "initialized", "running", "commanding", "stopped", "error", "not_found"];

/// Parses an application's ID; the error states the rule.
pub(crate) fn app_id(text: &str) -> Result<AppId, String> {
    AppId::parse(text).map_err(|error| format!("{error}; {}", crate::protocol::InvalidAppId::RULE))
}

/// Parses a duration of at least one second.
pub(crate) fn idle_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.as_secs() == 0 {
        return Err("it must be at least one second".to_owned());
    }
    Ok(duration)
}

/// The shortest time between two samples.
const MIN_SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
/// The longest time between two samples.
const MAX_SAMPLE_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Parses the time between two samples.
pub(crate) fn sample_interval(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match (MIN_SAMPLE_INTERVAL..=MAX_SAMPLE_INTERVAL).contains(&duration) {
        true => Ok(duration),
        false => Err("it must be from 100ms to 1day".to_owned()),
    }
}

/// A limit and its value; `None` for the limit of all applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenLimit {
    pub(crate) limit: Limit,
    pub(crate) value: Option<u64>,
}

/// The help of the option that sets limits.
pub(crate) const LIMITS_HELP: &str = "\
Set a limit, or take it back with NAME=default; may be given several times:
  in-flight             requests that it works on at a time [64]
  queue                 requests that wait until it can work on them [256]
  queue-time            how long they wait [5s]
  request-time          how long a request may take; then its work is ended [1m]
  statement-time        how long a statement may take; then it is cancelled [30s]
  body                  the longest body of a request [10MiB]
  connections           connections with a request for it [1000]
  rate                  requests in a second, or none for as many as come [none]
  database-connections  connections to its database [8; in a file or schema 4]";

/// Parses `in-flight=64`; the value `default` resets a limit.
pub(crate) fn limit(text: &str) -> Result<GivenLimit, String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE, such as in-flight=64")?;
    let limit = Limit::named(name).ok_or_else(|| {
        let names = Limit::ALL.map(Limit::name).join(", ");
        format!("there is no limit \"{name}\"; there are {names}")
    })?;
    let value = match value {
        "default" => None,
        value => Some(limit.parse(value).map_err(|error| error.to_string())?),
    };
    Ok(GivenLimit { limit, value })
}

/// Parses how long an API key is good, and writes it as the application takes it.
pub(crate) fn expiry(text: &str) -> Result<String, String> {
    if text == "never" {
        return Ok(text.to_owned());
    }
    match humantime::parse_duration(text).map(|duration| duration.as_secs()) {
        Ok(0) => Err("it must be at least one second".to_owned()),
        Ok(seconds) => Ok(format!("{seconds}s")),
        Err(error) => Err(format!("{error}; give a duration such as 30d, or never")),
    }
}

/// Parses a time: a duration before now (`10m`, `2h 30m`), or a time of RFC 3339.
pub(crate) fn since(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    humantime::parse_duration(text)
        .ok()
        .and_then(|ago| chrono::Duration::from_std(ago).ok())
        .and_then(|ago| Utc::now().checked_sub_signed(ago))
        .ok_or_else(|| "give a duration such as 10m, or a time such as 2026-01-31T08:00:00Z".to_owned())
}

/// Options of commands that wait for their operation.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WaitOptions {
    /// Return at once and print the operation's ID
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,

    /// Wait at most this long; the operation goes on after that
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl WaitOptions {
    /// The options as parameters of the protocol.
    pub(crate) fn wait(&self) -> Wait {
        Wait { wait: !self.no_wait, timeout_ms: milliseconds(self.timeout) }
    }

    /// How long the command may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// A duration in milliseconds, at most the longest that the protocol can express.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Reads secrets from files, so that none is on a command line. `-` is standard input, once.
#[derive(Debug, Default)]
pub(crate) struct SecretFiles {
    standard_input: Option<&'static str>,
}

impl SecretFiles {
    /// Reads the secret in `path`, the value of `option`, without the line feed at its end.
    pub(crate) fn read(&mut self, option: &'static str, path: &Path) -> Result<String, CliError> {
        let mut text = String::new();
        let is_standard_input = path == Path::new("-");
        let source = if is_standard_input { "standard input".into() } else { path.to_string_lossy() };
        let read = if is_standard_input {
            if let Some(other) = self.standard_input.replace(option) {
                return Err(CliError::usage(
                    format!("{other} and {option} cannot both read standard input"),
                    "give a file for one of them",
                ));
            }
            std::io::stdin().read_to_string(&mut text)
        } else {
            std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
        };
        if let Err(error) = read {
            let hint = "give a file that this user can read, or - for standard input";
            return Err(CliError::usage(format!("{option}: {source} cannot be read: {error}"), hint));
        }
        one_line(&text).map(str::to_owned).ok_or_else(|| {
            CliError::usage(
                format!("{option}: {source} must hold one line, the secret"),
                "write the secret and nothing else into it",
            )
        })
    }
}

/// The one line of a text, without the line feed at its end; `None` when it is empty or there are more.
pub(crate) fn one_line(text: &str) -> Option<&str> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    (!line.is_empty() && !line.contains('\n')).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        AccessLogSetting, DatabaseMode, Limits, LogLevel, StartMode, State, UpgradePolicy,
    };

    fn all_read<T: DeserializeOwned>(words: &[&str]) {
        for word in words {
            let value = serde_json::Value::String((*word).to_owned());
            assert!(serde_json::from_value::<T>(value).is_ok(), "{word}");
        }
    }

    #[test]
    fn the_words_are_the_protocols() {
        all_read::<StartMode>(START_MODES);
        all_read::<UpgradePolicy>(UPGRADE_POLICIES);
        all_read::<DatabaseMode>(DATABASE_MODES);
        all_read::<LogLevel>(LOG_LEVELS);
        all_read::<AccessLogSetting>(ACCESS_LOGS);
        assert_eq!(STATES, State::ALL.map(State::as_str));
    }

    #[test]
    fn a_limit_is_a_name_and_a_value() {
        let read = |text| limit(text).map(|given| (given.limit, given.value));
        assert_eq!(read("in-flight=8"), Ok((Limit::InFlight, Some(8))));
        assert_eq!(read("request-time=1m 30s"), Ok((Limit::RequestTimeMs, Some(90_000))));
        assert_eq!(read("rate=none"), Ok((Limit::RequestsPerSecond, Some(0))));
        assert_eq!(read("rate=default"), Ok((Limit::RequestsPerSecond, None)));
        for (wrong, says) in
            [("in-flight", "NAME=VALUE"), ("speed=1", "there is no limit \"speed\""), ("body=big", "10MiB")]
        {
            assert!(read(wrong).unwrap_err().contains(says), "{wrong}");
        }
        // The help is written by hand, so that each has a line of its own.
        let lines: Vec<_> = LIMITS_HELP.lines().skip(1).collect();
        assert_eq!(lines.len(), Limit::ALL.len());
        for (line, limit) in lines.iter().zip(Limit::ALL) {
            let usual = Limits::USUAL.of(limit);
            assert!(line.trim_start().starts_with(limit.name()), "{line}");
            assert!(line.contains(&format!("[{}", limit.written(usual))), "{line}");
        }
    }

    #[test]
    fn an_expiry_is_a_duration_or_never() {
        assert_eq!(expiry("never").as_deref(), Ok("never"));
        assert_eq!(expiry("30d").as_deref(), Ok("2592000s"));
        assert_eq!(expiry("1h 30m").as_deref(), Ok("5400s"));
        for wrong in ["", "0s", "500ms", "soon", "-1d", "Never"] {
            assert!(expiry(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_durations_or_dates() {
        assert_eq!(since("2026-01-31T08:00:00Z").unwrap().timestamp(), 1_769_846_400);
        let then = since("10m").unwrap();
        let ago = Utc::now() - then;
        assert!((600..620).contains(&ago.num_seconds()), "{ago}");
        for wrong in ["yesterday", "", "10", "600000000000000000y"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let mut files = SecretFiles::default();
        for (content, expected) in [
            ("s3cret\n", Some("s3cret")),
            ("a b\r\n", Some("a b")),
            ("x", Some("x")),
            ("", None),
            ("a\nb\n", None),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(files.read("--jwt-secret-file", &path).ok().as_deref(), expected, "{content:?}");
        }
        let missing = files.read("--jwt-secret-file", &directory.path().join("none")).unwrap_err();
        assert!(missing.to_string().starts_with("--jwt-secret-file: "), "{missing}");
    }
}
