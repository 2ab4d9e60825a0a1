//! Access to records: which fields and records of a collection a guard opens.
//!
//! A [`Guard`] of the application decides. This room enforces its decisions in the statements themselves, so
//! that no list, count, sum or association reveals a record that the requester may not see.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Collection, Filter};

/// An action on records. A guard opens fields and records for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordAction {
    /// Reads records.
    View,
    /// Creates records.
    Create,
    /// Updates records.
    Update,
    /// Removes records.
    Destroy,
}

/// Which fields and records of a collection are open. Cheap to clone, as a request needs it several times.
#[derive(Debug, Clone, Default)]
pub struct RecordAccess {
    /// The open fields and associations, besides those that every record has; `None` for all.
    pub fields: Option<Arc<BTreeSet<String>>>,
    /// The open records.
    pub scope: Arc<Filter>,
}

/// Whether a field may be seen by everybody who may see the record.
fn is_of_every_record(name: &str) -> bool {
    matches!(name, "createdAt" | "updatedAt" | "createdById" | "updatedById" | "sort" | "id")
}

impl RecordAccess {
    /// Whether a field or an association may be read.
    #[must_use]
    pub fn allows(&self, collection: &Collection, name: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| {
            is_of_every_record(name)
                || fields.contains(name)
                || collection.get(name).is_some_and(|field| field.primary_key)
                || collection.key().iter().any(|field| field.name() == name)
        })
    }

    /// Returns the open records as a filter.
    #[must_use]
    pub fn into_scope(self) -> Filter {
        Arc::unwrap_or_clone(self.scope)
    }

    /// Whether a field or an association may be set. Unlike in [`Self::allows`], no field may be set by
    /// everybody, not even a key or a position.
    #[must_use]
    pub fn may_set(&self, name: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.contains(name))
    }
}

/// Decides which fields and records are open.
pub trait Guard: Send + Sync + std::fmt::Debug {
    /// Returns what is open of a collection for an action; `None` if it is closed.
    fn access(&self, collection: &str, action: RecordAction) -> Option<RecordAccess>;

    /// Whether a record may contain values for an association, if its fields allow it: a requester who may
    /// change users need not be one who may assign roles.
    fn may_nest(&self, source: &str, association: &str, target: &str) -> bool;
}
