//! `pm`: the plugins that the host knows, and which of them the application has enabled.

use serde_json::{Value, json};

use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::policy::Reach;
use crate::app::api::{Answer, ApiError, Call};
use crate::app::plugin::{self, Installed, PluginError};
use crate::app::system::APPLICATION_PLUGINS;

pub(super) fn resources() -> [Resource; 3] {
    let managed = |name| Resource { reach: Reach::Management, ..Resource::named(name) };
    [
        Resource {
            records: Records::Own,
            actions: vec![
                ResourceAction::new("list", ActionAccess::ByPermission, |call| Box::pin(list(call))),
                ResourceAction::new("listEnabled", ActionAccess::Public, |call| Box::pin(list_enabled(call))),
                ResourceAction::new("get", ActionAccess::ByPermission, |call| Box::pin(get(call))),
                ResourceAction::new("enable", ActionAccess::ByPermission, |call| {
                    Box::pin(switch(call, true))
                }),
                ResourceAction::new("disable", ActionAccess::ByPermission, |call| {
                    Box::pin(switch(call, false))
                }),
            ],
            snippets: &[("pm", &["*"])],
            ..managed("pm")
        },
        Resource {
            collection: Some(&APPLICATION_PLUGINS),
            records: Records::Internal,
            ..managed("applicationPlugins")
        },
        managed("plugins"),
    ]
}

async fn list(call: &Call<'_>) -> Result<Answer, ApiError> {
    let all = plugin::list(call.state, call.plugins).await?;
    Ok(Answer::Data(all.iter().map(Installed::describe).collect()))
}

async fn list_enabled(call: &Call<'_>) -> Result<Answer, ApiError> {
    let all = plugin::list(call.state, call.plugins).await?;
    Ok(Answer::Data(all.iter().filter(|plugin| plugin.is_enabled()).map(brief).collect()))
}

/// What a client needs to load a plugin's part of it.
fn brief(installed: &Installed<'_>) -> Value {
    let described = installed.describe();
    json!({"name": described["name"], "packageName": described["packageName"], "options": described["options"]})
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    let name = call.filter_by_tk()?;
    let all = plugin::list(call.state, call.plugins).await?.into_iter().map(|plugin| plugin.describe());
    let found = { all }.find(|plugin| plugin["name"] == name || plugin["packageName"] == name);
    Ok(Answer::Data(found.ok_or_else(|| PluginError::Unknown(name.to_owned()))?))
}

/// Enables or disables plugins: one, or several as `a,b` or as an array.
async fn switch(call: &Call<'_>, on: bool) -> Result<Answer, ApiError> {
    let given = call.params.get("filterByTk").cloned().unwrap_or_default();
    let texts: Vec<&str> = match &given {
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    };
    let names = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(ApiError::bad_request("say which plugin is meant: filterByTk is missing"));
    }
    for name in names {
        plugin::switch(call.state, call.plugins, name, on).await?;
    }
    Ok(Answer::Data(given))
}
