//! Estimates how much a backtracking engine, such as MySQL's and MariaDB's, has to do to match a pattern.
//!
//! The estimate is an upper bound: every choice in a pattern multiplies the ways to match what follows it.

use regex_syntax::hir::{Hir, HirKind, Look, Repetition};

use super::{Pattern, PatternKind};

/// The limit on steps at one position of a text for which the effort counts as bounded.
const MAX_STEPS_AT_POSITION: u64 = 1000;
/// The limit on steps for each character if the pattern is anchored at the beginning.
const MAX_STEPS_PER_CHARACTER: u64 = 16;
/// The characters compared in one step of the library for which the step counts as usual.
const CHARACTERS_PER_STEP: u64 = 64;

/// What it takes to match a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum Effort {
    /// Time proportional to the text.
    Bounded,
    /// Possibly far too long, on an engine that backtracks.
    Unbounded {
        /// Whether the pattern is anchored at the text's beginning.
        anchored: bool,
        /// How much longer than usual a step takes.
        weight: u64,
    },
}

impl Pattern {
    /// Estimates the effort.
    pub(in crate::database) fn effort(&self) -> Effort {
        let expression = match &self.0 {
            PatternKind::Expression(expression) => expression,
            // Each piece is searched for once: its first match is as good as any.
            PatternKind::Pieces(_) => return Effort::Bounded,
        };
        let anchored = expression.properties().look_set_prefix().contains(Look::Start);
        let steps = MatchWork::of(expression).steps;
        match steps.power {
            0 if steps.times <= MAX_STEPS_AT_POSITION => Effort::Bounded,
            1 if anchored && steps.times <= MAX_STEPS_PER_CHARACTER => Effort::Bounded,
            _ => Effort::Unbounded {
                anchored,
                weight: longest_step(expression).div_ceil(CHARACTERS_PER_STEP).max(1),
            },
        }
    }
}

/// A number that grows with the text's length: `times` · length to the `power`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Growth {
    times: u64,
    power: u32,
}

impl Growth {
    const ONE: Self = Self { times: 1, power: 0 };
    const NONE: Self = Self { times: 0, power: 0 };
    /// Exponential growth.
    const ENDLESS: Self = Self { times: u64::MAX, power: u32::MAX };

    fn plus(self, other: Self) -> Self {
        Self { times: self.times.saturating_add(other.times), power: self.power.max(other.power) }
    }

    fn times(self, other: Self) -> Self {
        Self { times: self.times.saturating_mul(other.times), power: self.power.saturating_add(other.power) }
    }

    fn by_length(self) -> Self {
        Self { power: self.power.saturating_add(1), ..self }
    }
}

/// The effort of matching a pattern at one position of a text.
#[derive(Debug, Clone, Copy)]
struct MatchWork {
    /// The number of ways in which it may match there.
    ways: Growth,
    /// The number of steps to try all of them.
    steps: Growth,
}

impl MatchWork {
    fn of(pattern: &Hir) -> Self {
        let one_way = |steps: usize| Self {
            ways: Growth::ONE,
            steps: Growth { times: u64::try_from(steps).unwrap_or(u64::MAX), power: 0 },
        };
        match pattern.kind() {
            HirKind::Empty => one_way(0),
            HirKind::Literal(literal) => one_way(literal.0.len()),
            HirKind::Class(_) | HirKind::Look(_) => one_way(1),
            HirKind::Capture(group) => Self::of(&group.sub),
            HirKind::Repetition(repeated) => Self::of_repetition(repeated),
            HirKind::Concat(parts) => parts.iter().map(Self::of).fold(one_way(0), Self::then),
            HirKind::Alternation(branches) => branches.iter().map(Self::of).fold(
                Self { ways: Growth::NONE, steps: Growth::ONE },
                |all, branch| Self {
                    ways: all.ways.plus(branch.ways),
                    steps: all.steps.plus(branch.steps).plus(Growth::ONE),
                },
            ),
        }
    }

    /// Concatenates: what follows is tried once for each way.
    fn then(self, next: Self) -> Self {
        Self { ways: self.ways.times(next.ways), steps: self.steps.plus(self.ways.times(next.steps)) }
    }

    fn of_repetition(repeated: &Repetition) -> Self {
        let inner = Self::of(&repeated.sub);
        let Some(max) = repeated.max else {
            if inner.ways != Growth::ONE {
                return Self { ways: Growth::ENDLESS, steps: Growth::ENDLESS };
            }
            return Self { ways: Growth::ONE.by_length(), steps: inner.steps.by_length() };
        };
        let (mut ways, mut steps, mut so_far) = (Growth::NONE, Growth::NONE, Growth::ONE);
        for times in 0..=max {
            if times > 0 {
                steps = steps.plus(so_far.times(inner.steps));
                so_far = so_far.times(inner.ways);
            }
            if times >= repeated.min {
                ways = ways.plus(so_far);
            }
        }
        Self { ways, steps }
    }
}

/// The most characters compared without a choice in between: the library counts only choices as steps.
fn longest_step(pattern: &Hir) -> u64 {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => u64::try_from(literal.0.len()).unwrap_or(u64::MAX),
        HirKind::Class(_) => 1,
        HirKind::Capture(group) => longest_step(&group.sub),
        HirKind::Repetition(repeated) => {
            longest_step(&repeated.sub).saturating_mul(u64::from(repeated.min.max(1)))
        }
        HirKind::Concat(parts) => parts.iter().map(longest_step).fold(0, u64::saturating_add),
        HirKind::Alternation(branches) => branches.iter().map(longest_step).max().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_is_bounded_only_if_it_is_proportional_to_the_text() {
        for (pattern, is_bounded) in [
            ("abc", true),
            ("colou?r|gr[ae]y", true),
            (r"^\w*\d", true),
            (r"^[a-z]+\.[a-z]+$", false),
            (r"\w*\w*\d", true),
            (r"\w+\d+", true),
            (r"a\w*\d", false),
            (r"a\w*!", false),
            (r"\w+$", true),
            (r"-\w+$", false),
            (r"\d{1,3}(?:\.\d{1,3}){3}", true),
            ("(?:a?){40}b", true),
            ("(?:a|aa){20}b", false),
            ("^(?:a|aa)+b", false),
            ("(?:a{100}){20}b", false),
        ] {
            let effort = Pattern::regular(pattern, true).unwrap().effort();
            assert_eq!(effort == Effort::Bounded, is_bounded, "{pattern}");
        }
    }

    #[test]
    fn long_steps_have_a_larger_weight() {
        for (pattern, expected) in [(r"a\w*\d", 1), (r"a{250}\w*\d", 4), (r"(?:a{100}){20}\w*b", 32)] {
            let effort = Pattern::regular(pattern, true).unwrap().effort();
            assert!(
                matches!(effort, Effort::Unbounded { anchored: false, weight } if weight == expected),
                "{pattern}: {effort:?}"
            );
        }
    }
}
