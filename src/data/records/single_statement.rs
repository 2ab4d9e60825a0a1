//! Writes records with a single statement and without a transaction.
//!
//! This suffices for records without hooks, positions and nested records: every engine executes one statement
//! atomically and durably, which saves the round trips of `BEGIN` and `COMMIT`.

use std::borrow::Cow;

use sea_query::{Expr, Query as Statement, Returning};

use super::create::NewRow;
use super::read::fitting;
use super::read_plan::ReadPlan;
use super::writer::{NestingContext, Values, WriteOptions};
use super::{generate, order_by, row_write, value};
use crate::data::access::{RecordAccess, RecordAction};
use crate::data::collection::{CREATED_AT, CREATED_BY, UPDATED_AT, UPDATED_BY};
use crate::data::filter::Compiler;
use crate::data::query::Selection;
use crate::data::{Catalog, Collection, DataError, Filter, Generator, Hooks, Record, table};
use crate::database::Executor;

/// Whether a single statement can write these values.
pub(in crate::data) fn is_sufficient(collection: &Collection, hooks: &Hooks, given: &Record) -> bool {
    let ordered = |field: &crate::data::Field| matches!(field.generator, Some(Generator::Position { .. }));
    !collection.fields().iter().any(ordered)
        && given.keys().all(|name| collection.associated(name).is_none())
        && hooks.of(collection.name()).is_empty()
}

/// Creates a record.
pub(in crate::data) async fn create<E: Executor>(
    executor: &mut E,
    collection: &Collection,
    given: Record,
    options: &WriteOptions,
) -> Result<Record, DataError> {
    let access = options.access(collection, RecordAction::Create)?;
    let Values { mut own, .. } =
        options.values(collection, Cow::Owned(given), access.as_ref(), &NestingContext::root())?;
    let mut made = NewRow::of(collection, &mut own, options)?.write(executor, collection).await?;
    options.redact(collection, &mut made);
    Ok(made)
}

/// Updates the matching records that the requester may change, and returns them as updated. Returns `None`,
/// and does nothing, if the engine cannot return updated rows or if the requester may change records without
/// seeing them.
pub(in crate::data) async fn update<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    filter: &Filter,
    given: &Record,
    options: &WriteOptions,
) -> Result<Option<Vec<Record>>, DataError> {
    let namespace = executor.namespace();
    if !namespace.engine.has_update_returning() || collection.primary_key().next().is_none() {
        return Ok(None);
    }
    let access = options.access(collection, RecordAction::Update)?;
    if !sees_all_changes(collection, given, access.as_ref(), options) {
        return Ok(None);
    }
    let compiler = Compiler::new(catalog, namespace, options.guard.as_deref(), options.clock);
    let mut plan = ReadPlan::new(&compiler, collection, &Selection::default(), false)?;
    // `RETURNING` has no order.
    order_by::key_fields(collection).for_each(|key| plan.require(key));
    let mut statement = Statement::update();
    statement.table(table::table(collection, namespace));
    let condition = fitting(&compiler, collection, filter, RecordAction::Update)?;
    if !condition.is_empty() {
        statement.cond_where(condition);
    }
    let Values { mut own, .. } =
        options.values(collection, Cow::Borrowed(given), access.as_ref(), &NestingContext::root())?;
    generate::touch(collection, &mut own);
    for (name, given) in &own {
        let is_generated = matches!(name.as_str(), CREATED_AT | UPDATED_AT)
            || (options.user.is_some() && matches!(name.as_str(), CREATED_BY | UPDATED_BY));
        if !is_generated {
            let field = collection.known(name)?;
            statement.value(field.column().to_owned(), Expr::val(value::from_json(field, given)?));
        }
    }
    if let (Some(user), Some(field)) = (options.user, collection.get(UPDATED_BY)) {
        statement.value(field.column().to_owned(), user);
    }
    if let Some(field) = collection.get(UPDATED_AT) {
        statement.value(field.column().to_owned(), Expr::val(sea_query::Value::from(row_write::now())));
    }
    if statement.get_values().is_empty() {
        return Ok(None);
    }
    let shown: Vec<_> = plan.columns.iter().map(|field| field.column().to_owned()).collect();
    statement.returning(Returning::new().columns(shown));
    let mut rows = executor.update_returning(&statement).await?;
    order_by::sort_by_key(collection, &plan.columns, &mut rows);
    row_write::advance_changed_key(executor, collection, &own).await?;
    let changed: Result<Vec<_>, _> = rows.into_iter().map(|row| plan.record(collection, row)).collect();
    let mut changed = changed?;
    plan.remove_unselected(&mut changed);
    Ok(Some(changed))
}

/// Whether the requester sees all records that an update may change, before and after it.
fn sees_all_changes(
    collection: &Collection,
    given: &Record,
    access: Option<&RecordAccess>,
    options: &WriteOptions,
) -> bool {
    let Some(access) = access else { return true };
    options.access(collection, RecordAction::View).ok().flatten().is_some_and(|seen| {
        *seen.scope == Filter::All
            || (seen.scope == access.scope && !may_change_result(collection, &seen.scope, given))
    })
}

/// Whether the update may change the result of a filter, or the filter is on other records.
fn may_change_result(collection: &Collection, filter: &Filter, given: &Record) -> bool {
    let generated = [UPDATED_AT, UPDATED_BY];
    let is_touched = |path: &str| collection.get(path).is_some_and(|field| field.touched);
    let may_change = |path: &str| given.contains_key(path) || generated.contains(&path) || is_touched(path);
    filter.uses_associations(collection) || filter.paths().into_iter().any(may_change)
}
