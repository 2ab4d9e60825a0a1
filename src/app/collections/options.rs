//! Checks the options of definitions. An option that has an effect is checked; one that sounds as
//! if it had one and has none here is refused, so that nobody relies on it; every other one is kept
//! for clients. `man/definitions.md` lists them.
//!
//! Only what a request gives is checked: what is written down already is read as it is.

use serde_json::{Map, Value};

use super::definition::{self, Defined, text, truth};
use super::rows::refused;
use crate::data::{Collection, DataError, Field, FieldType, Generator};

/// Options of fields that are true or false.
const FIELD_SWITCHES: [&str; 12] = [
    "primaryKey",
    "autoIncrement",
    "unique",
    "index",
    "allowNull",
    "unsigned",
    "hidden",
    "autoFill",
    "defaultToCurrentTime",
    "onUpdateToCurrentTime",
    "trim",
    "zerofill",
];

/// Options of collections that are true or false.
const COLLECTION_SWITCHES: [&str; 6] =
    ["autoGenId", "createdAt", "updatedAt", "createdBy", "updatedBy", "sortable"];

/// Options of columns that are texts.
const COLUMN_TEXTS: [&str; 7] =
    ["columnName", "field", "interface", "prefix", "customAlphabet", "scopeKey", "accuracy"];

/// Options of associations that are texts, and no empty ones.
pub(super) const ASSOCIATION_TEXTS: [&str; 7] =
    ["target", "foreignKey", "otherKey", "through", "sourceKey", "targetKey", "onDelete"];

/// Options of columns that are looked at together with others.
pub(super) const RELATED: [&str; 6] =
    ["scopeKey", "unique", "defaultValue", "autoFill", "defaultToCurrentTime", "onUpdateToCurrentTime"];

const MOMENTS: &[&str] = &["date", "datetime", "datetimeTz", "datetimeNoTz", "unixTimestamp"];

/// Options that only some types have.
const OF_TYPES: [(&str, &[&str]); 11] = [
    ("unsigned", &["integer", "bigInt", "float", "double", "real", "decimal"]),
    ("length", &["string", "text", "password"]),
    ("precision", &["decimal"]),
    ("scale", &["decimal"]),
    ("autoFill", &["uuid", "nanoid", "uid", "snowflakeId"]),
    ("defaultToCurrentTime", MOMENTS),
    ("onUpdateToCurrentTime", MOMENTS),
    ("size", &["nanoid"]),
    ("customAlphabet", &["nanoid"]),
    ("prefix", &["uid"]),
    ("scopeKey", &["sort"]),
];

/// Options of fields that ask for what this host does not do.
const NOT_OF_FIELDS: [&str; 4] = ["zerofill", "pattern", "validate", "validation"];

/// Options of columns and of other kinds of associations, which an association has none of.
const NOT_OF_ASSOCIATIONS: [&str; 10] = [
    "primaryKey",
    "autoIncrement",
    "unique",
    "index",
    "trim",
    "defaultValue",
    "onUpdate",
    "scope",
    "sortBy",
    "sortable",
];

/// Options of collections that ask for what this host does not do.
const NOT_OF_COLLECTIONS: [&str; 9] =
    ["inherits", "paranoid", "deletedAt", "view", "viewName", "sql", "indexes", "underscored", "schema"];

/// A definition with what is in its `options` beside the rest.
///
/// # Errors
/// [`DataError::Refused`] of options that are no object, or hold what is a column of its own.
pub(super) fn spread(
    mut given: Map<String, Value>,
    columns: &[&str],
) -> Result<Map<String, Value>, DataError> {
    match given.remove("options") {
        None | Some(Value::Null) => Ok(given),
        Some(Value::Object(mut options)) => {
            if let Some(name) = columns.iter().find(|name| options.contains_key(**name)) {
                return Err(refused(format!("options: {name} stands beside the options, not in them")));
            }
            options.extend(given);
            Ok(options)
        }
        Some(other) => Err(refused(format!("options: {other} is no object"))),
    }
}

/// Checks the options that a field's definition is given with.
///
/// # Errors
/// [`DataError::Invalid`] of the first that is not to be had, with the reason.
pub(super) fn check_field(kind: &str, given: &Map<String, Value>) -> Result<(), DataError> {
    let name = text(given, "name").unwrap_or("the field");
    let problem = |problem: String| DataError::Invalid { field: name.to_owned(), problem };
    let checked = match definition::association_kind(kind) {
        Some(_) => association(kind, given),
        None => column(kind, given),
    };
    checked.and_then(|()| switches(&FIELD_SWITCHES, given)).map_err(problem)
}

fn column(kind: &str, given: &Map<String, Value>) -> Result<(), String> {
    texts(&COLUMN_TEXTS, given, true)?;
    for name in NOT_OF_FIELDS {
        not_done(name, given)?;
    }
    for (name, types) in OF_TYPES {
        if says(given.get(name)) && !types.contains(&kind) {
            return Err(format!("{name} is for {}, and {kind} is none of these", types.join(", ")));
        }
    }
    if kind == "text" && !matches!(given.get("length"), None | Some(Value::Null)) {
        let named = text(given, "length").is_some_and(|length| matches!(length, "medium" | "long"));
        if !named {
            return Err("a text has no length: make it a string".to_owned());
        }
    }
    if kind == "password" {
        for name in ["primaryKey", "unique", "index", "defaultValue"] {
            if says(given.get(name)) {
                return Err(format!("a password cannot have {name}: only hashes of it are stored"));
            }
        }
    }
    let size = given.get("size").filter(|size| !size.is_null());
    if size.is_some_and(|size| !size.as_u64().is_some_and(|size| (1..=255).contains(&size))) {
        return Err("size is a whole number from 1 to 255".to_owned());
    }
    if given.get("customAlphabet").and_then(Value::as_str) == Some("") {
        return Err("customAlphabet has no character".to_owned());
    }
    match text(given, "accuracy") {
        Some(other) if kind == "unixTimestamp" && !matches!(other, "second" | "millisecond") => {
            Err(format!("accuracy is second or millisecond, not {other}"))
        }
        _ => Ok(()),
    }
}

fn association(kind: &str, given: &Map<String, Value>) -> Result<(), String> {
    texts(&ASSOCIATION_TEXTS, given, false)?;
    for name in NOT_OF_ASSOCIATIONS.into_iter().chain(OF_TYPES.map(|(name, _)| name)) {
        if says(given.get(name)) {
            return Err(format!("{name} is for no {kind}"));
        }
    }
    if given.get("allowNull") == Some(&Value::Bool(false)) {
        return Err("allowNull is for the field that refers".to_owned());
    }
    let others: &[&str] = match kind {
        "belongsTo" => &["sourceKey", "through", "otherKey"],
        "belongsToMany" => &[],
        _ => &["through", "otherKey"],
    };
    match others.iter().find(|name| says(given.get(**name))) {
        Some(name) => Err(format!("{name} is for no {kind}")),
        None => match given.get("reverseField") {
            None | Some(Value::Null | Value::Object(_)) => Ok(()),
            Some(other) => Err(format!("reverseField: {other} is no definition")),
        },
    }
}

/// Checks a field as it is then: that nothing it says has no effect beside something else, and what it
/// says of other fields.
///
/// # Errors
/// [`DataError::Invalid`], with the reason.
pub(super) fn check_defined(collection: &Collection, defined: &Defined) -> Result<(), DataError> {
    let Defined::Column(field) = defined else { return Ok(()) };
    let problem = |problem: String| DataError::Invalid { field: field.name().to_owned(), problem };
    if field.is_generated() && field.has_default() {
        return Err(problem("it fills itself and has a defaultValue: choose one".to_owned()));
    }
    let Some(Generator::Position { scope: Some(scope) }) = field.generator() else { return Ok(()) };
    if field.is_unique() {
        return Err(problem(
            "scopeKey gives each order places from 1 on, which cannot be unique: leave one of the two out"
                .to_owned(),
        ));
    }
    match collection.get(scope) {
        Some(divides) if can_name(divides) => Ok(()),
        Some(divides) => Err(problem(format!("scopeKey: a {} divides no order", divides.kind().as_str()))),
        None => Err(problem(format!("scopeKey: {} has no field {scope}", collection.name()))),
    }
}

/// Whether records can be found by the values of a field.
fn can_name(field: &Field) -> bool {
    !matches!(field.kind(), FieldType::Json | FieldType::Array | FieldType::Set | FieldType::Password)
}

/// Checks the options that a collection's definition is given with.
///
/// # Errors
/// [`DataError::Refused`], with the reason.
pub(super) fn check_collection(given: &Map<String, Value>) -> Result<(), DataError> {
    switches(&COLLECTION_SWITCHES, given)
        .and_then(|()| texts(&["tableName"], given, false))
        .and_then(|()| NOT_OF_COLLECTIONS.iter().try_for_each(|name| not_done(name, given)))
        .map_err(refused)
}

/// Checks the fields by which records are to be named.
///
/// # Errors
/// [`DataError::Refused`], with the reason.
pub(super) fn check_target_key(collection: &Collection, given: Option<&Value>) -> Result<(), DataError> {
    let names = match given {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(names)) if !names.is_empty() => names.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    for name in names {
        let Some(text) = name.as_str() else {
            return Err(refused(format!("filterTargetKey: {name} is no name of a field")));
        };
        match collection.get(text) {
            Some(field) if can_name(field) => {}
            Some(field) => {
                let kind = field.kind().as_str();
                return Err(refused(format!("filterTargetKey: {text} is a {kind}, which names no record")));
            }
            None => {
                let collection = collection.name();
                return Err(refused(format!("filterTargetKey: {collection} has no field {text}")));
            }
        }
    }
    Ok(())
}

/// Refuses to change what a definition is known by.
///
/// # Errors
/// [`DataError::Refused`] with the first of the `fixed` options that is given another value.
pub(super) fn check_fixed(
    what: &str,
    before: &Map<String, Value>,
    given: &Map<String, Value>,
    fixed: &[&str],
) -> Result<(), DataError> {
    let changed = |name: &&&str| {
        given.get(**name).is_some_and(|given| !given.is_null() && Some(given) != before.get(**name))
    };
    match fixed.iter().find(changed) {
        Some(name) => Err(refused(format!("the {name} of the {what} stays as it is: make another one"))),
        None => Ok(()),
    }
}

/// The option of a collection by which a field comes that nobody defined.
pub(super) fn brought_by(collection: &Map<String, Value>, field: &str) -> Option<&'static str> {
    let option = match field {
        "createdAt" => "createdAt",
        "updatedAt" => "updatedAt",
        "createdBy" | "createdById" => "createdBy",
        "updatedBy" | "updatedById" => "updatedBy",
        "sort" => "sortable",
        _ => return None,
    };
    truth(collection, option).then_some(option)
}

fn switches(names: &[&str], given: &Map<String, Value>) -> Result<(), String> {
    for name in names {
        if let Some(value) = given.get(*name).filter(|value| !value.is_null() && !value.is_boolean()) {
            return Err(format!("{name} is true or false, not {value}"));
        }
    }
    Ok(())
}

fn texts(names: &[&str], given: &Map<String, Value>, may_be_empty: bool) -> Result<(), String> {
    for name in names {
        match given.get(*name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if may_be_empty || !text.is_empty() => {}
            Some(other) => return Err(format!("{name} is a text, not {other}")),
        }
    }
    Ok(())
}

fn not_done(name: &str, given: &Map<String, Value>) -> Result<(), String> {
    let asks = match given.get(name) {
        // Rules for a type, without any.
        Some(Value::Object(given)) if given.contains_key("rules") => says(given.get("rules")),
        given => says(given),
    };
    if asks { Err(format!("{name} has no effect here: leave it out")) } else { Ok(()) }
}

/// Whether an option says anything.
fn says(given: Option<&Value>) -> bool {
    match given {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(entries)) => !entries.is_empty(),
        Some(Value::Bool(true) | Value::Number(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        for (kind, options) in [
            ("string", json!({"unsigned": true})),
            ("integer", json!({"unsigned": 1})),
            ("integer", json!({"length": 3})),
            ("text", json!({"length": 3})),
            ("double", json!({"precision": 3})),
            ("string", json!({"unique": "yes"})),
            ("string", json!({"validate": {"isEmail": true}})),
            ("string", json!({"validation": {"type": "string", "rules": [{"key": "max"}]}})),
            ("nanoid", json!({"size": "8"})),
            ("nanoid", json!({"customAlphabet": ""})),
            ("unixTimestamp", json!({"accuracy": "minute"})),
            ("dateOnly", json!({"defaultToCurrentTime": true})),
            ("password", json!({"primaryKey": true})),
            ("password", json!({"unique": true})),
            ("belongsTo", json!({"targetKey": 5})),
            ("belongsTo", json!({"targetKey": ""})),
            ("belongsTo", json!({"onDelete": ["CASCADE"]})),
            ("belongsTo", json!({"allowNull": false})),
            ("belongsTo", json!({"sourceKey": "id"})),
            ("hasMany", json!({"through": "t"})),
            ("hasMany", json!({"unique": true})),
            ("hasMany", json!({"reverseField": "up"})),
        ] {
            assert!(check_field(kind, &given(options.clone())).is_err(), "{kind} {options}");
        }
    }

    #[test]
    fn what_says_nothing_is_let_go_and_what_is_for_clients_kept() {
        for (kind, options) in [
            (
                "string",
                json!({"unsigned": false, "precision": null, "validation": {"type": "string", "rules": []}}),
            ),
            (
                "string",
                json!({"uiSchema": {"title": 1}, "interface": "input", "anything": [1], "trim": true}),
            ),
            ("text", json!({"length": "long"})),
            ("password", json!({"length": 64, "hidden": true, "unique": false})),
            ("date", json!({"onUpdateToCurrentTime": true, "timezone": true})),
            ("belongsToMany", json!({"through": "t", "otherKey": "a", "unique": false, "reverseField": {}})),
        ] {
            assert!(check_field(kind, &given(options.clone())).is_ok(), "{kind} {options}");
        }
    }
}
