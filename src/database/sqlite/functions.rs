//! The functions and the collation that every SQLite connection defines: pattern matching, exact numbers,
//! JSON arrays and formatted dates.

use std::cmp::Ordering;
use std::str::FromStr;

use bigdecimal::{BigDecimal, RoundingMode};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;
use serde_json::Value as Json;

use crate::database::StoredMoment;
use crate::database::date_format::{self, Piece};
use crate::database::decimal::{self, AVERAGE_SCALE};
use crate::database::engine::DECIMAL_COLLATION;
use crate::database::error::BoxError;

use super::error::OUT_OF_RANGE;

pub(in crate::database) const DECIMAL_SUM: &str = "decimal_sum";
pub(in crate::database) const DECIMAL_AVERAGE: &str = "decimal_average";
pub(in crate::database) const IN_RANGE: &str = "in_range";
pub(in crate::database) const AS_TEXT: &str = "as_text";
pub(in crate::database) const HAS_ANY: &str = "json_has_any";
pub(in crate::database) const SAME_SET: &str = "json_same_set";
pub(in crate::database) const MATCHES: &str = "text_matches";
pub(in crate::database) const FORMAT_MOMENT: &str = "format_moment";

/// Defines all of them on a connection.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_collation(DECIMAL_COLLATION, decimal::compare)?;
    connection.create_aggregate_function(DECIMAL_SUM, 1, flags, Sum { average: false })?;
    connection.create_aggregate_function(DECIMAL_AVERAGE, 1, flags, Sum { average: true })?;
    connection.create_scalar_function(IN_RANGE, 1, flags, |call| in_range(call.get(0)?))?;
    connection.create_scalar_function(AS_TEXT, 1, flags, |call| Ok(as_text(call.get_raw(0))))?;
    connection.create_scalar_function(MATCHES, 2, flags, |call| matches(call))?;
    connection.create_scalar_function(HAS_ANY, 2, flags, |call| {
        compare_arrays(call, |held, wanted| held.iter().any(|one| has(wanted, one)))
    })?;
    connection.create_scalar_function(SAME_SET, 2, flags, |call| {
        compare_arrays(call, |held, wanted| {
            held.iter().all(|one| has(wanted, one)) && wanted.iter().all(|one| has(held, one))
        })
    })?;
    connection.create_scalar_function(FORMAT_MOMENT, 4, flags, |call| format_moment(call))
}

/// Whether a text matches a pattern, which is compiled once per statement.
fn matches(call: &Context<'_>) -> rusqlite::Result<Option<bool>> {
    let pattern =
        call.get_or_create_aux(1, |pattern| -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
            Ok(regex::Regex::new(pattern.as_str()?)?)
        })?;
    Ok(call.get_raw(0).as_str_or_null()?.map(|text| pattern.is_match(text)))
}

/// The aggregate for exact sums and averages.
struct Sum {
    average: bool,
}

/// The running sum.
#[derive(Default)]
struct RunningSum {
    count: i64,
    /// The sum in units of the last of `decimals`: numbers of one column have the same scale.
    units: i128,
    decimals: u32,
    /// The sum of the numbers that do not fit `units`.
    overflow: BigDecimal,
}

impl RunningSum {
    fn add(&mut self, number: BigDecimal) {
        self.count += 1;
        self.overflow += number;
    }

    /// Adds units of this scale. Returns whether they fit.
    fn add_units(&mut self, units: i128, decimals: u32) -> bool {
        if self.units == 0 {
            self.decimals = decimals;
        }
        match self.units.checked_add(units) {
            Some(sum) if self.decimals == decimals => {
                self.units = sum;
                self.count += 1;
                true
            }
            _ => false,
        }
    }

    fn sum(self) -> BigDecimal {
        BigDecimal::new(self.units.into(), self.decimals.into()) + self.overflow
    }
}

impl Aggregate<RunningSum, Option<String>> for Sum {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<RunningSum> {
        Ok(RunningSum::default())
    }

    fn step(&self, call: &mut Context<'_>, running: &mut RunningSum) -> rusqlite::Result<()> {
        match call.get_raw(0) {
            ValueRef::Integer(number) if running.add_units(number.into(), 0) => {}
            ValueRef::Integer(number) => running.add(number.into()),
            ValueRef::Real(number) => {
                if let Some(number) = decimal::parse(&number.to_string()) {
                    running.add(number);
                }
            }
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text).unwrap_or_default();
                let added =
                    decimal::units(text).is_some_and(|(units, decimals)| running.add_units(units, decimals));
                if let Some(number) = if added { None } else { decimal::parse(text) } {
                    running.add(number);
                }
            }
            ValueRef::Null | ValueRef::Blob(_) => {}
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, running: Option<RunningSum>) -> rusqlite::Result<Option<String>> {
        let Some(running) = running.filter(|running| running.count > 0) else { return Ok(None) };
        let count = running.count;
        let sum = running.sum();
        let result = if self.average {
            (sum / BigDecimal::from(count)).with_scale_round(i64::from(AVERAGE_SCALE), RoundingMode::HalfUp)
        } else {
            sum
        };
        Ok(Some(decimal::text(&result)))
    }
}

/// Passes a value through, but fails for a number that is not finite: a sum of doubles may overflow.
fn in_range(value: rusqlite::types::Value) -> rusqlite::Result<rusqlite::types::Value> {
    match value {
        rusqlite::types::Value::Real(number) if !number.is_finite() => {
            Err(rusqlite::Error::UserFunctionError(OUT_OF_RANGE.into()))
        }
        value => Ok(value),
    }
}

/// Formats a value as PostgreSQL does.
fn as_text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(real_as_text(number)),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn real_as_text(number: f64) -> String {
    let with_exponent = format!("{number:e}");
    let exponent = with_exponent.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    match (with_exponent.split_once('e'), exponent) {
        (Some((digits, _)), Some(exponent)) if !(-4..15).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => number.to_string(),
    }
}

/// Compares the array of the first argument with that of the second; `false` unless the first is an array.
fn compare_arrays(
    call: &Context<'_>,
    compare: impl FnOnce(&[Json], &[Json]) -> bool,
) -> rusqlite::Result<bool> {
    let ValueRef::Text(held) = call.get_raw(0) else { return Ok(false) };
    let Ok(Json::Array(held)) = serde_json::from_slice(held) else { return Ok(false) };
    // Constant within a statement: parsed once.
    let wanted = call.get_or_create_aux(1, |wanted| -> Result<_, serde_json::Error> {
        serde_json::from_str::<Vec<Json>>(wanted.as_str().unwrap_or("[]"))
    })?;
    Ok(compare(&held, &wanted))
}

fn has(array: &[Json], wanted: &Json) -> bool {
    array.iter().any(|one| same(one, wanted))
}

/// Whether both are equal; 1 equals 1.0.
fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => {
            left == right || decimal::compare(&left.to_string(), &right.to_string()) == Ordering::Equal
        }
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}

/// `format_moment(stored, kind, format, minutes)`.
fn format_moment(call: &Context<'_>) -> rusqlite::Result<Option<String>> {
    let format = call.get_or_create_aux(2, |format| -> Result<Vec<Piece>, BoxError> {
        Ok(date_format::parse(format.as_str()?)?)
    })?;
    let minutes = call.get::<i64>(3)?;
    let kind = call.get_raw(1).as_str().unwrap_or_default();
    let Some(at) = stored(call.get_raw(0), kind) else { return Ok(None) };
    let shifted = TimeDelta::try_minutes(minutes).and_then(|offset| at.checked_add_signed(offset));
    Ok(shifted.map(|at| date_format::write(at, &format)))
}

fn stored(value: ValueRef<'_>, kind: &str) -> Option<NaiveDateTime> {
    let of_unix = |milliseconds| DateTime::from_timestamp_millis(milliseconds).map(|at| at.naive_utc());
    match value {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(number) if kind == StoredMoment::UnixSeconds.as_str() => {
            of_unix(number.checked_mul(1000)?)
        }
        ValueRef::Integer(number) => of_unix(number),
        #[expect(clippy::cast_possible_truncation, reason = "beyond that there are no dates")]
        ValueRef::Real(number) if kind == StoredMoment::UnixSeconds.as_str() => {
            of_unix((number * 1000.0).floor() as i64)
        }
        #[expect(clippy::cast_possible_truncation, reason = "beyond that there are no dates")]
        ValueRef::Real(number) => of_unix(number.floor() as i64),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).ok()?;
            if kind == StoredMoment::Time.as_str() {
                return Some(NaiveDate::MIN.and_time(NaiveTime::from_str(text).ok()?));
            }
            let date = NaiveDate::from_str(text.get(..10)?).ok()?;
            let time = text.get(11..).map(|time| time.trim_end_matches('Z')).unwrap_or_default();
            let time = if time.is_empty() { NaiveTime::MIN } else { NaiveTime::from_str(time).ok()? };
            Some(date.and_time(time))
        }
    }
}
