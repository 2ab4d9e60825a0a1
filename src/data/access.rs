//! What somebody may see and change, as far as records are concerned.
//!
//! Who may do what is decided above; here it is kept to, in the statements themselves, so that no
//! list, count, sum or association shows what a record may not be shown for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Collection, Filter};

/// What is done with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordAction {
    /// Reading them.
    View,
    /// Making them.
    Create,
    /// Changing them.
    Update,
    /// Removing them.
    Destroy,
}

/// What of a collection is open to somebody. Cheap to clone: one request asks for it again and again.
#[derive(Debug, Clone, Default)]
pub struct RecordAccess {
    /// These fields and associations, beside those that every record has; `None` for all.
    pub fields: Option<Arc<BTreeSet<String>>>,
    /// These records.
    pub scope: Arc<Filter>,
}

/// Whether whoever may see a record may see this of it.
fn is_of_every_record(name: &str) -> bool {
    matches!(name, "createdAt" | "updatedAt" | "createdById" | "updatedById" | "sort" | "id")
}

impl RecordAccess {
    /// Whether a field or an association is open.
    #[must_use]
    pub fn allows(&self, collection: &Collection, name: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| {
            is_of_every_record(name)
                || fields.contains(name)
                || collection.get(name).is_some_and(|field| field.primary_key)
                || collection.key().iter().any(|field| field.name() == name)
        })
    }

    /// The records that are open, as a filter to be put together with others.
    #[must_use]
    pub fn into_scope(self) -> Filter {
        Arc::unwrap_or_clone(self.scope)
    }

    /// Whether a field or an association may be set. Unlike what may be seen, nothing may be set
    /// because every record has it: neither a key nor a place in an order.
    #[must_use]
    pub fn may_set(&self, name: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.contains(name))
    }
}

/// Who decides what of which collection is open.
pub trait Guard: Send + Sync + std::fmt::Debug {
    /// What of a collection may be seen or changed; `None` for nothing.
    fn access(&self, collection: &str, action: RecordAction) -> Option<RecordAccess>;

    /// Whether values for an association may be given inside a record, where its fields allow it:
    /// who may change a user need not be one who may give roles.
    fn may_nest(&self, source: &str, association: &str, target: &str) -> bool;
}
