//! Who is asking: sign-in, tokens, sessions.
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// A user as a request sees it.
#[derive(Debug, Clone)]
pub struct User {
    /// The key.
    pub id: i64,
    /// The name shown; the user name or the e-mail address where there is none.
    pub nickname: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Names of its roles.
    pub roles: Vec<String>,
}
/// A token that was checked, and whose it is.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user.
    pub user: Arc<User>,
    /// The token's own ID (`jti`).
    pub token_id: String,
}
impl Session {
    /// Whether the user has the role `root`.
    pub fn is_root(&self) -> bool {
        unimplemented!()
    }
}
/// Signed in: whose, and the token.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The user.
    pub user: Arc<User>,
    /// The JWT.
    pub token: String,
    /// When it expires.
    pub expires: DateTime<Utc>,
}
/// Why somebody is not let in; becomes an [`super::api::ApiError`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// No token.
    #[error("no token")]
    EmptyToken,
    /// And so on.
    #[error("{0}")]
    Other(String),
}
/// An application's sign-in.
#[derive(Debug)]
pub struct Auth {}
impl Auth {
    /// Checks account (user name or e-mail) and password.
    pub async fn sign_in(&self, _account: &str, _password: &str) -> Result<SignedIn, AuthError> {
        unimplemented!()
    }
    /// Checks a token.
    pub async fn authenticate(&self, _token: &str) -> Result<Arc<Session>, AuthError> {
        unimplemented!()
    }
    /// Ends a session: its token is refused from now on, also after a restart.
    pub async fn sign_out(&self, _session: &Session) -> Result<(), AuthError> {
        unimplemented!()
    }
    /// Changes the password; all tokens of the user end.
    pub async fn change_password(&self, _session: &Session, _old: &str, _new: &str) -> Result<(), AuthError> {
        unimplemented!()
    }
    /// Makes a ticket that signs `user` in (user name or e-mail; `None`: the first root user),
    /// once, within a minute.
    pub async fn issue_ticket(&self, _user: Option<&str>) -> Result<(String, DateTime<Utc>), AuthError> {
        unimplemented!()
    }
    /// Signs in by a ticket; a second time is refused.
    pub async fn redeem_ticket(&self, _ticket: &str) -> Result<SignedIn, AuthError> {
        unimplemented!()
    }
    /// A form token bound to this session: keyed hash of `token_id` under the JWT secret.
    pub fn form_token(&self, _session: &Session) -> String {
        unimplemented!()
    }
    /// Whether a form token is this session's, compared in constant time.
    pub fn check_form_token(&self, _session: &Session, _given: &str) -> bool {
        unimplemented!()
    }
}
