//! Counts, sums and other aggregates of records, by groups.

use bigdecimal::BigDecimal;
use chrono::Offset as _;
use sea_query::{Expr, Func, NullOrdering, Order, Query as Statement, SelectStatement};
use serde_json::Value as Json;

use super::number::{self, Representation};
use super::read::page;
use super::value;
use crate::data::access::RecordAction;
use crate::data::filter::{Clock, Compiler, Joins, collated, compare};
use crate::data::{Catalog, Collection, DataError, Field, FieldType, Filter, Operator, Query, Record};
use crate::database::{DatabaseError, Engine, Executor, Refusal, StoredMoment, Value};

/// Default limit of groups in a response.
const DEFAULT_GROUPS: u64 = 2000;
/// Upper limit of groups in a response.
const MAX_GROUPS: u64 = 100_000;

/// Digits of an exact sum, in total and after the point.
const MAX_DIGITS: (u32, u32) = (65, 30);
/// Limit of measures and dimensions in one query: PostgreSQL returns 1,664 columns, SQLite 2,000.
const MAX_COLUMNS: usize = 1000;

/// An aggregating query.
#[derive(Debug, Clone, Default)]
pub struct Aggregation {
    /// The aggregates to compute.
    pub measures: Vec<Measure>,
    /// The values that divide the records into groups.
    pub dimensions: Vec<Dimension>,
    /// The order of the groups.
    pub orders: Vec<GroupOrder>,
    /// Which groups are returned: conditions on the names of measures and dimensions.
    pub having: Filter,
    /// How many groups are returned at most.
    pub limit: Option<u64>,
    /// How many groups are skipped first.
    pub offset: u64,
}

/// An aggregate function over the values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// The number of values.
    Count,
    /// The sum.
    Sum,
    /// The average.
    Average,
    /// The least value.
    Minimum,
    /// The greatest value.
    Maximum,
}

impl Function {
    /// Returns the function of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "avg" => Self::Average,
            "min" => Self::Minimum,
            "max" => Self::Maximum,
            _ => return None,
        })
    }
}

/// An aggregate of a group.
#[derive(Debug, Clone)]
pub struct Measure {
    /// The path of the field, through associations.
    pub path: String,
    /// The function; without one, the value itself.
    pub function: Option<Function>,
    /// Whether equal values count once.
    pub distinct: bool,
    /// The name in the response.
    pub alias: String,
}

/// A value that divides the records into groups.
#[derive(Debug, Clone)]
pub struct Dimension {
    /// The path of the field, through associations.
    pub path: String,
    /// A format for dates and times, such as `YYYY-MM`.
    pub format: Option<String>,
    /// The name in the response.
    pub alias: String,
}

/// A sort key of groups.
#[derive(Debug, Clone)]
pub struct GroupOrder {
    /// The name of a measure or a dimension, or a field.
    pub name: String,
    /// Whether the greatest value comes first.
    pub descending: bool,
    /// Whether groups without a value come first; by default, only in descending order.
    pub nulls_first: Option<bool>,
}

/// A column of the response.
struct OutputColumn<'a> {
    alias: String,
    path: String,
    expression: Expr,
    field: &'a Field,
    function: Option<Function>,
    is_formatted: bool,
}

/// Computes aggregates of the records that match a query.
pub(in crate::data) async fn aggregate<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    collection: &Collection,
    query: &Query,
    wanted: &Aggregation,
) -> Result<Vec<Record>, DataError> {
    if wanted.measures.is_empty() && wanted.dimensions.is_empty() {
        return Err(DataError::Refused(
            "the query has neither measures nor dimensions: give at least one".to_owned(),
        ));
    }
    if wanted.measures.len() + wanted.dimensions.len() > MAX_COLUMNS {
        return Err(DataError::Refused(format!(
            "a query has at most {MAX_COLUMNS} measures and dimensions together"
        )));
    }
    let (columns, statement) = {
        let compiler = super::read_plan::compiler(executor, catalog, query);
        let columns_and_statement = statement(&compiler, collection, query, wanted)?;
        let (columns, statement) = columns_and_statement;
        let kept: Vec<(String, Field, Option<Function>, bool)> = columns
            .into_iter()
            .map(|column| (column.alias, column.field.clone(), column.function, column.is_formatted))
            .collect();
        (kept, statement)
    };
    let rows = executor.query(&statement).await.map_err(|error| out_of_range(error, wanted))?;
    rows.into_iter()
        .map(|row| {
            let values = columns.iter().zip(row.into_values());
            values
                .map(|((alias, field, function, is_formatted), stored)| {
                    Ok((alias.clone(), group_value(collection, field, *function, *is_formatted, stored)?))
                })
                .collect()
        })
        .collect()
}

/// Converts an error of the engine. If a number is out of range, names the summed fields, which the engine
/// does not.
fn out_of_range(error: DatabaseError, wanted: &Aggregation) -> DataError {
    if !matches!(error, DatabaseError::Refused(Refusal::OutOfRange { .. })) {
        return error.into();
    }
    let is_summed = |measure: &&Measure| matches!(measure.function, Some(Function::Sum | Function::Average));
    let summed: Vec<&str> = wanted.measures.iter().filter(is_summed).map(|measure| &*measure.path).collect();
    if summed.is_empty() {
        return error.into();
    }
    DataError::Invalid {
        field: summed.join(", "),
        problem: "the sum of the values is out of the range of its type".to_owned(),
    }
}

fn statement<'a>(
    compiler: &'a Compiler<'a>,
    collection: &'a Collection,
    query: &Query,
    wanted: &Aggregation,
) -> Result<(Vec<OutputColumn<'a>>, SelectStatement), DataError> {
    let engine = compiler.namespace.engine;
    let mut joins = Joins::new(compiler, collection);
    let columns = columns(compiler, collection, &mut joins, query.clock, wanted)?;
    let mut statement = Statement::select();
    for column in &columns {
        statement.expr(column.expression.clone());
    }
    let aggregated = columns.iter().any(|column| column.function.is_some());
    let base = joins.alias().to_owned();
    for path in query.filter.paths() {
        compiler.check_path(collection, path)?;
    }
    statement.cond_where(compiler.condition(collection, Some(&base), &query.filter)?);
    if let Some(scope) = compiler.scope(collection, RecordAction::View)? {
        statement.cond_where(compiler.unguarded().condition(collection, Some(&base), &scope)?);
    }
    if aggregated {
        for (index, column) in columns.iter().enumerate() {
            if column.function.is_none() {
                statement.add_group_by([ordinal(index)]);
            }
        }
    }
    having(engine, &mut statement, &columns, &wanted.having)?;
    let mut ordered = Vec::new();
    for order in &wanted.orders {
        let index = columns.iter().position(|column| column.alias == order.name || column.path == order.name);
        let expression = match index {
            Some(index) => columns.get(index).map(|column| column.expression.clone()),
            None if aggregated => None,
            None => {
                compiler.check_path(collection, &order.name)?;
                let (column, field) = joins.column(&order.name)?;
                Some(collated(engine, column, field))
            }
        };
        let Some(expression) = expression else {
            return Err(DataError::Refused(format!("{} is neither a measure nor a dimension", order.name)));
        };
        let (direction, nulls_first) = match order.descending {
            false => (Order::Asc, order.nulls_first.unwrap_or(false)),
            true => (Order::Desc, order.nulls_first.unwrap_or(true)),
        };
        let nulls = if nulls_first { NullOrdering::First } else { NullOrdering::Last };
        let by = match index {
            Some(index) => order_term(engine, index, expression),
            None => expression,
        };
        statement.order_by_expr_with_nulls(by, direction, nulls);
        ordered.extend(index);
    }
    add_tiebreakers(&mut statement, engine, &columns, &ordered);
    if !aggregated || !wanted.dimensions.is_empty() {
        page(&mut statement, Some(wanted.limit.unwrap_or(DEFAULT_GROUPS).min(MAX_GROUPS)), wanted.offset);
    }
    joins.add_to(&mut statement);
    Ok((columns, statement))
}

/// Sorts groups that compare equal in the requested order by the other dimensions. Groups without a value
/// come first, as in engines that group by sorting.
fn add_tiebreakers(
    statement: &mut SelectStatement,
    engine: Engine,
    columns: &[OutputColumn<'_>],
    ordered: &[usize],
) {
    for (index, column) in columns.iter().enumerate() {
        if column.function.is_none() && !ordered.contains(&index) {
            let by = order_term(engine, index, column.expression.clone());
            statement.order_by_expr_with_nulls(by, Order::Asc, NullOrdering::First);
        }
    }
}

/// Returns the sort key of a column: its ordinal, so that its bound values are not repeated. MySQL needs the
/// expression to sort nulls.
fn order_term(engine: Engine, index: usize, expression: Expr) -> Expr {
    if engine == Engine::Mysql { expression } else { ordinal(index) }
}

/// Returns the ordinal of a column for `GROUP BY` and `ORDER BY`.
fn ordinal(index: usize) -> Expr {
    Expr::cust((index + 1).to_string())
}

fn columns<'a>(
    compiler: &Compiler<'a>,
    collection: &'a Collection,
    joins: &mut Joins<'a>,
    clock: Clock,
    wanted: &Aggregation,
) -> Result<Vec<OutputColumn<'a>>, DataError> {
    let engine = compiler.namespace.engine;
    let mut columns = Vec::with_capacity(wanted.measures.len() + wanted.dimensions.len());
    for measure in &wanted.measures {
        compiler.check_path(collection, &measure.path)?;
        let (column, field) = joins.column(&measure.path)?;
        let expression = match measure.function {
            Some(function) => apply(engine, function, column, field, measure.distinct)?,
            None => collated(engine, column, field),
        };
        columns.push(OutputColumn {
            alias: measure.alias.clone(),
            path: measure.path.clone(),
            expression,
            field,
            function: measure.function,
            is_formatted: false,
        });
    }
    for dimension in &wanted.dimensions {
        compiler.check_path(collection, &dimension.path)?;
        let (column, field) = joins.column(&dimension.path)?;
        if matches!(field.kind(), FieldType::Json | FieldType::Array | FieldType::Set) {
            return Err(value::invalid(field, "JSON documents and lists cannot be dimensions"));
        }
        let stored = match &dimension.format {
            Some(format) => Some((
                format,
                stored_moment(field).ok_or_else(|| {
                    value::invalid(field, "it is neither a date nor a time, which a format requires")
                })?,
            )),
            None => None,
        };
        let is_formatted = stored.is_some();
        let expression = match stored {
            Some((format, stored)) => {
                let minutes = clock.timezone.fix().local_minus_utc() / 60;
                let formatted = engine.format_moment(column, stored, format, minutes);
                engine.in_text_order(formatted.map_err(|error| DataError::Refused(error.to_string()))?)
            }
            None => collated(engine, column, field),
        };
        let (alias, path) = (dimension.alias.clone(), dimension.path.clone());
        columns.push(OutputColumn { alias, path, expression, field, function: None, is_formatted });
    }
    Ok(columns)
}

fn stored_moment(field: &Field) -> Option<StoredMoment> {
    Some(match field.kind() {
        FieldType::DateTime => StoredMoment::Moment,
        FieldType::DateTimeNoTz => StoredMoment::NoTz,
        FieldType::DateOnly => StoredMoment::Date,
        FieldType::Time => StoredMoment::Time,
        FieldType::UnixTimestamp { milliseconds: false } => StoredMoment::UnixSeconds,
        FieldType::UnixTimestamp { milliseconds: true } => StoredMoment::UnixMilliseconds,
        _ => return None,
    })
}

fn apply(
    engine: Engine,
    function: Function,
    column: Expr,
    field: &Field,
    distinct: bool,
) -> Result<Expr, DataError> {
    let is_exact = is_exact(field);
    let is_number = is_exact || matches!(field.kind(), FieldType::Float | FieldType::Double);
    if matches!(function, Function::Sum | Function::Average) && !is_number {
        return Err(value::invalid(field, "only numbers can be summed"));
    }
    let comparable = !matches!(
        field.kind(),
        FieldType::Json | FieldType::Array | FieldType::Set | FieldType::Boolean | FieldType::Uuid
    );
    if matches!(function, Function::Minimum | Function::Maximum) && !comparable {
        return Err(value::invalid(field, "its values have neither a minimum nor a maximum"));
    }
    let ordered = |found: Expr| match field.kind() {
        FieldType::Decimal { .. } => engine.in_decimal_order(found),
        _ => found,
    };
    Ok(match (function, distinct) {
        (Function::Count, false) => Func::count(column).into(),
        (Function::Count, true) => Func::count_distinct(column).into(),
        (Function::Sum | Function::Average, true) => {
            return Err(DataError::Refused("distinct is for count only".to_owned()));
        }
        (Function::Sum, false) => engine.sum(column, is_exact && !has_whole_sum(engine, field)),
        (Function::Average, false) => engine.average(column, is_exact),
        (Function::Minimum, _) => ordered(Func::min(collated(engine, column, field)).into()),
        (Function::Maximum, _) => ordered(Func::max(collated(engine, column, field)).into()),
    })
}

/// Whether the values of a field are exact, and so are their sum and average.
fn is_exact(field: &Field) -> bool {
    field.kind().is_whole() || matches!(field.kind(), FieldType::Decimal { .. })
}

/// Whether the engine sums the field in 64 bits, however many values there are.
fn has_whole_sum(engine: Engine, field: &Field) -> bool {
    engine != Engine::Mysql && field.kind() == FieldType::Integer
}

fn having(
    engine: Engine,
    statement: &mut SelectStatement,
    columns: &[OutputColumn<'_>],
    filter: &Filter,
) -> Result<(), DataError> {
    let parts = match filter {
        Filter::All => return Ok(()),
        Filter::And(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    for part in parts {
        let condition = having_part(engine, columns, part)?;
        statement.cond_having(condition);
    }
    Ok(())
}

fn having_part(
    engine: Engine,
    columns: &[OutputColumn<'_>],
    filter: &Filter,
) -> Result<sea_query::Condition, DataError> {
    let all = |parts: &[Filter], mut condition: sea_query::Condition| {
        for part in parts {
            condition = condition.add(having_part(engine, columns, part)?);
        }
        Ok(condition)
    };
    let condition = match filter {
        Filter::And(parts) => return all(parts, sea_query::Cond::all()),
        Filter::Or(parts) => return all(parts, sea_query::Cond::any()),
        Filter::Condition(condition) => condition,
        Filter::All | Filter::PathCheck(_) | Filter::Not(_) => {
            return Err(DataError::Refused("having takes conditions on measures".to_owned()));
        }
    };
    let column = columns.iter().find(|column| column.alias == condition.path && !column.is_formatted);
    let Some(column) = column else {
        return Err(DataError::Refused(format!("having: there is no measure {}", condition.path)));
    };
    match condition.operator {
        Operator::Eq | Operator::Ne | Operator::Gt | Operator::Gte | Operator::Lt | Operator::Lte => {}
        other => return Err(DataError::Refused(format!("having does not support {}", other.name()))),
    }
    let given = having_operand(engine, column, &condition.value)?;
    Ok(sea_query::Condition::from(compare(column.expression.clone(), given, condition.operator)))
}

/// Converts the operand of a condition on a group.
fn having_operand(
    engine: Engine,
    column: &OutputColumn<'_>,
    given: &Json,
) -> Result<Representation<Expr>, DataError> {
    let no_number = || DataError::Refused(format!("having: {given} is not a number"));
    let value = |value: Value| Expr::val(sea_query::Value::from(value));
    let field = column.field;
    match column.function {
        Some(Function::Sum | Function::Average) if !is_exact(field) => {
            let number = number::double(given).ok_or_else(no_number)?;
            Ok(Representation::Exact(value(Value::Real(number))))
        }
        Some(Function::Sum) if !has_whole_sum(engine, field) => {
            having_decimal(engine, given).ok_or_else(no_number)
        }
        Some(Function::Average) => having_decimal(engine, given).ok_or_else(no_number),
        Some(Function::Count | Function::Sum) => {
            let held = number::represent_integer(given, i64::MIN, i64::MAX).ok_or_else(no_number)?;
            Ok(held.map(|number| value(Value::Integer(number))))
        }
        Some(Function::Minimum | Function::Maximum) | None => value::operand(engine, field, given),
    }
}

/// Converts the operand of a condition on an exact sum or average; no engine computes more digits.
fn having_decimal(engine: Engine, given: &Json) -> Option<Representation<Expr>> {
    let (precision, scale) = MAX_DIGITS;
    let held = number::represent_decimal(given, precision, scale)?;
    Some(held.map(|number| engine.decimal(number, precision, scale)))
}

/// Converts a value of the response: a JSON number if clients read it exactly, else a text.
fn group_value(
    collection: &Collection,
    field: &Field,
    function: Option<Function>,
    is_formatted: bool,
    stored: Value,
) -> Result<Json, DataError> {
    let exact = |number: &BigDecimal| match (function, field.kind()) {
        (Some(Function::Average), FieldType::Decimal { scale, .. }) => number::average_to_json(number, scale),
        (Some(Function::Average), _) => number::average_to_json(number, 0),
        _ => number::exact_to_json(number),
    };
    let number = |stored: Value| match stored {
        Value::Integer(number) => Some(value::whole_to_json(number)),
        Value::Decimal(number) => Some(exact(&number)),
        Value::Text(text) => Some(exact(&text.parse().ok()?)),
        other => value::real_to_json(other),
    };
    let unreadable = || value::unreadable(collection, field.name(), "number");
    match (function, stored) {
        (_, Value::Null) => Ok(Json::Null),
        (None, Value::Text(text)) if is_formatted => Ok(Json::String(text)),
        (Some(Function::Count | Function::Sum | Function::Average), stored) => {
            number(stored).ok_or_else(unreadable)
        }
        (_, stored) if matches!(field.kind(), FieldType::Decimal { .. }) => {
            number(stored).ok_or_else(unreadable)
        }
        (_, stored) => value::to_json(collection, field, stored),
    }
}
