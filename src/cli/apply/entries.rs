//! What a document says of the inside of an application: users, keys, roles and collections.

use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::values::{Expiry, Reference};
use crate::protocol::Shown;

/// A user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserEntry {
    /// The e-mail address, by which the user is found.
    pub(crate) email: String,
    /// The user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nickname: Option<String>,
    /// All roles of the user; a new user gets the application's default role when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) roles: Option<Vec<String>>,
    /// The role that the user begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default_role: Option<String>,
    /// Whether the user is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disabled: Option<bool>,
    /// The password of a new user; generated and shown once when absent. With --set-passwords, it is set again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<Reference>,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyEntry {
    /// What the key is called, by which it is found.
    pub(crate) name: String,
    /// The user for whom it acts, by e-mail address or user name; the first root user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// The role in which it acts; the user's default role, or its only one, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    /// How long a new key is good, such as `30d`, or `never`; `30d` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Expiry>,
    /// The new file that a new key is written to, relative to the document. Without it, no key is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<PathBuf>,
}

/// A role. The names are those of NocoBase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RoleEntry {
    /// The name, by which it is found.
    pub(crate) name: String,
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// Whether new users get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<bool>,
    /// Whether lists of roles leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hidden: Option<bool>,
    /// Whether it may configure pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) allow_configure: Option<bool>,
    /// Whether it sees new pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) allow_new_menu: Option<bool>,
    /// What it opens of the management, such as `ui.*` and `!pm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) snippets: Option<Vec<String>>,
    /// What it may do in collections without `resources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) strategy: Option<Strategy>,
    /// What it may do in single collections; each replaces all that the role may do in that collection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<ResourceEntry>,
}

/// What a role may do in collections without `resources`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Strategy {
    /// The actions, such as `view`, or `update:own` for own records.
    pub(crate) actions: Vec<String>,
}

/// What a role may do in a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResourceEntry {
    /// The collection.
    pub(crate) name: String,
    /// Whether `actions` count; otherwise the strategy does.
    #[serde(default = "yes")]
    pub(crate) using_actions_config: bool,
    /// The actions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) actions: Vec<ActionEntry>,
}

const fn yes() -> bool {
    true
}

/// An action that a role may do in a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActionEntry {
    /// The action, such as `view`.
    pub(crate) name: String,
    /// The fields that it reaches; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<String>,
    /// The records that it reaches: the key of a scope, such as `own`, or a filter; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Scope>,
}

/// The records that an action reaches: the key of a scope, or a filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scope {
    /// The key of a scope that exists: `all` or `own`.
    Key(String),
    /// A filter.
    Filter(Map<String, Value>),
}

impl Scope {
    /// The scope as a value of the document.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Key(key) => Value::from(key.as_str()),
            Self::Filter(filter) => Value::Object(filter.clone()),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown::of(&self.value()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(key) => Ok(Self::Key(key)),
            Value::Object(filter) => Ok(Self::Filter(filter)),
            _ => Err(serde::de::Error::custom("a scope is the key of one, such as \"own\", or a filter")),
        }
    }
}

impl JsonSchema for Scope {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scope".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "object"]})
    }
}

/// The definition of a collection, as NocoBase's API takes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition(pub(crate) Map<String, Value>);

impl Definition {
    /// The collection's name.
    pub(crate) fn name(&self) -> &str {
        self.0.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The definitions of its fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.0.get("fields").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
    }
}

/// Checks a definition: names are texts, fields are objects, and no field is defined twice.
fn checked(definition: Map<String, Value>) -> Result<Definition, String> {
    let name = |definition: &Map<String, Value>| {
        definition.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let Some(own) = name(&definition) else { return Err("a collection needs a name".to_owned()) };
    let fields = match definition.get("fields") {
        None => &[][..],
        Some(Value::Array(fields)) => fields,
        Some(_) => return Err(format!("the fields of {own} are not a list")),
    };
    let mut named = std::collections::BTreeSet::new();
    for field in fields {
        let Some(field) = field.as_object() else {
            return Err(format!("a field of {own} is not a definition"));
        };
        let Some(name) = name(field) else { return Err(format!("a field of {own} needs a name")) };
        if !field.get("type").is_some_and(Value::is_string) {
            return Err(format!("the field {name} of {own} needs a type"));
        }
        if !named.insert(name.clone()) {
            return Err(format!("the field {name} of {own} is defined twice"));
        }
    }
    Ok(Definition(definition))
}

impl Serialize for Definition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown::of(&Value::Object(self.0.clone())).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Definition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Definition {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Collection".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A collection, as NocoBase's collections:create takes it.",
            "properties": {
                "name": {"type": "string", "description": "The name, by which it is found."},
                "title": {"type": "string", "description": "The title."},
                "fields": {
                    "type": "array",
                    "description": "Fields to add or change, by name.",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string", "description": "The name, by which it is found."},
                            "type": {"type": "string", "description": "The type, which never changes."},
                        },
                        "required": ["name", "type"],
                    },
                },
            },
            "required": ["name"],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn definitions_have_names_and_fields_have_types() {
        let posts =
            json!({"name": "posts", "fields": [{"name": "title", "type": "string"}], "title": "Posts"});
        let read: Definition = serde_json::from_value(posts.clone()).unwrap();
        assert_eq!((read.name(), read.fields().count()), ("posts", 1));
        assert_eq!(serde_json::to_value(&read).unwrap(), posts);
        for (wrong, says) in [
            (json!({"fields": []}), "needs a name"),
            (json!({"name": "a", "fields": {}}), "not a list"),
            (json!({"name": "a", "fields": ["b"]}), "not a definition"),
            (json!({"name": "a", "fields": [{"type": "string"}]}), "needs a name"),
            (json!({"name": "a", "fields": [{"name": "b"}]}), "needs a type"),
            (
                json!({"name": "a", "fields": [{"name": "b", "type": "text"}, {"name": "b", "type": "text"}]}),
                "defined twice",
            ),
        ] {
            let error = serde_json::from_value::<Definition>(wrong.clone()).unwrap_err().to_string();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_scope_is_a_key_or_a_filter() {
        for scope in [json!("own"), json!({"views": {"$gt": 3}})] {
            let read: Scope = serde_json::from_value(scope.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), scope);
        }
        assert!(serde_json::from_value::<Scope>(json!(3)).is_err());
    }
}
