//! One application while it runs.
//!
//! [`install`] makes its system tables once, [`App::open`] opens it, [`App::api`] answers its
//! requests. What requests need again and again (sessions, blocked tokens, the title) is kept in
//! memory and dropped the moment it changes; an application nobody uses keeps next to nothing.

use std::sync::Arc;

use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::data::{Catalog, DataError, DataSource, Filter, Hook, Hooks, Query, Record, Sort};

pub mod acl;
pub mod api;
pub mod auth;
mod collections;
mod crash;
mod heavy;
mod hooks;
mod install;
mod maps;
mod passwords;
pub mod plugin;
pub mod resources;
pub mod system;
#[cfg(test)]
mod test_place;
#[cfg(test)]
mod tests;

pub use install::{install, uninstall};
use resources::{Registry, Resource};

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
    settings: ArcSwap<Settings>,
    /// Counts the changes of the settings.
    settings_changes: AtomicU64,
    /// How many of them there were when the settings were read last.
    settings_known: AtomicU64,
    /// They are read by one at a time, so that the last who reads has read the last of them.
    settings_turn: Mutex<()>,
    source: DataSource,
    auth: auth::Auth,
    resources: Arc<Registry>,
    /// What roles may do, once somebody who is not root has asked.
    acl: ArcSwapOption<acl::Acl>,
    /// Counts the changes of roles, so that what was read before one is not kept after it.
    acl_changes: AtomicU64,
    /// Definitions of collections are changed one after the other, and while nobody writes by them.
    definitions: Arc<RwLock<()>>,
    plugins: Vec<Arc<dyn plugin::Plugin>>,
}

/// What requests need of `systemSettings`.
#[derive(Debug)]
struct Settings {
    title: Arc<str>,
    language: Arc<str>,
    role_mode: acl::RoleMode,
    rules: auth::AccountRules,
    /// Whether requests are refused that name what does not exist (`options.strict`).
    strict: bool,
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
        let housekeeping = Arc::new(hooks::Housekeeping::new(Arc::clone(&resources)));
        let hooks = Hooks::new(vec![Arc::clone(&housekeeping) as Arc<dyn Hook>]);
        let source = source.with(Arc::clone(resources.catalog()), hooks);
        source.set_catalog(collections::load(&source).await?);
        let settings = Settings::read(&source, &name).await?;
        let auth = auth::Auth::open(source.clone(), &jwt_secret, settings.rules).await?;
        let app = Arc::new(Self {
            name,
            settings: ArcSwap::from_pointee(settings),
            settings_changes: AtomicU64::new(0),
            settings_known: AtomicU64::new(0),
            settings_turn: Mutex::new(()),
            source,
            auth,
            resources,
            acl: ArcSwapOption::empty(),
            acl_changes: AtomicU64::new(0),
            definitions: Arc::default(),
            plugins,
        });
        housekeeping.serve(&app);
        plugin::begin(&app).await?;
        Ok(app)
    }

    /// What roles may do.
    async fn acl(&self) -> Result<Arc<acl::Acl>, DataError> {
        if let Some(known) = self.acl.load_full() {
            return Ok(known);
        }
        let before = self.acl_changes.load(Ordering::SeqCst);
        let read = Arc::new(
            Box::pin(acl::Acl::load(self.resources.policy(), &self.source, acl::MAIN_DATA_SOURCE)).await?,
        );
        self.acl.store(Some(Arc::clone(&read)));
        // A change since the reading may have come before it was stored.
        if self.acl_changes.load(Ordering::SeqCst) != before {
            self.acl.store(None);
        }
        Ok(read)
    }

    /// Roles were changed: what memory knows of them is forgotten.
    fn forget_acl(&self) {
        self.acl_changes.fetch_add(1, Ordering::SeqCst);
        self.acl.store(None);
    }

    /// The settings were changed: who needs what is decided by them reads them again.
    fn forget_settings(&self) {
        self.settings_changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether users act in one role or in all of theirs.
    async fn role_mode(&self) -> Result<acl::RoleMode, AppError> {
        self.know_settings().await?;
        Ok(self.settings.load().role_mode)
    }

    /// Whether requests are refused that name what does not exist, where they say nothing of it.
    async fn is_strict(&self) -> Result<bool, AppError> {
        self.know_settings().await?;
        Ok(self.settings.load().strict)
    }

    /// Reads the settings again, if they were changed since they were read last.
    async fn know_settings(&self) -> Result<(), AppError> {
        let changes = self.settings_changes.load(Ordering::SeqCst);
        if self.settings_known.load(Ordering::SeqCst) < changes {
            Box::pin(self.reload_settings()).await?;
        }
        Ok(())
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
        self.forget_acl();
        self.auth.reload().await?;
        self.reload_settings().await
    }

    /// Reads the settings again, after they were changed.
    pub async fn reload_settings(&self) -> Result<(), AppError> {
        let _turn = self.settings_turn.lock().await;
        let changes = self.settings_changes.load(Ordering::SeqCst);
        let settings = Settings::read(&self.source, &self.name).await?;
        self.auth.set_rules(settings.rules);
        self.settings.store(Arc::new(settings));
        self.settings_known.store(changes, Ordering::SeqCst);
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
        Arc::clone(&self.settings.load().title)
    }

    /// The language of its pages: `en-US`.
    #[must_use]
    pub fn language(&self) -> Arc<str> {
        Arc::clone(&self.settings.load().language)
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

impl Settings {
    async fn read(source: &DataSource, name: &Arc<str>) -> Result<Self, AppError> {
        let fields = ["title", "appLang", "options", "roleMode", "enableEditProfile", "enableChangePassword"];
        let query = Query::filter(Filter::All).sort(Sort::ascending("id")).fields(&fields);
        let record = source.find_one(&system::SYSTEM_SETTINGS, query).await?.unwrap_or_default();
        let text = |field: &str| record.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        Ok(Self {
            title: text("title").map_or_else(|| Arc::clone(name), Arc::from),
            language: text("appLang").unwrap_or("en-US").into(),
            role_mode: text("roleMode").and_then(acl::RoleMode::parse).unwrap_or_default(),
            rules: auth::AccountRules::of(&record),
            strict: record.get("options").and_then(|options| options.get("strict"))
                == Some(&Value::Bool(true)),
        })
    }
}
