//! The tables of the registry, and the check that they have their columns.
//!
//! `applications` has NocoBase's columns and no others. `applicationProvisions` says what the host created for
//! each application, and has its encrypted secrets. `deletedApplications` has what can be undeleted. An
//! application has one row in each of the first two, written and removed in one transaction.

use std::sync::LazyLock;

use crate::data::{Collection, DataError, DataSource, Field};
use crate::database::Location;

pub(super) static APPLICATIONS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("applications")
        .timestamps()
        .field(Field::string("name").primary_key())
        .field(Field::string("displayName"))
        .field(Field::string("cname").unique())
        .field(Field::boolean("pinned"))
        .field(Field::string("icon"))
        .field(Field::string("status").default_value("pending"))
        .field(Field::json("options"))
        .field(Field::big_int("sort"))
});

pub(super) static PROVISIONS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("applicationProvisions")
        .field(Field::string("name").primary_key())
        .field(Field::json("provision"))
        .field(Field::text("jwtSecret").not_null())
});

pub(super) static DELETED: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("deletedApplications")
        .field(Field::string("key").primary_key())
        .field(Field::string("name").not_null())
        .field(Field::date_time("deletedAt").not_null())
        .field(Field::boolean("purging").not_null())
        .field(Field::json("application"))
        .field(Field::json("provision"))
        .field(Field::text("jwtSecret").not_null())
});

/// All of them.
pub(super) static TABLES: [&LazyLock<Collection>; 3] = [&APPLICATIONS, &PROVISIONS, &DELETED];

/// Why the registry cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// A table lacks columns that this version needs.
    #[error(
        "the registry in {location} cannot be read: its table \"{table}\" has no column {}; nothing was changed",
        list(columns)
    )]
    Columns { location: Box<Location>, table: String, columns: Vec<String> },
    /// The database failed.
    #[error(transparent)]
    Data(#[from] DataError),
}

fn list(columns: &[String]) -> String {
    columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", no column ")
}

/// Fails if the table of a collection lacks columns.
pub(super) async fn check_columns(source: &DataSource, collection: &Collection) -> Result<(), RegistryError> {
    let columns = source.missing_columns(collection).await?;
    if columns.is_empty() {
        return Ok(());
    }
    let location = Box::new(source.database().location());
    let table = format!("{}{}", source.database().namespace().table_prefix, collection.name());
    Err(RegistryError::Columns { location, table, columns })
}
