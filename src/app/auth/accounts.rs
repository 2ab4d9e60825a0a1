//! What accounts and passwords must be like: rules without a database.

use serde_json::Value;

use super::error::AuthError;
use crate::data::Record;

/// The longest password, in bytes: hashing more is work for nothing.
pub(super) const MAX_PASSWORD_BYTES: usize = 1024;

/// What the settings say of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRules {
    /// The fewest characters of a new password (`options.passwordPolicy.minLength`).
    pub shortest_password: usize,
    /// Whether people may change their passwords (`enableChangePassword`).
    pub change_password: bool,
    /// Whether people may change their names and addresses (`enableEditProfile`).
    pub edit_profile: bool,
}

impl Default for AccountRules {
    fn default() -> Self {
        Self { shortest_password: 1, change_password: true, edit_profile: true }
    }
}

impl AccountRules {
    /// From the record of `systemSettings`. As NocoBase has it, what is not forbidden is allowed.
    #[must_use]
    pub fn of(settings: &Record) -> Self {
        let allowed = |name: &str| settings.get(name).and_then(Value::as_bool) != Some(false);
        let shortest = settings
            .get("options")
            .and_then(|options| options.pointer("/passwordPolicy/minLength")?.as_u64())
            .and_then(|length| usize::try_from(length).ok());
        Self {
            shortest_password: shortest.unwrap_or(1).clamp(1, MAX_PASSWORD_BYTES / 4),
            change_password: allowed("enableChangePassword"),
            edit_profile: allowed("enableEditProfile"),
        }
    }

    /// Refuses a new password that cannot be one.
    pub fn check_password(&self, password: &str) -> Result<(), AuthError> {
        let problem = if password.is_empty() {
            "the new password is empty".to_owned()
        } else if password.contains('\0') {
            "the new password has a character U+0000, which nobody types".to_owned()
        } else if password.len() > MAX_PASSWORD_BYTES {
            format!("the new password is too long: at most {MAX_PASSWORD_BYTES} bytes")
        } else if password.chars().count() < self.shortest_password {
            format!("the new password is too short: at least {} characters", self.shortest_password)
        } else {
            return Ok(());
        };
        Err(AuthError::UnusablePassword(problem))
    }
}

/// Prepares the values of a user, new or changed, as a client gave them: takes the password out, to
/// be hashed, and what only the host sets. A name or address that is empty is none, so that two
/// people without one are not taken for the same.
pub fn take_password(values: &mut Record) -> Result<Option<String>, AuthError> {
    for own in ["passwordChangeTz", "resetToken"] {
        values.remove(own);
    }
    for name in ["username", "email", "phone"] {
        if let Some(Value::String(given)) = values.get(name) {
            let trimmed = match given.trim() {
                "" => Value::Null,
                trimmed => Value::from(trimmed),
            };
            values.insert(name.to_owned(), trimmed);
        }
    }
    match values.remove("password") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(password)) => Ok(Some(password)),
        Some(_) => Err(AuthError::Invalid("password must be a text".into())),
    }
}

/// Whether a text can be the user name of somebody who signs up.
pub(super) fn is_username(text: &str) -> bool {
    (1..=50).contains(&text.chars().count()) && !text.contains(['@', '<', '>', '"', '\'', '/'])
}

/// Whether a text looks like an e-mail address: words of letters, digits, `_`, `-`, joined by dots,
/// at least two of them after the `@`.
pub(super) fn is_email(text: &str) -> bool {
    let words = |text: &str, least: usize| {
        let good = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        text.split('.').all(good) && text.split('.').count() >= least
    };
    text.len() <= 254 && text.split_once('@').is_some_and(|(name, host)| words(name, 1) && words(host, 2))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(value: Value) -> Record {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn user_names_and_addresses() {
        for (text, username, email) in [
            ("ann", true, false),
            ("Ännchen von Tharau", true, false),
            ("", false, false),
            (&*"x".repeat(51), false, false),
            ("a@b", false, false),
            ("a/b", false, false),
            ("<a>", false, false),
            ("ann@example.com", false, true),
            ("ann.b-c_d@mail.example.co", false, true),
            ("ann@example", false, false),
            ("ann..b@example.com", false, false),
            ("@example.com", false, false),
            ("ann@b@example.com", false, false),
            ("ann+x@example.com", false, false),
        ] {
            assert_eq!((is_username(text), is_email(text)), (username, email), "{text}");
        }
    }

    #[test]
    fn passwords_are_not_empty_not_endless_and_as_long_as_the_settings_ask() {
        let none = AccountRules::of(&Record::new());
        assert_eq!(none, AccountRules::default());
        let settings = json!({"options": {"passwordPolicy": {"minLength": 8}}, "enableEditProfile": false});
        let strict = AccountRules::of(&record(settings));
        assert!(strict.change_password && !strict.edit_profile);
        for (password, by_default, by_settings) in [
            ("", false, false),
            ("x", true, false),
            ("secret-\0-1", false, false),
            ("ääääääää", true, true),
            (&*"x".repeat(1024), true, true),
            (&*"x".repeat(1025), false, false),
        ] {
            assert_eq!(none.check_password(password).is_ok(), by_default, "{}", password.len());
            assert_eq!(strict.check_password(password).is_ok(), by_settings, "{}", password.len());
        }
    }

    #[test]
    fn the_password_is_taken_out_with_what_only_the_host_sets() {
        let mut values = record(json!({
            "username": "", "email": "a@example.com", "password": "x", "passwordChangeTz": 1, "resetToken": "y",
        }));
        assert_eq!(take_password(&mut values).unwrap().as_deref(), Some("x"));
        assert_eq!(Value::Object(values), json!({"username": null, "email": "a@example.com"}));
        let mut values = record(json!({"username": " \u{a0}", "email": "\ta@example.com \n", "phone": 1}));
        assert_eq!(take_password(&mut values).unwrap(), None);
        assert_eq!(Value::Object(values), json!({"username": null, "email": "a@example.com", "phone": 1}));
        for (password, taken) in
            [(json!(null), Some(None)), (json!(""), Some(Some(String::new()))), (json!(1), None)]
        {
            let mut values = record(json!({"password": password}));
            assert_eq!(take_password(&mut values).ok(), taken);
        }
    }
}
