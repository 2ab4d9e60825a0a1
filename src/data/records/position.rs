//! The order of records: places that count from one.

use sea_query::{Expr, ExprTrait, Func, Query as Statement};
use serde_json::Value as Json;

use super::writer::Writer;
use super::{keyed, value};
use crate::data::access::Action;
use crate::data::{Collection, DataError, Field, FieldType, Filter, Generator, Record, table};
use crate::database::Value;

/// Where a record is moved to.
#[derive(Debug, Clone)]
pub struct Move {
    /// The record that is moved, by its key.
    pub source: Json,
    /// The record whose place it takes, by its key.
    pub target: Option<Json>,
    /// Behind that record, and not in its place.
    pub after: bool,
    /// The field that holds the order: `sort`.
    pub field: String,
    /// The order that it changes to: values of the field that divides the records.
    pub scope: Option<Record>,
    /// Before all others.
    pub first: bool,
}

impl Writer<'_> {
    /// The place behind all others that have the same value in the field that divides them.
    pub(super) async fn next_position(
        &mut self,
        collection: &Collection,
        field: &Field,
        scope: Option<(String, Json)>,
    ) -> Result<i64, DataError> {
        let filter = scope.map_or(Filter::All, |(name, value)| Filter::eq(name, value));
        let statement = {
            let compiler = self.compiler().unguarded();
            Statement::select()
                .expr(Func::max(Expr::col(field.column().to_owned())))
                .from(table::table(collection, compiler.namespace))
                .cond_where(compiler.condition(collection, None, &filter)?)
                .to_owned()
        };
        let row = self.transaction.inner.query(&statement).await?.into_iter().next();
        match row.and_then(|row| row.into_values().into_iter().next()) {
            Some(Value::Integer(last)) => Ok(last.saturating_add(1)),
            Some(Value::Null) | None => Ok(1),
            Some(_) => Err(value::unreadable(collection, field.name(), "number")),
        }
    }

    /// Moves a record within an order, or into another.
    pub(in crate::data) async fn move_record(
        &mut self,
        collection: &Collection,
        change: &Move,
    ) -> Result<(), DataError> {
        let field = collection.known(&change.field)?;
        if field.kind() != FieldType::Sort {
            return Err(DataError::Refused(format!("{} holds no order", field.name())));
        }
        self.access(collection, Action::Update)?;
        let scope = match &field.generator {
            Some(Generator::Position { scope }) => scope.clone(),
            _ => None,
        };
        let source = self.placed(collection, &change.source).await?;
        if let Some(target) = &change.target {
            let target = self.placed(collection, target).await?;
            return self.move_beside(collection, field, scope.as_deref(), source, target, change.after).await;
        }
        if let (Some(scope), Some(given)) = (scope.as_deref(), &change.scope) {
            let Some(value) = given.get(scope) else {
                return Err(DataError::Refused(format!("targetScope has no {scope}")));
            };
            if source.get(scope) != Some(value) {
                self.check_settable(collection, scope)?;
                let place =
                    self.next_position(collection, field, Some((scope.to_owned(), value.clone()))).await?;
                let mut changes = Record::from_iter([(scope.to_owned(), value.clone())]);
                changes.insert(field.name().to_owned(), Json::from(place));
                self.place(collection, &source, changes).await?;
            }
        }
        if change.first {
            let before_all = Record::from_iter([(field.name().to_owned(), Json::from(0))]);
            self.place(collection, &source, before_all).await?;
        }
        Ok(())
    }

    /// To move a record into another order is to change the field that divides the orders.
    fn check_settable(&self, collection: &Collection, name: &str) -> Result<(), DataError> {
        match self.access(collection, Action::Update)? {
            Some(access) if !access.may_set(name) => Err(DataError::Forbidden(format!(
                "your roles do not let you set {name} of {}",
                collection.name()
            ))),
            _ => Ok(()),
        }
    }

    /// The record of a key, when whoever asks may change it.
    async fn placed(&mut self, collection: &Collection, key: &Json) -> Result<Record, DataError> {
        let filter = Filter::eq(collection.single_key()?.name(), key.clone());
        let open = match self.access(collection, Action::Update)? {
            Some(access) => filter.and(access.into_scope()),
            None => filter,
        };
        let found = self.whole(collection, open).await?.into_iter().next();
        found.ok_or_else(|| DataError::Refused(format!("{} has no record {key}", collection.name())))
    }

    async fn place(
        &mut self,
        collection: &Collection,
        record: &Record,
        changes: Record,
    ) -> Result<(), DataError> {
        let one = keyed(collection, std::slice::from_ref(record))?;
        self.set(collection, one, &changes).await.map(drop)
    }

    async fn move_beside(
        &mut self,
        collection: &Collection,
        field: &Field,
        scope: Option<&str>,
        source: Record,
        target: Record,
        after: bool,
    ) -> Result<(), DataError> {
        let number = |record: &Record| record.get(field.name()).and_then(Json::as_i64).unwrap_or(0);
        let mut changes = Record::new();
        let mut from = number(&source);
        if let Some(scope) = scope
            && source.get(scope) != target.get(scope)
        {
            self.check_settable(collection, scope)?;
            // It comes in at the end of the other order, and is moved from there.
            let value = target.get(scope).cloned().unwrap_or(Json::Null);
            changes.insert(scope.to_owned(), value.clone());
            from = self.next_position(collection, field, Some((scope.to_owned(), value))).await?;
        }
        let to = number(&target) + i64::from(after);
        let (between, step) = if to > from {
            (
                Filter::greater(field.name(), from).and(Filter::on(
                    field.name(),
                    crate::data::Operator::Lte,
                    to,
                )),
                -1,
            )
        } else {
            (
                Filter::less(field.name(), from).and(Filter::on(
                    field.name(),
                    crate::data::Operator::Gte,
                    to,
                )),
                1,
            )
        };
        let same = scope
            .map_or(Filter::All, |scope| Filter::eq(scope, target.get(scope).cloned().unwrap_or(Json::Null)));
        let statement = {
            let compiler = self.compiler().unguarded();
            let column = Expr::col(field.column().to_owned());
            Statement::update()
                .table(table::table(collection, compiler.namespace))
                .value(field.column().to_owned(), column.add(step))
                .cond_where(compiler.condition(collection, None, &between.and(same))?)
                .to_owned()
        };
        self.transaction.inner.execute(&statement).await?;
        changes.insert(field.name().to_owned(), Json::from(to));
        self.place(collection, &source, changes).await
    }
}
