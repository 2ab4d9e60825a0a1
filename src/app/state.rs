//! What an application is while it runs: its source, its sign-in, and what memory keeps of them.
//!
//! Everything else of the application works on this: actions, records, plugins. The assembled
//! application ([`App`](super::App)) is made of it, its resources and its plugins.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::acl::policy::Policy;
use super::acl::{Acl, MAIN_DATA_SOURCE};
use super::auth::Auth;
use super::caches::{Cache, Caches};
use super::collections;
use super::error::AppError;
use super::settings::SystemSettings;
use crate::data::{Catalog, DataError, DataSource};

/// What an application is while it runs.
pub struct AppState {
    name: Arc<str>,
    source: DataSource,
    auth: Auth,
    policy: Arc<Policy>,
    caches: Arc<Caches>,
    /// Held for writing while definitions of collections change, for reading while records are
    /// written by them.
    definitions: Arc<RwLock<()>>,
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AppState {
    /// Reads what requests need: the collections, the tokens that were signed out, the settings.
    /// `source` has the hook that invalidates `caches`, and the collections of the system.
    pub(super) async fn open(
        name: Arc<str>,
        jwt_secret: &[u8],
        source: DataSource,
        policy: Arc<Policy>,
        caches: Arc<Caches>,
    ) -> Result<Self, AppError> {
        source.set_catalog(collections::load(&source).await?);
        let auth = Auth::open(source.clone(), jwt_secret, &caches).await?;
        let state = Self { name, source, auth, policy, caches, definitions: Arc::default() };
        state.settings().await?;
        Ok(state)
    }

    /// How permissions decide about the resources of the system.
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What roles may do.
    pub(super) async fn acl(&self) -> Result<Arc<Acl>, DataError> {
        let read = async || Acl::load(&self.policy, &self.source, MAIN_DATA_SOURCE).await;
        self.caches.acl.get_or_read(read).await
    }

    /// The settings as they are now.
    pub(super) async fn settings(&self) -> Result<Arc<SystemSettings>, DataError> {
        self.caches.settings.get_or_read(async || SystemSettings::read(&self.source).await).await
    }

    /// Waits for the exclusive right to change definitions of collections. Writes that use the
    /// present definitions finish first.
    pub(super) async fn definitions(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.definitions).write_owned().await
    }

    /// Keeps the definitions of collections from changing, so that a write goes into the columns
    /// that it was planned for. Must not be called by whoever holds it already.
    pub(super) async fn kept_definitions(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.definitions).read_owned().await
    }

    /// Reads the definitions of collections again, unless they have been replaced since `known`.
    /// The caller holds [`AppState::kept_definitions`].
    pub(super) async fn renew_definitions(&self, known: &Arc<Catalog>) -> Result<(), DataError> {
        if Arc::ptr_eq(known, &self.source.catalog()) {
            self.source.set_catalog(collections::load(&self.source).await?);
        }
        Ok(())
    }

    /// Drops everything that was read from the database, and reads it again: changes by other
    /// programs take effect.
    pub async fn reload(&self) -> Result<(), AppError> {
        let turn = self.definitions().await;
        self.source.set_catalog(collections::load(&self.source).await?);
        drop(turn);
        // After it: users are read with the fields that they have.
        self.caches.invalidate(Cache::Roles);
        self.auth.reload().await?;
        self.reload_settings().await
    }

    /// Reads the settings again.
    pub async fn reload_settings(&self) -> Result<(), AppError> {
        self.caches.invalidate(Cache::Settings);
        self.settings().await?;
        Ok(())
    }

    /// Its ID.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The title in its settings; its ID where that is empty.
    #[must_use]
    pub fn title(&self) -> Arc<str> {
        let settings = self.caches.settings.last();
        let title = settings.and_then(|settings| settings.title.clone());
        title.unwrap_or_else(|| Arc::clone(&self.name))
    }

    /// The language of its pages: `en-US`.
    #[must_use]
    pub fn language(&self) -> Arc<str> {
        let settings = self.caches.settings.last();
        settings.map_or_else(|| "en-US".into(), |settings| Arc::clone(&settings.language))
    }

    /// Its main data source.
    #[must_use]
    pub fn source(&self) -> &DataSource {
        &self.source
    }

    /// Its sign-in.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Ends its work and closes its database: what is running is finished, what comes is refused.
    pub async fn close(&self) {
        self.source.database().close().await;
    }
}
