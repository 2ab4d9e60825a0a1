//! Keeps users, API keys and blocked tokens in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::app::lazy_map::LazyMap;
use crate::app::system::{API_KEYS, ROLES_USERS, TOKEN_BLACKLIST, USERS};
use crate::data::{DataError, DataSource, Filter, Query, Record, Sort};

use super::disabled::is_disabled;
use super::user::{Derived, User};

/// Users and API keys that are kept; when there are more, all are dropped and read again on demand.
const MAX_USERS: usize = 10_000;

/// A user, and since when tokens count.
#[derive(Debug, Clone)]
pub(super) struct CachedUser {
    pub(super) user: Arc<User>,
    /// When the password was last changed, in milliseconds.
    pub(super) password_changed: Option<i64>,
    /// Whether the user is disabled.
    pub(super) disabled: bool,
}

/// Users and blocked tokens of one application, read and written by many at once without a lock.
#[derive(Debug, Default)]
pub(in crate::app) struct SessionCache {
    /// `None`: there is no such user.
    users: LazyMap<i64, Option<CachedUser>>,
    /// API keys by their tokens' IDs, and whether there is such a key.
    keys: LazyMap<Uuid, bool>,
    /// Counts the changes of both: what was read before a change is not kept after it.
    changes: AtomicU64,
    /// Tokens that were signed out, and when they would have ended (in seconds).
    blocked: LazyMap<Uuid, i64>,
}

impl SessionCache {
    /// Reads the tokens that were signed out: of an application that starts.
    pub(super) async fn load_blocked(
        &self,
        source: &DataSource,
        now: DateTime<Utc>,
    ) -> Result<(), DataError> {
        let open = Filter::greater("expiration", now.to_rfc3339());
        let query = Query::filter(open).fields(&["token", "expiration"]);
        for record in source.find(&TOKEN_BLACKLIST, query).await? {
            let text = |field: &str| record.get(field).and_then(Value::as_str);
            let token = text("token").and_then(|token| Uuid::try_parse(token).ok());
            let until = text("expiration").and_then(|until| DateTime::parse_from_rfc3339(until).ok());
            if let (Some(token), Some(until)) = (token, until) {
                self.block(token, until.timestamp());
            }
        }
        Ok(())
    }

    /// Refuses a token from now on, until it would have expired by itself.
    pub(super) fn block(&self, token: Uuid, until: i64) {
        self.blocked.insert(token, until);
    }

    /// Forgets blocked tokens that have ended by themselves.
    pub(super) fn forget_ended(&self, now: DateTime<Utc>) {
        self.blocked.retain(|_, until| *until > now.timestamp());
    }

    pub(super) fn is_blocked(&self, token: Uuid) -> bool {
        self.blocked.contains(&token)
    }

    /// The user, from memory or else from the database; `None` when there is none.
    pub(super) async fn user(&self, source: &DataSource, id: i64) -> Result<Option<CachedUser>, DataError> {
        if let Some(known) = self.users.get(&id, Clone::clone) {
            return Ok(known);
        }
        let before = self.changes.load(Ordering::SeqCst);
        let known = Box::pin(read(source, id)).await?;
        self.keep(&self.users, id, known.clone(), before);
        Ok(known)
    }

    /// Whether there is an API key with this token, from memory or else from the database.
    pub(super) async fn has_key(&self, source: &DataSource, token: Uuid) -> Result<bool, DataError> {
        if let Some(there) = self.keys.get(&token, |there| *there) {
            return Ok(there);
        }
        let before = self.changes.load(Ordering::SeqCst);
        let query = Query::filter(Filter::eq("token", token.to_string())).fields(&["id"]);
        let there = source.find_one(&API_KEYS, query).await?.is_some();
        self.keep(&self.keys, token, there, before);
        Ok(there)
    }

    fn keep<K: Copy + Eq + std::hash::Hash, V>(&self, all: &LazyMap<K, V>, key: K, value: V, before: u64) {
        if all.len() >= MAX_USERS {
            all.clear();
        }
        all.insert(key, value);
        // A change since the reading may have looked for it here before it was in.
        if self.changes.load(Ordering::SeqCst) != before {
            all.remove(&key);
        }
    }

    /// The user was changed: what is known of it is forgotten.
    pub(super) fn forget(&self, id: i64) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.users.remove(&id);
    }

    /// Everything that can be read again is forgotten; tokens that were signed out stay refused.
    pub(in crate::app) fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.keys.clear();
        self.users.clear();
    }
}

async fn read(source: &DataSource, id: i64) -> Result<Option<CachedUser>, DataError> {
    // With the fields that were added to users: filters may ask for them.
    let catalog = source.catalog();
    let users = catalog.get(USERS.name()).unwrap_or(&USERS);
    let shown = users.fields().iter().filter(|field| !field.is_hidden()).map(|field| field.name());
    let fields: Vec<&str> = shown.chain(["password"]).collect();
    let found = source.find_one(users, Query::filter(Filter::eq("id", id)).fields(&fields)).await?;
    let Some(mut record) = found else { return Ok(None) };
    let disabled = is_disabled(&record);
    record.remove("password");
    let roles = Query::filter(Filter::eq("userId", id))
        .sort(Sort::ascending("roleName"))
        .fields(&["roleName", "default"]);
    let roles = source.find(&ROLES_USERS, roles).await?;
    let default = roles.iter().find(|role| role.get("default") == Some(&Value::Bool(true)));
    let text = |record: &Record, field: &str| record.get(field).and_then(Value::as_str).map(str::to_owned);
    let user = User {
        id,
        nickname: text(&record, "nickname"),
        username: text(&record, "username"),
        email: text(&record, "email"),
        roles: roles.iter().filter_map(|role| text(role, "roleName")).collect(),
        default_role: default.and_then(|role| text(role, "roleName")),
        record: Record::new(),
        derived: Derived::default(),
    };
    let password_changed = record.get("passwordChangeTz").and_then(Value::as_i64);
    let user = User { record, ..user };
    Ok(Some(CachedUser { user: Arc::new(user), password_changed, disabled }))
}
