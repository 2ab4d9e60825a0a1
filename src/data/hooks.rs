//! Hooks: code that runs when records are created, updated and destroyed.
//!
//! A hook runs in the transaction of the change: its error rolls the change back, and its writes belong to
//! the change. [`Hook::committed`] runs after the transaction, when the change is visible to others.

use std::pin::Pin;
use std::sync::Arc;

use super::{Collection, DataError, Record, Transaction};

/// The future of a hook's result.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = Result<(), DataError>> + Send + 'a>>;

/// A step in the life of a record.
#[derive(Debug)]
pub enum RecordEvent<'a> {
    /// The record is about to be created with these values, which the hook may change.
    BeforeCreate(&'a mut Record),
    /// The record was created, and so were those nested in it.
    AfterCreate(&'a Record),
    /// The record is about to be updated.
    BeforeUpdate {
        /// The current record.
        record: &'a Record,
        /// Its new values, which the hook may change.
        changes: &'a mut Record,
    },
    /// The record was updated to this.
    AfterUpdate(&'a Record),
    /// The record is about to be destroyed.
    BeforeDestroy(&'a Record),
    /// The record was destroyed; this was its state.
    AfterDestroy(&'a Record),
}

/// A listener to changes of records.
pub trait Hook: Send + Sync {
    /// Whether it listens to changes of this collection.
    fn concerns(&self, collection: &str) -> bool;

    /// Handles an event. By default, does nothing.
    fn on<'a>(
        &'a self,
        _transaction: &'a mut Transaction,
        _collection: &'a Collection,
        _event: RecordEvent<'a>,
    ) -> HookFuture<'a> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Called when a change of records of these collections is durable, or may be: the outcome of a failed
    /// commit is not always known. Whatever is cached of them must be read again.
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
    /// Makes a list of hooks, which run in this order.
    pub fn new(hooks: Vec<Arc<dyn Hook>>) -> Self {
        Self { hooks: hooks.into() }
    }

    /// Returns the hooks that listen to a collection.
    pub(super) fn of(&self, collection: &str) -> Vec<Arc<dyn Hook>> {
        self.hooks.iter().filter(|hook| hook.concerns(collection)).cloned().collect()
    }

    /// Whether a hook listens to a collection.
    pub(super) fn concern(&self, collection: &Collection) -> bool {
        self.hooks.iter().any(|hook| hook.concerns(collection.name()))
    }

    /// Notifies the hooks that listen to one of the collections.
    pub(super) fn committed(&self, collections: &[Arc<str>]) {
        for hook in self.hooks.iter() {
            if collections.iter().any(|collection| hook.concerns(collection)) {
                hook.committed(collections);
            }
        }
    }
}
