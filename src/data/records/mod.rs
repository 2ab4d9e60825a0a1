//! What is done with records.
//!
//! `read.rs` finds and counts in the order of `order.rs`, `written.rs` writes what was found as JSON, `append.rs` reads what belongs to what was found, `aggregate.rs`
//! sums up. What changes records goes through a [`Writer`], in a transaction: `create.rs`,
//! `update.rs`, `destroy.rs`, with the records nested in them (`nested.rs`), the links between
//! records (`associate.rs`) and their order (`position.rs`). What needs none of that is one statement
//! (`alone.rs`), and so is what `raw.rs` does for the host itself.

mod aggregate;
pub(super) mod alone;
mod append;
mod associate;
mod create;
mod depth;
mod destroy;
mod generate;
mod nested;
mod order;
mod plan;
mod position;
pub(super) mod raw;
mod read;
mod rows;
mod update;
pub(super) mod value;
mod within;
mod writer;
mod written;

pub use aggregate::{Aggregation, Dimension, Function, Measure, Ordering};
pub use position::Move;
pub(super) use read::{count, find, find_one, find_written};
pub use rows::keyed;
pub use writer::WriteOptions;
pub(super) use writer::Writer;
pub use written::Written;

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
