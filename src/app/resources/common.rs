//! What actions of several resources have in common.

use serde_json::Value;

use crate::app::acl::store::StoreError;
use crate::app::api::records::Parameters;
use crate::app::api::{Answer, ApiError, Call};
use crate::data::{Collection, DataError, Filter, Query, Record, Sort, Transaction};

pub(super) fn text<'a>(record: &'a Record, name: &str) -> &'a str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn refused(error: impl std::fmt::Display) -> DataError {
    DataError::Refused(error.to_string())
}

pub(super) fn forbidden(error: impl std::fmt::Display) -> DataError {
    DataError::Forbidden(error.to_string())
}

/// Writes permissions, all of it or nothing.
pub(super) async fn in_transaction<T, W>(call: &Call<'_>, work: impl Fn() -> W) -> Result<T, ApiError>
where
    W: AsyncFnOnce(&mut Transaction) -> Result<T, StoreError>,
{
    Ok(call.state.source().transact(work).await?)
}

/// Cuts the requested page out of a whole list.
pub(super) fn paged(call: &Call<'_>, all: Vec<Value>) -> Result<Answer, ApiError> {
    let Some(page) = Parameters::of(call).page()? else { return Ok(Answer::Data(Value::Array(all))) };
    let count = all.len() as u64;
    let before = usize::try_from((page.number - 1).saturating_mul(page.size)).unwrap_or(usize::MAX);
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let data = all.into_iter().skip(before).take(size).collect();
    Ok(Answer::List { data, count, page: page.number, page_size: page.size })
}

/// The values of the body for these fields. Others are left out: clients send back whole records
/// with what the host set in them.
pub(super) fn settable(call: &Call<'_>, fields: &[&str]) -> Result<Record, ApiError> {
    let given = call.values()?.iter().filter(|(name, _)| fields.contains(&name.as_str()));
    Ok(given.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Reads the records that an update changed, in the order of a field, without hidden fields.
pub(super) async fn changed(
    call: &Call<'_>,
    collection: &Collection,
    filter: Filter,
    order: &str,
) -> Result<Vec<Value>, DataError> {
    let query = Query::filter(filter).sort(Sort::ascending(order));
    let records = call.state.source().find(collection, query).await?;
    Ok(records.into_iter().map(Value::Object).collect())
}
