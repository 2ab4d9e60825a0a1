//! Sweeping what crashes left behind on servers.
//!
//! A creation that a crash cuts short is taken back by its row (`creation.rs`). What has no row any more,
//! since a server was still at work for a process that had ended, is found by the mark of this host. Only
//! what holds nothing is removed: a database under the name that it has while it is made, or an empty one.
//! What holds data may be the last copy of it, whatever the registry says.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::database::{Database, Location};

use super::Supervisor;
use super::registry::Registration;

/// How long the main application's server may keep a start waiting.
const PATIENCE: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Sweeps the main application's server; a start waits for it, but not for long.
    pub(super) async fn sweep_at_start(&self) {
        let main = self.options.main_location.clone();
        if tokio::time::timeout(PATIENCE, self.sweep(main)).await.is_err() {
            tracing::warn!("the main application's server was not swept: it did not answer in time");
        }
    }

    /// Sweeps every server that databases were made on.
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
                // Nobody can say what is that one's.
                None => return,
            }
        }
        let is_key = |registration: &Registration, key: &str| {
            registration.provision.as_ref().is_some_and(|provision| provision.key == key)
        };
        // What is made meanwhile has been registered before.
        let is_known = |key: &str| known.contains(key) || registered().any(|one| is_key(&one, key));
        match Database::sweep(&location, &self.premises.owners(), &is_known).await {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => {
                tracing::warn!(?removed, "removed what creations that were cut short had left behind")
            }
            Err(error) => tracing::warn!(%error, "what creations may have left behind was not looked for"),
        }
    }

    /// The main application's database, and those that were made on other services.
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
