//! Checks texts that go into columns of the registry and of users.

use crate::protocol::{ErrorKind, RpcError};

/// The longest text of such a column, in characters.
const MAX_CHARACTERS: usize = 255;

/// Checks that a text fits its column on every engine. `what` names it in the error.
pub(super) fn check(what: &str, text: &str) -> Result<(), RpcError> {
    let characters = text.chars().count();
    let sentence = if characters > MAX_CHARACTERS {
        format!("{what} has {characters} characters")
    } else if text.contains('\0') {
        format!("{what} has a character U+0000")
    } else {
        return Ok(());
    };
    Err(RpcError::new(ErrorKind::InvalidSetting, sentence)
        .hint(format!("give one of at most {MAX_CHARACTERS} characters, without U+0000")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert!(check("it", &"é".repeat(MAX_CHARACTERS)).is_ok());
        for wrong in ["é".repeat(MAX_CHARACTERS + 1), "a\0b".to_owned()] {
            assert_eq!(check("it", &wrong).unwrap_err().kind(), ErrorKind::InvalidSetting);
        }
    }
}
