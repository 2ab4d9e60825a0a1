//! What wants to know of records that are made, changed and removed.
//!
//! Hooks run in the transaction of the change: what they refuse does not happen, what they change
//! belongs to it. [`Hook::committed`] runs after it, when the change may be there for everybody.

use std::pin::Pin;
use std::sync::Arc;

use super::{Collection, DataError, Record, Transaction};

/// What a hook does, later.
pub type Hooking<'a> = Pin<Box<dyn Future<Output = Result<(), DataError>> + Send + 'a>>;

/// What is done with records; every part is optional.
pub trait Hook: Send + Sync {
    /// Whether it wants to know of this collection at all.
    fn concerns(&self, collection: &str) -> bool;

    /// Before a record is made; its values may be changed.
    fn before_create<'a>(
        &'a self,
        _transaction: &'a mut Transaction,
        _collection: &'a Collection,
        _values: &'a mut Record,
    ) -> Hooking<'a> {
        Box::pin(async { Ok(()) })
    }

    /// After a record and what is nested in it were made.
    fn after_create<'a>(
        &'a self,
        _transaction: &'a mut Transaction,
        _collection: &'a Collection,
        _record: &'a Record,
    ) -> Hooking<'a> {
        Box::pin(async { Ok(()) })
    }

    /// Before a record is changed; the changes may be changed.
    fn before_update<'a>(
        &'a self,
        _transaction: &'a mut Transaction,
        _collection: &'a Collection,
        _record: &'a Record,
        _changes: &'a mut Record,
    ) -> Hooking<'a> {
        Box::pin(async { Ok(()) })
    }

    /// After a record was changed: as it is now.
    fn after_update<'a>(
        &'a self,
        _transaction: &'a mut Transaction,
        _collection: &'a Collection,
        _record: &'a Record,
    ) -> Hooking<'a> {
        Box::pin(async { Ok(()) })
    }

    /// Before a record is removed.
    fn before_destroy<'a>(
        &'a self,
        _transaction: &'a mut Transaction,
        _collection: &'a Collection,
        _record: &'a Record,
    ) -> Hooking<'a> {
        Box::pin(async { Ok(()) })
    }

    /// After a record was removed: as it was.
    fn after_destroy<'a>(
        &'a self,
        _transaction: &'a mut Transaction,
        _collection: &'a Collection,
        _record: &'a Record,
    ) -> Hooking<'a> {
        Box::pin(async { Ok(()) })
    }

    /// A change of records of these collections is on the disk; or may be, as of one that failed it is
    /// not always known. What is known of them is to be read again.
    fn committed(&self, _collections: &[Arc<str>]) {}
}

/// The hooks of a data source, in the order in which they run.
#[derive(Clone, Default)]
pub struct Hooks {
    hooks: Arc<[Arc<dyn Hook>]>,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("number", &self.hooks.len()).finish()
    }
}

impl Hooks {
    /// These, in this order.
    pub fn new(hooks: Vec<Arc<dyn Hook>>) -> Self {
        Self { hooks: hooks.into() }
    }

    /// Those that want to know of a collection.
    pub(super) fn of(&self, collection: &str) -> Vec<Arc<dyn Hook>> {
        self.hooks.iter().filter(|hook| hook.concerns(collection)).cloned().collect()
    }

    /// Whether one of them wants to know of a collection.
    pub(super) fn concern(&self, collection: &Collection) -> bool {
        self.hooks.iter().any(|hook| hook.concerns(collection.name()))
    }

    /// Tells those that are concerned.
    pub(super) fn committed(&self, collections: &[Arc<str>]) {
        for hook in self.hooks.iter() {
            if collections.iter().any(|collection| hook.concerns(collection)) {
                hook.committed(collections);
            }
        }
    }
}
