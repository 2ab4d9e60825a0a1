//! The writer of records: its options, and what all of its operations share.

use std::borrow::Cow;
use std::sync::Arc;

use sea_query::Condition;
use serde_json::Value as Json;

use super::row_write;
use crate::data::access::{Guard, RecordAccess, RecordAction};
use crate::data::filter::{Clock, Compiler};
use crate::data::hooks::{Hook, RecordEvent};
use crate::data::{
    Association, Catalog, Collection, DataError, Filter, Query, Record, RequestedFilter, Transaction,
};

/// For whom and with which values records are written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Only these fields are written; paths lead into associations (`comments.text`).
    pub whitelist: Option<Vec<String>>,
    /// These fields are not written.
    pub blacklist: Vec<String>,
    /// Associations whose existing records are updated, and not only linked.
    pub update_associations: Vec<String>,
    /// Decides what the writer may see and change; `None` allows everything.
    pub guard: Option<Arc<dyn Guard>>,
    /// The user who writes.
    pub user: Option<i64>,
    /// The time and zone of the writer.
    pub clock: Clock,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            whitelist: None,
            blacklist: Vec::new(),
            update_associations: Vec::new(),
            guard: None,
            user: None,
            clock: Clock::utc(),
        }
    }
}

impl WriteOptions {
    /// Returns which fields and records of a collection the guard opens for an action; `None` if it opens
    /// all.
    pub(super) fn access(
        &self,
        collection: &Collection,
        action: RecordAction,
    ) -> Result<Option<RecordAccess>, DataError> {
        let Some(guard) = &self.guard else { return Ok(None) };
        let access = guard.access(collection.name(), action);
        access.map(Some).ok_or_else(|| {
            DataError::Forbidden(format!(
                "your roles do not allow this in the collection {}",
                collection.name()
            ))
        })
    }

    /// Splits the given values into those of the record and those of associations. As recorded, ignores
    /// values that the writer may not set and names that the collection does not have. Copies no other values
    /// if `given` is borrowed.
    pub(super) fn values(
        &self,
        collection: &Collection,
        given: Cow<'_, Record>,
        access: Option<&RecordAccess>,
        context: &NestingContext,
    ) -> Result<Values, DataError> {
        let mut values = Values { own: Record::new(), nested: Vec::new() };
        match given {
            Cow::Owned(given) => {
                for (name, value) in given {
                    let target = self.destination(collection, &name, access, context)?;
                    values.put(target, name, value);
                }
            }
            Cow::Borrowed(given) => {
                for (name, value) in given {
                    match self.destination(collection, name, access, context)? {
                        ValueTarget::Ignored => {}
                        target => values.put(target, name.clone(), value.clone()),
                    }
                }
            }
        }
        // In the order of the definition, so that equal requests have equal effects.
        values.nested.sort_by_key(|(association, _)| {
            collection.associations().iter().position(|known| known.name == association.name)
        });
        Ok(values)
    }

    /// Returns what a value of this name is for.
    fn destination<'a>(
        &self,
        collection: &'a Collection,
        name: &str,
        access: Option<&RecordAccess>,
        context: &NestingContext,
    ) -> Result<ValueTarget<'a>, DataError> {
        let path = context.path_of(name);
        if !self.is_listed(&path) || access.is_some_and(|access| !access.may_set(name)) {
            return Ok(ValueTarget::Ignored);
        }
        if collection.get(name).is_some() {
            return Ok(ValueTarget::Field);
        }
        let Some(association) = collection.associated(name) else { return Ok(ValueTarget::Ignored) };
        if context.from.as_ref().is_some_and(|from| association.is_reverse_of(from)) {
            return Ok(ValueTarget::Ignored);
        }
        self.check_nested(collection, association)?;
        Ok(ValueTarget::Association(association))
    }

    fn check_nested(&self, collection: &Collection, association: &Association) -> Result<(), DataError> {
        let (source, name, target) = (collection.name(), &association.name, &association.target);
        let open = self.guard.as_ref().is_none_or(|guard| guard.may_nest(source, name, target));
        if open {
            return Ok(());
        }
        Err(DataError::Forbidden(format!("your roles do not let you set {name} of {source}")))
    }

    fn is_listed(&self, path: &str) -> bool {
        let below = |listed: &String| {
            listed == path || listed.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
        };
        let above =
            |listed: &String| path.strip_prefix(listed.as_str()).is_some_and(|rest| rest.starts_with('.'));
        let allowed =
            self.whitelist.as_ref().is_none_or(|list| list.iter().any(|name| below(name) || above(name)));
        allowed && !self.blacklist.iter().any(|name| name == path)
    }

    /// Removes the fields that the writer may not see.
    pub(super) fn redact(&self, collection: &Collection, record: &mut Record) {
        let Some(guard) = &self.guard else { return };
        match guard.access(collection.name(), RecordAction::View) {
            Some(access) => record.retain(|name, _| access.allows(collection, name)),
            None => {
                let keys: Vec<&str> = collection.key().iter().map(|field| field.name()).collect();
                record.retain(|name, _| keys.contains(&name.as_str()));
            }
        }
    }
}

/// Writes records in a transaction.
pub(in crate::data) struct RecordWriter<'a> {
    pub(super) transaction: &'a mut Transaction,
    pub(super) catalog: Arc<Catalog>,
    pub(super) options: &'a WriteOptions,
}

/// The values of a record and, in the order of the definition, those of its associations.
pub(super) struct Values {
    pub(super) own: Record,
    pub(super) nested: Vec<(Association, Json)>,
}

impl Values {
    fn put(&mut self, target: ValueTarget<'_>, name: String, value: Json) {
        match target {
            ValueTarget::Ignored => {}
            ValueTarget::Field => drop(self.own.insert(name, value)),
            ValueTarget::Association(association) => self.nested.push((association.clone(), value)),
        }
    }
}

/// What a value is for.
enum ValueTarget<'a> {
    Ignored,
    Field,
    Association(&'a Association),
}

/// Where a record is nested in the given values; the root is not nested.
#[derive(Clone)]
pub(super) struct NestingContext {
    /// The associations that lead to it: `comments.author`.
    pub(super) path: String,
    /// The last of these associations. Its reverse cannot be set in the nested record.
    pub(super) from: Option<Association>,
}

impl NestingContext {
    pub(super) fn root() -> Self {
        Self { path: String::new(), from: None }
    }

    pub(super) fn nested(&self, association: &Association) -> Self {
        Self { path: self.path_of(&association.name), from: Some(association.clone()) }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

impl<'a> RecordWriter<'a> {
    pub(in crate::data) fn new(transaction: &'a mut Transaction, options: &'a WriteOptions) -> Self {
        let catalog = Arc::clone(&transaction.catalog);
        transaction.set_guarded(options.guard.is_some());
        Self { transaction, catalog, options }
    }

    /// Returns a query with the guard and the clock of the writer.
    pub(super) fn query(&self, filter: Filter) -> Query {
        Query { filter, guard: self.options.guard.clone(), clock: self.options.clock, ..Query::default() }
    }

    pub(super) fn compiler(&self) -> Compiler<'_> {
        let namespace = self.transaction.inner.namespace();
        Compiler::new(&self.catalog, namespace, self.options.guard.as_deref(), self.options.clock)
    }

    /// Returns which fields and records of a collection the guard opens for an action; `None` if it opens
    /// all.
    pub(super) fn access(
        &self,
        collection: &Collection,
        action: RecordAction,
    ) -> Result<Option<RecordAccess>, DataError> {
        self.options.access(collection, action)
    }

    /// Returns the hooks for a collection, and notes that its records change.
    pub(super) fn hooks(&mut self, collection: &Collection) -> Vec<Arc<dyn Hook>> {
        self.transaction.note(collection.name());
        self.transaction.hooks.of(collection.name())
    }

    /// Tells the hooks that a record was updated.
    pub(super) async fn notify_updated(
        &mut self,
        hooks: &[Arc<dyn Hook>],
        collection: &Collection,
        record: &Record,
    ) -> Result<(), DataError> {
        for hook in hooks {
            hook.on(self.transaction, collection, RecordEvent::AfterUpdate(record)).await?;
        }
        Ok(())
    }

    /// See [`WriteOptions::values`].
    pub(super) fn values(
        &self,
        collection: &Collection,
        given: Cow<'_, Record>,
        access: Option<&RecordAccess>,
        context: &NestingContext,
    ) -> Result<Values, DataError> {
        self.options.values(collection, given, access, context)
    }

    /// Checks that the writer may filter by the fields of a filter. The key is always allowed: it names
    /// records to writers who cannot see them.
    pub(super) fn check_filter(&self, collection: &Collection, filter: &Filter) -> Result<(), DataError> {
        let keys = collection.key();
        for path in filter.paths() {
            if keys.iter().all(|key| key.name() != path) {
                self.compiler().check_path(collection, path)?;
            }
        }
        Ok(())
    }

    /// Returns the condition for the rows of a filter.
    pub(super) fn condition(
        &self,
        collection: &Collection,
        row_filter: &RowFilter,
    ) -> Result<Condition, DataError> {
        let compiler = self.compiler();
        let enforced = compiler.unguarded().condition(collection, None, &row_filter.enforced)?;
        let Some(requested) = &row_filter.requested else { return Ok(enforced) };
        Ok(Condition::all().add(enforced).add(compiler.condition(collection, None, requested)?))
    }

    /// Updates rows without hooks and returns their number.
    pub(super) async fn set(
        &mut self,
        collection: &Collection,
        row_filter: impl Into<RowFilter>,
        values: &Record,
    ) -> Result<u64, DataError> {
        self.transaction.note(collection.name());
        let condition = self.condition(collection, &row_filter.into())?;
        row_write::set(&mut &mut self.transaction.inner, collection, condition, values).await
    }

    /// Removes rows without hooks and returns their number.
    pub(super) async fn delete(
        &mut self,
        collection: &Collection,
        row_filter: impl Into<RowFilter>,
    ) -> Result<u64, DataError> {
        self.transaction.note(collection.name());
        let condition = self.condition(collection, &row_filter.into())?;
        row_write::delete(&mut &mut self.transaction.inner, collection, condition).await
    }

    /// Whether existing records of an association are updated, and not only linked.
    pub(super) fn updates_association(&self, context: &NestingContext) -> bool {
        self.options.update_associations.contains(&context.path)
    }

    /// Reads records with the fields that the writer may see.
    pub(super) async fn read_visible(
        &mut self,
        collection: &Collection,
        filter: Filter,
    ) -> Result<Vec<Record>, DataError> {
        let query = Query { total_order: true, ..self.query(filter) };
        let catalog = Arc::clone(&self.catalog);
        super::find(&mut &mut self.transaction.inner, &catalog, collection, &query).await
    }

    /// Reads a record by the value of a field, if the writer may see it.
    pub(super) async fn find_visible(
        &mut self,
        collection: &Collection,
        field: &str,
        key: &Json,
    ) -> Result<Option<Record>, DataError> {
        Ok(self.find_all_visible(collection, field, vec![key.clone()]).await?.into_iter().next())
    }

    /// Reads records by the values of a field, if the writer may see them. The records have the fields that
    /// the writer may see, and that field.
    pub(super) async fn find_all_visible(
        &mut self,
        collection: &Collection,
        field: &str,
        keys: Vec<Json>,
    ) -> Result<Vec<Record>, DataError> {
        let catalog = Arc::clone(&self.catalog);
        let named = Filter::one_of(field, keys);
        let Some(guard) = &self.options.guard else {
            let query = Query { total_order: true, ..self.query(named) };
            return super::find(&mut &mut self.transaction.inner, &catalog, collection, &query).await;
        };
        // Nobody sees records of a closed collection.
        let Some(access) = guard.access(collection.name(), RecordAction::View) else { return Ok(Vec::new()) };
        let mut records = self.read_for_update(collection, named.and((*access.scope).clone())).await?;
        for record in &mut records {
            record.retain(|name, _| name == field || access.allows(collection, name));
        }
        Ok(records)
    }

    /// Reads matching records with all fields, whatever the guard says, and locks them until the transaction
    /// ends.
    pub(super) async fn read_for_update(
        &mut self,
        collection: &Collection,
        row_filter: impl Into<RowFilter>,
    ) -> Result<Vec<Record>, DataError> {
        let RowFilter { enforced, requested } = row_filter.into();
        let requested = requested.map(|filter| RequestedFilter { filter, guard: self.options.guard.clone() });
        let clock = self.options.clock;
        let query = Query { requested, lock: true, total_order: true, clock, ..Query::filter(enforced) };
        let catalog = Arc::clone(&self.catalog);
        super::find(&mut &mut self.transaction.inner, &catalog, collection, &query).await
    }

    /// Returns why a record was not found: it does not exist, or the writer has no access to it.
    pub(super) async fn access_error(
        &mut self,
        collection: &Collection,
        field: &str,
        key: &Json,
    ) -> DataError {
        if let Err(refused) = self.check_accessible(collection, field, std::slice::from_ref(key), &[]).await {
            return refused;
        }
        DataError::Refused(format!("{} has no record {key}", collection.name()))
    }

    /// Refuses keys of existing records that are not among the `open` ones.
    pub(super) async fn check_accessible(
        &mut self,
        collection: &Collection,
        field: &str,
        keys: &[Json],
        open: &[Json],
    ) -> Result<(), DataError> {
        if self.options.guard.is_none() {
            return Ok(());
        }
        for keys in keys.chunks(1000) {
            let there = self.read_for_update(collection, Filter::one_of(field, keys.to_vec())).await?;
            let closed = there.iter().filter_map(|record| record.get(field)).find(|key| !open.contains(key));
            if let Some(key) = closed {
                return Err(DataError::Forbidden(format!(
                    "your roles do not give access to the record {key} of {}",
                    collection.name()
                )));
            }
        }
        Ok(())
    }

    /// See [`WriteOptions::redact`].
    pub(super) fn redact(&self, collection: &Collection, record: &mut Record) {
        self.options.redact(collection, record);
    }
}

/// The rows that a statement writes.
#[derive(Debug, Clone)]
pub(super) struct RowFilter {
    /// Conditions of the host, on any field.
    pub(super) enforced: Filter,
    /// Conditions of the writer, limited by the guard.
    pub(super) requested: Option<Filter>,
}

impl From<Filter> for RowFilter {
    fn from(enforced: Filter) -> Self {
        Self { enforced, requested: None }
    }
}
