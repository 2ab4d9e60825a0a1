//! The resources that every application has, one file each.

mod api_keys;
mod app;
mod auth;
mod authenticators;
mod collections;
mod data_sources;
mod plugins;
mod roles;
mod settings;
mod token_policy;
mod users;

use super::{ApiError, Call, Resource};
use crate::data::{Collection, DataError, Filter, Query, Record, Sort};

/// All of them.
pub(super) static BUILT_IN: [&(dyn Resource + 'static); 12] = [
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
];

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
) -> Result<Vec<serde_json::Value>, DataError> {
    let query = Query::filter(filter).sort(Sort::ascending(order));
    let records = call.app.source().find(collection, query).await?;
    Ok(records.into_iter().map(serde_json::Value::Object).collect())
}
