//! Date operators as conditions, up to both ends of what a field can hold.
//!
//! What a filter names may end where no field can follow: the day 9999-12-31 ends in the year 10000,
//! and west of Greenwich it begins there too. Beyond the ends of the calendar nothing is stored, so a
//! moment there is the nearest that can be: bound as it is, it would be a text of another width on
//! SQLite and no date at all on MariaDB.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound, Utc};
use sea_query::{Cond, Condition, Expr, ExprTrait};
use serde_json::Value;

use super::dates::{self, DateExpression, InvalidDate};
use super::{Clock, Operator};
use crate::data::records::value;
use crate::data::{DataError, Field, FieldType};
use crate::database;

/// Years that a field can hold.
const YEARS: std::ops::RangeInclusive<i32> = 0..=9999;
/// What is kept of a second: milliseconds.
const DECIMALS: u16 = 3;

/// The condition that a field is within what a date operator's value names, before it, after it …
///
/// # Errors
/// [`DataError::Invalid`] when the field is no date, or the value none that a field could hold.
pub(super) fn condition(
    column: &Expr,
    field: &Field,
    operator: Operator,
    given: &Value,
    clock: Clock,
) -> Result<Condition, DataError> {
    if !field.kind().is_date() {
        return Err(value::invalid(field, format!("{} is for dates, and it is none", operator.name())));
    }
    let invalid = |error: InvalidDate| value::invalid(field, error.to_string());
    let expression = dates::parse(given, clock.timezone, clock.now).map_err(invalid)?;
    // What is of no zone is compared with what a clock on the wall shows: of whoever asks.
    let on_the_wall = |at: DateTime<Utc>| match field.kind() {
        FieldType::DateOnly | FieldType::DateTimeNoTz => at.with_timezone(&clock.timezone).naive_local(),
        _ => at.naive_utc(),
    };
    let (start, start_exclusive, end, end_inclusive) = match expression {
        DateExpression::Instant(at) => (at.naive_utc(), false, at.naive_utc(), true),
        DateExpression::Range { start, start_exclusive, end, end_inclusive } => {
            (on_the_wall(start), start_exclusive, on_the_wall(end), end_inclusive)
        }
    };
    let last = if end_inclusive { end } else { end.checked_sub_signed(LEAST).unwrap_or(end) };
    if start.year() > *YEARS.end() || last.year() < *YEARS.start() {
        return Err(invalid(InvalidDate::OutOfReach));
    }
    let from = |at, exclusive: bool| edge(column, field, at, Side::From, exclusive);
    let until = |at, inclusive: bool| edge(column, field, at, Side::Until, !inclusive);
    Ok(match operator {
        Operator::DateNotOn => Cond::any().add(until(start, start_exclusive)).add(from(end, end_inclusive)),
        Operator::DateBefore => Condition::from(until(start, start_exclusive)),
        Operator::DateNotBefore => Condition::from(from(start, start_exclusive)),
        Operator::DateAfter => Condition::from(from(end, end_inclusive)),
        Operator::DateNotAfter => Condition::from(until(end, end_inclusive)),
        _ => Cond::all().add(from(start, start_exclusive)).add(until(end, end_inclusive)),
    })
}

/// The least that one moment can be before another.
const LEAST: chrono::TimeDelta = chrono::TimeDelta::nanoseconds(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    From,
    Until,
}

/// The moment that a field is compared with in place of another, and whether it is left out itself.
fn within_reach(at: NaiveDateTime, side: Side, exclusive: bool) -> (NaiveDateTime, bool) {
    if at.year() < *YEARS.start() {
        // After it is everything, before it nothing.
        return (NaiveDate::from_ymd_opt(*YEARS.start(), 1, 1).map_or(at, first_of), side == Side::Until);
    }
    if at.year() > *YEARS.end() {
        return (NaiveDate::from_ymd_opt(*YEARS.end(), 12, 31).map_or(at, last_of), side == Side::From);
    }
    // Nothing that is stored is between two milliseconds.
    let kept = at.trunc_subsecs(DECIMALS);
    (kept, if kept == at { exclusive } else { side == Side::From })
}

fn first_of(day: NaiveDate) -> NaiveDateTime {
    day.and_time(NaiveTime::MIN)
}

fn last_of(day: NaiveDate) -> NaiveDateTime {
    let last = NaiveTime::from_hms_milli_opt(23, 59, 59, 999).unwrap_or(NaiveTime::MIN);
    day.and_time(last)
}

/// The condition that a field is on one side of a moment, as the field keeps moments.
fn edge(column: &Expr, field: &Field, at: NaiveDateTime, side: Side, exclusive: bool) -> Expr {
    let (at, exclusive) = within_reach(at, side, exclusive);
    let column = column.clone();
    let compare = |column: Expr, value: database::Value, exclusive| {
        let value = sea_query::Value::from(value);
        match (side, exclusive) {
            (Side::From, true) => column.gt(value),
            (Side::From, false) => column.gte(value),
            (Side::Until, true) => column.lt(value),
            (Side::Until, false) => column.lte(value),
        }
    };
    match field.kind() {
        FieldType::DateOnly => {
            // Within a day, a date before or after it is before or after the moment too.
            let midnight = at.time() == NaiveTime::MIN;
            let exclusive = if midnight { exclusive } else { side == Side::From };
            compare(column, database::Value::Date(at.date()), exclusive)
        }
        FieldType::DateTimeNoTz => compare(column, database::Value::DateTimeNoTz(at), exclusive),
        FieldType::UnixTimestamp { milliseconds } => {
            let at = at.and_utc();
            let (number, exact) = if milliseconds {
                (at.timestamp_millis(), true)
            } else {
                (at.timestamp(), at.timestamp_subsec_millis() == 0)
            };
            let exclusive = if exact { exclusive } else { side == Side::From };
            compare(column, database::Value::Integer(number), exclusive)
        }
        _ => compare(column, database::Value::DateTime(at.and_utc()), exclusive),
    }
}
