//! Associations between the records of two collections.

use std::sync::Arc;

use super::{Collection, DataError, Field, FieldType};

/// Which side has the foreign key, and to how many records it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssociationKind {
    /// The record refers to one of the target.
    BelongsTo,
    /// One record of the target refers to this record.
    HasOne,
    /// Records of the target refer to this record.
    HasMany,
    /// Links, the records of a third collection, refer to both sides.
    BelongsToMany,
}

impl AssociationKind {
    /// Returns the name of the kind in definitions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BelongsTo => "belongsTo",
            Self::HasOne => "hasOne",
            Self::HasMany => "hasMany",
            Self::BelongsToMany => "belongsToMany",
        }
    }

    /// Whether an association leads to any number of records.
    #[must_use]
    pub const fn is_many(self) -> bool {
        matches!(self, Self::HasMany | Self::BelongsToMany)
    }
}

/// What happens to a record that refers to a removed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDelete {
    /// Its foreign key becomes null.
    #[default]
    SetNull,
    /// It is removed, too.
    Cascade,
    /// It prevents the removal.
    Restrict,
    /// Its foreign key stays and refers to nothing.
    Nothing,
}

/// An association of a collection with another. Its keys are names of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// Its name.
    pub name: Arc<str>,
    /// The side with the foreign key, and the number of records.
    pub kind: AssociationKind,
    /// The other collection.
    pub target: Arc<str>,
    /// The field that refers: of this collection (belongsTo), of the target (hasOne, hasMany) or of the
    /// through collection, to this side (belongsToMany).
    pub foreign_key: Arc<str>,
    /// The field of this collection that is referred to (hasOne, hasMany, belongsToMany).
    pub source_key: Arc<str>,
    /// The field of the target that is referred to (belongsTo, belongsToMany), or by which requests name its
    /// records (hasOne, hasMany).
    pub target_key: Arc<str>,
    /// The through collection (belongsToMany).
    pub through: Option<Through>,
    /// What happens to the records on the side that refers.
    pub on_delete: OnDelete,
}

/// A through collection: its records link those of two others.
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

    /// Returns an association in which the record's `foreign_key` refers to a record of `target`.
    #[must_use]
    pub fn belongs_to(name: &str, target: &str, foreign_key: &str) -> Self {
        Self::new(name, AssociationKind::BelongsTo, target, foreign_key)
    }

    /// Returns an association in which records of `through` refer to this side by `foreign_key` and to the
    /// other by `other_key`.
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

    /// Refers to another field of this collection than `id`.
    #[must_use]
    pub fn source_key(mut self, field: &str) -> Self {
        self.source_key = field.into();
        self
    }

    /// Refers to another field of the target than `id`.
    #[must_use]
    pub fn target_key(mut self, field: &str) -> Self {
        self.target_key = field.into();
        self
    }

    /// Whether both use the same fields of the same collections.
    #[must_use]
    pub fn same_fields(&self, other: &Self) -> bool {
        Self { on_delete: other.on_delete, name: Arc::clone(&other.name), ..self.clone() } == *other
    }

    /// Checks that a field can refer to another one. Keys are compared in the database and in JSON, so both
    /// fields must hold values of the same kind.
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

    /// Whether both are the two sides of one association.
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

/// Kinds of values. Within a kind, every engine compares values exactly, and equal values have equal JSON.
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

/// Returns the kind of a type's values; `None` if JSON does not show the whole value, or if an engine cannot
/// compare it.
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

/// Returns why fields of these types cannot refer to each other; `None` if they can.
fn mismatch(kind: FieldType, other: FieldType) -> Option<String> {
    if let Some(kind) = [kind, other].into_iter().find(|kind| value_kind(*kind).is_none()) {
        return Some(format!("the values of a {} cannot identify records", described(kind)));
    }
    (value_kind(kind) != value_kind(other)).then(|| {
        format!("a {} never equals a {}: give both fields the same type", described(kind), described(other))
    })
}

/// Describes a type so that it differs from others of the same name.
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
    fn fields_of_the_same_kind_of_values_can_refer_to_each_other() {
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
