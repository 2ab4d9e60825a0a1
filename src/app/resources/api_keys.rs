//! `apiKeys`: keys for programs. Everybody sees their own; a key is told once, when it is made.

use serde_json::{Value, json};

use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::policy::Reach;
use crate::app::api::{Answer, ApiError, Call, records};
use crate::app::auth::NewApiKey;
use crate::app::caches::Cache;
use crate::app::system::API_KEYS;
use crate::data::Filter;

pub(super) fn resources() -> [Resource; 1] {
    [Resource {
        collection: Some(&API_KEYS),
        records: Records::Own,
        actions: vec![
            ResourceAction::new("list", ActionAccess::ByPermission, |call| Box::pin(list(call))),
            ResourceAction::new("get", ActionAccess::ByPermission, |call| Box::pin(get(call))),
            ResourceAction::new("create", ActionAccess::ByPermission, |call| Box::pin(create(call))),
            ResourceAction::new("destroy", ActionAccess::ByPermission, |call| Box::pin(destroy(call))),
        ],
        reach: Reach::OwnRecords,
        snippets: &[("pm.api-keys.configuration", &["list", "get", "create", "destroy"])],
        invalidates: &[Cache::Users],
        ..Resource::named("apiKeys")
    }]
}

/// The keys that the caller made.
fn own(call: &Call<'_>) -> Result<Filter, ApiError> {
    Ok(Filter::eq("createdById", call.session()?.user.id))
}

async fn list(call: &Call<'_>) -> Result<Answer, ApiError> {
    records::list_of(call, &API_KEYS, own(call)?).await
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    records::get_of(call, &API_KEYS, own(call)?).await
}

async fn destroy(call: &Call<'_>) -> Result<Answer, ApiError> {
    let removed = call.state.auth().destroy_api_keys(call.session()?, chosen(call)?).await?;
    Ok(Answer::Data(removed.into()))
}

async fn create(call: &Call<'_>) -> Result<Answer, ApiError> {
    let role = match call.values()?.get("role") {
        Some(Value::Object(role)) => role.get("name").and_then(Value::as_str).unwrap_or_default(),
        Some(Value::String(role)) => role,
        _ => call.text("roleName")?,
    };
    if role.is_empty() {
        return Err(ApiError::bad_request("say which of your roles the key is for: role"));
    }
    let new = NewApiKey {
        name: call.text("name")?.to_owned(),
        role: role.to_owned(),
        expires_in: call.values()?.get("expiresIn").cloned().unwrap_or_default(),
    };
    let (_, token) = call.state.auth().create_api_key(call.session()?, new).await?;
    Ok(Answer::Data(json!({ "token": token })))
}

/// One key, or several: `filterByTk[]=1&filterByTk[]=2`.
fn chosen(call: &Call<'_>) -> Result<Filter, ApiError> {
    match call.params.get("filterByTk") {
        Some(Value::Array(keys)) => Ok(Filter::one_of("id", keys.clone())),
        _ => Ok(Filter::eq("id", call.filter_by_tk()?)),
    }
}
