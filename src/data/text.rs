//! Texts that every engine can store.
//!
//! PostgreSQL cannot store U+0000, SQLite ends a pattern at it, and MariaDB compares it like any character.
//! Every text from outside, to be stored or to be searched for, becomes a [`Text`] or is checked by
//! [`check_document`] first.

use serde_json::Value as Json;

use super::error::invalid;
use super::{DataError, Field};

/// The error for a text with U+0000.
const PROBLEM: &str = "a text cannot hold the character U+0000";

/// A text without U+0000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(String);

impl Text {
    /// Checks a text that a field is given or compared with.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if it contains U+0000.
    pub(super) fn new(field: &Field, text: impl Into<String>) -> Result<Self, DataError> {
        let text = text.into();
        check(field, &text)?;
        Ok(Self(text))
    }

    /// Returns the text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

fn check(field: &Field, text: &str) -> Result<(), DataError> {
    if text.contains('\0') { Err(invalid(field, PROBLEM)) } else { Ok(()) }
}

/// Checks the texts and names in a JSON document, at any depth.
///
/// # Errors
/// [`DataError::Invalid`] if one contains U+0000.
pub(super) fn check_document(field: &Field, given: &Json) -> Result<(), DataError> {
    if has_nul(given) { Err(invalid(field, PROBLEM)) } else { Ok(()) }
}

/// Whether a text or a name in a JSON document contains U+0000, at any depth.
pub(crate) fn has_nul(given: &Json) -> bool {
    match given {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => items.iter().any(has_nul),
        Json::Object(entries) => entries.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::FieldType;

    #[test]
    fn texts_with_nul_are_refused_at_any_depth() {
        let field = Field::new("s", FieldType::Json);
        assert_eq!(Text::new(&field, "a\tb").unwrap().into_string(), "a\tb");
        assert!(Text::new(&field, "a\0b").is_err());
        for fine in [json!(null), json!(1), json!("\u{1}"), json!({"a": [{"b": "c"}]})] {
            assert!(check_document(&field, &fine).is_ok(), "{fine}");
        }
        for refused in [json!("\0"), json!(["a", "b\0"]), json!({"a\0": 1}), json!({"a": [{"b": {"\0": 1}}]})]
        {
            assert!(check_document(&field, &refused).is_err(), "{refused}");
        }
    }
}
