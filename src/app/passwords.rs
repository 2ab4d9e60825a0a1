//! Passwords on their way into records: only their hashes are stored.

use std::pin::Pin;

use serde_json::Value;

use super::api::ApiError;
use super::auth::password;
use crate::data::{Catalog, Collection, FieldType, Record};

/// Characters that a password has at most: hashing takes longer the longer it is.
const LONGEST: usize = 255;

/// The values of a record with its passwords hashed, and those of the records nested in it.
pub(super) fn hashed<'a>(
    catalog: &'a Catalog,
    collection: &'a Collection,
    mut given: Record,
) -> Pin<Box<dyn Future<Output = Result<Record, ApiError>> + Send + 'a>> {
    Box::pin(async move {
        for field in collection.fields().iter().filter(|field| field.kind() == FieldType::Password) {
            let Some(value) = given.get_mut(field.name()) else { continue };
            match value {
                Value::Null => {}
                Value::String(text) if text.is_empty() => {
                    return Err(ApiError::bad_request(format!(
                        "{}: a password cannot be empty",
                        field.name()
                    )));
                }
                Value::String(text) if text.chars().count() > LONGEST => {
                    return Err(ApiError::bad_request(format!(
                        "{}: a password has at most {LONGEST} characters",
                        field.name()
                    )));
                }
                Value::String(text) => *value = Value::from(password::hash(std::mem::take(text)).await?),
                _ => return Err(ApiError::bad_request(format!("{}: a password is a text", field.name()))),
            }
        }
        for association in collection.associations() {
            let Some(target) = catalog.get(&association.target) else { continue };
            let Some(value) = given.remove(&*association.name) else { continue };
            let value = match value {
                Value::Object(record) => Value::Object(hashed(catalog, target, record).await?),
                Value::Array(items) => {
                    let mut done = Vec::with_capacity(items.len());
                    for item in items {
                        done.push(match item {
                            Value::Object(record) => Value::Object(hashed(catalog, target, record).await?),
                            other => other,
                        });
                    }
                    Value::Array(done)
                }
                other => other,
            };
            given.insert(association.name.to_string(), value);
        }
        Ok(given)
    })
}
