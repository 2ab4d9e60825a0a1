//! What filters mean by `{{ $user.… }}`: the user's record, with the names of its roles.

use serde_json::json;

use crate::data::{Collection, Field, FieldType, Record};

/// The variables of a user with these roles.
pub(super) fn of(user: &Record, roles: &[String]) -> Record {
    let mut variables = user.clone();
    variables.insert("roles".to_owned(), roles.iter().map(|name| json!({"name": name})).collect());
    variables
}

/// Whether they have something at a path; of documents it is not known before they are read.
pub(super) fn has(users: &Collection, path: &[&str]) -> bool {
    let is_document = |field: &Field| matches!(field.kind(), FieldType::Json);
    match path {
        [] | ["roles"] | ["roles", "name"] => true,
        [first, rest @ ..] => users
            .get(first)
            .is_some_and(|field| !field.is_hidden() && (rest.is_empty() || is_document(field))),
    }
}
