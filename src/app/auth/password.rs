//! Passwords: argon2id in the PHC format, in turns and away from the threads that answer requests.

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};

use super::error::AuthError;
use crate::app::cpu_queue::CpuQueue;

/// Hashes a password with a new salt, to be stored.
pub(in crate::app) async fn hash(line: &CpuQueue, password: String) -> Result<String, AuthError> {
    let hashed =
        line.run(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()));
    hashed.await.ok_or(BROKEN)?.map_err(|_| AuthError::Failed("the password could not be hashed"))
}

/// Whether a password is the one that was hashed. Without a hash, because there is no such user,
/// it is never right, and finding that out takes as long as any other.
pub(super) async fn verify(
    line: &CpuQueue,
    password: String,
    hash: Option<String>,
) -> Result<bool, AuthError> {
    line.run(move || {
        let argon2 = Argon2::default();
        match hash.as_deref().map(PasswordHash::new) {
            Some(Ok(hash)) => argon2.verify_password(password.as_bytes(), &hash).is_ok(),
            Some(Err(_)) | None => {
                std::hint::black_box(argon2.hash_password(password.as_bytes()).is_ok());
                false
            }
        }
    })
    .await
    .ok_or(BROKEN)
}

const BROKEN: AuthError = AuthError::Failed("passwords cannot be checked: there is no thread for it");

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_hashed_with_a_salt_and_recognised() {
        let line = CpuQueue::default();
        let (first, second) =
            (hash(&line, "secret".into()).await.unwrap(), hash(&line, "secret".into()).await.unwrap());
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, second);
        for (password, hash, right) in [
            ("secret", Some(first.clone()), true),
            ("Secret", Some(first.clone()), false),
            ("", Some(first), false),
            ("secret", None, false),
            ("secret", Some("secret".into()), false),
        ] {
            assert_eq!(verify(&line, password.into(), hash).await.unwrap(), right, "{password}");
        }
    }
}
