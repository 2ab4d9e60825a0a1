//! Removes databases that crashes have left behind on servers.
//!
//! A creation that a crash interrupts is rolled back by its row (`creation.rs`). A database without a row exists
//! if the server completed a statement after the daemon had ended; it is found by the mark of this host. Only
//! databases without data are removed: those under the name that a database has while it is created, and empty
//! ones. Data may be the last copy, whatever the registry says.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::database::{Database, Location};

use super::Supervisor;
use super::registry::Registration;

/// How long a start waits for the main application's server.
const START_SWEEP_TIMEOUT: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Sweeps the main application's server. Gives up after a timeout, so that the start goes on.
    pub(super) async fn sweep_at_start(&self) {
        let main = self.options.main_location.clone();
        if tokio::time::timeout(START_SWEEP_TIMEOUT, self.sweep(main)).await.is_err() {
            tracing::warn!(
                "leftover databases on the main application's server were not looked for: it did not respond in time"
            );
        }
    }

    /// Sweeps every server on which the host has created databases.
    pub(super) async fn sweep_all(&self) {
        let mut swept: HashSet<String> = HashSet::new();
        for location in self.servers().await {
            let server = location.server_database().map(|at| (at.server.to_string(), at.server.user.clone()));
            if let Some((server, user)) = server
                && swept.insert(format!("{user}@{server}"))
            {
                self.sweep(location).await;
            }
        }
    }

    async fn sweep(&self, location: Location) {
        let Ok(deleted) = self.all_deleted().await else { return };
        let registered = || self.all_entries().into_iter().map(|entry| entry.registration.load_full());
        let deleted = deleted.into_iter().map(|deleted| Arc::new(deleted.registration));
        let mut known: HashSet<String> = HashSet::new();
        for registration in registered().chain(deleted) {
            match &registration.provision {
                Some(provision) => drop(known.insert(provision.key.clone())),
                None if registration.id.is_main() => {}
                // Any database may belong to this one.
                None => return,
            }
        }
        let is_key = |registration: &Registration, key: &str| {
            registration.provision.as_ref().is_some_and(|provision| provision.key == key)
        };
        // A creation is registered before its database is created, so that this finds new ones.
        let is_known = |key: &str| known.contains(key) || registered().any(|one| is_key(&one, key));
        match Database::sweep(&location, &self.storage.key_prefix(), &is_known).await {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => {
                tracing::warn!(?removed, "removed what interrupted creations had left behind")
            }
            Err(error) => tracing::warn!(%error, "leftover databases could not be looked for"),
        }
    }

    /// The main application's database, and those that the host created on other services.
    async fn servers(&self) -> Vec<Location> {
        let mut all = vec![self.options.main_location.clone()];
        for entry in self.all_entries() {
            let registration = entry.registration.load();
            let connection =
                registration.provision.as_ref().and_then(|provision| provision.connection.as_ref());
            if connection.is_some_and(|connection| connection.create) {
                all.push(entry.location.clone());
            }
        }
        all
    }
}
