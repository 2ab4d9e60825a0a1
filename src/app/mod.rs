//! One application while it runs.
use std::sync::Arc;

use axum::body::Bytes;

use crate::data::DataSource;

pub mod api;
pub mod auth;

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
    /// Its data is of an older version and no upgrade is known.
    #[error("{0}")]
    Invalid(String),
}
/// Makes the system tables and the root user, in one transaction.
pub async fn install(_source: &DataSource, _install: &Install) -> Result<(), AppError> {
    unimplemented!()
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
    pub resources: Vec<Arc<dyn api::Resource>>,
}
/// A running application.
#[derive(Debug)]
pub struct App {}
impl App {
    /// Opens an installed application: checks its version, loads what its requests need.
    pub async fn open(_options: AppOptions) -> Result<Arc<Self>, AppError> {
        unimplemented!()
    }
    /// Its ID.
    pub fn name(&self) -> &str {
        unimplemented!()
    }
    /// The title in its settings.
    pub fn title(&self) -> Arc<str> {
        unimplemented!()
    }
    /// Its main data source.
    pub fn source(&self) -> &DataSource {
        unimplemented!()
    }
    /// Its sign-in.
    pub fn auth(&self) -> &auth::Auth {
        unimplemented!()
    }
    /// Answers an API request: `target` is what follows `/api/`, without the query.
    pub async fn api(self: &Arc<Self>, _request: api::ApiRequest) -> http::Response<Bytes> {
        unimplemented!()
    }
    /// Ends its work and closes its database.
    pub async fn close(&self) {
        unimplemented!()
    }
}
