//! `dataSources`: the databases the application works on. What they are reached with is never told.

use serde_json::{Value, json};

use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::policy::{Reach, Snippet};
use crate::app::api::{Answer, ApiError, Call, records};
use crate::app::system::DATA_SOURCES;
use crate::data::{Filter, Query, Record, Sort};

pub(super) fn resources() -> [Resource; 5] {
    const MANAGER: &[Snippet] = &[("pm.data-source-manager", &["*"])];
    let managed = |name| Resource { reach: Reach::Management, ..Resource::named(name) };
    [
        Resource {
            collection: Some(&DATA_SOURCES),
            records: Records::Own,
            actions: vec![
                ResourceAction::new("list", ActionAccess::ByPermission, |call| Box::pin(list(call))),
                ResourceAction::new("get", ActionAccess::SignedIn, |call| Box::pin(get(call))),
                ResourceAction::new("listEnabled", ActionAccess::SignedIn, |call| {
                    Box::pin(list_enabled(call))
                }),
            ],
            snippets: &[("pm.acl.roles", &["list"]), ("pm.data-source-manager", &["*"])],
            ..managed("dataSources")
        },
        Resource { snippets: MANAGER, ..managed("dataSources.collections") },
        managed("dataSourcesCollections"),
        Resource { snippets: MANAGER, ..managed("dataSourcesCollections.fields") },
        managed("dataSourcesFields"),
    ]
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    let found = find(call, Filter::eq("key", call.filter_by_tk()?)).await?.pop();
    Ok(Answer::Data(found.unwrap_or_default()))
}

async fn list_enabled(call: &Call<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Data(find(call, Filter::eq("enabled", true)).await?.into()))
}

async fn list(call: &Call<'_>) -> Result<Answer, ApiError> {
    let mut answer = records::list_of(call, &DATA_SOURCES, Filter::All).await?;
    if let Answer::List { data, .. } = &mut answer {
        for source in data {
            source["status"] = "loaded".into();
        }
    }
    Ok(answer)
}

/// Data sources as everybody signed in sees them. There is `main` so far, which is always there.
async fn find(call: &Call<'_>, filter: Filter) -> Result<Vec<Value>, ApiError> {
    let query = Query::filter(filter).sort(Sort::ascending("key")).fields(&["key", "displayName", "type"]);
    let found = call.state.source().find(&DATA_SOURCES, query).await?;
    let described = |mut source: Record| {
        source.insert("status".into(), json!("loaded"));
        source.insert("isDBInstance".into(), json!(true));
        Value::Object(source)
    };
    Ok(found.into_iter().map(described).collect())
}
