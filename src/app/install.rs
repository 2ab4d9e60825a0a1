//! Making an application's system tables and what belongs in them from the beginning.

use serde_json::{Value, json};

use super::auth::password;
use super::cpu_queue::CpuQueue;
use super::error::AppError;
use super::json::object;
use super::system::{
    AUTHENTICATORS, DATA_SOURCES, DATA_SOURCES_ROLES, DATA_SOURCES_ROLES_RESOURCES_SCOPES, ROLES,
    ROLES_USERS, SYSTEM_SETTINGS, SYSTEM_VERSION, TOKEN_CONTROL_CONFIG, TOKEN_POLICY, USER_COLLECTIONS,
    USERS, VERSION,
};
use super::{collections, resources};
use crate::data::{
    Collection, DataError, DataSource, Query, Record, Transaction, next_snowflake, random_uid,
};

/// What a new application's tables are filled with.
#[derive(Debug, Clone)]
pub struct Install {
    /// The title in its settings.
    pub title: String,
    /// Its first user.
    pub root: NewRootUser,
}

/// The first user: all known, the password in the clear (it is hashed with argon2id here).
#[derive(Clone)]
pub struct NewRootUser {
    /// E-mail address.
    pub email: String,
    /// User name.
    pub username: String,
    /// The name shown.
    pub nickname: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for NewRootUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewRootUser").field("email", &self.email).finish_non_exhaustive()
    }
}

/// Makes the system tables and the root user, in one transaction: an application has all of it or
/// nothing. One that has it already is left as it is; gives whether it has it only now.
pub async fn install(source: &DataSource, install: &Install) -> Result<bool, AppError> {
    if source.has_table(&VERSION).await? && source.find_one(&VERSION, Query::default()).await?.is_some() {
        return Ok(false);
    }
    // Before the transaction: hashing takes its time, and nobody else could write meanwhile.
    let hash = password::hash(&CpuQueue::default(), install.root.password.clone())
        .await
        .map_err(|error| AppError::Invalid(error.to_string()))?;
    let mut transaction = source.begin().await?;
    for collection in resources::collections() {
        transaction.create_table(collection).await?;
    }
    if transaction.find_one(&VERSION, Query::default()).await?.is_some() {
        return Ok(false);
    }
    fill(&mut transaction, install, hash).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Lists the tables of an installed application, without their prefix: the system tables and those of the collections
/// that users made.
pub async fn tables(source: &DataSource) -> Result<Vec<String>, DataError> {
    let mut tables: Vec<String> =
        resources::collections().map(|collection| collection.table().to_owned()).collect();
    let made = collections::tables(source).await?;
    tables.extend(made.iter().map(|collection| collection.table().to_owned()));
    Ok(tables)
}

/// Removes the tables of the collections that users made, and the system tables, as far as they are
/// there; gives their number.
pub async fn uninstall(source: &DataSource) -> Result<usize, DataError> {
    let mut removed = 0;
    if source.has_table(&USER_COLLECTIONS).await? {
        for collection in collections::tables(source).await? {
            if source.has_table(&collection).await? {
                source.drop_table(&collection).await?;
                removed += 1;
            }
        }
    }
    // The version goes last: as long as it is there, there is something to remove.
    for collection in resources::collections() {
        if source.has_table(collection).await? {
            source.drop_table(collection).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

async fn fill(transaction: &mut Transaction, install: &Install, hash: String) -> Result<(), DataError> {
    fill_permissions(transaction).await?;
    fill_sign_in(transaction).await?;
    let root = &install.root;
    let user = json!({
        "nickname": root.nickname, "username": root.username, "email": root.email, "password": hash,
    });
    let user = insert(transaction, &USERS, user).await?;
    for (role, default) in [("root", json!(true)), ("admin", Value::Null), ("member", Value::Null)] {
        let link = json!({"roleName": role, "userId": user.get("id"), "default": default});
        insert(transaction, &ROLES_USERS, link).await?;
    }
    let settings = json!({"title": install.title, "appLang": "en-US", "enabledLanguages": ["en-US"]});
    insert(transaction, &SYSTEM_SETTINGS, settings).await?;
    insert(transaction, &VERSION, json!({"value": SYSTEM_VERSION})).await?;
    Ok(())
}

/// Data sources, and who may do what in them.
async fn fill_permissions(transaction: &mut Transaction) -> Result<(), DataError> {
    let main = json!({"key": "main", "type": "main", "displayName": "{{t(\"Main\")}}", "options": {}});
    insert(transaction, &DATA_SOURCES, main).await?;
    for role in roles() {
        // A role's strategy counts where it is for a data source.
        if let Some(strategy) = role.get("strategy").cloned() {
            let strategy = json!({
                "id": random_uid(), "dataSourceKey": "main", "roleName": role["name"], "strategy": strategy,
            });
            insert(transaction, &DATA_SOURCES_ROLES, strategy).await?;
        }
        insert(transaction, &ROLES, role).await?;
    }
    let own = json!({"createdById": "{{ ctx.state.currentUser.id }}"});
    for (key, name, scope) in
        [("all", "{{t(\"All records\")}}", json!({})), ("own", "{{t(\"Own records\")}}", own)]
    {
        let scope = json!({"id": next_snowflake(), "key": key, "name": name, "scope": scope});
        insert(transaction, &DATA_SOURCES_ROLES_RESOURCES_SCOPES, scope).await?;
    }
    Ok(())
}

/// How people sign in, and for how long.
async fn fill_sign_in(transaction: &mut Transaction) -> Result<(), DataError> {
    let basic = json!({
        "name": "basic", "authType": "Email/Password", "description": "Sign in with username/email.",
        "enabled": true, "options": {"public": {"allowSignUp": true}}, "sort": 1,
    });
    insert(transaction, &AUTHENTICATORS, basic).await?;
    let policy = json!({
        "tokenExpirationTime": "1d", "sessionExpirationTime": "7d", "expiredTokenRenewLimit": "1d",
    });
    insert(transaction, &TOKEN_CONTROL_CONFIG, json!({"key": TOKEN_POLICY, "config": policy})).await?;
    Ok(())
}

/// The roles an application begins with, as NocoBase has them.
fn roles() -> [Value; 3] {
    [
        json!({
            "name": "root", "title": "{{t(\"Root\")}}", "hidden": true, "snippets": ["pm", "pm.*", "ui.*"],
        }),
        json!({
            "name": "admin", "title": "{{t(\"Admin\")}}", "allowConfigure": true, "allowNewMenu": true,
            "snippets": ["pm", "pm.*", "ui.*"],
            "strategy": {"actions": ["create", "view", "update", "destroy"]},
        }),
        json!({
            "name": "member", "title": "{{t(\"Member\")}}", "default": true, "allowNewMenu": true,
            "snippets": ["!pm", "!pm.*", "!ui.*"],
            "strategy": {"actions": ["view:own"]},
        }),
    ]
}

async fn insert(
    transaction: &mut Transaction,
    collection: &Collection,
    values: Value,
) -> Result<Record, DataError> {
    transaction.system().insert(collection, object(values)).await
}
