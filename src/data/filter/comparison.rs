//! Compares a field with values, exactly, however many digits a number has.
//!
//! A number that the field cannot hold (1.5 in a field of whole numbers, 10^30 in one of 64 bits) equals none
//! of its values, but it is greater or less than each of them. Such a number is replaced by the greatest
//! value below it. Therefore no engine compares a column with a number of another type, which each engine
//! would round differently, and an index serves every comparison.

use sea_query::{Cond, Condition, Expr, ExprTrait};
use serde_json::Value;

use super::Operator;
use super::combine::never;
use crate::data::records::number::Representation;
use crate::data::records::value;
use crate::data::{DataError, Engine, Field, FieldType};

/// Limit of the values in one comparison; every engine binds as many.
const MAX_VALUES: usize = 30_000;

/// Checks that a field can be compared at all.
pub(super) fn check_comparable(field: &Field) -> Result<(), DataError> {
    if field.kind == FieldType::Json || field.kind.is_list() {
        return Err(value::invalid(field, "JSON documents and lists cannot be compared"));
    }
    Ok(())
}

/// Converts operands to expressions and drops those that the field cannot hold.
pub(in crate::data) fn exact_operands<'a>(
    engine: Engine,
    field: &Field,
    given: impl Iterator<Item = &'a Value>,
) -> Result<Vec<Expr>, DataError> {
    keep_exact(given, |given| value::operand(engine, field, given))
}

/// Converts each value with `operand` and keeps those that the field can hold.
fn keep_exact<'a, T>(
    given: impl Iterator<Item = &'a Value>,
    operand: impl Fn(&Value) -> Result<Representation<T>, DataError>,
) -> Result<Vec<T>, DataError> {
    let mut exact = Vec::new();
    for given in given {
        if let Representation::Exact(value) = operand(given)? {
            exact.push(value);
        }
    }
    Ok(exact)
}

/// Returns an expression that sorts and compares in the same order on every engine.
pub(in crate::data) fn collated(engine: Engine, values: Expr, field: &Field) -> Expr {
    match field.kind() {
        kind if kind.is_text() => engine.in_text_order(values),
        _ => values,
    }
}

/// The operands of an equality operator.
pub(super) enum Operands<T> {
    /// An empty list.
    None,
    /// Null alone.
    Null,
    /// The values that the field can hold; `with_null` if null was among the operands.
    Values { exact: Vec<T>, with_null: bool },
}

impl<T> Operands<T> {
    /// Reads the operands and converts each with `operand`.
    pub(super) fn read(
        field: &Field,
        given: &[Value],
        operand: impl Fn(&Value) -> Result<Representation<T>, DataError>,
    ) -> Result<Self, DataError> {
        let with_null = given.iter().any(Value::is_null);
        if with_null && given.iter().all(Value::is_null) {
            return Ok(Self::Null);
        }
        check_comparable(field)?;
        if given.is_empty() {
            return Ok(Self::None);
        }
        if given.len() > MAX_VALUES {
            return Err(value::invalid(field, format!("a comparison takes at most {MAX_VALUES} values")));
        }
        let exact = keep_exact(given.iter().filter(|value| !value.is_null()), operand)?;
        Ok(Self::Values { exact, with_null })
    }
}

/// Returns the operands of `$eq`, `$is` and `$in`, which take one value or a list.
pub(super) fn equality_operands(given: &Value, in_list: bool) -> &[Value] {
    match given {
        Value::Array(values) => values.as_slice(),
        // `$in` with null is an empty list.
        Value::Null if in_list => &[],
        other => std::slice::from_ref(other),
    }
}

/// Returns the operands of `$ne`, `$not` and `$notIn`, which take one value or a list, and whether records
/// without a value match. In NocoBase they do, unless it passes SQL's own operator through.
pub(super) fn inequality_operands(given: &Value, operator: Operator) -> (&[Value], bool) {
    match given {
        Value::Array(values) => (values.as_slice(), operator == Operator::NotIn),
        other => (std::slice::from_ref(other), matches!(operator, Operator::NotIn | Operator::Ne)),
    }
}

/// Returns a condition that is true for every value and unknown for null.
fn true_unless_null(column: Expr) -> Expr {
    ExprTrait::eq(column.clone(), column)
}

/// Returns a condition that is false for every value and unknown for null.
fn false_unless_null(column: Expr) -> Expr {
    ExprTrait::ne(column.clone(), column)
}

/// Returns the condition that a field has one of these values.
pub(in crate::data) fn equal(
    engine: Engine,
    column: Expr,
    field: &Field,
    given: &Value,
    in_list: bool,
) -> Result<Condition, DataError> {
    let operands = Operands::read(field, equality_operands(given, in_list), |given| {
        value::operand(engine, field, given)
    })?;
    let (mut values, with_null) = match operands {
        Operands::None => return Ok(never()),
        Operands::Null => return Ok(Condition::from(column.is_null())),
        Operands::Values { exact, with_null } => (exact, with_null),
    };
    let null = with_null.then(|| column.clone().is_null());
    let some = match values.len() {
        0 => false_unless_null(column),
        1 => column.eq(values.remove(0)),
        _ => column.is_in(values),
    };
    Ok(match null {
        Some(null) => Cond::any().add(some).add(null),
        None => some.into(),
    })
}

/// Returns the condition that a field has none of these values.
pub(super) fn different(
    engine: Engine,
    column: Expr,
    field: &Field,
    given: &Value,
    operator: Operator,
) -> Result<Condition, DataError> {
    let (given, null_differs) = inequality_operands(given, operator);
    let operands = Operands::read(field, given, |given| value::operand(engine, field, given))?;
    let (mut values, with_null) = match operands {
        Operands::None => return Ok(Cond::all()),
        Operands::Null => return Ok(Condition::from(column.is_not_null())),
        Operands::Values { exact, with_null } => (exact, with_null),
    };
    let others = match values.len() {
        0 => true_unless_null(column.clone()),
        1 => column.clone().ne(values.remove(0)),
        _ => column.clone().is_not_in(values),
    };
    Ok(if null_differs && !with_null {
        Cond::any().add(others).add(column.is_null())
    } else {
        Condition::from(others)
    })
}

/// Returns the condition that a field is greater or less than a value.
pub(super) fn compared(
    engine: Engine,
    column: Expr,
    field: &Field,
    given: &Value,
    operator: Operator,
) -> Result<Condition, DataError> {
    check_comparable(field)?;
    if given.is_null() {
        return Err(value::invalid(field, "null is neither less nor greater than any value"));
    }
    let held = value::operand(engine, field, given)?;
    Ok(Condition::from(compare(collated(engine, column, field), held, operator)))
}

/// Returns the condition that a field lies between two values, or outside of them.
pub(super) fn within(
    engine: Engine,
    column: &Expr,
    field: &Field,
    given: &Value,
    wanted: bool,
) -> Result<Condition, DataError> {
    let Some([low, high]) = given.as_array().map(Vec::as_slice) else {
        return Err(value::invalid(field, "$between and $notBetween take two values"));
    };
    let by = |given, operator| compared(engine, column.clone(), field, given, operator);
    Ok(if wanted {
        Cond::all().add(by(low, Operator::Gte)?).add(by(high, Operator::Lte)?)
    } else {
        Cond::any().add(by(low, Operator::Lt)?).add(by(high, Operator::Gt)?)
    })
}

/// Compares a column with an operand, which the column may not be able to hold.
pub(in crate::data) fn compare(column: Expr, held: Representation<Expr>, operator: Operator) -> Expr {
    match (operator, held) {
        (Operator::Ne, Representation::Exact(value)) => column.ne(value),
        (Operator::Ne, _) => true_unless_null(column),
        (Operator::Gt, Representation::Exact(value))
        | (Operator::Gt | Operator::Gte, Representation::Above(value)) => column.gt(value),
        (Operator::Gte, Representation::Exact(value)) => column.gte(value),
        (Operator::Lt, Representation::Exact(value)) => column.lt(value),
        (Operator::Lte, Representation::Exact(value))
        | (Operator::Lt | Operator::Lte, Representation::Above(value)) => column.lte(value),
        (Operator::Gt | Operator::Gte, Representation::Below) => true_unless_null(column),
        (_, Representation::Exact(value)) => column.eq(value),
        (_, Representation::Above(_) | Representation::Below) => false_unless_null(column),
    }
}
