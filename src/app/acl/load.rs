//! Reads what roles may do from the database.
//!
//! A role's strategy is the one of the data source (`dataSourcesRoles`); a role that has none there
//! gets the one of `roles`. Permissions on collections are read from `dataSourcesRolesResources`
//! and its two companions; the older `rolesResources` are not read, as in NocoBase 2.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::policy::Policy;
use super::{Acl, ActionDefinition, ResourceDefinition, RoleDefinition};
use crate::app::system::{
    DATA_SOURCES_ROLES, DATA_SOURCES_ROLES_RESOURCES, DATA_SOURCES_ROLES_RESOURCES_ACTIONS,
    DATA_SOURCES_ROLES_RESOURCES_SCOPES, ROLES,
};
use crate::data::{DataError, DataSource, Filter, Query, Record, Sort};

/// The key of an application's own data source.
pub const MAIN_DATA_SOURCE: &str = "main";

impl Acl {
    /// Reads all roles, with what they may do in the data source of this key.
    pub async fn load(
        policy: &Arc<Policy>,
        source: &DataSource,
        data_source: &str,
    ) -> Result<Self, DataError> {
        let here = || Query::filter(Filter::eq("dataSourceKey", data_source));
        let by_id = || Sort::ascending("id");
        let roles = source.find(&ROLES, Query::default()).await?;
        let strategies = source.find(&DATA_SOURCES_ROLES, here().sort(by_id())).await?;
        // Should there be two of the same collection, the later one counts.
        let resources = source.find(&DATA_SOURCES_ROLES_RESOURCES, here().sort(by_id())).await?;
        let actions =
            source.find(&DATA_SOURCES_ROLES_RESOURCES_ACTIONS, Query::default().sort(by_id())).await?;
        let scopes = source.find(&DATA_SOURCES_ROLES_RESOURCES_SCOPES, here()).await?;

        let mut strategies: HashMap<String, Json> = strategies
            .into_iter()
            .map(|mut record| (text(&record, "roleName"), record.remove("strategy").unwrap_or_default()))
            .collect();
        let roles = roles.into_iter().map(|record| {
            let strategy = strategies.remove(&text(&record, "name"));
            role(record, strategy)
        });
        let scopes = scopes
            .into_iter()
            .filter_map(|mut record| Some((id(&record, "id")?, record.remove("scope").unwrap_or_default())))
            .collect();
        let mut actions = by_resource(actions, &scopes);
        let resources = resources.into_iter().map(|record| ResourceDefinition {
            role: text(&record, "roleName"),
            collection: text(&record, "name"),
            using_actions_config: record.get("usingActionsConfig") == Some(&Json::Bool(true)),
            actions: id(&record, "id").and_then(|id| actions.remove(&id)).unwrap_or_default(),
        });
        Ok(Self::new(policy, roles.collect(), resources.collect()))
    }
}

fn role(mut record: Record, strategy: Option<Json>) -> RoleDefinition {
    let truth = |record: &Record, field: &str| record.get(field) == Some(&Json::Bool(true));
    RoleDefinition {
        name: text(&record, "name"),
        snippets: texts(record.get("snippets")),
        allow_configure: truth(&record, "allowConfigure"),
        strategy: strategy.or_else(|| record.remove("strategy")).unwrap_or_default(),
    }
}

/// The actions of each resource. One whose scope is gone is left out: without it, it would reach
/// every record.
fn by_resource(actions: Vec<Record>, scopes: &HashMap<i64, Json>) -> HashMap<i64, Vec<ActionDefinition>> {
    let mut sorted: HashMap<i64, Vec<ActionDefinition>> = HashMap::new();
    for record in actions {
        let Some(resource) = id(&record, "rolesResourceId") else { continue };
        let scope = match id(&record, "scopeId") {
            None => None,
            Some(scope) => match scopes.get(&scope) {
                Some(scope) => Some(scope.clone()),
                None => continue,
            },
        };
        let action =
            ActionDefinition { name: text(&record, "name"), fields: texts(record.get("fields")), scope };
        sorted.entry(resource).or_default().push(action);
    }
    sorted
}

fn id(record: &Record, field: &str) -> Option<i64> {
    record.get(field).and_then(Json::as_i64)
}

fn text(record: &Record, field: &str) -> String {
    record.get(field).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn texts(value: Option<&Json>) -> Vec<String> {
    let texts = value.and_then(Json::as_array).into_iter().flatten();
    texts.filter_map(Json::as_str).map(str::to_owned).collect()
}
