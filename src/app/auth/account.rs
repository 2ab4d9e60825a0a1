//! Accounts: changing a password, signing up, being removed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use serde_json::{Value, json};

use super::accounts::{is_email, is_username};
use super::names::check_names;
use super::{Auth, AuthError, Authenticator, EMAIL_PASSWORD, Session, password};
use crate::app::json::object;
use crate::app::system::{API_KEYS, ISSUED_TOKENS, ROLES, ROLES_USERS, USERS, USERS_AUTHENTICATORS};
use crate::data::{DataError, Filter, Query, Record, Sort, Transaction, run_to_completion};

/// The role of a user who is given none: the one that is marked as the default.
pub async fn default_role(transaction: &mut Transaction) -> Result<Option<String>, DataError> {
    let query = Query::filter(Filter::eq("default", true)).sort(Sort::ascending("name")).fields(&["name"]);
    let role = transaction.find_one(&ROLES, query).await?;
    Ok(role.and_then(|role| role.get("name")?.as_str().map(str::to_owned)))
}

/// The value of `passwordChangeTz` for a user whose password is changed now, in milliseconds. It is
/// another one than before, also when the clock was put back: sessions are told apart by it.
pub fn password_changed(user: &Record) -> i64 {
    let before = user.get("passwordChangeTz").and_then(Value::as_i64).unwrap_or_default();
    Utc::now().timestamp_millis().max(before.saturating_add(1))
}

/// Removes what a user who is removed leaves behind, in the same transaction: sessions, API keys, roles,
/// names elsewhere.
pub async fn remove_traces(transaction: &mut Transaction, id: i64) -> Result<(), DataError> {
    transaction.system().destroy(&ISSUED_TOKENS, &Filter::eq("userId", id)).await?;
    transaction.system().destroy(&API_KEYS, &Filter::eq("createdById", id)).await?;
    transaction.system().destroy(&ROLES_USERS, &Filter::eq("userId", id)).await?;
    transaction.system().destroy(&USERS_AUTHENTICATORS, &Filter::eq("userId", id)).await?;
    Ok(())
}

impl Auth {
    /// Hashes a new password for `users.password`, if it can be one. Whoever stores it for a user
    /// who is there already sets `passwordChangeTz` beside it, which ends the user's sessions.
    pub async fn hash_password(&self, password: String) -> Result<String, AuthError> {
        self.rules().check_password(&password)?;
        password::hash(&self.cpu_queue, password).await
    }

    /// Changes the password; all tokens of the user end.
    pub async fn change_password(&self, session: &Session, old: &str, new: &str) -> Result<(), AuthError> {
        if !self.rules().change_password {
            return Err(AuthError::Forbidden("the settings do not allow changing the password"));
        }
        if session.key_role.is_some() {
            return Err(AuthError::Forbidden("an API key cannot change its user's password"));
        }
        self.rules().check_password(new)?;
        let id = session.user.id;
        // Whoever found a session must not find the password.
        let attempt = self.throttle.begin_user(id, None, Instant::now());
        let attempt = attempt.map_err(AuthError::TooManyAttempts)?;
        let own = Filter::eq("id", id);
        let found = Query::filter(own.clone()).fields(&["password", "passwordChangeTz"]);
        let found = self.source.find_one(&USERS, found).await?;
        let Some(record) = found else { return Err(AuthError::UserGone) };
        let hash = record.get("password").and_then(Value::as_str).map(str::to_owned);
        if !password::verify(&self.cpu_queue, old.to_owned(), hash.clone()).await? {
            return Err(AuthError::WrongPassword);
        }
        self.throttle.succeeded(attempt);
        let changes = json!({
            "password": password::hash(&self.cpu_queue, new.to_owned()).await?,
            "passwordChangeTz": password_changed(&record),
            "updatedById": id,
        });
        // Of two changes at once, the second has the wrong old password.
        let unchanged = own.and(Filter::eq("password", hash));
        let (source, sessions) = (self.source.clone(), Arc::clone(&self.sessions));
        run_to_completion(async move {
            let (unchanged, changes) = (&unchanged, &changes);
            let changed = || {
                async move |transaction: &mut Transaction| {
                    let changed =
                        transaction.system().update(&USERS, unchanged, object(changes.clone())).await?;
                    if changed > 0 {
                        transaction.system().destroy(&ISSUED_TOKENS, &Filter::eq("userId", id)).await?;
                    }
                    Ok::<_, DataError>(changed)
                }
            };
            let changed = source.transact(changed).await;
            sessions.forget(id);
            if changed? == 0 { Err(AuthError::WrongPassword) } else { Ok(()) }
        })
        .await
    }

    /// Signs somebody up, as the authenticator's form asks; gives the new user.
    pub async fn sign_up(
        &self,
        authenticator: Option<&str>,
        client: Option<IpAddr>,
        given: &Record,
    ) -> Result<Record, AuthError> {
        let authenticator = self.authenticator(authenticator).await?;
        if authenticator.auth_type != EMAIL_PASSWORD || !authenticator.allows_sign_up() {
            return Err(AuthError::Forbidden("signing up is not allowed here"));
        }
        self.throttle.sign_up(client, Instant::now()).map_err(AuthError::TooManyAttempts)?;
        let mut user = profile(&authenticator, given)?;
        let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("password") != text("confirm_password") {
            return Err(AuthError::Invalid("the two passwords are not the same".into()));
        }
        let hash = self.hash_password(text("password").to_owned()).await?;
        user.insert("password".into(), hash.into());
        let user = &user;
        let work = || {
            async move |transaction: &mut Transaction| {
                check_names(transaction, None, user).await?;
                let user = transaction.system().insert(&USERS, user.clone()).await?;
                if let Some(role) = default_role(transaction).await? {
                    let link = json!({"roleName": role, "userId": user.get("id")});
                    transaction.system().insert(&ROLES_USERS, object(link)).await?;
                }
                Ok(user)
            }
        };
        self.source.transact(work).await
    }
}

/// What somebody who signs up may say of themselves, whatever the form asks: not the role.
const SIGN_UP_FIELDS: [&str; 4] = ["username", "email", "phone", "nickname"];

/// What the form asks for, of what was given.
fn profile(authenticator: &Authenticator, given: &Record) -> Result<Record, AuthError> {
    let mut user = Record::new();
    for asked in authenticator.form() {
        let value = match given.get(&asked.field) {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) if SIGN_UP_FIELDS.contains(&&*asked.field) => text.trim(),
            Some(Value::String(text)) => text,
            Some(_) => return Err(AuthError::Invalid(format!("{} must be a text", asked.field))),
        };
        let good = match (value, &*asked.field) {
            ("", _) => !asked.required,
            (name, "username") => is_username(name),
            (address, "email") => is_email(address),
            _ => true,
        };
        if !good {
            return Err(AuthError::Invalid(format!("give a valid {}", asked.field)));
        }
        if !value.is_empty() && SIGN_UP_FIELDS.contains(&&*asked.field) {
            user.insert(asked.field, value.into());
        }
    }
    Ok(user)
}
