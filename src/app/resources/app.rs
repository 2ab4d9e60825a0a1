//! `app`: public facts about the application, and reading its database again.

use serde_json::json;

use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::policy::Reach;
use crate::app::api::{Answer, ApiError, Call};
use crate::app::system::SYSTEM_VERSION;

pub(super) fn resources() -> [Resource; 1] {
    [Resource {
        records: Records::Own,
        actions: vec![
            ResourceAction::new("getInfo", ActionAccess::Public, |call| Box::pin(info(call))),
            ResourceAction::new("getLang", ActionAccess::Public, |call| Box::pin(language(call))),
            ResourceAction::new("restart", ActionAccess::ByPermission, |call| Box::pin(reload(call))),
            ResourceAction::new("clearCache", ActionAccess::ByPermission, |call| Box::pin(reload(call))),
        ],
        reach: Reach::Management,
        snippets: &[("app", &["restart", "refresh", "clearCache"])],
        ..Resource::named("app")
    }]
}

async fn info(call: &Call<'_>) -> Result<Answer, ApiError> {
    let state = call.state;
    Ok(Answer::Data(json!({
        "database": {"dialect": state.source().database().engine().as_str()},
        "version": SYSTEM_VERSION,
        "lang": &*state.language(),
        "name": state.name(),
        "title": &*state.title(),
    })))
}

/// Reads the database again. Whoever asks for a restart wants changes in the database to take
/// effect; this does that without making other requests wait.
async fn reload(call: &Call<'_>) -> Result<Answer, ApiError> {
    call.state.reload().await?;
    Ok(Answer::Bare(json!({})))
}

/// The language, with its texts. The host has none of its own: its clients bring theirs.
async fn language(call: &Call<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Data(json!({
        "lang": &*call.state.language(),
        "resources": {}, "antd": {}, "cron": {}, "cronstrue": {},
    })))
}
