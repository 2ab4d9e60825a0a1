//! `systemSettings`: the application's settings. There is one record of them.

use serde_json::{Value, json};

use super::common::{changed, settable};
use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::RoleMode;
use crate::app::acl::policy::Reach;
use crate::app::api::{Answer, ApiError, Call};
use crate::app::caches::Cache;
use crate::app::system::SYSTEM_SETTINGS;
use crate::data::{Filter, Query, Record, Sort};

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

pub(super) fn resources() -> [Resource; 1] {
    [Resource {
        collection: Some(&SYSTEM_SETTINGS),
        records: Records::Own,
        actions: vec![
            ResourceAction::new("get", ActionAccess::Public, |call| Box::pin(get(call))),
            ResourceAction::new("update", ActionAccess::ByPermission, |call| Box::pin(update(call))),
            ResourceAction::new("put", ActionAccess::ByPermission, |call| Box::pin(put(call))),
        ],
        reach: Reach::Management,
        snippets: &[("pm.system-settings.system-settings", &["put", "update"])],
        invalidates: &[Cache::Users, Cache::Settings],
        ..Resource::named("systemSettings")
    }]
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Data(Value::Object(read(call).await?)))
}

async fn update(call: &Call<'_>) -> Result<Answer, ApiError> {
    write(call, None).await?;
    Ok(Answer::Data(changed(call, &SYSTEM_SETTINGS, Filter::All, "id").await?.into()))
}

/// What NocoBase's client sends for its form: `raw_title` is the title as it was written.
async fn put(call: &Call<'_>) -> Result<Answer, ApiError> {
    write(call, call.values()?.get("raw_title").cloned()).await?;
    get(call).await
}

async fn read(call: &Call<'_>) -> Result<Record, ApiError> {
    let query = Query::default().sort(Sort::ascending("id"));
    let found = call.state.source().find_one(&SYSTEM_SETTINGS, query).await?;
    let mut settings = found.ok_or_else(|| ApiError::internal("the application has no settings"))?;
    settings.insert("raw_title".into(), settings.get("title").cloned().unwrap_or_default());
    settings.insert("logo".into(), Value::Null);
    Ok(settings)
}

async fn write(call: &Call<'_>, title: Option<Value>) -> Result<(), ApiError> {
    let mut values = settable(call, &FIELDS)?;
    if let Some(title) = title {
        values.insert("title".into(), title);
    }
    check(&values)?;
    call.state.source().system().update(&SYSTEM_SETTINGS, &Filter::All, values).await?;
    Ok(call.state.reload_settings().await?)
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
