//! Reading records.

use sea_query::{Expr, NullOrdering, Order, Query as Statement, SelectStatement};

use super::value;
use crate::data::{Collection, DataError, Field, Filter, Query, Record};
use crate::database::{Executor, Namespace, Row, Value};

/// Reads the records a query asks for.
pub(in crate::data) async fn find(
    mut executor: impl Executor,
    collection: &Collection,
    query: Query,
) -> Result<Vec<Record>, DataError> {
    let fields = wanted(collection, &query.fields)?;
    let statement = select(executor.namespace(), collection, &fields, &query)?;
    let rows = executor.query(&statement).await?;
    rows.into_iter().map(|row| record(collection, &fields, row)).collect()
}

/// Reads the first record a query asks for.
pub(in crate::data) async fn find_one(
    executor: impl Executor,
    collection: &Collection,
    query: Query,
) -> Result<Option<Record>, DataError> {
    Ok(find(executor, collection, query.limit(1)).await?.into_iter().next())
}

/// Counts the records that fit.
pub(in crate::data) async fn count(
    mut executor: impl Executor,
    collection: &Collection,
    filter: &Filter,
) -> Result<u64, DataError> {
    let statement = Statement::select()
        .expr(sea_query::Func::count(Expr::col(sea_query::Asterisk)))
        .from(collection.table_in(executor.namespace()))
        .cond_where(filter.condition(collection)?)
        .to_owned();
    let row = executor.query(&statement).await?.into_iter().next();
    match row.and_then(|row| row.into_values().into_iter().next()) {
        Some(Value::Integer(count)) => Ok(u64::try_from(count).unwrap_or_default()),
        // An engine answers a count with one whole number, or it is not SQL.
        _ => Err(value::unreadable(collection, "count(*)", "number")),
    }
}

/// The fields a query asks for: those it names, or all that are not hidden.
fn wanted<'a>(collection: &'a Collection, names: &[String]) -> Result<Vec<&'a Field>, DataError> {
    if names.is_empty() {
        return Ok(collection.fields().iter().filter(|field| !field.is_hidden()).collect());
    }
    names.iter().map(|name| collection.known(name)).collect()
}

fn select(
    namespace: Namespace<'_>,
    collection: &Collection,
    fields: &[&Field],
    query: &Query,
) -> Result<SelectStatement, DataError> {
    let mut statement = Statement::select();
    statement
        .columns(fields.iter().map(|field| field.name().to_owned()))
        .from(collection.table_in(namespace));
    statement.cond_where(query.filter.condition(collection)?);
    for sort in &query.sort {
        let field = collection.known(&sort.field)?;
        let (order, nulls) = match sort.descending {
            false => (Order::Asc, NullOrdering::Last),
            true => (Order::Desc, NullOrdering::First),
        };
        // Engines disagree on where nulls belong; where there are none, the index is enough.
        if field.not_null {
            statement.order_by(field.name().to_owned(), order);
        } else {
            statement.order_by_with_nulls(field.name().to_owned(), order, nulls);
        }
    }
    if let Some(limit) = query.limit {
        statement.limit(limit);
    }
    if query.offset > 0 {
        // No engine takes an offset without a limit.
        statement.limit(query.limit.unwrap_or(i64::MAX as u64)).offset(query.offset);
    }
    Ok(statement)
}

fn record(collection: &Collection, fields: &[&Field], row: Row) -> Result<Record, DataError> {
    let values = fields.iter().zip(row.into_values());
    values
        .map(|(field, raw)| Ok((field.name().to_owned(), value::to_json(collection, field, raw)?)))
        .collect()
}
