//! The references between collections: which records a removal affects.
//!
//! A catalog builds this index once, so that a removal looks its references up instead of scanning the
//! associations of all collections.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::{Association, AssociationKind, Collection, OnDelete};

/// A foreign key that refers to records of a collection, and what becomes of its records.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// The collection of the foreign key.
    pub(super) from: Arc<Collection>,
    /// The field that refers.
    pub(super) foreign_key: Arc<str>,
    /// The field that is referred to.
    pub(super) key: Arc<str>,
    pub(super) on_delete: OnDelete,
    /// Whether the referring records are links, which are removed with either of their sides.
    pub(super) is_link: bool,
}

/// All references of a catalog.
#[derive(Debug, Clone)]
pub(super) struct References {
    /// By the name of the collection that is referred to.
    by_target: HashMap<Arc<str>, Vec<Reference>>,
    /// The collections whose removals cascade into a cycle.
    cascade_cycles: HashSet<Arc<str>>,
}

type Collections = BTreeMap<Arc<str>, Arc<Collection>>;

impl References {
    pub(super) fn new(collections: &Collections) -> Self {
        let mut by_target: HashMap<Arc<str>, Vec<Reference>> = HashMap::new();
        for source in collections.values() {
            for association in source.associations() {
                for (target, reference) in references_of(collections, source, association) {
                    merge(by_target.entry(target).or_default(), reference);
                }
            }
        }
        let mut known = HashMap::new();
        let cyclic = by_target.keys().filter(|name| reaches_cycle(&by_target, name, &mut known));
        let cascade_cycles = cyclic.cloned().collect();
        Self { by_target, cascade_cycles }
    }

    /// Returns the references to a collection, each column once.
    pub(super) fn to(&self, name: &str) -> &[Reference] {
        self.by_target.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether the removal of a collection's records cascades into a cycle.
    pub(super) fn has_cascade_cycle(&self, name: &str) -> bool {
        self.cascade_cycles.contains(name)
    }
}

/// Returns the references that an association defines, each with the collection that it refers to.
fn references_of(
    collections: &Collections,
    source: &Arc<Collection>,
    association: &Association,
) -> impl Iterator<Item = (Arc<str>, Reference)> {
    let on_delete = association.on_delete;
    let reference = |from: &Arc<Collection>, foreign_key: &Arc<str>, key: &Arc<str>, is_link| Reference {
        from: Arc::clone(from),
        foreign_key: Arc::clone(foreign_key),
        key: Arc::clone(key),
        on_delete,
        is_link,
    };
    let (foreign_key, source_key, target_key) =
        (&association.foreign_key, &association.source_key, &association.target_key);
    let belongs = association.kind == AssociationKind::BelongsTo;
    let to_target = || Arc::clone(&association.target);
    let own = belongs.then(|| (to_target(), reference(source, foreign_key, target_key, false)));
    let through = association.through.as_ref();
    let referring = through.map_or(&association.target, |through| &through.collection);
    let from_target = (!belongs)
        .then(|| collections.get(referring))
        .flatten()
        .map(|from| (Arc::from(source.name()), reference(from, foreign_key, source_key, through.is_some())));
    let from_link = through.and_then(|through| {
        let from = collections.get(&through.collection)?;
        Some((to_target(), reference(from, &through.other_key, target_key, true)))
    });
    own.into_iter().chain(from_target).chain(from_link)
}

/// Adds a reference, or merges it with another of the same column: both sides of an association may define
/// it, and an explicit `on_delete` of either side counts.
fn merge(found: &mut Vec<Reference>, reference: Reference) {
    let same = found.iter_mut().find(|known| {
        known.from.name() == reference.from.name() && known.foreign_key == reference.foreign_key
    });
    // Links are removed with either side, whatever other associations define on their column.
    match same {
        Some(known) if known.on_delete == OnDelete::default() => {
            known.on_delete = reference.on_delete;
            known.is_link |= reference.is_link;
        }
        Some(known) => known.is_link |= reference.is_link,
        None => found.push(reference),
    }
}

/// Whether removals of a collection cascade into a cycle. `known` has the results so far; a collection whose
/// search is in progress counts as cyclic, because the search came back to it.
fn reaches_cycle<'a>(
    by_target: &'a HashMap<Arc<str>, Vec<Reference>>,
    name: &'a str,
    known: &mut HashMap<&'a str, bool>,
) -> bool {
    if let Some(known) = known.get(name) {
        return *known;
    }
    known.insert(name, true);
    let references = by_target.get(name).into_iter().flatten();
    let result = references
        .filter(|reference| reference.on_delete == OnDelete::Cascade && !reference.is_link)
        .any(|reference| reaches_cycle(by_target, reference.from.name(), known));
    known.insert(name, result);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Catalog;

    fn belongs(name: &str, target: &str, on_delete: OnDelete) -> Association {
        Association { on_delete, ..Association::belongs_to(name, target, &format!("{name}Id")) }
    }

    #[test]
    fn references_are_found_from_both_sides_each_column_once() {
        let many = Association::belongs_to_many("tags", "tags", "postTags", "postId", "tagId");
        let comments = Association {
            kind: AssociationKind::HasMany,
            on_delete: OnDelete::Cascade,
            ..Association::belongs_to("comments", "comments", "postId")
        };
        let posts = Collection::new("posts").association(many).association(comments);
        let belonging = belongs("post", "posts", OnDelete::default());
        let catalog = Catalog::new([
            posts.clone(),
            Collection::new("tags"),
            Collection::new("postTags"),
            Collection::new("comments").association(belonging),
        ]);
        let shown = |collection: &Collection| -> Vec<String> {
            let references = catalog.references(collection).iter();
            references
                .map(|it| format!("{}.{} {:?} {}", it.from.name(), it.foreign_key, it.on_delete, it.is_link))
                .collect()
        };
        assert_eq!(shown(&posts), ["comments.postId Cascade false", "postTags.postId SetNull true"]);
        assert_eq!(shown(&Collection::new("tags")), ["postTags.tagId SetNull true"]);
        assert_eq!(shown(&Collection::new("comments")), [""; 0]);
    }

    #[test]
    fn a_cascade_into_a_cycle_is_recognized() {
        let on = |name: &str, target: &str, on_delete| {
            Collection::new(name).association(belongs("parent", target, on_delete))
        };
        let catalog = Catalog::new([
            on("a", "c", OnDelete::Cascade),
            on("b", "a", OnDelete::Cascade),
            on("c", "b", OnDelete::Cascade).association(belongs("root", "root", OnDelete::Cascade)),
            Collection::new("root"),
            on("tree", "tree", OnDelete::Cascade),
            on("list", "list", OnDelete::SetNull),
            on("leaf", "tree", OnDelete::Cascade),
            on("x", "y", OnDelete::Cascade),
            on("y", "x", OnDelete::SetNull),
        ]);
        let cyclic: Vec<&str> =
            catalog.iter().filter(|one| catalog.has_cascade_cycle(one)).map(Collection::name).collect();
        assert_eq!(cyclic, ["a", "b", "c", "root", "tree"]);
    }
}
