//! The collections of a data source, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::references::{Reference, References};
use super::{Association, Collection, DataError};

/// The collections of a data source. A catalog is immutable: a change of definitions makes a new one, so that
/// running operations keep theirs.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    // Shared by the catalogs before and after a change, which differ in few.
    collections: BTreeMap<Arc<str>, Arc<Collection>>,
    /// The catalog before all changes; `None` in that one itself.
    base: Option<Arc<Catalog>>,
    /// An index that is built at the first removal of records.
    references: OnceLock<References>,
}

impl Catalog {
    /// Makes a catalog of these collections.
    #[must_use]
    pub fn new(collections: impl IntoIterator<Item = Collection>) -> Self {
        let named = collections.into_iter().map(|one| (Arc::from(one.name()), Arc::new(one)));
        Self { collections: named.collect(), base: None, references: OnceLock::new() }
    }

    /// Returns a catalog with a collection, which replaces one of the same name.
    #[must_use]
    pub fn with(self: &Arc<Self>, collection: Collection) -> Self {
        self.with_all([collection])
    }

    /// Returns a catalog with more collections, which replace those of the same names.
    #[must_use]
    pub fn with_all(self: &Arc<Self>, added: impl IntoIterator<Item = Collection>) -> Self {
        let mut collections = self.collections.clone();
        collections.extend(added.into_iter().map(|one| (Arc::from(one.name()), Arc::new(one))));
        Self { collections, base: Some(self.base()), references: OnceLock::new() }
    }

    /// Returns a catalog without a collection.
    #[must_use]
    pub fn without(self: &Arc<Self>, name: &str) -> Self {
        let mut collections = self.collections.clone();
        collections.remove(name);
        Self { collections, base: Some(self.base()), references: OnceLock::new() }
    }

    /// Returns the catalog from which this one was made, before all additions and removals.
    #[must_use]
    pub fn base(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self.base.as_ref().unwrap_or(self))
    }

    /// Returns the collection of this name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Collection> {
        self.collections.get(name).map(|collection| &**collection)
    }

    /// Returns all collections, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &Collection> {
        self.collections.values().map(|collection| &**collection)
    }

    /// Returns the target of an association.
    ///
    /// # Errors
    /// [`DataError::Refused`] if it does not exist (any more).
    pub fn target(&self, association: &Association) -> Result<&Collection, DataError> {
        self.get(&association.target).ok_or_else(|| {
            DataError::Refused(format!(
                "the association {} leads to the collection {}, which does not exist",
                association.name, association.target
            ))
        })
    }

    /// Returns the through collection of an association, and its field that refers to the target.
    pub(super) fn through<'a>(
        &'a self,
        association: &'a Association,
    ) -> Result<(&'a Collection, &'a str), DataError> {
        let found = association.through.as_ref().and_then(|through| {
            self.get(&through.collection).map(|collection| (collection, &*through.other_key))
        });
        found.ok_or_else(|| {
            DataError::Refused(format!(
                "the through collection of the association {} does not exist",
                association.name
            ))
        })
    }

    /// Returns the references to records of a collection, each column once.
    pub(super) fn references(&self, to: &Collection) -> &[Reference] {
        self.references.get_or_init(|| References::new(&self.collections)).to(to.name())
    }

    /// Whether the removal of records of a collection cascades to other collections, and from there back to
    /// one where it has been before.
    pub(super) fn has_cascade_cycle(&self, collection: &Collection) -> bool {
        self.references
            .get_or_init(|| References::new(&self.collections))
            .has_cascade_cycle(collection.name())
    }
}
