//! Combines conditions with AND and OR.

use sea_query::{Condition, Expr, ExprTrait};

/// How many conditions are combined at one level.
const MAX_WIDTH: usize = 64;

/// Combines conditions with AND (`Condition::all`) or OR (`Condition::any`) into a balanced tree. In a flat
/// chain each condition would nest one level deeper: SQLite allows 1000 levels, and the recursion that writes
/// the statement is limited by its stack.
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

/// Returns a condition that no record fulfils.
pub(in crate::data) fn never() -> Condition {
    Condition::from(Expr::val(1).eq(0))
}
