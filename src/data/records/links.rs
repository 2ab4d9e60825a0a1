//! Links between records: sets and removes foreign keys and records of through collections.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value as Json;

use super::positions::position_fields;
use super::row_key::{have_row_keys, other_rows, row_key_filter};
use super::value::key_text;
use super::writer::{NestingContext, RecordWriter};
use crate::data::access::{RecordAccess, RecordAction};
use crate::data::collection::CREATED_BY;
use crate::data::{
    Association, AssociationKind, Collection, DataError, Filter, Operator, Record, RecordEvent,
};

impl RecordWriter<'_> {
    /// Sets the foreign key of matching records; null unlinks them.
    pub(super) async fn link(
        &mut self,
        target: &Collection,
        filter: Filter,
        foreign_key: &str,
        value: Json,
    ) -> Result<(), DataError> {
        let changes = Record::from_iter([(foreign_key.to_owned(), value)]);
        if !position_fields(target).any(|(_, scope)| scope == Some(foreign_key)) {
            return self.set(target, filter, &changes).await.map(drop);
        }
        let records = self.read_for_update(target, filter.clone()).await?;
        if !have_row_keys(target, &records) {
            return self.set(target, filter, &changes).await.map(drop);
        }
        // The records are appended to the order of their new parent.
        for record in &records {
            let mut changes = changes.clone();
            self.append_to_new_scope(target, record, &mut changes).await?;
            self.set(target, row_key_filter(target, std::slice::from_ref(record))?, &changes).await?;
        }
        Ok(())
    }

    /// Removes all links of a record except those to the `kept` ones.
    pub(super) async fn unlink_others(
        &mut self,
        target: &Collection,
        association: &Association,
        source: &Json,
        kept: &[Record],
    ) -> Result<(), DataError> {
        let own = Filter::eq(&*association.foreign_key, source.clone());
        match association.kind {
            AssociationKind::BelongsToMany => {
                let catalog = Arc::clone(&self.catalog);
                let (through, other_key) = catalog.through(association)?;
                let kept = kept.iter().filter_map(|record| record.get(&*association.target_key).cloned());
                let mut ended = own.and(Filter::on(other_key, Operator::NotIn, kept.collect::<Vec<_>>()));
                if self.options.guard.is_some() {
                    let links = self.read_for_update(through, ended.clone()).await?;
                    let linked = links.into_iter().filter_map(|mut link| link.remove(other_key)).collect();
                    let seen = self.visible_keys(target, &association.target_key, linked).await?;
                    ended = ended.and(Filter::one_of(other_key, seen));
                }
                self.end_links(through, ended).await
            }
            _ => {
                let ended = own.and(other_rows(target, kept)?).and(self.visible_scope(target));
                self.link(target, ended, &association.foreign_key, Json::Null).await
            }
        }
    }

    /// Returns the records that the writer may see: a writer cannot remove links to other records.
    pub(super) fn visible_scope(&self, target: &Collection) -> Filter {
        match &self.options.guard {
            None => Filter::All,
            Some(guard) => guard
                .access(target.name(), RecordAction::View)
                .map_or_else(Filter::never, RecordAccess::into_scope),
        }
    }

    /// Returns the keys whose records the writer may see.
    async fn visible_keys(
        &mut self,
        target: &Collection,
        field: &str,
        keys: Vec<Json>,
    ) -> Result<Vec<Json>, DataError> {
        if self.options.guard.is_none() {
            return Ok(keys);
        }
        let mut seen = Vec::with_capacity(keys.len());
        for keys in keys.chunks(1000) {
            let records = self.find_all_visible(target, field, keys.to_vec()).await?;
            seen.extend(records.into_iter().filter_map(|mut record| record.remove(field)));
        }
        Ok(seen)
    }

    /// Removes records of a through collection.
    async fn end_links(&mut self, through: &Collection, filter: Filter) -> Result<(), DataError> {
        let hooks = self.hooks(through);
        let links =
            if hooks.is_empty() { Vec::new() } else { self.read_for_update(through, filter.clone()).await? };
        for link in &links {
            for hook in &hooks {
                hook.on(self.transaction, through, RecordEvent::BeforeDestroy(link)).await?;
            }
        }
        self.delete(through, filter).await?;
        for link in &links {
            for hook in &hooks {
                hook.on(self.transaction, through, RecordEvent::AfterDestroy(link)).await?;
            }
        }
        Ok(())
    }

    /// Links two records, unless they are linked already. `link` has the values of further fields of the
    /// link.
    pub(super) async fn link_one(
        &mut self,
        target: &Collection,
        association: &Association,
        source: &Json,
        found: &Record,
        link: Option<Json>,
    ) -> Result<(), DataError> {
        if association.kind != AssociationKind::BelongsToMany {
            let one = row_key_filter(target, std::slice::from_ref(found))?;
            return self.link(target, one, &association.foreign_key, source.clone()).await;
        }
        let catalog = Arc::clone(&self.catalog);
        let (through, other_key) = catalog.through(association)?;
        let other = found.get(&*association.target_key).cloned().unwrap_or(Json::Null);
        let pair =
            Filter::eq(&*association.foreign_key, source.clone()).and(Filter::eq(other_key, other.clone()));
        let mut further = match link {
            Some(Json::Object(values)) => values,
            _ => Record::new(),
        };
        // The values cannot change the two keys, and nested records are not allowed.
        further.retain(|name, _| {
            let is_own = through.get(name).is_some_and(|field| !field.primary_key);
            is_own && *name != *association.foreign_key && name != other_key
        });
        let known = self.read_for_update(through, pair.clone()).await?;
        let mut scope = Filter::All;
        if let Some(guard) = self.options.guard.as_ref().filter(|_| !further.is_empty()) {
            let made = || guard.access(through.name(), RecordAction::Create);
            // Without a creator, everybody who may create a link may as well remove and recreate it.
            let anonymous = through.get(CREATED_BY).is_none();
            let open = match guard.access(through.name(), RecordAction::Update) {
                _ if known.is_empty() => made(),
                None if anonymous => made(),
                open => open,
            };
            further.retain(|name, _| open.as_ref().is_some_and(|open| open.may_set(name)));
            scope = open.map_or_else(Filter::never, RecordAccess::into_scope);
        }
        if known.is_empty() {
            let mut values = further;
            values.insert(association.foreign_key.to_string(), source.clone());
            values.insert(other_key.to_owned(), other);
            // Whoever may change the record may link it.
            return self
                .unguarded(async |writer| {
                    writer
                        .create_in_context(through, Cow::Owned(values), Record::new(), NestingContext::root())
                        .await
                })
                .await
                .map(drop);
        }
        if further.is_empty() {
            return Ok(());
        }
        let row_filter = pair.and(scope).into();
        self.unguarded(async |writer| {
            writer.update_in_context(through, row_filter, Cow::Owned(further), NestingContext::root()).await
        })
        .await
        .map(drop)
    }

    /// Runs `work` with a writer without a guard.
    async fn unguarded<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut RecordWriter<'_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let options = super::WriteOptions {
            user: self.options.user,
            clock: self.options.clock,
            ..super::WriteOptions::default()
        };
        let mut writer = RecordWriter {
            transaction: &mut *self.transaction,
            catalog: Arc::clone(&self.catalog),
            options: &options,
        };
        work(&mut writer).await
    }

    /// Returns the record whose links change, if the writer may change it.
    async fn source_record(
        &mut self,
        collection: &Collection,
        association: &Association,
        key: &Json,
    ) -> Result<Record, DataError> {
        let filter = Filter::eq(collection.single_key()?.name(), key.clone());
        let filter = match self.access(collection, RecordAction::Update)? {
            Some(access) if !access.may_set(&association.name) => {
                return Err(DataError::Forbidden(format!(
                    "your roles do not give access to {}",
                    association.name
                )));
            }
            Some(access) => filter.and(access.into_scope()),
            None => filter,
        };
        match self.read_for_update(collection, filter).await?.into_iter().next() {
            Some(found) => Ok(found),
            None => Err(self.access_error(collection, collection.single_key()?.name(), key).await),
        }
    }

    /// Links a record to others, given by their keys or by objects with keys. The links that it has stay
    /// (`add`), or are replaced (`set`).
    pub(in crate::data) async fn associate(
        &mut self,
        collection: &Collection,
        association: &Association,
        key: &Json,
        others: Vec<Json>,
        replace: bool,
    ) -> Result<(), DataError> {
        let record = self.source_record(collection, association, key).await?;
        let catalog = Arc::clone(&self.catalog);
        let target = catalog.target(association)?;
        let hooks = self.hooks(collection);
        if association.kind == AssociationKind::BelongsTo {
            let given = others.into_iter().next().unwrap_or(Json::Null);
            let given = key_of(association, given);
            let referred = self
                .resolve_reference(collection, association, given.clone(), &NestingContext::root())
                .await?;
            let Some((value, _)) = referred else {
                return Err(self.access_error(target, &association.target_key, &given).await);
            };
            let one = row_key_filter(collection, std::slice::from_ref(&record))?;
            self.link(collection, one, &association.foreign_key, value).await?;
        } else {
            let source = self.source_value(collection, &record, association)?;
            let mut found = Vec::with_capacity(others.len());
            let name = association.through.as_ref().map(|through| Arc::clone(&through.collection));
            for other in others {
                let link = match &other {
                    Json::Array(items) => items.get(1).cloned(),
                    other => name.as_ref().and_then(|name| other.get(&**name)).cloned(),
                };
                let other = key_of(association, other);
                let Some(record) = self.find_visible(target, &association.target_key, &other).await? else {
                    return Err(self.access_error(target, &association.target_key, &other).await);
                };
                found.push((record, link));
            }
            if replace || association.kind == AssociationKind::HasOne {
                let kept: Vec<Record> = found.iter().map(|(record, _)| record.clone()).collect();
                self.unlink_others(target, association, &source, &kept).await?;
            }
            for (other, link) in found {
                self.link_one(target, association, &source, &other, link).await?;
            }
        }
        self.notify_updated(&hooks, collection, &record).await
    }

    /// Removes links between a record and others. A single association needs no keys.
    pub(in crate::data) async fn dissociate(
        &mut self,
        collection: &Collection,
        association: &Association,
        key: &Json,
        others: Vec<Json>,
    ) -> Result<(), DataError> {
        let record = self.source_record(collection, association, key).await?;
        let catalog = Arc::clone(&self.catalog);
        let target = catalog.target(association)?;
        let hooks = self.hooks(collection);
        let others: Vec<Json> = others.into_iter().map(|other| key_of(association, other)).collect();
        match association.kind {
            AssociationKind::BelongsTo => {
                let one = row_key_filter(collection, std::slice::from_ref(&record))?;
                self.link(collection, one, &association.foreign_key, Json::Null).await?;
            }
            AssociationKind::BelongsToMany => {
                let source = self.source_value(collection, &record, association)?;
                let (through, other_key) = catalog.through(association)?;
                let seen = self.visible_keys(target, &association.target_key, others.clone()).await?;
                self.check_accessible(target, &association.target_key, &others, &seen).await?;
                let links =
                    Filter::eq(&*association.foreign_key, source).and(Filter::one_of(other_key, seen));
                self.end_links(through, links).await?;
            }
            AssociationKind::HasOne | AssociationKind::HasMany => {
                let source = self.source_value(collection, &record, association)?;
                let own = Filter::eq(&*association.foreign_key, source);
                let ended = if association.kind == AssociationKind::HasOne {
                    own
                } else {
                    let seen = self.visible_keys(target, &association.target_key, others.clone()).await?;
                    self.check_accessible(target, &association.target_key, &others, &seen).await?;
                    own.and(Filter::one_of(&*association.target_key, others))
                };
                let ended = ended.and(self.visible_scope(target));
                self.link(target, ended, &association.foreign_key, Json::Null).await?;
            }
        }
        self.notify_updated(&hooks, collection, &record).await
    }

    /// Removes the links that exist and creates those that do not.
    pub(in crate::data) async fn toggle(
        &mut self,
        collection: &Collection,
        association: &Association,
        key: &Json,
        others: Vec<Json>,
    ) -> Result<(), DataError> {
        if association.kind != AssociationKind::BelongsToMany {
            return Err(DataError::Refused(format!(
                "{} is not a belongsToMany, which toggle requires",
                association.name
            )));
        }
        let record = self.source_record(collection, association, key).await?;
        let catalog = Arc::clone(&self.catalog);
        let (through, other_key) = catalog.through(association)?;
        let source = self.source_value(collection, &record, association)?;
        let links = self.read_for_update(through, Filter::eq(&*association.foreign_key, source)).await?;
        let linked: HashSet<String> =
            links.iter().filter_map(|link| link.get(other_key).and_then(key_text)).collect();
        let (ended, begun): (Vec<Json>, Vec<Json>) = others.into_iter().partition(|other| {
            let key = key_of(association, other.clone());
            key_text(&key).is_some_and(|text| linked.contains(&text))
        });
        if !ended.is_empty() {
            self.dissociate(collection, association, key, ended).await?;
        }
        if !begun.is_empty() {
            self.associate(collection, association, key, begun, false).await?;
        }
        Ok(())
    }

    /// Creates a record that belongs to another one.
    pub(in crate::data) async fn create_associated(
        &mut self,
        collection: &Collection,
        association: &Association,
        key: &Json,
        given: Cow<'_, Record>,
    ) -> Result<Record, DataError> {
        let filter = Filter::eq(collection.single_key()?.name(), key.clone());
        // The parent must be visible; the target's own permissions decide on the creation.
        let query = self.query(filter.clone());
        let catalog = Arc::clone(&self.catalog);
        let seen = super::count(&mut &mut self.transaction.inner, &catalog, collection, &query).await?;
        let found = self.read_for_update(collection, filter).await?.into_iter().next().filter(|_| seen > 0);
        let Some(record) = found else {
            return Err(self.access_error(collection, collection.single_key()?.name(), key).await);
        };
        let target = catalog.target(association)?;
        let context = NestingContext { path: String::new(), from: Some(association.clone()) };
        let mut made = match association.kind {
            AssociationKind::BelongsTo => {
                let record = self.source_record(collection, association, key).await?;
                let made = self.create_in_context(target, given, Record::new(), context).await?;
                let one = row_key_filter(collection, std::slice::from_ref(&record))?;
                let value = made.get(&*association.target_key).cloned().unwrap_or(Json::Null);
                self.link(collection, one, &association.foreign_key, value).await?;
                made
            }
            kind => {
                let source = self.source_value(collection, &record, association)?;
                if kind == AssociationKind::HasOne {
                    self.unlink_others(target, association, &source, &[]).await?;
                }
                let link =
                    association.through.as_ref().and_then(|through| given.get(&*through.collection).cloned());
                self.create_linked(target, association, &source, given, link, &context).await?
            }
        };
        self.redact(target, &mut made);
        Ok(made)
    }
}

/// Returns the key that an item is or contains.
fn key_of(association: &Association, item: Json) -> Json {
    match item {
        Json::Object(mut object) => object.remove(&*association.target_key).unwrap_or(Json::Null),
        // A key and the further fields of the link: `[1, {…}]`.
        Json::Array(items) => items.into_iter().next().unwrap_or(Json::Null),
        other => other,
    }
}
