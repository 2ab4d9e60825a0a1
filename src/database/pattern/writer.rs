//! Renders a pattern in an engine's syntax.

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind, Look, Repetition};

use super::parser::escape;
use super::{Pattern, PatternKind};
use crate::database::Engine;

impl Pattern {
    /// Renders the pattern for an engine.
    pub(in crate::database) fn render(&self, engine: Engine) -> String {
        let mut writer = PatternWriter { engine, out: String::new() };
        match &self.0 {
            PatternKind::Expression(expression) => writer.expression(expression),
            PatternKind::Pieces(pieces) => writer.pieces(pieces),
        }
        writer.out
    }
}

struct PatternWriter {
    engine: Engine,
    out: String,
}

impl PatternWriter {
    fn expression(&mut self, pattern: &Hir) {
        match pattern.kind() {
            HirKind::Empty => {}
            HirKind::Literal(literal) => {
                String::from_utf8_lossy(&literal.0).chars().for_each(|next| self.out.push_str(&escape(next)));
            }
            HirKind::Class(Class::Unicode(class)) => self.class(class),
            HirKind::Class(Class::Bytes(class)) => {
                if let Some(class) = class.to_unicode_class() {
                    self.class(&class);
                }
            }
            HirKind::Look(look) => self.look(*look),
            HirKind::Capture(group) => self.group(&group.sub),
            HirKind::Repetition(repeated) => self.repetition(repeated),
            HirKind::Concat(parts) => {
                for part in parts {
                    match part.kind() {
                        HirKind::Alternation(_) => self.group(part),
                        _ => self.expression(part),
                    }
                }
            }
            HirKind::Alternation(branches) => {
                for (at, branch) in branches.iter().enumerate() {
                    if at > 0 {
                        self.out.push('|');
                    }
                    self.expression(branch);
                }
            }
        }
    }

    fn group(&mut self, pattern: &Hir) {
        self.out.push_str("(?:");
        self.expression(pattern);
        self.out.push(')');
    }

    fn look(&mut self, look: Look) {
        // On MySQL and MariaDB, `$` also matches before a final line break.
        let end = if self.engine == Engine::Mysql { r"\z" } else { "$" };
        self.out.push_str(if look == Look::Start { "^" } else { end });
    }

    fn repetition(&mut self, repeated: &Repetition) {
        let is_one = match repeated.sub.kind() {
            HirKind::Class(_) => true,
            HirKind::Literal(literal) => String::from_utf8_lossy(&literal.0).chars().count() == 1,
            _ => false,
        };
        if is_one {
            self.expression(&repeated.sub);
        } else {
            self.group(&repeated.sub);
        }
        match (repeated.min, repeated.max) {
            (0, None) => self.out.push('*'),
            (1, None) => self.out.push('+'),
            (0, Some(1)) => self.out.push('?'),
            (min, None) => self.out.push_str(&format!("{{{min},}}")),
            (min, Some(max)) if min == max => self.out.push_str(&format!("{{{min}}}")),
            (min, Some(max)) => self.out.push_str(&format!("{{{min},{max}}}")),
        }
    }

    fn class(&mut self, class: &ClassUnicode) {
        match class.ranges() {
            [one] if one.start() == one.end() => return self.out.push_str(&escape(one.start())),
            [all] if (all.start(), all.end()) == ('\0', char::MAX) => return self.any(),
            _ => {}
        }
        // No text contains U+0000: a class that includes it was written as a negated one.
        let mut negated = class.clone();
        let is_negated = class.ranges().first().is_some_and(|first| first.start() == '\0');
        if is_negated {
            negated.negate();
        }
        self.out.push_str(if is_negated { "[^" } else { "[" });
        for range in negated.ranges() {
            self.out.push_str(&escape(range.start()));
            if range.end() > range.start() {
                self.out.push('-');
                self.out.push_str(&escape(range.end()));
            }
        }
        self.out.push(']');
    }

    /// Matches any character, including a line break.
    fn any(&mut self) {
        // MySQL and MariaDB would remember each repetition of a class in a group.
        self.out.push_str(if self.engine == Engine::Postgres { "." } else { r"[\s\S]" });
    }

    fn pieces(&mut self, pieces: &[Hir]) {
        let last = pieces.len().saturating_sub(1);
        self.out.push('^');
        for (at, piece) in pieces.iter().enumerate() {
            let is_empty = matches!(piece.kind(), HirKind::Empty);
            match at {
                0 => self.expression(piece),
                // Anything may follow the piece before.
                _ if at == last && is_empty => return,
                _ if at == last => {
                    self.any();
                    self.out.push('*');
                    self.expression(piece);
                }
                _ if is_empty => {}
                // Atomic, so that an engine that backtracks keeps the first match.
                _ if self.engine == Engine::Mysql => {
                    self.out.push_str("(?>");
                    self.any();
                    self.out.push_str("*?");
                    self.expression(piece);
                    self.out.push(')');
                }
                _ => {
                    self.any();
                    self.out.push('*');
                    self.expression(piece);
                }
            }
        }
        self.look(Look::End);
    }
}
