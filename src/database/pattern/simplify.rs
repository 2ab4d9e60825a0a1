//! Simplifies a pattern, so that fewer ways to match a text have to be tried.
//!
//! MySQL and MariaDB backtrack. For `(a|a)*` and `(a+)*` the number of ways to match grows exponentially; the
//! equivalent `a*` has one.

use std::collections::VecDeque;

use regex_syntax::hir::{Hir, HirKind, Repetition};

use super::parser::MAX_TIMES;

/// Simplifies a pattern.
pub(super) fn simplify(pattern: &Hir) -> Hir {
    match pattern.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => pattern.clone(),
        // Captures are never read.
        HirKind::Capture(group) => simplify(&group.sub),
        HirKind::Repetition(repeated) => repeat(repeated.min, repeated.max, &simplify(&repeated.sub)),
        HirKind::Concat(parts) => concat(parts.iter().map(simplify)),
        HirKind::Alternation(branches) => alternation(branches.iter().map(simplify)),
    }
}

/// Shortens a pattern that is searched for within a text: the length of the match does not matter, so that
/// repetitions at either end need only their minimum.
pub(super) fn shortest(pattern: &Hir) -> Hir {
    trimmed(&trimmed(pattern, PatternEnd::First), PatternEnd::Last)
}

/// The end of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PatternEnd {
    First,
    Last,
}

fn trimmed(pattern: &Hir, end: PatternEnd) -> Hir {
    match pattern.kind() {
        HirKind::Repetition(repeated) if repeated.max != Some(repeated.min) => {
            trimmed(&repetition(repeated.min, Some(repeated.min), (*repeated.sub).clone()), end)
        }
        HirKind::Alternation(branches) => alternation(branches.iter().map(|branch| trimmed(branch, end))),
        HirKind::Concat(parts) => {
            let mut parts: VecDeque<Hir> = parts.iter().cloned().collect();
            while let Some(part) = if end == PatternEnd::First { parts.pop_front() } else { parts.pop_back() }
            {
                let part = trimmed(&part, end);
                if matches!(part.kind(), HirKind::Empty) {
                    continue;
                }
                if end == PatternEnd::First {
                    parts.push_front(part)
                } else {
                    parts.push_back(part)
                }
                break;
            }
            Hir::concat(parts.into())
        }
        _ => pattern.clone(),
    }
}

fn alternation(branches: impl Iterator<Item = Hir>) -> Hir {
    let mut distinct = Vec::new();
    for branch in branches {
        if !distinct.contains(&branch) {
            distinct.push(branch);
        }
    }
    Hir::alternation(distinct)
}

/// Concatenates parts, and merges repetitions: `a*a*` becomes `a*`.
fn concat(parts: impl Iterator<Item = Hir>) -> Hir {
    let mut merged: Vec<Hir> = Vec::new();
    for part in parts {
        match merged.last().and_then(|last| merge(last, &part)) {
            Some(both) => {
                merged.pop();
                merged.push(both);
            }
            None => merged.push(part),
        }
    }
    Hir::concat(merged)
}

/// Merges two adjacent repetitions of the same.
fn merge(first: &Hir, second: &Hir) -> Option<Hir> {
    let (HirKind::Repetition(first), HirKind::Repetition(second)) = (first.kind(), second.kind()) else {
        return None;
    };
    let min = first.min + second.min;
    let max = first.max.zip(second.max).map(|(first, second)| first + second);
    let countable = min <= MAX_TIMES && max.is_none_or(|max| max <= MAX_TIMES);
    (first.sub == second.sub && countable).then(|| repetition(min, max, (*first.sub).clone()))
}

/// Repeats a simplified pattern.
fn repeat(min: u32, max: Option<u32>, pattern: &Hir) -> Hir {
    match pattern.kind() {
        HirKind::Empty => Hir::empty(),
        // (a+)*, (a?){3}: the inner repetition adds nothing.
        HirKind::Repetition(inner) if inner.min <= 1 && matches!(inner.max, None | Some(1)) => {
            let all = if inner.max.is_none() { None } else { max };
            repetition(min * inner.min, all, (*inner.sub).clone())
        }
        HirKind::Alternation(branches) if max.is_none() => repeat_alternation(min, branches),
        _ => repetition(min, max, pattern.clone()),
    }
}

/// Repeats an alternation: (a*|b)+ becomes (a|b)*.
fn repeat_alternation(mut min: u32, branches: &[Hir]) -> Hir {
    let mut bare = Vec::with_capacity(branches.len());
    for branch in branches {
        match branch.kind() {
            HirKind::Empty => min = 0,
            HirKind::Repetition(inner) if inner.min <= 1 && matches!(inner.max, None | Some(1)) => {
                min = if inner.min == 0 { 0 } else { min };
                bare.push((*inner.sub).clone());
            }
            _ => bare.push(branch.clone()),
        }
    }
    match alternation(bare.into_iter()) {
        one if matches!(one.kind(), HirKind::Repetition(_)) => repeat(min, None, &one),
        one => repetition(min, None, one),
    }
}

fn repetition(min: u32, max: Option<u32>, pattern: Hir) -> Hir {
    Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(pattern) })
}
