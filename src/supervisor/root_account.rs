//! The root user of a new application: from the request, else from the configuration, else the defaults.

use rand::Rng;

use super::texts;
use crate::app::NewRootUser;
use crate::protocol::{self, CreatedRootUser, ErrorKind, RpcError};

/// A root user with all its values.
#[derive(Debug, Clone)]
pub(crate) struct RootAccount {
    pub(crate) user: NewRootUser,
    generated: bool,
}

impl RootAccount {
    /// Completes the given values with the configured ones and the defaults, and checks them.
    ///
    /// # Errors
    /// `invalid_setting` if a value cannot be one of a user.
    pub(crate) fn complete(
        given: &protocol::RootUser,
        configured: &protocol::RootUser,
    ) -> Result<Self, RpcError> {
        let choose = |given: &Option<String>, configured: &Option<String>, default: &str| {
            let chosen = given.as_deref().or(configured.as_deref()).unwrap_or(default);
            // As for every other user, surrounding whitespace is not part of a name.
            chosen.trim().to_owned()
        };
        // The configured password is that of the configured user: another user gets a password of its own.
        let own_user = given.email.is_some() || given.username.is_some();
        let configured_password = if own_user { None } else { configured.password.clone() };
        let password = given.password.clone().or(configured_password);
        let user = NewRootUser {
            email: choose(&given.email, &configured.email, "admin@localhost"),
            username: choose(&given.username, &configured.username, "admin"),
            nickname: choose(&given.nickname, &configured.nickname, "Super Admin"),
            password: password.clone().unwrap_or_else(generate_password),
        };
        if user.password.is_empty() || user.password.contains('\0') {
            let problem = "the root user's password is empty or contains the character U+0000";
            return Err(RpcError::new(ErrorKind::InvalidSetting, problem)
                .hint("give one with --admin-password-file, or leave it out to have one generated"));
        }
        for (what, text) in
            [("user name", &user.username), ("nickname", &user.nickname), ("e-mail address", &user.email)]
        {
            if text.contains('\0') || (what == "user name" && text.is_empty()) {
                let sentence = format!("the root user's {what} is empty or contains the character U+0000");
                return Err(RpcError::new(ErrorKind::InvalidSetting, sentence)
                    .hint("give another one, or leave it out to have the default"));
            }
            texts::check(&format!("the root user's {what}"), text)?;
        }
        if !user.email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()) {
            let sentence = format!("\"{}\" is not an e-mail address", user.email);
            return Err(
                RpcError::new(ErrorKind::InvalidSetting, sentence).hint("give one like admin@example.com")
            );
        }
        Ok(Self { user, generated: password.is_none() })
    }

    /// Returns what the creator is told, once: a password only if it was generated.
    pub(crate) fn shown(&self) -> CreatedRootUser {
        CreatedRootUser {
            email: self.user.email.clone(),
            username: self.user.username.clone(),
            password: self.generated.then(|| self.user.password.clone()),
        }
    }

    /// The user without the password.
    pub(crate) fn named(&self) -> CreatedRootUser {
        CreatedRootUser { password: None, ..self.shown() }
    }
}

/// Generates 20 characters of 55 that look different from each other: 115 bits.
pub(super) fn generate_password() -> String {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut random = rand::rng();
    (0..20).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_root_user_are_trimmed_and_checked() {
        let user = |username: &str, email: &str| {
            let given = protocol::RootUser {
                username: Some(username.to_owned()),
                email: Some(email.to_owned()),
                ..protocol::RootUser::default()
            };
            let account = RootAccount::complete(&given, &protocol::RootUser::default()).ok()?;
            Some((account.user.username, account.user.email))
        };
        assert_eq!(user(" zoe\t", " Zoe@Example.org "), Some(("zoe".into(), "Zoe@Example.org".into())));
        for (username, email) in [
            ("", "a@b"),
            (" ", "a@b"),
            ("a\0", "a@b"),
            ("a", "a\0@b"),
            ("a", "ab"),
            ("a", " @b"),
            ("a", "a@ "),
        ] {
            assert_eq!(user(username, email), None, "{username:?} {email:?}");
        }
    }
}
