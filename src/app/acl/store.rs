//! Writes what roles may do, and reads it as it is stored.
//!
//! Each function implements one action of the API, with JSON in and out. Writing functions take a
//! transaction, so that the caller can do more in it. They check the invariants.

mod body;
mod error;
mod resources;
mod roles;
mod scopes;
mod strategies;
#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use resources::{
    CollectionTitle, Located, collection_destroyed, create_resource, destroy_resources, field_destroyed,
    get_resource, list_resources, role_collections, update_resource,
};
pub use roles::{role_destroyed, role_saved, set_default_role, set_role_mode, update_strategy};
pub use scopes::{create_scope, destroy_scope, list_scopes, update_scope};
pub use strategies::get_strategy;
