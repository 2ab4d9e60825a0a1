//! The registry: which applications there are, in three tables of the main application's database.
//!
//! `store.rs` opens the tables (`tables.rs`) and reads all of them at a start; `applications.rs` and
//! `deleted_applications.rs` write one record at a time. A record in memory is a [`Registration`], with the
//! [`Provision`] that says what the host created for it. Anybody may have changed the rows: `row_reader.rs`
//! makes a registration of every row, and lists in its [`Damage`] what cannot be read or used; `repair.rs`
//! gives the values to write in place of those.

mod applications;
mod checks;
mod damage;
mod deleted_applications;
mod labels;
mod provision;
mod registration;
mod repair;
mod row_filters;
mod row_reader;
mod store;
mod tables;

pub(super) use checks::options_problems;
pub(super) use damage::Damage;
pub(super) use provision::Provision;
pub(super) use registration::{DeletedRegistration, Registration};
pub(super) use store::{Inventory, Registry};
pub(super) use tables::RegistryError;
