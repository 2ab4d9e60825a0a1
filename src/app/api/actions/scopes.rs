//! `rolesResourcesScopes` and `dataSources/<key>/rolesResourcesScopes`: named filters of records
//! that permissions refer to.

use serde_json::{Value, json};

use super::{in_transaction, paged};
use crate::app::acl::store;
use crate::app::api::records::Parameters;
use crate::app::api::{Answer, Answering, ApiError, Call, Resource};
use crate::app::system::DATA_SOURCES_ROLES_RESOURCES_SCOPES as SCOPES;
use crate::data::{Filter, Query, Transaction};

/// The scopes, under one of their names.
pub(super) struct Scopes(pub(super) &'static str);

impl Resource for Scopes {
    fn name(&self) -> &'static str {
        self.0
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "list" | "get" | "create" | "update" | "destroy")
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            let call = &call;
            let source = call.app.source();
            match call.action {
                "list" => {
                    let parameters = Parameters::of(call);
                    let by_key = parameters.by_key(&SCOPES)?.unwrap_or_default();
                    let filter = here(call).and(by_key).and(parameters.filter()?);
                    paged(call, store::list_scopes(source, filter).await?)
                }
                "get" => {
                    let filter = here(call).and(Parameters::of(call).meant(&SCOPES)?);
                    let found = source.find_one(&SCOPES, Query::filter(filter)).await?;
                    Ok(Answer::Data(found.map_or(Value::Null, Value::Object)))
                }
                "create" => create(call).await,
                "update" => {
                    let ids = &ids(call).await?[..];
                    let changed = in_transaction(call, || {
                        async move |transaction: &mut Transaction| {
                            let mut changed = Vec::with_capacity(ids.len());
                            for &id in ids {
                                changed.push(store::update_scope(transaction, id, &call.body).await?);
                            }
                            Ok(changed)
                        }
                    });
                    Ok(Answer::Data(Value::Array(changed.await?)))
                }
                _ => {
                    let ids = &ids(call).await?[..];
                    let removed = in_transaction(call, || {
                        async move |transaction: &mut Transaction| {
                            let mut removed = 0;
                            for &id in ids {
                                removed += store::destroy_scope(transaction, id).await?;
                            }
                            Ok(removed)
                        }
                    });
                    Ok(Answer::Data(json!(removed.await?)))
                }
            }
        })
    }
}

/// Those of the data source that the path names.
fn here(call: &Call<'_>) -> Filter {
    call.source_key.map_or(Filter::All, |data_source| Filter::eq("dataSourceKey", data_source))
}

async fn create(call: &Call<'_>) -> Result<Answer, ApiError> {
    let mut body = call.body.clone();
    if let (Some(data_source), Some(body)) = (call.source_key, body.as_object_mut()) {
        body.insert("dataSourceKey".to_owned(), data_source.into());
    }
    let body = &body;
    let made = in_transaction(call, || {
        async move |transaction: &mut Transaction| store::create_scope(transaction, body).await
    })
    .await?;
    Ok(Answer::Data(made))
}

/// The scopes that are meant.
async fn ids(call: &Call<'_>) -> Result<Vec<i64>, ApiError> {
    let filter = here(call).and(Parameters::of(call).meant(&SCOPES)?);
    let found = call.app.source().find(&SCOPES, Query::filter(filter).fields(&["id"])).await?;
    Ok(found.iter().filter_map(|scope| scope.get("id")?.as_i64()).collect())
}
