//! Writes the records of deleted applications.

use serde_json::json;

use crate::data::{DataError, Transaction};

use super::applications::{check_changed, insert_both};
use super::registration::{DeletedRegistration, Registration, record, stamp};
use super::store::Registry;
use super::tables::DELETED;

impl Registry {
    /// Moves an application to the deleted ones.
    pub(crate) async fn delete(&self, deleted: &DeletedRegistration) -> Result<(), DataError> {
        let registration = &deleted.registration;
        let row = json!({
            "key": deleted.key, "name": registration.id, "deletedAt": stamp(deleted.deleted_at),
            "purging": deleted.purging, "application": registration.row(),
            "provision": registration.provision, "jwtSecret": registration.jwt_secret,
        });
        let (row, rows) = (&row, &self.rows_of(registration).await?);
        let work = || {
            async move |transaction: &mut Transaction| {
                rows.remove(transaction).await?;
                transaction.system().insert(&DELETED, record(row.clone())).await.map(drop)
            }
        };
        self.with_reserve(|| self.source.transact(work)).await
    }

    /// Moves a deleted application back, with the values of `sound`.
    pub(crate) async fn undelete(
        &self,
        deleted: &DeletedRegistration,
        sound: &Registration,
    ) -> Result<(), DataError> {
        let row = &self.row_of(deleted).await?;
        let work = || {
            async move |transaction: &mut Transaction| {
                let removed = transaction.system().destroy(&DELETED, row).await?;
                check_changed(&deleted.registration.id, removed)?;
                insert_both(transaction, sound).await
            }
        };
        self.source.transact(work).await
    }

    /// Marks the beginning of a purge.
    pub(crate) async fn begin_purge(&self, deleted: &DeletedRegistration) -> Result<(), DataError> {
        let mark = record(json!({"purging": true}));
        let row = self.row_of(deleted).await?;
        let rows = self.with_reserve(|| self.source.system().update(&DELETED, &row, mark.clone())).await?;
        check_changed(&deleted.registration.id, rows)
    }

    /// Removes the record of a deleted application, after its data.
    pub(crate) async fn forget(&self, deleted: &DeletedRegistration) -> Result<(), DataError> {
        let row = self.row_of(deleted).await?;
        self.with_reserve(|| self.source.system().destroy(&DELETED, &row)).await?;
        self.reserve.fill().await;
        Ok(())
    }
}
