//! `nbapps apply` and `nbapps export`: applications as documents.
//!
//! # What a document means
//!
//! A document is TOML, YAML or JSON (`document.rs`). What it does not mention is not managed: it stays as it is.
//! What it mentions is made so:
//!
//! - `domains`, `limits` and `labels` are wholes: what they do not list is removed, and an empty one removes all. So
//!   are the `roles` of a user, and the `resources` of a role for each collection that they name.
//! - `users`, `keys`, `roles`, `collections` and the `fields` of a collection are merged by name: those that are
//!   missing are added, others are changed in what the document says of them, and none is removed. Records live in
//!   collections and fields, so no document can remove them.
//! - `database`, `admin` and `jwt_secret` make a new application. Where the application exists, another location of
//!   its database is an error, and the other two say nothing.
//! - A password is set when its user is created. To set passwords again takes `--set-passwords`: hashes cannot be
//!   compared with a reference without hashing once for each user and run, which takes longer than all else.
//! - A key is created where none of its name is valid, and written to its `file`. Without `file` it is reported as
//!   missing. Keys that exist are never changed.
//!
//! Secrets are references, `env:NAME` or `file:PATH`, read by the client, and only where they are needed.
//!
//! # What the command does
//!
//! 1. Read all documents (`sources.rs`). An application that two of them describe is an error.
//! 2. Read the applications in one call, and what is inside of those whose document speaks of it (`live.rs`). That
//!    starts an application as a visit does. One that is stopped is not looked into, unless it is to run: then its
//!    content is compared once it does.
//! 3. Compare (`plan.rs`, and `settings.rs`, `collections.rs`, `roles.rs`, `people.rs` for the parts). Everything that
//!    cannot be done is an error now, before anything is changed.
//! 4. Carry out the plan (`execution.rs`): applications concurrently, the steps of each in order. A failure stops the
//!    steps of its application and no other. Each step is one that the same command finds done when it runs again,
//!    so a run that was killed is continued by running it again.
//!
//! # Inventories
//!
//! An application that `apply` creates belongs to an inventory, by a mark in its options that is written with its
//! registration. `--prune` deletes the applications of the inventory that no document describes; it finds them by
//! their marks, so an empty document prunes all of them. An application that others created is changed, but belongs to
//! no inventory until `--adopt`. One of another inventory is not changed without `--adopt`: two sets of documents
//! would undo each other's changes. Deleted applications can be undeleted; nothing is purged, and protected ones stay.

mod collections;
mod document;
mod entries;
mod execution;
mod export;
mod live;
mod people;
mod plan;
mod rendering;
mod roles;
mod schema;
mod settings;
mod sources;
mod steps;
mod toml;
mod values;

pub(crate) use document::Document;
pub(crate) use execution::{Outcome, execute, exit};
pub(crate) use export::{Exported, exported};
pub(crate) use live::Parts;
pub(crate) use plan::{Plan, Planning};
pub(crate) use rendering::{json, outcome, text};
pub(crate) use schema::schema;
pub(crate) use sources::Sources;
