//! What is done with records, on a data source or in a transaction alike: each operation takes the
//! [`Executor`](crate::database::Executor) to run on.

mod read;
pub(super) mod value;
mod write;

pub(super) use read::{count, find, find_one};
pub(super) use write::{destroy, insert, update};
