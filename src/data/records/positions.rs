//! Positions of sorted records, and moves between them.
//!
//! A sort field numbers the records of a scope from one; no two records have the same position. New records
//! get theirs from a [`Sequence`]; a move shifts the records between two positions.

use std::cmp::Ordering;
use std::sync::Arc;

use sea_query::{CaseStatement, Expr, ExprTrait, Func, Query as Statement};
use serde_json::Value as Json;

use super::writer::RecordWriter;
use super::{row_key_filter, value};
use crate::data::access::RecordAction;
use crate::data::sequences::{Sequence, SequenceName};
use crate::data::{
    Collection, DataError, Field, FieldType, Filter, Generator, Operator, Query, Record, Sort, table,
};
use crate::database::{DatabaseError, Value};

/// Limit of records whose positions one statement sets.
const MAX_POSITIONS_PER_STATEMENT: usize = 500;

/// Positions of a unique field are shifted only if their absolute values are less.
const MAX_SHIFTABLE: i64 = 1 << 60;
/// How far positions of a unique field are set apart during a shift, out of the range of all others.
const SHIFT_OFFSET: i64 = 1 << 61;
/// The position of the moved record during a shift.
const PARKED_POSITION: i64 = 1 << 62;

/// A move of a record to another position.
#[derive(Debug, Clone)]
pub struct Move {
    /// The key of the record to move.
    pub source: Json,
    /// The key of the record whose position it takes.
    pub target: Option<Json>,
    /// Whether it goes after that record, and not to its position.
    pub after: bool,
    /// The sort field: `sort`.
    pub field: String,
    /// The scope to move to: the value of the field that scopes the order.
    pub scope: Option<Record>,
    /// Whether it goes to the start of the new scope, and not to its end.
    pub prepend: bool,
    /// Whether it goes to the start in any case.
    pub sticky: bool,
}

/// The records of one scope in their order.
struct OrderedRecords<'a> {
    collection: &'a Collection,
    field: &'a Field,
    /// The field that scopes the order, and its value.
    scope: Option<(&'a str, Json)>,
    sequence: Arc<Sequence>,
}

impl OrderedRecords<'_> {
    fn filter(&self) -> Filter {
        self.scope.as_ref().map_or(Filter::All, |(name, value)| Filter::eq(*name, value.clone()))
    }

    /// Returns the filter for the records between the positions of a move.
    fn affected(&self, moved: &PendingMove, target: &Record) -> Filter {
        let name = self.field.name();
        let Some(to) = self.position_of(target) else { return Filter::All };
        let Some(from) = self.position_of(&moved.record).filter(|_| !moved.changes_scope) else {
            return Filter::on(name, Operator::Gte, to);
        };
        let [low, high] = if from < to { [from, to] } else { [to, from] };
        Filter::on(name, Operator::Gte, low).and(Filter::on(name, Operator::Lte, high))
    }

    fn position_of(&self, record: &Record) -> Option<i64> {
        // Numbers that JavaScript would round are texts.
        let shown = record.get(self.field.name())?;
        shown.as_i64().or_else(|| shown.as_str()?.parse().ok())
    }
}

/// A record that is being moved.
struct PendingMove {
    record: Record,
    /// Whether it comes from another scope.
    changes_scope: bool,
    to: Destination,
}

enum Destination {
    First,
    Last,
    /// To the position of this record, or after it.
    Beside {
        target: Record,
        after: bool,
    },
}

/// Whether the positions of a scope are usable for a move.
struct PositionSummary {
    /// Whether each record has a position that no other record has.
    are_distinct: bool,
    least: Option<i64>,
}

/// Returns the sort fields, each with the field that scopes it.
pub(super) fn position_fields(collection: &Collection) -> impl Iterator<Item = (&Field, Option<&str>)> {
    collection.fields().iter().filter_map(|field| match &field.generator {
        Some(Generator::Position { scope }) => Some((field, scope.as_deref())),
        _ => None,
    })
}

/// Converts the error that an allocated position is taken to a conflict, which is retried: another writer set
/// that position explicitly, so that the sequence must be read again.
pub(super) fn position_conflict(error: DataError, taken: &[(&Field, Arc<Sequence>)]) -> DataError {
    let DataError::Database(DatabaseError::Unique { columns }) = &error else { return error };
    let Some((field, sequence)) =
        taken.iter().find(|(field, _)| columns.iter().any(|name| name == field.column()))
    else {
        return error;
    };
    sequence.set_stale();
    DatabaseError::Conflict(format!("another record has taken a position of {}", field.name())).into()
}

/// Whether only this transaction uses a sequence. Other transactions may have allocated positions that are
/// not visible yet.
fn is_exclusive(sequence: &Arc<Sequence>) -> bool {
    // The owners: the cache, the transaction and the caller.
    Arc::strong_count(sequence) <= 3
}

impl RecordWriter<'_> {
    /// Allocates the position after the last one of a scope.
    pub(super) async fn next_position(
        &mut self,
        collection: &Collection,
        field: &Field,
        scope: Option<(&str, &Json)>,
    ) -> Result<(i64, Arc<Sequence>), DataError> {
        let sequence = self.loaded_sequence(collection, field, scope).await?;
        let before = sequence.last();
        let position = match sequence.allocate(1) {
            // The record with the last position may have moved.
            Err(_) if is_exclusive(&sequence) => {
                let last = self.last_position(collection, field, scope).await?;
                sequence.reset_to(last, before);
                sequence.allocate(1)
            }
            taken => taken,
        };
        Ok((position?, sequence))
    }

    /// Notes the positions that a writer sets explicitly.
    pub(super) fn note_positions(
        &mut self,
        collection: &Collection,
        records: &[Record],
        changes: &Record,
    ) -> Result<(), DataError> {
        for (field, scope) in position_fields(collection) {
            let Some(given) = changes.get(field.name()) else { continue };
            let position = value::to_storage(field, given)?;
            for record in records {
                let scope =
                    scope.and_then(|scope| Some((scope, changes.get(scope).or_else(|| record.get(scope))?)));
                self.note_position(collection, field, scope, &position)?;
            }
        }
        Ok(())
    }

    /// Notes that a record gets this position, or none.
    pub(super) fn note_position(
        &mut self,
        collection: &Collection,
        field: &Field,
        scope: Option<(&str, &Json)>,
        position: &Value,
    ) -> Result<(), DataError> {
        let name = self.sequence_name(collection, field, scope)?;
        let position = if let Value::Integer(position) = position { Some(*position) } else { None };
        self.transaction.sequence(name).note_explicit(position);
        Ok(())
    }

    fn sequence_name(
        &self,
        collection: &Collection,
        field: &Field,
        scope: Option<(&str, &Json)>,
    ) -> Result<SequenceName, DataError> {
        let scope = match scope {
            Some((name, given)) => {
                let scope_field = collection.known(name)?;
                // In the stored form, as a value has several notations in JSON.
                let stored = match given {
                    Json::Null => Value::Null,
                    given => value::to_storage(scope_field, given)?,
                };
                Some((scope_field.column().to_owned(), format!("{stored:?}")))
            }
            None => None,
        };
        let table = table::name(collection, self.transaction.inner.namespace());
        Ok(SequenceName { table, column: field.column().to_owned(), scope })
    }

    /// Returns a sequence whose last position is loaded.
    async fn loaded_sequence(
        &mut self,
        collection: &Collection,
        field: &Field,
        scope: Option<(&str, &Json)>,
    ) -> Result<Arc<Sequence>, DataError> {
        let name = self.sequence_name(collection, field, scope)?;
        let sequence = self.transaction.sequence(name);
        sequence
            .loaded
            .get_or_try_init(|| async {
                sequence.raise_to(self.last_position(collection, field, scope).await?);
                Ok::<_, DataError>(())
            })
            .await?;
        if sequence.take_stale() {
            sequence.raise_to(self.last_position(collection, field, scope).await?);
        }
        Ok(sequence)
    }

    async fn last_position(
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

    /// Moves a record within its scope, or to another.
    pub(in crate::data) async fn move_record(
        &mut self,
        collection: &Collection,
        change: &Move,
    ) -> Result<(), DataError> {
        let field = collection.known(&change.field)?;
        if field.kind() != FieldType::Sort {
            return Err(DataError::Refused(format!("{} is not a sort field", field.name())));
        }
        self.access(collection, RecordAction::Update)?;
        let scope = match &field.generator {
            Some(Generator::Position { scope }) => scope.as_deref(),
            _ => None,
        };
        let record = self.movable_record(collection, &change.source).await?;
        let target = match &change.target {
            Some(target) => Some(self.movable_record(collection, target).await?),
            None => None,
        };
        let has = |record: &Record| scope.map(|scope| record.get(scope).cloned().unwrap_or(Json::Null));
        let own = has(&record);
        let wanted = match (scope, &change.scope) {
            (Some(scope), Some(given)) => {
                let others = given.keys().any(|name| name != scope);
                let given = given.get(scope).filter(|_| !others).ok_or_else(|| {
                    DataError::Refused(format!("targetScope must have {scope} and nothing else"))
                })?;
                Some(collection.known(scope)?.check(given)?)
            }
            (None, Some(_)) => {
                let field = field.name();
                return Err(DataError::Refused(format!("{field} has no scope: leave targetScope out")));
            }
            _ => None,
        };
        let into = wanted.or_else(|| target.as_ref().and_then(has)).or_else(|| own.clone());
        let changes_scope = into != own;
        let prepended = change.prepend && target.is_none();
        let target = target.filter(|target| has(target) == into);
        let to = match target {
            _ if change.sticky || prepended => Destination::First,
            Some(target) => Destination::Beside { target, after: change.after },
            None if changes_scope => Destination::Last,
            None => return Ok(()),
        };
        if let Some(scope) = scope.filter(|_| changes_scope) {
            self.check_settable(collection, scope)?;
        }
        let scope = scope.zip(into);
        let sequence = self
            .loaded_sequence(collection, field, scope.as_ref().map(|(name, value)| (*name, value)))
            .await?;
        let ordered = OrderedRecords { collection, field, scope, sequence };
        let moved = self.move_in(&ordered, PendingMove { record, changes_scope, to }).await;
        moved.map_err(|error| position_conflict(error, &[(field, ordered.sequence)]))
    }

    /// Moving a record to another scope changes the field that scopes the order.
    fn check_settable(&self, collection: &Collection, name: &str) -> Result<(), DataError> {
        match self.access(collection, RecordAction::Update)? {
            Some(access) if !access.may_set(name) => Err(DataError::Forbidden(format!(
                "your roles do not let you set {name} of {}",
                collection.name()
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the record of a key, if the writer may change it.
    async fn movable_record(&mut self, collection: &Collection, key: &Json) -> Result<Record, DataError> {
        let filter = Filter::eq(collection.single_key()?.name(), key.clone());
        let open = match self.access(collection, RecordAction::Update)? {
            Some(access) => filter.and(access.into_scope()),
            None => filter,
        };
        match self.read_for_update(collection, open).await?.into_iter().next() {
            Some(found) => Ok(found),
            None => Err(self.access_error(collection, collection.single_key()?.name(), key).await),
        }
    }

    /// Moves a record to a position within a scope.
    async fn move_in(&mut self, ordered: &OrderedRecords<'_>, moved: PendingMove) -> Result<(), DataError> {
        let summary = self.summarize(ordered, &moved).await?;
        if !summary.are_distinct {
            return self.renumber(ordered, moved).await;
        }
        let position = match &moved.to {
            Destination::Last => ordered.sequence.allocate(1)?,
            Destination::First => match summary.least {
                Some(least) if !moved.changes_scope && ordered.position_of(&moved.record) == Some(least) => {
                    return Ok(());
                }
                Some(least) => std::cmp::min(least.saturating_sub(1), 0),
                None => 0,
            },
            Destination::Beside { target, .. } if *target == moved.record => return Ok(()),
            Destination::Beside { target, after } => {
                let (from, is_before) = match ordered.position_of(&moved.record) {
                    Some(from) if !moved.changes_scope => (from, Some(from) < ordered.position_of(target)),
                    _ => (ordered.sequence.allocate(1)?, false),
                };
                let taken = ordered.position_of(target).unwrap_or(from);
                // A record that moves towards the end goes after the target, towards the start before it.
                let to = match (is_before, *after) {
                    (true, _) | (false, false) => taken,
                    (false, true) => taken.saturating_add(1),
                };
                if ordered.field.is_unique() {
                    if [from, to].iter().any(|position| !(-MAX_SHIFTABLE..MAX_SHIFTABLE).contains(position)) {
                        return self.renumber(ordered, moved).await;
                    }
                    self.set_position(ordered, &moved, PARKED_POSITION).await?;
                }
                self.shift(ordered, from, to).await?;
                to
            }
        };
        self.set_position(ordered, &moved, position).await
    }

    /// Checks the positions of a scope: all of them or, if they are known to be distinct, those that the move
    /// affects.
    async fn summarize(
        &mut self,
        ordered: &OrderedRecords<'_>,
        moved: &PendingMove,
    ) -> Result<PositionSummary, DataError> {
        let (given, is_exclusive) = (ordered.sequence.explicit_count(), is_exclusive(&ordered.sequence));
        let is_known = ordered.sequence.is_distinct();
        let concerned = match &moved.to {
            Destination::Last if is_known => return Ok(PositionSummary { are_distinct: true, least: None }),
            Destination::Beside { target, .. } if is_known => ordered.affected(moved, target),
            _ => Filter::All,
        };
        let statement = {
            let compiler = self.compiler().unguarded();
            let position = || Expr::col(ordered.field.column().to_owned());
            let counts = match is_known && concerned == Filter::All {
                true => [Expr::val(0), Expr::val(0)],
                false => [
                    Func::count(Expr::col(sea_query::Asterisk)).into(),
                    Func::count_distinct(position()).into(),
                ],
            };
            Statement::select()
                .exprs(counts)
                .expr(Func::min(position()))
                .from(table::table(ordered.collection, compiler.namespace))
                .cond_where(compiler.condition(ordered.collection, None, &ordered.filter().and(concerned))?)
                .to_owned()
        };
        let row = self.transaction.inner.query(&statement).await?.into_iter().next();
        let values = row.map(crate::database::Row::into_values).unwrap_or_default();
        let [all, distinct, least] = values.as_slice() else {
            return Err(value::unreadable(ordered.collection, ordered.field.name(), "number"));
        };
        let are_distinct = all == distinct;
        if are_distinct && is_exclusive {
            ordered.sequence.set_distinct(given);
        }
        Ok(PositionSummary {
            are_distinct,
            least: if let Value::Integer(least) = least { Some(*least) } else { None },
        })
    }

    /// Frees a position: shifts all records between it and another position by one towards that. Positions of
    /// a unique field are first set apart together, as each would collide with the next one.
    async fn shift(&mut self, ordered: &OrderedRecords<'_>, from: i64, to: i64) -> Result<(), DataError> {
        let (low, high, step) = match to.cmp(&from) {
            Ordering::Greater => (from + 1, to, -1),
            Ordering::Less => (to, from - 1, 1),
            Ordering::Equal => return Ok(()),
        };
        if !ordered.field.is_unique() {
            return self.add_to_positions(ordered, (low, high), step).await;
        }
        self.add_to_positions(ordered, (low, high), SHIFT_OFFSET).await?;
        self.add_to_positions(ordered, (low + SHIFT_OFFSET, high + SHIFT_OFFSET), step - SHIFT_OFFSET).await
    }

    /// Adds a number to all positions of a range.
    async fn add_to_positions(
        &mut self,
        ordered: &OrderedRecords<'_>,
        (low, high): (i64, i64),
        step: i64,
    ) -> Result<(), DataError> {
        let name = ordered.field.name();
        let between = Filter::on(name, Operator::Gte, low).and(Filter::on(name, Operator::Lte, high));
        let statement = {
            let compiler = self.compiler().unguarded();
            let column = Expr::col(ordered.field.column().to_owned());
            Statement::update()
                .table(table::table(ordered.collection, compiler.namespace))
                .value(ordered.field.column().to_owned(), column.add(step))
                .cond_where(compiler.condition(ordered.collection, None, &between.and(ordered.filter()))?)
                .to_owned()
        };
        self.transaction.inner.execute(&statement).await?;
        Ok(())
    }

    async fn set_position(
        &mut self,
        ordered: &OrderedRecords<'_>,
        moved: &PendingMove,
        position: i64,
    ) -> Result<(), DataError> {
        let mut changes = Record::from_iter([(ordered.field.name().to_owned(), Json::from(position))]);
        if let Some((scope, value)) = ordered.scope.as_ref().filter(|_| moved.changes_scope) {
            changes.insert((*scope).to_owned(), value.clone());
        }
        let one = row_key_filter(ordered.collection, std::slice::from_ref(&moved.record))?;
        self.set(ordered.collection, one, &changes).await.map(drop)
    }

    /// Moves a record if positions are missing or not distinct: numbers all records of the scope anew, in
    /// their listed order.
    async fn renumber(&mut self, ordered: &OrderedRecords<'_>, moved: PendingMove) -> Result<(), DataError> {
        let before = ordered.sequence.last();
        let is_exclusive = is_exclusive(&ordered.sequence);
        let mut rows = self.list_in_order(ordered).await?;
        let key = ordered.collection.single_key()?.name();
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
        // Positions of a unique field may be taken by other scopes until these are renumbered.
        let is_free = is_exclusive && !ordered.field.is_unique() && ordered.sequence.reset_to(count, before);
        let first = if is_free { 1 } else { ordered.sequence.allocate(rows.len())? };
        let placed = (first..).zip(rows).enumerate().filter(|(at, _)| *at != to).map(|(_, placed)| placed);
        let changed: Vec<(i64, Record)> =
            placed.filter(|(position, row)| ordered.position_of(row) != Some(*position)).collect();
        for changed in changed.chunks(MAX_POSITIONS_PER_STATEMENT) {
            self.write_positions(ordered, changed).await?;
        }
        self.set_position(ordered, &moved, first.saturating_add(i64::try_from(to).unwrap_or(i64::MAX))).await
    }

    /// Reads the keys and positions of all records of a scope, in their order.
    async fn list_in_order(&mut self, ordered: &OrderedRecords<'_>) -> Result<Vec<Record>, DataError> {
        let (name, key) = (ordered.field.name(), ordered.collection.single_key()?.name());
        let mut names: Vec<&str> = ordered.collection.row_keys()?.into_iter().map(Field::name).collect();
        names.extend([name, key]);
        let sort = vec![Sort::ascending(name)];
        let query = Query { sort, lock: true, ..Query::filter(ordered.filter()).fields(&names) };
        let catalog = Arc::clone(&self.catalog);
        super::find(&mut &mut self.transaction.inner, &catalog, ordered.collection, &query).await
    }

    async fn write_positions(
        &mut self,
        ordered: &OrderedRecords<'_>,
        placed: &[(i64, Record)],
    ) -> Result<(), DataError> {
        let statement = {
            let compiler = self.compiler().unguarded();
            let mut positions = CaseStatement::new();
            for (position, row) in placed {
                let one = row_key_filter(ordered.collection, std::slice::from_ref(row))?;
                positions = positions.case(compiler.condition(ordered.collection, None, &one)?, *position);
            }
            let rows: Vec<Record> = placed.iter().map(|(_, row)| row.clone()).collect();
            let rows = row_key_filter(ordered.collection, &rows)?;
            Statement::update()
                .table(table::table(ordered.collection, compiler.namespace))
                .value(
                    ordered.field.column().to_owned(),
                    positions.finally(Expr::col(ordered.field.column().to_owned())),
                )
                .cond_where(compiler.condition(ordered.collection, None, &rows)?)
                .to_owned()
        };
        self.transaction.inner.execute(&statement).await?;
        Ok(())
    }
}
