//! The resources of the system, one file each.
//!
//! Each file makes descriptors ([`Resource`]): the collection, the actions, who may call them, what
//! opens them and what a change of them invalidates. [`system`] lists the files; a [`ResourceRegistry`] finds a
//! resource by its name. A new resource is a file here and a line in [`system`].

mod api_keys;
mod app;
mod applications;
mod auth;
mod authenticators;
mod available_actions;
mod collections;
mod common;
mod data_sources;
mod descriptor;
mod files;
mod plugins;
mod registry;
mod role_resources;
mod role_strategies;
mod role_users;
mod roles;
mod scopes;
mod settings;
#[cfg(test)]
mod tests;
mod token_policy;
mod tokens;
mod users;
mod version;

use std::sync::{Arc, LazyLock};

pub use applications::applications;
pub use descriptor::{ActionAccess, Records, Resource, ResourceAction};
pub use registry::ResourceRegistry;

use crate::data::Collection;

/// The resources that every application has. The version comes last: see
/// [`uninstall`](crate::app::uninstall).
pub fn system() -> impl Iterator<Item = Resource> {
    std::iter::empty()
        .chain(users::resources())
        .chain(authenticators::resources())
        .chain(api_keys::resources())
        .chain(tokens::resources())
        .chain(token_policy::resources())
        .chain(roles::resources())
        .chain(role_users::resources())
        .chain(role_resources::resources())
        .chain(role_strategies::resources())
        .chain(scopes::resources())
        .chain(available_actions::resources())
        .chain(data_sources::resources())
        .chain(collections::resources())
        .chain(files::resources())
        .chain(auth::resources())
        .chain(app::resources())
        .chain(plugins::resources())
        .chain([applications()])
        .chain(settings::resources())
        .chain(version::resources())
}

/// The registry of the applications that have no resources beside those of the system.
#[must_use]
pub fn registry() -> Arc<ResourceRegistry> {
    static SYSTEM: LazyLock<Arc<ResourceRegistry>> =
        LazyLock::new(|| Arc::new(ResourceRegistry::new(system())));
    Arc::clone(&SYSTEM)
}

/// The collections of the system, in the order in which their tables are created and dropped.
pub fn collections() -> impl Iterator<Item = &'static Collection> {
    system().filter_map(|resource| resource.collection).map(|collection| &**collection)
}
