//! Roles themselves: their strategies, who begins with which, what goes with them.

use serde_json::{Map, Value as Json, json};

use super::{StoreError, invalid, object, record, replace_resources};
use crate::app::acl::load::MAIN_DATA_SOURCE;
use crate::app::acl::policy::Policy;
use crate::app::acl::{RoleMode, UNION_ROLE, guard};
use crate::app::system::{DATA_SOURCES, DATA_SOURCES_ROLES, ROLES, ROLES_USERS, SYSTEM_SETTINGS};
use crate::data::{DataSource, Filter, Query, Record, Sort, Transaction, random_uid};

fn of_role(data_source: &str, role: &str) -> Filter {
    Filter::eq("roleName", role).and(Filter::eq("dataSourceKey", data_source))
}

/// Fails where there is no such role.
pub(super) async fn known_role(transaction: &mut Transaction, role: &str) -> Result<Record, StoreError> {
    let found = transaction.find_one(&ROLES, Query::filter(Filter::eq("name", role))).await?;
    found.ok_or_else(|| StoreError::NotFound(format!("there is no role {role}")))
}

/// Fails where there is no such data source.
pub(super) async fn known_data_source(transaction: &mut Transaction, key: &str) -> Result<(), StoreError> {
    let found = transaction.count(&DATA_SOURCES, &Filter::eq("key", key)).await?;
    if found > 0 { Ok(()) } else { Err(StoreError::NotFound(format!("there is no data source {key}"))) }
}

/// `dataSources/<key>/roles:get`: a role's strategy in a data source; one that was never written
/// is null.
pub async fn get_strategy(source: &DataSource, data_source: &str, role: &str) -> Result<Json, StoreError> {
    let query = Query::filter(of_role(data_source, role)).sort(Sort::descending("id"));
    let found = source.find_one(&DATA_SOURCES_ROLES, query).await?;
    Ok(match found {
        Some(found) => Json::Object(found),
        None => json!({"roleName": role, "dataSourceKey": data_source, "strategy": null}),
    })
}

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
    guard::check_role_update(role)?;
    known_role(transaction, role).await?;
    known_data_source(transaction, data_source).await?;
    let given = body.get("strategy").map(checked_strategy).transpose()?;
    let written = write_strategy(transaction, data_source, role, given.cloned()).await?;
    if data_source == MAIN_DATA_SOURCE
        && let Some(strategy) = given
    {
        let changes = record(json!({"strategy": strategy}));
        transaction.update(&ROLES, &Filter::eq("name", role), changes).await?;
    }
    match body.get("resources") {
        None | Some(Json::Null) => {}
        Some(resources) => replace_resources(transaction, policy, data_source, role, resources).await?,
    }
    Ok(Json::Object(written))
}

/// A strategy is null or an object whose `actions` are texts.
fn checked_strategy(strategy: &Json) -> Result<&Json, StoreError> {
    let actions = match strategy {
        Json::Null => return Ok(strategy),
        Json::Object(parts) => parts.get("actions").unwrap_or(&Json::Null),
        _ => return Err(invalid("strategy must be an object like {\"actions\": [\"view\"]}")),
    };
    let fits = match actions {
        Json::Null | Json::String(_) | Json::Bool(false) => true,
        Json::Array(actions) => actions.iter().all(Json::is_string),
        _ => false,
    };
    if fits { Ok(strategy) } else { Err(invalid("strategy.actions must be a list of actions")) }
}

/// Writes the strategy, where one is given, to the role's record of the data source; makes that
/// record where it is missing.
async fn write_strategy(
    transaction: &mut Transaction,
    data_source: &str,
    role: &str,
    strategy: Option<Json>,
) -> Result<Record, StoreError> {
    let query = Query::filter(of_role(data_source, role)).sort(Sort::descending("id"));
    let Some(mut found) = transaction.find_one(&DATA_SOURCES_ROLES, query).await? else {
        let new = json!({
            "id": random_uid(), "roleName": role, "dataSourceKey": data_source, "strategy": strategy,
        });
        return Ok(transaction.insert(&DATA_SOURCES_ROLES, record(new)).await?);
    };
    if let Some(strategy) = strategy {
        let changes = record(json!({"strategy": strategy}));
        transaction.update(&DATA_SOURCES_ROLES, &of_role(data_source, role), changes).await?;
        found.insert("strategy".to_owned(), strategy);
    }
    Ok(found)
}

/// Makes the role's record of a data source where it is missing.
pub(super) async fn ensure_strategy(
    transaction: &mut Transaction,
    data_source: &str,
    role: &str,
) -> Result<(), StoreError> {
    write_strategy(transaction, data_source, role, None).await.map(drop)
}

/// What follows when a role was made or changed: its strategy is the one of the main data source,
/// and where it is the default, no other is. The caller has asked the guards.
pub async fn role_saved(transaction: &mut Transaction, role: &str) -> Result<(), StoreError> {
    let saved = known_role(transaction, role).await?;
    let strategy = saved.get("strategy").cloned().unwrap_or_default();
    checked_strategy(&strategy)?;
    write_strategy(transaction, MAIN_DATA_SOURCE, role, Some(strategy)).await?;
    if saved.get("default") == Some(&Json::Bool(true)) {
        let others = Filter::ne("name", role).and(Filter::eq("default", true));
        transaction.update(&ROLES, &others, record(json!({"default": false}))).await?;
    }
    Ok(())
}

/// What follows when a role was removed: nobody has it any more, and nothing is left of what it
/// was allowed.
pub async fn role_destroyed(transaction: &mut Transaction, role: &str) -> Result<(), StoreError> {
    let its = Filter::eq("roleName", role);
    super::resources::destroy(transaction, its.clone()).await?;
    transaction.destroy(&DATA_SOURCES_ROLES, &its).await?;
    transaction.destroy(&ROLES_USERS, &its).await?;
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
    let role = super::text(body, "roleName")?.ok_or_else(|| invalid("roleName is missing"))?;
    let users = Filter::eq("userId", user);
    let link = users.clone().and(Filter::eq("roleName", role));
    let held = transaction.count(&ROLES_USERS, &link).await? > 0;
    if !held && role != UNION_ROLE {
        return Err(invalid(format!("you do not have the role {role}")));
    }
    let before = users.and(Filter::eq("default", true));
    transaction.update(&ROLES_USERS, &before, record(json!({"default": false}))).await?;
    if held {
        transaction.update(&ROLES_USERS, &link, record(json!({"default": true}))).await?;
    } else {
        let new = json!({"userId": user, "roleName": role, "default": true});
        transaction.insert(&ROLES_USERS, record(new)).await?;
    }
    Ok(Json::from("ok"))
}

/// `roles:setSystemRoleMode`: whether users act in one role or in all of theirs.
pub async fn set_role_mode(transaction: &mut Transaction, body: &Json) -> Result<RoleMode, StoreError> {
    let given = body.as_object().and_then(|body: &Map<String, Json>| body.get("roleMode")?.as_str());
    let mode = given
        .and_then(RoleMode::parse)
        .ok_or_else(|| invalid("roleMode must be default, allow-use-union or only-use-union"))?;
    let changes = record(json!({"roleMode": mode.as_str()}));
    transaction.update(&SYSTEM_SETTINGS, &Filter::All, changes).await?;
    Ok(mode)
}
