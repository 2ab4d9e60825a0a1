//! How an application's database is reached: the result of `app.database`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an application's database is reached, with the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseAccess {
    /// `sqlite`, `postgres` or `mysql` (MariaDB too).
    pub engine: String,
    /// The file of a SQLite database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The database on a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerAccess>,
}

/// A database on a server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerAccess {
    /// The server's name or address; with a slash at the beginning, the directory of its Unix socket.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The database's name.
    pub database: String,
    /// The schema that its tables are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Whether the connection is encrypted: `disable`, `prefer`, `require` or `verify-full`.
    pub sslmode: String,
}

impl std::fmt::Debug for ServerAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the password.
        f.debug_struct("ServerAccess")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}
