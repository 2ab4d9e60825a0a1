//! Operators on texts: substrings, `LIKE` patterns and regular expressions.

use sea_query::{Condition, Expr, ExprTrait, LikeExpr};
use serde_json::Value;

use super::combine::combine_all;
use crate::data::records::value;
use crate::data::text::Text;
use crate::data::{DataError, Field, FieldType};
use crate::database::{Engine, Pattern, Position};

/// The escape character of `LIKE` patterns; every engine accepts it.
const ESCAPE: char = '!';

/// Returns the condition that a text contains one of the given texts at `position`, ignoring case, or (not
/// `wanted`) none of them. It is unknown for null.
pub(super) fn substring(
    engine: Engine,
    column: Expr,
    field: &Field,
    given: &Value,
    position: Position,
    wanted: bool,
) -> Result<Condition, DataError> {
    if given.is_null() {
        let null = if wanted { column.is_null() } else { column.is_not_null() };
        return Ok(Condition::all().add(null));
    }
    let text = searchable_column(engine, column, field)?;
    let patterns = substring_patterns(field, given, position)?;
    let mut conditions: Vec<Condition> =
        patterns.iter().map(|pattern| fits(engine, text.clone(), pattern, wanted).into()).collect();
    if conditions.is_empty() && wanted {
        conditions.push(Expr::val(1).eq(0).into());
    }
    Ok(combine_all(if wanted { Condition::any } else { Condition::all }, conditions))
}

/// Returns the patterns that find `given`, one text or several, at `position`.
pub(super) fn substring_patterns(
    field: &Field,
    given: &Value,
    position: Position,
) -> Result<Vec<Pattern>, DataError> {
    let parts = match given {
        Value::Array(parts) => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    let pattern = |part| {
        let text = operand(field, part)?;
        Pattern::part(text.as_str(), position).map_err(|problem| value::invalid(field, problem))
    };
    parts.iter().map(pattern).collect()
}

/// Returns the condition that a text matches a pattern with `%` and `_`, which a backslash escapes.
pub(super) fn like(
    engine: Engine,
    column: Expr,
    field: &Field,
    given: &Value,
    wanted: bool,
) -> Result<Condition, DataError> {
    let text = searchable_column(engine, column, field)?;
    let mut pattern = String::new();
    let given = operand(field, given)?;
    let mut characters = given.as_str().chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                if let Some(next @ ('%' | '_')) = characters.clone().next() {
                    characters.next();
                    pattern.extend([ESCAPE, next]);
                } else {
                    pattern.push('\\');
                }
            }
            ESCAPE => pattern.extend([ESCAPE, ESCAPE]),
            other => pattern.push(other),
        }
    }
    let pattern = LikeExpr::new(pattern).escape(ESCAPE);
    Ok(Condition::all().add(if wanted { text.like(pattern) } else { text.not_like(pattern) }))
}

/// As [`like`], ignoring case.
pub(super) fn ilike(
    engine: Engine,
    column: Expr,
    field: &Field,
    given: &Value,
    wanted: bool,
) -> Result<Condition, DataError> {
    let text = searchable_column(engine, column, field)?;
    Ok(Condition::all().add(fits(engine, text, &ilike_pattern(field, given)?, wanted)))
}

/// Returns the pattern of `LIKE` that ignores case.
pub(super) fn ilike_pattern(field: &Field, given: &Value) -> Result<Pattern, DataError> {
    Pattern::like(operand(field, given)?.as_str()).map_err(|problem| value::invalid(field, problem))
}

/// Returns the condition that a text matches a regular expression.
pub(super) fn regex(
    engine: Engine,
    column: Expr,
    field: &Field,
    given: &Value,
    exact: bool,
    wanted: bool,
) -> Result<Condition, DataError> {
    let pattern = regex_pattern(field, given, exact)?;
    Ok(Condition::all().add(fits(engine, column, &pattern, wanted)))
}

/// Compiles a regular expression for the texts of a field.
pub(super) fn regex_pattern(field: &Field, given: &Value, exact: bool) -> Result<Pattern, DataError> {
    if !field.kind().is_text() {
        return Err(value::invalid(field, "it is not a text, and only texts match patterns"));
    }
    Pattern::regular(operand(field, given)?.as_str(), exact)
        .map_err(|problem| value::invalid(field, format!("the pattern is invalid: {problem}")))
}

fn fits(engine: Engine, text: Expr, pattern: &Pattern, wanted: bool) -> Expr {
    let fits = engine.matches(text, pattern);
    if wanted { fits } else { fits.not() }
}

/// Returns the column as a text; numbers in plain decimal notation.
fn searchable_column(engine: Engine, column: Expr, field: &Field) -> Result<Expr, DataError> {
    check_searchable(field)?;
    Ok(if field.kind().is_text() { column } else { engine.as_text(column) })
}

/// Checks that texts can be searched in the field's values.
pub(super) fn check_searchable(field: &Field) -> Result<(), DataError> {
    let kind = field.kind();
    if kind.is_text() || kind.is_whole() || matches!(kind, FieldType::Decimal { .. }) {
        return Ok(());
    }
    Err(value::invalid(field, "it is not a text, and cannot be searched"))
}

pub(super) fn operand(field: &Field, given: &Value) -> Result<Text, DataError> {
    match given {
        Value::String(text) => Text::new(field, text.as_str()),
        Value::Number(number) => Text::new(field, number.to_string()),
        Value::Bool(value) => Text::new(field, value.to_string()),
        _ => Err(value::invalid(field, "a text can be searched for texts only")),
    }
}
