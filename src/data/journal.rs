//! A journal that undoes changes of definitions on MySQL and MariaDB.
//!
//! These engines commit with every change of a table, so that a rollback does not undo what was written
//! before it.

use super::{Collection, DataError, DataSource, Field, Filter, Record, Transaction, row_key_filter};

/// The steps of a transaction in order, on engines where a rollback does not undo all of them.
#[derive(Debug, Default)]
pub(super) struct Journal {
    steps: Option<Vec<UndoStep>>,
}

/// A step that can be undone.
#[derive(Debug)]
pub(super) enum UndoStep {
    /// A table was created.
    Table(Collection),
    /// A column was added.
    Column(Collection, Field),
    /// The index of a field was replaced.
    Index { collection: Collection, was: Field, is: Field },
    /// A row was inserted.
    Inserted(Collection, Record),
    /// Rows were updated; these are the rows before.
    Changed(Collection, Vec<Record>),
    /// Rows were removed; these are the rows.
    Removed(Collection, Vec<Record>),
}

impl Journal {
    /// Keeps a journal from now on.
    pub(super) fn keep(&mut self) {
        self.steps.get_or_insert_default();
    }

    pub(super) const fn is_kept(&self) -> bool {
        self.steps.is_some()
    }

    pub(super) fn note(&mut self, step: impl FnOnce() -> UndoStep) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }

    /// Forgets the removed rows, which do not come back once a table or a column is dropped.
    pub(super) fn forget_removed_rows(&mut self) {
        if let Some(steps) = &mut self.steps {
            steps.retain(|step| !matches!(step, UndoStep::Removed(..)));
        }
    }

    /// Undoes all steps, the last one first.
    pub(super) async fn undo(self, source: &DataSource) -> Result<(), DataError> {
        let steps = self.steps.unwrap_or_default();
        if steps.is_empty() {
            return Ok(());
        }
        let mut transaction = source.begin().await?;
        for step in steps.into_iter().rev() {
            step.undo(&mut transaction).await?;
        }
        transaction.commit().await
    }
}

impl UndoStep {
    async fn undo(self, transaction: &mut Transaction) -> Result<(), DataError> {
        match self {
            Self::Table(collection) => transaction.drop_table(&collection).await,
            Self::Column(collection, field) => transaction.drop_column(&collection, &field).await,
            Self::Index { collection, was, is } => {
                transaction.drop_index(&collection, &is).await?;
                transaction.create_index(&collection, &was).await
            }
            Self::Inserted(collection, row) => transaction
                .system()
                .destroy(&collection, &row_key_filter(&collection, &[row])?)
                .await
                .map(drop),
            Self::Changed(collection, rows) => {
                for row in rows {
                    let one = row_key_filter(&collection, std::slice::from_ref(&row))?;
                    transaction.system().update(&collection, &one, row).await?;
                }
                Ok(())
            }
            Self::Removed(collection, rows) => {
                for row in rows {
                    let one = row_key_filter(&collection, std::slice::from_ref(&row))?;
                    if transaction.count(&collection, &one).await? == 0 {
                        transaction.system().insert(&collection, row).await?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Transaction {
    /// Keeps a journal from now on, if the engine does not roll back definitions itself, so that
    /// [`Self::abandon`] can undo them.
    pub fn keep_journal(&mut self) {
        if !self.inner.namespace().engine.has_transactional_ddl() {
            self.journal.keep();
        }
    }

    /// Ends the transaction and restores rows and tables.
    ///
    /// # Errors
    /// Returns the error of a step that could not be undone.
    pub async fn abandon(self, source: &DataSource) -> Result<(), DataError> {
        let Self { inner, journal, .. } = self;
        drop(inner);
        journal.undo(source).await
    }

    /// Reads the matching rows before they change, if a journal is kept.
    pub(super) async fn rows_before(
        &mut self,
        collection: &Collection,
        filter: &Filter,
    ) -> Result<Option<Vec<Record>>, DataError> {
        if !self.journal.is_kept() {
            return Ok(None);
        }
        self.find(collection, super::Query::filter(filter.clone())).await.map(Some)
    }
}
