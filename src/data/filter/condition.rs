//! Compiles filters to conditions of SQL statements.

use std::cell::Cell;
use std::sync::Arc;

use sea_query::{Cond, Condition, Expr, ExprTrait, Query as Statement};
use serde_json::Value;

use super::combine::{combine_all, never};
use super::comparison;
use super::{Clock, Filter, Joins, Operator, date_bounds, text};
use crate::data::access::{Guard, RecordAccess, RecordAction};
use crate::data::records::value;
use crate::data::text::check_document;
use crate::data::{Catalog, Collection, DataError, Field, FieldType};
use crate::database::{Namespace, Position};

/// Finds the column that a path leads to.
type FindColumn<'a, 'f> = dyn FnMut(&str) -> Result<(Expr, &'f Field), DataError> + 'a;

/// Compiles filters for one statement: it knows the catalog, the guard and the aliases in use.
pub(in crate::data) struct Compiler<'a> {
    pub(in crate::data) catalog: &'a Catalog,
    pub(in crate::data) namespace: Namespace<'a>,
    guard: Option<&'a dyn Guard>,
    clock: Clock,
    /// Whether conditions may be on hidden fields; only the host's own filters may.
    hidden: bool,
    aliases: Cell<u32>,
}

impl<'a> Compiler<'a> {
    pub(in crate::data) fn new(
        catalog: &'a Catalog,
        namespace: Namespace<'a>,
        guard: Option<&'a dyn Guard>,
        clock: Clock,
    ) -> Self {
        Self { catalog, namespace, guard, clock, hidden: false, aliases: Cell::new(0) }
    }

    /// Allows or forbids conditions on hidden fields.
    pub(in crate::data) fn with_hidden(self, hidden: bool) -> Self {
        Self { hidden, ..self }
    }

    /// Returns a compiler without a guard, for filters that the host enforces and nobody requested.
    pub(in crate::data) fn unguarded(&self) -> Self {
        self.guarded(None)
    }

    /// Returns a compiler with another guard. Its aliases do not collide with those of `self`.
    pub(in crate::data) fn guarded(&self, guard: Option<&'a dyn Guard>) -> Self {
        let first = self.aliases.get() + 1000;
        self.aliases.set(first + 1000);
        Self {
            catalog: self.catalog,
            namespace: self.namespace,
            guard,
            clock: self.clock,
            hidden: self.hidden,
            aliases: Cell::new(first),
        }
    }

    /// Returns an alias that is unique in the statement.
    pub(in crate::data) fn alias(&self) -> String {
        let number = self.aliases.get();
        self.aliases.set(number + 1);
        format!("t{number}")
    }

    /// Returns which fields and records of a collection the guard opens; `None` if it opens all.
    pub(in crate::data) fn access(
        &self,
        collection: &Collection,
        action: RecordAction,
    ) -> Result<Option<RecordAccess>, DataError> {
        let Some(guard) = self.guard else { return Ok(None) };
        match guard.access(collection.name(), action) {
            Some(access) => Ok(Some(access)),
            None => Err(DataError::Forbidden(format!(
                "your roles do not give access to the collection {}",
                collection.name()
            ))),
        }
    }

    /// Returns which records of a collection the guard opens; `None` if it opens all.
    pub(in crate::data) fn scope(
        &self,
        collection: &Collection,
        action: RecordAction,
    ) -> Result<Option<Arc<Filter>>, DataError> {
        let access = self.access(collection, action)?;
        Ok(access.map(|access| access.scope).filter(|scope| **scope != Filter::All))
    }

    /// Checks that the requester may view every field of a path: a filter or a sort order reveals values too.
    pub(in crate::data) fn check_path(&self, collection: &Collection, path: &str) -> Result<(), DataError> {
        let mut collection = collection;
        for step in path.split('.') {
            let access = self.access(collection, RecordAction::View)?;
            if access.is_some_and(|access| !access.allows(collection, step)) {
                return Err(DataError::Forbidden(format!(
                    "your roles do not give access to the field {step} of {}",
                    collection.name()
                )));
            }
            match collection.associated(step) {
                Some(association) => collection = self.catalog.target(association)?,
                // Nobody may search by a hidden field, whatever the roles say.
                None if !self.hidden && collection.get(step).is_some_and(Field::is_hidden) => {
                    return Err(collection.unknown(step));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Compiles a filter to a condition on a collection's table. `qualifier` is the table's alias.
    pub(in crate::data) fn condition(
        &self,
        collection: &Collection,
        qualifier: Option<&str>,
        filter: &Filter,
    ) -> Result<Condition, DataError> {
        if filter.uses_associations(collection) {
            return self.subquery(collection, qualifier, filter);
        }
        self.build(filter, &mut |path| {
            let field = collection.known(path)?;
            Ok((column(qualifier, field), field))
        })
    }

    /// Compiles a filter on associated records to a condition that the record's key is in a subquery.
    fn subquery(
        &self,
        collection: &Collection,
        qualifier: Option<&str>,
        filter: &Filter,
    ) -> Result<Condition, DataError> {
        let mut joins = Joins::new(self, collection);
        let condition = self.build(filter, &mut |path| joins.column(path))?;
        let key = collection.row_key()?;
        let mut fitting = Statement::select();
        fitting.column((joins.alias().to_owned(), key.column().to_owned())).cond_where(condition);
        joins.add_to(&mut fitting);
        Ok(Condition::from(column(qualifier, key).in_subquery(fitting)))
    }

    fn build(&self, filter: &Filter, find: &mut FindColumn<'_, '_>) -> Result<Condition, DataError> {
        match filter {
            Filter::All => Ok(Cond::all()),
            Filter::PathCheck(path) => find(path).map(|_| Cond::all()),
            Filter::Condition(condition) => {
                let (column, field) = find(&condition.path)?;
                if condition.operator == Operator::Col {
                    let Some(other) = condition.value.as_str() else {
                        return Err(value::invalid(field, "$col takes the name of another field"));
                    };
                    let (other, other_field) = find(other)?;
                    return same_value(column, field, other, other_field);
                }
                self.leaf(column, field, condition.operator, &condition.value)
            }
            Filter::And(parts) => self.join(Cond::all, parts, find),
            Filter::Or(parts) if parts.is_empty() => Ok(never()),
            Filter::Or(parts) => self.join(Cond::any, parts, find),
            Filter::Not(inner) => {
                let inner = self.build(inner, find)?;
                Ok(if inner.is_empty() { never() } else { inner.not() })
            }
        }
    }

    fn join(
        &self,
        new: fn() -> Condition,
        parts: &[Filter],
        find: &mut FindColumn<'_, '_>,
    ) -> Result<Condition, DataError> {
        let mut built = Vec::with_capacity(parts.len());
        for part in parts {
            let part = self.build(part, find)?;
            // An empty condition is always true, but OR would drop it.
            built.push(if part.is_empty() { always() } else { part });
        }
        Ok(combine_all(new, built))
    }

    fn leaf(
        &self,
        column: Expr,
        field: &Field,
        operator: Operator,
        given: &Value,
    ) -> Result<Condition, DataError> {
        use Operator as Op;
        let engine = self.namespace.engine;
        let part = |position, wanted| text::substring(engine, column.clone(), field, given, position, wanted);
        match operator {
            Op::Eq | Op::Is | Op::In => comparison::equal(engine, column, field, given, operator == Op::In),
            Op::Ne | Op::Not | Op::NotIn => comparison::different(engine, column, field, given, operator),
            Op::Gt | Op::Gte | Op::Lt | Op::Lte => {
                comparison::compared(engine, column, field, given, operator)
            }
            Op::Between | Op::NotBetween => {
                comparison::within(engine, &column, field, given, operator == Op::Between)
            }
            Op::Includes => part(Position::Anywhere, true),
            Op::NotIncludes => part(Position::Anywhere, false),
            Op::StartsWith => part(Position::Beginning, true),
            Op::NotStartsWith => part(Position::Beginning, false),
            Op::EndWith => part(Position::End, true),
            Op::NotEndWith => part(Position::End, false),
            Op::Like | Op::NotLike => text::like(engine, column, field, given, operator == Op::Like),
            Op::ILike | Op::NotILike => text::ilike(engine, column, field, given, operator == Op::ILike),
            Op::Regexp => text::regex(engine, column, field, given, true, true),
            Op::NotRegexp => text::regex(engine, column, field, given, true, false),
            Op::IRegexp => text::regex(engine, column, field, given, false, true),
            Op::NotIRegexp => text::regex(engine, column, field, given, false, false),
            Op::IsTruly | Op::IsFalsy => boolean(&column, field, given, operator == Op::IsTruly),
            Op::Exists => Ok(Condition::from(column.is_not_null())),
            Op::NotExists => Ok(Condition::from(column.is_null())),
            Op::Empty | Op::NotEmpty => Ok(self.empty(column, field, operator == Op::Empty)),
            Op::Match | Op::NotMatch | Op::AnyOf | Op::NoneOf | Op::ArrayEmpty | Op::ArrayNotEmpty => {
                self.list(column, field, operator, given)
            }
            _ => date_bounds::condition(&column, field, operator, given, self.clock),
        }
    }

    fn empty(&self, column: Expr, field: &Field, wanted: bool) -> Condition {
        if field.kind.is_list() {
            return self.list_length(column, wanted);
        }
        match (field.kind.is_text(), wanted) {
            (true, true) => Cond::any().add(column.clone().is_null()).add(column.eq("")),
            (true, false) => Cond::all().add(column.clone().is_not_null()).add(column.ne("")),
            (false, true) => Condition::from(column.is_null()),
            (false, false) => Condition::from(column.is_not_null()),
        }
    }

    fn list_length(&self, column: Expr, empty: bool) -> Condition {
        let length = self.namespace.engine.array_length(column);
        Condition::from(if empty { length.eq(0) } else { length.gt(0) })
    }

    fn list(
        &self,
        column: Expr,
        field: &Field,
        operator: Operator,
        given: &Value,
    ) -> Result<Condition, DataError> {
        if !field.kind.is_list() {
            return Err(value::invalid(
                field,
                format!("{} is for lists, which this field is not", operator.name()),
            ));
        }
        let engine = self.namespace.engine;
        let values = match given {
            Value::Array(values) => values.clone(),
            other => vec![other.clone()],
        };
        values.iter().try_for_each(|value| check_document(field, value))?;
        if values.iter().any(|value| value.is_array() || value.is_object()) {
            return Err(value::invalid(field, "a list can be searched for texts, numbers and booleans only"));
        }
        let values =
            values.iter().map(|value| value::document(field, value)).collect::<Result<Vec<_>, _>>()?;
        Ok(match operator {
            Operator::Match => Condition::from(engine.array_equals(column, &values)),
            Operator::NotMatch => Condition::from(engine.array_equals(column, &values).not()),
            Operator::AnyOf => Condition::from(engine.array_has_any(column, &values)),
            Operator::NoneOf => {
                Cond::any().add(engine.array_has_any(column.clone(), &values).not()).add(column.is_null())
            }
            other => self.list_length(column, other == Operator::ArrayEmpty),
        })
    }
}

/// Compiles a filter on one collection without a guard.
pub(in crate::data) fn condition(
    catalog: &Catalog,
    namespace: Namespace<'_>,
    collection: &Collection,
    filter: &Filter,
) -> Result<Condition, DataError> {
    Compiler::new(catalog, namespace, None, Clock::utc()).condition(collection, None, filter)
}

fn column(qualifier: Option<&str>, field: &Field) -> Expr {
    match qualifier {
        Some(alias) => Expr::col((alias.to_owned(), field.column().to_owned())),
        None => Expr::col(field.column().to_owned()),
    }
}

/// Returns the condition that two fields have equal values.
fn same_value(column: Expr, field: &Field, other: Expr, other_field: &Field) -> Result<Condition, DataError> {
    check_same_type(field, other_field)?;
    Ok(Condition::from(ExprTrait::eq(column, other)))
}

/// Checks that the values of two fields can be compared with each other.
pub(super) fn check_same_type(field: &Field, other_field: &Field) -> Result<(), DataError> {
    comparison::check_comparable(field)?;
    let (kind, other_kind) = (field.kind(), other_field.kind());
    let alike = kind.is_text() && other_kind.is_text() || kind.is_whole() && other_kind.is_whole();
    if !alike && kind != other_kind || other_field.is_hidden() {
        return Err(value::invalid(field, format!("{} is of another type", other_field.name())));
    }
    Ok(())
}

fn always() -> Condition {
    Condition::from(Expr::val(1).eq(1))
}

fn boolean(column: &Expr, field: &Field, given: &Value, wanted: bool) -> Result<Condition, DataError> {
    Ok(if expects_true(field, given, wanted)? {
        Condition::from(column.clone().eq(true))
    } else {
        Cond::any().add(column.clone().eq(false)).add(column.clone().is_null())
    })
}

/// Whether the operand of `$isTruly` (`wanted`) or `$isFalsy` asks for true values.
pub(super) fn expects_true(field: &Field, given: &Value, wanted: bool) -> Result<bool, DataError> {
    if field.kind != FieldType::Boolean {
        return Err(value::invalid(field, "it is not a boolean"));
    }
    let yes =
        matches!(given, Value::Bool(true)) || given.as_str().is_some_and(|text| matches!(text, "true" | "1"));
    Ok(yes == wanted)
}
