//! The order of records: places that count from one, of which no two records have the same.

use std::cmp::Ordering;
use std::sync::Arc;

use sea_query::{CaseStatement, Expr, ExprTrait, Func, Query as Statement};
use serde_json::Value as Json;

use super::writer::Writer;
use super::{keyed, value};
use crate::data::access::Action;
use crate::data::places::{Order, OrderName};
use crate::data::{
    Collection, DataError, Field, FieldType, Filter, Generator, Operator, Query, Record, Sort, table,
};
use crate::database::{DatabaseError, Value};

/// Records that one statement gives places of their own.
const PLACES_AT_ONCE: usize = 500;

/// Places of a unique field are moved only where they are nearer to zero than this.
const NEAR: i64 = 1 << 60;
/// How far such places go aside while others move: behind all that are near.
const ASIDE: i64 = 1 << 61;
/// Where the record that is moved waits meanwhile.
const WAITING: i64 = 1 << 62;

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
    /// Before all others of the order that it changes to, and not behind them.
    pub prepend: bool,
    /// Before all others, wherever else it would go.
    pub sticky: bool,
}

/// An order, as records are moved in it.
struct Line<'a> {
    collection: &'a Collection,
    field: &'a Field,
    /// The field that divides the records, with what they have in it.
    scope: Option<(&'a str, Json)>,
    order: Arc<Order>,
}

impl Line<'_> {
    fn filter(&self) -> Filter {
        self.scope.as_ref().map_or(Filter::All, |(name, value)| Filter::eq(*name, value.clone()))
    }

    /// The records whose places a move beside another one has to do with.
    fn between(&self, moved: &Moved, target: &Record) -> Filter {
        let name = self.field.name();
        let Some(to) = self.place_of(target) else { return Filter::All };
        let Some(from) = self.place_of(&moved.record).filter(|_| !moved.comes_in) else {
            return Filter::on(name, Operator::Gte, to);
        };
        let [low, high] = if from < to { [from, to] } else { [to, from] };
        Filter::on(name, Operator::Gte, low).and(Filter::on(name, Operator::Lte, high))
    }

    fn place_of(&self, record: &Record) -> Option<i64> {
        // Numbers that JavaScript would round are shown as texts.
        let shown = record.get(self.field.name())?;
        shown.as_i64().or_else(|| shown.as_str()?.parse().ok())
    }
}

/// A record on its way.
struct Moved {
    record: Record,
    /// Whether it comes from another order.
    comes_in: bool,
    to: Destination,
}

enum Destination {
    First,
    Last,
    /// In the place of this record, or behind it.
    Beside {
        target: Record,
        after: bool,
    },
}

/// What is known of the places of an order.
struct Standing {
    /// Each record has one, and no other has the same.
    are_distinct: bool,
    least: Option<i64>,
}

/// The fields that hold an order, each with the field that divides it.
pub(super) fn orders(collection: &Collection) -> impl Iterator<Item = (&Field, Option<&str>)> {
    collection.fields().iter().filter_map(|field| match &field.generator {
        Some(Generator::Position { scope }) => Some((field, scope.as_deref())),
        _ => None,
    })
}

/// A failure to write places that were taken off their orders. Where another record has one already, somebody
/// gave it that place meanwhile: what failed is done again, when that is seen.
pub(super) fn of_place_taken(error: DataError, taken: &[(&Field, Arc<Order>)]) -> DataError {
    let DataError::Database(DatabaseError::Unique { columns }) = &error else { return error };
    let Some((field, order)) =
        taken.iter().find(|(field, _)| columns.iter().any(|name| name == field.column()))
    else {
        return error;
    };
    order.set_stale();
    DatabaseError::Conflict(format!("a place of {} was given to another record", field.name())).into()
}

/// Whether nobody but this transaction has an order: whoever else has may have taken places of it that
/// are not to be seen yet.
fn is_alone(order: &Arc<Order>) -> bool {
    // The memory, the transaction, and who asks.
    Arc::strong_count(order) <= 3
}

impl Writer<'_> {
    /// The place behind all others that have the same value in the field that divides them.
    pub(super) async fn next_position(
        &mut self,
        collection: &Collection,
        field: &Field,
        scope: Option<(&str, &Json)>,
    ) -> Result<(i64, Arc<Order>), DataError> {
        let order = self.order(collection, field, scope).await?;
        let before = order.last();
        let place = match order.take(1) {
            // The record that had the last place may have got another one.
            Err(_) if is_alone(&order) => {
                let last = self.last_place(collection, field, scope).await?;
                order.end_at(last, before);
                order.take(1)
            }
            taken => taken,
        };
        Ok((place?, order))
    }

    /// Keeps in mind the places that records are given by whoever writes them.
    pub(super) fn note_places(
        &mut self,
        collection: &Collection,
        records: &[Record],
        changes: &Record,
    ) -> Result<(), DataError> {
        for (field, scope) in orders(collection) {
            let Some(given) = changes.get(field.name()) else { continue };
            let place = value::to_storage(field, given)?;
            for record in records {
                let scope =
                    scope.and_then(|scope| Some((scope, changes.get(scope).or_else(|| record.get(scope))?)));
                self.note_place(collection, field, scope, &place)?;
            }
        }
        Ok(())
    }

    /// Keeps in mind that a record is given this place, or none.
    pub(super) fn note_place(
        &mut self,
        collection: &Collection,
        field: &Field,
        scope: Option<(&str, &Json)>,
        place: &Value,
    ) -> Result<(), DataError> {
        let name = self.order_name(collection, field, scope)?;
        let place = if let Value::Integer(place) = place { Some(*place) } else { None };
        self.transaction.order(name).give(place);
        Ok(())
    }

    fn order_name(
        &self,
        collection: &Collection,
        field: &Field,
        scope: Option<(&str, &Json)>,
    ) -> Result<OrderName, DataError> {
        let scope = match scope {
            Some((name, given)) => {
                let divides = collection.known(name)?;
                // As it is stored: what is written in several ways is the same.
                let stored = match given {
                    Json::Null => Value::Null,
                    given => value::to_storage(divides, given)?,
                };
                Some((divides.column().to_owned(), format!("{stored:?}")))
            }
            None => None,
        };
        let table = table::name(collection, self.transaction.inner.namespace());
        Ok(OrderName { table, column: field.column().to_owned(), scope })
    }

    /// An order whose last place is known.
    async fn order(
        &mut self,
        collection: &Collection,
        field: &Field,
        scope: Option<(&str, &Json)>,
    ) -> Result<Arc<Order>, DataError> {
        let name = self.order_name(collection, field, scope)?;
        let order = self.transaction.order(name);
        order
            .read
            .get_or_try_init(|| async {
                order.raise(self.last_place(collection, field, scope).await?);
                Ok::<_, DataError>(())
            })
            .await?;
        if order.take_stale() {
            order.raise(self.last_place(collection, field, scope).await?);
        }
        Ok(order)
    }

    async fn last_place(
        &mut self,
        collection: &Collection,
        field: &Field,
        scope: Option<(&str, &Json)>,
    ) -> Result<i64, DataError> {
        let filter = scope.map_or(Filter::All, |(name, value)| Filter::eq(name, value.clone()));
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
            Some(Value::Integer(last)) => Ok(last),
            Some(Value::Null) | None => Ok(0),
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
            Some(Generator::Position { scope }) => scope.as_deref(),
            _ => None,
        };
        let record = self.placed(collection, &change.source).await?;
        let target = match &change.target {
            Some(target) => Some(self.placed(collection, target).await?),
            None => None,
        };
        let has = |record: &Record| scope.map(|scope| record.get(scope).cloned().unwrap_or(Json::Null));
        let own = has(&record);
        let wanted = match (scope, &change.scope) {
            (Some(scope), Some(given)) => {
                let others = given.keys().any(|name| name != scope);
                let given = given
                    .get(scope)
                    .filter(|_| !others)
                    .ok_or_else(|| DataError::Refused(format!("targetScope has {scope} and nothing else")))?;
                Some(collection.known(scope)?.check(given)?)
            }
            (None, Some(_)) => {
                let field = field.name();
                return Err(DataError::Refused(format!(
                    "{field} is one order: there is no targetScope in it"
                )));
            }
            _ => None,
        };
        let into = wanted.or_else(|| target.as_ref().and_then(has)).or_else(|| own.clone());
        let comes_in = into != own;
        let prepended = change.prepend && target.is_none();
        let target = target.filter(|target| has(target) == into);
        let to = match target {
            _ if change.sticky || prepended => Destination::First,
            Some(target) => Destination::Beside { target, after: change.after },
            None if comes_in => Destination::Last,
            None => return Ok(()),
        };
        if let Some(scope) = scope.filter(|_| comes_in) {
            self.check_settable(collection, scope)?;
        }
        let scope = scope.zip(into);
        let order = self.order(collection, field, scope.as_ref().map(|(name, value)| (*name, value))).await?;
        let line = Line { collection, field, scope, order };
        let moved = self.move_in(&line, Moved { record, comes_in, to }).await;
        moved.map_err(|error| of_place_taken(error, &[(field, line.order)]))
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
        match self.whole(collection, open).await?.into_iter().next() {
            Some(found) => Ok(found),
            None => Err(self.refusal(collection, collection.single_key()?.name(), key).await),
        }
    }

    /// Moves a record to its place among those of an order.
    async fn move_in(&mut self, line: &Line<'_>, moved: Moved) -> Result<(), DataError> {
        let standing = self.standing(line, &moved).await?;
        if !standing.are_distinct {
            return self.renumber(line, moved).await;
        }
        let place = match &moved.to {
            Destination::Last => line.order.take(1)?,
            Destination::First => match standing.least {
                Some(least) if !moved.comes_in && line.place_of(&moved.record) == Some(least) => {
                    return Ok(());
                }
                Some(least) => std::cmp::min(least.saturating_sub(1), 0),
                None => 0,
            },
            Destination::Beside { target, .. } if *target == moved.record => return Ok(()),
            Destination::Beside { target, after } => {
                let (from, is_before) = match line.place_of(&moved.record) {
                    Some(from) if !moved.comes_in => (from, Some(from) < line.place_of(target)),
                    _ => (line.order.take(1)?, false),
                };
                let taken = line.place_of(target).unwrap_or(from);
                // Who drags a record down sees it behind the other one, and who drags it up before it.
                let to = match (is_before, *after) {
                    (true, _) | (false, false) => taken,
                    (false, true) => taken.saturating_add(1),
                };
                if line.field.is_unique() {
                    if [from, to].iter().any(|place| !(-NEAR..NEAR).contains(place)) {
                        return self.renumber(line, moved).await;
                    }
                    self.put(line, &moved, WAITING).await?;
                }
                self.shift(line, from, to).await?;
                to
            }
        };
        self.put(line, &moved, place).await
    }

    /// Looks at the places of an order: at all of them, or where they are known to be distinct, at those alone
    /// that a move has to do with.
    async fn standing(&mut self, line: &Line<'_>, moved: &Moved) -> Result<Standing, DataError> {
        let (given, is_alone) = (line.order.given(), is_alone(&line.order));
        let is_known = line.order.is_distinct();
        let concerned = match &moved.to {
            Destination::Last if is_known => return Ok(Standing { are_distinct: true, least: None }),
            Destination::Beside { target, .. } if is_known => line.between(moved, target),
            _ => Filter::All,
        };
        let statement = {
            let compiler = self.compiler().unguarded();
            let place = || Expr::col(line.field.column().to_owned());
            let counts = match is_known && concerned == Filter::All {
                true => [Expr::val(0), Expr::val(0)],
                false => {
                    [Func::count(Expr::col(sea_query::Asterisk)).into(), Func::count_distinct(place()).into()]
                }
            };
            Statement::select()
                .exprs(counts)
                .expr(Func::min(place()))
                .from(table::table(line.collection, compiler.namespace))
                .cond_where(compiler.condition(line.collection, None, &line.filter().and(concerned))?)
                .to_owned()
        };
        let row = self.transaction.inner.query(&statement).await?.into_iter().next();
        let values = row.map(crate::database::Row::into_values).unwrap_or_default();
        let [all, distinct, least] = values.as_slice() else {
            return Err(value::unreadable(line.collection, line.field.name(), "number"));
        };
        let are_distinct = all == distinct;
        if are_distinct && is_alone {
            line.order.set_distinct(given);
        }
        Ok(Standing {
            are_distinct,
            least: if let Value::Integer(least) = least { Some(*least) } else { None },
        })
    }

    /// Makes room at a place: what is between it and another place, which becomes free, moves by one. Places
    /// of a unique field go aside together first: one after the other, each would meet the next one.
    async fn shift(&mut self, line: &Line<'_>, from: i64, to: i64) -> Result<(), DataError> {
        let (low, high, step) = match to.cmp(&from) {
            Ordering::Greater => (from + 1, to, -1),
            Ordering::Less => (to, from - 1, 1),
            Ordering::Equal => return Ok(()),
        };
        if !line.field.is_unique() {
            return self.add_to_places(line, (low, high), step).await;
        }
        self.add_to_places(line, (low, high), ASIDE).await?;
        self.add_to_places(line, (low + ASIDE, high + ASIDE), step - ASIDE).await
    }

    /// Moves all that is between two places by so much.
    async fn add_to_places(
        &mut self,
        line: &Line<'_>,
        (low, high): (i64, i64),
        step: i64,
    ) -> Result<(), DataError> {
        let name = line.field.name();
        let between = Filter::on(name, Operator::Gte, low).and(Filter::on(name, Operator::Lte, high));
        let statement = {
            let compiler = self.compiler().unguarded();
            let column = Expr::col(line.field.column().to_owned());
            Statement::update()
                .table(table::table(line.collection, compiler.namespace))
                .value(line.field.column().to_owned(), column.add(step))
                .cond_where(compiler.condition(line.collection, None, &between.and(line.filter()))?)
                .to_owned()
        };
        self.transaction.inner.execute(&statement).await?;
        Ok(())
    }

    async fn put(&mut self, line: &Line<'_>, moved: &Moved, place: i64) -> Result<(), DataError> {
        let mut changes = Record::from_iter([(line.field.name().to_owned(), Json::from(place))]);
        if let Some((scope, value)) = line.scope.as_ref().filter(|_| moved.comes_in) {
            changes.insert((*scope).to_owned(), value.clone());
        }
        let one = keyed(line.collection, std::slice::from_ref(&moved.record))?;
        self.set(line.collection, one, &changes).await.map(drop)
    }

    /// Moves a record where places are missing, or several records have the same: all get new ones, in
    /// the order in which they are listed.
    async fn renumber(&mut self, line: &Line<'_>, moved: Moved) -> Result<(), DataError> {
        let before = line.order.last();
        let is_alone = is_alone(&line.order);
        let mut rows = self.in_line(line).await?;
        let key = line.collection.single_key()?.name();
        let at = |rows: &[Record], one: &Record| rows.iter().position(|row| row.get(key) == one.get(key));
        let from = at(&rows, &moved.record);
        let to = match &moved.to {
            Destination::Beside { target, after } => {
                let to = at(&rows, target).unwrap_or(rows.len());
                to + usize::from(*after && from.is_none_or(|from| from > to))
            }
            Destination::First => 0,
            Destination::Last => rows.len(),
        };
        if let Some(from) = from {
            rows.remove(from);
        }
        let to = to.min(rows.len());
        rows.insert(to, moved.record.clone());
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        // The places of a unique field may be those of others until they are given up.
        let is_free = is_alone && !line.field.is_unique() && line.order.end_at(count, before);
        let first = if is_free { 1 } else { line.order.take(rows.len())? };
        let placed = (first..).zip(rows).enumerate().filter(|(at, _)| *at != to).map(|(_, placed)| placed);
        let changed: Vec<(i64, Record)> =
            placed.filter(|(place, row)| line.place_of(row) != Some(*place)).collect();
        for changed in changed.chunks(PLACES_AT_ONCE) {
            self.give_places(line, changed).await?;
        }
        self.put(line, &moved, first.saturating_add(i64::try_from(to).unwrap_or(i64::MAX))).await
    }

    /// The records of an order as they are listed: their keys and places.
    async fn in_line(&mut self, line: &Line<'_>) -> Result<Vec<Record>, DataError> {
        let (name, key) = (line.field.name(), line.collection.single_key()?.name());
        let mut names: Vec<&str> = line.collection.row_keys()?.into_iter().map(Field::name).collect();
        names.extend([name, key]);
        let sort = vec![Sort::ascending(name)];
        let query = Query { sort, lock: true, ..Query::filter(line.filter()).fields(&names) };
        let catalog = Arc::clone(&self.catalog);
        super::find(&mut &mut self.transaction.inner, &catalog, line.collection, &query).await
    }

    async fn give_places(&mut self, line: &Line<'_>, placed: &[(i64, Record)]) -> Result<(), DataError> {
        let statement = {
            let compiler = self.compiler().unguarded();
            let mut places = CaseStatement::new();
            for (place, row) in placed {
                let one = keyed(line.collection, std::slice::from_ref(row))?;
                places = places.case(compiler.condition(line.collection, None, &one)?, *place);
            }
            let rows: Vec<Record> = placed.iter().map(|(_, row)| row.clone()).collect();
            let rows = keyed(line.collection, &rows)?;
            Statement::update()
                .table(table::table(line.collection, compiler.namespace))
                .value(
                    line.field.column().to_owned(),
                    places.finally(Expr::col(line.field.column().to_owned())),
                )
                .cond_where(compiler.condition(line.collection, None, &rows)?)
                .to_owned()
        };
        self.transaction.inner.execute(&statement).await?;
        Ok(())
    }
}
