//! Queries: which records are read, in which order, and with which fields and associations.

use std::sync::Arc;

use super::access::Guard;
use super::filter::Clock;
use super::{Collection, DataError, Filter};

/// A sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The path of the field, through associations.
    pub field: String,
    /// Whether the greatest value comes first.
    pub descending: bool,
}

impl Sort {
    /// Sorts by a field in ascending order. Records without a value come last.
    pub fn ascending(field: impl Into<String>) -> Self {
        Self { field: field.into(), descending: false }
    }

    /// Sorts by a field in descending order. Records without a value come last.
    pub fn descending(field: impl Into<String>) -> Self {
        Self { field: field.into(), descending: true }
    }
}

/// The parent record of an association, to whose records a query is limited.
#[derive(Debug, Clone)]
pub struct Parent {
    /// The association of the parent.
    pub association: super::Association,
    /// The key of the parent: the value of its source key or, for a belongsTo, of its foreign key.
    pub value: serde_json::Value,
}

/// A query. `Query::default()` reads all records in no order.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which records are read.
    pub filter: Filter,
    /// A second filter on them, which the requester chose.
    pub requested: Option<RequestedFilter>,
    /// Limits the query to the records of this parent.
    pub parent: Option<Parent>,
    /// The order of the records. Tiebreakers follow the last sort key.
    pub sort: Vec<Sort>,
    /// Whether the key orders the records if `sort` is empty.
    pub total_order: bool,
    /// How many records are read at most.
    pub limit: Option<u64>,
    /// How many records are skipped first; this needs an order.
    pub offset: u64,
    /// The fields to read; paths lead into associations (`author.name`). If empty, all fields that are not
    /// hidden.
    pub fields: Vec<String>,
    /// The fields to omit.
    pub except: Vec<String>,
    /// The associations to load; paths lead to associations of associations (`comments.author`).
    pub appends: Vec<String>,
    /// Whether the query may name hidden fields; only the host's own queries may.
    pub hidden: bool,
    /// Whether the records are locked until the transaction ends.
    pub lock: bool,
    /// Decides which fields and records are open; `None` opens everything.
    pub guard: Option<Arc<dyn Guard>>,
    /// The time and zone of the requester.
    pub clock: Clock,
}

/// A filter of the requester, beside a filter of the host.
#[derive(Debug, Clone)]
pub struct RequestedFilter {
    /// Which records are read.
    pub filter: Filter,
    /// Decides which associated records the filter may depend on.
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
    /// Returns a query for the matching records, with all fields that are not hidden.
    #[must_use]
    pub fn filter(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }

    /// Adds a sort key.
    #[must_use]
    pub fn sort(mut self, sort: Sort) -> Self {
        self.sort.push(sort);
        self
    }

    /// Limits the number of records.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Reads only these fields, which may be hidden.
    #[must_use]
    pub fn fields(mut self, names: &[&str]) -> Self {
        self.fields = names.iter().map(|name| (*name).to_owned()).collect();
        self.hidden = true;
        self
    }
}

/// Limit of nested associations: each level multiplies the number of records.
const MAX_ASSOCIATION_DEPTH: usize = 8;

/// The fields and associations to read, as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// The fields; `None` for all that are not hidden.
    pub(super) fields: Option<Vec<String>>,
    pub(super) except: Vec<String>,
    pub(super) associations: Vec<(String, Selection)>,
}

impl Selection {
    /// Builds the tree of a query's `fields`, `except` and `appends`.
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
            // Options after a name, as in `tags(recursively=true)`, are for trees and ignored.
            let path = path.split_once('(').map_or(path.as_str(), |(path, _)| path);
            // As in NocoBase, unknown names are ignored.
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
                "{path} leads through more than {MAX_ASSOCIATION_DEPTH} associations"
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
            // The whole record, even if single fields were named before.
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

/// Whether a path leads through associations to an association or a field.
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
