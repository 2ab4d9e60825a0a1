//! Two views of a source or a transaction, by who writes.
//!
//! [`SystemRecords`] writes as the host: it skips guards and the rules of hooks. [`GuardedRecords`] writes
//! for a user: it refuses whatever the [`WriteOptions`] do not open, and hooks apply their rules. Every
//! caller says which of the two it is.

use super::{DataSource, Transaction, WriteOptions};

/// Records of a source or a transaction, as the host writes them: without guards and without the rules of
/// hooks, which are only notified after the commit.
#[derive(Debug)]
pub struct SystemRecords<T>(pub(super) T);

/// Records of a source or a transaction, as a user writes them: `options` say what is open, and hooks apply
/// their rules.
#[derive(Debug)]
pub struct GuardedRecords<'a, T> {
    pub(super) on: T,
    pub(super) options: &'a WriteOptions,
}

impl DataSource {
    /// Writes as the host, without a guard.
    #[must_use]
    pub fn system(&self) -> SystemRecords<&Self> {
        SystemRecords(self)
    }

    /// Writes for a user, with the guard of `options`.
    #[must_use]
    pub fn records<'a>(&'a self, options: &'a WriteOptions) -> GuardedRecords<'a, &'a Self> {
        GuardedRecords { on: self, options }
    }
}

impl Transaction {
    /// Writes as the host, without a guard.
    pub fn system(&mut self) -> SystemRecords<&mut Self> {
        SystemRecords(self)
    }

    /// Writes for a user, with the guard of `options`.
    pub fn records<'a>(&'a mut self, options: &'a WriteOptions) -> GuardedRecords<'a, &'a mut Self> {
        GuardedRecords { on: self, options }
    }
}
