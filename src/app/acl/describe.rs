//! What a client is told of its permissions: `roles:check` and `availableActions:list`.
//!
//! Keys and values are NocoBase's, so that its client draws the pages that a role may see.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::permission::own_scope;
use super::{Acl, ROOT, Role, RoleMode};

/// The actions that permissions can be given for, as `availableActions:list` answers.
#[must_use]
pub fn available_actions() -> Json {
    json!([
        {
            "displayName": "{{t(\"Add new\")}}", "type": "new-data", "onNewRecord": true,
            "aliases": ["create", "firstOrCreate", "updateOrCreate"],
            "allowConfigureFields": true, "name": "create",
        },
        {
            "displayName": "{{t(\"View\")}}", "type": "old-data", "aliases": ["get", "list", "query"],
            "allowConfigureFields": true, "name": "view",
        },
        {
            "displayName": "{{t(\"Edit\")}}", "type": "old-data", "aliases": ["update", "move"],
            "allowConfigureFields": true, "name": "update",
        },
        {
            "displayName": "{{t(\"Delete\")}}", "aliases": ["destroy"], "type": "old-data",
            "name": "destroy",
        },
    ])
}

/// Which of those covers an action of the API.
#[must_use]
pub fn action_alias() -> Json {
    json!({
        "create": "create", "firstOrCreate": "create", "updateOrCreate": "create",
        "get": "view", "list": "view", "query": "view",
        "update": "update", "move": "update",
        "destroy": "destroy",
    })
}

impl Acl {
    /// What `roles:check` answers to a request that acts in `roles` under the name `current`.
    /// `system_fields` gives the fields of a collection that are always shown: its key and its
    /// times.
    #[must_use]
    pub fn describe(
        &self,
        roles: &[impl AsRef<str>],
        current: &str,
        mode: RoleMode,
        system_fields: impl Fn(&str) -> Vec<String>,
    ) -> Json {
        let active: Vec<&Role> = roles.iter().filter_map(|name| self.role(name.as_ref())).collect();
        let configured: BTreeSet<&str> =
            active.iter().flat_map(|role| role.collections.keys()).map(String::as_str).collect();
        json!({
            "roles": active.iter().map(|role| role.definition.name.as_str()).collect::<Vec<_>>(),
            "strategy": strategy(&active),
            "actions": self.describe_actions(roles, &active, &configured, system_fields),
            "snippets": snippets(&active),
            "resources": configured,
            "role": current,
            "roleMode": mode.as_str(),
            "availableActions": ["create", "view", "update", "destroy"],
            "actionAlias": action_alias(),
            "allowAll": roles.iter().any(|role| role.as_ref() == ROOT),
            "allowConfigure": active.iter().any(|role| role.definition.allow_configure),
            "allowMenuItemIds": [],
            "allowAnonymous": self.role("anonymous").is_some(),
            "uiButtonSchemasBlacklist": [],
        })
    }

    /// The actions of the configured collections, each with what it reaches.
    fn describe_actions(
        &self,
        roles: &[impl AsRef<str>],
        active: &[&Role],
        configured: &BTreeSet<&str>,
        system_fields: impl Fn(&str) -> Vec<String>,
    ) -> Json {
        let mut described = Map::new();
        for collection in configured {
            let named = active.iter().filter_map(|role| role.collections.get(*collection));
            let named: BTreeSet<&str> =
                named.flat_map(|configured| &configured.actions).map(|action| action.name.as_str()).collect();
            for action in named {
                let Some(permission) = self.permission(roles, collection, action) else { continue };
                let mut reach = Map::new();
                if let Some(fields) = &permission.fields {
                    let views = super::grants::views(action);
                    let mut fields: Vec<String> = fields.iter().cloned().collect();
                    if views {
                        fields.extend(system_fields(collection));
                    }
                    reach.insert(if views { "fields" } else { "whitelist" }.to_owned(), fields.into());
                }
                if let Some(filter) = permission.filter() {
                    reach.insert("own".to_owned(), (filter == own_scope()).into());
                    reach.insert("filter".to_owned(), filter);
                }
                described.insert(format!("{collection}:{action}"), Json::Object(reach));
            }
        }
        Json::Object(described)
    }
}

/// The strategies of all active roles together.
fn strategy(active: &[&Role]) -> Json {
    if let [one] = active {
        let stored = &one.definition.strategy;
        return if stored.is_object() { stored.clone() } else { json!({}) };
    }
    let listed = active.iter().filter_map(|role| role.definition.strategy.get("actions")?.as_array());
    let mut actions: Vec<Json> = Vec::new();
    for action in listed.flatten() {
        if !actions.contains(action) {
            actions.push(action.clone());
        }
    }
    if actions.is_empty() { json!({}) } else { json!({"actions": actions}) }
}

/// The snippets of all active roles together: what one of them opens is open, so a negation is
/// kept only where all of them have it.
fn snippets<'a>(active: &[&'a Role]) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for snippet in active.iter().flat_map(|role| &role.definition.snippets) {
        let kept = match snippet.strip_prefix('!') {
            Some(_) => active.iter().all(|role| role.definition.snippets.contains(snippet)),
            None => true,
        };
        if kept && !all.contains(&snippet.as_str()) {
            all.push(snippet);
        }
    }
    all
}
