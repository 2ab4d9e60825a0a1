//! The hook of the application itself: it applies the rules of the resources to records that are
//! written, and invalidates what memory keeps of them.

use std::sync::{Arc, OnceLock, Weak};

use super::App;
use super::resources::{Cache, Registry};
use crate::data::{Collection, Hook, Hooking, RecordEvent, Transaction};

/// The application's own hook.
#[derive(Debug)]
pub(super) struct Housekeeping {
    resources: Arc<Registry>,
    app: OnceLock<Weak<App>>,
}

impl Housekeeping {
    /// With the rules of these resources.
    pub(super) fn new(resources: Arc<Registry>) -> Self {
        Self { resources, app: OnceLock::new() }
    }

    /// From now on it knows whose memory it keeps right.
    pub(super) fn serve(&self, app: &Arc<App>) {
        // It is called once, when the application is opened.
        let _ = self.app.set(Arc::downgrade(app));
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
    ) -> Hooking<'a> {
        match self.resources.event_handler(collection.name()) {
            Some(apply) => apply(transaction, event),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn committed(&self, collections: &[Arc<str>]) {
        let Some(app) = self.app.get().and_then(Weak::upgrade) else { return };
        for cache in collections.iter().flat_map(|name| self.resources.invalidates(name)) {
            match cache {
                Cache::Users => app.auth().forget_users(),
                Cache::Roles => app.forget_acl(),
                Cache::Settings => app.forget_settings(),
            }
        }
    }
}
