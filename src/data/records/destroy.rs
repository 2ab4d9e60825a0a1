//! Removing records, and what becomes of those that refer to them.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value as Json;

use super::rows::{are_told_apart, keyed};
use super::writer::{Which, Writer};
use crate::data::access::{Access, Action};
use crate::data::{Collection, DataError, Filter, OnDelete, Query, Record};

/// How far one removal may lead to another.
const FARTHEST: u32 = 32;

impl Writer<'_> {
    /// Removes the records that fit and are open; gives their number.
    pub(in crate::data) async fn destroy(
        &mut self,
        collection: &Collection,
        filter: Filter,
    ) -> Result<u64, DataError> {
        self.destroy_associated(collection, Filter::All, filter).await
    }

    fn remove<'b>(
        &'b mut self,
        collection: &'b Collection,
        which: Which,
        depth: u32,
    ) -> Pin<Box<dyn Future<Output = Result<u64, DataError>> + Send + 'b>> {
        Box::pin(async move {
            if depth > FARTHEST {
                return Err(DataError::Refused(format!(
                    "removing this would go {FARTHEST} associations far"
                )));
            }
            let hooks = self.hooks(collection);
            let records = self.whole(collection, which.clone()).await?;
            for record in &records {
                for hook in &hooks {
                    hook.before_destroy(self.transaction, collection, record).await?;
                }
            }
            // Or else they are those that fit, as long as what refers to them is as it was.
            let told_apart = are_told_apart(collection, &records);
            let mut removed = if told_apart { 0 } else { self.delete(collection, which).await? };
            for records in records.chunks(1000) {
                self.release(collection, records, told_apart, depth).await?;
                if told_apart {
                    removed += self.delete(collection, keyed(collection, records)?).await?;
                }
            }
            for record in &records {
                for hook in &hooks {
                    hook.after_destroy(self.transaction, collection, record).await?;
                }
            }
            Ok(removed)
        })
    }

    /// Does what was decided with the records that refer to these.
    async fn release(
        &mut self,
        collection: &Collection,
        records: &[Record],
        told_apart: bool,
        depth: u32,
    ) -> Result<(), DataError> {
        let catalog = Arc::clone(&self.catalog);
        for reference in catalog.references(collection) {
            // Where the other side is not (yet) what the association says, nothing refers.
            if reference.from.get(&reference.foreign_key).is_none() {
                continue;
            }
            let mut keys: Vec<Json> = records
                .iter()
                .filter_map(|record| record.get(&*reference.key).filter(|key| !key.is_null()).cloned())
                .collect();
            if !told_apart {
                // Others that stay may be referred to by the same.
                let stay = self.whole(collection, Filter::one_of(&*reference.key, keys.clone())).await?;
                keys.retain(|key| stay.iter().all(|record| record.get(&*reference.key) != Some(key)));
            }
            if keys.is_empty() {
                continue;
            }
            let referring = Filter::one_of(&*reference.foreign_key, keys);
            match (reference.on_delete, reference.is_link) {
                (OnDelete::Restrict, _) => {
                    let query = Query::filter(referring);
                    let count =
                        super::count(&mut &mut self.transaction.inner, &catalog, reference.from, &query)
                            .await?;
                    if count > 0 {
                        return Err(DataError::Refused(format!(
                            "{count} records of {} refer to it by {}: remove them first",
                            reference.from.name(),
                            reference.foreign_key
                        )));
                    }
                }
                (_, true) => {
                    self.delete(reference.from, referring).await?;
                }
                (OnDelete::Cascade, false) => {
                    self.remove(reference.from, referring.into(), depth + 1).await?;
                }
                (OnDelete::SetNull, false) => {
                    let nullable =
                        reference.from.get(&reference.foreign_key).is_some_and(|field| !field.not_null);
                    if nullable {
                        self.link(reference.from, referring, &reference.foreign_key, Json::Null).await?;
                    }
                }
                (OnDelete::Nothing, false) => {}
            }
        }
        Ok(())
    }

    /// Removes records that belong to another one, of those that fit.
    pub(in crate::data) async fn destroy_associated(
        &mut self,
        target: &Collection,
        belonging: Filter,
        filter: Filter,
    ) -> Result<u64, DataError> {
        self.check_filter(target, &filter)?;
        let open = self.access(target, Action::Destroy)?.map_or(Filter::All, Access::into_scope);
        self.remove(target, Which { decided: belonging.and(open), asked: Some(filter) }, 0).await
    }
}
