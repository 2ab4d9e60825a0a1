//! The hook of the application itself: it applies the rules of the resources to records that are
//! written, and invalidates what memory keeps of them.

use std::sync::Arc;

use super::caches::Caches;
use super::resources::ResourceRegistry;
use crate::data::{Collection, Hook, HookFuture, RecordEvent, Transaction};

/// The application's own hook.
#[derive(Debug)]
pub(super) struct Housekeeping {
    resources: Arc<ResourceRegistry>,
    caches: Arc<Caches>,
}

impl Housekeeping {
    /// Applies the rules of these resources, and invalidates these caches.
    pub(super) fn new(resources: Arc<ResourceRegistry>, caches: Arc<Caches>) -> Self {
        Self { resources, caches }
    }
}

impl Hook for Housekeeping {
    fn concerns(&self, collection: &str) -> bool {
        self.resources
            .get(collection)
            .is_some_and(|resource| !resource.invalidates.is_empty() || resource.on_event.is_some())
    }

    fn on<'a>(
        &'a self,
        transaction: &'a mut Transaction,
        collection: &'a Collection,
        event: RecordEvent<'a>,
    ) -> HookFuture<'a> {
        match self.resources.event_handler(collection.name()) {
            Some(apply) => apply(transaction, event),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn committed(&self, collections: &[Arc<str>]) {
        for cache in collections.iter().flat_map(|name| self.resources.invalidates(name)) {
            self.caches.invalidate(*cache);
        }
    }
}
