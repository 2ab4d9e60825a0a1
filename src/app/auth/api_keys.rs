//! API keys: tokens for programs, that act for a user in one of its roles until they are removed.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::policy::duration;
use super::token::Claims;
use super::{Auth, AuthError, Session, User};
use crate::app::json::object;
use crate::app::system::API_KEYS;
use crate::data::{DataError, Filter, Record, Transaction};

/// What an API key is made with.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// What it is called.
    pub name: String,
    /// The role it acts in; one of its user's.
    pub role: String,
    /// How long it is good: `"30d"`, a number of seconds, or `"never"` for a thousand years.
    pub expires_in: Value,
}

impl Auth {
    /// Makes an API key for whoever is signed in; gives its number, and its token, which nobody is told again.
    pub async fn create_api_key(
        &self,
        session: &Session,
        new: NewApiKey,
    ) -> Result<(i64, String), AuthError> {
        if new.name.trim().is_empty() {
            return Err(AuthError::Invalid("give the key a name".into()));
        }
        // A key made with a key has no other role than that one.
        if !session.user.has_role(&new.role) {
            return Err(AuthError::Invalid(format!("you do not have the role {}", new.role)));
        }
        let life = life(&new.expires_in).ok_or_else(|| {
            AuthError::Invalid("expiresIn must be a time such as \"30d\", or \"never\"".into())
        })?;
        let claims = Claims::api_key(session.user.id, new.role.clone(), Utc::now(), life);
        let token = self.keys.load().sign(&claims)?;
        let expires_in = new.expires_in.as_str().map_or_else(|| new.expires_in.to_string(), str::to_owned);
        let key = json!({
            "name": new.name, "roleName": new.role, "expiresIn": expires_in, "token": claims.jti,
            "createdById": session.user.id,
        });
        let key = &key;
        let work = || {
            async move |transaction: &mut Transaction| {
                let key = transaction.system().insert(&API_KEYS, object(key.clone())).await?;
                let id = key.get("id").cloned().unwrap_or_default();
                let sort = Record::from_iter([("sort".to_owned(), id.clone())]);
                transaction.system().update(&API_KEYS, &Filter::eq("id", id.clone()), sort).await?;
                Ok::<_, DataError>(id.as_i64().unwrap_or_default())
            }
        };
        Ok((self.source.transact(work).await?, token))
    }

    /// Removes the user's own API keys among these; they are refused from now on. Gives their
    /// number.
    pub async fn destroy_api_keys(&self, session: &Session, keys: Filter) -> Result<u64, AuthError> {
        let own = keys.and(Filter::eq("createdById", session.user.id));
        Ok(self.source.system().destroy(&API_KEYS, &own).await?)
    }

    /// Checks an API key whose user is known.
    pub(super) async fn check_key(
        &self,
        claims: Claims,
        user: &User,
        now: DateTime<Utc>,
    ) -> Result<Arc<Session>, AuthError> {
        if claims.exp <= now.timestamp() {
            return Err(AuthError::InvalidToken);
        }
        if !self.sessions.has_key(&self.source, claims.jti).await? {
            return Err(AuthError::BlockedToken);
        }
        let (token_id, expires) = (claims.jti.to_string(), claims.expires());
        let Some(role) = claims.role_name.filter(|role| user.has_role(role)) else {
            return Err(AuthError::RoleGone);
        };
        // It has this role and no other, whoever looks.
        let user = user.in_role(&role);
        Ok(Arc::new(Session { user, token_id, expires, renewed: None, key_role: Some(role) }))
    }
}

/// How long a key is good. A number is of seconds, as in the JWTs of NocoBase.
pub(super) fn life(given: &Value) -> Option<TimeDelta> {
    const THOUSAND_YEARS: TimeDelta = TimeDelta::days(365_250);
    if given.as_str() == Some("never") {
        return Some(THOUSAND_YEARS);
    }
    let time = match given.as_u64() {
        Some(seconds) => duration(&Value::from(seconds.checked_mul(1000)?))?,
        None => duration(given)?,
    };
    TimeDelta::from_std(time).ok().filter(|time| *time >= TimeDelta::seconds(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_for_a_time_or_for_ever() {
        for (given, seconds) in [
            (json!("30d"), Some(2_592_000)),
            (json!("never"), Some(31_557_600_000)),
            (json!(3600), Some(3600)),
            (json!("1s"), Some(1)),
            (json!("1ms"), None),
            (json!(0), None),
            (json!(-5), None),
            (json!(""), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!(u64::MAX), None),
        ] {
            assert_eq!(life(&given).map(|time| time.num_seconds()), seconds, "{given}");
        }
    }
}
