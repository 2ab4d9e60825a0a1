//! A permission: which fields of which records.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use serde_json::{Value as Json, json};

/// A list of fields, shared.
type FieldSet = Arc<BTreeSet<String>>;

static ALL: LazyLock<Permission> = LazyLock::new(Permission::default);

static OWN: LazyLock<Permission> =
    LazyLock::new(|| Permission { fields: None, scopes: Arc::from([own_scope()]) });

/// The filter of the records that the user made.
pub(super) fn own_scope() -> Json {
    json!({"createdById": "{{ ctx.state.currentUser.id }}"})
}

/// What an action reaches. Cheap to clone. [`Permission::default`] reaches everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Permission {
    /// The fields that may be shown or written, associations among them; `None`: all. Whoever
    /// builds the query adds the system fields, which may always be shown.
    pub fields: Option<FieldSet>,
    /// Filters; the records that fit one of them are meant. None: all records. They may hold
    /// variables: `{{ ctx.state.currentUser.id }}`.
    pub scopes: Arc<[Json]>,
}

/// What an action on an association reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct AssociationPermission {
    /// What the record that has the association must fit; `None`: any record will do.
    pub source: Option<Permission>,
    /// What it reaches of the records behind the association.
    pub target: Permission,
}

impl Permission {
    /// Every field of every record.
    pub(super) fn all() -> &'static Self {
        &ALL
    }

    /// Every field of the records that the user made.
    pub(super) fn own() -> &'static Self {
        &OWN
    }

    /// Whether a field may be shown or written. System fields are not known here.
    #[must_use]
    pub fn allows(&self, field: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.contains(field))
    }

    /// The scopes as one filter; `None`: all records.
    #[must_use]
    pub fn filter(&self) -> Option<Json> {
        match &*self.scopes {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(json!({"$or": several})),
        }
    }

    /// Drops the scopes that ask who created a record, for a collection that does not know it.
    /// `None` if no other scope is left: the request is refused then, as in NocoBase.
    #[must_use]
    pub fn without_creators(self) -> Option<Self> {
        if !self.scopes.iter().any(asks_for_creator) {
            return Some(self);
        }
        let left: Vec<_> = self.scopes.iter().filter(|scope| !asks_for_creator(scope)).cloned().collect();
        (!left.is_empty()).then(|| Self { fields: self.fields, scopes: left.into() })
    }

    /// The union of two permissions. If both have fields and scopes of their own, the fields of one
    /// are also open in the records of the other, as in NocoBase.
    pub(super) fn union(self, other: &Self) -> Self {
        let fields = match (self.fields, &other.fields) {
            (Some(own), Some(others)) if others.is_subset(&own) => Some(own),
            (Some(own), Some(others)) => Some(Arc::new(own.union(others).cloned().collect())),
            _ => None,
        };
        let scopes = if self.scopes.is_empty() || other.scopes.is_empty() {
            Arc::default()
        } else {
            let more: Vec<_> = other.scopes.iter().filter(|scope| !self.scopes.contains(scope)).collect();
            if more.is_empty() { self.scopes } else { self.scopes.iter().chain(more).cloned().collect() }
        };
        Self { fields, scopes }
    }

    /// The intersection of the fields, in the records that `other` reaches.
    pub(super) fn narrowed_to(&self, other: &Self) -> Self {
        let fields = match (&self.fields, &other.fields) {
            (Some(own), Some(others)) => Some(Arc::new(own.intersection(others).cloned().collect())),
            (own, others) => own.clone().or_else(|| others.clone()),
        };
        Self { fields, scopes: Arc::clone(&other.scopes) }
    }
}

/// Whether a filter asks who made a record.
fn asks_for_creator(filter: &Json) -> bool {
    let names_creator = |key: &str| {
        key == "createdById" || key.starts_with("createdById.") || key.starts_with("createdById$")
    };
    match filter {
        Json::Object(parts) => parts.iter().any(|(key, value)| names_creator(key) || asks_for_creator(value)),
        Json::Array(parts) => parts.iter().any(asks_for_creator),
        _ => false,
    }
}
