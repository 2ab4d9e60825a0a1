//! The system collections: what every application has before anybody makes a collection in it.
//!
//! Names, columns and defaults are NocoBase's, so that its data can be read as it is. One file a
//! subject; `install.rs` makes them and fills them with what belongs in them from the beginning.

mod files;
mod host;
mod install;
mod model;
mod people;
mod roles;
mod tokens;
mod version;

use std::sync::LazyLock;

use crate::data::Collection;

pub use files::{ATTACHMENTS, STORAGES};
pub use host::{APPLICATION_PLUGINS, MIGRATIONS, SYSTEM_SETTINGS, VERSION};
pub use install::{install, uninstall};
pub use model::{DATA_SOURCES, USER_COLLECTIONS, USER_FIELDS};
pub use people::{AUTHENTICATORS, USERS, USERS_AUTHENTICATORS};
pub use roles::{
    DATA_SOURCES_ROLES, DATA_SOURCES_ROLES_RESOURCES, DATA_SOURCES_ROLES_RESOURCES_ACTIONS,
    DATA_SOURCES_ROLES_RESOURCES_SCOPES, ROLES, ROLES_RESOURCES, ROLES_RESOURCES_ACTIONS,
    ROLES_RESOURCES_SCOPES, ROLES_USERS,
};
pub use tokens::{API_KEYS, ISSUED_TOKENS, TOKEN_BLACKLIST, TOKEN_CONTROL_CONFIG, TOKEN_POLICY};
pub(super) use version::check;

/// Every system collection. The version comes last: see [`uninstall`].
pub(super) static COLLECTIONS: LazyLock<[Collection; 25]> = LazyLock::new(|| {
    [
        USERS.clone(),
        AUTHENTICATORS.clone(),
        USERS_AUTHENTICATORS.clone(),
        API_KEYS.clone(),
        ISSUED_TOKENS.clone(),
        TOKEN_BLACKLIST.clone(),
        TOKEN_CONTROL_CONFIG.clone(),
        ROLES.clone(),
        ROLES_USERS.clone(),
        ROLES_RESOURCES.clone(),
        ROLES_RESOURCES_ACTIONS.clone(),
        ROLES_RESOURCES_SCOPES.clone(),
        DATA_SOURCES.clone(),
        DATA_SOURCES_ROLES.clone(),
        DATA_SOURCES_ROLES_RESOURCES.clone(),
        DATA_SOURCES_ROLES_RESOURCES_ACTIONS.clone(),
        DATA_SOURCES_ROLES_RESOURCES_SCOPES.clone(),
        USER_COLLECTIONS.clone(),
        USER_FIELDS.clone(),
        STORAGES.clone(),
        ATTACHMENTS.clone(),
        APPLICATION_PLUGINS.clone(),
        MIGRATIONS.clone(),
        SYSTEM_SETTINGS.clone(),
        VERSION.clone(),
    ]
});
