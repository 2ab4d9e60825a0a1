//! The collections that users make: how they are written down, and what becomes of them.
//!
//! `definition.rs` reads a definition in NocoBase's words, `options.rs` checks what one may say, `catalog.rs` makes of all that are
//! written down (the tables `collections` and `fields`) the catalog that records are read and
//! written by, `change.rs`, `fields.rs` and `links.rs` change them: rows (`rows.rs`), tables and catalog together.
//! `wire.rs` gives them the shape in which clients see them.

mod catalog;
mod change;
mod columns;
mod definition;
mod fields;
mod links;
mod names;
mod options;
mod rows;
mod wire;

pub(super) use catalog::{load, tables};
pub(super) use change::{create, destroy, set_fields, update};
pub(super) use fields::{create as create_field, destroy as destroy_field, update as update_field};
pub(super) use wire::{collection as collection_to_wire, field as field_to_wire, meta};
