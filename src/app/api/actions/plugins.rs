//! `pm`: the plugins that the host knows, and which of them the application has enabled.

use serde_json::{Value, json};

use crate::app::api::{Answer, Answering, ApiError, Call, Resource};
use crate::app::plugin::{self, Installed, PluginError};

pub(super) struct Plugins;

impl Resource for Plugins {
    fn name(&self) -> &'static str {
        "pm"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "list" | "listEnabled" | "get" | "enable" | "disable")
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            match call.action {
                "enable" => switch(&call, true).await,
                "disable" => switch(&call, false).await,
                "get" => get(&call).await,
                "listEnabled" => {
                    let all = plugin::list(call.app).await?;
                    let enabled = all.iter().filter(|plugin| plugin.is_enabled()).map(brief);
                    Ok(Answer::Data(enabled.collect()))
                }
                _ => {
                    let all = plugin::list(call.app).await?;
                    Ok(Answer::Data(all.iter().map(Installed::describe).collect()))
                }
            }
        })
    }
}

/// What a client needs to load a plugin's part of it.
fn brief(installed: &Installed<'_>) -> Value {
    let described = installed.describe();
    json!({"name": described["name"], "packageName": described["packageName"], "options": described["options"]})
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    let name = call.filter_by_tk()?;
    let all = plugin::list(call.app).await?.into_iter().map(|plugin| plugin.describe());
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
        plugin::switch(call.app, name, on).await?;
    }
    Ok(Answer::Data(given))
}
