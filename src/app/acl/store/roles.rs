//! Roles: their strategies, the default role of each user, and what is removed with a role.

use serde_json::{Map, Value as Json, json};

use super::body::{object, text};
use super::error::{StoreError, invalid};
use super::resources::{self, replace_resources};
use super::strategies::{checked_strategy, known_data_source, known_role, write_strategy};
use crate::app::acl::load::MAIN_DATA_SOURCE;
use crate::app::acl::policy::Policy;
use crate::app::acl::{RoleMode, UNION_ROLE, invariants};
use crate::app::json;
use crate::app::system::{DATA_SOURCES_ROLES, ROLES, ROLES_USERS, SYSTEM_SETTINGS};
use crate::data::{Filter, Transaction};

/// `dataSources/<key>/roles:update`: writes a role's strategy in a data source, and where the body
/// has `resources`, these in place of all that the role has there.
pub async fn update_strategy(
    transaction: &mut Transaction,
    policy: &Policy,
    data_source: &str,
    role: &str,
    body: &Json,
) -> Result<Json, StoreError> {
    let body = object(body, "the body")?;
    invariants::check_role_update(role)?;
    known_role(transaction, role).await?;
    known_data_source(transaction, data_source).await?;
    let given = body.get("strategy").map(checked_strategy).transpose()?;
    let written = write_strategy(transaction, data_source, role, given.cloned()).await?;
    if data_source == MAIN_DATA_SOURCE
        && let Some(strategy) = given
    {
        let changes = json::object(json!({"strategy": strategy}));
        transaction.system().update(&ROLES, &Filter::eq("name", role), changes).await?;
    }
    match body.get("resources") {
        None | Some(Json::Null) => {}
        Some(resources) => replace_resources(transaction, policy, data_source, role, resources).await?,
    }
    Ok(Json::Object(written))
}

/// Follows a role that was created or changed: writes its strategy to the main data source, and
/// where it is the default, makes no other the default. The caller has checked the invariants.
pub async fn role_saved(transaction: &mut Transaction, role: &str) -> Result<(), StoreError> {
    let saved = known_role(transaction, role).await?;
    let strategy = saved.get("strategy").cloned().unwrap_or_default();
    checked_strategy(&strategy)?;
    write_strategy(transaction, MAIN_DATA_SOURCE, role, Some(strategy)).await?;
    if saved.get("default") == Some(&Json::Bool(true)) {
        let others = Filter::ne("name", role).and(Filter::eq("default", true));
        transaction.system().update(&ROLES, &others, json::object(json!({"default": false}))).await?;
    }
    Ok(())
}

/// Follows a role that was removed: takes it from its users, and removes its permissions.
pub async fn role_destroyed(transaction: &mut Transaction, role: &str) -> Result<(), StoreError> {
    let its = Filter::eq("roleName", role);
    resources::destroy(transaction, its.clone()).await?;
    transaction.system().destroy(&DATA_SOURCES_ROLES, &its).await?;
    transaction.system().destroy(&ROLES_USERS, &its).await?;
    Ok(())
}

/// `roles:setDefaultRole` and `users:setDefaultRole`: with which of its roles a user begins, or with
/// all of them where `roleName` is [`UNION_ROLE`]. Unlike NocoBase, a role that the user does not
/// have is refused.
pub async fn set_default_role(
    transaction: &mut Transaction,
    user: i64,
    body: &Json,
) -> Result<Json, StoreError> {
    let body = object(body, "the body")?;
    let role = text(body, "roleName")?.ok_or_else(|| invalid("roleName is missing"))?;
    let users = Filter::eq("userId", user);
    let link = users.clone().and(Filter::eq("roleName", role));
    let held = transaction.count(&ROLES_USERS, &link).await? > 0;
    if !held && role != UNION_ROLE {
        return Err(invalid(format!("you do not have the role {role}")));
    }
    let before = users.and(Filter::eq("default", true));
    transaction.system().update(&ROLES_USERS, &before, json::object(json!({"default": false}))).await?;
    if held {
        transaction.system().update(&ROLES_USERS, &link, json::object(json!({"default": true}))).await?;
    } else {
        let new = json!({"userId": user, "roleName": role, "default": true});
        transaction.system().insert(&ROLES_USERS, json::object(new)).await?;
    }
    Ok(Json::from("ok"))
}

/// `roles:setSystemRoleMode`: whether users act in one role or in all of theirs.
pub async fn set_role_mode(transaction: &mut Transaction, body: &Json) -> Result<RoleMode, StoreError> {
    let given = body.as_object().and_then(|body: &Map<String, Json>| body.get("roleMode")?.as_str());
    let mode = given
        .and_then(RoleMode::parse)
        .ok_or_else(|| invalid("roleMode must be default, allow-use-union or only-use-union"))?;
    let changes = json::object(json!({"roleMode": mode.as_str()}));
    transaction.system().update(&SYSTEM_SETTINGS, &Filter::All, changes).await?;
    Ok(mode)
}
