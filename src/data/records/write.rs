//! Writing records.

use chrono::{SubsecRound, Utc};
use sea_query::{Expr, Query as Statement};
use serde_json::Value as Json;

use super::value;
use crate::data::collection::{CREATED_AT, UPDATED_AT};
use crate::data::{Collection, DataError, Filter, Record};
use crate::database::{Executor, Value};

/// Writes a new record, and gives it as it is stored.
pub(in crate::data) async fn insert(
    mut executor: impl Executor,
    collection: &Collection,
    mut given: Record,
) -> Result<Record, DataError> {
    let now = Value::DateTime(Utc::now().trunc_subsecs(3));
    let mut columns = Vec::with_capacity(collection.fields().len());
    let mut values = Vec::with_capacity(collection.fields().len());
    for field in collection.fields() {
        let value = match given.remove(field.name()) {
            // The database is to make the key.
            None | Some(Json::Null) if field.auto_increment => continue,
            Some(value) => value::to_storage(field, &value)?,
            None if matches!(field.name(), CREATED_AT | UPDATED_AT) => now.clone(),
            None => {
                field.default.as_ref().map_or(Ok(Value::Null), |value| value::to_storage(field, value))?
            }
        };
        columns.push(field);
        values.push(value);
    }
    if let Some(unknown) = given.keys().next() {
        collection.known(unknown)?;
    }
    let mut statement = Statement::insert();
    statement.into_table(collection.table_in(executor.namespace())).or_default_values();
    statement.columns(columns.iter().map(|field| field.name().to_owned()));
    if !values.is_empty() {
        statement.values_panic(values.iter().cloned().map(|value| Expr::val(sea_query::Value::from(value))));
    }

    let key = collection.generated_key().filter(|key| columns.iter().all(|field| field.name() != key.name()));
    let generated = executor.insert(&statement, key.map(|key| key.name())).await?;

    // Through the same conversion as a record that is read, so that both look the same.
    let stored = columns.into_iter().zip(values).chain(key.zip(generated.map(Value::Integer)));
    stored
        .filter(|(field, _)| !field.is_hidden())
        .map(|(field, raw)| Ok((field.name().to_owned(), value::to_json(collection, field, raw)?)))
        .collect()
}

/// Changes the records that fit; gives their number.
pub(in crate::data) async fn update(
    mut executor: impl Executor,
    collection: &Collection,
    filter: &Filter,
    changes: Record,
) -> Result<u64, DataError> {
    let mut statement = Statement::update();
    statement.table(collection.table_in(executor.namespace())).cond_where(filter.condition(collection)?);
    let touched = collection.get(UPDATED_AT).is_some() && !changes.contains_key(UPDATED_AT);
    if changes.is_empty() && !touched {
        return super::count(executor, collection, filter).await;
    }
    for (name, given) in &changes {
        let field = collection.known(name)?;
        statement.value(name.clone(), Expr::val(value::from_json(field, given)?));
    }
    if touched {
        let now = Value::DateTime(Utc::now().trunc_subsecs(3));
        statement.value(UPDATED_AT, Expr::val(sea_query::Value::from(now)));
    }
    Ok(executor.execute(&statement).await?)
}

/// Removes the records that fit; gives their number.
pub(in crate::data) async fn destroy(
    mut executor: impl Executor,
    collection: &Collection,
    filter: &Filter,
) -> Result<u64, DataError> {
    let statement = Statement::delete()
        .from_table(collection.table_in(executor.namespace()))
        .cond_where(filter.condition(collection)?)
        .to_owned();
    Ok(executor.execute(&statement).await?)
}
