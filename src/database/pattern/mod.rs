//! Patterns that match texts alike on every engine, whatever the database's locale.
//!
//! Nothing is left to an engine's knowledge of letters: PostgreSQL's `lower()` depends on the database's
//! locale, and each engine has another version of Unicode. To ignore case, each letter becomes a class of all
//! that Unicode's simple case folding equates: `[ÀàBb]`. `parser.rs` parses what users write, `simplify.rs`
//! simplifies it, `writer.rs` renders it in an engine's syntax, and `effort.rs` estimates the cost of
//! backtracking.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Dot, Hir, Look};

use super::Engine;

mod effort;
mod parser;
mod simplify;
mod writer;

pub(super) use effort::Effort;

/// The limit on the characters of a searched text: MariaDB limits patterns to 64 KiB.
const MAX_SEARCHED_LENGTH: usize = 1000;
/// The limit on a compiled pattern's memory, in bytes: a short pattern may compile to a large one.
const MAX_BYTES: usize = 1 << 20;

/// Where a text is searched for within another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Anywhere.
    Anywhere,
    /// At its beginning.
    Beginning,
    /// At its end.
    End,
}

/// A pattern that matches texts.
#[derive(Debug, Clone)]
pub struct Pattern(PatternKind);

#[derive(Debug, Clone)]
enum PatternKind {
    /// An expression that matches a part of the text.
    Expression(Hir),
    /// Pieces in order with anything between them: the first at the text's beginning, the last at its end.
    Pieces(Vec<Hir>),
}

impl Pattern {
    /// Parses a regular expression; with `exact`, case matters.
    ///
    /// # Errors
    /// What in the pattern is ambiguous between engines, or too large.
    pub fn regular(given: &str, exact: bool) -> Result<Self, String> {
        let words = parser::parse(given)?;
        let mut parser = ParserBuilder::new().case_insensitive(!exact).build();
        let read = parser.parse(&words).map_err(|error| error.to_string())?;
        let pattern = Self(PatternKind::Expression(simplify::shortest(&simplify::simplify(&read))));
        let words = pattern.render(Engine::Sqlite);
        if regex::RegexBuilder::new(&words).size_limit(MAX_BYTES).build().is_err() {
            return Err("the pattern is too large".to_owned());
        }
        Ok(pattern)
    }

    /// Returns the pattern that searches for a text, ignoring case.
    ///
    /// # Errors
    /// When the text is too long.
    pub fn part(text: &str, position: Position) -> Result<Self, String> {
        check_length(text)?;
        let mut parts: Vec<Hir> = text.chars().map(either_case).collect();
        match position {
            Position::Anywhere => {}
            Position::Beginning => parts.insert(0, Hir::look(Look::Start)),
            Position::End => parts.push(Hir::look(Look::End)),
        }
        Ok(Self(PatternKind::Expression(Hir::concat(parts))))
    }

    /// Parses a `LIKE` pattern, which ignores case: `%` matches any text, `_` any character, and a backslash
    /// before one of them makes it literal.
    ///
    /// # Errors
    /// When the pattern is too long.
    pub fn like(given: &str) -> Result<Self, String> {
        check_length(given)?;
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        let mut characters = given.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '%' => pieces.push(Hir::concat(std::mem::take(&mut piece))),
                '_' => piece.push(Hir::dot(Dot::AnyChar)),
                '\\' => {
                    let escaped = characters.next_if(|next| matches!(next, '%' | '_'));
                    piece.push(either_case(escaped.unwrap_or('\\')));
                }
                other => piece.push(either_case(other)),
            }
        }
        pieces.push(Hir::concat(piece));
        Ok(Self(PatternKind::Pieces(pieces)))
    }

    /// Compiles the pattern to a regular expression, for texts outside a database.
    ///
    /// # Errors
    /// When the pattern is too large.
    pub fn compile(&self) -> Result<regex::Regex, String> {
        regex::Regex::new(&self.render(Engine::Sqlite)).map_err(|_| "the pattern is too large".to_owned())
    }
}

fn check_length(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length > MAX_SEARCHED_LENGTH {
        return Err(format!(
            "it has {length} characters, but at most {MAX_SEARCHED_LENGTH} can be searched for"
        ));
    }
    Ok(())
}

/// A character in either case.
fn either_case(character: char) -> Hir {
    Hir::class(Class::Unicode(cases(character)))
}

/// All characters that Unicode's simple case folding equates with this one.
fn cases(character: char) -> ClassUnicode {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(character, character)]);
    class.case_fold_simple();
    class
}

/// Folds the case of a text: two texts have the same folded form if each matches the other as a whole,
/// ignoring case.
#[must_use]
pub fn case_folded(text: &str) -> String {
    let folded = |character: char| match character {
        character if character.is_ascii() => character.to_ascii_lowercase(),
        // Some letters fold to an ASCII one.
        character => {
            cases(character).ranges().first().map_or(character, |first| first.start().to_ascii_lowercase())
        }
    };
    text.chars().map(folded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_case_insensitive_classes() {
        let part = |text, position, engine| Pattern::part(text, position).unwrap().render(engine);
        assert_eq!(part("Àb.", Position::Anywhere, Engine::Postgres), r"[Àà][Bb]\.");
        assert_eq!(part("k", Position::Beginning, Engine::Sqlite), "^[Kk\u{212a}]");
        assert_eq!(part("日", Position::End, Engine::Mysql), r"日\z");
        assert!(Pattern::part(&"x".repeat(1001), Position::Anywhere).is_err());
        let either = |text| Pattern::regular(text, false).unwrap().render(Engine::Postgres);
        assert_eq!(either("^[a-c]$"), "^[A-Ca-c]$");
    }

    #[test]
    fn texts_that_differ_in_case_only_have_one_folded_form() {
        for (one, other, are_same) in [
            ("Zoe@Example.org", "zOE@eXAMPLE.ORG", true),
            ("\u{c9}va", "\u{e9}VA", true),
            ("\u{39f}\u{394}\u{39f}\u{3a3}", "\u{3bf}\u{3b4}\u{3bf}\u{3c2}", true),
            ("\u{39f}\u{394}\u{39f}\u{3a3}", "\u{3bf}\u{3b4}\u{3bf}\u{3c3}", true),
            ("stra\u{df}e", "STRA\u{1e9e}E", true),
            ("\u{212a}", "k", true),
            ("\u{17f}", "S", true),
            ("stra\u{df}e", "strasse", false),
            ("\u{130}", "i", false),
            ("\u{131}", "I", false),
            ("a", "\u{e4}", false),
        ] {
            assert_eq!(case_folded(one) == case_folded(other), are_same, "{one} {other}");
            let pattern = Pattern::part(one, Position::Anywhere).unwrap().render(Engine::Sqlite);
            let fits = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(other);
            assert_eq!(fits, are_same, "{one} {other}");
        }
    }

    #[test]
    fn like_patterns_are_translated() {
        for (given, postgres, mysql) in [
            ("a_", "^[Aa].$", r"^[Aa][\s\S]\z"),
            ("1%2", "^1.*2$", r"^1[\s\S]*2\z"),
            (r"\%%", r"^\%", r"^\%"),
            ("%1%%2%", "^.*1.*2", r"^(?>[\s\S]*?1)(?>[\s\S]*?2)"),
            ("", "^$", r"^\z"),
        ] {
            let pattern = Pattern::like(given).unwrap();
            assert_eq!(pattern.render(Engine::Postgres), postgres, "{given}");
            assert_eq!(pattern.render(Engine::Mysql), mysql, "{given}");
        }
    }

    #[test]
    fn expressions_are_simplified() {
        for (given, expected, is_bounded) in [
            ("^(a|a)*$", "^a*$", true),
            ("^(a+)+$", "^a+$", true),
            ("^(a*)*b", "^a*b", true),
            ("^(a*|b)+$", "^[a-b]*$", true),
            ("x(a?){30}a{30}x", "xa{30,60}x", true),
            ("[^x]", "[^x]", true),
            ("(ab|cd){3}", "(?:ab|cd){3}", true),
            ("^(a|aa)+$", "^(?:a|aa)+$", false),
            ("xa*b*x", "xa*b*x", false),
            // Repetitions at either end of a partial match.
            ("(a|a)*$", "$", true),
            (r"\w*\w*[0-9]", "[0-9]", true),
            ("a+b+", "ab", true),
            ("a*b*", "", true),
            ("(a*b|c+)d{2,}", "[b-c]d{2}", true),
            ("a*^b", "^b", true),
            ("(a+b)*c?(d+e*)", "d", true),
        ] {
            let pattern = Pattern::regular(given, true).unwrap();
            assert_eq!(pattern.render(Engine::Sqlite), expected, "{given}");
            assert_eq!(pattern.effort() == Effort::Bounded, is_bounded, "{given}");
        }
    }
}
