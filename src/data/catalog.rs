//! All collections of a data source, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::references::{Reference, References};
use super::{Association, Collection, DataError};

/// All collections of a data source. Never changed: who defines a collection makes another catalog,
/// so that whoever works with the old one finishes with it.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    // Shared by the catalogs before and after a change, which differ in one.
    collections: BTreeMap<Arc<str>, Arc<Collection>>,
    /// The catalog that it was made from at first; `None` for that one itself.
    base: Option<Arc<Catalog>>,
    /// An index that is built at the first removal of records.
    references: OnceLock<References>,
}

impl Catalog {
    /// Of these collections.
    #[must_use]
    pub fn new(collections: impl IntoIterator<Item = Collection>) -> Self {
        let named = collections.into_iter().map(|one| (Arc::from(one.name()), Arc::new(one)));
        Self { collections: named.collect(), base: None, references: OnceLock::new() }
    }

    /// With a collection, in the place of one of the same name.
    #[must_use]
    pub fn with(self: &Arc<Self>, collection: Collection) -> Self {
        self.with_all([collection])
    }

    /// With collections, in the place of those of the same names.
    #[must_use]
    pub fn with_all(self: &Arc<Self>, added: impl IntoIterator<Item = Collection>) -> Self {
        let mut collections = self.collections.clone();
        collections.extend(added.into_iter().map(|one| (Arc::from(one.name()), Arc::new(one))));
        Self { collections, base: Some(self.base()), references: OnceLock::new() }
    }

    /// Without a collection.
    #[must_use]
    pub fn without(self: &Arc<Self>, name: &str) -> Self {
        let mut collections = self.collections.clone();
        collections.remove(name);
        Self { collections, base: Some(self.base()), references: OnceLock::new() }
    }

    /// The catalog that this one was made from at first, before anything was added or removed.
    #[must_use]
    pub fn base(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self.base.as_ref().unwrap_or(self))
    }

    /// The collection of this name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Collection> {
        self.collections.get(name).map(|collection| &**collection)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Collection> {
        self.collections.values().map(|collection| &**collection)
    }

    /// The collection at the other end of an association.
    ///
    /// # Errors
    /// [`DataError::Refused`] when it does not exist (any more).
    pub fn target(&self, association: &Association) -> Result<&Collection, DataError> {
        self.get(&association.target).ok_or_else(|| {
            DataError::Refused(format!(
                "the association {} leads to the collection {}, which does not exist",
                association.name, association.target
            ))
        })
    }

    /// The collection between the two of an association, with its field that refers to the target.
    pub(super) fn through<'a>(
        &'a self,
        association: &'a Association,
    ) -> Result<(&'a Collection, &'a str), DataError> {
        let found = association.through.as_ref().and_then(|through| {
            self.get(&through.collection).map(|collection| (collection, &*through.other_key))
        });
        found.ok_or_else(|| {
            DataError::Refused(format!(
                "the collection between the two of the association {} does not exist",
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
