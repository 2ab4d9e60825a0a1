//! Letting people in: by account and password, or by an operator's ticket.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::accounts::MAX_PASSWORD_BYTES;
use super::names::folded;
use super::token::Claims;
use super::{Auth, AuthError, EMAIL_PASSWORD, SignedIn, password, ticket};
use crate::app::json::object;
use crate::app::system::ISSUED_TOKENS;
use crate::data::{DataError, DatabaseError, Filter, Record, Transaction};

/// What somebody signs in with.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// User name or e-mail address.
    pub account: &'a str,
    /// The password, in the clear.
    pub password: &'a str,
    /// The name of an authenticator; without one, or where there is none of that name, the first
    /// one counts.
    pub authenticator: Option<&'a str>,
    /// The client's address, where it is known.
    pub client: Option<IpAddr>,
}

impl<'a> Credentials<'a> {
    /// Account and password.
    #[must_use]
    pub fn new(account: &'a str, password: &'a str) -> Self {
        Self { account, password, authenticator: None, client: None }
    }
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Somebody who has shown to be a user.
struct Recognised {
    id: i64,
    /// When the password that was shown had been set: another one since ends the session that
    /// begins.
    password_changed: Option<i64>,
    /// The name of the authenticator that counted.
    authenticator: Option<String>,
}

impl Auth {
    /// Checks account and password. Who has failed too often is refused before anything is looked
    /// at: neither the database nor the hash are asked.
    pub async fn sign_in(&self, credentials: &Credentials<'_>) -> Result<SignedIn, AuthError> {
        let Credentials { account, password, client, .. } = *credentials;
        if account.is_empty() || password.is_empty() {
            return Err(AuthError::MissingCredentials);
        }
        let attempt = self.throttle.begin(&folded(account), client, Instant::now()).map_err(|wait| {
            tracing::warn!(?client, "a sign-in was refused: too many attempts have failed");
            AuthError::TooManyAttempts(wait)
        })?;
        match self.recognise(credentials).await {
            Ok(Some(recognised)) => {
                self.throttle.succeeded(attempt);
                self.signed_in(recognised).await
            }
            Ok(None) => Err(AuthError::WrongCredentials),
            Err(error) => {
                self.throttle.undecided(attempt);
                Err(error)
            }
        }
    }

    /// Whose account and password these are.
    async fn recognise(&self, credentials: &Credentials<'_>) -> Result<Option<Recognised>, AuthError> {
        let Credentials { account, password, authenticator, client } = *credentials;
        let authenticator = self.authenticator(authenticator).await?;
        if authenticator.auth_type != EMAIL_PASSWORD {
            return Err(AuthError::NoAuthenticator(authenticator.name));
        }
        if password.len() > MAX_PASSWORD_BYTES {
            // Nobody has one of this length.
            return Ok(None);
        }
        let found = self.find_account(account, &["id", "password", "passwordChangeTz"]).await?;
        let number = |name: &str| found.as_ref().and_then(|record| record.get(name)?.as_i64());
        let id = number("id");
        // An account has two names: whoever guesses by both guesses no faster.
        let attempt = match id {
            Some(id) => {
                let attempt = self.throttle.begin_user(id, client, Instant::now());
                Some(attempt.map_err(AuthError::TooManyAttempts)?)
            }
            None => None,
        };
        let hash = found.as_ref().and_then(|record| record.get("password")?.as_str());
        let right = password::verify(&self.cpu_queue, password.to_owned(), hash.map(str::to_owned)).await;
        match (&right, attempt) {
            (Ok(true), Some(attempt)) => self.throttle.succeeded(attempt),
            (Err(_), Some(attempt)) => self.throttle.undecided(attempt),
            _ => {}
        }
        let right = right?;
        Ok(id.filter(|_| right).map(|id| Recognised {
            id,
            password_changed: number("passwordChangeTz"),
            authenticator: Some(authenticator.name),
        }))
    }

    /// Makes a ticket that signs `user` in (user name or e-mail; `None`: the first root user),
    /// once, within a minute.
    pub async fn issue_ticket(&self, user: Option<&str>) -> Result<(String, DateTime<Utc>), AuthError> {
        let id = match user {
            Some(account) => {
                self.find_account(account, &["id"]).await?.and_then(|user| user.get("id")?.as_i64())
            }
            None => Some(self.first_root().await?),
        };
        let Some(id) = id else {
            return Err(AuthError::NoSuchUser(user.unwrap_or_default().to_owned()));
        };
        if self.sessions.user(&self.source, id).await?.is_some_and(|known| known.disabled) {
            return Err(AuthError::Disabled);
        }
        let life = TimeDelta::from_std(ticket::TICKET_LIFETIME).unwrap_or_default();
        Ok((self.tickets.issue(id, Instant::now()), Utc::now() + life))
    }

    /// Signs in by a ticket; a second time is refused.
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<SignedIn, AuthError> {
        let id = self.tickets.redeem(ticket, Instant::now()).ok_or(AuthError::InvalidTicket)?;
        self.sessions.forget(id);
        let known = self.sessions.user(&self.source, id).await?.ok_or(AuthError::UserGone)?;
        self.signed_in(Recognised { id, password_changed: known.password_changed, authenticator: None }).await
    }

    /// A new session of a user.
    async fn signed_in(&self, recognised: Recognised) -> Result<SignedIn, AuthError> {
        let Recognised { id, password_changed, authenticator } = recognised;
        // Read again: it may have been made a moment ago.
        self.sessions.forget(id);
        let known = self.sessions.user(&self.source, id).await?.ok_or(AuthError::UserGone)?;
        if known.disabled {
            return Err(AuthError::Disabled);
        }
        let (now, policy) = (Utc::now(), **self.policy.load());
        let claims = Claims { password_changed, ..Claims::new(id, now, policy.token) };
        let issued = json!({
            "id": claims.sid, "jti": claims.jti, "userId": id, "authenticator": authenticator,
            "signInTime": claims.sign_in_time, "issuedTime": claims.sign_in_time,
        });
        let ended = Filter::less("signInTime", (now - policy.session).timestamp_millis());
        match self.remember(Filter::eq("userId", id).and(ended), object(issued)).await {
            // Whoever makes room again must get in. The token counts; it is not replaced.
            Err(error)
                if matches!(
                    error.database(),
                    Some(DatabaseError::Storage(_) | DatabaseError::FileLimit(_))
                ) =>
            {
                tracing::warn!(%error, user = id, "a session cannot be renewed later");
            }
            done => done?,
        }
        let token = self.keys.load().sign(&claims)?;
        Ok(SignedIn { user: Arc::clone(&known.user), token, expires: claims.expires() })
    }

    /// Writes down a session, in the place of those that have ended.
    async fn remember(&self, ended: Filter, issued: Record) -> Result<(), DataError> {
        let (ended, issued) = (&ended, &issued);
        let work = || {
            async move |transaction: &mut Transaction| {
                transaction.system().destroy(&ISSUED_TOKENS, ended).await?;
                transaction.system().insert(&ISSUED_TOKENS, issued.clone()).await.map(drop)
            }
        };
        self.source.transact(work).await
    }
}
