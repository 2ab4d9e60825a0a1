//! Preflight checks: whether a database can become an application's, before anything is created.

use futures_util::TryFutureExt as _;

use crate::database::{Database, DatabaseError, Location};
use crate::protocol::{AppId, ErrorKind, RpcError};

use super::Supervisor;
use super::error_context::ErrorContext;
use super::registry::Registration;
use super::requested_database::RequestedDatabase;

/// Fails if the database has tables that would belong to the application.
pub(crate) async fn check_unused(database: &Database, id: &AppId) -> Result<(), RpcError> {
    let doing = || format!("checking the database for \"{id}\"");
    let tables = database.table_names().await.map_err(|error| error.while_doing(doing()))?;
    let Some(first) = tables.first() else { return Ok(()) };
    let prefix = database.namespace().table_prefix.to_owned();
    let what = if tables.iter().any(|table| table == "applicationVersion") {
        "the data of another application".to_owned()
    } else {
        let more = if tables.len() > 1 { format!(" and {} more", tables.len() - 1) } else { String::new() };
        format!("the table {prefix}{first}{more}, which this host did not create")
    };
    let hint = "give it an empty database, or a --db-prefix with which no table's name there begins; nothing was \
                changed";
    Err(RpcError::new(ErrorKind::Conflict, format!("{} holds {what}", database.location())).hint(hint))
}

/// Fails if the database cannot store every text, with the statement that creates one that can.
async fn check_texts(database: &Database, id: &AppId) -> Result<(), RpcError> {
    let unfit = database.encoding_problem().await;
    match unfit.map_err(|error| error.while_doing(format!("checking the database for \"{id}\"")))? {
        None => Ok(()),
        Some((sentence, sql)) => Err(RpcError::new(ErrorKind::InvalidSetting, sentence)
            .hint(format!("create and give one that can; nothing was changed: {sql}"))),
    }
}

/// Fails if nbapps created the database for an application, on this host or another. That application owns all of
/// it, whatever the prefix of its tables, and a purge removes all of it.
async fn check_unmarked(database: &Database, id: &AppId) -> Result<(), RpcError> {
    let owned = database.is_owned().await;
    if !owned.map_err(|error| error.while_doing(format!("checking the database for \"{id}\"")))? {
        return Ok(());
    }
    let sentence = format!("{} was created by nbapps for another application", database.location());
    Err(RpcError::new(ErrorKind::Conflict, sentence)
        .hint("applications cannot share a database: give it one of its own; nothing was changed"))
}

/// Fails if the database around a requested schema is missing or belongs to an application.
async fn check_surrounding(surrounding: &Location, id: &AppId) -> Result<(), RpcError> {
    let database = match Database::open_if_present(surrounding).await {
        Ok(database) => database,
        Err(error) => {
            let missing = matches!(error, DatabaseError::Missing(_));
            let error = error.while_doing(format!("connecting \"{id}\" to its database"));
            return Err(match missing {
                true => error.hint(
                    "create the database first, or leave --db-schema out: with --create-database the whole \
                     database is created for the application",
                ),
                false => error,
            });
        }
    };
    let fit = check_unmarked(&database, id).and_then(|()| check_texts(&database, id)).await;
    database.close().await;
    fit
}

impl Supervisor {
    /// Checks whether the requested database can become the application's. Returns the request with its location
    /// resolved, and with `create` if the database is missing.
    pub(super) async fn preflight_database(
        &self,
        id: &AppId,
        requested: RequestedDatabase,
        prefix: &str,
    ) -> Result<RequestedDatabase, RpcError> {
        if let RequestedDatabase::Schema(_) = requested {
            let main = self.entry(&AppId::main())?;
            if let Some(running) = main.running() {
                check_texts(running.app.source().database(), id).await?;
            }
        }
        let RequestedDatabase::Connection { location, create: may_create } = requested else {
            return Ok(requested);
        };
        let location = location.resolved();
        location
            .check_names()
            .map_err(|error| error.while_doing(format!("connecting \"{id}\" to its database")))?;
        self.check_unshared(id, &location).await?;
        if let Some(surrounding) = location.containing_database() {
            check_surrounding(&surrounding, id).await?;
        }
        let create = match Database::open_if_present(&location).await {
            Ok(database) => {
                let database = database.with_table_prefix(prefix);
                let unused = check_unmarked(&database, id)
                    .and_then(|()| check_unused(&database, id))
                    .and_then(|()| check_texts(&database, id))
                    .await;
                database.close().await;
                unused?;
                false
            }
            Err(DatabaseError::Missing(_)) if may_create => true,
            Err(error @ DatabaseError::Missing(_)) => {
                return Err(error
                    .while_doing(format!("connecting \"{id}\" to its database"))
                    .hint("create it first, or let the host create it: --create-database"));
            }
            Err(error) => return Err(error.while_doing(format!("connecting \"{id}\" to its database"))),
        };
        Ok(RequestedDatabase::Connection { location, create })
    }

    /// Fails if the database or schema belongs to another application, also to a deleted one.
    pub(super) async fn check_unshared(&self, id: &AppId, location: &Location) -> Result<(), RpcError> {
        let taken = |by: String| {
            Err(RpcError::new(ErrorKind::Conflict, format!("{location} is used by {by}"))
                .hint("applications cannot share a database: give it one of its own"))
        };
        for entry in self.all_entries() {
            if entry.id != *id && entry.location.is_same_database(location) {
                return taken(format!("the application \"{}\"", entry.id));
            }
        }
        for deleted in self.all_deleted().await? {
            if self.location(&deleted.registration).is_same_database(location) {
                return taken(format!("the deleted application \"{}\"", deleted.registration.id));
            }
        }
        Ok(())
    }

    /// Records in the registry that the host is about to create tables in a given database. From then on, a
    /// roll-back removes them.
    pub(super) async fn record_claim(&self, registration: &Registration) -> Result<Registration, RpcError> {
        let mut claimed = registration.clone();
        if let Some(connection) =
            claimed.provision.as_mut().and_then(|provision| provision.connection.as_mut())
        {
            connection.claimed = true;
        }
        let written = self.registry.set_provision(&claimed).await;
        written.map_err(|error| error.while_doing(format!("registering \"{}\"", registration.id)))?;
        Ok(claimed)
    }
}
