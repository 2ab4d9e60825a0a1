//! `authenticators`: the ways to sign in.

use serde_json::{Value, json};

use super::common::{changed, settable};
use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::policy::Reach;
use crate::app::api::{Answer, ApiError, Call, records};
use crate::app::auth::{AUTH_TYPES, Authenticator};
use crate::app::system::AUTHENTICATORS;
use crate::data::{DataError, Filter, Query, Record, Sort, Transaction};

/// What a client may set.
const FIELDS: [&str; 6] = ["name", "authType", "title", "description", "options", "enabled"];

pub(super) fn resources() -> [Resource; 1] {
    [Resource {
        collection: Some(&AUTHENTICATORS),
        records: Records::Own,
        actions: vec![
            ResourceAction::new("publicList", ActionAccess::Public, |call| Box::pin(list_public(call))),
            ResourceAction::new("listTypes", ActionAccess::ByPermission, |call| Box::pin(list_types(call))),
            ResourceAction::new("list", ActionAccess::ByPermission, |call| Box::pin(list(call))),
            ResourceAction::new("get", ActionAccess::ByPermission, |call| Box::pin(get(call))),
            ResourceAction::new("create", ActionAccess::ByPermission, |call| Box::pin(create(call))),
            ResourceAction::new("update", ActionAccess::ByPermission, |call| Box::pin(update(call))),
            ResourceAction::new("destroy", ActionAccess::ByPermission, |call| Box::pin(destroy(call))),
        ],
        reach: Reach::Management,
        snippets: &[("pm.auth.authenticators", &["*"])],
        ..Resource::named("authenticators")
    }]
}

async fn list_public(call: &Call<'_>) -> Result<Answer, ApiError> {
    let all = call.state.auth().authenticators().await?;
    Ok(Answer::Data(all.iter().map(Authenticator::public).collect()))
}

async fn list_types(_call: &Call<'_>) -> Result<Answer, ApiError> {
    let types = AUTH_TYPES.iter().map(|(name, title)| json!({"name": name, "title": title}));
    Ok(Answer::Data(types.collect()))
}

async fn list(call: &Call<'_>) -> Result<Answer, ApiError> {
    records::list_of(call, &AUTHENTICATORS, Filter::All).await
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    records::get_of(call, &AUTHENTICATORS, Filter::All).await
}

async fn create(call: &Call<'_>) -> Result<Answer, ApiError> {
    let mut values = settable(call, &FIELDS)?;
    for needed in ["name", "authType"] {
        if values.get(needed).and_then(Value::as_str).is_none_or(|text| text.trim().is_empty()) {
            return Err(ApiError::bad_request(format!("{needed} must be given")));
        }
    }
    check(&values)?;
    let user = call.session()?.user.id;
    values.insert("createdById".into(), user.into());
    values.insert("updatedById".into(), user.into());
    let values = &values;
    let work = || {
        async move |transaction: &mut Transaction| {
            let placed = Filter::ne("sort", Value::Null);
            let last = Query::filter(placed).sort(Sort::descending("sort")).fields(&["sort"]);
            let last = transaction.find_one(&AUTHENTICATORS, last).await?;
            let last = last.and_then(|record| record.get("sort")?.as_i64()).unwrap_or(0);
            let mut values = values.clone();
            values.insert("sort".into(), last.saturating_add(1).into());
            transaction.system().insert(&AUTHENTICATORS, values).await
        }
    };
    Ok(Answer::Data(Value::Object(call.state.source().transact(work).await?)))
}

async fn update(call: &Call<'_>) -> Result<Answer, ApiError> {
    let filter = Filter::eq("id", call.filter_by_tk()?);
    let mut values = settable(call, &FIELDS)?;
    check(&values)?;
    values.insert("updatedById".into(), call.session()?.user.id.into());
    let (meant, values) = (&filter, &values);
    let work = || {
        async move |transaction: &mut Transaction| {
            transaction.system().update(&AUTHENTICATORS, meant, values.clone()).await?;
            keep_one(transaction).await
        }
    };
    call.state.source().transact(work).await?;
    Ok(Answer::Data(changed(call, &AUTHENTICATORS, filter, "id").await?.into()))
}

async fn destroy(call: &Call<'_>) -> Result<Answer, ApiError> {
    let filter = Filter::eq("id", call.filter_by_tk()?);
    let filter = &filter;
    let work = || {
        async move |transaction: &mut Transaction| {
            let removed = transaction.system().destroy(&AUTHENTICATORS, filter).await?;
            keep_one(transaction).await?;
            Ok::<_, DataError>(removed)
        }
    };
    Ok(Answer::Data(call.state.source().transact(work).await?.into()))
}

fn check(values: &Record) -> Result<(), ApiError> {
    let unknown = |given: &&Value| !AUTH_TYPES.iter().any(|(name, _)| *given == name);
    if let Some(given) = values.get("authType").filter(unknown) {
        return Err(ApiError::bad_request(format!("there is no type of authenticators {given}")));
    }
    if values.get("options").is_some_and(|options| !options.is_object()) {
        return Err(ApiError::bad_request("options must be an object"));
    }
    if values.get("name").is_some_and(|name| name.as_str().is_none_or(|name| name.trim().is_empty())) {
        return Err(ApiError::bad_request("name must be a text that is not empty"));
    }
    Ok(())
}

/// Without a way to sign in, nobody could make one.
async fn keep_one(transaction: &mut Transaction) -> Result<(), DataError> {
    match transaction.count(&AUTHENTICATORS, &Filter::eq("enabled", true)).await? {
        0 => Err(DataError::Refused("at least one authenticator must stay enabled".to_owned())),
        _ => Ok(()),
    }
}
