//! Opens the registry and reads all of it.

use serde_json::{Value, json};

use crate::data::{Collection, DataError, DataSource, Filter, Query, Sort};
use crate::protocol::AppId;

use super::super::reserve::Reserve;
use super::registration::{DeletedRegistration, Registration, record};
use super::row_reader::{self, StoredRow};
use super::tables::{APPLICATIONS, DELETED, PROVISIONS, RegistryError, TABLES, check_columns};

/// The registry's tables in the main application's data source.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    pub(super) source: DataSource,
    pub(super) reserve: Reserve,
}

/// All records, as a start finds them.
pub(crate) struct Inventory {
    pub(crate) applications: Vec<Registration>,
    pub(crate) deleted: Vec<DeletedRegistration>,
}

impl Registry {
    /// Opens the registry in the main application's data source, and creates missing tables. All are missing on
    /// the first start; on any other, each is logged as an error.
    ///
    /// # Errors
    /// [`RegistryError::Columns`] if a table lacks columns; then nothing is changed.
    pub(crate) async fn open(
        source: DataSource,
        reserve: Reserve,
        is_first: bool,
    ) -> Result<Self, RegistryError> {
        for collection in TABLES {
            if source.has_table(collection).await? {
                check_columns(&source, collection).await?;
                continue;
            }
            source.create_table(collection).await?;
            if !is_first {
                tracing::error!(
                    table = collection.name(),
                    "a table of the registry was missing and was created empty; restore it from a backup of the \
                     main application's database: {}",
                    source.database().location()
                );
            }
        }
        reserve.fill().await;
        Ok(Self { source, reserve })
    }

    /// Returns the main application's encrypted JWT secret; `None` before the first start. The main application
    /// has no row in `applications`.
    pub(crate) async fn main_secret(&self) -> Result<Option<String>, DataError> {
        let query = Query::filter(Filter::eq("name", AppId::MAIN)).fields(&["jwtSecret"]);
        let row = self.source.find_one(&PROVISIONS, query).await?;
        // Only an outside change leaves a row without text here. The empty text cannot be decrypted.
        Ok(row.map(|row| row.get("jwtSecret").and_then(Value::as_str).unwrap_or_default().to_owned()))
    }

    /// Writes the main application's encrypted JWT secret on the first start.
    pub(crate) async fn insert_main_secret(&self, sealed: &str) -> Result<(), DataError> {
        let row = record(json!({"name": AppId::main(), "provision": null, "jwtSecret": sealed}));
        self.source.system().insert(&PROVISIONS, row).await.map(drop)
    }

    /// Whether the data source has a registry, with or without rows.
    pub(crate) async fn is_in(source: &DataSource) -> Result<bool, DataError> {
        source.has_table(&PROVISIONS).await
    }

    /// Whether the data source has a registry with encrypted secrets. Changes nothing.
    pub(crate) async fn holds_secrets(source: &DataSource) -> Result<bool, RegistryError> {
        for collection in [&*PROVISIONS, &*DELETED] {
            if !source.has_table(collection).await? {
                continue;
            }
            check_columns(source, collection).await?;
            let one = Query::default().limit(1).fields(&["name"]);
            if source.find_one(collection, one).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads all records. A row that cannot be read becomes an application whose damage says so.
    pub(crate) async fn inventory(&self) -> Result<Inventory, DataError> {
        let applications = self.rows(&APPLICATIONS, &Query::default()).await?;
        let provisions = self.rows(&PROVISIONS, &Query::default()).await?;
        Ok(Inventory {
            applications: row_reader::registrations(applications, provisions),
            deleted: self.deleted().await?,
        })
    }

    /// Reads the deleted applications, the last deleted first.
    pub(crate) async fn deleted(&self) -> Result<Vec<DeletedRegistration>, DataError> {
        let newest_first = Query::default().sort(Sort::descending("deletedAt"));
        let rows = self.rows(&DELETED, &newest_first).await?;
        Ok(rows.into_iter().map(row_reader::deleted).collect())
    }

    pub(super) async fn rows(
        &self,
        collection: &Collection,
        query: &Query,
    ) -> Result<Vec<StoredRow>, DataError> {
        let rows = self.source.find_readable(collection, query).await?;
        Ok(rows.into_iter().map(|(record, unreadable)| StoredRow { record, unreadable }).collect())
    }

    /// Performs a write that helps to free disk space. If the disk is full, frees the reserve and tries once
    /// more.
    pub(super) async fn with_reserve<T, F>(&self, write: impl Fn() -> F) -> Result<T, DataError>
    where
        F: Future<Output = Result<T, DataError>>,
    {
        let done = write().await;
        if self.reserve.makes_room_after(&done) { write().await } else { done }
    }
}
