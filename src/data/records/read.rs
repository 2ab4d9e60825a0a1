//! Reading records.

use sea_query::{Condition, Expr, Query as Statement, SelectStatement};

use super::order;
use super::plan::{Plan, compiler};
use super::written::{Sheet, Written};
use crate::data::access::Action;
use crate::data::filter::Compiler;
use crate::data::query::Selection;
use crate::data::{Catalog, Collection, DataError, Filter, Query, Record, table};
use crate::database::{Executor, Namespace};

/// Fields that records are sorted by at once: SQLite takes 2,000.
const MAX_SORTS: usize = 1000;

/// Reads the records a query asks for.
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
        super::append::load(executor, catalog, collection, query, &plan, &mut records).await?;
    }
    super::within::add_links(executor, catalog, query, &mut records).await?;
    plan.tidy(&mut records);
    Ok(records)
}

/// Reads the records a query asks for as the JSON that goes out, written straight from the rows.
pub(in crate::data) async fn find_written<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    query: &Query,
) -> Result<Written, DataError> {
    if super::within::key(catalog, collection, query)?.is_some() {
        // What links them to the record that they belong to is put into them.
        let found = Box::pin(find(executor, catalog, collection, query)).await?;
        return Ok(Written::records(&found));
    }
    let (plan, statement) = prepare(executor, catalog, collection, query)?;
    let rows = executor.query(&statement).await?;
    Written::rows(executor, Sheet { catalog, collection, query, plan, between: None }, rows).await
}

/// What is read for a query, and the statement that reads it.
fn prepare<'a, E: Executor>(
    executor: &E,
    catalog: &'a Catalog,
    collection: &'a Collection,
    query: &Query,
) -> Result<(Plan<'a>, SelectStatement), DataError> {
    let selection = Selection::of(query, catalog, collection)?;
    let compiler = compiler(executor, catalog, query);
    let mut plan = Plan::new(&compiler, collection, &selection, query.hidden)?;
    if let Some(key) = super::within::key(catalog, collection, query)? {
        plan.needs(key);
    }
    let statement = select(&compiler, collection, &plan, query)?;
    Ok((plan, statement))
}

/// Reads the first record a query asks for.
pub(in crate::data) async fn find_one<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    mut query: Query,
) -> Result<Option<Record>, DataError> {
    query.limit = Some(1);
    Ok(find(executor, catalog, collection, &query).await?.into_iter().next())
}

/// Counts the records that fit a query, whatever its page.
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

/// The statement that counts all rows.
pub(super) fn counting(collection: &Collection, namespace: Namespace<'_>) -> SelectStatement {
    let mut statement = Statement::select();
    statement
        .expr(sea_query::Func::count(Expr::col(sea_query::Asterisk)))
        .from(table::table(collection, namespace));
    statement
}

/// The condition for the records that fit and are open: what a filter looks at must be open too.
pub(in crate::data) fn fitting(
    compiler: &Compiler<'_>,
    collection: &Collection,
    filter: &Filter,
    action: Action,
) -> Result<Condition, DataError> {
    for path in filter.paths() {
        compiler.check_path(collection, path)?;
    }
    let condition = compiler.condition(collection, None, filter)?;
    let Some(scope) = compiler.scope(collection, action)? else { return Ok(condition) };
    let open = compiler.unguarded().condition(collection, None, &scope)?;
    // Not added to the condition, which may be one of several parts that are enough, or a negated one:
    // beside it.
    Ok(if condition.is_empty() { open } else { Condition::all().add(condition).add(open) })
}

fn select(
    compiler: &Compiler<'_>,
    collection: &Collection,
    plan: &Plan<'_>,
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
    order::by(compiler, collection, &mut statement, &query.sort)?;
    if query.total || query.offset > 0 || !query.sort.is_empty() {
        order::complete(compiler, collection, None, &mut statement, &query.sort, &collection.key());
    }
    page(&mut statement, query.limit, query.offset);
    if query.lock {
        // SQLite has no need of it: its transactions that write come one after the other.
        statement.lock_exclusive();
    }
    Ok(statement)
}

/// Leaves out the rows that a query does not mean.
fn limit_to(
    statement: &mut SelectStatement,
    compiler: &Compiler<'_>,
    collection: &Collection,
    query: &Query,
) -> Result<(), DataError> {
    limit(statement, fitting(compiler, collection, &query.filter, Action::View)?);
    limit(statement, super::within::condition(compiler, collection, query)?);
    if let Some(asked) = &query.asked {
        let compiler = compiler.guarded(asked.guard.as_deref());
        limit(statement, compiler.condition(collection, None, &asked.filter)?);
    }
    Ok(())
}

/// Leaves out the rows that do not fit. A condition that all fit is not said: `WHERE TRUE` would keep
/// SQLite from counting a table's pages, and have it look at each row.
fn limit(statement: &mut SelectStatement, condition: Condition) {
    if !condition.is_empty() {
        statement.cond_where(condition);
    }
}

/// Takes a part of the rows.
pub(super) fn page(statement: &mut SelectStatement, limit: Option<u64>, offset: u64) {
    if let Some(limit) = limit {
        statement.limit(limit);
    }
    if offset > 0 {
        // No engine takes an offset without a limit.
        statement.limit(limit.unwrap_or(i64::MAX as u64)).offset(offset);
    }
}
