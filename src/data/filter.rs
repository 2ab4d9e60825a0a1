//! Which records are meant.
//!
//! A filter divides all records in two: those that fit and those that do not. SQL has a third
//! answer, "unknown", wherever a value is null; here a record without a value is simply different
//! from every value, and `Not` gives exactly the records that the filter inside does not.

use sea_query::{Cond, Condition, Expr, ExprTrait, Func, LikeExpr};
use serde_json::Value;

use super::records::value;
use super::{Collection, DataError, Field, FieldType};

/// What makes a wildcard of `LIKE` an ordinary character; every engine reads it the same.
const ESCAPE: char = '!';

/// Which records are meant.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Filter {
    /// All of them.
    #[default]
    All,
    /// Those whose field has this value (null: those without one).
    Eq(String, Value),
    /// Those whose field has another value, or none (null: those with any).
    Ne(String, Value),
    /// Those whose field is a text that has this one in it, upper or lower case.
    Includes(String, String),
    /// Those whose field has one of these values (null among them: or none).
    In(String, Vec<Value>),
    /// Those whose field is less.
    Lt(String, Value),
    /// Those whose field is less or equal.
    Lte(String, Value),
    /// Those whose field is greater.
    Gt(String, Value),
    /// Those whose field is greater or equal.
    Gte(String, Value),
    /// Those that fit each of these; without any, all.
    And(Vec<Filter>),
    /// Those that fit one of these; without any, none.
    Or(Vec<Filter>),
    /// Those that do not fit.
    Not(Box<Filter>),
}

impl Filter {
    /// Those whose field has this value.
    pub fn eq(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::Eq(field.into(), value.into())
    }

    /// Those that fit both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::And(vec![self, other])
    }

    /// As a condition on a collection's table.
    pub(super) fn condition(&self, collection: &Collection) -> Result<Condition, DataError> {
        self.build(collection, true)
    }

    /// The condition for those that fit (`wanted`) or for all others.
    fn build(&self, collection: &Collection, wanted: bool) -> Result<Condition, DataError> {
        match self {
            Self::All => Ok(always(wanted)),
            Self::Not(inner) => inner.build(collection, !wanted),
            // De Morgan: not all of them means at least one of them not.
            Self::And(parts) => join(parts, collection, wanted, wanted),
            Self::Or(parts) => join(parts, collection, wanted, !wanted),
            Self::Eq(field, value) => equality(collection, field, std::slice::from_ref(value), wanted),
            Self::Ne(field, value) => equality(collection, field, std::slice::from_ref(value), !wanted),
            Self::In(field, values) => equality(collection, field, values, wanted),
            Self::Includes(field, part) => includes(collection, field, part, wanted),
            Self::Lt(field, value) => order(collection, field, value, wanted, Expr::lt, Expr::gte),
            Self::Lte(field, value) => order(collection, field, value, wanted, Expr::lte, Expr::gt),
            Self::Gt(field, value) => order(collection, field, value, wanted, Expr::gt, Expr::lte),
            Self::Gte(field, value) => order(collection, field, value, wanted, Expr::gte, Expr::lt),
        }
    }
}

fn always(yes: bool) -> Condition {
    // An empty "all of" adds nothing to a statement; what never holds needs to be said.
    if yes { Cond::all() } else { Cond::all().add(Expr::val(1).eq(0)) }
}

fn join(
    parts: &[Filter],
    collection: &Collection,
    wanted: bool,
    all_of: bool,
) -> Result<Condition, DataError> {
    if parts.is_empty() {
        return Ok(always(all_of));
    }
    let mut condition = if all_of { Cond::all() } else { Cond::any() };
    for part in parts {
        let built = part.build(collection, wanted)?;
        // What always holds is an empty condition, which "any of" would lose.
        let built = if built.is_empty() { Cond::all().add(Expr::val(1).eq(1)) } else { built };
        condition = condition.add(built);
    }
    Ok(condition)
}

fn comparable<'a>(collection: &'a Collection, name: &str) -> Result<&'a Field, DataError> {
    let field = collection.known(name)?;
    if field.kind == FieldType::Json {
        return Err(value::invalid(field, "JSON documents cannot be compared"));
    }
    Ok(field)
}

fn equality(
    collection: &Collection,
    name: &str,
    values: &[Value],
    wanted: bool,
) -> Result<Condition, DataError> {
    let field = comparable(collection, name)?;
    let column = || Expr::col(field.name().to_owned());
    let with_null = values.iter().any(Value::is_null);
    let given = values.iter().filter(|value| !value.is_null());
    let given: Vec<_> = given.map(|value| value::from_json(field, value)).collect::<Result<_, _>>()?;
    let some = match given.as_slice() {
        [] => None,
        [one] if wanted => Some(column().eq(one.clone())),
        [one] => Some(column().ne(one.clone())),
        _ if wanted => Some(column().is_in(given)),
        _ => Some(column().is_not_in(given)),
    };
    Ok(match (some, with_null, wanted) {
        (None, false, _) => always(!wanted),
        (None, true, true) => Cond::all().add(column().is_null()),
        (None, true, false) => Cond::all().add(column().is_not_null()),
        // Compared with null, every comparison is unknown, which counts as no.
        (Some(some), false, true) | (Some(some), true, false) => Cond::all().add(some),
        (Some(some), true, true) | (Some(some), false, false) => {
            Cond::any().add(some).add(column().is_null())
        }
    })
}

fn includes(collection: &Collection, name: &str, part: &str, wanted: bool) -> Result<Condition, DataError> {
    let field = collection.known(name)?;
    if !matches!(field.kind, FieldType::String | FieldType::Text) {
        return Err(value::invalid(field, "it is no text, in which others could be looked for"));
    }
    let mut pattern = String::from("%");
    for character in part.to_lowercase().chars() {
        if matches!(character, '%' | '_' | ESCAPE) {
            pattern.push(ESCAPE);
        }
        pattern.push(character);
    }
    pattern.push('%');
    let column = || Expr::col(field.name().to_owned());
    let lower = Expr::expr(Func::lower(column()));
    let pattern = LikeExpr::new(pattern).escape(ESCAPE);
    Ok(if wanted {
        Cond::all().add(lower.like(pattern))
    } else {
        Cond::any().add(lower.not_like(pattern)).add(column().is_null())
    })
}

fn order(
    collection: &Collection,
    name: &str,
    value: &Value,
    wanted: bool,
    fits: fn(Expr, sea_query::Value) -> Expr,
    fits_not: fn(Expr, sea_query::Value) -> Expr,
) -> Result<Condition, DataError> {
    let field = comparable(collection, name)?;
    if value.is_null() {
        return Err(value::invalid(field, "nothing is less or greater than null"));
    }
    let value = value::from_json(field, value)?;
    let column = || Expr::col(field.name().to_owned());
    Ok(if wanted {
        Cond::all().add(fits(column(), value))
    } else {
        Cond::any().add(fits_not(column(), value)).add(column().is_null())
    })
}
