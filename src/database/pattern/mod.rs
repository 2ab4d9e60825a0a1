//! Patterns that a text fits or does not, with the same answer on every engine and whatever locale
//! its database has.
//!
//! Nothing here is left to what an engine knows of letters: `lower()` of PostgreSQL knows those of the
//! database's locale, and no two engines' are of one version of Unicode. Where upper and lower case are
//! the same, each letter becomes a class of all that Unicode's simple case folding makes equal:
//! `[ÀàBb]`. `reader.rs` reads what people write, `simple.rs` says it in fewer ways, `writer.rs` writes
//! it in an engine's words, and `effort.rs` says how much work it may be.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Dot, Hir, Look};

use super::Engine;

mod effort;
mod reader;
mod simple;
mod writer;

pub(super) use effort::Effort;

/// Characters of a text that is looked for at most: MariaDB takes patterns of 64 KiB.
const MAX_SEARCHED: usize = 1000;
/// What a pattern may take in memory when it is ready to be used, in bytes: what is small when
/// written may be large when it is read.
const MAX_BYTES: usize = 1 << 20;

/// Where in a text another one is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Anywhere.
    Anywhere,
    /// At its beginning.
    Beginning,
    /// At its end.
    End,
}

/// What a text fits or does not.
#[derive(Debug, Clone)]
pub struct Pattern(Form);

#[derive(Debug, Clone)]
enum Form {
    /// An expression that fits a part of the text.
    Expression(Hir),
    /// Pieces that come one after the other, with anything between them: the first at the text's
    /// beginning, the last at its end.
    Pieces(Vec<Hir>),
}

impl Pattern {
    /// A regular expression; with `exact`, upper and lower case are told apart.
    ///
    /// # Errors
    /// A sentence that says what of it is not read the same by all engines, or is too much.
    pub fn regular(given: &str, exact: bool) -> Result<Self, String> {
        let words = reader::read(given)?;
        let mut parser = ParserBuilder::new().case_insensitive(!exact).build();
        let read = parser.parse(&words).map_err(|error| error.to_string())?;
        let pattern = Self(Form::Expression(simple::shortest(&simple::simple(&read))));
        let words = pattern.written(Engine::Sqlite);
        if regex::RegexBuilder::new(&words).size_limit(MAX_BYTES).build().is_err() {
            return Err("the pattern is too large".to_owned());
        }
        Ok(pattern)
    }

    /// A text within another one, upper or lower case.
    ///
    /// # Errors
    /// A sentence when it is too long.
    pub fn part(text: &str, position: Position) -> Result<Self, String> {
        check_length(text)?;
        let mut parts: Vec<Hir> = text.chars().map(either_case).collect();
        match position {
            Position::Anywhere => {}
            Position::Beginning => parts.insert(0, Hir::look(Look::Start)),
            Position::End => parts.push(Hir::look(Look::End)),
        }
        Ok(Self(Form::Expression(Hir::concat(parts))))
    }

    /// A pattern of `LIKE`, upper or lower case: `%` is any text, `_` any character, and a backslash
    /// before one of them makes it an ordinary one.
    ///
    /// # Errors
    /// A sentence when it is too long.
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
        Ok(Self(Form::Pieces(pieces)))
    }

    /// The pattern as a regular expression, for texts that are in no database.
    ///
    /// # Errors
    /// A sentence when it is too large.
    pub fn compile(&self) -> Result<regex::Regex, String> {
        regex::Regex::new(&self.written(Engine::Sqlite)).map_err(|_| "the pattern is too large".to_owned())
    }
}

fn check_length(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length > MAX_SEARCHED {
        return Err(format!("it has {length} characters, at most {MAX_SEARCHED} can be looked for"));
    }
    Ok(())
}

/// A character, upper or lower case.
fn either_case(character: char) -> Hir {
    Hir::class(Class::Unicode(cases(character)))
}

/// All characters that Unicode's simple case folding takes for the same.
fn cases(character: char) -> ClassUnicode {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(character, character)]);
    class.case_fold_simple();
    class
}

/// A text with one character in the place of all that are the same but for their case. Two texts have the
/// same form if each fits the other as a [`Pattern`] of the whole text.
#[must_use]
pub fn case_folded(text: &str) -> String {
    let folded = |character: char| match character {
        character if character.is_ascii() => character.to_ascii_lowercase(),
        // Of some letters, an ASCII one is the same.
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
    fn letters_become_classes() {
        let part = |text, position, engine| Pattern::part(text, position).unwrap().written(engine);
        assert_eq!(part("Àb.", Position::Anywhere, Engine::Postgres), r"[Àà][Bb]\.");
        assert_eq!(part("k", Position::Beginning, Engine::Sqlite), "^[Kk\u{212a}]");
        assert_eq!(part("日", Position::End, Engine::Mysql), r"日\z");
        assert!(Pattern::part(&"x".repeat(1001), Position::Anywhere).is_err());
        let either = |text| Pattern::regular(text, false).unwrap().written(Engine::Postgres);
        assert_eq!(either("^[a-c]$"), "^[A-Ca-c]$");
    }

    #[test]
    fn texts_that_are_the_same_but_for_their_case_have_one_form() {
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
            let pattern = Pattern::part(one, Position::Anywhere).unwrap().written(Engine::Sqlite);
            let fits = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(other);
            assert_eq!(fits, are_same, "{one} {other}");
        }
    }

    #[test]
    fn wildcards_are_anything() {
        for (given, postgres, mysql) in [
            ("a_", "^[Aa].$", r"^[Aa][\s\S]\z"),
            ("1%2", "^1.*2$", r"^1[\s\S]*2\z"),
            (r"\%%", r"^\%", r"^\%"),
            ("%1%%2%", "^.*1.*2", r"^(?>[\s\S]*?1)(?>[\s\S]*?2)"),
            ("", "^$", r"^\z"),
        ] {
            let pattern = Pattern::like(given).unwrap();
            assert_eq!(pattern.written(Engine::Postgres), postgres, "{given}");
            assert_eq!(pattern.written(Engine::Mysql), mysql, "{given}");
        }
    }

    #[test]
    fn expressions_are_said_in_fewer_ways() {
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
            // Whatever is repeated at either end of a part.
            ("(a|a)*$", "$", true),
            (r"\w*\w*[0-9]", "[0-9]", true),
            ("a+b+", "ab", true),
            ("a*b*", "", true),
            ("(a*b|c+)d{2,}", "[b-c]d{2}", true),
            ("a*^b", "^b", true),
            ("(a+b)*c?(d+e*)", "d", true),
        ] {
            let pattern = Pattern::regular(given, true).unwrap();
            assert_eq!(pattern.written(Engine::Sqlite), expected, "{given}");
            assert_eq!(pattern.effort() == Effort::Bounded, is_bounded, "{given}");
        }
    }
}
