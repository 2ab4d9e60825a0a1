//! Reads and writes records.
//!
//! Reading: `read.rs` finds and counts records, with the columns of `read_plan.rs`, in the order of
//! `order_by.rs`, and limited to those of a parent record by `parent_scope.rs`. `eager_load.rs` loads
//! associated records, `json_rows.rs` writes rows to JSON without building records, and `aggregate.rs`
//! computes sums and counts.
//!
//! Writing: a [`RecordWriter`] writes in a transaction. `create.rs`, `update.rs` and `destroy.rs` have its
//! operations; `nested.rs` handles records within records, `links.rs` associations, `positions.rs` the
//! positions of sorted records. A write without any of these is a single statement (`single_statement.rs`),
//! as are the host's own writes (`row_write.rs`).
//!
//! Values: `value.rs` converts them between JSON and storage, with `number.rs`, `datetime.rs` and
//! `json_depth.rs`; `generate.rs` makes those of new records.

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

/// Reads records without associated records. [`find`] needs this for through collections and cannot call
/// itself, as an `async fn` of infinite size.
fn plain<'a, E: Executor>(
    executor: &'a mut E,
    catalog: &'a Catalog,
    collection: &'a Collection,
    filter: Filter,
) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<Record>, DataError>> + Send + 'a>> {
    Box::pin(async move { find(executor, catalog, collection, &Query::filter(filter)).await })
}
