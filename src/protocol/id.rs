//! The ID of an application, validated once.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The ID of an application: 1 to 48 of `a-z 0-9 _ -`, beginning with a letter.
///
/// Cheap to clone. Every value of this type is valid.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z][a-z0-9_-]{0,47}$"))]
pub struct AppId(Arc<str>);

impl AppId {
    /// The ID of the application that always exists and holds the registry of the others.
    pub const MAIN: &'static str = "main";

    /// The main application's ID.
    #[must_use]
    pub fn main() -> Self {
        Self(Self::MAIN.into())
    }

    /// Parses and validates an ID.
    pub fn parse(text: &str) -> Result<Self, InvalidAppId> {
        let invalid = |problem| InvalidAppId { text: text.chars().take(64).collect(), problem };
        let Some(first) = text.bytes().next() else { return Err(invalid(Problem::Empty)) };
        if !first.is_ascii_lowercase() {
            return Err(invalid(Problem::Start));
        }
        if let Some(bad) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')) {
            return Err(invalid(Problem::Character(bad)));
        }
        if text.len() > 48 {
            return Err(invalid(Problem::Length(text.len())));
        }
        Ok(Self(text.into()))
    }

    /// A random ID: `a_` and eleven characters.
    #[must_use]
    pub fn random() -> Self {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let tail: String =
            (0..11).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect();
        Self(format!("a_{tail}").into())
    }

    /// Whether this is the main application.
    #[must_use]
    pub fn is_main(&self) -> bool {
        &*self.0 == Self::MAIN
    }

    /// The ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not an application ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not an application ID: {problem}")]
pub struct InvalidAppId {
    text: String,
    problem: Problem,
}

impl InvalidAppId {
    /// The rule, to show beside the error.
    pub const RULE: &'static str =
        "an ID is 1 to 48 of a-z, 0-9, _ and -, beginning with a letter, for example \"crm\" or \"stock-2\"";
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it is empty")]
    Empty,
    #[error("it must begin with a letter from a to z")]
    Start,
    #[error("{0:?} is not allowed")]
    Character(char),
    #[error("it has {0} characters, at most 48 are allowed")]
    Length(usize),
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl std::str::FromStr for AppId {
    type Err = InvalidAppId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for AppId {
    type Error = InvalidAppId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<AppId> for String {
    fn from(id: AppId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl std::borrow::Borrow<str> for AppId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_kept() {
        for good in ["a", "crm", "a1", "a-b_c", &"x".repeat(48)] {
            assert_eq!(AppId::parse(good).unwrap().as_str(), good);
        }
        for (bad, says) in [
            ("", "empty"),
            ("1a", "begin with a letter"),
            ("Crm", "begin with a letter"),
            ("cRm", "'R' is not allowed"),
            ("a b", "' ' is not allowed"),
            ("a/../b", "'/' is not allowed"),
            ("é", "begin with a letter"),
            (&"x".repeat(49), "49 characters"),
        ] {
            let said = AppId::parse(bad).unwrap_err().to_string();
            assert!(said.contains(says), "{bad:?}: {said}");
        }
    }

    #[test]
    fn a_random_id_is_valid() {
        let id = AppId::random();
        assert_eq!(id.as_str().len(), 13);
        assert_eq!(AppId::parse(id.as_str()).unwrap(), id);
    }
}
