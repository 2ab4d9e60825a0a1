//! Sorts rows. Tiebreakers after the requested order make it total: otherwise rows could change places from
//! one page to the next.

use std::cmp::Ordering;

use bigdecimal::BigDecimal;
use sea_query::{Expr, ExprTrait, Func, NullOrdering, Order, Query as Statement, SelectStatement};

use super::{read_plan, value};
use crate::data::access::RecordAction;
use crate::data::filter::{Compiler, Joins, collated};
use crate::data::{Association, AssociationKind, Collection, DataError, Field, FieldType, Sort, table};
use crate::database::{Engine, Row, Value};

/// Limit of the columns that order rows without a key; the engine's row identifier follows.
const MAX_COMPARED: usize = 32;

/// Sorts the rows of a collection as requested.
///
/// # Errors
/// [`DataError::UnknownField`] for an unknown field, [`DataError::Invalid`] for one that has no order,
/// [`DataError::Forbidden`] for one that the requester may not see.
pub(super) fn requested(
    compiler: &Compiler<'_>,
    collection: &Collection,
    statement: &mut SelectStatement,
    requested: &[Sort],
) -> Result<(), DataError> {
    let engine = compiler.namespace.engine;
    for sort in requested {
        compiler.check_path(collection, &sort.field)?;
        let order = if sort.descending { Order::Desc } else { Order::Asc };
        let Some(field) = collection.get(&sort.field) else {
            let value = associated(compiler, collection, &sort.field)?;
            statement.order_by_expr_with_nulls(value, order, NullOrdering::Last);
            continue;
        };
        if !is_comparable(field) {
            return Err(value::invalid(field, "JSON documents and lists have no order"));
        }
        by_field(engine, statement, Expr::col(field.column().to_owned()), field, order);
    }
    Ok(())
}

/// Adds tiebreakers to an order, so that only identical rows compare equal: first the fields of `named_by`,
/// then the primary key or else all columns.
pub(super) fn tiebreakers(
    compiler: &Compiler<'_>,
    collection: &Collection,
    alias: Option<&str>,
    statement: &mut SelectStatement,
    requested: &[Sort],
    named_by: &[&Field],
) {
    let column = |name: &str| match alias {
        Some(alias) => Expr::col((alias.to_owned(), name.to_owned())),
        None => Expr::col(name.to_owned()),
    };
    let engine = compiler.namespace.engine;
    let mut used: Vec<&str> = requested.iter().map(|sort| &*sort.field).collect();
    let mut add = |field: &'_ Field, used: &mut Vec<&str>| {
        if !used.contains(&field.name()) {
            by_field(engine, statement, column(field.column()), field, Order::Asc);
        }
    };
    for field in named_by.iter().copied().chain(collection.primary_key()) {
        add(field, &mut used);
        used.push(field.name());
    }
    if collection.primary_key().next().is_some() {
        return;
    }
    let name = row_name(collection, engine);
    // Without any order, rows come in the order of insertion, if the engine can tell it.
    if !used.is_empty() || name.is_none() {
        for field in compared(compiler, collection) {
            add(field, &mut used);
        }
    }
    let last = name.map_or_else(|| digest(collection, column), column);
    statement.order_by_expr(last, Order::Asc);
}

/// Returns the fields that order records by default.
pub(super) fn key_fields(collection: &Collection) -> impl Iterator<Item = &Field> {
    collection.key().into_iter().chain(collection.primary_key())
}

/// Sorts rows of these columns by key, as [`tiebreakers`] does.
pub(super) fn sort_by_key(collection: &Collection, columns: &[&Field], rows: &mut [Row]) {
    let keys: Vec<(usize, &Field)> = key_fields(collection)
        .filter_map(|key| Some((columns.iter().position(|field| field.name() == key.name())?, key)))
        .collect();
    rows.sort_by(|one, other| {
        let by_one = keys.iter().map(|(at, key)| compare(key, one.value(*at), other.value(*at)));
        by_one.fold(Ordering::Equal, Ordering::then)
    });
}

/// Compares two values of a key; null comes last.
fn compare(key: &Field, one: Option<&Value>, other: Option<&Value>) -> Ordering {
    match (one, other) {
        (Some(Value::Null), Some(Value::Null)) => Ordering::Equal,
        (Some(Value::Null), _) => Ordering::Greater,
        (_, Some(Value::Null)) => Ordering::Less,
        (Some(Value::Integer(one)), Some(Value::Integer(other))) => one.cmp(other),
        (Some(Value::Real(one)), Some(Value::Real(other))) => one.total_cmp(other),
        (Some(Value::Decimal(one)), Some(Value::Decimal(other))) => one.cmp(other),
        (Some(Value::Text(one)), Some(Value::Text(other))) => match key.kind() {
            FieldType::Decimal { .. } => one.parse::<BigDecimal>().ok().cmp(&other.parse().ok()),
            _ => one.cmp(other),
        },
        (Some(Value::Bool(one)), Some(Value::Bool(other))) => one.cmp(other),
        (Some(Value::DateTime(one)), Some(Value::DateTime(other))) => one.cmp(other),
        (Some(Value::DateTimeNoTz(one)), Some(Value::DateTimeNoTz(other))) => one.cmp(other),
        (Some(Value::Date(one)), Some(Value::Date(other))) => one.cmp(other),
        (Some(Value::Time(one)), Some(Value::Time(other))) => one.cmp(other),
        (Some(Value::Uuid(one)), Some(Value::Uuid(other))) => one.cmp(other),
        _ => Ordering::Equal,
    }
}

/// Returns the fields that order rows without a key. An order reveals values, so the requester must be
/// allowed to see the fields.
fn compared<'a>(compiler: &Compiler<'_>, collection: &'a Collection) -> impl Iterator<Item = &'a Field> {
    let access = compiler.access(collection, RecordAction::View);
    let is_open = move |field: &&Field| match &access {
        Ok(access) => access.as_ref().is_none_or(|access| access.allows(collection, field.name())),
        Err(_) => false,
    };
    let comparable = collection.fields().iter().filter(|field| is_comparable(field) && !field.is_hidden());
    comparable.filter(is_open).take(MAX_COMPARED)
}

fn is_comparable(field: &Field) -> bool {
    !field.kind().is_list() && field.kind() != FieldType::Json
}

/// Returns the engine's row identifier; `None` if it has none, or if columns hide its names.
fn row_name(collection: &Collection, engine: Engine) -> Option<&'static str> {
    let is_free =
        |name: &&&str| collection.fields().iter().all(|field| !field.column().eq_ignore_ascii_case(name));
    engine.row_identifiers().iter().find(is_free).copied()
}

/// Returns a hash of a whole row, which orders rows that no column does: long texts are compared by their
/// beginnings only, and documents have no order.
fn digest(collection: &Collection, column: impl Fn(&str) -> Expr) -> Expr {
    let parts = collection.fields().iter().map(|field| {
        let digest = Func::cust("MD5").arg(column(field.column()));
        Expr::from(Func::coalesce([digest.into(), Expr::val("-")]))
    });
    Func::cust("MD5").arg(Func::cust("CONCAT").args(parts)).into()
}

fn by_field(engine: Engine, statement: &mut SelectStatement, column: Expr, field: &Field, order: Order) {
    let column = collated(engine, column, field);
    // Engines disagree on the place of nulls. Without nulls, the index alone serves the order.
    if field.is_not_null() {
        statement.order_by_expr(column, order);
    } else {
        statement.order_by_expr_with_nulls(column, order, NullOrdering::Last);
    }
}

/// Returns the value of the associated record at a path; of several records, the least value.
fn associated(compiler: &Compiler<'_>, collection: &Collection, path: &str) -> Result<Expr, DataError> {
    let found = path.split_once('.').and_then(|(first, rest)| Some((collection.associated(first)?, rest)));
    let Some((association, rest)) = found else { return Err(collection.unknown(path)) };
    let target = compiler.catalog.target(association)?;
    let mut joins = Joins::new(compiler, target);
    let engine = compiler.namespace.engine;
    let (column, field) = joins.column(rest)?;
    if !is_comparable(field) {
        return Err(value::invalid(field, "JSON documents and lists have no order"));
    }
    let mut value = Statement::select();
    value
        .expr(column.clone())
        .and_where(belongs(compiler, collection, association, target, joins.alias())?)
        .order_by_expr_with_nulls(collated(engine, column, field), Order::Asc, NullOrdering::Last)
        .limit(1);
    if let Some(scope) = compiler.scope(target, RecordAction::View)? {
        value.cond_where(compiler.unguarded().condition(target, Some(joins.alias()), &scope)?);
    }
    joins.add_to(&mut value);
    let value = Expr::SubQuery(None, Box::new(value.into()));
    Ok(match field.kind() {
        FieldType::Decimal { .. } => engine.in_decimal_order(value),
        _ => collated(engine, value, field),
    })
}

/// Returns the condition that a record of the target belongs to the record of the outer statement.
fn belongs(
    compiler: &Compiler<'_>,
    collection: &Collection,
    association: &Association,
    target: &Collection,
    alias: &str,
) -> Result<Expr, DataError> {
    let here = collection.known(read_plan::local_key(association))?;
    let own = Expr::col((table::name(collection, compiler.namespace), here.column().to_owned()));
    let there = |name: &str| -> Result<Expr, DataError> {
        Ok(Expr::col((alias.to_owned(), target.known(name)?.column().to_owned())))
    };
    Ok(match association.kind {
        AssociationKind::BelongsTo => there(&association.target_key)?.eq(own),
        AssociationKind::HasOne | AssociationKind::HasMany => there(&association.foreign_key)?.eq(own),
        AssociationKind::BelongsToMany => {
            let (through, other_key) = compiler.catalog.through(association)?;
            let link = compiler.alias();
            let column = |name: &str| -> Result<_, DataError> {
                Ok((link.clone(), through.known(name)?.column().to_owned()))
            };
            let mut links = Statement::select();
            links
                .column(column(other_key)?)
                .from(table::table(through, compiler.namespace).alias(link.clone()))
                .and_where(Expr::col(column(&association.foreign_key)?).eq(own));
            there(&association.target_key)?.in_subquery(links)
        }
    })
}
