//! The data model: collections, fields, associations, filters, records.
//!
//! A [`Collection`] is defined by its [`Field`]s and [`Association`]s and stored in a table (`table.rs`); the
//! [`Catalog`] holds all collections of a data source. A [`Record`] is a JSON object, whose values are
//! checked and converted by the fields' types. A [`DataSource`] and a [`Transaction`] offer the same
//! operations. Both delegate to `records/`, which builds statements as trees and runs them on
//! [`crate::database`]. A [`Guard`] decides which records and fields are open, and the statements enforce it;
//! a [`Hook`] listens to changes.

mod access;
mod association;
mod catalog;
mod collection;
mod error;
mod field;
mod filter;
mod hooks;
mod journal;
mod process_locks;
mod query;
mod records;
mod references;
mod run_to_completion;
mod sequences;
mod snowflake;
mod source;
mod table;
mod table_limits;
mod text;
mod transaction;
mod views;

use serde_json::{Map, Value};

pub use crate::database::{DatabaseError, Engine, Refusal, case_folded};
pub use access::{Guard, RecordAccess, RecordAction};
pub use association::{Association, AssociationKind, OnDelete, Through};
pub use catalog::Catalog;
pub use collection::Collection;
pub use error::{Cause, DataError};
pub use field::{Field, FieldType, Generator};
pub use filter::{Clock, Condition, Filter, Operator, Variables};
pub use filter::{check_variables, depends_on_time, has_variables, resolve};
pub use hooks::{Hook, HookFuture, Hooks, RecordEvent};
pub use query::{Parent, Query, RequestedFilter, Sort};
pub use records::{
    Aggregation, Dimension, Function, GroupOrder, JsonRecords, Measure, Move, WriteOptions, row_key_filter,
};
pub use run_to_completion::run_to_completion;
pub use snowflake::{next_snowflake, random_uid};
pub use source::DataSource;
pub(crate) use text::has_nul;
pub use transaction::Transaction;

/// A record: values by field name. Instants are RFC 3339 texts in UTC with milliseconds.
pub type Record = Map<String, Value>;

#[cfg(test)]
mod tests;
