//! `systemSettings`: the application's settings. There is one record of them.

use serde_json::{Value, json};

use super::{changed, settable};
use crate::app::acl::RoleMode;
use crate::app::api::{Answer, Answering, ApiError, Call, Resource};
use crate::app::system::SYSTEM_SETTINGS;
use crate::data::{Filter, Query, Record, Sort};

pub(super) struct SystemSettings;

/// What a client may set.
const FIELDS: [&str; 11] = [
    "title",
    "showLogoOnly",
    "allowSignUp",
    "smsAuthEnabled",
    "logoId",
    "enabledLanguages",
    "appLang",
    "options",
    "roleMode",
    "enableEditProfile",
    "enableChangePassword",
];

impl Resource for SystemSettings {
    fn name(&self) -> &'static str {
        "systemSettings"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "get" | "update" | "put")
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            match call.action {
                "get" => Ok(Answer::Data(Value::Object(read(&call).await?))),
                // What NocoBase's client sends for its form: the title as it was written.
                "put" => {
                    let title = call.values()?.get("raw_title").cloned();
                    update(&call, title).await?;
                    Ok(Answer::Data(Value::Object(read(&call).await?)))
                }
                _ => {
                    update(&call, None).await?;
                    Ok(Answer::Data(changed(&call, &SYSTEM_SETTINGS, Filter::All, "id").await?.into()))
                }
            }
        })
    }
}

async fn read(call: &Call<'_>) -> Result<Record, ApiError> {
    let query = Query::default().sort(Sort::ascending("id"));
    let found = call.app.source().find_one(&SYSTEM_SETTINGS, query).await?;
    let mut settings = found.ok_or_else(|| ApiError::internal("the application has no settings"))?;
    settings.insert("raw_title".into(), settings.get("title").cloned().unwrap_or_default());
    settings.insert("logo".into(), Value::Null);
    Ok(settings)
}

async fn update(call: &Call<'_>, title: Option<Value>) -> Result<(), ApiError> {
    let mut values = settable(call, &FIELDS)?;
    if let Some(title) = title {
        values.insert("title".into(), title);
    }
    check(&values)?;
    call.app.source().update(&SYSTEM_SETTINGS, &Filter::All, values).await?;
    Ok(call.app.reload_settings().await?)
}

fn check(values: &Record) -> Result<(), ApiError> {
    let languages = values.get("enabledLanguages");
    let texts = |list: &Value| list.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    if languages.is_some_and(|languages| !texts(languages)) {
        return Err(ApiError::bad_request("enabledLanguages must be a list of languages"));
    }
    if values.get("options").is_some_and(|options| *options != json!(null) && !options.is_object()) {
        return Err(ApiError::bad_request("options must be an object"));
    }
    let strict = values.get("options").and_then(|options| options.get("strict"));
    if strict.is_some_and(|strict| !strict.is_boolean() && !strict.is_null()) {
        return Err(ApiError::bad_request("options.strict must be true or false"));
    }
    let mode = values.get("roleMode");
    if mode.is_some_and(|mode| mode.as_str().and_then(RoleMode::parse).is_none()) {
        let modes = RoleMode::ALL.map(RoleMode::as_str).join(", ");
        return Err(ApiError::bad_request(format!("roleMode is one of {modes}")));
    }
    Ok(())
}
