//! Filters: which records a query reads or writes.
//!
//! A [`Filter`] is a tree of conditions. `parse.rs` parses it from JSON in NocoBase's notation, and
//! `variables.rs` resolves the variables of that JSON before. `condition.rs` compiles it to a condition of an
//! SQL statement; `comparison.rs`, `text.rs` and `date_bounds.rs` compile the groups of operators. A
//! condition may be on a record of another collection (`author.company.name`), which `joins.rs` joins.
//! `matcher.rs` evaluates a filter on records in memory.
//!
//! Nulls behave as in SQL: a comparison with null is neither true nor false, except for the operators that
//! say otherwise (`$ne`, `$notIn`, `$isFalsy`, `$empty`).

use chrono::{DateTime, FixedOffset, Utc};
use serde_json::Value;

use super::Collection;

mod calendar;
mod combine;
mod comparison;
mod condition;
mod date_bounds;
mod dates;
mod joins;
mod matcher;
mod operator;
mod parse;
mod text;
mod unrestricted;
mod variables;

pub(super) use combine::never;
pub(super) use comparison::{collated, compare, equal, exact_operands};
pub(super) use condition::{Compiler, condition};
pub(super) use joins::Joins;
pub use operator::Operator;
pub use variables::{Variables, check_variables, depends_on_time, has_variables, resolve};

/// A condition on the records of a collection.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Filter {
    /// Matches all records.
    #[default]
    All,
    /// Matches all records. The path must exist, but nothing is required of its value (`{"author": {}}`).
    PathCheck(String),
    /// Matches the records that fulfil one condition.
    Condition(Condition),
    /// Matches the records that match each of these; without any, all records.
    And(Vec<Filter>),
    /// Matches the records that match at least one of these; without any, no record.
    Or(Vec<Filter>),
    /// Matches the records that the inner filter does not match.
    Not(Box<Filter>),
}

/// A condition on a field of a record, or of a record that is associated with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The name of the field, after the associations that lead to it: `author.name`.
    pub path: String,
    /// The comparison.
    pub operator: Operator,
    /// The operand.
    pub value: Value,
}

/// The time at which a filter is evaluated, and the requester's time zone: `today` depends on both.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The zone of dates that do not state one.
    pub timezone: FixedOffset,
    /// The current time.
    pub now: DateTime<Utc>,
}

impl Clock {
    /// Returns the current time in UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self { timezone: Utc.fix_offset(), now: Utc::now() }
    }

    /// Returns the current time in a zone that a client states: `+08:00`. `None` if the text is not a zone.
    #[must_use]
    pub fn of(timezone: &str) -> Option<Self> {
        Some(Self { timezone: dates::timezone(timezone)?, now: Utc::now() })
    }
}

trait FixOffset {
    fn fix_offset(&self) -> FixedOffset;
}

impl FixOffset for Utc {
    fn fix_offset(&self) -> FixedOffset {
        chrono::Offset::fix(self)
    }
}

impl Filter {
    /// Returns a filter of one condition.
    pub fn on(path: impl Into<String>, operator: Operator, value: impl Into<Value>) -> Self {
        Self::Condition(Condition { path: path.into(), operator, value: value.into() })
    }

    /// Matches records whose field has this value; null matches records without a value.
    pub fn eq(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::on(field, Operator::Eq, value)
    }

    /// Matches records whose field has another value or none; null matches records with a value.
    pub fn ne(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::on(field, Operator::Ne, value)
    }

    /// Matches records whose field has one of these values; with null among them, also records without a
    /// value.
    pub fn one_of(field: impl Into<String>, values: Vec<Value>) -> Self {
        Self::on(field, Operator::In, values)
    }

    /// Matches records whose field is less than the value.
    pub fn less(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::on(field, Operator::Lt, value)
    }

    /// Matches records whose field is greater than the value.
    pub fn greater(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::on(field, Operator::Gt, value)
    }

    /// Matches no record.
    #[must_use]
    pub const fn never() -> Self {
        Self::Or(Vec::new())
    }

    /// Parses a filter in NocoBase's notation. Whether its fields exist and its operands fit them is checked
    /// when it is used.
    ///
    /// # Errors
    /// [`super::DataError::Refused`] with what is wrong.
    pub fn parse(given: &Value) -> Result<Self, super::DataError> {
        parse::filter(given)
    }

    /// Matches the records that match both filters.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, other) => other,
            (own, Self::All) => own,
            (Self::And(mut parts), other) => {
                parts.push(other);
                Self::And(parts)
            }
            (own, other) => Self::And(vec![own, other]),
        }
    }

    /// Returns the paths of all conditions.
    pub(super) fn paths(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.collect_paths(&mut found);
        found
    }

    /// Whether a condition is on an associated record, and not on the collection's own fields.
    pub(super) fn uses_associations(&self, collection: &Collection) -> bool {
        self.paths().into_iter().any(|path| {
            let first = path.split_once('.').map_or(path, |(first, _)| first);
            collection.associated(first).is_some()
        })
    }

    fn collect_paths<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::All => {}
            Self::PathCheck(path) => found.push(path),
            Self::Condition(condition) => {
                found.push(&condition.path);
                if condition.operator == Operator::Col {
                    found.extend(condition.value.as_str());
                }
            }
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.collect_paths(found)),
            Self::Not(inner) => inner.collect_paths(found),
        }
    }
}
