//! Parses dates and times: all types accept the same notations.
//!
//! | given | parsed as |
//! |---|---|
//! | `2024-02-29`, `2024-2-9` | midnight of that day |
//! | a date, `T` or a space, and `10:11`, `10:11:12` or `10:11:12.345678` | that time of the day |
//! | after it `Z`, `+08:00`, `+0800` or `+08`, with or without a space before it | the zone of that local time; UTC by default |
//! | `10:11`, `10:11:12+08:00` | a time of day, for the type `time` |
//! | a JSON number | milliseconds since 1970; for a Unix timestamp, a number of its own unit, also as a text |
//! | anything else: `2024/02/29`, `24:00`, the leap second `23:59:60`, years beyond 0 to 9999 | not a date |
//!
//! Fractions of a millisecond are cut off. Types without a zone store the local time in UTC.

use chrono::{
    DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound, TimeDelta, Utc,
};
use serde_json::Value as Json;

use super::number;

/// Outside of these years the stored texts have another length, and sort wrongly.
fn in_range(date: &impl Datelike) -> bool {
    (0..=9999).contains(&date.year())
}

/// Parses an instant, to the millisecond.
pub(super) fn instant(given: &Json) -> Option<DateTime<Utc>> {
    let at = match given {
        Json::Number(_) => DateTime::from_timestamp_millis(number::floor(given)?)?,
        Json::String(text) => {
            let DateTimeParts { date, time, zone } = DateTimeParts::read(text.trim())?;
            let local = date?.and_time(time.unwrap_or(NaiveTime::MIN));
            local.checked_sub_offset(zone.unwrap_or(UTC))?.and_utc()
        }
        _ => return None,
    };
    in_range(&at).then(|| at.trunc_subsecs(3))
}

/// Parses a date with a time of day; that of an instant is in UTC.
pub(super) fn wall_clock(given: &Json) -> Option<NaiveDateTime> {
    instant(given).map(|at| at.naive_utc())
}

/// Parses a date.
pub(super) fn date(given: &Json) -> Option<NaiveDate> {
    wall_clock(given).map(|at| at.date())
}

/// Parses a time of day, to the millisecond.
pub(super) fn time(given: &Json) -> Option<NaiveTime> {
    let alone = given.as_str().and_then(|text| DateTimeParts::read(text.trim()));
    match alone {
        Some(DateTimeParts { date: None, time: Some(time), zone }) => {
            let offset = TimeDelta::seconds(zone.unwrap_or(UTC).local_minus_utc().into());
            Some((time - offset).trunc_subsecs(3))
        }
        _ => wall_clock(given).map(|at| at.time()),
    }
}

/// Parses an instant to a number since 1970. A number is taken as it is, without its fraction.
pub(super) fn since_1970(given: &Json, milliseconds: bool) -> Option<i64> {
    if let Some(number) = number::floor(given) {
        let thousandth = if milliseconds { Some(number) } else { number.checked_mul(1000) };
        return DateTime::from_timestamp_millis(thousandth?).filter(in_range).map(|_| number);
    }
    let at = instant(given)?;
    Some(if milliseconds { at.timestamp_millis() } else { at.timestamp() })
}

const UTC: FixedOffset = match FixedOffset::east_opt(0) {
    Some(offset) => offset,
    None => unreachable!(),
};

/// The parts of a date and time in text form.
struct DateTimeParts {
    date: Option<NaiveDate>,
    time: Option<NaiveTime>,
    zone: Option<FixedOffset>,
}

impl DateTimeParts {
    fn read(text: &str) -> Option<Self> {
        let (date, clock) = match text.split_once(['T', 't', ' ']) {
            Some((date, clock)) if date.contains('-') => (Some(read_date(date)?), Some(clock)),
            _ if text.contains(':') => (None, Some(text)),
            _ => (Some(read_date(text)?), None),
        };
        let Some(clock) = clock else { return Some(Self { date, time: None, zone: None }) };
        let (time, zone) = match clock.find(['Z', 'z', '+', '-']) {
            Some(at) => (clock[..at].trim_end(), Some(read_zone(&clock[at..])?)),
            None => (clock, None),
        };
        Some(Self { date, time: Some(read_time(time)?), zone })
    }
}

/// Parses a number with a fixed number of digits.
fn part(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let are_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (are_digits && digits.contains(&text.len())).then(|| text.parse().ok())?
}

fn read_date(text: &str) -> Option<NaiveDate> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let year = i32::try_from(part(year, 4..=4)?).ok()?;
    NaiveDate::from_ymd_opt(year, part(month, 1..=2)?, part(day, 1..=2)?)
}

fn read_time(text: &str) -> Option<NaiveTime> {
    let (hour, rest) = text.split_once(':')?;
    let (minute, seconds) = rest.split_once(':').unwrap_or((rest, "0"));
    let (second, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let milliseconds: String = fraction.chars().chain("00".chars()).take(3).collect();
    NaiveTime::from_hms_milli_opt(
        part(hour, 1..=2)?,
        part(minute, 1..=2)?,
        part(second, 1..=2)?,
        milliseconds.parse().ok()?,
    )
}

fn read_zone(text: &str) -> Option<FixedOffset> {
    if matches!(text, "Z" | "z") {
        return Some(UTC);
    }
    let offset = &text[1..];
    let (hours, minutes) = match offset.split_once(':') {
        Some(parts) => parts,
        None if offset.len() == 4 && offset.is_ascii() => offset.split_at(2),
        None => (offset, "00"),
    };
    let (hours, minutes) = (part(hours, 2..=2)?, part(minutes, 2..=2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    FixedOffset::east_opt(if text.starts_with('-') { -seconds } else { seconds })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(text: &str) -> Option<String> {
        wall_clock(&json!(text)).map(|at| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string())
    }

    #[test]
    fn every_type_accepts_every_notation() {
        for text in [
            "2024-02-29T10:11:12Z",
            "2024-02-29t10:11:12z",
            " 2024-02-29 10:11:12 ",
            "2024-2-29 10:11:12",
            "2024-02-29 10:11:12 Z",
            "2024-02-29T12:11:12+02:00",
            "2024-02-29 12:11:12 +0200",
            "2024-02-29 02:11:12-08",
            "2024-02-29T10:11:12.0009",
        ] {
            assert_eq!(shown(text).as_deref(), Some("2024-02-29 10:11:12.000"), "{text}");
            assert_eq!(date(&json!(text)), NaiveDate::from_ymd_opt(2024, 2, 29), "{text}");
            assert_eq!(time(&json!(text)), NaiveTime::from_hms_opt(10, 11, 12), "{text}");
            assert_eq!(since_1970(&json!(text), false), Some(1_709_201_472), "{text}");
        }
        assert_eq!(shown("2024-02-29").as_deref(), Some("2024-02-29 00:00:00.000"));
        assert_eq!(shown("2024-02-29T10:11+02:00").as_deref(), Some("2024-02-29 08:11:00.000"));
        assert_eq!(shown("2024-02-29 10:11:12.1234567891234").as_deref(), Some("2024-02-29 10:11:12.123"));
        for (text, seconds) in
            [("10:11", 36660), ("10:11:12.5", 36672), ("01:00+02:00", 82800), ("1:2:3 Z", 3723)]
        {
            let midnight = NaiveTime::MIN;
            let found = time(&json!(text)).map(|time| (time - midnight).num_seconds());
            assert_eq!(found, Some(seconds), "{text}");
            assert_eq!(instant(&json!(text)), None, "{text}");
        }
    }

    #[test]
    fn invalid_dates_are_refused_by_every_type() {
        for text in [
            "",
            "Z",
            "now",
            "2024",
            "2024-02",
            "2024-02-30",
            "2023-02-29",
            "2024/02/29",
            "24-02-29",
            "+2024-02-29",
            "-2024-02-29",
            "12024-02-29",
            "2024-02-29T",
            "2024-02-29T10",
            "2024-02-29T24:00",
            "2024-02-29T10:60",
            "2024-06-30T23:59:60Z",
            "2024-02-29T10:11:12.",
            "2024-02-29T10:11:12,5",
            "2024-02-29T10:11:12+2",
            "2024-02-29T10:11:12+24:00",
            "2024-02-29T10:11:12+02:60",
            "2024-02-29T10:11:12Zulu",
            "2024-02-29Z",
            "2024-02-29T10:11:12+02:00Z",
            "2024-02-29T-1:00",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "２０２４-02-29",
        ] {
            let given = json!(text);
            assert_eq!((instant(&given), wall_clock(&given), date(&given)), (None, None, None), "{text}");
            assert_eq!(time(&given), None, "{text}");
            if text != "2024" {
                assert_eq!(since_1970(&given, true), None, "{text}");
            }
        }
    }

    #[test]
    fn a_number_counts_from_1970() {
        let number = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        let at = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap().and_hms_opt(0, 0, 0);
        for given in ["1704067200000", "1.7040672e12", "1704067200000.9"] {
            assert_eq!(wall_clock(&number(given)), at, "{given}");
            assert_eq!(since_1970(&number(given), true), Some(1_704_067_200_000), "{given}");
            assert_eq!(since_1970(&json!(given), true), Some(1_704_067_200_000), "{given}");
            assert_eq!(instant(&json!(given)), None, "{given}");
        }
        for given in ["1e30", "-1e30", "253402300800000", "-62167219200001"] {
            assert_eq!(instant(&number(given)), None, "{given}");
        }
    }
}
