//! `dataSources`: the databases the application works on. What they are reached with is never told.

use serde_json::{Value, json};

use crate::app::api::{Answer, Answering, ApiError, Call, Resource, records};
use crate::app::system::DATA_SOURCES;
use crate::data::{Filter, Query, Record, Sort};

pub(super) struct DataSources;

impl Resource for DataSources {
    fn name(&self) -> &'static str {
        "dataSources"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "list" | "get" | "listEnabled")
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            match call.action {
                "get" => {
                    let filter = Filter::eq("key", call.filter_by_tk()?);
                    let found = find(&call, filter).await?.pop();
                    Ok(Answer::Data(found.unwrap_or_default()))
                }
                "listEnabled" => Ok(Answer::Data(find(&call, Filter::eq("enabled", true)).await?.into())),
                _ => list_all(&call).await,
            }
        })
    }
}

async fn list_all(call: &Call<'_>) -> Result<Answer, ApiError> {
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
    let found = call.app.source().find(&DATA_SOURCES, query).await?;
    let described = |mut source: Record| {
        source.insert("status".into(), json!("loaded"));
        source.insert("isDBInstance".into(), json!(true));
        Value::Object(source)
    };
    Ok(found.into_iter().map(described).collect())
}
