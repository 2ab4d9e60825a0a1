//! `app.database`: how an application's database is reached, for a client program of the database.

use super::Supervisor;
use crate::database::{Location, ServerDatabase};
use crate::protocol::{AppId, DatabaseAccess, ErrorKind, RpcError, ServerAccess};

impl Supervisor {
    /// How an application's database is reached, with the password. The caller has checked who asks.
    pub fn database_access(&self, id: &AppId) -> Result<DatabaseAccess, RpcError> {
        let entry = self.entry(id)?;
        let file = match &entry.location {
            Location::Sqlite(file) if !file.exists() => {
                // A client program would make another one.
                let sentence = format!("the database of \"{id}\" does not exist: {}", file.display());
                return Err(RpcError::new(ErrorKind::DatabaseUnreachable, sentence)
                    .hint(format!("see what state it is in: nbapps show {id}")));
            }
            Location::Sqlite(file) => Some(file.clone()),
            Location::Postgres(_) | Location::Mysql(_) => None,
        };
        let server = entry.location.server_database().map(on_server);
        Ok(DatabaseAccess { engine: entry.location.engine().as_str().to_owned(), file, server })
    }
}

fn on_server(at: &ServerDatabase) -> ServerAccess {
    let server = &at.server;
    ServerAccess {
        host: server.host.clone(),
        port: server.port,
        user: server.user.clone(),
        password: server.password.clone(),
        database: at.name.clone(),
        schema: at.schema.clone(),
        sslmode: server.tls.as_str().to_owned(),
    }
}
