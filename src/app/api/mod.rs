//! The HTTP API: `resource:action`.
//!
//! The router ([`super::router`]) takes a request through `target.rs` (which resource and action), what
//! answers it ([`resources`](super::resources) or `records/`), the token ([`super::auth`]), the roles
//! (`requester.rs`, [`super::acl`]), the query string (`query_string.rs`) and the body, the action, and
//! out as JSON (`answer.rs`). An unknown resource or action is 404 before anybody is asked for a token.

mod answer;
mod call;
#[cfg(test)]
mod cases;
mod error;
#[cfg(test)]
mod limit_tests;
mod list;
#[cfg(test)]
mod locale_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod plugin_tests;
#[cfg(test)]
mod properties;
pub(super) mod query_string;
mod record_set;
pub(in crate::app) mod records;
pub(super) mod requester;
#[cfg(test)]
mod role_tests;
mod target;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod together;

#[cfg(test)]
mod access_tests;

pub use answer::Answer;
pub use call::{Answering, ApiRequest, Call};
pub use error::ApiError;
pub use list::ListParameters;
pub(super) use record_set::RecordSet;
pub use requester::Requester;
pub(super) use target::Target;
