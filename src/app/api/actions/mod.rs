//! The resources that every application has, one file each.

mod app;
mod auth;
mod collections;
mod permissions;
mod roles;
mod scopes;
mod users;

use serde_json::Value;

use super::records::Parameters;
use super::{Answer, ApiError, Call, Resource};
use crate::app::acl::store::StoreError;
use crate::data::Transaction;

/// All of them.
pub(super) static BUILT_IN: [&(dyn Resource + 'static); 15] = [
    &app::Application,
    &auth::SignIn,
    &users::Users,
    &roles::Roles,
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
async fn in_transaction<T>(
    call: &Call<'_>,
    work: impl AsyncFnOnce(&mut Transaction) -> Result<T, StoreError>,
) -> Result<T, ApiError> {
    let mut transaction = call.app.source().begin().await?;
    let done = work(&mut transaction).await?;
    transaction.commit().await?;
    Ok(done)
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
