//! Applications as the checks of the host see them.

use crate::database::Location;
use crate::protocol::{AppId, Application, RpcError};

use super::Supervisor;
use super::description::in_order;

/// An application with what its description leaves out.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// Its description.
    pub application: Application,
    /// The location of its database, with the password.
    pub location: Location,
    /// The prefix of its tables; mostly empty.
    pub table_prefix: String,
}

impl Supervisor {
    /// Returns all applications, by ID, the main one first.
    pub fn inspect(&self) -> Vec<Inspected> {
        let mut entries = self.all_entries();
        entries.sort_unstable_by(in_order);
        let inspected = entries.iter().map(|entry| {
            let application = self.describe(entry);
            let table_prefix = application.database.table_prefix.clone().unwrap_or_default();
            Inspected { application, location: entry.location.clone(), table_prefix }
        });
        inspected.collect()
    }

    /// Fails if there is no application of this ID.
    pub fn require(&self, id: &AppId) -> Result<(), RpcError> {
        self.entry(id).map(drop)
    }
}
