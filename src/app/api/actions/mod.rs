//! The resources that every application has, one file each.

mod app;
mod auth;
mod roles;
mod users;

use super::Resource;

/// All of them.
pub(super) static BUILT_IN: [&(dyn Resource + 'static); 4] =
    [&app::Application, &auth::SignIn, &users::Users, &roles::Roles];
