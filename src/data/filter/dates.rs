//! Parses the operands of date operators.
//!
//! Filters name dates as people do: `2023` is a whole year, `2023-05-31 10` an hour, `{"type": "past",
//! "number": 3, "unit": "month"}` the three months before this one. Every such operand becomes a
//! [`DateExpression`], with which the operators compare records. An operand with a zone (`2023+08:00`) is
//! read in that zone, any other in the zone of the request.
//!
//! A week starts on Monday if it is an ISO 8601 week: in `2023W05`, in `{"type": "thisWeek"}` and as the unit
//! of `past` and `next`. It starts on Sunday in `2023w05` only, which the variable `$nDate.thisWeek` becomes;
//! there, week 1 is the week that contains January 1. NocoBase makes the same difference, and filters that
//! were written for it rely on it.

use std::fmt;
use std::ops::Range;

use chrono::{
    DateTime, Days, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc, Weekday,
};
use serde_json::{Map, Value, json};

use super::calendar::{RelativeDate, Unit, week_year};

/// The value of a date operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DateExpression {
    /// A single instant, such as `2024-01-01T10:00:00.000Z`.
    Instant(DateTime<Utc>),
    /// A range of time, which may be empty (`end` before `start`).
    Range {
        /// Its first instant.
        start: DateTime<Utc>,
        /// Whether that instant is excluded: `(` before an instant.
        start_exclusive: bool,
        /// The instant at which it ends. The end of 9999 is in the year 10000.
        end: DateTime<Utc>,
        /// Whether that instant is included: `]` after an instant.
        end_inclusive: bool,
    },
}

impl DateExpression {
    /// Returns its first instant.
    fn start(self) -> DateTime<Utc> {
        match self {
            Self::Instant(instant) => instant,
            Self::Range { start, .. } => start,
        }
    }

    /// Returns the instant at which it ends.
    fn end(self) -> DateTime<Utc> {
        match self {
            Self::Instant(instant) => instant,
            Self::Range { end, .. } => end,
        }
    }

    /// Whether it is a single instant.
    fn is_instant(self) -> bool {
        matches!(self, Self::Instant(_))
    }
}

/// Why an operand is not a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InvalidDate {
    /// Neither a text, nor a list of two, nor an object with a type.
    Shape(String),
    /// A text in an unknown form.
    Unreadable(String),
    /// A text in a known form, but of a date or time that does not exist.
    Impossible {
        /// The kind of date: `day`, `week`, `time`.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// A zone that is not an offset from UTC.
    Zone(String),
    /// A third element that is not one of `[]`, `[)`, `(]`, `()`.
    Brackets(String),
    /// An unknown type of relative date.
    Type(String),
    /// An unknown unit of `past` and `next`.
    Unit(String),
    /// A number of units that is not a positive whole number.
    Number(String),
    /// A relative date outside of the calendar.
    OutOfReach,
}

impl fmt::Display for InvalidDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(value) => {
                write!(formatter, "a date is a text, a list of two, or an object with a type, not {value}")
            }
            Self::Unreadable(text) => write!(
                formatter,
                "\"{text}\" is not a date; write one like 2023, 2023Q2, 2023W05, 2023-05, 2023-05-31, \
                 \"2023-05-31 10:30\" or 2023-05-31T10:30:00Z"
            ),
            Self::Impossible { what, text } => write!(formatter, "there is no {what} {text}"),
            Self::Zone(text) => write!(formatter, "{text} is not a time zone; write one like +08:00 or Z"),
            Self::Brackets(text) => {
                write!(formatter, "{text} does not say which ends belong to a range; write [], [), (] or ()")
            }
            Self::Type(name) => {
                write!(
                    formatter,
                    "{name} is not a relative date; use one like today, lastMonth, past or next"
                )
            }
            Self::Unit(name) => {
                write!(formatter, "{name} is not a unit; use day, week, isoWeek, month, quarter or year")
            }
            Self::Number(number) => {
                write!(formatter, "{number} cannot be counted; past and next need a whole number from 1 up")
            }
            Self::OutOfReach => formatter.write_str("the date is not in the years from 0 to 9999"),
        }
    }
}

impl std::error::Error for InvalidDate {}

/// Parses a zone in the notation of the header `X-Timezone`: `+08:00`, `-05:30`, `Z` or `UTC`. `None` for any
/// other text, including names such as `Asia/Shanghai`.
pub(super) fn timezone(text: &str) -> Option<FixedOffset> {
    if matches!(text, "Z" | "UTC") {
        return FixedOffset::east_opt(0);
    }
    if !matches!(shape(text).as_str(), "+00:00" | "-00:00") {
        return None;
    }
    let (hours, minutes) = (digits(text, 1..3)?, digits(text, 4..6)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    FixedOffset::east_opt(if text.starts_with('-') { -seconds } else { seconds })
}

/// Parses the operand of a date operator.
///
/// - A text: a year (`2023`), quarter (`2023Q2`), week (`2023W05`, `2023w05`), month, day, hour, minute,
///   second or millisecond (`2023-05-31T10:30:00.125`; a space may replace the `T`) is the whole of that
///   period. A day or time with a `Z` after it, or with another number of digits in the fraction of a second,
///   is an instant.
/// - Two ends, in a list or as the text `(2023-01,2023-06]`: the range from the first to the second. A third
///   element says which ends are included (by default both), a fourth is the zone. An end that is itself a
///   period is included or excluded as a whole.
/// - An object: `type` is a relative date as seen from `now`; `past` and `next` take `number` (default 1) and
///   `unit` (default `day`), and count whole units without the current one.
///
/// The zone is the one at the end of the text (`2023-01+08:00`), else that of the list or object, else
/// `timezone`.
///
/// # Errors
///
/// [`InvalidDate`] if the operand is not a date, with a sentence for the author of the filter.
pub(super) fn parse(
    value: &Value,
    timezone: FixedOffset,
    now: DateTime<Utc>,
) -> Result<DateExpression, InvalidDate> {
    match value {
        Value::Array(items) => parse_list(items, timezone, now),
        Value::String(text) if text.trim_start().starts_with(['(', '[']) => {
            parse_bracketed(text, timezone, now)
        }
        single => parse_end(single, timezone, now),
    }
}

/// Parses a single date, which may be an end of a range.
fn parse_end(
    value: &Value,
    timezone: FixedOffset,
    now: DateTime<Utc>,
) -> Result<DateExpression, InvalidDate> {
    match value {
        Value::String(text) => parse_text(text.trim(), timezone),
        // Clients often send a year as a number.
        Value::Number(year) => parse_text(&year.to_string(), timezone),
        Value::Object(fields) => parse_relative(fields, timezone, now),
        other => Err(InvalidDate::Shape(other.to_string())),
    }
}

/// Parses `[from, to, brackets, zone]`; the last two may be missing or null.
fn parse_list(
    items: &[Value],
    timezone: FixedOffset,
    now: DateTime<Utc>,
) -> Result<DateExpression, InvalidDate> {
    let [from, to, rest @ ..] = items else {
        return Err(InvalidDate::Shape(Value::from(items.to_vec()).to_string()));
    };
    let (brackets, zone) = match rest {
        [] => (&Value::Null, &Value::Null),
        [brackets] => (brackets, &Value::Null),
        [brackets, zone] => (brackets, zone),
        _ => return Err(InvalidDate::Shape(Value::from(items.to_vec()).to_string())),
    };
    let brackets = match brackets {
        Value::Null => "[]",
        Value::String(text) => text.as_str(),
        other => return Err(InvalidDate::Brackets(other.to_string())),
    };
    let (start_exclusive, end_inclusive) = match brackets {
        "[]" => (false, true),
        "[)" => (false, false),
        "(]" => (true, true),
        "()" => (true, false),
        other => return Err(InvalidDate::Brackets(other.to_owned())),
    };
    let timezone = zone_or(zone, timezone)?;
    let (from, to) = (parse_end(from, timezone, now)?, parse_end(to, timezone, now)?);
    Ok(DateExpression::Range {
        start: if start_exclusive { from.end() } else { from.start() },
        start_exclusive: start_exclusive && from.is_instant(),
        end: if end_inclusive { to.end() } else { to.start() },
        end_inclusive: end_inclusive && to.is_instant(),
    })
}

/// Parses `(2023-01,2023-06]` with an optional zone after it.
fn parse_bracketed(
    text: &str,
    timezone: FixedOffset,
    now: DateTime<Utc>,
) -> Result<DateExpression, InvalidDate> {
    let unreadable = || InvalidDate::Unreadable(text.to_owned());
    let (range, zone) = split_zone(text.trim())?;
    let opening = range.get(..1).unwrap_or_default();
    let inner = range.get(1..).unwrap_or_default();
    let (inner, closing) = match inner.strip_suffix(')') {
        Some(inner) => (inner, ")"),
        None => (inner.strip_suffix(']').ok_or_else(unreadable)?, "]"),
    };
    let (from, to) = inner.split_once(',').ok_or_else(unreadable)?;
    parse_list(&[json!(from), json!(to), json!(format!("{opening}{closing}"))], zone.unwrap_or(timezone), now)
}

/// Returns the zone of a list or an object, or the default.
fn zone_or(value: &Value, otherwise: FixedOffset) -> Result<FixedOffset, InvalidDate> {
    match value {
        Value::Null => Ok(otherwise),
        Value::String(text) => timezone(text).ok_or_else(|| InvalidDate::Zone(text.clone())),
        other => Err(InvalidDate::Zone(other.to_string())),
    }
}

/// Splits the offset at the end of a text, if there is one.
fn split_zone(text: &str) -> Result<(&str, Option<FixedOffset>), InvalidDate> {
    let parts = text.len().checked_sub(6).and_then(|length| text.split_at_checked(length));
    match parts {
        Some((rest, zone)) if !rest.is_empty() && matches!(shape(zone).as_str(), "+00:00" | "-00:00") => {
            let offset = timezone(zone).ok_or_else(|| InvalidDate::Zone(zone.to_owned()))?;
            Ok((rest, Some(offset)))
        }
        _ => Ok((text, None)),
    }
}

/// Parses the text of one date.
fn parse_text(text: &str, timezone: FixedOffset) -> Result<DateExpression, InvalidDate> {
    let (local, zone) = split_zone(text)?;
    // A `Z` means UTC, whatever zone a client appended.
    if let Some(utc) = local.strip_suffix('Z') {
        if !shape(utc).starts_with("0000-00-00") {
            return Err(InvalidDate::Unreadable(text.to_owned()));
        }
        return Ok(DateExpression::Instant(parse_local(utc)?.0.and_utc()));
    }
    let timezone = zone.unwrap_or(timezone);
    let (start, end) = parse_local(local)?;
    match end {
        Some(end) => Ok(half_open_range(instant(start, timezone)?, instant(end, timezone)?)),
        None => Ok(DateExpression::Instant(instant(start, timezone)?)),
    }
}

/// Returns the range from one instant to another, without the other.
fn half_open_range(start: DateTime<Utc>, end: DateTime<Utc>) -> DateExpression {
    DateExpression::Range { start, start_exclusive: false, end, end_inclusive: false }
}

/// Returns the instant of a local time in a zone.
fn instant(local: NaiveDateTime, timezone: FixedOffset) -> Result<DateTime<Utc>, InvalidDate> {
    let moment = timezone.from_local_datetime(&local).single().ok_or(InvalidDate::OutOfReach)?;
    Ok(moment.with_timezone(&Utc))
}

/// Parses a text without a zone to local times: its start, and its end unless it is an instant.
fn parse_local(text: &str) -> Result<(NaiveDateTime, Option<NaiveDateTime>), InvalidDate> {
    let impossible = |what| InvalidDate::Impossible { what, text: text.to_owned() };
    let shape = shape(text);
    let (unit, start) = match shape.as_str() {
        "0000" => (Unit::Year, day(text, 1, 1).ok_or_else(|| impossible("year"))?),
        "0000-00" => (Unit::Month, month(text).ok_or_else(|| impossible("month"))?),
        "0000Q0" => (Unit::Quarter, quarter(text).ok_or_else(|| impossible("quarter"))?),
        "0000W00" => (Unit::IsoWeek, iso_week(text).ok_or_else(|| impossible("week"))?),
        "0000w00" => (Unit::Week, sunday_week(text).ok_or_else(|| impossible("week"))?),
        "0000-00-00" => (Unit::Day, month_day(text).ok_or_else(|| impossible("day"))?),
        longer => match longer.strip_prefix("0000-00-00").and_then(|rest| rest.strip_prefix(['T', ' '])) {
            Some(time) => return parse_time_of_day(text, time),
            None => return Err(InvalidDate::Unreadable(text.to_owned())),
        },
    };
    let end = unit.shift(start, 1).ok_or(InvalidDate::OutOfReach)?;
    Ok((midnight(start), Some(midnight(end))))
}

/// Parses a text of a day (ten characters), a separator and a time. `time` is the shape of the time.
fn parse_time_of_day(text: &str, time: &str) -> Result<(NaiveDateTime, Option<NaiveDateTime>), InvalidDate> {
    let unreadable = || InvalidDate::Unreadable(text.to_owned());
    let fraction = time.strip_prefix("00:00:00.");
    let length = match time {
        "00" => Some(TimeDelta::hours(1)),
        "00:00" => Some(TimeDelta::minutes(1)),
        "00:00:00" => Some(TimeDelta::seconds(1)),
        "00:00:00.000" => Some(TimeDelta::milliseconds(1)),
        _ => match fraction {
            Some(zeros) if (1..=9).contains(&zeros.len()) && zeros.bytes().all(|byte| byte == b'0') => None,
            _ => return Err(unreadable()),
        },
    };
    let impossible = |what, part: Range<usize>| InvalidDate::Impossible {
        what,
        text: text.get(part).unwrap_or(text).to_owned(),
    };
    let day = month_day(text).ok_or_else(|| impossible("day", 0..10))?;
    let part = |range| digits(text, range).unwrap_or(0);
    let nanoseconds = match fraction {
        Some(zeros) => part(20..text.len()) * 10_u32.pow(9_u32.saturating_sub(zeros.len() as u32)),
        None => 0,
    };
    let start = day
        .and_hms_nano_opt(part(11..13), part(14..16), part(17..19), nanoseconds)
        .ok_or_else(|| impossible("time", 11..text.len()))?;
    Ok((start, length.map(|length| start + length)))
}

/// Replaces every digit of a text by `0`, to compare its form.
fn shape(text: &str) -> String {
    text.chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect()
}

/// Parses a range of a text's bytes as a number.
fn digits(text: &str, range: Range<usize>) -> Option<u32> {
    text.get(range)?.parse().ok()
}

/// Returns a day of the year at the start of a text.
fn day(text: &str, month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year(text)?, month, day)
}

/// Returns the year at the start of a text.
fn year(text: &str) -> Option<i32> {
    digits(text, 0..4).and_then(|year| i32::try_from(year).ok())
}

/// Returns the first day of `2023-05`.
fn month(text: &str) -> Option<NaiveDate> {
    day(text, digits(text, 5..7)?, 1)
}

/// Returns the day of `2023-05-31`.
fn month_day(text: &str) -> Option<NaiveDate> {
    day(text, digits(text, 5..7)?, digits(text, 8..10)?)
}

/// Returns the first day of `2023Q2`.
fn quarter(text: &str) -> Option<NaiveDate> {
    let number = digits(text, 5..6)?.checked_sub(1)?;
    day(text, number * 3 + 1, 1)
}

/// Returns the Monday of `2023W05`.
fn iso_week(text: &str) -> Option<NaiveDate> {
    NaiveDate::from_isoywd_opt(year(text)?, digits(text, 5..7)?, Weekday::Mon)
}

/// Returns the Sunday of `2023w05`.
fn sunday_week(text: &str) -> Option<NaiveDate> {
    let first = Unit::Week.start(day(text, 1, 1)?)?;
    let sunday = first.checked_add_days(Days::new(u64::from(digits(text, 5..7)?.checked_sub(1)?) * 7))?;
    // The week of the next January 1 is the first week of the next year, not the last of this one.
    (week_year(sunday)? == year(text)?).then_some(sunday)
}

/// Returns the first instant of a day.
fn midnight(day: NaiveDate) -> NaiveDateTime {
    day.and_time(NaiveTime::MIN)
}

/// Parses `{type, number, unit, timezone}`.
fn parse_relative(
    fields: &Map<String, Value>,
    timezone: FixedOffset,
    now: DateTime<Utc>,
) -> Result<DateExpression, InvalidDate> {
    let name = match fields.get("type") {
        Some(Value::String(name)) => name.as_str(),
        _ => return Err(InvalidDate::Shape(Value::from(fields.clone()).to_string())),
    };
    let date = match name {
        "past" => parse_count(fields).map(|(unit, count)| RelativeDate { unit, from: -count, count })?,
        "next" => parse_count(fields).map(|(unit, count)| RelativeDate { unit, from: 1, count })?,
        _ => {
            let date = RelativeDate::named(name).ok_or_else(|| InvalidDate::Type(name.to_owned()))?;
            // Unlike the variable of the same name.
            RelativeDate { unit: if date.unit == Unit::Week { Unit::IsoWeek } else { date.unit }, ..date }
        }
    };
    let timezone = zone_or(fields.get("timezone").unwrap_or(&Value::Null), timezone)?;
    let (start, end) = date.days(timezone, now).ok_or(InvalidDate::OutOfReach)?;
    Ok(half_open_range(instant(midnight(start), timezone)?, instant(midnight(end), timezone)?))
}

/// Parses the unit and the number of `past` and `next`.
fn parse_count(fields: &Map<String, Value>) -> Result<(Unit, i64), InvalidDate> {
    let unit = match fields.get("unit") {
        None | Some(Value::Null) => Unit::Day,
        Some(Value::String(name)) => Unit::named(name).ok_or_else(|| InvalidDate::Unit(name.clone()))?,
        Some(other) => return Err(InvalidDate::Unit(other.to_string())),
    };
    let number = match fields.get("number") {
        None | Some(Value::Null) => Some(1),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(other) => other.as_i64(),
    };
    match number {
        Some(count) if count > 0 => Ok((unit, count)),
        _ => Err(InvalidDate::Number(fields.get("number").unwrap_or(&Value::Null).to_string())),
    }
}

#[cfg(test)]
mod tests;
