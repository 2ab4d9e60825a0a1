//! Reading: `list`, `get`, `query`.

use serde_json::{Map, Value};

use super::parameters::Parameters;
use super::parent_scope::{ParentScope, parent_scope};
use crate::app::api::list::{self, Page};
use crate::app::api::{Answer, ApiError, Call, RecordSet};
use crate::data::{Aggregation, Dimension, Filter, Function, GroupOrder, Measure, Query};

/// Records that are listed without pages at most.
const MAX_WITHOUT_PAGES: u64 = 100_000;
/// The largest number of rows that engines know.
const MAX_ROWS: u64 = i64::MAX as u64;

/// Lists records, written from rows straight to JSON.
pub(super) async fn list(call: &Call<'_>, set: &RecordSet) -> Result<Answer, ApiError> {
    let (page, asked) = asked(call, set, Filter::All).await?;
    let Some(query) = asked else { return Ok(empty(page)) };
    let data = call.state.source().find_json(set.records(), &query).await?;
    let Some(page) = page else {
        check_number(data.count())?;
        return Ok(Answer::Records(data));
    };
    let count = count(call, set, page, query, data.count()).await?;
    Ok(Answer::Page { data, count, page: page.number, page_size: page.size })
}

/// Lists records for an action that changes them before they are answered.
pub(super) async fn list_among(call: &Call<'_>, set: &RecordSet, among: Filter) -> Result<Answer, ApiError> {
    let (page, asked) = asked(call, set, among).await?;
    let Some(query) = asked else { return Ok(empty(page)) };
    let found = call.state.source().find(set.records(), query.clone()).await?;
    let number = found.len();
    let data = found.into_iter().map(Value::Object).collect();
    let Some(page) = page else {
        check_number(number)?;
        return Ok(Answer::Data(Value::Array(data)));
    };
    let count = count(call, set, page, query, number).await?;
    Ok(Answer::List { data, count, page: page.number, page_size: page.size })
}

/// A list without records.
fn empty(page: Option<Page>) -> Answer {
    match page {
        Some(page) => Answer::List { data: Vec::new(), count: 0, page: page.number, page_size: page.size },
        None => Answer::Data(Value::Array(Vec::new())),
    }
}

/// Refuses to list more records than that without pages.
fn check_number(found: usize) -> Result<(), ApiError> {
    if u64::try_from(found).is_ok_and(|found| found <= MAX_WITHOUT_PAGES) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "there are more than {MAX_WITHOUT_PAGES} records: ask for them by pages"
    )))
}

/// Parses the page and the query of a list; the query is `None` if the path names a record that
/// does not exist.
async fn asked(
    call: &Call<'_>,
    set: &RecordSet,
    among: Filter,
) -> Result<(Option<Page>, Option<Query>), ApiError> {
    let parameters = Parameters::of(call);
    let records = set.records();
    let page = parameters.page()?;
    let filter = among.and(parameters.by_key(records)?.unwrap_or_default()).and(parameters.filter()?);
    let mut query = parameters.query(filter)?;
    query.sort = parameters.sort()?;
    query.total_order = true;
    query.parent = match parent_scope(call, set).await? {
        ParentScope::Unlimited => None,
        ParentScope::Within(within) => Some(within),
        ParentScope::Missing => return Ok((page, None)),
    };
    match page {
        Some(page) => {
            query.limit = Some(page.size);
            query.offset = (page.number - 1).saturating_mul(page.size);
        }
        // One more, so that it shows whether there are more.
        None => query.limit = Some(MAX_WITHOUT_PAGES + 1),
    }
    Ok((page, Some(query)))
}

/// Counts all records of a query, of whose page `found` were read.
async fn count(
    call: &Call<'_>,
    set: &RecordSet,
    page: Page,
    query: Query,
    found: usize,
) -> Result<u64, ApiError> {
    // A page that is not full says how many there are.
    let before = query.offset;
    match u64::try_from(found) {
        Ok(length) if length < page.size && (length > 0 || before == 0) => Ok(before + length),
        _ => {
            let counted = Query { limit: None, offset: 0, ..query };
            Ok(call.state.source().count_of(set.records(), &counted).await?)
        }
    }
}

pub(super) async fn get(call: &Call<'_>, set: &RecordSet) -> Result<Answer, ApiError> {
    get_among(call, set, Filter::All).await
}

pub(super) async fn get_among(call: &Call<'_>, set: &RecordSet, among: Filter) -> Result<Answer, ApiError> {
    let parameters = Parameters::of(call);
    let records = set.records();
    let by_key = parameters.by_key(records)?;
    let one_of_many = set.behind.as_ref().is_none_or(|behind| behind.association.kind.is_many());
    let filter = parameters.filter()?;
    let sort = parameters.sort()?;
    // The first of an order is one record, too.
    if by_key.is_none() && filter.is_unrestricted() && sort.is_empty() && one_of_many {
        return Err(ApiError::bad_request(
            "say which record is meant: filterByTk, filter and sort are missing",
        ));
    }
    let mut query = parameters.query(among.and(by_key.unwrap_or_default()).and(filter))?;
    query.sort = sort;
    query.total_order = true;
    query.parent = match parent_scope(call, set).await? {
        ParentScope::Unlimited => None,
        ParentScope::Within(within) => Some(within),
        ParentScope::Missing => return Ok(Answer::Data(Value::Null)),
    };
    query.limit = Some(1);
    Ok(Answer::Record(call.state.source().find_json(records, &query).await?))
}

pub(super) async fn query(call: &Call<'_>, set: &RecordSet) -> Result<Answer, ApiError> {
    let Value::Object(body) = &call.body else {
        return Err(ApiError::bad_request("the body must be an object with measures or dimensions"));
    };
    let filter = match body.get("filter") {
        Some(filter) => call.requester.filter(filter)?,
        None => Filter::All,
    };
    let query =
        Query { filter, guard: call.requester.guard(), clock: call.requester.clock(), ..Query::default() };
    let wanted = aggregation(body)?;
    let found = call.state.source().aggregate(&set.collection, &query, &wanted).await?;
    Ok(Answer::Data(found.into_iter().map(Value::Object).collect()))
}

fn aggregation(body: &Map<String, Value>) -> Result<Aggregation, ApiError> {
    let mut wanted = Aggregation::default();
    for item in items(body, "measures")? {
        let path = path(item)?;
        let function = match text(item, "aggregation")? {
            None | Some("") => None,
            Some(name) => Some(Function::named(name).ok_or_else(|| {
                ApiError::bad_request(format!(
                    "there is no aggregation {name}: it is count, sum, avg, min or max"
                ))
            })?),
        };
        let distinct = item.get("distinct").and_then(Value::as_bool).unwrap_or(false);
        let alias = alias(item)?.unwrap_or(&path).to_owned();
        wanted.measures.push(Measure { path, function, distinct, alias });
    }
    for item in items(body, "dimensions")? {
        let path = path(item)?;
        let format = text(item, "format")?.filter(|format| !format.is_empty()).map(str::to_owned);
        let alias = alias(item)?.unwrap_or(&path).to_owned();
        wanted.dimensions.push(Dimension { path, format, alias });
    }
    for item in items(body, "orders")? {
        let name = match alias(item)? {
            Some(alias) => alias.to_owned(),
            None => path(item)?,
        };
        let descending = text(item, "order")?.is_some_and(|order| order.eq_ignore_ascii_case("desc"));
        let nulls_first = match text(item, "nulls")? {
            Some("first") => Some(true),
            Some("last") => Some(false),
            _ => None,
        };
        wanted.orders.push(GroupOrder { name, descending, nulls_first });
    }
    if let Some(having) = body.get("having") {
        wanted.having = Filter::parse(having)?;
    }
    wanted.limit = rows(body, "limit")?;
    wanted.offset = rows(body, "offset")?.unwrap_or(0);
    Ok(wanted)
}

/// A number of rows.
fn rows(body: &Map<String, Value>, name: &str) -> Result<Option<u64>, ApiError> {
    let digits = match body.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    list::whole(name, &digits, MAX_ROWS).map(Some)
}

/// The name that a value has in the answer, where one is given.
fn alias(item: &Map<String, Value>) -> Result<Option<&str>, ApiError> {
    let alias = text(item, "alias")?.filter(|alias| !alias.is_empty());
    if alias.is_some_and(|alias| alias.contains('\0')) {
        return Err(ApiError::bad_request("alias: the text has the character U+0000"));
    }
    Ok(alias)
}

fn items<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Vec<&'a Map<String, Value>>, ApiError> {
    let refused = || ApiError::bad_request(format!("{name} must be a list of objects"));
    match body.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(Value::as_object).collect::<Option<_>>().ok_or_else(refused)
        }
        Some(_) => Err(refused()),
    }
}

fn text<'a>(item: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ApiError> {
    match item.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(ApiError::bad_request(format!("{name} must be a text, not {other}"))),
    }
}

/// A field, as `"author.name"` or as `["author", "name"]`.
fn path(item: &Map<String, Value>) -> Result<String, ApiError> {
    let refused = || ApiError::bad_request("field must be the name of a field, or a list of names");
    let path = match item.get("field") {
        Some(Value::String(path)) => path.clone(),
        Some(Value::Array(steps)) => {
            let steps: Option<Vec<&str>> = steps.iter().map(Value::as_str).collect();
            steps.ok_or_else(refused)?.join(".")
        }
        _ => return Err(refused()),
    };
    if path.is_empty() { Err(refused()) } else { Ok(path) }
}
