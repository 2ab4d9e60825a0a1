//! Writes the records of applications. A change of both of its rows is one transaction.

use serde_json::json;

use crate::data::{DataError, Filter, Transaction};
use crate::protocol::{AppId, State};

use super::registration::{Registration, record};
use super::store::Registry;
use super::tables::{APPLICATIONS, PROVISIONS};

impl Registry {
    pub(crate) async fn insert(&self, registration: &Registration) -> Result<(), DataError> {
        self.source
            .transact(|| {
                async move |transaction: &mut Transaction| insert_both(transaction, registration).await
            })
            .await
    }

    pub(crate) async fn remove(&self, registration: &Registration) -> Result<(), DataError> {
        let rows = &self.rows_of(registration).await?;
        self.source
            .transact(|| async move |transaction: &mut Transaction| rows.remove(transaction).await)
            .await
    }

    /// Replaces the damaged rows of `before` by those of `repaired`. Keeps the row of a provision that cannot be
    /// used: only a backup can replace it.
    pub(crate) async fn repair(
        &self,
        before: &Registration,
        repaired: &Registration,
    ) -> Result<(), DataError> {
        let rows = &self.rows_of(before).await?;
        // A provision under an invalid name must get the new one, or it would belong to nobody.
        let can_replace_provision =
            before.damage.provision.is_empty() || before.damage.name.is_some() && before.provision.is_some();
        let work = || {
            async move |transaction: &mut Transaction| {
                rows.remove_application(transaction).await?;
                transaction.system().insert(&APPLICATIONS, repaired.row()).await?;
                if can_replace_provision {
                    rows.remove_provision(transaction).await?;
                    transaction.system().insert(&PROVISIONS, repaired.provision_row()).await?;
                }
                Ok(())
            }
        };
        self.source.transact(work).await
    }

    pub(crate) async fn set_status(&self, id: &AppId, status: State) -> Result<(), DataError> {
        let (row, changes) = (by_name(id), record(json!({"status": status})));
        check_changed(
            id,
            self.with_reserve(|| self.source.system().update(&APPLICATIONS, &row, changes.clone())).await?,
        )
    }

    /// Writes the differences between two states of a record.
    pub(crate) async fn update(&self, before: &Registration, now: &Registration) -> Result<(), DataError> {
        let row = &by_name(&now.id);
        if before.provision == now.provision {
            let changed = self.source.system().update(&APPLICATIONS, row, now.row()).await?;
            return check_changed(&now.id, changed);
        }
        let work = || {
            async move |transaction: &mut Transaction| {
                let applications = transaction.system().update(&APPLICATIONS, row, now.row()).await?;
                let provisions = transaction.system().update(&PROVISIONS, row, now.provision_value()).await?;
                check_changed(&now.id, applications.min(provisions))
            }
        };
        self.source.transact(work).await
    }

    pub(crate) async fn set_provision(&self, registration: &Registration) -> Result<(), DataError> {
        let (row, change) = (by_name(&registration.id), registration.provision_value());
        check_changed(&registration.id, self.source.system().update(&PROVISIONS, &row, change).await?)
    }

    /// Writes the end of a creation: the state and the provision, together.
    pub(crate) async fn complete(&self, registration: &Registration) -> Result<(), DataError> {
        let status = &record(json!({"status": registration.status}));
        let provision = &registration.provision_value();
        let row = &by_name(&registration.id);
        let work = || {
            async move |transaction: &mut Transaction| {
                let applications = transaction.system().update(&APPLICATIONS, row, status.clone()).await?;
                let provisions = transaction.system().update(&PROVISIONS, row, provision.clone()).await?;
                check_changed(&registration.id, applications.min(provisions))
            }
        };
        self.source.transact(work).await
    }

    pub(crate) async fn set_secret(&self, id: &AppId, sealed: &str) -> Result<(), DataError> {
        let changes = record(json!({"jwtSecret": sealed}));
        check_changed(id, self.source.system().update(&PROVISIONS, &by_name(id), changes).await?)
    }
}

pub(super) async fn insert_both(
    transaction: &mut Transaction,
    registration: &Registration,
) -> Result<(), DataError> {
    transaction.system().insert(&APPLICATIONS, registration.row()).await?;
    transaction.system().insert(&PROVISIONS, registration.provision_row()).await?;
    Ok(())
}

/// Fails if a statement changed no row: somebody else has removed it.
pub(super) fn check_changed(id: &AppId, rows: u64) -> Result<(), DataError> {
    if rows > 0 {
        return Ok(());
    }
    Err(DataError::Refused(format!(
        "the registry has no row of \"{id}\" any more; nbapps delete {id} and nbapps undelete {id} write it anew"
    )))
}

fn by_name(id: &AppId) -> Filter {
    Filter::eq("name", id.as_str())
}
