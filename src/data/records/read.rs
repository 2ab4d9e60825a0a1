//! Reads and counts records.

use sea_query::{Condition, Expr, Query as Statement, SelectStatement};

use super::json_rows::{JsonRecords, RowWriter};
use super::order_by;
use super::read_plan::{ReadPlan, compiler};
use crate::data::access::RecordAction;
use crate::data::filter::Compiler;
use crate::data::query::Selection;
use crate::data::{Catalog, Collection, DataError, Filter, Query, Record, table};
use crate::database::{Executor, Namespace};

/// Limit of sort keys: SQLite allows 2,000.
const MAX_SORTS: usize = 1000;

/// Reads the records of a query.
pub(in crate::data) async fn find<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    query: &Query,
) -> Result<Vec<Record>, DataError> {
    let (plan, statement) = prepare(executor, catalog, collection, query)?;
    let rows = executor.query(&statement).await?;
    let mut records =
        rows.into_iter().map(|row| plan.record(collection, row)).collect::<Result<Vec<_>, _>>()?;
    if !plan.associations.is_empty() && !records.is_empty() {
        super::eager_load::load(executor, catalog, collection, query, &plan, &mut records).await?;
    }
    super::parent_scope::add_links(executor, catalog, query, &mut records).await?;
    plan.remove_unselected(&mut records);
    Ok(records)
}

/// Reads the records of a query without associated records. Leaves out values that cannot be read, and
/// returns their errors beside each record.
pub(in crate::data) async fn find_readable<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    query: &Query,
) -> Result<Vec<(Record, Vec<DataError>)>, DataError> {
    let (plan, statement) = prepare(executor, catalog, collection, query)?;
    let rows = executor.query(&statement).await?;
    Ok(rows.into_iter().map(|row| plan.readable(collection, row)).collect())
}

/// Reads the records of a query as JSON for a response, written from the rows.
pub(in crate::data) async fn find_json<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    query: &Query,
) -> Result<JsonRecords, DataError> {
    if super::parent_scope::key(catalog, collection, query)?.is_some() {
        // Links to the parent are added to the records, so that these must be built.
        let found = Box::pin(find(executor, catalog, collection, query)).await?;
        return Ok(JsonRecords::records(&found));
    }
    let (plan, statement) = prepare(executor, catalog, collection, query)?;
    let rows = executor.query(&statement).await?;
    JsonRecords::rows(executor, RowWriter { catalog, collection, query, plan, link_fields: None }, rows).await
}

/// Returns the plan of a query and its statement.
fn prepare<'a, E: Executor>(
    executor: &E,
    catalog: &'a Catalog,
    collection: &'a Collection,
    query: &Query,
) -> Result<(ReadPlan<'a>, SelectStatement), DataError> {
    let selection = Selection::of(query, catalog, collection)?;
    let compiler = compiler(executor, catalog, query);
    let mut plan = ReadPlan::new(&compiler, collection, &selection, query.hidden)?;
    if let Some(key) = super::parent_scope::key(catalog, collection, query)? {
        plan.require(key);
    }
    let statement = select(&compiler, collection, &plan, query)?;
    Ok((plan, statement))
}

/// Reads the first record of a query.
pub(in crate::data) async fn find_one<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    mut query: Query,
) -> Result<Option<Record>, DataError> {
    query.limit = Some(1);
    Ok(find(executor, catalog, collection, &query).await?.into_iter().next())
}

/// Counts the records that match a query, ignoring its page.
pub(in crate::data) async fn count<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    query: &Query,
) -> Result<u64, DataError> {
    let statement = {
        let compiler = compiler(executor, catalog, query);
        let mut statement = counting(collection, compiler.namespace);
        limit_to(&mut statement, &compiler, collection, query)?;
        statement
    };
    Ok(executor.count(&statement).await?)
}

/// Returns the statement that counts all rows.
pub(super) fn counting(collection: &Collection, namespace: Namespace<'_>) -> SelectStatement {
    let mut statement = Statement::select();
    statement
        .expr(sea_query::Func::count(Expr::col(sea_query::Asterisk)))
        .from(table::table(collection, namespace));
    statement
}

/// Returns the condition for the matching records that the guard opens. The guard must also open the fields
/// of the filter.
pub(in crate::data) fn fitting(
    compiler: &Compiler<'_>,
    collection: &Collection,
    filter: &Filter,
    action: RecordAction,
) -> Result<Condition, DataError> {
    for path in filter.paths() {
        compiler.check_path(collection, path)?;
    }
    let condition = compiler.condition(collection, None, filter)?;
    let Some(scope) = compiler.scope(collection, action)? else { return Ok(condition) };
    let open = compiler.unguarded().condition(collection, None, &scope)?;
    // Added beside the condition, not to it: that may be an OR, or negated.
    Ok(if condition.is_empty() { open } else { Condition::all().add(condition).add(open) })
}

fn select(
    compiler: &Compiler<'_>,
    collection: &Collection,
    plan: &ReadPlan<'_>,
    query: &Query,
) -> Result<SelectStatement, DataError> {
    let mut statement = Statement::select();
    statement
        .columns(plan.columns.iter().map(|field| field.column().to_owned()))
        .from(table::table(collection, compiler.namespace));
    limit_to(&mut statement, compiler, collection, query)?;
    if let Some(sort) = query.sort.get(MAX_SORTS) {
        let field = &sort.field;
        return Err(DataError::Refused(format!(
            "{field}: records are sorted by at most {MAX_SORTS} fields at once"
        )));
    }
    order_by::requested(compiler, collection, &mut statement, &query.sort)?;
    if query.total_order || query.offset > 0 || !query.sort.is_empty() {
        order_by::tiebreakers(compiler, collection, None, &mut statement, &query.sort, &collection.key());
    }
    page(&mut statement, query.limit, query.offset);
    if query.lock {
        // SQLite does not need it: its writing transactions run one after the other.
        statement.lock_exclusive();
    }
    Ok(statement)
}

/// Adds all conditions of a query to a statement.
fn limit_to(
    statement: &mut SelectStatement,
    compiler: &Compiler<'_>,
    collection: &Collection,
    query: &Query,
) -> Result<(), DataError> {
    limit(statement, fitting(compiler, collection, &query.filter, RecordAction::View)?);
    limit(statement, super::parent_scope::condition(compiler, collection, query)?);
    if let Some(requested) = &query.requested {
        let compiler = compiler.guarded(requested.guard.as_deref());
        limit(statement, compiler.condition(collection, None, &requested.filter)?);
    }
    Ok(())
}

/// Adds a condition unless it is empty: with `WHERE TRUE`, SQLite would read every row instead of counting a
/// table's pages.
fn limit(statement: &mut SelectStatement, condition: Condition) {
    if !condition.is_empty() {
        statement.cond_where(condition);
    }
}

/// Limits a statement to a page of its rows.
pub(super) fn page(statement: &mut SelectStatement, limit: Option<u64>, offset: u64) {
    if let Some(limit) = limit {
        statement.limit(limit);
    }
    if offset > 0 {
        // No engine allows an offset without a limit.
        statement.limit(limit.unwrap_or(i64::MAX as u64)).offset(offset);
    }
}
