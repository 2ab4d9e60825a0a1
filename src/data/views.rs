//! Two views of a source or a transaction, by who writes.
//!
//! [`SystemRecords`] writes as the host: it skips guards and the rules of hooks. [`GuardedRecords`]
//! writes for somebody: whatever the [`WriteOptions`] do not open is refused, and hooks apply their
//! rules. Whoever writes says which of the two it is.

use super::{DataSource, Transaction, WriteOptions};

/// Records of a source, or of a transaction, as the host writes them: without guards and without the
/// rules of hooks, which hear of it when it is done.
#[derive(Debug)]
pub struct SystemRecords<T>(pub(super) T);

/// Records of a source, or of a transaction, as somebody writes them for whom `options` say what is
/// open. Hooks apply their rules.
#[derive(Debug)]
pub struct GuardedRecords<'a, T> {
    pub(super) on: T,
    pub(super) options: &'a WriteOptions,
}

impl DataSource {
    /// Writes as the host: no guard is asked.
    #[must_use]
    pub fn system(&self) -> SystemRecords<&Self> {
        SystemRecords(self)
    }

    /// Writes for somebody: guards are asked.
    #[must_use]
    pub fn records<'a>(&'a self, options: &'a WriteOptions) -> GuardedRecords<'a, &'a Self> {
        GuardedRecords { on: self, options }
    }
}

impl Transaction {
    /// Writes as the host: no guard is asked.
    pub fn system(&mut self) -> SystemRecords<&mut Self> {
        SystemRecords(self)
    }

    /// Writes for somebody: guards are asked.
    pub fn records<'a>(&'a mut self, options: &'a WriteOptions) -> GuardedRecords<'a, &'a mut Self> {
        GuardedRecords { on: self, options }
    }
}
