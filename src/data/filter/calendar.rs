//! Units of the calendar, and dates relative to today.
//!
//! Days have no zone here. Which day is today, and the instant at which a day starts, depend on a zone; which
//! month follows another does not.

use chrono::{DateTime, Datelike, Days, FixedOffset, NaiveDate, TimeDelta, Utc, Weekday};
use serde_json::{Value, json};

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Starts at midnight.
    Day,
    /// Starts on Sunday.
    Week,
    /// Starts on Monday.
    IsoWeek,
    /// Starts on the 1st.
    Month,
    /// Starts in January, April, July or October.
    Quarter,
    /// Starts on January 1.
    Year,
}

impl Unit {
    /// Returns the unit of this name in a filter, where a week is an ISO week.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.strip_suffix('s').unwrap_or(name) {
            "day" => Some(Self::Day),
            "week" | "isoWeek" => Some(Self::IsoWeek),
            "month" => Some(Self::Month),
            "quarter" => Some(Self::Quarter),
            "year" => Some(Self::Year),
            _ => None,
        }
    }

    /// Returns the first day of the unit that contains a day; `None` at the end of the calendar.
    pub(super) fn start(self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => Some(day),
            Self::Week => day.week(Weekday::Sun).checked_first_day(),
            Self::IsoWeek => day.week(Weekday::Mon).checked_first_day(),
            Self::Month => NaiveDate::from_ymd_opt(day.year(), day.month(), 1),
            Self::Quarter => NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1),
            Self::Year => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        }
    }

    /// Returns the first day of the unit that is `count` units after the one that starts on `first`, or
    /// before it if `count` is negative; `None` outside of the calendar.
    pub(super) fn shift(self, first: NaiveDate, count: i64) -> Option<NaiveDate> {
        let (days, months) = match self {
            Self::Day => (1, 0),
            Self::Week | Self::IsoWeek => (7, 0),
            Self::Month => (0, 1),
            Self::Quarter => (0, 3),
            Self::Year => (0, 12),
        };
        if months == 0 {
            return first.checked_add_signed(TimeDelta::try_days(count.checked_mul(days)?)?);
        }
        let month = i64::from(first.year()) * 12 + i64::from(first.month0());
        let month = month.checked_add(count.checked_mul(months)?)?;
        let year = i32::try_from(month.div_euclid(12)).ok()?;
        NaiveDate::from_ymd_opt(year, u32::try_from(month.rem_euclid(12)).ok()? + 1, 1)
    }

    /// Returns the text that names the unit that starts on this day.
    fn text(self, first: NaiveDate) -> Option<String> {
        Some(match self {
            Self::Day => first.format("%Y-%m-%d").to_string(),
            Self::Week => {
                let year = week_year(first)?;
                let january = Self::Week.start(NaiveDate::from_ymd_opt(year, 1, 1)?)?;
                format!("{year:04}w{:02}", (first - january).num_days() / 7 + 1)
            }
            Self::IsoWeek => format!("{:04}W{:02}", first.iso_week().year(), first.iso_week().week()),
            Self::Month => first.format("%Y-%m").to_string(),
            Self::Quarter => format!("{:04}Q{}", first.year(), first.month0() / 3 + 1),
            Self::Year => format!("{:04}", first.year()),
        })
    }
}

/// A date relative to today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RelativeDate {
    /// The unit that it is counted in.
    pub(super) unit: Unit,
    /// Its start, in units from the current one.
    pub(super) from: i64,
    /// Its length in units.
    pub(super) count: i64,
}

impl RelativeDate {
    /// Returns the relative date of this name, such as `today`, `lastMonth` or `next7Days`.
    ///
    /// `last7Days` are today and the six days before, `next7Days` the seven days after today. A week starts
    /// on Sunday, unless the name says that it is an ISO week.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (unit, from, count) = match name {
            "dayBeforeYesterday" => (Unit::Day, -2, 1),
            "yesterday" => (Unit::Day, -1, 1),
            "today" => (Unit::Day, 0, 1),
            "tomorrow" => (Unit::Day, 1, 1),
            "last7Days" => (Unit::Day, -6, 7),
            "next7Days" => (Unit::Day, 1, 7),
            "last30Days" => (Unit::Day, -29, 30),
            "next30Days" => (Unit::Day, 1, 30),
            "last90Days" => (Unit::Day, -89, 90),
            "next90Days" => (Unit::Day, 1, 90),
            _ => {
                let unit = name.get(4..)?;
                let unit = match unit {
                    "Week" => Unit::Week,
                    "IsoWeek" => Unit::IsoWeek,
                    "Month" => Unit::Month,
                    "Quarter" => Unit::Quarter,
                    "Year" => Unit::Year,
                    _ => return None,
                };
                let from = match name.get(..4)? {
                    "last" => -1,
                    "this" => 0,
                    "next" => 1,
                    _ => return None,
                };
                (unit, from, 1)
            }
        };
        Some(Self { unit, from, count })
    }

    /// Returns its first day and the first day after it, in a zone; `None` outside of the years that a text
    /// can name.
    pub(super) fn days(self, timezone: FixedOffset, now: DateTime<Utc>) -> Option<(NaiveDate, NaiveDate)> {
        let current = self.unit.start(now.with_timezone(&timezone).date_naive())?;
        let start = self.unit.shift(current, self.from)?;
        let end = self.unit.shift(start, self.count)?;
        ((0..=9999).contains(&start.year()) && (0..=10000).contains(&end.year())).then_some((start, end))
    }

    /// Returns an absolute value with the zone, in the notation of [`parse`](super::dates::parse):
    /// `"2023-05+08:00"`, or for several units `["2023-05-25", "2023-06-01", "[)", "+08:00"]`. `None` outside
    /// of the years 0 to 9999.
    pub(super) fn value(self, timezone: FixedOffset, now: DateTime<Utc>) -> Option<Value> {
        let (start, end) = self.days(timezone, now)?;
        let start = self.unit.text(start)?;
        if self.count == 1 {
            return Some(Value::from(format!("{start}{timezone}")));
        }
        Some(json!([start, self.unit.text(end)?, "[)", timezone.to_string()]))
    }
}

/// Returns the year of a week that starts on this Sunday: the year of its Saturday.
pub(super) fn week_year(sunday: NaiveDate) -> Option<i32> {
    Some(sunday.checked_add_days(Days::new(6))?.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, now: &str, hours: i32) -> Value {
        let timezone = FixedOffset::east_opt(hours * 3600).unwrap();
        RelativeDate::named(name).unwrap().value(timezone, now.parse().unwrap()).unwrap()
    }

    #[test]
    fn relative_dates_become_absolute_texts() {
        for (name, now, hours, expected) in [
            ("today", "2022-12-31T16:00:00Z", 8, json!("2023-01-01+08:00")),
            ("today", "2022-12-31T15:59:59Z", 8, json!("2022-12-31+08:00")),
            ("yesterday", "2024-03-01T00:00:00Z", 0, json!("2024-02-29+00:00")),
            ("tomorrow", "2024-12-31T00:00:00Z", -5, json!("2024-12-31-05:00")),
            ("dayBeforeYesterday", "2024-03-01T00:00:00Z", 0, json!("2024-02-28+00:00")),
            ("thisWeek", "2022-12-31T16:00:00Z", 8, json!("2023w01+08:00")),
            ("thisWeek", "2022-12-31T15:00:00Z", 8, json!("2022w53+08:00")),
            ("thisWeek", "2023-12-31T00:00:00Z", 0, json!("2024w01+00:00")),
            ("lastWeek", "2024-01-07T00:00:00Z", 0, json!("2024w01+00:00")),
            ("nextWeek", "2024-04-17T03:06:46Z", 0, json!("2024w17+00:00")),
            ("thisIsoWeek", "2023-01-01T00:00:00Z", 0, json!("2022W52+00:00")),
            ("lastIsoWeek", "2024-04-17T03:06:46Z", 0, json!("2024W15+00:00")),
            ("nextIsoWeek", "2024-12-29T00:00:00Z", 0, json!("2025W01+00:00")),
            ("thisMonth", "2022-12-31T16:00:00Z", 8, json!("2023-01+08:00")),
            ("lastMonth", "2023-03-31T00:00:00Z", 0, json!("2023-02+00:00")),
            ("nextMonth", "2023-12-31T00:00:00Z", 0, json!("2024-01+00:00")),
            ("thisQuarter", "2022-12-31T15:00:00Z", 8, json!("2022Q4+08:00")),
            ("lastQuarter", "2023-02-01T00:00:00Z", 0, json!("2022Q4+00:00")),
            ("nextQuarter", "2023-11-01T00:00:00Z", 0, json!("2024Q1+00:00")),
            ("thisYear", "2022-12-31T16:00:00Z", 8, json!("2023+08:00")),
            ("lastYear", "2023-01-01T00:00:00Z", 0, json!("2022+00:00")),
            ("nextYear", "2023-01-01T00:00:00Z", 0, json!("2024+00:00")),
            ("last7Days", "2023-03-28T16:00:00Z", 8, json!(["2023-03-23", "2023-03-30", "[)", "+08:00"])),
            ("next7Days", "2023-03-28T16:00:00Z", 0, json!(["2023-03-29", "2023-04-05", "[)", "+00:00"])),
            ("last30Days", "2023-03-30T00:00:00Z", 0, json!(["2023-03-01", "2023-03-31", "[)", "+00:00"])),
            ("next90Days", "2023-01-01T00:00:00Z", 0, json!(["2023-01-02", "2023-04-02", "[)", "+00:00"])),
        ] {
            assert_eq!(value(name, now, hours), expected, "{name} at {now}");
        }
    }

    #[test]
    fn unknown_names_are_none() {
        for name in ["", "Today", "this", "thisDay", "thatWeek", "this week", "last8Days", "日期Week", "past"]
        {
            assert_eq!(RelativeDate::named(name), None, "{name}");
        }
    }

    #[test]
    fn dates_beyond_the_year_9999_are_none() {
        let next = RelativeDate::named("nextYear").unwrap();
        let at = |now: &str| next.value(FixedOffset::east_opt(0).unwrap(), now.parse().unwrap());
        assert_eq!(at("9998-06-01T00:00:00Z"), Some(json!("9999+00:00")));
        assert_eq!(at("9999-06-01T00:00:00Z"), None);
    }
}
