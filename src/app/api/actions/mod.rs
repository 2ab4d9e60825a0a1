//! The resources that every application has, one file each.

mod app;
mod auth;
mod collections;
mod roles;
mod users;

use super::Resource;

/// All of them.
pub(super) static BUILT_IN: [&(dyn Resource + 'static); 6] = [
    &app::Application,
    &auth::SignIn,
    &users::Users,
    &roles::Roles,
    &collections::Collections,
    &collections::Fields,
];
