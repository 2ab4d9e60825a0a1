//! The root user that an application begins with: what was given, what the configuration says, and
//! what is made where neither says anything.

use rand::Rng;

use crate::app::RootUser as NewRootUser;
use crate::protocol::{self, CreatedRootUser, ErrorKind, RpcError};

/// A root user whose every value is known.
#[derive(Debug, Clone)]
pub(crate) struct RootAccount {
    pub(crate) user: NewRootUser,
    generated: bool,
}

impl RootAccount {
    /// What is given, else what the configuration says, else what is usual.
    pub(crate) fn complete(
        given: &protocol::RootUser,
        configured: &protocol::RootUser,
    ) -> Result<Self, RpcError> {
        let choose = |given: &Option<String>, configured: &Option<String>, usual: &str| {
            let chosen = given.as_deref().or(configured.as_deref()).unwrap_or(usual);
            // As of every other user, blanks around a name are none of it.
            chosen.trim().to_owned()
        };
        // A configured password belongs to the configured user: another one gets one of its own.
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
            let problem = "the root user's password is empty, or has a character U+0000";
            return Err(RpcError::new(ErrorKind::InvalidSetting, problem)
                .hint("give one with --admin-password-file, or leave it out to have one made"));
        }
        for (what, text) in
            [("user name", &user.username), ("nickname", &user.nickname), ("e-mail address", &user.email)]
        {
            if text.contains('\0') || (what == "user name" && text.is_empty()) {
                let sentence = format!("the root user's {what} is empty, or has a character U+0000");
                return Err(RpcError::new(ErrorKind::InvalidSetting, sentence)
                    .hint("give another one, or leave it out to have the usual one"));
            }
        }
        if !user.email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()) {
            let sentence = format!("\"{}\" is not an e-mail address", user.email);
            return Err(
                RpcError::new(ErrorKind::InvalidSetting, sentence).hint("give one like admin@example.com")
            );
        }
        Ok(Self { user, generated: password.is_none() })
    }

    /// What is told of it, once.
    pub(crate) fn shown(&self) -> CreatedRootUser {
        CreatedRootUser {
            email: self.user.email.clone(),
            username: self.user.username.clone(),
            password: self.generated.then(|| self.user.password.clone()),
        }
    }
}

/// 20 characters of 55 that are not mistaken for each other: 115 bits.
fn generate_password() -> String {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut random = rand::rng();
    (0..20).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_root_user_are_without_blanks_and_can_be_written() {
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
