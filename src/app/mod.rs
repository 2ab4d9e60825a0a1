//! One application while it runs.
//!
//! [`install`] creates its system tables, [`App::open`] opens it, [`App::api`] answers its
//! requests. What many requests need (sessions, blocked tokens, settings) stays in memory until it
//! changes; an application without requests keeps next to nothing.
//!
//! From the ground up: [`system`] defines the collections, [`acl`] and [`auth`] decide who may do what,
//! [`AppState`] holds what they need while the application runs, [`api`] reads requests and answers those
//! about records, [`resources`] answers those about the system, and [`App`] puts it together.

use std::sync::Arc;

use bytes::Bytes;

use crate::data::{DataSource, Hooks};

pub mod acl;
pub mod api;
pub mod auth;
mod cached;
mod caches;
mod collections;
mod cpu_queue;
mod directory;
mod error;
mod hooks;
mod install;
mod json;
mod lazy_map;
pub mod plugin;
pub mod resources;
mod router;
mod settings;
mod state;
pub mod system;
#[cfg(test)]
mod test_place;
#[cfg(test)]
mod tests;
mod user_variables;

pub use directory::{KeyEntry, Person};
pub use error::AppError;
pub use install::{Install, NewRootUser, install, tables, uninstall};
pub use state::AppState;
pub use system::{SYSTEM_VERSION, check as check_version};

use api::ApiRequest;
use auth::{Auth, Session};
use caches::Caches;
use hooks::Housekeeping;
use plugin::Plugin;
use resources::{Resource, ResourceRegistry};
use router::Router;

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
    pub plugins: Vec<Arc<dyn Plugin>>,
}

/// A running application: its state, with the resources and plugins that work on it.
pub struct App {
    state: Arc<AppState>,
    resources: Arc<ResourceRegistry>,
    plugins: Vec<Arc<dyn Plugin>>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("name", &self.name()).finish_non_exhaustive()
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
            false => Arc::new(ResourceRegistry::new(resources::system().chain(resources))),
        };
        let caches = Arc::new(Caches::default());
        let hook = Housekeeping::new(Arc::clone(&resources), Arc::clone(&caches));
        let source = source.with(Arc::clone(resources.catalog()), Hooks::new(vec![Arc::new(hook)]));
        let policy = Arc::clone(resources.policy());
        let state = Arc::new(AppState::open(name, &jwt_secret, source, policy, caches).await?);
        plugin::begin(&state, &plugins).await?;
        Ok(Arc::new(Self { state, resources, plugins }))
    }

    /// Its ID.
    #[must_use]
    pub fn name(&self) -> &str {
        self.state.name()
    }

    /// The title in its settings; its ID where that is empty.
    #[must_use]
    pub fn title(&self) -> Arc<str> {
        self.state.title()
    }

    /// Its main data source.
    #[must_use]
    pub fn source(&self) -> &DataSource {
        self.state.source()
    }

    /// Its sign-in.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        self.state.auth()
    }

    /// Answers a request to the API.
    pub async fn api(&self, request: ApiRequest) -> http::Response<Bytes> {
        let Self { state, resources, plugins } = self;
        Router { state, resources, plugins }.answer(&request, None).await
    }

    /// Answers a request to the API as if the user of `session` had sent it, whatever token it has.
    pub async fn api_as(&self, session: Arc<Session>, request: ApiRequest) -> http::Response<Bytes> {
        let Self { state, resources, plugins } = self;
        Router { state, resources, plugins }.answer(&request, Some(session)).await
    }

    /// Ends its work and closes its database: what is running is finished, what comes is refused.
    pub async fn close(&self) {
        self.state.close().await;
    }
}
