//! What roles may do with single collections: `roles/<role>/resources:*`, and
//! `roles/<role>/collections:list`. Both are known by a second name.

use serde_json::{Map, Value, json};

use super::common::{in_transaction, paged};
use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::MAIN_DATA_SOURCE;
use crate::app::acl::policy::{Reach, Snippet};
use crate::app::acl::store::{self, CollectionTitle, Located};
use crate::app::api::records::Parameters;
use crate::app::api::{Answer, ApiError, Call};
use crate::app::caches::Cache;
use crate::app::collections::field_to_wire;
use crate::app::system::{
    DATA_SOURCES_ROLES_RESOURCES, DATA_SOURCES_ROLES_RESOURCES_ACTIONS, USER_COLLECTIONS, USER_FIELDS,
};
use crate::data::{Filter, Query, Record, Sort, Transaction};

pub(super) fn resources() -> [Resource; 6] {
    const ALL: &[Snippet] = &[("pm.acl.roles", &["*"])];
    let managed = |name| Resource { reach: Reach::Management, ..Resource::named(name) };
    let own = |name, actions| Resource { records: Records::Own, actions, ..managed(name) };
    [
        Resource { snippets: ALL, ..own("roles.resources", resource_actions()) },
        Resource {
            snippets: &[("pm.acl.roles", &["*"]), ("pm.data-source-manager", &["*"])],
            ..own("roles.dataSourceResources", resource_actions())
        },
        Resource {
            snippets: &[("pm.acl.roles", &["list"])],
            ..own(
                "roles.collections",
                vec![ResourceAction::new("list", ActionAccess::ByPermission, |call| {
                    Box::pin(list_collections(call))
                })],
            )
        },
        Resource {
            snippets: ALL,
            ..own(
                "roles.dataSourcesCollections",
                vec![ResourceAction::new("list", ActionAccess::ByPermission, |call| {
                    Box::pin(list_collections_with_fields(call))
                })],
            )
        },
        Resource {
            collection: Some(&DATA_SOURCES_ROLES_RESOURCES),
            invalidates: &[Cache::Users, Cache::Roles],
            ..managed("dataSourcesRolesResources")
        },
        Resource {
            collection: Some(&DATA_SOURCES_ROLES_RESOURCES_ACTIONS),
            snippets: ALL,
            invalidates: &[Cache::Users, Cache::Roles],
            ..managed("dataSourcesRolesResourcesActions")
        },
    ]
}

fn resource_actions() -> Vec<ResourceAction> {
    vec![
        ResourceAction::new("list", ActionAccess::ByPermission, |call| Box::pin(list(call))),
        ResourceAction::new("get", ActionAccess::ByPermission, |call| Box::pin(get(call))),
        ResourceAction::new("create", ActionAccess::ByPermission, |call| Box::pin(create(call))),
        ResourceAction::new("update", ActionAccess::ByPermission, |call| Box::pin(update(call))),
        ResourceAction::new("destroy", ActionAccess::ByPermission, |call| Box::pin(destroy(call))),
    ]
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    let appends = Parameters::of(call).words("appends")?;
    let appends: Vec<&str> = appends.iter().map(String::as_str).collect();
    let meant = Meant::of(call)?;
    let found = store::get_resource(call.state.source(), call.source_key()?, meant.located(), &appends);
    Ok(Answer::Data(found.await?.unwrap_or_default()))
}

async fn create(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (role, data_source) = (call.source_key()?, given_data_source(&call.body));
    let policy = call.state.policy();
    let made = in_transaction(call, || {
        async move |transaction: &mut Transaction| {
            store::create_resource(transaction, policy, data_source, role, &call.body).await
        }
    });
    Ok(Answer::Data(made.await?))
}

async fn update(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (role, meant) = (call.source_key()?, &Meant::of(call)?);
    let changed = in_transaction(call, || {
        async move |transaction: &mut Transaction| {
            store::update_resource(transaction, role, meant.located(), &call.body).await
        }
    });
    Ok(Answer::Data(changed.await?))
}

async fn destroy(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (role, meant) = (call.source_key()?, &Meant::of(call)?);
    let removed = in_transaction(call, || {
        async move |transaction: &mut Transaction| {
            store::destroy_resources(transaction, role, meant.located()).await
        }
    });
    Ok(Answer::Data(json!(removed.await?)))
}

/// Which resource of a role a request means.
struct Meant {
    id: Option<i64>,
    data_source: String,
    name: String,
}

impl Meant {
    /// `filterByTk` is an ID or a collection's name; a filter has `name` and `dataSourceKey`.
    fn of(call: &Call<'_>) -> Result<Self, ApiError> {
        let filter = filter_parts(call)?;
        let text = |name: &str| filter.get(name).and_then(Value::as_str);
        let data_source = text("dataSourceKey").unwrap_or(MAIN_DATA_SOURCE).to_owned();
        let key = call.param("filterByTk").filter(|key| !key.is_empty());
        let (id, name) = match (key.map(str::parse), text("name")) {
            (Some(Ok(id)), _) => (Some(id), ""),
            (_, Some(name)) => (None, name),
            (Some(Err(_)), None) => (None, key.unwrap_or_default()),
            (None, None) => {
                return Err(ApiError::bad_request("say which resource is meant: filterByTk is missing"));
            }
        };
        Ok(Self { id, data_source, name: name.to_owned() })
    }

    fn located(&self) -> Located<'_> {
        match self.id {
            Some(id) => Located::Id(id),
            None => Located::Collection { data_source: &self.data_source, name: &self.name },
        }
    }
}

/// The parts of a filter that is an object: `{"name": "posts", "dataSourceKey": "main"}`.
fn filter_parts(call: &Call<'_>) -> Result<Map<String, Value>, ApiError> {
    match call.params.get("filter") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(parts)) => Ok(parts.clone()),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(text)
            .map_err(|error| ApiError::bad_request(format!("the filter is no object: {error}"))),
        Some(_) => Err(ApiError::bad_request("the filter must be an object")),
    }
}

fn given_data_source(body: &Value) -> &str {
    body.get("dataSourceKey").and_then(Value::as_str).unwrap_or(MAIN_DATA_SOURCE)
}

async fn list(call: &Call<'_>) -> Result<Answer, ApiError> {
    let role = call.source_key()?;
    let parameters = Parameters::of(call);
    let by_key = parameters.by_key(&DATA_SOURCES_ROLES_RESOURCES)?.unwrap_or_default();
    let filter = by_key.and(parameters.filter()?);
    let appends = parameters.words("appends")?;
    let appends: Vec<&str> = appends.iter().map(String::as_str).collect();
    let found = store::list_resources(call.state.source(), role, filter, &appends).await?;
    paged(call, found)
}

async fn list_collections(call: &Call<'_>) -> Result<Answer, ApiError> {
    paged(call, collections(call).await?)
}

async fn list_collections_with_fields(call: &Call<'_>) -> Result<Answer, ApiError> {
    let mut listed = collections(call).await?;
    add_fields(call, &mut listed).await?;
    paged(call, listed)
}

/// All collections, each with whether a role has permissions of its own on it.
async fn collections(call: &Call<'_>) -> Result<Vec<Value>, ApiError> {
    let role = call.source_key()?;
    // The data source is not a field of the collections.
    let mut parts = filter_parts(call)?;
    let data_source = parts.remove("dataSourceKey");
    let data_source = data_source.as_ref().and_then(Value::as_str).unwrap_or(MAIN_DATA_SOURCE);
    let filter = call.requester.filter(&Value::Object(parts))?;
    let query = Query::filter(filter).sort(Sort::ascending("sort")).sort(Sort::ascending("key"));
    let rows = call.state.source().find(&USER_COLLECTIONS, query).await?;
    let text = |row: &Record, name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let titles: Vec<_> = rows.iter().map(|row| (text(row, "name"), text(row, "title"))).collect();
    let titles: Vec<_> = titles
        .iter()
        .filter_map(|(name, title)| Some(CollectionTitle { name: name.as_deref()?, title: title.as_deref() }))
        .collect();
    Ok(store::role_collections(call.state.source(), data_source, role, &titles).await?)
}

/// Adds to each collection its fields, as the form for its permissions shows them.
async fn add_fields(call: &Call<'_>, listed: &mut [Value]) -> Result<(), ApiError> {
    let names = listed.iter().map(|row| row["name"].clone()).collect();
    let query = Query::filter(Filter::one_of("collectionName", names)).sort(Sort::ascending("sort"));
    let rows = call.state.source().find(&USER_FIELDS, query).await?;
    for collection in listed {
        let its = rows.iter().filter(|row| row.get("collectionName") == Some(&collection["name"]));
        let its: Value = its.map(|row| Value::Object(field_to_wire(row))).collect();
        collection["fields"] = its;
    }
    Ok(())
}
