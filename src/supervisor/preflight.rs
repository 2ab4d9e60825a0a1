//! Whether a database of another service can be an application's: looked at before anything is made,
//! and taken when it is.

use futures_util::TryFutureExt as _;

use crate::database::{Database, DatabaseError, Location};
use crate::protocol::{AppId, ErrorKind, RpcError};

use super::Supervisor;
use super::connection::Wanted;
use super::failure::Failure;
use super::registry::Registration;

/// Whether the database has no tables that would be the application's; else says what is there.
pub(crate) async fn check_unused(database: &Database, id: &AppId) -> Result<(), RpcError> {
    let doing = || format!("looking into the database for \"{id}\"");
    let tables = database.table_names().await.map_err(|error| error.while_doing(doing()))?;
    let Some(first) = tables.first() else { return Ok(()) };
    let prefix = database.namespace().table_prefix.to_owned();
    let what = if tables.iter().any(|table| table == "applicationVersion") {
        "the data of another application".to_owned()
    } else {
        let more = if tables.len() > 1 { format!(" and {} more", tables.len() - 1) } else { String::new() };
        format!("the table {prefix}{first}{more}, which this host did not make")
    };
    let hint = "give it an empty database, or --db-prefix with what no table's name there begins with; nothing \
                was changed";
    Err(RpcError::new(ErrorKind::Conflict, format!("{} holds {what}", database.location())).hint(hint))
}

/// Whether every text can be kept in the database; else says what makes one in which it can.
async fn check_texts(database: &Database, id: &AppId) -> Result<(), RpcError> {
    let unfit = database.encoding_problem().await;
    match unfit.map_err(|error| error.while_doing(format!("looking into the database for \"{id}\"")))? {
        None => Ok(()),
        Some((sentence, sql)) => Err(RpcError::new(ErrorKind::InvalidSetting, sentence)
            .hint(format!("make one that can, and give that; nothing was changed: {sql}"))),
    }
}

/// Whether nbapps has not made the database for an application, of this host or of another: that one
/// has all of it, whatever its tables' names begin with, and takes it along when it goes.
async fn check_unmarked(database: &Database, id: &AppId) -> Result<(), RpcError> {
    let owned = database.is_owned().await;
    if !owned.map_err(|error| error.while_doing(format!("looking into the database for \"{id}\"")))? {
        return Ok(());
    }
    let sentence = format!("{} was made by nbapps for an application of its own", database.location());
    Err(RpcError::new(ErrorKind::Conflict, sentence)
        .hint("two applications never share a database: give it one of its own; nothing was changed"))
}

/// Whether the database that a schema is to be in is there, and no application's.
async fn check_around(around: &Location, id: &AppId) -> Result<(), RpcError> {
    let database = match Database::open_if_present(around).await {
        Ok(database) => database,
        Err(error) => {
            let missing = matches!(error, DatabaseError::Missing(_));
            let error = error.while_doing(format!("connecting \"{id}\" to its database"));
            return Err(match missing {
                true => error.hint(
                    "make the database first, or leave --db-schema out: with --create-database the whole \
                     database is made for the application",
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
    /// Looks whether the database of another service can be the application's, before anything is
    /// made; gives what is wanted with the answer whether the host is to make it.
    pub(super) async fn survey(&self, id: &AppId, wanted: Wanted, prefix: &str) -> Result<Wanted, RpcError> {
        if let Wanted::Schema(_) = wanted {
            let main = self.entry(&AppId::main())?;
            if let Some(running) = main.running() {
                check_texts(running.app.source().database(), id).await?;
            }
        }
        let Wanted::Connection { location, create: may_create } = wanted else { return Ok(wanted) };
        let location = location.resolved();
        location
            .check_names()
            .map_err(|error| error.while_doing(format!("connecting \"{id}\" to its database")))?;
        self.check_unshared(id, &location).await?;
        if let Some(around) = location.containing_database() {
            check_around(&around, id).await?;
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
                    .hint("make it first, or let the host make it: --create-database"));
            }
            Err(error) => return Err(error.while_doing(format!("connecting \"{id}\" to its database"))),
        };
        Ok(Wanted::Connection { location, create })
    }

    /// Two applications never share a database or a schema; those that can be undeleted count.
    pub(super) async fn check_unshared(&self, id: &AppId, location: &Location) -> Result<(), RpcError> {
        let taken = |by: String| {
            Err(RpcError::new(ErrorKind::Conflict, format!("{location} is used by {by}"))
                .hint("two applications never share a database: give it one of its own"))
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

    /// Notes in the registry that tables in an application's database are the host's from now on.
    pub(super) async fn claim(&self, registration: &Registration) -> Result<Registration, RpcError> {
        let mut claimed = registration.clone();
        if let Some(connection) =
            claimed.provision.as_mut().and_then(|provision| provision.connection.as_mut())
        {
            connection.claimed = true;
        }
        let noted = self.registry.set_provision(&claimed).await;
        noted.map_err(|error| error.while_doing(format!("registering \"{}\"", registration.id)))?;
        Ok(claimed)
    }
}
