//! What a request says of the records that it means.

use serde_json::{Map, Value};

use crate::app::api::list::{self, Page};
use crate::app::api::{ApiError, Call};
use crate::data::{Collection, Filter, Query, Sort, WriteOptions};

/// The parameters of the query string, each read when it is asked for.
pub(in crate::app::api) struct Parameters<'a> {
    call: &'a Call<'a>,
}

impl<'a> Parameters<'a> {
    pub(in crate::app::api) fn of(call: &'a Call<'a>) -> Self {
        Self { call }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.call.params.get(name)
    }

    /// A list of words: `a,b`, or an array of such.
    pub(in crate::app::api) fn words(&self, name: &str) -> Result<Vec<String>, ApiError> {
        list::words(&self.call.params, name)
    }

    /// Which page; `None` for all records (`paginate=false`).
    pub(in crate::app::api) fn page(&self) -> Result<Option<Page>, ApiError> {
        if self.call.param("paginate") == Some("false") {
            return Ok(None);
        }
        list::page(&self.call.params).map(Some)
    }

    /// The order.
    pub(in crate::app::api) fn sort(&self) -> Result<Vec<Sort>, ApiError> {
        list::sort(&self.call.params)
    }

    /// The records that are meant by `filter`, as JSON or as parameters, with its variables.
    pub(in crate::app::api) fn filter(&self) -> Result<Filter, ApiError> {
        let given = match self.get("filter") {
            None | Some(Value::Null) => return Ok(Filter::All),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(Filter::All),
            Some(Value::String(text)) => serde_json::from_str(text)
                .map_err(|error| ApiError::bad_request(format!("the filter is not JSON: {error}")))?,
            Some(Value::Array(_)) => {
                return Err(ApiError::bad_request("filter is given more than once"));
            }
            Some(other) => other.clone(),
        };
        self.call.requester.filter(&given)
    }

    /// The records that are meant by `filterByTk`: one key, several, or the parts of one.
    pub(in crate::app::api) fn by_key(&self, collection: &Collection) -> Result<Option<Filter>, ApiError> {
        let Some(given) = self.get("filterByTk").or_else(|| self.get("filterByTks")) else { return Ok(None) };
        let parsed = structured(given);
        let given = parsed.as_ref().unwrap_or(given);
        let keys = collection.key();
        let parts = |object: &Map<String, Value>| {
            let known = |name: &String| keys.iter().any(|key| key.name() == name);
            if object.is_empty() || !object.keys().all(known) {
                return Err(ApiError::bad_request("filterByTk names what is no key"));
            }
            Ok(Filter::And(object.iter().map(|(name, value)| Filter::eq(name, value.clone())).collect()))
        };
        let single = || collection.single_key().map(|key| key.name().to_owned());
        Ok(match given {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::Object(object) => match keys.as_slice() {
                // Beyond so many, `qs` makes an object of an array.
                [key] if !object.contains_key(key.name()) => {
                    Some(Filter::one_of(key.name(), object.values().cloned().collect()))
                }
                _ => Some(parts(object)?),
            },
            Value::Array(items) if items.iter().any(Value::is_object) => {
                let each = items.iter().map(|item| {
                    item.as_object()
                        .map_or_else(|| Err(ApiError::bad_request("filterByTk mixes keys")), parts)
                });
                Some(Filter::Or(each.collect::<Result<_, _>>()?))
            }
            Value::Array(items) => Some(Filter::one_of(single()?, items.clone())),
            Value::String(_) if keys.len() > 1 => {
                return Err(ApiError::bad_request("filterByTk must have each part of the key"));
            }
            one => Some(Filter::eq(single()?, one.clone())),
        })
    }

    /// The records that are meant; an error when nothing says so: what would change all records was
    /// hardly meant.
    pub(in crate::app::api) fn meant(&self, collection: &Collection) -> Result<Filter, ApiError> {
        let by_key = self.by_key(collection)?;
        let filter = self.filter()?;
        match (by_key, filter) {
            (None, Filter::All) => {
                Err(ApiError::bad_request("say which records are meant: by filterByTk or by filter"))
            }
            (by_key, filter) => Ok(by_key.unwrap_or_default().and(filter)),
        }
    }

    /// What is read of each record, for whom.
    pub(in crate::app::api) fn query(&self, filter: Filter) -> Result<Query, ApiError> {
        Ok(Query {
            filter,
            fields: self.words("fields")?,
            except: self.words("except")?,
            appends: self.words("appends")?,
            guard: self.call.requester.guard(),
            clock: self.call.requester.clock(),
            ..Query::default()
        })
    }

    /// How records are written, by whom.
    pub(in crate::app::api) fn write_options(&self) -> Result<WriteOptions, ApiError> {
        let whitelist = self.words("whitelist")?;
        Ok(WriteOptions {
            whitelist: (!whitelist.is_empty()).then_some(whitelist),
            blacklist: self.words("blacklist")?,
            update_associations: self.words("updateAssociationValues")?,
            guard: self.call.requester.guard(),
            user: self.call.requester.user_id(),
            clock: self.call.requester.clock(),
        })
    }

    /// The keys of an action that links: of the query string, or of the body.
    pub(in crate::app::api) fn keys(&self) -> Result<Vec<Value>, ApiError> {
        let given = self.get("filterByTk").or_else(|| self.get("filterByTks"));
        if let Some(Value::Array(items)) = given.and_then(structured) {
            return Ok(items);
        }
        Ok(match given.unwrap_or(&self.call.body) {
            Value::Array(items) => items.clone(),
            Value::Object(object) if object.is_empty() => Vec::new(),
            Value::Object(object) if given.is_none() => {
                match object.get("values").or_else(|| object.get("filterByTk")) {
                    Some(Value::Array(items)) => items.clone(),
                    Some(one) => vec![one.clone()],
                    None => vec![Value::Object(object.clone())],
                }
            }
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        })
    }
}

/// A key that is written as JSON: several, or one of several parts.
fn structured(given: &Value) -> Option<Value> {
    let text = given.as_str()?.trim();
    if !text.starts_with(['[', '{']) {
        return None;
    }
    serde_json::from_str(text).ok()
}
