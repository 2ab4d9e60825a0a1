//! Date operators as conditions, up to both ends of what a field can hold.
//!
//! What a filter names may end where no field can follow: the day 9999-12-31 ends in the year 10000,
//! and west of Greenwich it begins there too. Beyond the ends of the calendar nothing is stored, so a
//! moment there is the nearest that can be: bound as it is, it would be a text of another width on
//! SQLite and no date at all on MariaDB.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound, Utc};
use sea_query::{Cond, Condition, Expr};
use serde_json::Value;

use super::dates::{self, DateExpression, InvalidDate};
use super::{Clock, Operator, compare};
use crate::data::records::number::Representation;
use crate::data::records::value;
use crate::data::{DataError, Field, FieldType};
use crate::database;

/// Years that a field can hold.
const YEARS: std::ops::RangeInclusive<i32> = 0..=9999;
/// What is kept of a second: milliseconds.
const FRACTION_DIGITS: u16 = 3;

/// The condition that a field is within what a date operator's value names, before it, after it …
///
/// # Errors
/// As [`bounds`].
pub(super) fn condition(
    column: &Expr,
    field: &Field,
    operator: Operator,
    given: &Value,
    clock: Clock,
) -> Result<Condition, DataError> {
    let bounds = bounds(field, operator, given, clock)?;
    let new = if operator == Operator::DateNotOn { Cond::any } else { Cond::all };
    Ok(bounds.into_iter().fold(new(), |all, bound| all.add(bound.expression(column.clone()))))
}

/// The bounds that a date operator sets: a value keeps to all of them, with `$dateNotOn` to one.
///
/// # Errors
/// [`DataError::Invalid`] when the field is no date, or the value none that a field could hold.
pub(super) fn bounds(
    field: &Field,
    operator: Operator,
    given: &Value,
    clock: Clock,
) -> Result<Vec<DateBound>, DataError> {
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
    let last = if end_inclusive { end } else { end.checked_sub_signed(SMALLEST_STEP).unwrap_or(end) };
    if start.year() > *YEARS.end() || last.year() < *YEARS.start() {
        return Err(invalid(InvalidDate::OutOfReach));
    }
    let from = |at, exclusive: bool| DateBound::new(field, at, BoundSide::From, exclusive);
    let until = |at, inclusive: bool| DateBound::new(field, at, BoundSide::Until, !inclusive);
    Ok(match operator {
        Operator::DateNotOn => vec![until(start, start_exclusive), from(end, end_inclusive)],
        Operator::DateBefore => vec![until(start, start_exclusive)],
        Operator::DateNotBefore => vec![from(start, start_exclusive)],
        Operator::DateAfter => vec![from(end, end_inclusive)],
        Operator::DateNotAfter => vec![until(end, end_inclusive)],
        _ => vec![from(start, start_exclusive), until(end, end_inclusive)],
    })
}

/// The least that one moment can be before another.
const SMALLEST_STEP: chrono::TimeDelta = chrono::TimeDelta::nanoseconds(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum BoundSide {
    From,
    Until,
}

/// The moment that a field is compared with in place of another, and whether it is left out itself.
fn clamp(at: NaiveDateTime, side: BoundSide, exclusive: bool) -> (NaiveDateTime, bool) {
    if at.year() < *YEARS.start() {
        // After it is everything, before it nothing.
        return (
            NaiveDate::from_ymd_opt(*YEARS.start(), 1, 1).map_or(at, start_of_day),
            side == BoundSide::Until,
        );
    }
    if at.year() > *YEARS.end() {
        return (
            NaiveDate::from_ymd_opt(*YEARS.end(), 12, 31).map_or(at, end_of_day),
            side == BoundSide::From,
        );
    }
    // Nothing that is stored is between two milliseconds.
    let kept = at.trunc_subsecs(FRACTION_DIGITS);
    (kept, if kept == at { exclusive } else { side == BoundSide::From })
}

fn start_of_day(day: NaiveDate) -> NaiveDateTime {
    day.and_time(NaiveTime::MIN)
}

fn end_of_day(day: NaiveDate) -> NaiveDateTime {
    let last = NaiveTime::from_hms_milli_opt(23, 59, 59, 999).unwrap_or(NaiveTime::MIN);
    day.and_time(last)
}

/// One end of what a field's values are compared with, as the field keeps moments.
pub(super) struct DateBound {
    pub(super) value: database::Value,
    pub(super) operator: Operator,
}

impl DateBound {
    fn new(field: &Field, at: NaiveDateTime, side: BoundSide, exclusive: bool) -> Self {
        let (at, exclusive) = clamp(at, side, exclusive);
        let (value, exclusive) = match field.kind() {
            FieldType::DateOnly => {
                // Parent a day, a date before or after it is before or after the moment too.
                let midnight = at.time() == NaiveTime::MIN;
                (database::Value::Date(at.date()), if midnight { exclusive } else { side == BoundSide::From })
            }
            FieldType::DateTimeNoTz => (database::Value::DateTimeNoTz(at), exclusive),
            FieldType::UnixTimestamp { milliseconds } => {
                let at = at.and_utc();
                let (number, exact) = if milliseconds {
                    (at.timestamp_millis(), true)
                } else {
                    (at.timestamp(), at.timestamp_subsec_millis() == 0)
                };
                (database::Value::Integer(number), if exact { exclusive } else { side == BoundSide::From })
            }
            _ => (database::Value::DateTime(at.and_utc()), exclusive),
        };
        let operator = match (side, exclusive) {
            (BoundSide::From, true) => Operator::Gt,
            (BoundSide::From, false) => Operator::Gte,
            (BoundSide::Until, true) => Operator::Lt,
            (BoundSide::Until, false) => Operator::Lte,
        };
        Self { value, operator }
    }

    fn expression(self, column: Expr) -> Expr {
        compare(column, Representation::Exact(Expr::val(sea_query::Value::from(self.value))), self.operator)
    }
}
