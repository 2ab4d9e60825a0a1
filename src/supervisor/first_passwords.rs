//! Generated passwords of first users, until somebody has seen them.
//!
//! The answer to `app.create` shows the password. Where the answer does not arrive (the client was interrupted,
//! ran out of time, or lost its connection), the operation shows it once, to the user who called. The
//! password is in memory only, and no longer than [`KEPT_FOR`] after the end of the operation.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::protocol::CreatedRootUser;

/// How long a password that nobody has seen is kept after the end of its operation.
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);
/// How long somebody who asks for a password waits until another answer with it has arrived, or has not.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);

/// The first users whose generated passwords nobody has seen, by operation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FirstPasswords {
    unseen: Arc<Mutex<HashMap<String, Unseen>>>,
    /// Changes when a password is claimed no more.
    released: watch::Sender<()>,
}

/// A first user whose password nobody has seen.
#[derive(Debug)]
struct Unseen {
    admin: CreatedRootUser,
    /// The user who may see it, by the user ID of the operating system; `None` for a call over HTTP.
    caller: Option<u32>,
    /// Whether an answer with it is being made or is on its way.
    is_claimed: bool,
    /// When it is forgotten; unknown while the operation is under way.
    until: Option<Instant>,
}

impl Default for FirstPasswords {
    fn default() -> Self {
        Self { unseen: Arc::default(), released: watch::Sender::new(()) }
    }
}

impl FirstPasswords {
    /// Keeps the password of a user that `operation` creates, if it was generated.
    pub(super) fn keep(&self, operation: &str, caller: Option<u32>, admin: CreatedRootUser) {
        if admin.password.is_some() {
            let unseen = Unseen { admin, caller, is_claimed: false, until: None };
            self.unseen.lock().insert(operation.to_owned(), unseen);
        }
    }

    /// Claims the password for the call that began the operation, until [`FirstPasswords::show`] or
    /// [`FirstPasswords::release`].
    pub(super) fn reserve(&self, operation: &str) {
        if let Some(unseen) = self.unseen.lock().get_mut(operation) {
            unseen.is_claimed = true;
        }
    }

    /// Forgets the password: it was seen, or the user was not created after all.
    pub(super) fn forget(&self, operation: &str) {
        self.unseen.lock().remove(operation);
        self.released.send_replace(());
    }

    /// Limits how long the password is kept: the operation has ended.
    pub(super) fn end(&self, operation: &str) {
        if let Some(unseen) = self.unseen.lock().get_mut(operation) {
            unseen.until = Some(Instant::now() + KEPT_FOR);
        }
    }

    /// Forgets what was kept for long enough at this time.
    pub(super) fn expire(&self, now: Instant) {
        self.unseen.lock().retain(|_, unseen| unseen.until.is_none_or(|until| now < until));
    }

    /// Gives up the claim: the answer does not show the password.
    pub(super) fn release(&self, operation: &str) {
        if let Some(unseen) = self.unseen.lock().get_mut(operation) {
            unseen.is_claimed = false;
        }
        self.released.send_replace(());
    }

    /// The password for the answer to the call that began the operation.
    pub(super) fn show(&self, operation: &str) -> Option<ShownPassword> {
        let admin = self.unseen.lock().get(operation)?.admin.clone();
        Some(ShownPassword { operation: operation.to_owned(), admin, kept: self.clone() })
    }

    /// Claims the password of an operation that has ended, for the user who began it. Waits for an answer that is
    /// on its way, which may not arrive.
    pub(super) async fn claim(&self, operation: &str, user: Option<u32>) -> Option<ShownPassword> {
        let mut released = self.released.subscribe();
        let claimed = async {
            loop {
                match self.try_claim(operation, user) {
                    Err(Claimed) => released.changed().await.ok()?,
                    Ok(claimed) => return claimed,
                }
            }
        };
        tokio::time::timeout(CLAIM_TIMEOUT, claimed).await.ok().flatten()
    }

    fn try_claim(&self, operation: &str, user: Option<u32>) -> Result<Option<ShownPassword>, Claimed> {
        let mut all = self.unseen.lock();
        match all.get_mut(operation).filter(|unseen| user.is_some() && unseen.caller == user) {
            None => Ok(None),
            Some(unseen) if unseen.is_claimed => Err(Claimed),
            Some(unseen) => {
                unseen.is_claimed = true;
                let (operation, admin) = (operation.to_owned(), unseen.admin.clone());
                Ok(Some(ShownPassword { operation, admin, kept: self.clone() }))
            }
        }
    }
}

/// Another answer with the password is on its way.
struct Claimed;

/// A password on its way to the one who may see it. On drop it may be claimed again, unless it was delivered.
#[derive(Debug)]
pub struct ShownPassword {
    operation: String,
    admin: CreatedRootUser,
    kept: FirstPasswords,
}

impl ShownPassword {
    /// The user with the password.
    pub fn admin(&self) -> &CreatedRootUser {
        &self.admin
    }

    /// Forgets the password: it has arrived.
    pub fn delivered(self) {
        self.kept.forget(&self.operation);
    }
}

impl Drop for ShownPassword {
    fn drop(&mut self) {
        // One that was delivered is kept no more.
        self.kept.release(&self.operation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: Option<u32> = Some(1000);

    fn kept() -> FirstPasswords {
        let passwords = FirstPasswords::default();
        let password = Some("s3cret".to_owned());
        let admin = CreatedRootUser { email: "a@b".into(), username: "a".into(), password };
        passwords.keep("x", CALLER, admin);
        passwords.reserve("x");
        passwords
    }

    #[tokio::test]
    async fn a_password_is_shown_once_to_the_caller() {
        let passwords = kept();
        passwords.release("x");
        for other in [Some(0), Some(1001), None] {
            assert!(passwords.claim("x", other).await.is_none(), "{other:?}");
        }
        let shown = passwords.claim("x", CALLER).await.unwrap();
        assert_eq!(shown.admin().password.as_deref(), Some("s3cret"));
        drop(shown);
        passwords.claim("x", CALLER).await.expect("it did not arrive").delivered();
        assert!(passwords.claim("x", CALLER).await.is_none());
    }

    #[tokio::test]
    async fn the_call_that_began_the_operation_comes_first() {
        for arrives in [true, false] {
            let passwords = kept();
            let claiming = passwords.clone();
            let claiming = tokio::spawn(async move { claiming.claim("x", CALLER).await.is_some() });
            tokio::task::yield_now().await;
            assert!(!claiming.is_finished());
            let shown = passwords.show("x").unwrap();
            match arrives {
                true => shown.delivered(),
                false => drop(shown),
            }
            assert_eq!(claiming.await.unwrap(), !arrives);
        }
    }

    #[tokio::test]
    async fn a_password_that_nobody_asks_for_is_forgotten() {
        let passwords = kept();
        passwords.release("x");
        let much_later = Instant::now() + 2 * KEPT_FOR;
        passwords.expire(much_later);
        drop(passwords.claim("x", CALLER).await.expect("its operation is under way"));
        passwords.end("x");
        passwords.expire(Instant::now());
        assert!(passwords.claim("x", CALLER).await.is_some());
        passwords.expire(much_later);
        assert!(passwords.unseen.lock().is_empty());
    }

    #[test]
    fn what_is_not_secret_is_not_kept() {
        let passwords = FirstPasswords::default();
        let admin = CreatedRootUser { email: "a@b".into(), username: "a".into(), password: None };
        passwords.keep("x", CALLER, admin);
        assert!(passwords.show("x").is_none());
        for said in [format!("{:?}", kept()), format!("{:?}", kept().show("x"))] {
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}
