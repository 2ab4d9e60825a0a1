//! Passwords: argon2id in the PHC format, away from the threads that answer requests.

use std::sync::LazyLock;

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use super::AuthError;

/// Each hash takes 19 MiB and a core for a while: no more at once than there are cores.
static TURNS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)));

/// Hashes a password with a new salt, to be stored.
pub(in crate::app) async fn hash(password: String) -> Result<String, AuthError> {
    let hashed =
        work(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()));
    hashed.await?.map_err(|_| AuthError::Failed("the password could not be hashed"))
}

/// Whether a password is the one that was hashed. Without a hash, because there is no such user,
/// it is never right, and finding that out takes as long as any other.
pub(super) async fn verify(password: String, hash: Option<String>) -> Result<bool, AuthError> {
    work(move || {
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
}

async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AuthError> {
    let failed = AuthError::Failed("passwords cannot be checked: the host is shutting down");
    let Ok(turn) = TURNS.acquire().await else { return Err(failed) };
    let done = tokio::task::spawn_blocking(move || {
        // Kept until the work is done, also when nobody waits for it any more.
        let _turn = turn;
        work()
    });
    done.await.map_err(|_| failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_hashed_with_a_salt_and_recognised() {
        let (first, second) = (hash("secret".into()).await.unwrap(), hash("secret".into()).await.unwrap());
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, second);
        for (password, hash, right) in [
            ("secret", Some(first.clone()), true),
            ("Secret", Some(first.clone()), false),
            ("", Some(first), false),
            ("secret", None, false),
            ("secret", Some("secret".into()), false),
        ] {
            assert_eq!(verify(password.into(), hash).await.unwrap(), right, "{password}");
        }
    }
}
