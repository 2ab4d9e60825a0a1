//! What roles open over the API, as tables of requests by users of different roles.

mod world;

mod resources;
#[path = "resources.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod resources_on_mariadb;
#[path = "resources.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod resources_on_postgres;

mod reach;
#[path = "reach.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod reach_on_mariadb;
#[path = "reach.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod reach_on_postgres;

mod changes;
#[path = "changes.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod changes_on_mariadb;
#[path = "changes.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod changes_on_postgres;

mod management;
#[path = "management.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod management_on_mariadb;
#[path = "management.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod management_on_postgres;

mod scopes;
#[path = "scopes.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod scopes_on_mariadb;
#[path = "scopes.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod scopes_on_postgres;

mod secrets;
#[path = "secrets.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod secrets_on_mariadb;
#[path = "secrets.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod secrets_on_postgres;

mod matrix;
#[path = "matrix.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod matrix_on_mariadb;
#[path = "matrix.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod matrix_on_postgres;

mod refusals;
#[path = "refusals.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod refusals_on_mariadb;
#[path = "refusals.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod refusals_on_postgres;
