//! The parameters of a list: which page, in which order, with which fields.

use serde_json::Value;

use super::{Answer, ApiError, Call};
use crate::data::{Collection, Filter, Query, Record, Sort};

/// Records a page, where nothing else is said.
const PAGE_SIZE: u64 = 20;
/// Records a page at most.
const LARGEST_PAGE: u64 = 10_000;

/// The parameters of a list: `page`, `pageSize`, `sort`, `fields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListParameters {
    /// The page, from 1.
    pub page: u64,
    /// Records a page.
    pub page_size: u64,
    /// The order.
    pub sort: Vec<Sort>,
    /// The fields; empty for all.
    pub fields: Vec<String>,
}

impl ListParameters {
    /// The parameters' names.
    pub const NAMES: [&'static str; 4] = ["page", "pageSize", "sort", "fields"];

    /// Reads them from a query string's parameters.
    pub fn parse(params: &Value) -> Result<Self, ApiError> {
        let page = number(params, "page")?.unwrap_or(1);
        let page_size = match number(params, "pageSize")? {
            None | Some(0) => PAGE_SIZE,
            Some(size) if size <= LARGEST_PAGE => size,
            Some(_) => {
                return Err(ApiError::bad_request(format!("pageSize is at most {LARGEST_PAGE}")));
            }
        };
        if page == 0 {
            return Err(ApiError::bad_request("pages are counted from 1"));
        }
        let sort = words(params, "sort")?.into_iter().map(|word| match word.strip_prefix('-') {
            Some(field) => Sort::descending(field),
            None => Sort::ascending(word),
        });
        Ok(Self { page, page_size, sort: sort.collect(), fields: words(params, "fields")? })
    }

    /// As a query of the records that fit. Hidden fields can be neither asked for nor sorted by:
    /// an order tells something of a value too.
    pub fn query(self, collection: &Collection, filter: Filter) -> Result<Query, ApiError> {
        visible(collection, self.fields.iter().chain(self.sort.iter().map(|sort| &sort.field)))?;
        Ok(Query {
            filter,
            sort: self.sort,
            limit: Some(self.page_size),
            offset: (self.page - 1).saturating_mul(self.page_size),
            fields: self.fields,
        })
    }
}

/// Refuses fields that the collection does not have or does not show.
fn visible<'a>(collection: &Collection, mut names: impl Iterator<Item = &'a String>) -> Result<(), ApiError> {
    let unknown = names.find(|name| collection.get(name).is_none_or(|field| field.is_hidden()));
    match unknown {
        Some(name) => Err(ApiError::bad_request(format!("{} has no field {name}", collection.name()))),
        None => Ok(()),
    }
}

fn number(params: &Value, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(given) = params.get(name) else { return Ok(None) };
    match given.as_str().and_then(|text| text.parse::<u32>().ok()) {
        Some(number) => Ok(Some(number.into())),
        None => Err(ApiError::bad_request(format!("{name} must be a whole number, not {given}"))),
    }
}

/// A list of words: `a,b`, or an array of such.
fn words(params: &Value, name: &str) -> Result<Vec<String>, ApiError> {
    let given = match params.get(name) {
        None => return Ok(Vec::new()),
        Some(Value::Array(texts)) => texts.iter().map(Value::as_str).collect(),
        Some(other) => other.as_str().map(|text| vec![text]),
    };
    let Some(given): Option<Vec<&str>> = given else {
        return Err(ApiError::bad_request(format!("{name} must be a list of fields")));
    };
    let words = given.iter().flat_map(|text| text.split(',')).map(str::trim);
    Ok(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

/// Answers a list of a collection's records.
pub(super) async fn list(call: &Call<'_>, collection: &Collection) -> Result<Answer, ApiError> {
    list_of(call, collection, Filter::All).await
}

/// Answers a list of those records of a collection that fit.
pub(super) async fn list_of(
    call: &Call<'_>,
    collection: &Collection,
    filter: Filter,
) -> Result<Answer, ApiError> {
    call.only(&ListParameters::NAMES)?;
    let parameters = ListParameters::parse(&call.params)?;
    let (page, page_size) = (parameters.page, parameters.page_size);
    let mut query = parameters.query(collection, filter)?;
    if query.sort.is_empty() {
        // Pages mean something only in an order.
        query.sort = collection.primary_key().map(|field| Sort::ascending(field.name())).collect();
    }
    let source = call.app.source();
    let count = source.count(collection, &query.filter).await?;
    let found = source.find(collection, query).await?;
    Ok(Answer::List { data: found.into_iter().map(Value::Object).collect(), count, page, page_size })
}

/// Answers one record by its key, `null` where there is none.
pub(super) async fn get(call: &Call<'_>, collection: &Collection, key: &str) -> Result<Answer, ApiError> {
    get_of(call, collection, key, Filter::All).await
}

/// Answers one record by its key among those that fit.
pub(super) async fn get_of(
    call: &Call<'_>,
    collection: &Collection,
    key: &str,
    among: Filter,
) -> Result<Answer, ApiError> {
    call.only(&["filterByTk", "fields"])?;
    let fields = words(&call.params, "fields")?;
    visible(collection, fields.iter())?;
    let filter = Filter::eq(key, call.filter_by_tk()?).and(among);
    let found: Option<Record> =
        call.app.source().find_one(collection, Query { fields, ..Query::filter(filter) }).await?;
    Ok(Answer::Data(found.map_or(Value::Null, Value::Object)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_read_or_refused() {
        let all = ListParameters::parse(&json!({
            "page": "3", "pageSize": "5", "sort": ["-views", "id"], "fields": "id, views,",
        }));
        let all = all.unwrap();
        assert_eq!((all.page, all.page_size), (3, 5));
        assert_eq!(all.sort, [Sort::descending("views"), Sort::ascending("id")]);
        assert_eq!(all.fields, ["id", "views"]);
        let none = ListParameters::parse(&json!({"pageSize": "0"})).unwrap();
        assert_eq!((none.page, none.page_size, none.sort.len()), (1, 20, 0));
        for refused in [
            json!({"page": "-1"}),
            json!({"page": "0"}),
            json!({"page": ["1"]}),
            json!({"pageSize": "10001"}),
            json!({"sort": {"a": "b"}}),
            json!({"fields": [["a"]]}),
        ] {
            assert!(ListParameters::parse(&refused).is_err(), "{refused}");
        }
    }
}
