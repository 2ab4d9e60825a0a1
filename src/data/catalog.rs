//! All collections of a data source, by name.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{Association, AssociationKind, Collection, DataError, OnDelete};

/// All collections of a data source. Never changed: who defines a collection makes another catalog,
/// so that whoever works with the old one finishes with it.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    // Shared by the catalogs before and after a change, which differ in one.
    collections: BTreeMap<Arc<str>, Arc<Collection>>,
    /// The catalog that it was made from at first; `None` for that one itself.
    base: Option<Arc<Catalog>>,
}

/// Records that refer to those of a collection, and what becomes of them.
#[derive(Debug, Clone)]
pub(super) struct Reference<'a> {
    /// The collection that refers.
    pub(super) from: &'a Collection,
    /// Its field.
    pub(super) foreign_key: Arc<str>,
    /// The field that is referred to.
    pub(super) key: Arc<str>,
    pub(super) on_delete: OnDelete,
    /// Whether what refers is a link between two collections: without one side it is nothing.
    pub(super) is_link: bool,
}

impl Catalog {
    /// Of these collections.
    #[must_use]
    pub fn new(collections: impl IntoIterator<Item = Collection>) -> Self {
        let named = collections.into_iter().map(|one| (Arc::from(one.name()), Arc::new(one)));
        Self { collections: named.collect(), base: None }
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
        Self { collections, base: Some(self.base()) }
    }

    /// Without a collection.
    #[must_use]
    pub fn without(self: &Arc<Self>, name: &str) -> Self {
        let mut collections = self.collections.clone();
        collections.remove(name);
        Self { collections, base: Some(self.base()) }
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

    /// Who refers to records of a collection, each column once.
    pub(super) fn references(&self, to: &Collection) -> Vec<Reference<'_>> {
        let mut found: Vec<Reference<'_>> = Vec::new();
        for source in self.iter() {
            for association in source.associations() {
                for reference in self.references_of(source, association, to) {
                    note(&mut found, reference);
                }
            }
        }
        found
    }

    /// Whether removing records of a collection removes others, and those others again, until it comes back
    /// to a collection where it was before.
    pub(super) fn leads_round(&self, collection: &Collection) -> bool {
        self.comes_back(collection, &mut Vec::new(), &mut HashSet::new())
    }

    fn comes_back<'a>(
        &'a self,
        at: &'a Collection,
        way: &mut Vec<&'a str>,
        seen: &mut HashSet<&'a str>,
    ) -> bool {
        if way.contains(&at.name()) {
            return true;
        }
        if !seen.insert(at.name()) {
            return false;
        }
        way.push(at.name());
        let going =
            self.references(at).into_iter().filter(|to| to.on_delete == OnDelete::Cascade && !to.is_link);
        let found = going.map(|to| to.from).any(|next| self.comes_back(next, way, seen));
        way.pop();
        found
    }

    fn references_of<'a>(
        &'a self,
        source: &'a Collection,
        association: &'a Association,
        to: &Collection,
    ) -> impl Iterator<Item = Reference<'a>> {
        let belongs = association.kind == AssociationKind::BelongsTo;
        let on_delete = association.on_delete;
        let reference = |from, foreign_key: &Arc<str>, key: &Arc<str>, is_link| Reference {
            from,
            foreign_key: Arc::clone(foreign_key),
            key: Arc::clone(key),
            on_delete,
            is_link,
        };
        let (foreign_key, source_key, target_key) =
            (&association.foreign_key, &association.source_key, &association.target_key);
        let is_source = source.name() == to.name();
        let is_target = &*association.target == to.name();
        let own = (belongs && is_target).then(|| reference(source, foreign_key, target_key, false));
        let its = (!belongs && is_source)
            .then(|| self.referring(association))
            .flatten()
            .map(|(from, is_link)| reference(from, foreign_key, source_key, is_link));
        let far = association.through.as_ref().filter(|_| is_target).and_then(|through| {
            Some(reference(self.get(&through.collection)?, &through.other_key, target_key, true))
        });
        own.into_iter().chain(its).chain(far)
    }

    /// The collection that holds an association's foreign key, where that is not its own.
    fn referring(&self, association: &Association) -> Option<(&Collection, bool)> {
        match &association.through {
            Some(through) => Some((self.get(&through.collection)?, true)),
            None => Some((self.get(&association.target)?, false)),
        }
    }
}

/// Two sides may say the same of one column; what is not the usual was meant.
fn note<'a>(found: &mut Vec<Reference<'a>>, reference: Reference<'a>) {
    let same = found.iter_mut().find(|known| {
        known.from.name() == reference.from.name() && known.foreign_key == reference.foreign_key
    });
    // Links go with either side, whoever else names their column.
    match same {
        Some(known) if known.on_delete == OnDelete::default() => {
            known.on_delete = reference.on_delete;
            known.is_link |= reference.is_link;
        }
        Some(known) => known.is_link |= reference.is_link,
        None => found.push(reference),
    }
}
