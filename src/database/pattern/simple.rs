//! The same pattern, said so that a text can be read in fewer ways.
//!
//! MySQL and MariaDB try all ways to read a text, one after the other. Of `(a|a)*` and `(a+)*` there
//! are more than anybody can wait for; `a*` means the same and has one.

use regex_syntax::hir::{Hir, HirKind, Repetition};

use super::reader::MAX_TIMES;

/// Says a pattern in fewer ways.
pub(super) fn simple(pattern: &Hir) -> Hir {
    match pattern.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => pattern.clone(),
        // Nobody asks what a group held.
        HirKind::Capture(group) => simple(&group.sub),
        HirKind::Repetition(repeated) => repeat(repeated.min, repeated.max, &simple(&repeated.sub)),
        HirKind::Concat(parts) => in_line(parts.iter().map(simple)),
        HirKind::Alternation(branches) => one_of(branches.iter().map(simple)),
    }
}

fn one_of(branches: impl Iterator<Item = Hir>) -> Hir {
    let mut distinct = Vec::new();
    for branch in branches {
        if !distinct.contains(&branch) {
            distinct.push(branch);
        }
    }
    Hir::alternation(distinct)
}

/// One after the other, with `a*a*` as `a*`.
fn in_line(parts: impl Iterator<Item = Hir>) -> Hir {
    let mut line: Vec<Hir> = Vec::new();
    for part in parts {
        match line.last().and_then(|last| together(last, &part)) {
            Some(both) => {
                line.pop();
                line.push(both);
            }
            None => line.push(part),
        }
    }
    Hir::concat(line)
}

/// Two repetitions of the same as one.
fn together(first: &Hir, second: &Hir) -> Option<Hir> {
    let (HirKind::Repetition(first), HirKind::Repetition(second)) = (first.kind(), second.kind()) else {
        return None;
    };
    let min = first.min + second.min;
    let max = first.max.zip(second.max).map(|(first, second)| first + second);
    let countable = min <= MAX_TIMES && max.is_none_or(|max| max <= MAX_TIMES);
    (first.sub == second.sub && countable).then(|| repetition(min, max, (*first.sub).clone()))
}

/// A pattern that was made simple before, so many times.
fn repeat(min: u32, max: Option<u32>, pattern: &Hir) -> Hir {
    match pattern.kind() {
        HirKind::Empty => Hir::empty(),
        // (a+)*, (a?){3}: as often as it takes is as often as it takes.
        HirKind::Repetition(inner) if inner.min <= 1 && matches!(inner.max, None | Some(1)) => {
            let all = if inner.max.is_none() { None } else { max };
            repetition(min * inner.min, all, (*inner.sub).clone())
        }
        HirKind::Alternation(branches) if max.is_none() => any_of(min, branches),
        _ => repetition(min, max, pattern.clone()),
    }
}

/// One of the branches, again and again: (a*|b)+ as (a|b)*.
fn any_of(mut min: u32, branches: &[Hir]) -> Hir {
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
    match one_of(bare.into_iter()) {
        one if matches!(one.kind(), HirKind::Repetition(_)) => repeat(min, None, &one),
        one => repetition(min, None, one),
    }
}

fn repetition(min: u32, max: Option<u32>, pattern: Hir) -> Hir {
    Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(pattern) })
}

/// How often a choice is made in following a pattern: another repetition or none, one branch or
/// another. With one choice at the most a text is read in as many ways as it has characters.
pub(super) fn choices(pattern: &Hir) -> usize {
    const MANY: usize = 1000;
    match pattern.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => 0,
        HirKind::Capture(group) => choices(&group.sub),
        HirKind::Repetition(repeated) => match choices(&repeated.sub) {
            0 => usize::from(repeated.max != Some(repeated.min)),
            _ => MANY,
        },
        HirKind::Concat(parts) => parts.iter().map(choices).sum(),
        HirKind::Alternation(branches) => branches.iter().map(choices).sum::<usize>() + 1,
    }
}
