//! Refuses unknown names, if the request or its application asks for that.
//!
//! As recorded, NocoBase passes over unknown names in `except`, `appends`, `whitelist`, `blacklist`,
//! `updateAssociationValues` and bodies, and so does this host. With the parameter `strict=true`, or
//! `{"options": {"strict": true}}` in `systemSettings`, each is a 400 that names it; `strict=false`
//! takes a request out of the application's rule. Names in `fields`, `sort`, `filter` and
//! `filterKeys` are always known, or refused where they are used.

use serde_json::{Map, Value};

use super::links::link_key;
use super::parameters::Parameters;
use crate::app::api::{ApiError, Call, RecordSet};
use crate::data::{Catalog, Collection, DataError};

/// What bodies of these actions may say that is not of a record.
const QUERY: [&str; 8] =
    ["measures", "dimensions", "orders", "filter", "having", "limit", "offset", "collection"];
const MOVE: [&str; 6] = ["sourceId", "targetId", "targetScope", "method", "sortField", "sticky"];

/// Checks a call on records, where that is asked for.
pub(in crate::app) async fn check(call: &Call<'_>, set: &RecordSet) -> Result<(), ApiError> {
    if !is_strict(call).await? {
        return Ok(());
    }
    let catalog = call.state.source().catalog();
    let (parameters, records) = (Parameters::of(call), set.records());
    for name in ["fields", "except", "whitelist", "blacklist"] {
        for path in parameters.words(name)? {
            check_path(&catalog, records, &path, End::Any)?;
        }
    }
    for path in parameters.words("appends")? {
        let path = path.split_once('(').map_or(path.as_str(), |(path, _)| path);
        check_path(&catalog, records, path, End::BehindAssociation)?;
    }
    for path in parameters.words("updateAssociationValues")? {
        check_path(&catalog, records, &path, End::Association)?;
    }
    match call.action {
        "create" | "update" | "firstOrCreate" | "updateOrCreate" => {
            check_values(&catalog, records, None, &call.body)?;
        }
        "add" | "set" | "remove" | "toggle" => {
            if let Some(behind) = &set.behind {
                for item in parameters.keys(link_key(behind)?) {
                    check_values(&catalog, records, through(&behind.association), &item)?;
                }
            }
        }
        "query" => check_keys(&call.body, &QUERY)?,
        "move" => check_keys(&call.body, &MOVE)?,
        _ => {}
    }
    Ok(())
}

async fn is_strict(call: &Call<'_>) -> Result<bool, ApiError> {
    match call.params.get("strict") {
        None => Ok(call.state.settings().await?.strict),
        Some(Value::String(word)) if word == "true" => Ok(true),
        Some(Value::String(word)) if word == "false" => Ok(false),
        Some(other) => Err(ApiError::bad_request(format!("strict is true or false, not {other}"))),
    }
}

/// What a path may end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Any,
    Association,
    /// An association, or a field behind one.
    BehindAssociation,
}

/// Checks that a path leads over associations to what it may end with.
fn check_path(catalog: &Catalog, collection: &Collection, path: &str, end: End) -> Result<(), DataError> {
    let mut collection = collection;
    let mut steps = path.split('.').enumerate().peekable();
    while let Some((number, step)) = steps.next() {
        match collection.associated(step) {
            Some(association) => collection = catalog.target(association)?,
            None => {
                let may_be_field = end == End::Any || end == End::BehindAssociation && number > 0;
                let is_last = steps.peek().is_none();
                return match collection.get(step) {
                    Some(_) if may_be_field && is_last => Ok(()),
                    Some(_) => collection.known_association(step).map(drop),
                    None => Err(unknown(collection, step)),
                };
            }
        }
    }
    Ok(())
}

fn unknown(collection: &Collection, name: &str) -> DataError {
    DataError::UnknownField { collection: collection.name().to_owned(), field: name.to_owned() }
}

/// The collection of an association's links.
fn through(association: &crate::data::Association) -> Option<&str> {
    association.through.as_ref().map(|through| &*through.collection)
}

/// Checks the names in a record's values, in a list of such, and in what is nested in them. What is
/// no object names a record by its key. `through` is where values of the link itself may be.
fn check_values(
    catalog: &Catalog,
    collection: &Collection,
    through: Option<&str>,
    given: &Value,
) -> Result<(), DataError> {
    let object = match given {
        Value::Object(object) => object,
        Value::Array(items) => {
            return items.iter().try_for_each(|item| check_values(catalog, collection, through, item));
        }
        _ => return Ok(()),
    };
    check_record(catalog, collection, through, object)
}

fn check_record(
    catalog: &Catalog,
    collection: &Collection,
    through: Option<&str>,
    values: &Map<String, Value>,
) -> Result<(), DataError> {
    for (name, value) in values {
        if let Some(association) = collection.associated(name) {
            let target = catalog.target(association)?;
            check_values(catalog, target, self::through(association), value)?;
        } else if through == Some(name) {
            if let Some(links) = catalog.get(name) {
                check_values(catalog, links, None, value)?;
            }
        } else if collection.get(name).is_none() {
            return Err(unknown(collection, name));
        }
    }
    Ok(())
}

fn check_keys(body: &Value, known: &[&str]) -> Result<(), ApiError> {
    let mut names = body.as_object().into_iter().flat_map(Map::keys);
    match names.find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(ApiError::bad_request(format!("the body has {name}, which means nothing here"))),
        None => Ok(()),
    }
}
