//! The collections that users define: their definitions, and how they change.
//!
//! `definition.rs` parses a definition in NocoBase's words, `options.rs` checks its options,
//! `catalog.rs` builds the catalog from the tables `collections` and `fields`; `change.rs`,
//! `fields.rs` and `links.rs` change rows (`rows.rs`), tables and catalog together; `columns.rs`
//! has what they share. `wire.rs` converts definitions to what clients see.

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
