//! Writes times in UTC to the millisecond, always with three digits of it, so that all times of the protocol
//! have one form.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize as _, Serializer};

/// Serializes a time: `2026-01-31T08:00:00.000Z`.
pub(crate) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(time))
}

/// Serializes an optional time.
pub(super) fn optional<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.as_ref().map(text).serialize(serializer)
}

fn text(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_three_digits_of_a_second() {
        for (given, written) in [
            ("2026-01-31T08:00:00Z", "\"2026-01-31T08:00:00.000Z\""),
            ("2026-01-31T08:00:00.12Z", "\"2026-01-31T08:00:00.120Z\""),
            ("2026-01-31T10:00:00.123456+02:00", "\"2026-01-31T08:00:00.123Z\""),
        ] {
            let time: DateTime<Utc> = given.parse().unwrap();
            let mut json = Vec::new();
            serialize(&time, &mut serde_json::Serializer::new(&mut json)).unwrap();
            assert_eq!(String::from_utf8(json).unwrap(), written);
        }
    }
}
