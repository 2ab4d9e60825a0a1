//! `apiKeys`: keys for programs. Everybody sees their own; a key is told once, when it is made.

use serde_json::{Value, json};

use crate::app::api::{Answer, Answering, ApiError, Call, Resource, records};
use crate::app::auth::NewApiKey;
use crate::app::system::API_KEYS;
use crate::data::Filter;

pub(super) struct ApiKeys;

impl Resource for ApiKeys {
    fn name(&self) -> &'static str {
        "apiKeys"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "list" | "get" | "create" | "destroy")
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            let session = call.session()?;
            let own = Filter::eq("createdById", session.user.id);
            match call.action {
                "create" => create(&call).await,
                "destroy" => {
                    let removed = call.app.auth().destroy_api_keys(session, chosen(&call)?).await?;
                    Ok(Answer::Data(removed.into()))
                }
                "get" => records::get_of(&call, &API_KEYS, own).await,
                _ => records::list_of(&call, &API_KEYS, own).await,
            }
        })
    }
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
    let token = call.app.auth().create_api_key(call.session()?, new).await?;
    Ok(Answer::Data(json!({ "token": token })))
}

/// One key, or several: `filterByTk[]=1&filterByTk[]=2`.
fn chosen(call: &Call<'_>) -> Result<Filter, ApiError> {
    match call.params.get("filterByTk") {
        Some(Value::Array(keys)) => Ok(Filter::one_of("id", keys.clone())),
        _ => Ok(Filter::eq("id", call.filter_by_tk()?)),
    }
}
