//! Records within records: values that a record is given for its associations.
//!
//! A value is a key, an object with a key, an object without one (a new record) or, for associations to many,
//! a list of those. Existing records are linked; they are changed only if the request asks for it.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::row_key::{other_rows, row_key_filter};
use super::writer::{NestingContext, RecordWriter};
use crate::data::access::{RecordAccess, RecordAction};
use crate::data::{Association, AssociationKind, Collection, DataError, Filter, Record};

/// The record that a nested value stands for.
enum NestedItem {
    /// An existing record, and how the response shows it.
    Existing(Record, Json),
    /// A new record with these values.
    New(Record),
    /// A missing record; as recorded, it is ignored.
    Missing,
}

impl RecordWriter<'_> {
    /// Resolves the value of a belongsTo: returns the foreign key, and the record as the response shows it.
    /// `None` if there is no such record; as recorded, nothing changes then.
    pub(super) async fn resolve_reference(
        &mut self,
        collection: &Collection,
        association: &Association,
        given: Json,
        context: &NestingContext,
    ) -> Result<Option<(Json, Option<Json>)>, DataError> {
        let catalog = std::sync::Arc::clone(&self.catalog);
        let target = catalog.target(association)?;
        let key = &*association.target_key;
        match given {
            Json::Null => Ok(Some((Json::Null, Some(Json::Null)))),
            Json::Object(given) => {
                let named = given.get(key).filter(|value| !value.is_null());
                if let Some(named) = named
                    && let Some(record) = self.find_visible(target, key, named).await?
                {
                    let shown = self.update_nested(target, &record, given.clone(), context).await?;
                    return Ok(Some((record.get(key).cloned().unwrap_or(Json::Null), shown)));
                }
                let made =
                    self.create_in_context(target, Cow::Owned(given), Record::new(), context.clone()).await?;
                let Some(value) = made.get(key).filter(|value| !value.is_null()).cloned() else {
                    return Err(DataError::Refused(format!(
                        "a record of {} has no {key}, which {} refers to",
                        target.name(),
                        collection.name()
                    )));
                };
                Ok(Some((value, Some(self.shown_nested(target, made)))))
            }
            Json::Array(_) | Json::Bool(_) => Err(DataError::Refused(format!(
                "{} is a single record: give its key or an object",
                association.name
            ))),
            scalar => {
                let found = self.find_visible(target, key, &scalar).await?;
                Ok(found.map(|record| (record.get(key).cloned().unwrap_or(scalar), None)))
            }
        }
    }

    /// Sets the associated records of a record and returns them as the response shows them.
    pub(super) async fn set_nested(
        &mut self,
        collection: &Collection,
        record: &Record,
        association: &Association,
        given: Json,
        context: &NestingContext,
    ) -> Result<Option<Json>, DataError> {
        match association.kind {
            AssociationKind::BelongsTo => Ok(None),
            AssociationKind::HasOne => self.set_one(collection, record, association, given, context).await,
            AssociationKind::HasMany | AssociationKind::BelongsToMany => {
                let items = match given {
                    Json::Null => Vec::new(),
                    Json::Array(items) => items.into_iter().filter(|item| !item.is_null()).collect(),
                    one => vec![one],
                };
                self.set_many(collection, record, association, items, context).await.map(Some)
            }
        }
    }

    async fn set_one(
        &mut self,
        collection: &Collection,
        record: &Record,
        association: &Association,
        given: Json,
        context: &NestingContext,
    ) -> Result<Option<Json>, DataError> {
        let catalog = std::sync::Arc::clone(&self.catalog);
        let target = catalog.target(association)?;
        let source = self.source_value(collection, record, association)?;
        let foreign_key = association.foreign_key.to_string();
        let key = target.single_key()?.name();
        let (found, given) = match given {
            Json::Null => (None, None),
            Json::Object(object) => {
                let found = match object.get(key).filter(|value| !value.is_null()).cloned() {
                    Some(named) => self.find_visible(target, key, &named).await?,
                    None => None,
                };
                (found, Some(object))
            }
            Json::Array(_) | Json::Bool(_) => {
                return Err(DataError::Refused(format!(
                    "{} is a single record: give its key or an object",
                    association.name
                )));
            }
            scalar => match self.find_visible(target, key, &scalar).await? {
                Some(found) => (Some(found), None),
                None => return Ok(None),
            },
        };
        // A previous record no longer belongs to this one.
        let before = Filter::eq(&*foreign_key, source.clone()).and(self.visible_scope(target));
        let kept = found.as_slice();
        self.link(target, before.and(other_rows(target, kept)?), &foreign_key, Json::Null).await?;
        match (found, given) {
            (Some(found), given) => {
                self.link(
                    target,
                    row_key_filter(target, std::slice::from_ref(&found))?,
                    &foreign_key,
                    source,
                )
                .await?;
                match given {
                    Some(mut given) => {
                        given.remove(&foreign_key);
                        self.update_nested(target, &found, given, context).await
                    }
                    None => Ok(None),
                }
            }
            (None, Some(given)) => {
                let belonging = Record::from_iter([(foreign_key, source)]);
                let made =
                    self.create_in_context(target, Cow::Owned(given), belonging, context.clone()).await?;
                Ok(Some(self.shown_nested(target, made)))
            }
            (None, None) => Ok(Some(Json::Null)),
        }
    }

    async fn set_many(
        &mut self,
        collection: &Collection,
        record: &Record,
        association: &Association,
        items: Vec<Json>,
        context: &NestingContext,
    ) -> Result<Json, DataError> {
        let catalog = std::sync::Arc::clone(&self.catalog);
        let target = catalog.target(association)?;
        let source = self.source_value(collection, record, association)?;
        let mut linked = Vec::new();
        let mut made = Vec::new();
        let mut shown = Vec::new();
        for item in items {
            let link = item.get(link_name(association)).cloned();
            match self.resolve_item(target, association, item, context).await? {
                NestedItem::Existing(found, given) => {
                    shown.push(given);
                    linked.push((found, link));
                }
                NestedItem::New(given) => made.push((given, link)),
                NestedItem::Missing => {}
            }
        }
        let known: Vec<Record> = linked.iter().map(|(record, _)| record.clone()).collect();
        self.unlink_others(target, association, &source, &known).await?;
        for (found, link) in linked {
            self.link_one(target, association, &source, &found, link).await?;
        }
        for (given, link) in made {
            let new =
                self.create_linked(target, association, &source, Cow::Owned(given), link, context).await?;
            shown.push(self.shown_nested(target, new));
        }
        Ok(Json::Array(shown))
    }

    /// Resolves an item of a list.
    async fn resolve_item(
        &mut self,
        target: &Collection,
        association: &Association,
        item: Json,
        context: &NestingContext,
    ) -> Result<NestedItem, DataError> {
        let key = &*association.target_key;
        match item {
            Json::Object(given) => {
                let Some(named) = given.get(key).filter(|value| !value.is_null()).cloned() else {
                    return Ok(NestedItem::New(given));
                };
                let Some(found) = self.find_visible(target, key, &named).await? else {
                    return Ok(NestedItem::New(given));
                };
                let mut changes = given;
                if association.kind == AssociationKind::HasMany {
                    changes.remove(&*association.foreign_key);
                }
                let shown = self.update_nested(target, &found, changes, context).await?;
                let mut found = found;
                if let Some(Json::Object(now)) = &shown {
                    // The change may include the key.
                    found.extend(now.clone());
                }
                // As recorded: a record that was only linked is shown by its key.
                let shown =
                    shown.unwrap_or_else(|| Json::Object(Record::from_iter([(key.to_owned(), named)])));
                Ok(NestedItem::Existing(found, shown))
            }
            Json::Array(_) | Json::Bool(_) | Json::Null => Err(DataError::Refused(format!(
                "{} are records: give their keys or objects",
                association.name
            ))),
            scalar => match self.find_visible(target, key, &scalar).await? {
                Some(found) => {
                    let shown = Json::Object(found.clone());
                    Ok(NestedItem::Existing(found, shown))
                }
                None => Ok(NestedItem::Missing),
            },
        }
    }

    /// Creates a record that belongs to another by an association.
    pub(super) async fn create_linked(
        &mut self,
        target: &Collection,
        association: &Association,
        source: &Json,
        given: Cow<'_, Record>,
        link: Option<Json>,
        context: &NestingContext,
    ) -> Result<Record, DataError> {
        if association.kind == AssociationKind::BelongsToMany {
            let made = self.create_in_context(target, given, Record::new(), context.clone()).await?;
            self.link_one(target, association, source, &made, link).await?;
            return Ok(made);
        }
        let belonging = Record::from_iter([(association.foreign_key.to_string(), source.clone())]);
        self.create_in_context(target, given, belonging, context.clone()).await
    }

    /// Changes a nested record if the request asks for it, and returns it as changed.
    async fn update_nested(
        &mut self,
        target: &Collection,
        record: &Record,
        given: Record,
        context: &NestingContext,
    ) -> Result<Option<Json>, DataError> {
        if !self.updates_association(context) {
            return Ok(None);
        }
        let open = self.access(target, RecordAction::Update)?.map_or(Filter::All, RecordAccess::into_scope);
        let filter = row_key_filter(target, std::slice::from_ref(record))?.and(open);
        let changed =
            self.update_in_context(target, filter.into(), Cow::Owned(given), context.clone()).await?;
        Ok(changed.into_iter().next().map(Json::Object))
    }

    fn shown_nested(&self, target: &Collection, mut record: Record) -> Json {
        self.redact(target, &mut record);
        Json::Object(record)
    }

    /// Returns the key of a record to which others refer.
    pub(super) fn source_value(
        &self,
        collection: &Collection,
        record: &Record,
        association: &Association,
    ) -> Result<Json, DataError> {
        let value = record.get(&*association.source_key).filter(|value| !value.is_null());
        value.cloned().ok_or_else(|| {
            DataError::Refused(format!(
                "the record of {} has no {}, which {} refer to",
                collection.name(),
                association.source_key,
                association.name
            ))
        })
    }
}

/// Returns the name under which an item has the fields of its link.
fn link_name(association: &Association) -> &str {
    association.through.as_ref().map_or("", |through| &through.collection)
}
