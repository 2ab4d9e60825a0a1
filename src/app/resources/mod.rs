//! The resources of the system, one file each.
//!
//! Each file makes descriptors ([`Resource`]): the collection, the actions, who may call them, what
//! opens them and what a change of them invalidates. [`system`] lists the files; a [`Registry`] finds a
//! resource by its name. A new resource is a file here and a line in [`system`].

mod api_keys;
mod app;
mod applications;
mod auth;
mod authenticators;
mod available_actions;
mod collections;
mod data_sources;
mod descriptor;
mod files;
mod plugins;
mod registry;
mod role_resources;
mod role_strategies;
mod role_users;
mod roles;
mod scopes;
mod settings;
#[cfg(test)]
mod tests;
mod token_policy;
mod tokens;
mod users;
mod version;

use std::sync::{Arc, LazyLock};

use serde_json::Value;

pub use super::caches::Cache;
pub use applications::applications;
pub use descriptor::{Access, Action, Answering, EventHandler, Records, Resource, Run};
pub use registry::Registry;

use crate::app::acl::store::StoreError;
use crate::app::api::records::Parameters;
use crate::app::api::{Answer, ApiError, Call};
use crate::data::{Collection, DataError, Filter, Query, Record, Sort, Transaction};

/// The resources that every application has. The version comes last: see
/// [`uninstall`](crate::app::uninstall).
pub fn system() -> impl Iterator<Item = Resource> {
    std::iter::empty()
        .chain(users::resources())
        .chain(authenticators::resources())
        .chain(api_keys::resources())
        .chain(tokens::resources())
        .chain(token_policy::resources())
        .chain(roles::resources())
        .chain(role_users::resources())
        .chain(role_resources::resources())
        .chain(role_strategies::resources())
        .chain(scopes::resources())
        .chain(available_actions::resources())
        .chain(data_sources::resources())
        .chain(collections::resources())
        .chain(files::resources())
        .chain(auth::resources())
        .chain(app::resources())
        .chain(plugins::resources())
        .chain([applications()])
        .chain(settings::resources())
        .chain(version::resources())
}

/// The registry of the applications that have no resources beside those of the system.
#[must_use]
pub fn registry() -> Arc<Registry> {
    static SYSTEM: LazyLock<Arc<Registry>> = LazyLock::new(|| Arc::new(Registry::new(system())));
    Arc::clone(&SYSTEM)
}

/// The collections of the system, in the order in which their tables are created and dropped.
pub fn collections() -> impl Iterator<Item = &'static Collection> {
    system().filter_map(|resource| resource.collection).map(|collection| &**collection)
}

fn text<'a>(record: &'a Record, name: &str) -> &'a str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn refused(error: impl std::fmt::Display) -> DataError {
    DataError::Refused(error.to_string())
}

fn forbidden(error: impl std::fmt::Display) -> DataError {
    DataError::Forbidden(error.to_string())
}

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
