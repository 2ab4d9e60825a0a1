//! What is asked of a database, and what was observed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono::TimeDelta;

use crate::database::{Location, Report};
use crate::protocol::{AppId, RpcError};

/// A database to look at.
#[derive(Debug, Clone)]
pub(super) struct DatabaseQuestion {
    pub(super) id: AppId,
    pub(super) location: Location,
    pub(super) table_prefix: String,
    /// What the host does beside the main application's database; nothing for that of others.
    pub(super) needs: Needs,
    /// The configured number of connections to one server.
    pub(super) configured_connections: Option<u32>,
    /// The data directory of the host.
    pub(super) data_directory: PathBuf,
    /// Whether the database may be missing, because the first start creates it.
    pub(super) may_be_missing: bool,
}

/// What the host needs to create in or beside the main application's database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) databases: bool,
    pub(super) schemas: bool,
}

/// What was observed of a database.
#[derive(Debug)]
pub(super) struct DatabaseObservation {
    pub(super) report: Report,
    /// How far the server's clock is ahead of this machine's.
    pub(super) ahead: Option<TimeDelta>,
    /// Why the encoding cannot hold every text, and the SQL that creates a database that can.
    pub(super) encoding: Option<(String, String)>,
    /// The version of the application's tables, or why it cannot run on them.
    pub(super) version: Result<String, RpcError>,
    /// The names of the application's tables.
    pub(super) tables: BTreeSet<String>,
}
