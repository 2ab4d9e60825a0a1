//! Scopes: named filters of records that permissions refer to.

use serde_json::{Map, Value as Json, json};

use super::body::{number, object, stored_id, text};
use super::error::{StoreError, invalid};
use super::strategies::known_data_source;
use crate::app::acl::invariants;
use crate::app::acl::load::MAIN_DATA_SOURCE;
use crate::app::json;
use crate::app::system::{
    DATA_SOURCES_ROLES_RESOURCES_ACTIONS as ACTIONS, DATA_SOURCES_ROLES_RESOURCES_SCOPES as SCOPES, USERS,
};
use crate::app::user_variables;
use crate::data::{
    DataSource, Filter, Query, Record, Sort, Transaction, check_variables, next_snowflake, random_uid,
};

fn of_id(id: i64) -> Filter {
    Filter::eq("id", id)
}

async fn known(transaction: &mut Transaction, id: i64) -> Result<Record, StoreError> {
    let found = transaction.find_one(&SCOPES, Query::filter(of_id(id))).await?;
    found.ok_or_else(|| StoreError::NotFound(format!("there is no scope {id}")))
}

fn key(scope: &Record) -> &str {
    scope.get("key").and_then(Json::as_str).unwrap_or_default()
}

/// `rolesResourcesScopes:list`: the scopes that fit, the oldest first.
pub async fn list_scopes(source: &DataSource, filter: Filter) -> Result<Vec<Json>, StoreError> {
    let found = source.find(&SCOPES, Query::filter(filter).sort(Sort::ascending("id"))).await?;
    Ok(found.into_iter().map(Json::Object).collect())
}

/// `rolesResourcesScopes:create`: `{name, resourceName, scope, dataSourceKey?, key?}`.
pub async fn create_scope(transaction: &mut Transaction, body: &Json) -> Result<Json, StoreError> {
    let body = object(body, "the body")?;
    let data_source = text(body, "dataSourceKey")?.unwrap_or(MAIN_DATA_SOURCE);
    Ok(Json::Object(create(transaction, data_source, body).await?))
}

pub(super) async fn create(
    transaction: &mut Transaction,
    data_source: &str,
    body: &Map<String, Json>,
) -> Result<Record, StoreError> {
    let key = text(body, "key")?.map_or_else(random_uid, str::to_owned);
    invariants::check_scope_change(&key)?;
    known_data_source(transaction, data_source).await?;
    let new = json!({
        "id": next_snowflake(),
        "key": key,
        "dataSourceKey": data_source,
        "name": text(body, "name")?,
        "resourceName": text(body, "resourceName")?,
        "scope": filter_of(transaction, body)?,
    });
    Ok(transaction.system().insert(&SCOPES, json::object(new)).await?)
}

/// The filter of a scope, whose variables exist. Null and `{}` reach every record.
fn filter_of<'a>(transaction: &Transaction, body: &'a Map<String, Json>) -> Result<&'a Json, StoreError> {
    match body.get("scope") {
        None => Ok(&Json::Null),
        Some(filter @ (Json::Null | Json::Object(_))) => {
            let catalog = transaction.catalog();
            let users = catalog.get(USERS.name()).unwrap_or(&USERS);
            check_variables(filter, &|path| user_variables::has(users, path))
                .map_err(|error| invalid(error.to_string()))?;
            Ok(filter)
        }
        Some(_) => Err(invalid("scope must be a filter: an object")),
    }
}

/// `rolesResourcesScopes:update`: changes what the body has of a scope; gives it as it is then.
pub async fn update_scope(transaction: &mut Transaction, id: i64, body: &Json) -> Result<Json, StoreError> {
    let body = object(body, "the body")?;
    invariants::check_scope_change(key(&known(transaction, id).await?))?;
    let mut changes = Record::new();
    for field in ["name", "resourceName"] {
        if body.contains_key(field) {
            changes.insert(field.to_owned(), text(body, field)?.into());
        }
    }
    if body.contains_key("scope") {
        changes.insert("scope".to_owned(), filter_of(transaction, body)?.clone());
    }
    transaction.system().update(&SCOPES, &of_id(id), changes).await?;
    Ok(Json::Object(known(transaction, id).await?))
}

/// `rolesResourcesScopes:destroy`. One that a permission refers to stays: without it, the
/// permission would reach other records.
pub async fn destroy_scope(transaction: &mut Transaction, id: i64) -> Result<u64, StoreError> {
    invariants::check_scope_change(key(&known(transaction, id).await?))?;
    if transaction.count(&ACTIONS, &Filter::eq("scopeId", id)).await? > 0 {
        return Err(invalid("the scope is in use: take it out of the roles' permissions first"));
    }
    Ok(transaction.system().destroy(&SCOPES, &of_id(id)).await?)
}

/// The scope that an action's body refers to: `scopeId`, `scopeKey`, or `scope` with its ID, its
/// key, or a filter that becomes a scope of its own.
pub(super) async fn referred(
    transaction: &mut Transaction,
    data_source: &str,
    collection: &str,
    action: &Map<String, Json>,
) -> Result<Option<i64>, StoreError> {
    let nested = action.get("scope").unwrap_or(&Json::Null);
    let mut id = [action.get("scopeId"), nested.get("id"), Some(nested)].into_iter().flatten();
    if let Some(id) = id.find(|id| !id.is_null() && !id.is_object()) {
        let id = number(id).ok_or_else(|| invalid("scopeId must be a number"))?;
        return existing(transaction, data_source, "id", id.into()).await.map(Some);
    }
    if let Some(key) = action.get("scopeKey").or_else(|| nested.get("key")).and_then(Json::as_str) {
        return existing(transaction, data_source, "key", key.into()).await.map(Some);
    }
    match nested {
        Json::Object(new) if !new.is_empty() => {
            if !new.contains_key("scope") {
                return Err(invalid("scope must have an id, a key, or a scope: its filter"));
            }
            let mut new = new.clone();
            new.entry("resourceName").or_insert_with(|| collection.into());
            Ok(Some(stored_id(&create(transaction, data_source, &new).await?)))
        }
        _ => Ok(None),
    }
}

async fn existing(
    transaction: &mut Transaction,
    data_source: &str,
    field: &str,
    value: Json,
) -> Result<i64, StoreError> {
    let filter = Filter::eq(field, value.clone()).and(Filter::eq("dataSourceKey", data_source));
    let found = transaction.find_one(&SCOPES, Query::filter(filter).fields(&["id"])).await?;
    let found = found.as_ref().map(stored_id);
    found.ok_or_else(|| invalid(format!("the data source {data_source} has no scope {value}")))
}
