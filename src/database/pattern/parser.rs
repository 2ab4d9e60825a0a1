//! Parses regular expressions as users write them.
//!
//! The syntax is what the engines have in common: characters, `.`, classes, groups, `|`, `^`, `$` and
//! repetitions. What they treat differently or lack (backreferences, lookahead, word boundaries) is refused.

use std::iter::Peekable;
use std::str::Chars;

/// The limit on a pattern's length, in characters.
const MAX_LENGTH: usize = 500;
/// The limit on counted repetitions, which is PostgreSQL's.
pub(super) const MAX_TIMES: u32 = 255;

/// Translates a pattern to the syntax of `regex-syntax`.
///
/// # Errors
/// What in the pattern is invalid.
pub(super) fn parse(given: &str) -> Result<String, String> {
    if given.chars().count() > MAX_LENGTH {
        return Err(format!("a pattern has at most {MAX_LENGTH} characters"));
    }
    let mut parser =
        PatternParser { rest: given.chars().peekable(), out: String::new(), depth: 0, repeatable: false };
    while let Some(next) = parser.rest.next() {
        parser.step(next)?;
    }
    if parser.depth > 0 {
        return Err("a group is not closed".to_owned());
    }
    Ok(parser.out)
}

struct PatternParser<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    depth: u32,
    /// Whether a repetition may follow.
    repeatable: bool,
}

impl PatternParser<'_> {
    fn step(&mut self, next: char) -> Result<(), String> {
        match next {
            '(' => {
                if self.rest.next_if_eq(&'?').is_some() && self.rest.next_if_eq(&':').is_none() {
                    return Err("of groups that begin with (? only (?: is supported".to_owned());
                }
                self.out.push_str("(?:");
                self.depth += 1;
                self.repeatable = false;
            }
            ')' => {
                self.depth = self.depth.checked_sub(1).ok_or("a group is closed that is not open")?;
                self.out.push(')');
                self.repeatable = true;
            }
            '|' | '^' | '$' => {
                self.out.push(next);
                self.repeatable = false;
            }
            '*' | '+' | '?' => self.repeat(&next.to_string())?,
            '{' => {
                let times: String = std::iter::from_fn(|| self.rest.next_if(|next| *next != '}')).collect();
                self.rest.next().ok_or("a repetition is not closed")?;
                self.repeat(&repetition(&times)?)?;
            }
            '[' => self.class()?,
            '.' => self.push("[^\n]"),
            '\\' => {
                let escaped = self.escaped()?;
                match escaped {
                    Escaped::Class(class, negated) => {
                        let class = format!("[{}{class}]", if negated { "^" } else { "" });
                        self.push(&class);
                    }
                    Escaped::Character(character) => self.literal(character),
                }
            }
            other => self.literal(other),
        }
        Ok(())
    }

    fn push(&mut self, atom: &str) {
        self.out.push_str(atom);
        self.repeatable = true;
    }

    fn literal(&mut self, character: char) {
        let escaped = escape(character);
        self.push(&escaped);
    }

    fn repeat(&mut self, times: &str) -> Result<(), String> {
        if !self.repeatable {
            return Err(format!("{times} repeats nothing"));
        }
        // Greedy or not: whether it matches is the same.
        self.rest.next_if_eq(&'?');
        self.out.push_str(times);
        self.repeatable = false;
        Ok(())
    }

    fn escaped(&mut self) -> Result<Escaped, String> {
        let next = self.rest.next().ok_or("nothing follows the last backslash")?;
        let class = match next.to_ascii_lowercase() {
            'd' => "0-9",
            'w' => "A-Za-z0-9_",
            's' => " \t\n\r",
            _ => "",
        };
        Ok(match next {
            _ if !class.is_empty() => Escaped::Class(class, next.is_ascii_uppercase()),
            'n' => Escaped::Character('\n'),
            't' => Escaped::Character('\t'),
            'r' => Escaped::Character('\r'),
            other if other.is_alphanumeric() => return Err(format!("\\{other} is not supported")),
            other => Escaped::Character(other),
        })
    }

    /// Parses the rest of a class, after its opening bracket.
    fn class(&mut self) -> Result<(), String> {
        let mut class = String::from("[");
        if self.rest.next_if_eq(&'^').is_some() {
            class.push('^');
        }
        let empty = class.len();
        loop {
            let next = self.rest.next().ok_or("a class is not closed")?;
            let from = match next {
                ']' => break,
                '[' if self.rest.peek().is_some_and(|next| matches!(next, ':' | '.' | '=')) => {
                    return Err("named classes are not supported".to_owned());
                }
                '\\' => match self.escaped()? {
                    Escaped::Class(inner, false) => {
                        class.push_str(inner);
                        continue;
                    }
                    Escaped::Class(_, true) => {
                        return Err("a class cannot contain \\D, \\W or \\S".to_owned());
                    }
                    Escaped::Character(character) => character,
                },
                other => other,
            };
            class.push_str(&escape(from));
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('-') && ahead.next().is_some_and(|to| to != ']') {
                self.rest.next();
                let to = match self.rest.next().ok_or("a class is not closed")? {
                    '\\' => match self.escaped()? {
                        Escaped::Character(character) => character,
                        Escaped::Class(..) => return Err("a range must end with a character".to_owned()),
                    },
                    other => other,
                };
                if to < from {
                    return Err(format!("{from}-{to} is not a range"));
                }
                class.push('-');
                class.push_str(&escape(to));
            }
        }
        if class.len() == empty {
            return Err("a class is empty".to_owned());
        }
        class.push(']');
        self.push(&class);
        Ok(())
    }
}

/// What follows a backslash.
enum Escaped {
    /// A class, and whether it is negated.
    Class(&'static str, bool),
    Character(char),
}

/// Escapes a literal character.
pub(super) fn escape(character: char) -> String {
    if character.is_ascii_punctuation() && !matches!(character, '<' | '>' | '_') {
        format!("\\{character}")
    } else {
        character.to_string()
    }
}

fn repetition(times: &str) -> Result<String, String> {
    let number = |text: &str| match text.parse::<u32>() {
        Ok(number) if number <= MAX_TIMES && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err(format!("{{{times}}} is not a repetition of at most {MAX_TIMES}")),
    };
    Ok(match times.split_once(',') {
        None => format!("{{{}}}", number(times)?),
        Some((from, "")) => format!("{{{},}}", number(from)?),
        Some((from, to)) if number(from)? <= number(to)? => format!("{{{},{}}}", number(from)?, number(to)?),
        Some(_) => return Err(format!("{{{times}}} is not a repetition")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_syntax_is_parsed() {
        for (given, expected) in [
            ("^a.b$", "^a[^\n]b$"),
            ("(a|b)+?", "(?:a|b)+"),
            ("(?:a){2,3}", "(?:a){2,3}"),
            (r"\d\W\.", r"[0-9][^A-Za-z0-9_]\."),
            (r"[a-z\d\]-]", r"[a-z0-9\]\-]"),
            ("[^x]", "[^x]"),
            ("50%", r"50\%"),
            ("日本", "日本"),
        ] {
            assert_eq!(parse(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn other_syntax_is_refused() {
        for given in [
            "(",
            ")",
            "*a",
            "a**",
            "[",
            "[]",
            "[z-a]",
            "[[:alpha:]]",
            "(?i)a",
            "(?=a)",
            "(a)\\1",
            "\\b",
            "a{300}",
            "a{2,1}",
            "a{",
            "a{x}",
            "\\",
        ] {
            assert!(parse(given).is_err(), "{given}");
        }
        assert!(parse(&"a".repeat(501)).is_err());
    }
}
