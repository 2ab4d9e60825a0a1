//! Writing what roles may do, and reading it back as it is stored.
//!
//! Each function does what one action of the API asks for, with JSON in and out. What writes takes
//! a transaction, so that the caller can do more in it; after the commit the caller reads the
//! [`super::Acl`] again. The guards are asked in here.

mod resources;
mod roles;
mod scopes;
#[cfg(test)]
mod tests;

use http::StatusCode;
use serde_json::{Map, Value as Json};

use super::{ChooseError, GuardError};
use crate::app::api::ApiError;
use crate::data::{Cause, DataError, DatabaseError, Record};

pub use resources::{
    CollectionTitle, Located, collection_destroyed, create_resource, destroy_resources, field_created,
    field_destroyed, get_resource, list_resources, replace_resources, role_collections, update_resource,
};
pub use roles::{get_strategy, role_destroyed, role_saved, set_default_role, set_role_mode, update_strategy};
pub use scopes::{create_scope, destroy_scope, get_scope, list_scopes, update_scope};

/// Why permissions could not be written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It is refused whoever asks.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The request is wrong, and the sentence says what of it.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
}

impl StoreError {
    /// As what happens in somebody else's transaction: what the database failed stays what it is.
    pub(in crate::app) fn into_data(self) -> DataError {
        match self {
            Self::Data(error) => error,
            refused => DataError::Refused(refused.to_string()),
        }
    }
}

impl Cause for StoreError {
    fn cause(&self) -> Option<&DatabaseError> {
        match self {
            Self::Data(error) => error.cause(),
            _ => None,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Data(error) => error.into(),
            StoreError::Guard(error) => error.into(),
            StoreError::Invalid(sentence) => Self::bad_request(sentence),
            StoreError::NotFound(sentence) => Self::not_found(sentence),
        }
    }
}

impl From<GuardError> for ApiError {
    fn from(error: GuardError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl From<ChooseError> for ApiError {
    fn from(error: ChooseError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string()).code(error.code())
    }
}

fn invalid(sentence: impl Into<String>) -> StoreError {
    StoreError::Invalid(sentence.into())
}

/// What a body says; it must be an object.
fn object<'a>(body: &'a Json, what: &str) -> Result<&'a Map<String, Json>, StoreError> {
    body.as_object().ok_or_else(|| invalid(format!("{what} must be an object")))
}

/// A text that is not empty, where there is one.
fn text<'a>(body: &'a Map<String, Json>, name: &str) -> Result<Option<&'a str>, StoreError> {
    match body.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim())),
        Some(_) => Err(invalid(format!("{name} must be a text"))),
    }
}

/// The number that an ID is, also where it is written as a text.
fn number(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A record from an object literal.
fn record(values: Json) -> Record {
    match values {
        Json::Object(record) => record,
        _ => Record::new(),
    }
}

fn stored_id(record: &Record) -> i64 {
    record.get("id").and_then(Json::as_i64).unwrap_or_default()
}
