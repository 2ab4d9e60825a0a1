//! Parses the parameters that say which records a request means.

use serde_json::Value;

use super::keys;
use crate::app::api::list::{self, Page};
use crate::app::api::{ApiError, Call};
use crate::data::{Collection, Field, Filter, Query, Sort, WriteOptions};

/// The parameters of the query string, each read when it is asked for.
pub(in crate::app) struct Parameters<'a> {
    call: &'a Call<'a>,
}

impl<'a> Parameters<'a> {
    pub(in crate::app) fn of(call: &'a Call<'a>) -> Self {
        Self { call }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.call.params.get(name)
    }

    /// A list of words: `a,b`, or an array of such.
    pub(in crate::app) fn words(&self, name: &str) -> Result<Vec<String>, ApiError> {
        list::words(&self.call.params, name)
    }

    /// Which page; `None` for all records (`paginate=false`).
    pub(in crate::app) fn page(&self) -> Result<Option<Page>, ApiError> {
        let page = list::page(&self.call.params)?;
        Ok(self.truth("paginate")?.unwrap_or(true).then_some(page))
    }

    /// The order.
    pub(in crate::app) fn sort(&self) -> Result<Vec<Sort>, ApiError> {
        list::sort(&self.call.params)
    }

    /// The records that are meant by `filter`, as JSON or as parameters, with its variables.
    pub(in crate::app) fn filter(&self) -> Result<Filter, ApiError> {
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
    pub(in crate::app) fn by_key(&self, collection: &Collection) -> Result<Option<Filter>, ApiError> {
        match self.get("filterByTk").or_else(|| self.get("filterByTks")) {
            Some(given) => keys::filter(collection, given),
            None => Ok(None),
        }
    }

    /// The filter of the records that are meant. An error if nothing restricts it: to change all
    /// records was hardly meant.
    pub(in crate::app) fn meant(&self, collection: &Collection) -> Result<Filter, ApiError> {
        self.meant_or(collection, None)
    }

    /// As [`Parameters::meant`], but all records are meant where the parameter `all` is true.
    pub(super) fn meant_or(&self, collection: &Collection, all: Option<&str>) -> Result<Filter, ApiError> {
        let by_key = self.by_key(collection)?;
        let filter = self.filter()?;
        if by_key.is_none() && filter.is_unrestricted() && !self.is_true(all)? {
            let or = all.map_or_else(String::new, |all| format!("; to mean all of them: {all}=true"));
            return Err(ApiError::bad_request(format!(
                "say which records are meant, by filterByTk or by a filter that leaves some out{or}"
            )));
        }
        Ok(by_key.unwrap_or_default().and(filter))
    }

    fn is_true(&self, name: Option<&str>) -> Result<bool, ApiError> {
        Ok(name.map(|name| self.truth(name)).transpose()?.flatten().unwrap_or(false))
    }

    /// Whether a parameter says yes or no; `None` where it says nothing.
    fn truth(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.get(name).map_or(Ok(None), |given| truth(name, given))
    }

    /// What is read of each record, for whom.
    pub(in crate::app) fn query(&self, filter: Filter) -> Result<Query, ApiError> {
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
    pub(in crate::app) fn write_options(&self) -> Result<WriteOptions, ApiError> {
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

    /// Whether an action that links says that it means no records: by an empty list as its body.
    pub(in crate::app) fn says_none(&self) -> bool {
        let is_named = self.get("filterByTk").or_else(|| self.get("filterByTks")).is_some();
        !is_named && self.call.body.as_array().is_some_and(Vec::is_empty)
    }

    /// The keys of an action that links, which are those of `key`: of the query string, or of the body.
    pub(in crate::app) fn keys(&self, key: &Field) -> Vec<Value> {
        match self.get("filterByTk").or_else(|| self.get("filterByTks")) {
            Some(given) => keys::all(key, given),
            None => match &self.call.body {
                Value::Array(items) => items.clone(),
                Value::Object(object) if object.is_empty() => Vec::new(),
                Value::Object(object) => match object.get("values").or_else(|| object.get("filterByTk")) {
                    Some(Value::Array(items)) => items.clone(),
                    Some(one) => vec![one.clone()],
                    None => vec![Value::Object(object.clone())],
                },
                Value::Null => Vec::new(),
                one => vec![one.clone()],
            },
        }
    }
}

/// Whether a value says yes or no; `None` where it says nothing.
pub(super) fn truth(name: &str, given: &Value) -> Result<Option<bool>, ApiError> {
    match given {
        Value::Bool(given) => Ok(Some(*given)),
        Value::String(text) if text == "true" || text == "1" => Ok(Some(true)),
        Value::String(text) if text == "false" || text == "0" => Ok(Some(false)),
        Value::String(text) if text.is_empty() => Ok(None),
        other => Err(ApiError::bad_request(format!("{name} must be true or false, not {other}"))),
    }
}
