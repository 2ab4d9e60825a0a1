//! Taking back a change of definitions on MySQL and MariaDB, which commit with every change of a table:
//! what was written before it stays when the transaction fails behind it.

use super::{Collection, DataError, DataSource, Field, Filter, Record, Transaction, row_key_filter};

/// What a transaction did, in order; kept where a rollback alone does not take it back.
#[derive(Debug, Default)]
pub(super) struct Journal {
    steps: Option<Vec<UndoStep>>,
}

/// One thing that was done.
#[derive(Debug)]
pub(super) enum UndoStep {
    /// A table was made.
    Table(Collection),
    /// A column was added.
    Column(Collection, Field),
    /// The index of a field was to become another one.
    Index { collection: Collection, was: Field, is: Field },
    /// A row was written.
    Inserted(Collection, Record),
    /// Rows were changed, which were these.
    Changed(Collection, Vec<Record>),
    /// Rows were removed, which were these.
    Removed(Collection, Vec<Record>),
}

impl Journal {
    /// Keeps what is done from now on.
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

    /// Notes that a table or a column is gone: the rows that spoke of it do not come back.
    pub(super) fn forget_removed_rows(&mut self) {
        if let Some(steps) = &mut self.steps {
            steps.retain(|step| !matches!(step, UndoStep::Removed(..)));
        }
    }

    /// Takes back what was done, the last of it first.
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
    /// Keeps what it does from now on where the engine does not take it back by itself, so that
    /// [`Self::abandon`] can.
    pub fn keep_journal(&mut self) {
        if !self.inner.namespace().engine.has_transactional_ddl() {
            self.journal.keep();
        }
    }

    /// Ends it and leaves rows and tables as they were before.
    ///
    /// # Errors
    /// What could not be taken back.
    pub async fn abandon(self, source: &DataSource) -> Result<(), DataError> {
        let Self { inner, journal, .. } = self;
        drop(inner);
        journal.undo(source).await
    }

    /// The rows that fit, before they are changed.
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
