//! Compares collections and their fields. They are added and changed, and never removed.

use serde_json::{Map, Value, json};

use super::entries::Definition;
use super::steps::{Call, Change, Comparison, same};

/// What a definition has beside its options, and what only the application sets.
const NOT_OPTIONS: [&str; 9] =
    ["name", "key", "fields", "options", "sort", "collectionName", "parentKey", "reverseKey", "reverseField"];

/// Switches of collections that are off when they are absent, unless a field of this name is listed.
const OFF_WHEN_ABSENT: [&str; 6] = ["createdAt", "updatedAt", "createdBy", "updatedBy", "hidden", "inherit"];

/// Options of fields that stay as they are as long as the column exists.
const FIXED_SWITCHES: [&str; 2] = ["primaryKey", "autoIncrement"];

/// The types of fields that associate records with others.
const ASSOCIATIONS: [&str; 4] = ["belongsTo", "hasOne", "hasMany", "belongsToMany"];

fn text<'a>(definition: &'a Map<String, Value>, name: &str) -> &'a str {
    definition.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn truth(definition: &Map<String, Value>, name: &str) -> bool {
    definition.get(name) == Some(&Value::Bool(true))
}

fn is_association(field: &Map<String, Value>) -> bool {
    ASSOCIATIONS.contains(&text(field, "type"))
}

/// The options of a definition, those in `options` among them.
fn options(definition: &Map<String, Value>) -> Map<String, Value> {
    let mut options = match definition.get("options") {
        Some(Value::Object(options)) => options.clone(),
        _ => Map::new(),
    };
    let own = definition.iter().filter(|(name, _)| !NOT_OPTIONS.contains(&name.as_str()));
    options.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    options
}

/// Compares the collections that a document defines with those that there are.
pub(super) fn compare(wanted: &[Definition], live: &[Map<String, Value>], into: &mut Comparison) {
    // When all collections are there: an association may be to one that is defined further down.
    let mut associations = Vec::new();
    for definition in wanted {
        match live.iter().find(|live| text(live, "name") == definition.name()) {
            None => create(definition, &mut associations, into),
            Some(live) => change(definition, live, &mut associations, into),
        }
    }
    for (collection, field) in associations {
        add_field(collection, field, into);
    }
}

/// Fields to add later, each with its collection.
type Later<'a> = Vec<(&'a str, &'a Map<String, Value>)>;

fn create<'a>(definition: &'a Definition, later: &mut Later<'a>, into: &mut Comparison) {
    let (associations, columns): (Vec<_>, Vec<_>) =
        definition.fields().partition(|field| is_association(field));
    later.extend(associations.into_iter().map(|field| (definition.name(), field)));
    let names: Vec<&str> = columns.iter().map(|field| text(field, "name")).collect();
    let mut body = definition.0.clone();
    body.insert("fields".to_owned(), json!(columns));
    into.step(
        vec![Change::add(format!("collections.{}", definition.name()), names.join(", "))],
        Call::Api { path: "collections:create".to_owned(), body: Value::Object(body) },
    );
}

fn add_field(collection: &str, field: &Map<String, Value>, into: &mut Comparison) {
    let key = format!("collections.{collection}.{}", text(field, "name"));
    into.step(
        vec![Change::add(key, text(field, "type"))],
        Call::Api { path: format!("collections/{collection}/fields:create"), body: json!(field) },
    );
}

fn change<'a>(
    definition: &'a Definition,
    live: &Map<String, Value>,
    later: &mut Later<'a>,
    into: &mut Comparison,
) {
    let name = definition.name();
    let known = options(live);
    let (changes, body) = differences(&format!("collections.{name}"), &options(&definition.0), &known);
    let table =
        |options: &Map<String, Value>| options.get("tableName").and_then(Value::as_str).map(str::to_owned);
    if let Some(wanted) = table(&body) {
        let is = table(&known).unwrap_or_else(|| name.to_owned());
        if wanted != is {
            into.refusals.push(format!("collections.{name}.tableName stays {is}: it cannot become {wanted}"));
        }
    }
    if !changes.is_empty() {
        let path = format!("collections:update?filterByTk={name}");
        into.step(changes, Call::Api { path, body: Value::Object(body) });
    }
    let empty = Vec::new();
    let fields = live.get("fields").and_then(Value::as_array).unwrap_or(&empty);
    for field in definition.fields() {
        let known = fields.iter().filter_map(Value::as_object);
        match known.into_iter().find(|known| text(known, "name") == text(field, "name")) {
            Some(known) => change_field(name, field, known, into),
            None if is_association(field) => later.push((name, field)),
            None => add_field(name, field, into),
        }
    }
}

fn change_field(
    collection: &str,
    field: &Map<String, Value>,
    live: &Map<String, Value>,
    into: &mut Comparison,
) {
    let name = text(field, "name");
    let key = format!("collections.{collection}.{name}");
    let (kind, known) = (text(field, "type"), text(live, "type"));
    if kind != known {
        into.refusals.push(format!("{key} is of the type {known}, which cannot become {kind}"));
        return;
    }
    let (wanted, live) = (options(field), options(live));
    let differs =
        |fixed: &&&str| wanted.contains_key(**fixed) && truth(&wanted, fixed) != truth(&live, fixed);
    if let Some(fixed) = FIXED_SWITCHES.iter().find(differs) {
        into.refusals.push(format!("{key}.{fixed} cannot be changed as long as the field exists"));
        return;
    }
    let (changes, body) = differences(&key, &wanted, &live);
    if !changes.is_empty() {
        let path = format!("collections/{collection}/fields:update?filterByTk={name}");
        into.step(changes, Call::Api { path, body: Value::Object(body) });
    }
}

/// The wanted options that differ: as changes, and as the body that makes them so.
fn differences(
    key: &str,
    wanted: &Map<String, Value>,
    live: &Map<String, Value>,
) -> (Vec<Change>, Map<String, Value>) {
    let mut changes = Vec::new();
    let mut body = Map::new();
    for (name, value) in wanted {
        let is = live.get(name).cloned().unwrap_or_default();
        if !same(value, &is) {
            changes.push(Change::set(format!("{key}.{name}"), is, value.clone()));
            body.insert(name.clone(), value.clone());
        }
    }
    (changes, body)
}

/// The definition in the form in which a document has it: without what only the application sets.
pub(super) fn portable(live: &Map<String, Value>) -> Definition {
    let without = |definition: &Map<String, Value>| -> Map<String, Value> {
        let kept = definition.iter().filter(|(name, value)| {
            let is_own =
                ["key", "sort", "collectionName", "parentKey", "reverseKey"].contains(&name.as_str());
            !is_own && !value.is_null()
        });
        kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
    };
    let mut definition = without(live);
    let fields = live.get("fields").and_then(Value::as_array).into_iter().flatten();
    let fields: Vec<Value> =
        fields.filter_map(Value::as_object).map(|field| Value::Object(without(field))).collect();
    let is_listed = |name: &str| fields.iter().any(|field| field.get("name") == Some(&json!(name)));
    definition.retain(|name, value| {
        *value != Value::Bool(false) || !OFF_WHEN_ABSENT.contains(&name.as_str()) || is_listed(name)
    });
    definition.insert("fields".to_owned(), fields.into());
    Definition(definition)
}

/// A value without the entries that are null, which TOML does not have.
pub(super) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(value: Value) -> Definition {
        serde_json::from_value(value).unwrap()
    }

    fn compared(wanted: &[Value], live: &[Value]) -> Comparison {
        let wanted: Vec<_> = wanted.iter().cloned().map(definition).collect();
        let live: Vec<_> = live.iter().filter_map(|live| live.as_object().cloned()).collect();
        let mut comparison = Comparison::default();
        compare(&wanted, &live, &mut comparison);
        comparison
    }

    fn paths(comparison: &Comparison) -> Vec<&str> {
        let paths = comparison.steps.iter().map(|step| match &step.call {
            Call::Api { path, .. } => path.as_str(),
            other => panic!("{other:?}"),
        });
        paths.collect()
    }

    #[test]
    fn associations_come_when_all_collections_are_there() {
        let posts = json!({"name": "posts", "fields": [
            {"name": "author", "type": "belongsTo", "target": "authors"}, {"name": "title", "type": "string"},
        ]});
        let authors = json!({"name": "authors", "fields": [{"name": "name", "type": "string"}]});
        let comparison = compared(&[posts, authors], &[]);
        assert_eq!(
            paths(&comparison),
            ["collections:create", "collections:create", "collections/posts/fields:create"]
        );
        let Call::Api { body, .. } = &comparison.steps[0].call else { panic!() };
        assert_eq!(body["fields"], json!([{"name": "title", "type": "string"}]));
    }

    #[test]
    fn only_what_the_document_says_is_compared() {
        let live = json!({"name": "posts", "key": "k", "sort": 3, "title": "Posts", "hidden": false, "fields": [
            {"name": "title", "type": "string", "key": "f", "sort": 1, "length": 20, "uiSchema": null},
            {"name": "views", "type": "integer", "key": "g", "sort": 2},
        ]});
        let same = json!({"name": "posts", "fields": [{"name": "title", "type": "string"}]});
        assert!(compared(&[same], std::slice::from_ref(&live)).steps.is_empty());
        let other = json!({"name": "posts", "title": "Articles", "fields": [
            {"name": "title", "type": "string", "options": {"length": 30}}, {"name": "body", "type": "text"},
        ]});
        let comparison = compared(&[other], std::slice::from_ref(&live));
        assert_eq!(
            paths(&comparison),
            [
                "collections:update?filterByTk=posts",
                "collections/posts/fields:update?filterByTk=title",
                "collections/posts/fields:create",
            ]
        );
        let changes: Vec<_> = comparison.steps.iter().flat_map(|step| &step.changes).cloned().collect();
        assert_eq!(changes[0], Change::set("collections.posts.title", "Posts", "Articles"));
        assert_eq!(changes[1], Change::set("collections.posts.title.length", 20, 30));
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        let live = json!({"name": "posts", "fields": [{"name": "title", "type": "string", "key": "f"}]});
        for field in [
            json!({"name": "title", "type": "text"}),
            json!({"name": "title", "type": "string", "primaryKey": true}),
        ] {
            let comparison =
                compared(&[json!({"name": "posts", "fields": [field.clone()]})], std::slice::from_ref(&live));
            assert!(comparison.steps.is_empty() && comparison.refusals.len() == 1, "{field}");
        }
        let table = json!({"name": "posts", "tableName": "other"});
        assert_eq!(compared(&[table], &[live]).refusals.len(), 1);
    }

    #[test]
    fn a_portable_definition_is_compared_as_the_same() {
        let live = json!({"name": "posts", "key": "k", "sort": 3, "title": null, "autoGenId": false, "hidden": false,
            "createdBy": false, "fields": [
            {"name": "title", "type": "string", "key": "f", "collectionName": "posts", "uiSchema": {"enum": null}},
        ]});
        let portable = portable(live.as_object().unwrap());
        assert_eq!(
            serde_json::to_value(&portable).unwrap(),
            json!({"name": "posts", "autoGenId": false, "fields": [
                {"name": "title", "type": "string", "uiSchema": {}},
            ]})
        );
        let mut comparison = Comparison::default();
        compare(&[portable], &[live.as_object().cloned().unwrap()], &mut comparison);
        assert!(comparison.steps.is_empty(), "{comparison:?}");
    }
}
