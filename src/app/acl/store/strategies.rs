//! The strategies of roles in a data source: `dataSourcesRoles`.

use serde_json::{Value as Json, json};

use super::error::{StoreError, invalid};
use crate::app::json::object;
use crate::app::system::{DATA_SOURCES, DATA_SOURCES_ROLES, ROLES};
use crate::data::{DataSource, Filter, Query, Record, Sort, Transaction, random_uid};

fn of_role(data_source: &str, role: &str) -> Filter {
    Filter::eq("roleName", role).and(Filter::eq("dataSourceKey", data_source))
}

/// Fails where there is no such role.
pub(super) async fn known_role(transaction: &mut Transaction, role: &str) -> Result<Record, StoreError> {
    let found = transaction.find_one(&ROLES, Query::filter(Filter::eq("name", role))).await?;
    found.ok_or_else(|| StoreError::NotFound(format!("there is no role {role}")))
}

/// Fails where there is no such data source.
pub(super) async fn known_data_source(transaction: &mut Transaction, key: &str) -> Result<(), StoreError> {
    let found = transaction.count(&DATA_SOURCES, &Filter::eq("key", key)).await?;
    if found > 0 { Ok(()) } else { Err(StoreError::NotFound(format!("there is no data source {key}"))) }
}

/// `dataSources/<key>/roles:get`: a role's strategy in a data source; one that was never written
/// is null.
pub async fn get_strategy(source: &DataSource, data_source: &str, role: &str) -> Result<Json, StoreError> {
    let query = Query::filter(of_role(data_source, role)).sort(Sort::descending("id"));
    let found = source.find_one(&DATA_SOURCES_ROLES, query).await?;
    Ok(match found {
        Some(found) => Json::Object(found),
        None => json!({"roleName": role, "dataSourceKey": data_source, "strategy": null}),
    })
}

/// A strategy is null or an object whose `actions` are texts.
pub(super) fn checked_strategy(strategy: &Json) -> Result<&Json, StoreError> {
    let actions = match strategy {
        Json::Null => return Ok(strategy),
        Json::Object(parts) => parts.get("actions").unwrap_or(&Json::Null),
        _ => return Err(invalid("strategy must be an object like {\"actions\": [\"view\"]}")),
    };
    let fits = match actions {
        Json::Null | Json::String(_) | Json::Bool(false) => true,
        Json::Array(actions) => actions.iter().all(Json::is_string),
        _ => false,
    };
    if fits { Ok(strategy) } else { Err(invalid("strategy.actions must be a list of actions")) }
}

/// Writes the strategy, where one is given, to the role's record of the data source; makes that
/// record where it is missing.
pub(super) async fn write_strategy(
    transaction: &mut Transaction,
    data_source: &str,
    role: &str,
    strategy: Option<Json>,
) -> Result<Record, StoreError> {
    let query = Query::filter(of_role(data_source, role)).sort(Sort::descending("id"));
    let Some(mut found) = transaction.find_one(&DATA_SOURCES_ROLES, query).await? else {
        let new = json!({
            "id": random_uid(), "roleName": role, "dataSourceKey": data_source, "strategy": strategy,
        });
        return Ok(transaction.system().insert(&DATA_SOURCES_ROLES, object(new)).await?);
    };
    if let Some(strategy) = strategy {
        let changes = object(json!({"strategy": strategy}));
        transaction.system().update(&DATA_SOURCES_ROLES, &of_role(data_source, role), changes).await?;
        found.insert("strategy".to_owned(), strategy);
    }
    Ok(found)
}

/// Makes the role's record of a data source where it is missing.
pub(super) async fn ensure_strategy(
    transaction: &mut Transaction,
    data_source: &str,
    role: &str,
) -> Result<(), StoreError> {
    write_strategy(transaction, data_source, role, None).await.map(drop)
}
