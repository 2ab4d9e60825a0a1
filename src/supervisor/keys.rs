//! The API keys of an application, for an operator of the host.

use std::sync::Arc;

use serde_json::Value;

use super::Supervisor;
use super::api_call::Operator;
use super::error_context::ErrorContext;
use crate::app::KeyEntry;
use crate::app::auth::NewApiKey;
use crate::protocol::{
    ApiKey, AppId, CreateKey, ErrorKind, KeyCreated, KeyList, ListKeys, RevokeKey, RpcError, User,
};

impl Supervisor {
    /// Lists the keys of all users.
    pub async fn list_keys(self: &Arc<Self>, list: &ListKeys) -> Result<KeyList, RpcError> {
        let id = &list.id;
        let app = if list.running_only { self.lend_running(id)? } else { self.lend(id).await? };
        let keys = app.api_keys().await;
        let keys = keys.map_err(|error| error.while_doing(format!("listing the API keys of \"{id}\"")))?;
        Ok(KeyList { keys: keys.into_iter().map(described).collect() })
    }

    /// Creates a key of a user; it is given once.
    pub async fn create_key(self: &Arc<Self>, create: CreateKey) -> Result<KeyCreated, RpcError> {
        let whose = create.user.as_deref().unwrap_or("the root user");
        let doing = format!("creating the API key \"{}\" for {whose} of \"{}\"", create.name, create.id);
        let operator = self.operator(&create.id, doing).await?;
        let user = match &create.user {
            Some(user) => operator.find(user).await?,
            None => operator.session.user.id,
        };
        let user = operator.user(user).await?;
        let role = match create.role {
            Some(role) => role,
            None => own_role(&user, &create.id)?,
        };
        if !user.roles.contains(&role) {
            let sentence = format!("{} failed: the user does not have the role {role}", operator.doing);
            return Err(RpcError::new(ErrorKind::RoleNotFound, sentence)
                .hint(format!("the user has: {}", user.roles.join(", "))));
        }
        let auth = operator.app.auth();
        let session = auth.act_as(user.id).await.map_err(|error| operator.failed(error))?;
        let new = NewApiKey { name: create.name, role, expires_in: Value::from(create.expires_in) };
        let created = auth.create_api_key(&session, new).await;
        let (id, token) = created.map_err(|error| operator.failed(error))?;
        let keys = operator.keys().await?;
        let key = keys.into_iter().find(|key| key.id == id).ok_or_else(|| {
            let sentence = format!("{} failed: the key was removed at once", operator.doing);
            RpcError::new(ErrorKind::KeyNotFound, sentence)
        })?;
        Ok(KeyCreated { key, token: Some(token) })
    }

    /// Revokes a key, by number or by name.
    pub async fn revoke_key(self: &Arc<Self>, revoke: RevokeKey) -> Result<ApiKey, RpcError> {
        let doing = format!("revoking the API key \"{}\" of \"{}\"", revoke.key, revoke.id);
        let operator = self.operator(&revoke.id, doing).await?;
        let keys = operator.keys().await?;
        let number = revoke.key.parse::<i64>().ok();
        let by_number = keys.iter().find(|key| Some(key.id) == number);
        let mut named = keys.iter().filter(|key| key.name == revoke.key);
        let key = match (by_number, named.next(), named.next()) {
            (Some(key), ..) | (None, Some(key), None) => key.clone(),
            (None, None, _) => {
                let sentence = format!("{} failed: there is no such key", operator.doing);
                return Err(RpcError::new(ErrorKind::KeyNotFound, sentence)
                    .hint(format!("list the keys with: nbapps key list {}", revoke.id)));
            }
            (None, Some(_), Some(_)) => {
                let same = keys.iter().filter(|key| key.name == revoke.key).map(|key| key.id.to_string());
                let numbers = same.collect::<Vec<_>>().join(", ");
                let sentence = format!("{} failed: several keys have this name", operator.doing);
                return Err(RpcError::new(ErrorKind::Conflict, sentence)
                    .hint(format!("name one of them by its number: {numbers}")));
            }
        };
        operator.app.auth().revoke_api_key(key.id).await.map_err(|error| operator.failed(error))?;
        Ok(key)
    }
}

impl Operator {
    async fn keys(&self) -> Result<Vec<ApiKey>, RpcError> {
        let keys = self.app.api_keys().await.map_err(|error| error.while_doing(&self.doing))?;
        Ok(keys.into_iter().map(described).collect())
    }
}

/// The role that a user begins with, or its only one.
fn own_role(user: &User, id: &AppId) -> Result<String, RpcError> {
    let only = || user.roles.first().filter(|_| user.roles.len() == 1).cloned();
    user.default_role.clone().filter(|role| user.roles.contains(role)).or_else(only).ok_or_else(|| {
        let sentence =
            format!("the user {} of \"{id}\" has several roles or none, and begins with none", user.id);
        let roles = if user.roles.is_empty() { "none".to_owned() } else { user.roles.join(", ") };
        RpcError::new(ErrorKind::InvalidSetting, sentence)
            .hint(format!("say in which role the key acts with --role; the user has: {roles}"))
    })
}

fn described(key: KeyEntry) -> ApiKey {
    let KeyEntry { id, name, user, user_name, role, created_at, expires_at } = key;
    ApiKey { id, name, user_id: user, user: user_name, role, created_at, expires_at }
}
