//! The resource `applications` of the main application's HTTP API, with NocoBase's names and responses.
//!
//! Each action calls the same function as the method of the control socket. Only the root user may use them, except
//! for `listPinned`, which every user's menu shows.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::app::api::{Answer, Answering, ApiError, Call, ListParameters};
use crate::app::resources::{ActionAccess, Resource, ResourceAction, applications};
use crate::protocol::{
    AppId, ChangeState, CreateApplication, DatabaseMode, DatabaseRequest, DeleteApplication, ErrorKind,
    RpcError, StartMode, UpgradePolicy, Wait,
};

use super::creation::Extras;
use super::entry::Entry;
use super::registry::Registration;
use super::{Stages, Supervisor, host_name};

/// A function that performs an action.
type ActionHandler = for<'a> fn(Arc<Supervisor>, &'a Call<'a>) -> Answering<'a>;

/// The resource `applications` of the main application.
pub(crate) fn resource(supervisor: &Arc<Supervisor>) -> Resource {
    let pinned: ActionHandler = |supervisor, _| Box::pin(async move { Ok(list_pinned(&supervisor)) });
    let of_root: [(&'static str, ActionHandler); 7] = [
        ("list", |supervisor, call| Box::pin(async move { list(&supervisor, call) })),
        ("get", |supervisor, call| Box::pin(async move { get(&supervisor, call) })),
        ("create", |supervisor, call| Box::pin(async move { create(&supervisor, &call.body).await })),
        ("update", |supervisor, call| Box::pin(async move { update(&supervisor, call).await })),
        ("destroy", |supervisor, call| Box::pin(async move { destroy(&supervisor, call).await })),
        ("start", |supervisor, call| Box::pin(async move { start(&supervisor, call).await })),
        ("stop", |supervisor, call| Box::pin(async move { stop(&supervisor, call).await })),
    ];
    let of_root = of_root.map(|(name, run)| action(supervisor, name, check_root, run));
    let pinned = action(supervisor, "listPinned", |_| Ok(()), pinned);
    let actions = of_root.into_iter().chain([pinned]).collect();
    Resource { actions, ..applications() }
}

/// An action for signed-in users who pass `check`.
fn action(
    supervisor: &Arc<Supervisor>,
    name: &'static str,
    check: fn(&Call<'_>) -> Result<(), ApiError>,
    run: ActionHandler,
) -> ResourceAction {
    // Weak, since the supervisor owns the main application, which owns the action.
    let supervisor = Arc::downgrade(supervisor);
    ResourceAction::new(name, ActionAccess::SignedIn, move |call| {
        let supervisor = supervisor.upgrade();
        Box::pin(async move {
            let supervisor = supervisor.ok_or_else(|| ApiError::internal("the supervisor is gone"))?;
            check(call)?;
            run(supervisor, call).await
        })
    })
}

fn check_root(call: &Call<'_>) -> Result<(), ApiError> {
    if call.session()?.is_root() {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::FORBIDDEN, "only the root user may manage applications"))
}

async fn start(supervisor: &Arc<Supervisor>, call: &Call<'_>) -> Result<Answer, ApiError> {
    supervisor.start(change(call)?).await.map(|_| Answer::Data(json!("ok"))).map_err(refusal)
}

async fn stop(supervisor: &Arc<Supervisor>, call: &Call<'_>) -> Result<Answer, ApiError> {
    supervisor.stop(change(call)?).await.map(|_| Answer::Data(json!("ok"))).map_err(refusal)
}

fn change(call: &Call<'_>) -> Result<ChangeState, ApiError> {
    Ok(ChangeState { id: id(call)?, wait: Wait::default() })
}

fn id(call: &Call<'_>) -> Result<AppId, ApiError> {
    AppId::parse(call.filter_by_tk()?).map_err(|error| ApiError::not_found(error.to_string()))
}

/// The registered row, with the current state.
fn row(entry: &Entry) -> Map<String, Value> {
    let mut row = entry.registration.load().row();
    row.insert("status".into(), json!(entry.state()));
    row
}

fn rows(supervisor: &Supervisor) -> Vec<Map<String, Value>> {
    let mut entries = supervisor.all_entries();
    entries.retain(|entry| !entry.id.is_main());
    entries.sort_by_key(|entry| (entry.registration.load().sort, entry.id.clone()));
    entries.iter().map(|entry| row(entry)).collect()
}

fn list_pinned(supervisor: &Supervisor) -> Answer {
    let pinned = rows(supervisor).into_iter().filter(|row| row["pinned"] == true);
    let shown = ["name", "displayName", "cname", "icon", "status", "sort"];
    Answer::Data(pinned.map(|row| Value::Object(only(row, &shown.map(str::to_owned)))).collect())
}

fn list(supervisor: &Supervisor, call: &Call<'_>) -> Result<Answer, ApiError> {
    call.only(&["page", "pageSize", "sort", "fields", "filter"])?;
    let parameters = ListParameters::parse(&call.params)?;
    let mut found = rows(supervisor);
    let known = |name: &str| Registration::is_column(name);
    let asked = parameters.fields.iter().chain(parameters.sort.iter().map(|sort| &sort.field));
    if let Some(name) = asked.into_iter().find(|name| !known(name)) {
        return Err(ApiError::bad_request(format!("applications has no field {name}")));
    }
    if let Some(filter) = call.param("filter") {
        let filter: Value = serde_json::from_str(filter)
            .map_err(|error| ApiError::bad_request(format!("the filter is not JSON: {error}")))?;
        let filter = call.requester.filter(&filter)?;
        let matcher = filter.matcher(Registration::collection(), call.requester.clock())?;
        found.retain(|row| matcher.matches(row));
    }
    for sort in parameters.sort.iter().rev() {
        found.sort_by(|a, b| {
            let order = sort_key(&a[&sort.field]).cmp(&sort_key(&b[&sort.field]));
            if sort.descending { order.reverse() } else { order }
        });
    }
    let count = found.len() as u64;
    let skipped =
        usize::try_from((parameters.page - 1).saturating_mul(parameters.page_size)).unwrap_or(usize::MAX);
    let size = usize::try_from(parameters.page_size).unwrap_or(usize::MAX);
    let mut fields = parameters.fields;
    if !fields.is_empty() {
        // NocoBase always adds the state.
        fields.push("status".into());
    }
    let page = found.into_iter().skip(skipped).take(size);
    let data = page.map(|row| Value::Object(only(row, &fields))).collect();
    Ok(Answer::List { data, count, page: parameters.page, page_size: parameters.page_size })
}

fn sort_key(value: &Value) -> (u8, i64, String) {
    match value {
        Value::Number(number) => (0, number.as_i64().unwrap_or_default(), String::new()),
        Value::String(text) => (1, 0, text.clone()),
        Value::Null => (2, 0, String::new()),
        other => (1, 0, other.to_string()),
    }
}

fn only(mut row: Map<String, Value>, fields: &[String]) -> Map<String, Value> {
    if !fields.is_empty() {
        row.retain(|name, _| fields.contains(name));
    }
    row
}

fn get(supervisor: &Supervisor, call: &Call<'_>) -> Result<Answer, ApiError> {
    call.only(&["filterByTk", "fields"])?;
    let fields =
        ListParameters::parse(&json!({"fields": call.params.get("fields").cloned().unwrap_or(json!([]))}))?
            .fields;
    let found = supervisor.find(call.filter_by_tk()?).filter(|entry| !entry.id.is_main());
    Ok(Answer::Data(found.map_or(Value::Null, |entry| Value::Object(only(row(&entry), &fields)))))
}

async fn create(supervisor: &Arc<Supervisor>, body: &Value) -> Result<Answer, ApiError> {
    let text = |field: &str| body.get(field).and_then(Value::as_str).map(str::to_owned);
    let id = match body.get("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => {
            Some(AppId::parse(name).map_err(|error| ApiError::bad_request(error.to_string()))?)
        }
        Some(_) => return Err(ApiError::bad_request("name must be a text: the application's ID")),
    };
    let mut options = match body.get("options") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(options)) => options.clone(),
        Some(_) => return Err(ApiError::bad_request("options must be an object")),
    };
    let create = CreateApplication {
        id,
        name: text("displayName"),
        start_mode: if options.get("autoStart") == Some(&json!(true)) {
            StartMode::WithMain
        } else {
            StartMode::OnVisit
        },
        database: database_request(&mut options)?,
        domains: text("cname").filter(|cname| !cname.is_empty()).into_iter().collect(),
        upgrade: if options.get("autoUpgrade") == Some(&json!(false)) {
            UpgradePolicy::Manual
        } else {
            UpgradePolicy::Auto
        },
        environment: text("environment"),
        jwt_secret: take_jwt_secret(&mut options),
        idle_stop_seconds: options.get("idleStopSeconds").and_then(Value::as_u64),
        ..CreateApplication::default()
    };
    let extras = Extras { options, icon: text("icon"), pinned: body.get("pinned").and_then(Value::as_bool) };
    let (stages, _): (Stages, _) = tokio::sync::mpsc::unbounded_channel();
    let created = supervisor.create_with(create, extras, stages).await.map_err(refusal)?;
    let entry = supervisor.entry(&created.application.id).map_err(refusal)?;
    let mut row = row(&entry);
    // NocoBase returns the row as inserted, with the column's default.
    row.insert("status".into(), json!("pending"));
    if let Some(password) = created.admin.and_then(|admin| admin.password) {
        // No other response contains it.
        row.insert("rootPassword".into(), json!(password));
    }
    Ok(Answer::Data(Value::Object(row)))
}

/// Reads the database from NocoBase's `options.dbConnType` and `options.database`. Removes the password from the
/// options, which are stored as they are.
fn database_request(options: &mut Map<String, Value>) -> Result<DatabaseRequest, ApiError> {
    let mode = match options.get("dbConnType").and_then(Value::as_str) {
        None | Some("new_database") => DatabaseMode::Database,
        Some("new_connection") => DatabaseMode::Connection,
        Some("new_schema") => DatabaseMode::Schema,
        Some(other) => return Err(ApiError::bad_request(format!("there is no dbConnType \"{other}\""))),
    };
    let Some(Value::Object(database)) = options.get_mut("database") else {
        return Ok(DatabaseRequest { mode, ..DatabaseRequest::default() });
    };
    let password = database.remove("password");
    let text = |field: &str| {
        database.get(field).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
    };
    Ok(DatabaseRequest {
        mode,
        url: None,
        dialect: text("dialect"),
        host: text("host"),
        port: port(database.get("port"))?,
        user: text("username"),
        password: password.as_ref().and_then(Value::as_str).map(str::to_owned),
        name: text("database").or_else(|| text("storage")),
        schema: text("schema"),
        sslmode: text("sslmode"),
        create_database: database.get("createDatabase") == Some(&Value::Bool(true)),
        table_prefix: text("tablePrefix"),
    })
}

/// Parses a port, which is a number or text.
fn port(given: Option<&Value>) -> Result<Option<u16>, ApiError> {
    let port = match given {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_u64().and_then(|port| u16::try_from(port).ok()),
    };
    port.map(Some)
        .ok_or_else(|| ApiError::bad_request("options.database.port must be a number from 0 to 65535"))
}

/// Removes NocoBase's `options.authManager.jwt.secret` from the options and returns it: it is stored encrypted
/// elsewhere.
fn take_jwt_secret(options: &mut Map<String, Value>) -> Option<String> {
    let jwt = options.get_mut("authManager")?.get_mut("jwt")?.as_object_mut()?;
    jwt.remove("secret")?.as_str().filter(|secret| !secret.is_empty()).map(str::to_owned)
}

async fn update(supervisor: &Arc<Supervisor>, call: &Call<'_>) -> Result<Answer, ApiError> {
    call.only(&["filterByTk"])?;
    let id = id(call)?;
    let body = call.body.clone();
    let changed = supervisor.update_with(&id, |registration| change_columns(registration, &body)).await;
    changed.map_err(refusal)?;
    let entry = supervisor.entry(&id).map_err(refusal)?;
    Ok(Answer::Data(json!([row(&entry)])))
}

fn change_columns(registration: &mut Registration, body: &Value) -> Result<(), RpcError> {
    let invalid =
        |field: &str| RpcError::new(ErrorKind::InvalidSetting, format!("{field} cannot be {}", body[field]));
    let text = |field: &str| match body.get(field) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::String(text)) => Ok(Some(Some(text.clone()).filter(|text| !text.is_empty()))),
        Some(_) => Err(invalid(field)),
    };
    if body.get("name").is_some_and(|name| *name != registration.id.as_str()) {
        return Err(RpcError::new(ErrorKind::InvalidSetting, "an application's ID cannot be changed"));
    }
    if let Some(name) = text("displayName")? {
        registration.name = name.unwrap_or_else(|| registration.id.to_string());
    }
    if let Some(icon) = text("icon")? {
        registration.icon = icon;
    }
    if let Some(pinned) = body.get("pinned") {
        registration.pinned = pinned.as_bool();
    }
    if let Some(options) = body.get("options") {
        let mut options = options.as_object().cloned().ok_or_else(|| invalid("options"))?;
        for fixed in ["dbConnType", "database"] {
            if options.get(fixed).is_some_and(|given| Some(given) != registration.options.get(fixed)) {
                let sentence = format!("options.{fixed} cannot be changed once the application exists");
                return Err(RpcError::new(ErrorKind::InvalidSetting, sentence));
            }
        }
        take_jwt_secret(&mut options);
        super::creation::check_options(&options)?;
        registration.options.extend(options);
    }
    if let Some(cname) = text("cname")? {
        let mut all = registration.domains();
        all.drain(..all.len().min(1));
        all.splice(0..0, cname);
        registration.set_domains(&host_name::normalize(&all)?);
    }
    Ok(())
}

async fn destroy(supervisor: &Arc<Supervisor>, call: &Call<'_>) -> Result<Answer, ApiError> {
    call.only(&["filterByTk"])?;
    let (stages, _): (Stages, _) = tokio::sync::mpsc::unbounded_channel();
    let Ok(id) = AppId::parse(call.filter_by_tk()?) else { return Ok(Answer::Data(json!(0))) };
    let delete =
        DeleteApplication { id, purge: false, deleted: false, keep_data: false, wait: Wait::default() };
    match supervisor.delete(delete, stages).await {
        Ok(_) => Ok(Answer::Data(json!(1))),
        Err(error) if error.kind() == ErrorKind::AppNotFound => Ok(Answer::Data(json!(0))),
        Err(error) => Err(refusal(error)),
    }
}

fn refusal(error: RpcError) -> ApiError {
    let status = match error.kind() {
        ErrorKind::AppNotFound => StatusCode::NOT_FOUND,
        ErrorKind::Refused | ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::ShuttingDown | ErrorKind::DatabaseUnreachable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Internal | ErrorKind::Storage | ErrorKind::DatabaseFailed | ErrorKind::StartFailed => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::BAD_REQUEST,
    };
    let hint = error.data.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    ApiError::new(status, format!("{}{hint}", error.message))
}
