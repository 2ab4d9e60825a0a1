//! Checks of the JSON values in the registry: the type of each known entry.

use serde_json::{Map, Value};

use crate::data::has_nul;
use crate::protocol::{AccessLog, DatabaseMode, Labels, Limit, check_inventory, check_labels};

/// Whether a value has the type that an entry needs.
pub(super) type Check = fn(&Value) -> bool;

/// Lists, in sentences, the entries of an application's options that have a wrong type or cannot be written
/// in a statement. Null counts as absent.
pub(crate) fn options_problems(options: &Map<String, Value>) -> Vec<String> {
    let known: [(&str, &str, Check); 11] = [
        ("autoStart", "true or false", Value::is_boolean),
        ("autoUpgrade", "true or false", Value::is_boolean),
        ("protected", "true or false", Value::is_boolean),
        ("idleStopSeconds", "a number of seconds", Value::is_u64),
        ("domains", "a list of host names", is_list_of_texts),
        ("limits", "an object of limits", are_limits),
        ("accessLog", "off, errors or all", is_access_log),
        ("labels", "an object of labels", are_labels),
        ("inventory", "the name of an inventory", is_inventory),
        ("dbConnType", "new_database, new_connection or new_schema", is_mode),
        ("database", "an object", Value::is_object),
    ];
    let wrong = known.into_iter().filter_map(|(name, expected, fits)| {
        options.get(name).filter(|value| !value.is_null() && !fits(value))?;
        Some(format!("options.{name} is not {expected}"))
    });
    let unwritable = options.iter().filter(|(name, value)| name.contains('\0') || has_nul(value));
    wrong
        .chain(unwritable.map(|(name, _)| format!("options.{name:?} contains the character U+0000")))
        .collect()
}

pub(super) fn is_list_of_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}

fn is_access_log(value: &Value) -> bool {
    value.as_str().is_some_and(|word| word.parse::<AccessLog>().is_ok())
}

fn is_inventory(value: &Value) -> bool {
    value.as_str().is_some_and(|name| check_inventory(name).is_ok())
}

fn is_mode(value: &Value) -> bool {
    value.as_str().and_then(DatabaseMode::of_nocobase).is_some()
}

fn are_labels(value: &Value) -> bool {
    serde_json::from_value::<Labels>(value.clone()).is_ok_and(|labels| check_labels(&labels).is_ok())
}

fn are_limits(value: &Value) -> bool {
    let Value::Object(limits) = value else { return false };
    limits.iter().all(|(name, value)| {
        let limit: Option<Limit> = serde_json::from_value(Value::from(name.as_str())).ok();
        limit.zip(value.as_u64()).is_some_and(|(limit, value)| limit.check(value).is_ok())
    })
}

/// Whether a statement can contain a text and finds the row by it. PostgreSQL cannot store U+0000, and U+FFFD
/// stands for bytes that were not UTF-8.
pub(super) fn is_writable(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\0', '\u{fffd}'])
}
