//! How the records of one collection belong to those of another.

use std::sync::Arc;

use super::{Collection, DataError, Field, FieldType};

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

    /// Whether both lie over the same fields of the same collections.
    #[must_use]
    pub fn same_fields(&self, other: &Self) -> bool {
        Self { on_delete: other.on_delete, name: Arc::clone(&other.name), ..self.clone() } == *other
    }

    /// Checks that a field can refer to another one: records are found by comparing the two, in the
    /// database and in what it answered, so that both must hold the same kind of values.
    ///
    /// # Errors
    /// [`DataError::Refused`] with both fields and their types.
    pub fn check_fields(
        &self,
        (collection, referring): (&Collection, &Field),
        (other, referred): (&Collection, &Field),
    ) -> Result<(), DataError> {
        let Some(mismatch) = mismatch(referring.kind(), referred.kind()) else { return Ok(()) };
        Err(DataError::Refused(format!(
            "{}: the field {} ({}) of {} cannot refer to the field {} ({}) of {}: {mismatch}",
            self.name,
            referring.name(),
            referring.kind().as_str(),
            collection.name(),
            referred.name(),
            referred.kind().as_str(),
            other.name()
        )))
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

/// Types whose values every engine compares as what they are, and that look the same in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    Whole,
    Real,
    Decimal { scale: u32 },
    Text,
    Uuid,
    Boolean,
    Moment,
    Date,
    Since1970 { milliseconds: bool },
}

/// How values of a type are compared with those that refer to them; `None` where an answer does not
/// show all of a value, or no engine compares it.
const fn value_kind(kind: FieldType) -> Option<ValueKind> {
    Some(match kind {
        FieldType::Integer | FieldType::BigInt | FieldType::SnowflakeId | FieldType::Sort => ValueKind::Whole,
        FieldType::Float | FieldType::Double => ValueKind::Real,
        FieldType::Decimal { scale, .. } => ValueKind::Decimal { scale },
        FieldType::String | FieldType::Text | FieldType::Nanoid | FieldType::Uid => ValueKind::Text,
        FieldType::Uuid => ValueKind::Uuid,
        FieldType::Boolean => ValueKind::Boolean,
        FieldType::DateTime => ValueKind::Moment,
        FieldType::DateOnly => ValueKind::Date,
        FieldType::UnixTimestamp { milliseconds } => ValueKind::Since1970 { milliseconds },
        FieldType::DateTimeNoTz
        | FieldType::Time
        | FieldType::Json
        | FieldType::Array
        | FieldType::Set
        | FieldType::Password => return None,
    })
}

/// Why fields of these types cannot refer to each other; `None` where they can.
fn mismatch(kind: FieldType, other: FieldType) -> Option<String> {
    if let Some(kind) = [kind, other].into_iter().find(|kind| value_kind(*kind).is_none()) {
        return Some(format!("records cannot be told by the values of a {}", described(kind)));
    }
    (value_kind(kind) != value_kind(other)).then(|| {
        format!(
            "a {} is never the same as a {}: give both fields one type",
            described(kind),
            described(other)
        )
    })
}

/// A type with what tells it from others of its name.
fn described(kind: FieldType) -> String {
    match kind {
        FieldType::Decimal { scale, .. } => format!("decimal with {scale} decimals"),
        FieldType::UnixTimestamp { milliseconds: true } => "unixTimestamp of milliseconds".to_owned(),
        FieldType::UnixTimestamp { milliseconds: false } => "unixTimestamp of seconds".to_owned(),
        other => other.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_one_kind_of_values_refer_to_each_other() {
        use FieldType::{
            Array, BigInt, Boolean, DateOnly, DateTime, DateTimeNoTz, Double, Float, Integer, Json, Nanoid,
            Password, Set, SnowflakeId, Sort, String, Text, Time, Uid, Uuid,
        };
        let decimal = |precision, scale| FieldType::Decimal { precision, scale };
        let since = |milliseconds| FieldType::UnixTimestamp { milliseconds };
        let alike: [&[FieldType]; 11] = [
            &[Integer, BigInt, SnowflakeId, Sort],
            &[Float, Double],
            &[decimal(10, 2), decimal(20, 2)],
            &[decimal(10, 3)],
            &[String, Text, Nanoid, Uid],
            &[Uuid],
            &[Boolean],
            &[DateTime],
            &[DateOnly],
            &[since(true)],
            &[since(false)],
        ];
        let kinds = || {
            alike.iter().enumerate().flat_map(|(group, kinds)| kinds.iter().map(move |kind| (group, *kind)))
        };
        for (group, one) in kinds() {
            for (other_group, other) in kinds() {
                let mismatch = mismatch(one, other);
                assert_eq!(mismatch.is_none(), group == other_group, "{one:?} {other:?} {mismatch:?}");
            }
        }
        for kind in [DateTimeNoTz, Time, Json, Array, Set, Password] {
            assert!(mismatch(kind, kind).is_some(), "{kind:?}");
        }
    }
}
