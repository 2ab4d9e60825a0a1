//! The records that a path names.

use serde_json::Value;

use crate::data::{Association, Catalog, Collection};

/// The records that a request is about.
pub(in crate::app) struct RecordSet {
    pub(in crate::app) collection: Collection,
    /// The association of one record that leads to them, and its target.
    pub(in crate::app) behind: Option<Behind>,
}

pub(in crate::app) struct Behind {
    pub(in crate::app) key: Value,
    pub(in crate::app) association: Association,
    pub(in crate::app) target: Collection,
}

impl RecordSet {
    /// The records that a path names, if there are any.
    pub(in crate::app) fn find(
        catalog: &Catalog,
        resource: &str,
        association: Option<(&str, &str)>,
    ) -> Option<Self> {
        let collection = catalog.get(resource)?.clone();
        let Some((key, name)) = association else { return Some(Self { collection, behind: None }) };
        let association = collection.associated(name)?.clone();
        let target = catalog.target(&association).ok()?.clone();
        Some(Self { collection, behind: Some(Behind { key: Value::from(key), association, target }) })
    }

    /// Whether the records have this action.
    pub(in crate::app) fn has(&self, action: &str) -> bool {
        match action {
            "list" | "get" | "create" | "update" | "destroy" => true,
            "query" => self.behind.is_none(),
            "firstOrCreate" | "updateOrCreate" => {
                self.behind.as_ref().is_none_or(|behind| behind.association.kind.is_many())
            }
            "move" => true,
            "add" | "set" | "remove" | "toggle" => self.behind.is_some(),
            _ => false,
        }
    }

    /// The collection whose records are read or changed.
    pub(in crate::app) fn records(&self) -> &Collection {
        self.behind.as_ref().map_or(&self.collection, |behind| &behind.target)
    }
}
