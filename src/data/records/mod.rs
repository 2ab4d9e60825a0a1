//! What is done with records.
//!
//! `read.rs` finds and counts in the order of `order.rs`, `written.rs` writes what was found as JSON, `append.rs` reads what belongs to what was found, `aggregate.rs`
//! sums up. What changes records goes through a [`Writer`], in a transaction: `create.rs`,
//! `update.rs`, `destroy.rs`, with the records nested in them (`nested.rs`), the links between
//! records (`associate.rs`) and their order (`position.rs`). What needs none of that is one statement
//! (`alone.rs`), and so is what `raw.rs` does for the host itself.

mod aggregate;
mod create;
mod datetime;
mod destroy;
mod eager_load;
mod generate;
mod json_depth;
mod json_rows;
mod links;
mod nested;
pub(super) mod number;
mod order_by;
mod parent_scope;
mod positions;
mod read;
mod read_plan;
mod row_key;
pub(super) mod row_write;
pub(super) mod single_statement;
mod update;
pub(super) mod value;
mod writer;

pub use aggregate::{Aggregation, Dimension, Function, GroupOrder, Measure};
pub use json_rows::JsonRecords;
pub use positions::Move;
pub(super) use read::{count, find, find_json, find_one, find_readable};
pub use row_key::row_key_filter;
pub(super) use writer::RecordWriter;
pub use writer::WriteOptions;

pub(super) use aggregate::aggregate;

use crate::data::{Catalog, Collection, DataError, Filter, Query, Record};
use crate::database::Executor;

/// Reads records with their own fields alone. `find` may need it of other records, and could not
/// call itself.
fn plain<'a, E: Executor>(
    executor: &'a mut E,
    catalog: &'a Catalog,
    collection: &'a Collection,
    filter: Filter,
) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<Record>, DataError>> + Send + 'a>> {
    Box::pin(async move { find(executor, catalog, collection, &Query::filter(filter)).await })
}
