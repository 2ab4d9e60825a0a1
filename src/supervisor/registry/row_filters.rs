//! Finds the rows of a record, also of one whose key cannot be written in a statement.

use serde_json::Value;

use crate::data::{Collection, DataError, Filter, Operator, Query, Transaction};
use crate::protocol::AppId;

use super::checks::is_writable;
use super::registration::{DeletedRegistration, Registration};
use super::store::Registry;
use super::tables::{APPLICATIONS, DELETED, PROVISIONS};

/// The filters that find the rows of an application; `None` if it has no row in the table.
pub(super) struct RowFilters {
    pub(super) application: Option<Filter>,
    pub(super) provision: Option<Filter>,
}

impl RowFilters {
    pub(super) async fn remove(&self, transaction: &mut Transaction) -> Result<(), DataError> {
        self.remove_application(transaction).await?;
        self.remove_provision(transaction).await
    }

    pub(super) async fn remove_application(&self, transaction: &mut Transaction) -> Result<(), DataError> {
        if let Some(application) = &self.application {
            transaction.system().destroy(&APPLICATIONS, application).await?;
        }
        Ok(())
    }

    pub(super) async fn remove_provision(&self, transaction: &mut Transaction) -> Result<(), DataError> {
        if let Some(provision) = &self.provision {
            transaction.system().destroy(&PROVISIONS, provision).await?;
        }
        Ok(())
    }
}

impl Registry {
    /// Returns the filters that find the rows of an application in both tables.
    pub(super) async fn rows_of(&self, registration: &Registration) -> Result<RowFilters, DataError> {
        let damage = &registration.damage;
        let name = damage.name.as_deref().unwrap_or(registration.id.as_str());
        if is_writable(name) {
            let by_name = Filter::eq("name", name);
            // The provision named "main" belongs to the main application, whichever row has that name.
            let provision = Some(by_name.clone()).filter(|_| name != AppId::MAIN);
            return Ok(RowFilters { application: Some(by_name), provision });
        }
        // A filter for a row that does not exist would find another whose name cannot be written.
        let application = match damage.is_unregistered {
            true => None,
            false => Some(self.application_without_name(registration, name).await?),
        };
        // The secret identifies the provision. Without one, nothing tells which row it is.
        let secret = Some(&*registration.jwt_secret).filter(|secret| is_writable(secret));
        let provision = match secret {
            Some(_) => Some(self.without_key(&PROVISIONS, "name", &[("jwtSecret", secret)]).await?),
            None => None,
        };
        Ok(RowFilters { application, provision })
    }

    async fn application_without_name(
        &self,
        registration: &Registration,
        name: &str,
    ) -> Result<Filter, DataError> {
        let shown =
            Some(&*registration.name).filter(|shown| ![name, registration.id.as_str()].contains(shown));
        let row = self.without_key(&APPLICATIONS, "name", &[("displayName", shown)]).await?;
        Ok(match registration.sort {
            0 => row,
            sort => row.and(Filter::eq("sort", sort)),
        })
    }

    /// Returns the filter that finds the row of a deleted application.
    pub(super) async fn row_of(&self, deleted: &DeletedRegistration) -> Result<Filter, DataError> {
        if deleted.is_keyed {
            return Ok(Filter::eq("key", deleted.key.as_str()));
        }
        let registration = &deleted.registration;
        let name = registration.damage.name.is_none().then_some(registration.id.as_str());
        let values = [("name", name), ("jwtSecret", Some(&*registration.jwt_secret))];
        self.without_key(&DELETED, "key", &values).await
    }

    /// Returns a filter for a row whose key cannot be written in a statement: its key is none of the writable
    /// ones, and it has these values in other columns.
    async fn without_key(
        &self,
        collection: &Collection,
        key: &str,
        values: &[(&str, Option<&str>)],
    ) -> Result<Filter, DataError> {
        let others = self.rows(collection, &Query::default().fields(&[key])).await?;
        let others = others.iter().filter_map(|row| row.record.get(key)?.as_str());
        let others = others.filter(|key| is_writable(key)).map(Value::from).collect::<Vec<_>>();
        let values = values.iter().filter_map(|(field, text)| Some((*field, (*text)?)));
        let row = Filter::on(key, Operator::NotIn, others);
        Ok(values
            .filter(|(_, text)| is_writable(text))
            .fold(row, |row, (field, text)| row.and(Filter::eq(field, text))))
    }
}
