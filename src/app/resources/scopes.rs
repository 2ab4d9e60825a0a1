//! `rolesResourcesScopes` and `dataSources/<key>/rolesResourcesScopes`: named filters of records
//! that permissions refer to.

use serde_json::{Value, json};

use super::common::{in_transaction, paged};
use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::policy::Reach;
use crate::app::acl::store;
use crate::app::api::records::Parameters;
use crate::app::api::{Answer, ApiError, Call};
use crate::app::caches::Cache;
use crate::app::system::{DATA_SOURCES_ROLES_RESOURCES_SCOPES as SCOPES, ROLES_RESOURCES_SCOPES};
use crate::data::{Filter, Query, Transaction};

pub(super) fn resources() -> [Resource; 3] {
    let scopes = |name| Resource {
        records: Records::Own,
        actions: actions(),
        reach: Reach::Management,
        snippets: &[("pm.acl.roles", &["*"])],
        ..Resource::named(name)
    };
    [
        // The collection of this name is NocoBase 1's; the actions are of the one that replaced it.
        Resource { collection: Some(&ROLES_RESOURCES_SCOPES), ..scopes("rolesResourcesScopes") },
        Resource {
            collection: Some(&SCOPES),
            invalidates: &[Cache::Users, Cache::Roles],
            ..scopes("dataSourcesRolesResourcesScopes")
        },
        scopes("dataSources.rolesResourcesScopes"),
    ]
}

fn actions() -> Vec<ResourceAction> {
    vec![
        ResourceAction::new("list", ActionAccess::ByPermission, |call| Box::pin(list(call))),
        ResourceAction::new("get", ActionAccess::ByPermission, |call| Box::pin(get(call))),
        ResourceAction::new("create", ActionAccess::ByPermission, |call| Box::pin(create(call))),
        ResourceAction::new("update", ActionAccess::ByPermission, |call| Box::pin(update(call))),
        ResourceAction::new("destroy", ActionAccess::ByPermission, |call| Box::pin(destroy(call))),
    ]
}

async fn list(call: &Call<'_>) -> Result<Answer, ApiError> {
    let parameters = Parameters::of(call);
    let by_key = parameters.by_key(&SCOPES)?.unwrap_or_default();
    let filter = here(call).and(by_key).and(parameters.filter()?);
    paged(call, store::list_scopes(call.state.source(), filter).await?)
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    let filter = here(call).and(Parameters::of(call).meant(&SCOPES)?);
    let found = call.state.source().find_one(&SCOPES, Query::filter(filter)).await?;
    Ok(Answer::Data(found.map_or(Value::Null, Value::Object)))
}

async fn update(call: &Call<'_>) -> Result<Answer, ApiError> {
    let ids = &ids(call).await?[..];
    let changed = in_transaction(call, || {
        async move |transaction: &mut Transaction| {
            let mut changed = Vec::with_capacity(ids.len());
            for &id in ids {
                changed.push(store::update_scope(transaction, id, &call.body).await?);
            }
            Ok(changed)
        }
    });
    Ok(Answer::Data(Value::Array(changed.await?)))
}

async fn destroy(call: &Call<'_>) -> Result<Answer, ApiError> {
    let ids = &ids(call).await?[..];
    let removed = in_transaction(call, || {
        async move |transaction: &mut Transaction| {
            let mut removed = 0;
            for &id in ids {
                removed += store::destroy_scope(transaction, id).await?;
            }
            Ok(removed)
        }
    });
    Ok(Answer::Data(json!(removed.await?)))
}

/// Those of the data source that the path names.
fn here(call: &Call<'_>) -> Filter {
    call.source_key.map_or(Filter::All, |data_source| Filter::eq("dataSourceKey", data_source))
}

async fn create(call: &Call<'_>) -> Result<Answer, ApiError> {
    let mut body = call.body.clone();
    if let (Some(data_source), Some(body)) = (call.source_key, body.as_object_mut()) {
        body.insert("dataSourceKey".to_owned(), data_source.into());
    }
    let body = &body;
    let made = in_transaction(call, || {
        async move |transaction: &mut Transaction| store::create_scope(transaction, body).await
    })
    .await?;
    Ok(Answer::Data(made))
}

/// The scopes that are meant.
async fn ids(call: &Call<'_>) -> Result<Vec<i64>, ApiError> {
    let filter = here(call).and(Parameters::of(call).meant(&SCOPES)?);
    let found = call.state.source().find(&SCOPES, Query::filter(filter).fields(&["id"])).await?;
    Ok(found.iter().filter_map(|scope| scope.get("id")?.as_i64()).collect())
}
