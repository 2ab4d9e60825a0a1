//! Conditions made of others, and the condition that no record meets.

use sea_query::{Condition, Expr, ExprTrait};

/// Parts of a condition that stand side by side.
const MAX_WIDTH: usize = 64;

/// Conditions of which all, or any, are to hold. Each further one in a row is one level deeper: SQLite
/// goes down 1000, and who writes the statement has a stack to go down on.
pub(super) fn combine_all(new: fn() -> Condition, mut parts: Vec<Condition>) -> Condition {
    while parts.len() > MAX_WIDTH {
        let mut rest = parts.into_iter().peekable();
        parts = Vec::new();
        while rest.peek().is_some() {
            parts.push(rest.by_ref().take(MAX_WIDTH).fold(new(), Condition::add));
        }
    }
    parts.into_iter().fold(new(), Condition::add)
}

/// No record meets it.
pub(in crate::data) fn never() -> Condition {
    Condition::from(Expr::val(1).eq(0))
}
