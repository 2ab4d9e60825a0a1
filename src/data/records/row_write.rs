//! Writes rows with one statement, without guards, hooks and nested records: for the host's own records, and
//! as the last step of other writes.

use chrono::{SubsecRound, Utc};
use sea_query::{Condition, Expr, Query as Statement};
use serde_json::Value as Json;

use super::read::counting;
use super::value;
use crate::data::collection::{CREATED_AT, UPDATED_AT};
use crate::data::filter::condition;
use crate::data::{
    Catalog, Collection, DataError, DatabaseError, Field, FieldType, Filter, Record, Refusal, table,
};
use crate::database::{Executor, Value};

/// Returns the current time as it is stored.
pub(in crate::data) fn now() -> Value {
    Value::DateTime(Utc::now().trunc_subsecs(3))
}

/// Inserts a record and returns it as stored.
pub(in crate::data) async fn insert<E: Executor>(
    executor: &mut E,
    collection: &Collection,
    mut given: Record,
) -> Result<Record, DataError> {
    let now = now();
    let mut columns = Vec::with_capacity(collection.fields().len());
    let mut values = Vec::with_capacity(collection.fields().len());
    for field in collection.fields() {
        let value = match given.remove(field.name()) {
            // The database generates the key.
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
    insert_values(executor, collection, columns, values).await
}

/// Inserts one row and returns it as a record without hidden fields.
pub(super) async fn insert_values<E: Executor>(
    executor: &mut E,
    collection: &Collection,
    columns: Vec<&Field>,
    values: Vec<Value>,
) -> Result<Record, DataError> {
    let mut statement = Statement::insert();
    statement.into_table(table::table(collection, executor.namespace())).or_default_values();
    statement.columns(columns.iter().map(|field| field.column().to_owned()));
    if !values.is_empty() {
        statement.values_panic(values.iter().cloned().map(|value| Expr::val(sea_query::Value::from(value))));
    }
    let key = collection.generated_key().filter(|key| columns.iter().all(|field| field.name() != key.name()));
    let generated = executor.insert(&statement, key.map(Field::column)).await;
    let generated = generated.map_err(|error| keys_exhausted(key, error))?;
    if key.is_none()
        && let Some(own) = collection.generated_key()
    {
        let at = columns.iter().position(|field| field.name() == own.name());
        if let Some(Value::Integer(given)) = at.and_then(|at| values.get(at)) {
            advance_key(executor, collection, own, *given).await?;
        }
    }

    // Converts stored values as a read does, so that both return the same record.
    let stored = columns.into_iter().zip(values).chain(key.zip(generated.map(Value::Integer)));
    stored
        .filter(|(field, _)| !field.is_hidden())
        .map(|(field, raw)| Ok((field.name().to_owned(), value::to_json(collection, field, raw)?)))
        .collect()
}

/// Names the key in an error of the database that its numbers are used up.
fn keys_exhausted(key: Option<&Field>, error: DatabaseError) -> DataError {
    match (key, &error) {
        (Some(key), DatabaseError::Refused(Refusal::NoKeyLeft { .. })) => {
            let largest = if key.kind == FieldType::Integer { i32::MAX.into() } else { i64::MAX };
            value::invalid(
                key,
                format!("{largest} is the largest number and is taken: give the record a key of its own"),
            )
        }
        _ => error.into(),
    }
}

/// Advances the sequence of a generated key beyond a key that a record was given.
async fn advance_key<E: Executor>(
    executor: &mut E,
    collection: &Collection,
    key: &Field,
    given: i64,
) -> Result<(), DataError> {
    let namespace = executor.namespace();
    let name = table::name(collection, namespace);
    match namespace.engine.advance_sequence(namespace.schema, &name, key.column(), given) {
        Some(statement) => Ok(executor.query(&statement).await.map(drop)?),
        None => Ok(()),
    }
}

/// As [`advance_key`], for an update that may change the key.
pub(super) async fn advance_changed_key<E: Executor>(
    executor: &mut E,
    collection: &Collection,
    changes: &Record,
) -> Result<(), DataError> {
    let Some(key) = collection.generated_key() else { return Ok(()) };
    let Some(given) = changes.get(key.name()) else { return Ok(()) };
    match value::to_storage(key, given)? {
        Value::Integer(given) => advance_key(executor, collection, key, given).await,
        _ => Ok(()),
    }
}

/// Updates the matching records and returns their number.
pub(in crate::data) async fn update<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    filter: &Filter,
    changes: &Record,
) -> Result<u64, DataError> {
    let condition = condition(catalog, executor.namespace(), collection, filter)?;
    set(executor, collection, condition, changes).await
}

/// Updates the rows that fulfil a condition and returns their number.
pub(super) async fn set<E: Executor>(
    executor: &mut E,
    collection: &Collection,
    condition: Condition,
    changes: &Record,
) -> Result<u64, DataError> {
    let mut statement = Statement::update();
    for (name, given) in changes {
        let field = collection.known(name)?;
        statement.value(field.column().to_owned(), Expr::val(value::from_json(field, given)?));
    }
    if let Some(field) = collection.get(UPDATED_AT).filter(|_| !changes.contains_key(UPDATED_AT)) {
        statement.value(field.column().to_owned(), Expr::val(sea_query::Value::from(now())));
    }
    let namespace = executor.namespace();
    if statement.get_values().is_empty() {
        let counted = counting(collection, namespace).cond_where(condition).to_owned();
        return Ok(executor.count(&counted).await?);
    }
    statement.table(table::table(collection, namespace)).cond_where(condition);
    let changed = executor.execute(&statement).await?;
    advance_changed_key(executor, collection, changes).await?;
    Ok(changed)
}

/// Removes the matching records and returns their number.
pub(in crate::data) async fn destroy<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    filter: &Filter,
) -> Result<u64, DataError> {
    let condition = condition(catalog, executor.namespace(), collection, filter)?;
    delete(executor, collection, condition).await
}

/// Removes the rows that fulfil a condition and returns their number.
pub(super) async fn delete<E: Executor>(
    executor: &mut E,
    collection: &Collection,
    condition: Condition,
) -> Result<u64, DataError> {
    let mut statement = Statement::delete();
    statement.from_table(table::table(collection, executor.namespace())).cond_where(condition);
    Ok(executor.execute(&statement).await?)
}
