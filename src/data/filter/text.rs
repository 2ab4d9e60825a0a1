//! Texts that are looked for in others, upper or lower case, with every character meaning itself.

use sea_query::{Condition, Expr, ExprTrait, Func, LikeExpr};
use serde_json::Value;

use super::condition::side_by_side;
use super::pattern;
use crate::data::records::value;
use crate::data::{DataError, Field};
use crate::database::Engine;

/// What makes a wildcard of `LIKE` an ordinary character; every engine reads it the same.
const ESCAPE: char = '!';

/// Where in a text another one is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    Beginning,
    End,
}

/// Texts that have one of `parts` at a place, or (not `wanted`) none of them. Null is neither.
pub(super) fn part(
    engine: Engine,
    column: Expr,
    field: &Field,
    given: &Value,
    place: Place,
    wanted: bool,
) -> Result<Condition, DataError> {
    if given.is_null() {
        let null = if wanted { column.is_null() } else { column.is_not_null() };
        return Ok(Condition::all().add(null));
    }
    let text = searched(engine, column, field)?;
    let parts = match given {
        Value::Array(parts) => parts.iter().collect(),
        other => vec![other],
    };
    let mut conditions = Vec::with_capacity(parts.len());
    for part in parts {
        let pattern = LikeExpr::new(pattern(&operand(field, part)?, place)).escape(ESCAPE);
        let lower = Expr::expr(Func::lower(text.clone()));
        conditions.push(if wanted { lower.like(pattern) } else { lower.not_like(pattern) }.into());
    }
    if conditions.is_empty() && wanted {
        conditions.push(Expr::val(1).eq(0).into());
    }
    Ok(side_by_side(if wanted { Condition::any } else { Condition::all }, conditions))
}

/// Texts that fit a pattern with `%` and `_`, where a backslash makes one of them ordinary.
pub(super) fn like(
    engine: Engine,
    column: Expr,
    field: &Field,
    given: &Value,
    exact: bool,
    wanted: bool,
) -> Result<Condition, DataError> {
    let text = searched(engine, column, field)?;
    let mut pattern = String::new();
    let given = operand(field, given)?;
    let mut characters = given.chars();
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
    let (text, pattern) =
        if exact { (text, pattern) } else { (Expr::expr(Func::lower(text)), pattern.to_lowercase()) };
    let pattern = LikeExpr::new(pattern).escape(ESCAPE);
    Ok(Condition::all().add(if wanted { text.like(pattern) } else { text.not_like(pattern) }))
}

/// Texts that fit a regular expression.
pub(super) fn matching(
    engine: Engine,
    column: Expr,
    field: &Field,
    given: &Value,
    exact: bool,
    wanted: bool,
) -> Result<Condition, DataError> {
    if !field.kind().is_text() {
        return Err(value::invalid(field, "it is no text, which could fit a pattern"));
    }
    let pattern = pattern::written(&operand(field, given)?, engine)
        .map_err(|problem| value::invalid(field, format!("the pattern cannot be read: {problem}")))?;
    // What is small when written may be large when it is read.
    if regex::RegexBuilder::new(&pattern.replace(r"\z", "$")).size_limit(1 << 20).build().is_err() {
        return Err(value::invalid(field, "the pattern is too large"));
    }
    let fits = engine.matches(column, &pattern, exact);
    Ok(Condition::all().add(if wanted { fits } else { fits.not() }))
}

/// The column as a text; numbers as people write them.
fn searched(engine: Engine, column: Expr, field: &Field) -> Result<Expr, DataError> {
    let kind = field.kind();
    if kind.is_text() {
        Ok(column)
    } else if kind.is_whole() || matches!(kind, crate::data::FieldType::Decimal { .. }) {
        Ok(engine.as_text(column))
    } else {
        Err(value::invalid(field, "it is no text, in which others could be looked for"))
    }
}

fn operand(field: &Field, given: &Value) -> Result<String, DataError> {
    match given {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        _ => Err(value::invalid(field, "only a text can be looked for in a text")),
    }
}

fn pattern(part: &str, place: Place) -> String {
    let mut pattern = String::new();
    if place != Place::Beginning {
        pattern.push('%');
    }
    for character in part.to_lowercase().chars() {
        if matches!(character, '%' | '_' | ESCAPE) {
            pattern.push(ESCAPE);
        }
        pattern.push(character);
    }
    if place != Place::End {
        pattern.push('%');
    }
    pattern
}
