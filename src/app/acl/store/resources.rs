//! What a role may do with one collection: `dataSourcesRolesResources` with its actions.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value as Json, json};

use super::body::{object, stored_id, text};
use super::error::{StoreError, invalid};
use super::scopes;
use super::strategies::{ensure_strategy, known_data_source, known_role};
use crate::app::acl::invariants;
use crate::app::acl::policy::Policy;
use crate::app::json;
use crate::app::system::{
    DATA_SOURCES_ROLES_RESOURCES as RESOURCES, DATA_SOURCES_ROLES_RESOURCES_ACTIONS as ACTIONS,
    DATA_SOURCES_ROLES_RESOURCES_SCOPES as SCOPES,
};
use crate::data::{DataError, DataSource, Filter, Query, Record, Sort, Transaction, next_snowflake};

/// Which resource of a role is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located<'a> {
    /// The one with this ID (`filterByTk`).
    Id(i64),
    /// The one of this collection.
    Collection {
        /// The data source's key.
        data_source: &'a str,
        /// The collection's name.
        name: &'a str,
    },
}

impl Located<'_> {
    fn filter(self, role: &str) -> Filter {
        let of_role = Filter::eq("roleName", role);
        match self {
            Self::Id(id) => of_role.and(Filter::eq("id", id)),
            Self::Collection { data_source, name } => {
                of_role.and(Filter::eq("dataSourceKey", data_source)).and(Filter::eq("name", name))
            }
        }
    }
}

/// A collection, as a list of permissions shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionTitle<'a> {
    /// Its name.
    pub name: &'a str,
    /// What people call it.
    pub title: Option<&'a str>,
}

/// A body that was checked.
struct Wanted<'a> {
    using_actions_config: Option<bool>,
    actions: Option<Vec<&'a Map<String, Json>>>,
}

impl<'a> Wanted<'a> {
    fn parse(body: &'a Map<String, Json>) -> Result<Self, StoreError> {
        let using_actions_config = match body.get("usingActionsConfig") {
            None => None,
            Some(Json::Null) => Some(false),
            Some(Json::Bool(using)) => Some(*using),
            Some(_) => return Err(invalid("usingActionsConfig must be true or false")),
        };
        let actions = match body.get("actions") {
            None | Some(Json::Null) => None,
            Some(Json::Array(actions)) => {
                Some(actions.iter().map(|action| object(action, "an action")).collect::<Result<_, _>>()?)
            }
            Some(_) => return Err(invalid("actions must be a list")),
        };
        let mut named = BTreeSet::new();
        for action in actions.iter().flatten().copied() {
            let name = text(action, "name")?.ok_or_else(|| invalid("an action must have a name"))?;
            if !named.insert(name) {
                return Err(invalid(format!("the action {name} is listed twice")));
            }
            fields_of(action)?;
        }
        Ok(Self { using_actions_config, actions })
    }
}

/// The fields of an action, each once, in their order.
fn fields_of(action: &Map<String, Json>) -> Result<Vec<&str>, StoreError> {
    let listed = match action.get("fields") {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(listed)) => listed,
        Some(_) => return Err(invalid("fields must be a list of names")),
    };
    let mut fields = Vec::with_capacity(listed.len());
    for field in listed {
        let field = field.as_str().ok_or_else(|| invalid("fields must be a list of names"))?;
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    Ok(fields)
}

/// `roles/<role>/resources:create`: `{name, usingActionsConfig, actions: [{name, fields, scope |
/// scopeId}]}`. What the role had for this collection is replaced.
pub async fn create_resource(
    transaction: &mut Transaction,
    policy: &Policy,
    data_source: &str,
    role: &str,
    body: &Json,
) -> Result<Json, StoreError> {
    let body = object(body, "the body")?;
    let name = text(body, "name")?.ok_or_else(|| invalid("name is missing: which collection?"))?;
    let wanted = Wanted::parse(body)?;
    invariants::check_role_update(role)?;
    if policy.is_management(name) {
        return Err(invalid(format!("{name} belongs to the management, which a role's snippets open")));
    }
    known_role(transaction, role).await?;
    known_data_source(transaction, data_source).await?;
    ensure_strategy(transaction, data_source, role).await?;
    destroy(transaction, Located::Collection { data_source, name }.filter(role)).await?;
    let new = json!({
        "id": next_snowflake(),
        "dataSourceKey": data_source,
        "roleName": role,
        "name": name,
        "usingActionsConfig": wanted.using_actions_config,
    });
    let mut resource = transaction.system().insert(&RESOURCES, json::object(new)).await?;
    let actions = insert_actions(transaction, &resource, wanted.actions.unwrap_or_default()).await?;
    resource.insert("actions".to_owned(), actions.into());
    Ok(Json::Object(resource))
}

async fn insert_actions(
    transaction: &mut Transaction,
    resource: &Record,
    actions: Vec<&Map<String, Json>>,
) -> Result<Vec<Json>, StoreError> {
    let named = |field: &str| resource.get(field).and_then(Json::as_str).unwrap_or_default();
    let mut inserted = Vec::with_capacity(actions.len());
    for action in actions {
        let scope = scopes::referred(transaction, named("dataSourceKey"), named("name"), action).await?;
        let new = json!({
            "id": next_snowflake(),
            "name": text(action, "name")?,
            "fields": fields_of(action)?,
            "scopeId": scope,
            "rolesResourceId": stored_id(resource),
        });
        inserted.push(Json::Object(transaction.system().insert(&ACTIONS, json::object(new)).await?));
    }
    Ok(inserted)
}

/// `roles/<role>/resources:update`: changes what the body has; `actions` take the place of those
/// there were. Gives the changed resources: one.
pub async fn update_resource(
    transaction: &mut Transaction,
    role: &str,
    located: Located<'_>,
    body: &Json,
) -> Result<Json, StoreError> {
    let wanted = Wanted::parse(object(body, "the body")?)?;
    invariants::check_role_update(role)?;
    let query = || Query::filter(located.filter(role)).sort(Sort::descending("id"));
    let missing = || StoreError::NotFound(format!("the role {role} has no such resource"));
    let found = transaction.find_one(&RESOURCES, query()).await?.ok_or_else(missing)?;
    let this = Filter::eq("id", stored_id(&found));
    let mut changes = Record::new();
    if let Some(using) = wanted.using_actions_config {
        changes.insert("usingActionsConfig".to_owned(), using.into());
    }
    transaction.system().update(&RESOURCES, &this, changes).await?;
    if let Some(actions) = wanted.actions {
        transaction.system().destroy(&ACTIONS, &Filter::eq("rolesResourceId", stored_id(&found))).await?;
        insert_actions(transaction, &found, actions).await?;
    }
    let mut resource = transaction.find_one(&RESOURCES, query()).await?.ok_or_else(missing)?;
    let its = Filter::eq("rolesResourceId", stored_id(&found));
    let actions = transaction.find(&ACTIONS, Query::filter(its).sort(Sort::ascending("id"))).await?;
    let actions: Vec<_> = actions.into_iter().map(Json::Object).collect();
    resource.insert("actions".to_owned(), actions.into());
    Ok(json!([resource]))
}

/// Writes resources in place of all that a role has in a data source; a list of bodies as
/// [`create_resource`] takes them.
pub async fn replace_resources(
    transaction: &mut Transaction,
    policy: &Policy,
    data_source: &str,
    role: &str,
    resources: &Json,
) -> Result<(), StoreError> {
    let resources = resources.as_array().ok_or_else(|| invalid("resources must be a list"))?;
    let all = Filter::eq("roleName", role).and(Filter::eq("dataSourceKey", data_source));
    destroy(transaction, all).await?;
    for resource in resources {
        create_resource(transaction, policy, data_source, role, resource).await?;
    }
    Ok(())
}

/// `roles/<role>/resources:get`, with its `actions` and their `scope` where `appends` names them.
pub async fn get_resource(
    source: &DataSource,
    role: &str,
    located: Located<'_>,
    appends: &[&str],
) -> Result<Option<Json>, StoreError> {
    let query = Query::filter(located.filter(role)).sort(Sort::descending("id")).limit(1);
    Ok(read(source, query, appends).await?.pop())
}

/// `roles/<role>/resources:list`: those that fit the filter, the oldest first.
pub async fn list_resources(
    source: &DataSource,
    role: &str,
    filter: Filter,
    appends: &[&str],
) -> Result<Vec<Json>, StoreError> {
    let filter = Filter::eq("roleName", role).and(filter);
    Ok(read(source, Query::filter(filter).sort(Sort::ascending("id")), appends).await?)
}

async fn read(source: &DataSource, query: Query, appends: &[&str]) -> Result<Vec<Json>, DataError> {
    let mut resources = source.find(&RESOURCES, query).await?;
    let with_scopes = appends.contains(&"actions.scope");
    if with_scopes || appends.contains(&"actions") {
        let ids = resources.iter().map(|resource| stored_id(resource).into()).collect();
        let its = Filter::one_of("rolesResourceId", ids);
        let mut actions = source.find(&ACTIONS, Query::filter(its).sort(Sort::ascending("id"))).await?;
        if with_scopes {
            append_scopes(source, &mut actions).await?;
        }
        for resource in &mut resources {
            let own = resource.get("id").cloned();
            let its = actions.iter().filter(|action| action.get("rolesResourceId") == own.as_ref());
            let its: Vec<_> = its.cloned().map(Json::Object).collect();
            resource.insert("actions".to_owned(), its.into());
        }
    }
    Ok(resources.into_iter().map(Json::Object).collect())
}

async fn append_scopes(source: &DataSource, actions: &mut [Record]) -> Result<(), DataError> {
    let ids = actions.iter().filter_map(|action| action.get("scopeId")).filter(|id| !id.is_null());
    let used = Filter::one_of("id", ids.cloned().collect());
    let scopes = source.find(&SCOPES, Query::filter(used)).await?;
    let scopes: HashMap<i64, Record> = scopes.into_iter().map(|scope| (stored_id(&scope), scope)).collect();
    for action in actions {
        let scope = action.get("scopeId").and_then(Json::as_i64).and_then(|id| scopes.get(&id));
        action.insert("scope".to_owned(), scope.cloned().map_or(Json::Null, Json::Object));
    }
    Ok(())
}

/// `roles/<role>/resources:destroy`; gives their number.
pub async fn destroy_resources(
    transaction: &mut Transaction,
    role: &str,
    located: Located<'_>,
) -> Result<u64, StoreError> {
    invariants::check_role_update(role)?;
    Ok(destroy(transaction, located.filter(role)).await?)
}

/// Removes resources with their actions.
pub(super) async fn destroy(transaction: &mut Transaction, filter: Filter) -> Result<u64, DataError> {
    let found = transaction.find(&RESOURCES, Query::filter(filter).fields(&["id"])).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Json> = found.iter().map(|resource| stored_id(resource).into()).collect();
    transaction.system().destroy(&ACTIONS, &Filter::one_of("rolesResourceId", ids.clone())).await?;
    transaction.system().destroy(&RESOURCES, &Filter::one_of("id", ids)).await
}

/// `roles/<role>/collections:list`: each collection, with whether the role has a configuration of
/// it (`exists`) and what decides (`usingConfig`). NocoBase still looks for them in the older
/// table, and so finds none.
pub async fn role_collections(
    source: &DataSource,
    data_source: &str,
    role: &str,
    collections: &[CollectionTitle<'_>],
) -> Result<Vec<Json>, StoreError> {
    let its = Filter::eq("roleName", role).and(Filter::eq("dataSourceKey", data_source));
    let query = Query::filter(its).sort(Sort::ascending("id"));
    let found = source.find(&RESOURCES, query).await?;
    let using: HashMap<&str, bool> = found
        .iter()
        .filter_map(|resource| {
            let using = resource.get("usingActionsConfig") == Some(&Json::Bool(true));
            Some((resource.get("name")?.as_str()?, using))
        })
        .collect();
    let row = |collection: &CollectionTitle<'_>| {
        let configured = using.get(collection.name);
        json!({
            "type": "collection",
            "name": collection.name,
            "collectionName": collection.name,
            "title": collection.title,
            "roleName": role,
            "usingConfig": if configured == Some(&true) { "resourceAction" } else { "strategy" },
            "exists": configured.is_some(),
        })
    };
    Ok(collections.iter().map(row).collect())
}

/// Removes all permissions on a collection that was removed: a later one of the same name starts
/// without any.
pub async fn collection_destroyed(
    transaction: &mut Transaction,
    data_source: &str,
    collection: &str,
) -> Result<(), StoreError> {
    let its = Filter::eq("dataSourceKey", data_source).and(Filter::eq("name", collection));
    destroy(transaction, its).await?;
    Ok(())
}

/// Removes a field that was removed from every action. An action that lists nothing else is removed
/// with it, because an empty list may mean all fields.
pub async fn field_destroyed(
    transaction: &mut Transaction,
    data_source: &str,
    collection: &str,
    field: &str,
) -> Result<(), StoreError> {
    change_fields(transaction, data_source, collection, |_, fields| {
        let before = fields.len();
        fields.retain(|name| name != field);
        fields.len() != before
    })
    .await
}

/// Changes the lists of fields of a collection's actions, where `change` says that it did.
async fn change_fields(
    transaction: &mut Transaction,
    data_source: &str,
    collection: &str,
    change: impl Fn(&str, &mut Vec<Json>) -> bool,
) -> Result<(), StoreError> {
    let its = Filter::eq("dataSourceKey", data_source).and(Filter::eq("name", collection));
    let resources = transaction.find(&RESOURCES, Query::filter(its).fields(&["id"])).await?;
    if resources.is_empty() {
        return Ok(());
    }
    let ids = resources.iter().map(|resource| stored_id(resource).into()).collect();
    let actions = transaction.find(&ACTIONS, Query::filter(Filter::one_of("rolesResourceId", ids))).await?;
    for action in actions {
        let name = action.get("name").and_then(Json::as_str).unwrap_or_default();
        let mut fields = action.get("fields").and_then(Json::as_array).cloned().unwrap_or_default();
        if name == "destroy" || !change(name, &mut fields) {
            continue;
        }
        let this = Filter::eq("id", stored_id(&action));
        if fields.is_empty() && name != "view" {
            transaction.system().destroy(&ACTIONS, &this).await?;
        } else {
            transaction.system().update(&ACTIONS, &this, json::object(json!({"fields": fields}))).await?;
        }
    }
    Ok(())
}
