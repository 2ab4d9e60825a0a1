//! What to read: which records, in which order, how many, with which fields and associations.

use std::sync::Arc;

use super::access::Guard;
use super::filter::Clock;
use super::{Collection, DataError, Filter};

/// One step of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The field, behind the associations that lead to it.
    pub field: String,
    /// From the greatest to the least.
    pub descending: bool,
}

impl Sort {
    /// From the least to the greatest; records without a value come last.
    pub fn ascending(field: impl Into<String>) -> Self {
        Self { field: field.into(), descending: false }
    }

    /// From the greatest to the least; records without a value come last.
    pub fn descending(field: impl Into<String>) -> Self {
        Self { field: field.into(), descending: true }
    }
}

/// The records that belong to another one by an association of that one.
#[derive(Debug, Clone)]
pub struct Parent {
    /// The association.
    pub association: super::Association,
    /// The value by which they belong to it: of its source key, or of the foreign key where it
    /// belongs to them.
    pub value: serde_json::Value,
}

/// What to read. `Query::default()` is everything, in no order.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which.
    pub filter: Filter,
    /// And of those, which somebody asks for.
    pub requested: Option<RequestedFilter>,
    /// Of those that belong to one record.
    pub parent: Option<Parent>,
    /// In which order. Records that are alike in it are told apart by what does.
    pub sort: Vec<Sort>,
    /// Whether there is an order where none is said: that of the key.
    pub total_order: bool,
    /// At most so many.
    pub limit: Option<u64>,
    /// Leaving out so many first; needs an order to mean anything.
    pub offset: u64,
    /// With these fields only, which may be those of associations (`author.name`); empty for all
    /// that are not hidden.
    pub fields: Vec<String>,
    /// Without these.
    pub except: Vec<String>,
    /// With these associations, which may be of associations (`comments.author`).
    pub appends: Vec<String>,
    /// Whether hidden fields may be named: for what the host needs to know itself.
    pub hidden: bool,
    /// Whether nobody else may change the records before the transaction ends.
    pub lock: bool,
    /// Who decides what is open; `None` opens everything.
    pub guard: Option<Arc<dyn Guard>>,
    /// What time it is for whoever asks.
    pub clock: Clock,
}

/// What somebody asks for of records that were chosen for other reasons.
#[derive(Debug, Clone)]
pub struct RequestedFilter {
    /// Which.
    pub filter: Filter,
    /// Who decides what is open of the records behind associations, which a filter may look at.
    pub guard: Option<Arc<dyn Guard>>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            filter: Filter::All,
            requested: None,
            parent: None,
            sort: Vec::new(),
            total_order: false,
            limit: None,
            offset: 0,
            fields: Vec::new(),
            except: Vec::new(),
            appends: Vec::new(),
            hidden: false,
            lock: false,
            guard: None,
            clock: Clock::utc(),
        }
    }
}

impl Query {
    /// The records that fit, with all fields that are not hidden.
    #[must_use]
    pub fn filter(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }

    /// In this order, after what was said before.
    #[must_use]
    pub fn sort(mut self, sort: Sort) -> Self {
        self.sort.push(sort);
        self
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// With these fields only, hidden ones too.
    #[must_use]
    pub fn fields(mut self, names: &[&str]) -> Self {
        self.fields = names.iter().map(|name| (*name).to_owned()).collect();
        self.hidden = true;
        self
    }
}

/// How far associations of associations go: what is nested deeper grows beyond all measure.
const MAX_ASSOCIATION_DEPTH: usize = 8;

/// What of a record is wanted: its own fields and those of associations, as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// These fields; `None` for all that are not hidden.
    pub(super) fields: Option<Vec<String>>,
    pub(super) except: Vec<String>,
    pub(super) associations: Vec<(String, Selection)>,
}

impl Selection {
    /// Reads a query's `fields`, `except` and `appends`.
    pub(super) fn of(
        query: &Query,
        catalog: &super::Catalog,
        collection: &Collection,
    ) -> Result<Self, DataError> {
        let mut selection = Self::default();
        if !query.fields.is_empty() {
            selection.fields = Some(Vec::new());
        }
        for path in &query.fields {
            selection.add(path, catalog, collection, false)?;
        }
        for path in &query.appends {
            // Options behind a name, as in `tags(recursively=true)`, are for trees.
            let path = path.split_once('(').map_or(path.as_str(), |(path, _)| path);
            // As NocoBase has it: what is not there cannot be appended, and the rest is.
            if is_known(path, catalog, collection) {
                selection.add(path, catalog, collection, true)?;
            }
        }
        for path in &query.except {
            selection.remove(path);
        }
        Ok(selection)
    }

    fn add(
        &mut self,
        path: &str,
        catalog: &super::Catalog,
        collection: &Collection,
        association_only: bool,
    ) -> Result<(), DataError> {
        if path.split('.').count() > MAX_ASSOCIATION_DEPTH {
            return Err(DataError::Refused(format!(
                "{path} goes further than {MAX_ASSOCIATION_DEPTH} associations"
            )));
        }
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let Some(association) = collection.associated(first) else {
            if association_only || rest.is_some() {
                return Err(DataError::Refused(format!(
                    "the collection {} has no association {first}",
                    collection.name()
                )));
            }
            collection.known(first)?;
            if let Some(fields) = &mut self.fields
                && !fields.iter().any(|known| known == first)
            {
                fields.push(first.to_owned());
            }
            return Ok(());
        };
        let target = catalog.target(association)?;
        let known = self.associations.iter().position(|(name, _)| name == first);
        let at = known.unwrap_or_else(|| {
            self.associations.push((first.to_owned(), Self::default()));
            self.associations.len() - 1
        });
        let Some((_, inner)) = self.associations.get_mut(at) else { return Ok(()) };
        match rest {
            // All of it, whatever was said of some fields before.
            None => inner.fields = None,
            Some(rest) => {
                let of_field = !rest.contains('.') && target.associated(rest).is_none();
                if of_field && known.is_none() {
                    inner.fields = Some(Vec::new());
                }
                inner.add(rest, catalog, target, !of_field && association_only)?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) {
        match path.split_once('.') {
            None => {
                self.associations.retain(|(name, _)| name != path);
                self.except.push(path.to_owned());
            }
            Some((first, rest)) => {
                if let Some((_, inner)) = self.associations.iter_mut().find(|(name, _)| name == first) {
                    inner.remove(rest);
                }
            }
        }
    }
}

/// Whether a path leads over associations to one, or to a field at its end.
fn is_known(path: &str, catalog: &super::Catalog, collection: &Collection) -> bool {
    let (mut collection, mut walked) = (collection, false);
    for step in path.split('.') {
        match collection.associated(step).map(|association| catalog.target(association)) {
            Some(Ok(target)) => (collection, walked) = (target, true),
            Some(Err(_)) => return false,
            None => return walked && collection.get(step).is_some(),
        }
    }
    true
}
