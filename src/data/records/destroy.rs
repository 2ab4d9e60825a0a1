//! Removes records and applies `OnDelete` to the records that refer to them.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value as Json;

use super::eager_load::MAX_KEYS_PER_STATEMENT;
use super::row_key::{have_row_keys, row_key_filter};
use super::writer::{RecordWriter, RowFilter};
use crate::data::access::{RecordAccess, RecordAction};
use crate::data::references::Reference;
use crate::data::{Catalog, Collection, DataError, Filter, OnDelete, Query, Record, RecordEvent};

/// The progress of one removal. Rows are deleted before the records that refer to them are searched, so that
/// each record is found once, also in a cycle of associations.
#[derive(Default)]
struct Removal<'a> {
    /// Records that are still to be removed.
    pending: VecDeque<RemovalStep<'a>>,
    /// Removed records of collections with hooks, which run at the end.
    removed: Vec<(&'a Collection, Vec<Record>)>,
    /// References to removed keys from records that may stay. They are resolved at the end, when it is known
    /// which do.
    dangling: Vec<(&'a Reference, Vec<Json>)>,
}

struct RemovalStep<'a> {
    collection: &'a Collection,
    row_filter: RowFilter,
    /// Whether the records are links, for which no hooks run.
    are_links: bool,
}

impl RecordWriter<'_> {
    /// Removes the matching records that the writer may remove, and returns their number.
    pub(in crate::data) async fn destroy(
        &mut self,
        collection: &Collection,
        filter: Filter,
    ) -> Result<u64, DataError> {
        self.destroy_associated(collection, Filter::All, filter).await
    }

    /// Removes the matching records among those that belong to another one.
    pub(in crate::data) async fn destroy_associated(
        &mut self,
        target: &Collection,
        belonging: Filter,
        filter: Filter,
    ) -> Result<u64, DataError> {
        self.check_filter(target, &filter)?;
        let open = self.access(target, RecordAction::Destroy)?.map_or(Filter::All, RecordAccess::into_scope);
        self.destroy_cascading(target, RowFilter { enforced: belonging.and(open), requested: Some(filter) })
            .await
    }

    /// Removes records with those that depend on them; returns the number of the former.
    async fn destroy_cascading(
        &mut self,
        collection: &Collection,
        row_filter: RowFilter,
    ) -> Result<u64, DataError> {
        let catalog = Arc::clone(&self.catalog);
        let mut removal = Removal::default();
        let first = RemovalStep { collection, row_filter, are_links: false };
        let removed = self.remove_rows(&catalog, first, &mut removal).await?;
        while let Some(next) = removal.pending.pop_front() {
            self.remove_rows(&catalog, next, &mut removal).await?;
        }
        for (reference, keys) in removal.dangling {
            self.resolve_dangling(&catalog, reference, keys).await?;
        }
        // Referring records come before those that they refer to.
        for (collection, records) in removal.removed.into_iter().rev() {
            for hook in self.hooks(collection) {
                for record in &records {
                    hook.on(self.transaction, collection, RecordEvent::AfterDestroy(record)).await?;
                }
            }
        }
        Ok(removed)
    }

    /// Removes rows, collects the references to them and returns their number.
    async fn remove_rows<'a>(
        &mut self,
        catalog: &'a Catalog,
        RemovalStep { collection, row_filter, are_links }: RemovalStep<'a>,
        removal: &mut Removal<'a>,
    ) -> Result<u64, DataError> {
        let references = catalog.references(collection);
        if are_links && references.is_empty() {
            return self.delete(collection, row_filter).await;
        }
        let hooks = if are_links { Vec::new() } else { self.hooks(collection) };
        let records = self.read_for_update(collection, row_filter.clone()).await?;
        if records.is_empty() {
            return Ok(0);
        }
        for record in &records {
            for hook in &hooks {
                hook.on(self.transaction, collection, RecordEvent::BeforeDestroy(record)).await?;
            }
        }
        let have_keys = have_row_keys(collection, &records);
        let mut removed = 0;
        if have_keys {
            for records in records.chunks(MAX_KEYS_PER_STATEMENT) {
                removed += self.delete(collection, row_key_filter(collection, records)?).await?;
            }
        } else {
            removed = self.delete(collection, row_filter).await?;
        }
        for reference in references {
            self.collect_references(collection, &records, have_keys, reference, removal).await?;
        }
        if !hooks.is_empty() {
            removal.removed.push((collection, records));
        }
        Ok(removed)
    }

    /// Collects the records that refer to removed ones, by what is to become of them.
    async fn collect_references<'a>(
        &mut self,
        collection: &Collection,
        gone: &[Record],
        have_keys: bool,
        reference: &'a Reference,
        removal: &mut Removal<'a>,
    ) -> Result<(), DataError> {
        // Where a field does not exist (yet), nothing refers to the records.
        let (Some(referring), Some(key)) =
            (reference.from.get(&reference.foreign_key), collection.get(&reference.key))
        else {
            return Ok(());
        };
        let is_own = key.unique || (key.primary_key && collection.primary_key().count() == 1);
        let is_shared = !(have_keys && is_own);
        for gone in gone.chunks(MAX_KEYS_PER_STATEMENT) {
            let mut keys: Vec<Json> = Vec::with_capacity(gone.len());
            keys.extend(
                gone.iter().filter_map(|record| record.get(key.name())).filter(|key| !key.is_null()).cloned(),
            );
            if is_shared && !keys.is_empty() {
                // Keys that other records share still exist.
                let stay = self.read_for_update(collection, Filter::one_of(key.name(), keys.clone())).await?;
                keys.retain(|own| stay.iter().all(|record| record.get(key.name()) != Some(own)));
            }
            if keys.is_empty() {
                continue;
            }
            let row_filter = || Filter::one_of(referring.name(), keys.clone()).into();
            let step =
                |are_links| RemovalStep { collection: &reference.from, row_filter: row_filter(), are_links };
            match (reference.on_delete, reference.is_link) {
                (OnDelete::Restrict, _) => removal.dangling.push((reference, keys)),
                (_, true) => removal.pending.push_back(step(true)),
                (OnDelete::Cascade, false) => removal.pending.push_back(step(false)),
                (OnDelete::SetNull, false) if !referring.not_null => {
                    removal.dangling.push((reference, keys));
                }
                (OnDelete::SetNull | OnDelete::Nothing, false) => {}
            }
        }
        Ok(())
    }

    /// Applies `OnDelete` to the records that stay and refer to removed keys.
    async fn resolve_dangling(
        &mut self,
        catalog: &Catalog,
        reference: &Reference,
        keys: Vec<Json>,
    ) -> Result<(), DataError> {
        let referring = Filter::one_of(&*reference.foreign_key, keys);
        if reference.on_delete != OnDelete::Restrict {
            return self.link(&reference.from, referring, &reference.foreign_key, Json::Null).await;
        }
        let query = Query::filter(referring);
        let count = super::count(&mut &mut self.transaction.inner, catalog, &reference.from, &query).await?;
        if count == 0 {
            return Ok(());
        }
        Err(DataError::Refused(format!(
            "{count} records of {} refer to it by {}: remove them first",
            reference.from.name(),
            reference.foreign_key
        )))
    }
}
