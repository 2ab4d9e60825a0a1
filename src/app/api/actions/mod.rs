//! The resources that every application has, one file each.

mod api_keys;
mod app;
mod auth;
mod authenticators;
mod collections;
mod data_sources;
mod permissions;
mod plugins;
mod roles;
mod scopes;
mod settings;
mod token_policy;
mod users;

use serde_json::Value;

use super::records::Parameters;
use super::{Answer, ApiError, Call, Resource};
use crate::app::acl::store::StoreError;
use crate::data::{Collection, DataError, Filter, Query, Record, Sort, Transaction};

/// All of them.
pub(super) static BUILT_IN: [&(dyn Resource + 'static); 21] = [
    &app::Application,
    &auth::SignIn,
    &authenticators::Authenticators,
    &api_keys::ApiKeys,
    &token_policy::TokenPolicy,
    &users::Users,
    &roles::Roles,
    &settings::SystemSettings,
    &data_sources::DataSources,
    &plugins::Plugins,
    &collections::Collections,
    &collections::Fields,
    &permissions::RoleResources("roles.resources"),
    &permissions::RoleResources("roles.dataSourceResources"),
    &permissions::RoleCollections("roles.collections"),
    &permissions::RoleCollections("roles.dataSourcesCollections"),
    &permissions::DataSourceRoles,
    &permissions::AvailableActions,
    &scopes::Scopes("rolesResourcesScopes"),
    &scopes::Scopes("dataSourcesRolesResourcesScopes"),
    &scopes::Scopes("dataSources.rolesResourcesScopes"),
];

/// Writes permissions, all of it or nothing.
async fn in_transaction<T, W>(call: &Call<'_>, work: impl Fn() -> W) -> Result<T, ApiError>
where
    W: AsyncFnOnce(&mut Transaction) -> Result<T, StoreError>,
{
    Ok(call.app.source().transact(work).await?)
}

/// The page that was asked for of what is listed whole.
fn paged(call: &Call<'_>, all: Vec<Value>) -> Result<Answer, ApiError> {
    let Some(page) = Parameters::of(call).page()? else { return Ok(Answer::Data(Value::Array(all))) };
    let count = all.len() as u64;
    let before = usize::try_from((page.number - 1).saturating_mul(page.size)).unwrap_or(usize::MAX);
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let data = all.into_iter().skip(before).take(size).collect();
    Ok(Answer::List { data, count, page: page.number, page_size: page.size })
}

/// The values of the body that a client may set: those of these fields. Others are left out, as
/// clients send back whole records with what the host set in them.
fn settable(call: &Call<'_>, fields: &[&str]) -> Result<Record, ApiError> {
    let given = call.values()?.iter().filter(|(name, _)| fields.contains(&name.as_str()));
    Ok(given.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The records that fit, without hidden fields, in the order of a field: what an update answers.
async fn changed(
    call: &Call<'_>,
    collection: &Collection,
    filter: Filter,
    order: &str,
) -> Result<Vec<Value>, DataError> {
    let query = Query::filter(filter).sort(Sort::ascending(order));
    let records = call.app.source().find(collection, query).await?;
    Ok(records.into_iter().map(Value::Object).collect())
}
