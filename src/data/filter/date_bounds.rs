//! Date operators: compiles a period to bounds on a field, up to the ends of its range.
//!
//! A period may end outside of what a field can hold: the day 9999-12-31 ends in the year 10000, and west of
//! Greenwich it starts there too. No record has such a value, so that a bound outside is replaced by the
//! nearest one inside. Bound as it is, it would be a text of another length on SQLite and an invalid date on
//! MariaDB.

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
/// Stored digits of the fraction of a second: milliseconds.
const FRACTION_DIGITS: u16 = 3;

/// Returns the condition that a field lies within the period of a date operator, before it or after it.
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

/// Returns the bounds that a date operator sets. A value must satisfy all of them; with `$dateNotOn`, one of
/// them.
///
/// # Errors
/// [`DataError::Invalid`] if the field is not a date, or if no field can hold the value.
pub(super) fn bounds(
    field: &Field,
    operator: Operator,
    given: &Value,
    clock: Clock,
) -> Result<Vec<DateBound>, DataError> {
    if !field.kind().is_date() {
        return Err(value::invalid(
            field,
            format!("{} is for dates, which this field is not", operator.name()),
        ));
    }
    let invalid = |error: InvalidDate| value::invalid(field, error.to_string());
    let expression = dates::parse(given, clock.timezone, clock.now).map_err(invalid)?;
    // Values without a zone are compared with the local time of the requester.
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

/// The smallest difference of two instants.
const SMALLEST_STEP: chrono::TimeDelta = chrono::TimeDelta::nanoseconds(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum BoundSide {
    From,
    Until,
}

/// Moves a bound into the range of a field. Also returns whether the bound is exclusive then.
fn clamp(at: NaiveDateTime, side: BoundSide, exclusive: bool) -> (NaiveDateTime, bool) {
    if at.year() < *YEARS.start() {
        // Every value is after it, none before it.
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
    // No stored value lies between two milliseconds.
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

/// A bound on the values of a field, in the form in which the field stores them.
pub(super) struct DateBound {
    pub(super) value: database::Value,
    pub(super) operator: Operator,
}

impl DateBound {
    fn new(field: &Field, at: NaiveDateTime, side: BoundSide, exclusive: bool) -> Self {
        let (at, exclusive) = clamp(at, side, exclusive);
        let (value, exclusive) = match field.kind() {
            FieldType::DateOnly => {
                // A date is before or after an instant within a day exactly if it is before or after that
                // day.
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
