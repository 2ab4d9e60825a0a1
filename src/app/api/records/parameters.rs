//! What a request says of the records that it means.

use serde_json::{Map, Value};

use super::super::{ApiError, Call};
use crate::data::{Collection, Filter, Query, Record, Sort, WriteOptions};

/// Records a page, where nothing else is said.
const PAGE_SIZE: u64 = 20;
/// Records a page at most.
const LARGEST_PAGE: u64 = 10_000;

/// The parameters of the query string, each read when it is asked for.
pub(in crate::app::api) struct Parameters<'a> {
    call: &'a Call<'a>,
}

/// Which page of a list.
pub(in crate::app::api) struct Page {
    pub(in crate::app::api) number: u64,
    pub(in crate::app::api) size: u64,
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
        let refused = || ApiError::bad_request(format!("{name} must be a list of names"));
        let texts: Vec<&str> = match self.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(texts)) => {
                texts.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(refused)?
            }
            // Beyond so many, `qs` makes an object of an array.
            Some(Value::Object(texts)) => {
                texts.values().map(Value::as_str).collect::<Option<_>>().ok_or_else(refused)?
            }
            Some(other) => vec![other.as_str().ok_or_else(refused)?],
        };
        let words = texts.iter().flat_map(|text| split(text)).map(str::trim);
        Ok(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }

    fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(given) = self.get(name) else { return Ok(None) };
        match given.as_str().map(str::trim) {
            Some("") => Ok(None),
            Some(text) => match text.parse::<u32>() {
                Ok(number) => Ok(Some(number.into())),
                Err(_) => Err(ApiError::bad_request(format!("{name} must be a whole number, not {given}"))),
            },
            None => Err(ApiError::bad_request(format!("{name} must be a whole number, not {given}"))),
        }
    }

    /// Which page; `None` for all records (`paginate=false`).
    pub(in crate::app::api) fn page(&self) -> Result<Option<Page>, ApiError> {
        if self.call.param("paginate") == Some("false") {
            return Ok(None);
        }
        let number = self.number("page")?.unwrap_or(1);
        if number == 0 {
            return Err(ApiError::bad_request("pages are counted from 1"));
        }
        let size = match self.number("pageSize")? {
            None | Some(0) => PAGE_SIZE,
            Some(size) if size <= LARGEST_PAGE => size,
            Some(_) => return Err(ApiError::bad_request(format!("pageSize is at most {LARGEST_PAGE}"))),
        };
        Ok(Some(Page { number, size }))
    }

    /// The order.
    pub(in crate::app::api) fn sort(&self) -> Result<Vec<Sort>, ApiError> {
        let words = self.words("sort")?;
        Ok(words
            .iter()
            .map(|word| match word.strip_prefix('-') {
                Some(field) => Sort::descending(field),
                None => Sort::ascending(word.as_str()),
            })
            .collect())
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

    /// The values of one record.
    pub(in crate::app::api) fn values(&self) -> Result<Record, ApiError> {
        match &self.call.body {
            Value::Object(record) => Ok(record.clone()),
            _ => Err(ApiError::bad_request("the body must be an object: a record's values")),
        }
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

/// A list at its commas, but for those within brackets: options behind a name.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0_i32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth <= 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}
