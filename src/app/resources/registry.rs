//! All resources of an application, found by name.

use std::collections::HashMap;
use std::sync::Arc;

use super::descriptor::{EventHandler, Records, Resource};
use crate::app::acl::policy::Policy;
use crate::app::caches::Cache;
use crate::data::Catalog;

/// All resources of an application. Applications without resources of their own share one.
#[derive(Debug)]
pub struct ResourceRegistry {
    resources: HashMap<&'static str, Resource>,
    policy: Arc<Policy>,
    catalog: Arc<Catalog>,
}

impl ResourceRegistry {
    /// Of these resources; of two of the same name, the later one counts.
    #[must_use]
    pub fn new(resources: impl IntoIterator<Item = Resource>) -> Self {
        let resources: HashMap<_, _> = resources.into_iter().map(|one| (one.name, one)).collect();
        let mut policy = Policy::default();
        for resource in resources.values() {
            policy.add(resource.name, resource.reach, resource.snippets);
        }
        let collections = resources.values().filter_map(|one| one.collection);
        let catalog = Catalog::new(collections.map(|collection| (**collection).clone()));
        Self { policy: Arc::new(policy), catalog: Arc::new(catalog), resources }
    }

    /// The resource of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Resource> {
        self.resources.get(name)
    }

    /// How permissions decide about the resources.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The collections of the resources.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Whether the records of a collection are the host's bookkeeping, which no request reaches.
    #[must_use]
    pub fn is_internal(&self, collection: &str) -> bool {
        self.get(collection).is_some_and(|resource| resource.records == Records::Internal)
    }

    /// What a change of a collection's records invalidates.
    #[must_use]
    pub fn invalidates(&self, collection: &str) -> &'static [Cache] {
        self.get(collection).map_or(&[], |resource| resource.invalidates)
    }

    /// The rules of a collection's records.
    #[must_use]
    pub fn event_handler(&self, collection: &str) -> Option<EventHandler> {
        self.get(collection)?.on_event
    }
}
