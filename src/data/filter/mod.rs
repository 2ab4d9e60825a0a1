//! Which records are meant.
//!
//! A [`Filter`] is a tree of conditions; `parse.rs` reads it from JSON in NocoBase's notation,
//! `condition.rs` writes it as a condition of a statement, with `text.rs`, `moments.rs` and the
//! expressions of [`crate::database`] for what is more than a comparison. A condition may be on a
//! record of another collection (`author.company.name`): `joins.rs` brings those in.
//!
//! Nulls are SQL's: compared with anything they neither fit nor fit not, but for the operators that
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

/// Which records are meant.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Filter {
    /// All of them.
    #[default]
    All,
    /// All of them: a path is named and nothing is said of what it leads to, which must exist.
    PathCheck(String),
    /// Those that fit one condition.
    Condition(Condition),
    /// Those that fit each of these; without any, all.
    And(Vec<Filter>),
    /// Those that fit one of these; without any, none.
    Or(Vec<Filter>),
    /// Those that do not fit.
    Not(Box<Filter>),
}

/// One condition on a field of the record, or of one that is associated with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The field, behind the associations that lead to it: `author.name`.
    pub path: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub value: Value,
}

/// What a filter needs to know of whoever asks: dates are of a zone, and some are of today.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The zone that dates without one are of.
    pub timezone: FixedOffset,
    /// Now.
    pub now: DateTime<Utc>,
}

impl Clock {
    /// Now, in UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self { timezone: Utc.fix_offset(), now: Utc::now() }
    }

    /// Now, in the zone that a client says it is in: `+08:00`. `None` when that is no zone.
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
    /// One condition.
    pub fn on(path: impl Into<String>, operator: Operator, value: impl Into<Value>) -> Self {
        Self::Condition(Condition { path: path.into(), operator, value: value.into() })
    }

    /// Those whose field has this value (null: those without one).
    pub fn eq(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::on(field, Operator::Eq, value)
    }

    /// Those whose field has another value, or none (null: those with any).
    pub fn ne(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::on(field, Operator::Ne, value)
    }

    /// Those whose field has one of these values (null among them: or none).
    pub fn one_of(field: impl Into<String>, values: Vec<Value>) -> Self {
        Self::on(field, Operator::In, values)
    }

    /// Those whose field is less.
    pub fn less(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::on(field, Operator::Lt, value)
    }

    /// Those whose field is greater.
    pub fn greater(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::on(field, Operator::Gt, value)
    }

    /// None of them.
    #[must_use]
    pub const fn never() -> Self {
        Self::Or(Vec::new())
    }

    /// Reads a filter in NocoBase's notation. Whether the fields exist and the values fit them is
    /// found out when it is used.
    ///
    /// # Errors
    /// [`super::DataError::Refused`] with what is wrong of it.
    pub fn parse(given: &Value) -> Result<Self, super::DataError> {
        parse::filter(given)
    }

    /// Those that fit both.
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

    /// The paths of all its conditions.
    pub(super) fn paths(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.collect_paths(&mut found);
        found
    }

    /// Whether it looks at records of other collections than this one, whose records are meant.
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
