//! How the records of one collection belong to those of another.

use std::sync::Arc;

/// Which side refers to which, and to how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssociationKind {
    /// The record refers to one of the target's.
    BelongsTo,
    /// One record of the target refers to it.
    HasOne,
    /// Records of the target refer to it.
    HasMany,
    /// Records of a third collection refer to both sides.
    BelongsToMany,
}

impl AssociationKind {
    /// The kind as it is written in a definition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BelongsTo => "belongsTo",
            Self::HasOne => "hasOne",
            Self::HasMany => "hasMany",
            Self::BelongsToMany => "belongsToMany",
        }
    }

    /// Whether there can be several on the other side.
    #[must_use]
    pub const fn is_many(self) -> bool {
        matches!(self, Self::HasMany | Self::BelongsToMany)
    }
}

/// What becomes of a record that refers to one which is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDelete {
    /// It refers to none from then on.
    #[default]
    SetNull,
    /// It is destroyed too.
    Cascade,
    /// It keeps the other from being destroyed.
    Restrict,
    /// It goes on referring to what is not there.
    Nothing,
}

/// An association of a collection with another one. Keys are fields' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// Its name.
    pub name: Arc<str>,
    /// Which side refers to which.
    pub kind: AssociationKind,
    /// The other collection.
    pub target: Arc<str>,
    /// The field that refers: of this collection (belongs to), of the target (has), or of the
    /// collection between, to this side (belongs to many).
    pub foreign_key: Arc<str>,
    /// This collection's field that is referred to (has, belongs to many).
    pub source_key: Arc<str>,
    /// The target's field that is referred to (belongs to, belongs to many), or by which its
    /// records are named (has).
    pub target_key: Arc<str>,
    /// The collection between (belongs to many).
    pub through: Option<Through>,
    /// What becomes of the side that refers.
    pub on_delete: OnDelete,
}

/// The collection between two others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// Its name.
    pub collection: Arc<str>,
    /// Its field that refers to the target.
    pub other_key: Arc<str>,
}

impl Association {
    fn new(name: &str, kind: AssociationKind, target: &str, foreign_key: &str) -> Self {
        Self {
            name: name.into(),
            kind,
            target: target.into(),
            foreign_key: foreign_key.into(),
            source_key: "id".into(),
            target_key: "id".into(),
            through: None,
            on_delete: OnDelete::default(),
        }
    }

    /// The record's `foreign_key` refers to a record of `target`.
    #[must_use]
    pub fn belongs_to(name: &str, target: &str, foreign_key: &str) -> Self {
        Self::new(name, AssociationKind::BelongsTo, target, foreign_key)
    }

    /// One record of `target` refers to it by `foreign_key`.
    #[must_use]
    pub fn has_one(name: &str, target: &str, foreign_key: &str) -> Self {
        Self::new(name, AssociationKind::HasOne, target, foreign_key)
    }

    /// Records of `target` refer to it by `foreign_key`.
    #[must_use]
    pub fn has_many(name: &str, target: &str, foreign_key: &str) -> Self {
        Self::new(name, AssociationKind::HasMany, target, foreign_key)
    }

    /// Records of `through` refer to both sides, to this by `foreign_key`, to the other by `other_key`.
    #[must_use]
    pub fn belongs_to_many(
        name: &str,
        target: &str,
        through: &str,
        foreign_key: &str,
        other_key: &str,
    ) -> Self {
        let through = Through { collection: through.into(), other_key: other_key.into() };
        Self {
            through: Some(through),
            ..Self::new(name, AssociationKind::BelongsToMany, target, foreign_key)
        }
    }

    /// Referring to another field of this collection than `id`.
    #[must_use]
    pub fn source_key(mut self, field: &str) -> Self {
        self.source_key = field.into();
        self
    }

    /// Referring to another field of the target than `id`.
    #[must_use]
    pub fn target_key(mut self, field: &str) -> Self {
        self.target_key = field.into();
        self
    }

    /// With another consequence of destroying.
    #[must_use]
    pub fn on_delete(mut self, on_delete: OnDelete) -> Self {
        self.on_delete = on_delete;
        self
    }

    /// Whether both say the same of the same columns, seen from the two sides.
    #[must_use]
    pub(super) fn is_reverse_of(&self, other: &Self) -> bool {
        use AssociationKind::{BelongsTo, BelongsToMany, HasMany, HasOne};
        match (self.kind, other.kind) {
            (BelongsTo, HasOne | HasMany) | (HasOne | HasMany, BelongsTo) => {
                self.foreign_key == other.foreign_key
            }
            (BelongsToMany, BelongsToMany) => match (&self.through, &other.through) {
                (Some(own), Some(its)) => {
                    own.collection == its.collection
                        && self.foreign_key == its.other_key
                        && own.other_key == other.foreign_key
                }
                _ => false,
            },
            _ => false,
        }
    }
}
