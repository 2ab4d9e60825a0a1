//! Hooks: code that is told of records that are created, updated and destroyed.
//!
//! A hook runs in the transaction of the change: an error of it undoes the change, and what it writes
//! belongs to the change. [`Hook::committed`] runs after the transaction, when everybody may see it.

use std::pin::Pin;
use std::sync::Arc;

use super::{Collection, DataError, Record, Transaction};

/// The result of a hook, later.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = Result<(), DataError>> + Send + 'a>>;

/// A step in the life of one record.
#[derive(Debug)]
pub enum RecordEvent<'a> {
    /// The record is about to be created with these values, which may be changed.
    BeforeCreate(&'a mut Record),
    /// The record was created, and so were those nested in it.
    AfterCreate(&'a Record),
    /// The record is about to be updated.
    BeforeUpdate {
        /// The record as it is.
        record: &'a Record,
        /// Its new values, which may be changed.
        changes: &'a mut Record,
    },
    /// The record was updated; as it is now.
    AfterUpdate(&'a Record),
    /// The record is about to be destroyed.
    BeforeDestroy(&'a Record),
    /// The record was destroyed; as it was.
    AfterDestroy(&'a Record),
}

/// A listener to changes of records.
pub trait Hook: Send + Sync {
    /// Whether it is told of this collection at all.
    fn concerns(&self, collection: &str) -> bool;

    /// Handles an event. The default handles none.
    fn on<'a>(
        &'a self,
        _transaction: &'a mut Transaction,
        _collection: &'a Collection,
        _event: RecordEvent<'a>,
    ) -> HookFuture<'a> {
        Box::pin(std::future::ready(Ok(())))
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
