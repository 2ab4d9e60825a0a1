//! `tokenControlConfig`: how long tokens and sessions last.

use std::sync::Arc;

use serde_json::Value;

use super::common::changed;
use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::policy::Reach;
use crate::app::api::{Answer, ApiError, Call, records};
use crate::app::auth::Auth;
use crate::app::system::{TOKEN_CONTROL_CONFIG, TOKEN_POLICY};
use crate::data::{Filter, Record, run_to_completion};

pub(super) fn resources() -> [Resource; 1] {
    [Resource {
        collection: Some(&TOKEN_CONTROL_CONFIG),
        records: Records::Own,
        actions: vec![
            ResourceAction::new("get", ActionAccess::ByPermission, |call| Box::pin(get(call))),
            ResourceAction::new("update", ActionAccess::ByPermission, |call| Box::pin(update(call))),
        ],
        reach: Reach::Management,
        snippets: &[("pm.security.token-policy", &["*"])],
        ..Resource::named("tokenControlConfig")
    }]
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    records::get_of(call, &TOKEN_CONTROL_CONFIG, Filter::All).await
}

async fn update(call: &Call<'_>) -> Result<Answer, ApiError> {
    if call.filter_by_tk()? != TOKEN_POLICY {
        return Err(ApiError::not_found(format!("there is only one policy: {TOKEN_POLICY}")));
    }
    let config = call.values()?.get("config").cloned().unwrap_or_default();
    Auth::check_token_policy(&config)?;
    let user = Value::from(call.session()?.user.id);
    let values = Record::from_iter([("config".to_owned(), config), ("updatedById".to_owned(), user)]);
    let filter = Filter::eq("key", TOKEN_POLICY);
    let (state, of_it) = (Arc::clone(call.state), filter.clone());
    run_to_completion(async move {
        let updated = state.source().system().update(&TOKEN_CONTROL_CONFIG, &of_it, values).await;
        // Also where it failed: it may be done all the same.
        let read = state.auth().reload().await;
        updated?;
        read
    })
    .await?;
    Ok(Answer::Data(changed(call, &TOKEN_CONTROL_CONFIG, filter, "key").await?.into()))
}
