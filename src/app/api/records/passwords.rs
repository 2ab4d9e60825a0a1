//! Hashes passwords before they are written.

use std::pin::Pin;

use serde_json::Value;

use crate::app::api::ApiError;
use crate::app::auth::take_password;
use crate::app::state::AppState;
use crate::app::system::USERS;
use crate::data::{Collection, FieldType, Record};

/// Hashes the passwords in the values of a record, and of the records nested in it.
pub(super) fn hashed<'a>(
    state: &'a AppState,
    collection: &'a Collection,
    mut given: Record,
) -> Pin<Box<dyn Future<Output = Result<Record, ApiError>> + Send + 'a>> {
    Box::pin(async move {
        if collection.name() == USERS.name()
            && let Some(password) = take_password(&mut given)?
        {
            given.insert("password".to_owned(), Value::from(password));
        }
        for field in collection.fields().iter().filter(|field| field.kind() == FieldType::Password) {
            match given.get_mut(field.name()) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => {
                    let hash = state.auth().hash_password(std::mem::take(text)).await?;
                    given.insert(field.name().to_owned(), Value::from(hash));
                }
                Some(_) => {
                    return Err(ApiError::bad_request(format!("{}: a password is a text", field.name())));
                }
            }
        }
        let catalog = state.source().catalog();
        for association in collection.associations() {
            let Some(target) = catalog.get(&association.target) else { continue };
            let Some(value) = given.remove(&*association.name) else { continue };
            let value = match value {
                Value::Object(record) => Value::Object(hashed(state, target, record).await?),
                Value::Array(items) => {
                    let mut done = Vec::with_capacity(items.len());
                    for item in items {
                        done.push(match item {
                            Value::Object(record) => Value::Object(hashed(state, target, record).await?),
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
