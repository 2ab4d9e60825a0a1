//! Compares roles, and what they may do in single collections. Roles are added and changed, and never removed.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::collections::without_nulls;
use super::entries::{ActionEntry, ResourceEntry, RoleEntry, Scope, Strategy};
use super::live::{Interior, ROOT};
use super::steps::{Call, Change, Comparison, same};

/// The keys of the scopes that every application has.
const SCOPES: [&str; 2] = ["all", "own"];

/// The values of a role, without its name and what it may do in single collections.
fn values(role: &RoleEntry) -> Map<String, Value> {
    let Ok(Value::Object(mut values)) = serde_json::to_value(role) else { return Map::new() };
    values.remove("name");
    values.remove("resources");
    values
}

/// Compares the roles that a document describes with those that there are.
pub(super) fn compare(wanted: &[RoleEntry], live: &Interior, into: &mut Comparison) {
    for role in wanted {
        let known = live.roles.iter().find(|known| known.get("name") == Some(&json!(role.name)));
        match known {
            None => create(role, into),
            Some(known) => change(role, known, into),
        }
        let none = Vec::new();
        let resources = live.resources.get(&role.name).unwrap_or(&none);
        for resource in &role.resources {
            let known = resources.iter().find(|known| known.get("name") == Some(&json!(resource.name)));
            compare_resource(&role.name, resource, known, into);
        }
    }
}

fn create(role: &RoleEntry, into: &mut Comparison) {
    let mut body = values(role);
    let title = role.title.clone().unwrap_or_else(|| role.name.clone());
    body.insert("name".to_owned(), json!(role.name));
    body.entry("title").or_insert_with(|| json!(title));
    into.step(
        vec![Change::add(format!("roles.{}", role.name), title)],
        Call::Api { path: "roles:create".to_owned(), body: Value::Object(body) },
    );
}

fn change(role: &RoleEntry, live: &Map<String, Value>, into: &mut Comparison) {
    let mut changes = Vec::new();
    let mut body = Map::new();
    for (name, value) in values(role) {
        let is = live.get(&name).cloned().unwrap_or_default();
        if !same(&value, &is) {
            changes.push(Change::set(format!("roles.{}.{name}", role.name), is, value.clone()));
            body.insert(name, value);
        }
    }
    if changes.is_empty() {
        return;
    }
    if role.name == ROOT {
        into.refusals.push("the role root may do everything, and cannot be changed".to_owned());
        return;
    }
    let path = format!("roles:update?filterByTk={}", encoded(&role.name));
    into.step(changes, Call::Api { path, body: Value::Object(body) });
}

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

fn compare_resource(
    role: &str,
    wanted: &ResourceEntry,
    live: Option<&Map<String, Value>>,
    into: &mut Comparison,
) {
    let actions = live.map(live_actions).unwrap_or_default();
    let uses = |live: &Map<String, Value>| live.get("usingActionsConfig") == Some(&Value::Bool(true));
    let is_same = live.is_some_and(|live| uses(live) == wanted.using_actions_config)
        && wanted.actions.len() == actions.len()
        && wanted.actions.iter().all(|action| actions.iter().any(|live| is_same_action(action, live)));
    if is_same {
        return;
    }
    let key = format!("roles.{role}.resources.{}", wanted.name);
    if role == ROOT {
        into.refusals.push("the role root may do everything, and cannot be changed".to_owned());
        return;
    }
    let names = |names: Vec<&str>| json!(names.join(", "));
    let to = names(wanted.actions.iter().map(|action| action.name.as_str()).collect());
    let change = match live {
        None => Change::add(key, to),
        Some(_) => {
            let from = names(actions.iter().filter_map(|action| action.get("name")?.as_str()).collect());
            Change::set(key, from, to)
        }
    };
    let body = json!({
        "name": wanted.name,
        "usingActionsConfig": wanted.using_actions_config,
        "actions": wanted.actions.iter().map(|action| action_body(role, wanted, action)).collect::<Vec<_>>(),
    });
    into.step(vec![change], Call::Api { path: format!("roles/{}/resources:create", encoded(role)), body });
}

fn live_actions(resource: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let actions = resource.get("actions").and_then(Value::as_array).into_iter().flatten();
    actions.filter_map(Value::as_object).cloned().collect()
}

fn is_same_action(wanted: &ActionEntry, live: &Map<String, Value>) -> bool {
    let mut fields: Vec<&str> = wanted.fields.iter().map(String::as_str).collect();
    let mut known = live_fields(live);
    fields.sort_unstable();
    known.sort_unstable();
    live.get("name") == Some(&json!(wanted.name))
        && fields == known
        && is_same_scope(wanted.scope.as_ref(), live.get("scope").unwrap_or(&Value::Null))
}

fn live_fields(action: &Map<String, Value>) -> Vec<&str> {
    action.get("fields").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn is_same_scope(wanted: Option<&Scope>, live: &Value) -> bool {
    let key = live.get("key").and_then(Value::as_str);
    match wanted {
        None => live.is_null() || key == Some("all"),
        Some(Scope::Key(wanted)) => key == Some(wanted) || wanted == "all" && live.is_null(),
        Some(Scope::Filter(filter)) => {
            same(&Value::Object(filter.clone()), live.get("scope").unwrap_or(&Value::Null))
        }
    }
}

fn action_body(role: &str, resource: &ResourceEntry, action: &ActionEntry) -> Value {
    let mut body = json!({"name": action.name, "fields": action.fields});
    match &action.scope {
        None => {}
        Some(Scope::Key(key)) => body["scopeKey"] = json!(key),
        Some(Scope::Filter(filter)) => {
            let name = format!("{role}: {} {}", action.name, resource.name);
            body["scope"] = json!({"name": name, "scope": filter});
        }
    }
    body
}

/// The roles in the form in which a document has them, without root, which every application has.
pub(super) fn portable(live: &Interior) -> Vec<RoleEntry> {
    let named = live.roles.iter().filter_map(|role| Some((role.get("name")?.as_str()?, role)));
    let others = named.filter(|(name, _)| *name != ROOT);
    others
        .map(|(name, role)| {
            let text = |field: &str| role.get(field).and_then(Value::as_str).map(str::to_owned);
            let truth = |field: &str| role.get(field).and_then(Value::as_bool);
            let texts = |value: Option<&Value>| -> Option<Vec<String>> {
                let items = value?.as_array()?.iter();
                Some(items.filter_map(Value::as_str).map(str::to_owned).collect())
            };
            let none = Vec::new();
            let resources = live.resources.get(name).unwrap_or(&none);
            RoleEntry {
                name: name.to_owned(),
                title: text("title"),
                description: text("description"),
                default: truth("default").filter(|default| *default),
                hidden: truth("hidden").filter(|hidden| *hidden),
                allow_configure: truth("allowConfigure"),
                allow_new_menu: truth("allowNewMenu"),
                snippets: texts(role.get("snippets")),
                strategy: texts(role.get("strategy").and_then(|strategy| strategy.get("actions")))
                    .map(|actions| Strategy { actions }),
                resources: resources.iter().filter_map(portable_resource).collect(),
            }
        })
        .collect()
}

fn portable_resource(live: &Map<String, Value>) -> Option<ResourceEntry> {
    let actions = live_actions(live);
    Some(ResourceEntry {
        name: live.get("name")?.as_str()?.to_owned(),
        using_actions_config: live.get("usingActionsConfig") == Some(&Value::Bool(true)),
        actions: actions
            .iter()
            .filter_map(|action| {
                Some(ActionEntry {
                    name: action.get("name")?.as_str()?.to_owned(),
                    fields: live_fields(action).into_iter().map(str::to_owned).collect(),
                    scope: action.get("scope").and_then(portable_scope),
                })
            })
            .collect(),
    })
}

fn portable_scope(live: &Value) -> Option<Scope> {
    match live.get("key").and_then(Value::as_str) {
        Some("all") => None,
        Some(key) if SCOPES.contains(&key) => Some(Scope::Key(key.to_owned())),
        _ => match without_nulls(live.get("scope")?) {
            Value::Object(filter) => Some(Scope::Filter(filter)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(value: Value) -> RoleEntry {
        serde_json::from_value(value).unwrap()
    }

    fn interior() -> Interior {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let reader = json!({
            "name": "reader", "title": "Reader", "strategy": {"actions": ["view"]}, "hidden": false,
            "snippets": ["!pm"], "description": null, "default": false,
        });
        let posts = json!({"name": "posts", "usingActionsConfig": true, "actions": [
            {"name": "view", "fields": ["title", "views"], "scope": {"key": "own", "scope": {"createdById": 1}}},
            {"name": "update", "fields": [], "scope": {"key": "x1", "scope": {"views": {"$gt": 3}}}},
        ]});
        Interior {
            roles: vec![object(json!({"name": "root"})), object(reader)],
            resources: [("reader".to_owned(), vec![object(posts)])].into(),
            ..Interior::default()
        }
    }

    fn compared(wanted: Value) -> Comparison {
        let mut comparison = Comparison::default();
        compare(&[role(wanted)], &interior(), &mut comparison);
        comparison
    }

    #[test]
    fn a_role_is_compared_in_what_the_document_says() {
        for (wanted, steps) in [
            (json!({"name": "reader"}), 0),
            (json!({"name": "reader", "title": "Reader", "strategy": {"actions": ["view"]}}), 0),
            (json!({"name": "reader", "title": "Readers"}), 1),
            (json!({"name": "editor"}), 1),
            (json!({"name": "reader", "resources": [{"name": "tags", "actions": [{"name": "view"}]}]}), 1),
            (json!({"name": "reader", "resources": [{"name": "posts", "actions": [{"name": "view"}]}]}), 1),
            (
                json!({"name": "reader", "resources": [{"name": "posts", "actions": [
                    {"name": "update", "scope": {"views": {"$gt": 3}}},
                    {"name": "view", "fields": ["views", "title"], "scope": "own"},
                ]}]}),
                0,
            ),
        ] {
            let comparison = compared(wanted.clone());
            assert_eq!((comparison.steps.len(), comparison.refusals.len()), (steps, 0), "{wanted}");
        }
        assert_eq!(compared(json!({"name": "root", "title": "Boss"})).refusals.len(), 1);
        assert!(compared(json!({"name": "root"})).refusals.is_empty());
    }

    #[test]
    fn portable_roles_are_compared_as_the_same() {
        let live = interior();
        let roles = portable(&live);
        assert_eq!(roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(), ["reader"]);
        let mut comparison = Comparison::default();
        compare(&roles, &live, &mut comparison);
        assert!(comparison.steps.is_empty() && comparison.refusals.is_empty(), "{comparison:?}");
    }
}
