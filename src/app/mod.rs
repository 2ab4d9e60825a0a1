//! One application while it runs.
//!
//! [`install`] makes its system tables once, [`App::open`] opens it, [`App::api`] answers its
//! requests. What requests need again and again (sessions, blocked tokens, the title) is kept in
//! memory and dropped the moment it changes; an application nobody uses keeps next to nothing.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::data::{Catalog, DataError, DataSource, Filter, Hooks, Record};

pub mod acl;
pub mod api;
pub mod auth;
mod cached;
mod caches;
mod collections;
mod crash;
mod heavy;
mod hooks;
mod install;
mod maps;
mod passwords;
pub mod plugin;
pub mod resources;
mod settings;
pub mod system;
#[cfg(test)]
mod test_place;
#[cfg(test)]
mod tests;

pub use install::{install, uninstall};

use caches::{Cache, Caches};
use resources::{Registry, Resource};
use settings::Settings;

/// The version of the system tables that this host writes (`applicationVersion`).
pub const SYSTEM_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a new application's tables are filled with.
#[derive(Debug, Clone)]
pub struct Install {
    /// The title in its settings.
    pub title: String,
    /// Its first user.
    pub root: RootUser,
}

/// The first user: all known, the password in the clear (it is hashed with argon2id here).
#[derive(Clone)]
pub struct RootUser {
    /// E-mail address.
    pub email: String,
    /// User name.
    pub username: String,
    /// The name shown.
    pub nickname: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for RootUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootUser").field("email", &self.email).finish_non_exhaustive()
    }
}

/// Why an application cannot be installed or opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppError {
    /// Its database failed.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// Its data was written by a newer host.
    #[error("its data is of version {found}, this host knows {known} and will not touch it")]
    TooNew {
        /// The data's version.
        found: String,
        /// The host's.
        known: String,
    },
    /// What is there is no application, or cannot be made one.
    #[error("{0}")]
    Invalid(String),
}

/// What an application is opened with.
pub struct AppOptions {
    /// Its ID.
    pub name: Arc<str>,
    /// The secret its tokens are signed with.
    pub jwt_secret: Vec<u8>,
    /// Its main data source.
    pub source: DataSource,
    /// Resources that only this application has (the main application's `applications`).
    pub resources: Vec<Resource>,
    /// The plugins that the host knows.
    pub plugins: Vec<Arc<dyn plugin::Plugin>>,
}

/// A running application.
pub struct App {
    name: Arc<str>,
    source: DataSource,
    auth: auth::Auth,
    resources: Arc<Registry>,
    caches: Arc<Caches>,
    /// Definitions of collections are changed one after the other, and while nobody writes by them.
    definitions: Arc<RwLock<()>>,
    plugins: Vec<Arc<dyn plugin::Plugin>>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("name", &self.name).finish_non_exhaustive()
    }
}

impl App {
    /// Opens an installed application: checks its version, loads what its requests need. An error
    /// leaves its data untouched.
    pub async fn open(options: AppOptions) -> Result<Arc<Self>, AppError> {
        let AppOptions { name, jwt_secret, source, resources, plugins } = options;
        system::check(&source).await?;
        let resources = match resources.is_empty() {
            true => resources::registry(),
            false => Arc::new(Registry::new(resources::system().chain(resources))),
        };
        let caches = Arc::new(Caches::default());
        let hook = hooks::Housekeeping::new(Arc::clone(&resources), Arc::clone(&caches));
        let source = source.with(Arc::clone(resources.catalog()), Hooks::new(vec![Arc::new(hook)]));
        source.set_catalog(collections::load(&source).await?);
        let auth = auth::Auth::open(source.clone(), &jwt_secret, &caches).await?;
        let app =
            Arc::new(Self { name, source, auth, resources, caches, definitions: Arc::default(), plugins });
        app.settings().await?;
        plugin::begin(&app).await?;
        Ok(app)
    }

    /// What roles may do.
    async fn acl(&self) -> Result<Arc<acl::Acl>, DataError> {
        let read =
            async || acl::Acl::load(self.resources.policy(), &self.source, acl::MAIN_DATA_SOURCE).await;
        self.caches.acl.get_or_read(read).await
    }

    /// The settings as they are now.
    async fn settings(&self) -> Result<Arc<Settings>, DataError> {
        self.caches.settings.get_or_read(async || Settings::read(&self.source).await).await
    }

    /// The turn to change definitions of collections. Who writes by those that there are comes first.
    async fn definitions(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.definitions).write_owned().await
    }

    /// Keeps the definitions of collections as they are: what is written by them meanwhile goes into the
    /// columns that they speak of, and not into others of the same names. Whoever has it already must not
    /// ask for it.
    async fn kept_definitions(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.definitions).read_owned().await
    }

    /// Reads the definitions of collections again, unless they are others than these by now. To be done
    /// while they are kept.
    async fn renew_definitions(&self, known: &Arc<Catalog>) -> Result<(), DataError> {
        if Arc::ptr_eq(known, &self.source.catalog()) {
            self.source.set_catalog(collections::load(&self.source).await?);
        }
        Ok(())
    }

    /// Forgets what was read of its database, and reads it again: what somebody else changed there
    /// counts from now on.
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

    /// Its resources beside the collections that users make.
    #[must_use]
    pub fn resources(&self) -> &Registry {
        &self.resources
    }

    /// The plugins that the host knows.
    #[must_use]
    pub fn plugins(&self) -> &[Arc<dyn plugin::Plugin>] {
        &self.plugins
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

    /// Changes the title in its settings.
    pub async fn set_title(&self, title: &str) -> Result<(), AppError> {
        let changes = Record::from_iter([("title".to_owned(), Value::from(title))]);
        self.source.update(&system::SYSTEM_SETTINGS, &Filter::All, changes).await?;
        self.reload_settings().await
    }

    /// Its main data source.
    #[must_use]
    pub fn source(&self) -> &DataSource {
        &self.source
    }

    /// Its sign-in.
    #[must_use]
    pub fn auth(&self) -> &auth::Auth {
        &self.auth
    }

    /// Answers an API request: `target` is what follows `/api/`, without the query.
    pub async fn api(self: &Arc<Self>, request: api::ApiRequest) -> http::Response<Bytes> {
        api::answer(self, &request).await
    }

    /// Ends its work and closes its database: what is running is finished, what comes is refused.
    pub async fn close(&self) {
        self.source.database().close().await;
    }
}
