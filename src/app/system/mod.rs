//! The system collections: what every application has before anybody makes a collection in it.
//!
//! Names, columns and defaults are NocoBase's, so that its data can be read as it is. One file a
//! subject; [`resources`](super::resources) says what is done with them.

mod files;
mod host;
mod model;
mod people;
mod roles;
mod tokens;
mod version;

pub use files::{ATTACHMENTS, STORAGES};
pub use host::{APPLICATION_PLUGINS, MIGRATIONS, SYSTEM_SETTINGS, VERSION};
pub use model::{DATA_SOURCES, USER_COLLECTIONS, USER_FIELDS};
pub use people::{AUTHENTICATORS, USERS, USERS_AUTHENTICATORS};
pub use roles::{
    DATA_SOURCES_ROLES, DATA_SOURCES_ROLES_RESOURCES, DATA_SOURCES_ROLES_RESOURCES_ACTIONS,
    DATA_SOURCES_ROLES_RESOURCES_SCOPES, ROLES, ROLES_RESOURCES, ROLES_RESOURCES_ACTIONS,
    ROLES_RESOURCES_SCOPES, ROLES_USERS,
};
pub use tokens::{API_KEYS, ISSUED_TOKENS, TOKEN_BLACKLIST, TOKEN_CONTROL_CONFIG, TOKEN_POLICY};
pub use version::{SYSTEM_VERSION, check};
