//! What an operator of the host does with users and API keys from outside of the application, without a token.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::disabled::{enabled_roots, is_disabled, restored};
use super::{Auth, AuthError, Session, password_changed};
use crate::app::json::object;
use crate::app::system::{API_KEYS, ISSUED_TOKENS, ROLES_USERS, USERS};
use crate::data::{Filter, Query, Sort, Transaction, run_to_completion};

/// How long the session of an operator's call is good: longer than any request takes.
const OPERATOR_SESSION: TimeDelta = TimeDelta::hours(1);

impl Auth {
    /// Finds a user by number, e-mail address or user name. Digits are a number where there is a user of it, so
    /// that nobody takes the place of another by a user name of digits.
    pub async fn find_user(&self, user: &str) -> Result<i64, AuthError> {
        if user.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(id) = user.parse::<i64>()
        {
            let query = Query::filter(Filter::eq("id", id)).fields(&["id"]);
            if self.source.find_one(&USERS, query).await?.is_some() {
                return Ok(id);
            }
        }
        self.find_account_id(user).await?.ok_or_else(|| AuthError::NoSuchUser(user.to_owned()))
    }

    /// Finds the first user with the role `root` who is not disabled.
    pub async fn first_root(&self) -> Result<i64, AuthError> {
        let links =
            Query::filter(Filter::eq("roleName", "root")).sort(Sort::ascending("userId")).fields(&["userId"]);
        let links = self.source.find(&ROLES_USERS, links).await?;
        for id in links.iter().filter_map(|link| link.get("userId")?.as_i64()) {
            let user = Query::filter(Filter::eq("id", id)).fields(&["password"]);
            if self.source.find_one(&USERS, user).await?.is_some_and(|user| !is_disabled(&user)) {
                return Ok(id);
            }
        }
        Err(AuthError::NoSuchUser("with the role root".to_owned()))
    }

    /// Finds the user of a user name or an e-mail address, if there is one.
    pub async fn find_account_id(&self, name: &str) -> Result<Option<i64>, AuthError> {
        Ok(self.find_account(name, &["id"]).await?.and_then(|user| user.get("id")?.as_i64()))
    }

    /// Makes a session in which an operator acts as a user who is not disabled. No token belongs to it, and nothing
    /// is stored.
    pub async fn act_as(&self, id: i64) -> Result<Arc<Session>, AuthError> {
        match self.sessions.user(&self.source, id).await? {
            Some(known) if known.disabled => Err(AuthError::Disabled),
            _ => self.operator_session(id).await,
        }
    }

    /// The same of a user who may be disabled, for what the host does on its own.
    pub async fn operator_session(&self, id: i64) -> Result<Arc<Session>, AuthError> {
        let known = self.sessions.user(&self.source, id).await?.ok_or(AuthError::UserGone)?;
        Ok(Arc::new(Session {
            user: known.user,
            token_id: Uuid::new_v4().to_string(),
            expires: Utc::now() + OPERATOR_SESSION,
            renewed: None,
            key_role: None,
        }))
    }

    /// Disables a user, or enables it again; returns whether that changed anything. Sessions of a user who is
    /// disabled end for good. API keys are refused as long as their user is disabled.
    ///
    /// # Errors
    /// [`AuthError::LastRoot`] for the last enabled user with the role `root`.
    pub async fn set_disabled(&self, id: i64, disabled: bool) -> Result<bool, AuthError> {
        let source = self.source.clone();
        run_to_completion(async move {
            let work =
                || async move |transaction: &mut Transaction| set_disabled(transaction, id, disabled).await;
            source.transact(work).await
        })
        .await
    }

    /// Forgets the failed sign-ins of a user, under all of its names: an operator has set another password.
    pub async fn forgive(&self, id: i64) -> Result<(), AuthError> {
        let user = Query::filter(Filter::eq("id", id)).fields(&["username", "email"]);
        let user = self.source.find_one(&USERS, user).await?.unwrap_or_default();
        let names = ["username", "email"].iter().filter_map(|field| user.get(*field)?.as_str());
        self.throttle.forgive(id, names.map(super::names::folded));
        Ok(())
    }

    /// Removes an API key, whoever made it; it is refused from then on. Returns whether there was one.
    pub async fn revoke_api_key(&self, id: i64) -> Result<bool, AuthError> {
        Ok(self.source.system().destroy(&API_KEYS, &Filter::eq("id", id)).await? > 0)
    }

    /// When a key that was created at this time expires, by its `expiresIn`; `None` when it does not.
    #[must_use]
    pub fn key_expiry(created: DateTime<Utc>, expires_in: &str) -> Option<DateTime<Utc>> {
        if expires_in == "never" {
            return None;
        }
        let seconds = expires_in.parse::<u64>().map(Value::from);
        let life = super::api_keys::life(&seconds.unwrap_or_else(|_| Value::from(expires_in)))?;
        created.checked_add_signed(life)
    }
}

async fn set_disabled(transaction: &mut Transaction, id: i64, disabled: bool) -> Result<bool, AuthError> {
    let own = Filter::eq("id", id);
    let user = Query::filter(own.clone()).fields(&["password", "passwordChangeTz"]);
    let Some(user) = transaction.find_one(&USERS, user).await? else { return Err(AuthError::UserGone) };
    if is_disabled(&user) == disabled {
        return Ok(false);
    }
    if disabled && enabled_roots(transaction).await? == [id] {
        return Err(AuthError::LastRoot);
    }
    let changes = json!({"password": restored(&user, disabled), "passwordChangeTz": password_changed(&user)});
    transaction.system().update(&USERS, &own, object(changes)).await?;
    transaction.system().destroy(&ISSUED_TOKENS, &Filter::eq("userId", id)).await?;
    Ok(true)
}
