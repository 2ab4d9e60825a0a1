//! Labels of applications: keys with values, by which operators select them.

use std::collections::BTreeMap;

/// The labels of an application, by key.
pub type Labels = BTreeMap<String, String>;

/// Changes of some labels, by key: a value, or none to remove the label.
pub type LabelChanges = BTreeMap<String, Option<String>>;

/// The most labels of an application.
pub const MAX_LABELS: usize = 64;

/// The longest key or value of a label, in characters.
pub const MAX_LABEL_LENGTH: usize = 63;

/// A label that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// The key breaks the rule.
    #[error(
        "\"{0}\" is not the key of a label: a key is 1 to {max} letters, digits and . _ - /, \
         and begins and ends with a letter or digit",
        max = MAX_LABEL_LENGTH
    )]
    Key(String),
    /// The value breaks the rule.
    #[error(
        "\"{value}\" is not a value for the label {key}: a value is at most {max} letters, digits \
         and . _ - /",
        max = MAX_LABEL_LENGTH
    )]
    Value {
        /// The key of the label.
        key: String,
        /// The value that was given.
        value: String,
    },
    /// There are too many.
    #[error("an application has at most {max} labels, and these would be {0}", max = MAX_LABELS)]
    Count(usize),
}

fn is_in_labels(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/')
}

/// A rejected text as an error shows it: not all of a very long one.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_LABEL_LENGTH + 1).collect()
}

/// Checks the key of a label.
///
/// # Errors
/// [`InvalidLabel::Key`].
pub fn check_label_key(key: &str) -> Result<(), InvalidLabel> {
    let has_ends = |ends: Option<u8>| ends.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_key = key.len() <= MAX_LABEL_LENGTH
        && key.bytes().all(is_in_labels)
        && has_ends(key.bytes().next())
        && has_ends(key.bytes().next_back());
    if is_key { Ok(()) } else { Err(InvalidLabel::Key(shortened(key))) }
}

/// Checks a label.
///
/// # Errors
/// [`InvalidLabel::Key`] or [`InvalidLabel::Value`].
pub fn check_label(key: &str, value: &str) -> Result<(), InvalidLabel> {
    check_label_key(key)?;
    if value.len() <= MAX_LABEL_LENGTH && value.bytes().all(is_in_labels) {
        return Ok(());
    }
    Err(InvalidLabel::Value { key: key.to_owned(), value: shortened(value) })
}

/// Checks the labels of an application as a whole.
///
/// # Errors
/// As [`check_label`], and [`InvalidLabel::Count`].
pub fn check_labels(labels: &Labels) -> Result<(), InvalidLabel> {
    if labels.len() > MAX_LABELS {
        return Err(InvalidLabel::Count(labels.len()));
    }
    labels.iter().try_for_each(|(key, value)| check_label(key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_of_a_few_characters() {
        let longest = "k".repeat(MAX_LABEL_LENGTH);
        for (key, value) in
            [("team", "crm"), ("a", ""), ("example.com/Tier_2", "A-b.c/1_"), (&*longest, &*longest)]
        {
            assert_eq!(check_label(key, value), Ok(()), "{key}={value}");
        }
        let too_long = "k".repeat(MAX_LABEL_LENGTH + 1);
        for key in ["", "-team", "team-", "te am", "team=", "tëam", "a,b", "!a", "/", &*too_long] {
            assert!(matches!(check_label(key, "x"), Err(InvalidLabel::Key(_))), "{key}");
        }
        for value in ["a b", "a,b", "a=b", "é", "\n", &*too_long] {
            assert!(matches!(check_label("team", value), Err(InvalidLabel::Value { .. })), "{value}");
        }
    }

    #[test]
    fn there_is_a_most() {
        let labels = |count: usize| (0..count).map(|number| (format!("k{number}"), String::new())).collect();
        assert_eq!(check_labels(&labels(MAX_LABELS)), Ok(()));
        assert_eq!(check_labels(&labels(MAX_LABELS + 1)), Err(InvalidLabel::Count(MAX_LABELS + 1)));
    }
}
