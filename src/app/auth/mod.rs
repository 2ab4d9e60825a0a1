//! Who is asking: sign-in, tokens, sessions.
//!
//! `password.rs` hashes, `token.rs` signs and checks, `session.rs` remembers users and ended
//! tokens, `ticket.rs` lets an operator sign somebody in; [`Auth`] puts them together. A request
//! with a good token of a known user is let in without asking the database.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::system::{ROLES_USERS, TOKEN_BLACKLIST, USERS};
use crate::data::{DataError, DataSource, Filter, Query, Record, Sort};

mod error;
pub(in crate::app) mod password;
mod session;
mod ticket;
mod token;

pub use error::AuthError;
use session::{Known, Sessions};
use ticket::Tickets;
use token::{Claims, Keys};

/// What form tokens are keyed for.
const FORM: &str = "form";

/// A user as a request sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The key.
    pub id: i64,
    /// The name shown, where there is one; see [`User::name`].
    pub nickname: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Names of its roles.
    pub roles: Vec<String>,
    /// The role that it begins with, where one is marked.
    pub default_role: Option<String>,
    /// All of it that may be shown: what filters mean by `{{ $user.… }}`.
    pub record: Record,
}

impl User {
    /// The name that people are shown: nickname, user name or e-mail address.
    #[must_use]
    pub fn name(&self) -> &str {
        [&self.nickname, &self.username, &self.email]
            .into_iter()
            .filter_map(Option::as_deref)
            .find(|name| !name.is_empty())
            .unwrap_or("?")
    }

    /// What filters mean by `$user`: the user, with its roles.
    #[must_use]
    pub fn variables(&self) -> Record {
        let mut variables = self.record.clone();
        let roles = self.roles.iter().map(|name| json!({"name": name}));
        variables.insert("roles".to_owned(), roles.collect());
        variables
    }

    /// Whether it has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

/// A token that was checked, and whose it is.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user.
    pub user: Arc<User>,
    /// The token's own ID (`jti`).
    pub token_id: String,
    /// When the token ends.
    pub expires: DateTime<Utc>,
}

impl Session {
    /// Whether the user has the role `root`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.user.has_role("root")
    }
}

/// Signed in: whose, and the token.
#[derive(Clone)]
pub struct SignedIn {
    /// The user.
    pub user: Arc<User>,
    /// The JWT.
    pub token: String,
    /// When it expires.
    pub expires: DateTime<Utc>,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever has the token is the user: it belongs in no log.
        f.debug_struct("SignedIn").field("user", &self.user).finish_non_exhaustive()
    }
}

/// An application's sign-in.
#[derive(Debug)]
pub struct Auth {
    source: DataSource,
    keys: ArcSwap<Keys>,
    sessions: Arc<Sessions>,
    tickets: Tickets,
}

impl Auth {
    /// Of an application that starts.
    pub(super) async fn open(source: DataSource, secret: &[u8]) -> Result<Self, DataError> {
        let sessions = Arc::new(Sessions::load(&source, Utc::now()).await?);
        let keys = ArcSwap::from_pointee(Keys::new(secret));
        Ok(Self { source, keys, sessions, tickets: Tickets::default() })
    }

    /// Takes another secret: every token and form token signed before is refused from now on.
    pub fn replace_secret(&self, secret: &[u8]) {
        self.keys.store(Arc::new(Keys::new(secret)));
    }

    /// Checks account (user name or e-mail) and password.
    pub async fn sign_in(&self, account: &str, password: &str) -> Result<SignedIn, AuthError> {
        if account.is_empty() || password.is_empty() {
            return Err(AuthError::MissingCredentials);
        }
        let found = self.find_account(account, &["id", "password"]).await?;
        let id = found.as_ref().and_then(|record| record.get("id")?.as_i64());
        let hash = found.as_ref().and_then(|record| record.get("password")?.as_str());
        let right = password::verify(password.to_owned(), hash.map(str::to_owned)).await?;
        match id {
            Some(id) if right => self.signed_in(id).await,
            _ => Err(AuthError::WrongCredentials),
        }
    }

    /// Checks a token.
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Session>, AuthError> {
        if token.is_empty() {
            return Err(AuthError::EmptyToken);
        }
        let claims = self.keys.load().check(token)?;
        if self.sessions.is_blocked(claims.jti) {
            return Err(AuthError::BlockedToken);
        }
        let known = self.sessions.user(&self.source, claims.user_id).await?;
        let Some(Known { user, password_changed }) = known else { return Err(AuthError::UserGone) };
        // Seconds against milliseconds, as NocoBase does: what was signed within the second of the
        // change counts as signed before it, whichever it was.
        if password_changed.is_some_and(|changed| claims.iat.saturating_mul(1000) < changed) {
            return Err(AuthError::InvalidToken);
        }
        Ok(Arc::new(Session { user, token_id: claims.jti.to_string(), expires: claims.expires() }))
    }

    /// Ends a session: its token is refused from now on, also after a restart.
    pub async fn sign_out(&self, session: &Session) -> Result<(), AuthError> {
        let token = Uuid::try_parse(&session.token_id).map_err(|_| AuthError::InvalidToken)?;
        let now = Utc::now();
        let entry = json!({
            "token": session.token_id,
            "expiration": session.expires.to_rfc3339_opts(SecondsFormat::Millis, true),
        });
        let ended = Filter::less("expiration", now.to_rfc3339());
        // First here: should the database fail, the token is refused until a restart at least.
        self.sessions.forget_ended(now);
        self.sessions.block(token, session.expires.timestamp());
        let source = self.source.clone();
        to_its_end(async move {
            let mut transaction = source.begin().await?;
            transaction.destroy(&TOKEN_BLACKLIST, &ended).await?;
            transaction.insert(&TOKEN_BLACKLIST, object(entry)).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Changes the password; all tokens of the user end.
    pub async fn change_password(&self, session: &Session, old: &str, new: &str) -> Result<(), AuthError> {
        if new.is_empty() {
            return Err(AuthError::UnusablePassword("the new password is empty"));
        }
        let own = Filter::eq("id", session.user.id);
        let found = self.source.find_one(&USERS, Query::filter(own.clone()).fields(&["password"])).await?;
        let Some(record) = found else { return Err(AuthError::UserGone) };
        let hash = record.get("password").and_then(Value::as_str).map(str::to_owned);
        if !password::verify(old.to_owned(), hash.clone()).await? {
            return Err(AuthError::WrongPassword);
        }
        let changes = json!({
            "password": password::hash(new.to_owned()).await?,
            "passwordChangeTz": Utc::now().timestamp_millis(),
            "updatedById": session.user.id,
        });
        // Of two changes at once, the second has the wrong old password.
        let unchanged = own.and(Filter::eq("password", hash));
        let (source, sessions, id) = (self.source.clone(), Arc::clone(&self.sessions), session.user.id);
        to_its_end(async move {
            let changed = source.update(&USERS, &unchanged, object(changes)).await;
            sessions.forget(id);
            if changed? == 0 { Err(AuthError::WrongPassword) } else { Ok(()) }
        })
        .await
    }

    /// Makes a ticket that signs `user` in (user name or e-mail; `None`: the first root user),
    /// once, within a minute.
    pub async fn issue_ticket(&self, user: Option<&str>) -> Result<(String, DateTime<Utc>), AuthError> {
        let id = match user {
            Some(account) => {
                self.find_account(account, &["id"]).await?.and_then(|user| user.get("id")?.as_i64())
            }
            None => {
                let roots = Query::filter(Filter::eq("roleName", "root")).sort(Sort::ascending("userId"));
                self.source.find_one(&ROLES_USERS, roots).await?.and_then(|link| link.get("userId")?.as_i64())
            }
        };
        let Some(id) = id else {
            return Err(AuthError::NoSuchUser(user.unwrap_or("with the role root").to_owned()));
        };
        let life = TimeDelta::from_std(ticket::LIFE).unwrap_or_default();
        Ok((self.tickets.issue(id, Instant::now()), Utc::now() + life))
    }

    /// Signs in by a ticket; a second time is refused.
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<SignedIn, AuthError> {
        let id = self.tickets.redeem(ticket, Instant::now()).ok_or(AuthError::InvalidTicket)?;
        self.signed_in(id).await
    }

    /// A form token bound to this session: keyed hash of `token_id` under the JWT secret.
    #[must_use]
    pub fn form_token(&self, session: &Session) -> String {
        self.keys.load().keyed_hash(FORM, &session.token_id)
    }

    /// Whether a form token is this session's, compared in constant time.
    #[must_use]
    pub fn check_form_token(&self, session: &Session, given: &str) -> bool {
        self.form_token(session).as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// A user or its roles were changed or removed: what memory knows of it is forgotten.
    pub fn forget_user(&self, id: i64) {
        self.sessions.forget(id);
    }

    /// Users or roles were changed, and it is not known whose: all of them are forgotten.
    pub fn forget_users(&self) {
        self.sessions.forget_all();
    }

    /// A new token for a user.
    async fn signed_in(&self, id: i64) -> Result<SignedIn, AuthError> {
        let known = self.sessions.user(&self.source, id).await?.ok_or(AuthError::UserGone)?;
        let claims = Claims::new(id, Utc::now());
        let token = self.keys.load().sign(&claims)?;
        Ok(SignedIn { user: known.user, token, expires: claims.expires() })
    }

    /// The user of a user name or an e-mail address; where one's name is another's address, the
    /// one who was there first.
    async fn find_account(&self, account: &str, fields: &[&str]) -> Result<Option<Record>, DataError> {
        let either = ["username", "email"].map(|field| Filter::eq(field, account)).to_vec();
        let query = Query::filter(Filter::Or(either)).sort(Sort::ascending("id")).fields(fields);
        match self.source.find_one(&USERS, query).await {
            // What no field could hold is nobody's name.
            Err(DataError::Invalid { .. }) => Ok(None),
            found => found,
        }
    }
}

/// Does what changes both the database and memory, also when nobody waits for it any more: a
/// client that hangs up must not leave memory with what the database knows better.
async fn to_its_end(
    work: impl Future<Output = Result<(), AuthError>> + Send + 'static,
) -> Result<(), AuthError> {
    let done = tokio::spawn(work).await;
    done.unwrap_or(Err(AuthError::Failed("the change broke off: the host is shutting down")))
}

fn object(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        _ => Record::new(),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "tests.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod tests_on_mariadb;
#[cfg(test)]
#[path = "tests.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod tests_on_postgres;
