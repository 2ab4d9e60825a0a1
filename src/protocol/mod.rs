//! What the two sides of the control socket say to each other.
//!
//! JSON-RPC 2.0, one message a line, UTF-8. [`methods`] lists every method with the types of its
//! parameters and result; the daemon dispatches on them, the client calls through them, and
//! `rpc.discover` and the page `nbapps-protocol(7)` are generated from them, so that none of the
//! four can say something else than the others.
//!
//! This room imports nothing. Its types are also the vocabulary of the supervisor, so that an
//! application is described once and not translated between rooms.

mod application;
mod error;
mod event;
mod host;
mod id;
mod limits;
pub mod lines;
mod listing;
mod message;
pub mod methods;
mod operation;
mod socket_lock;
mod value;

pub use application::*;
pub use error::{ErrorData, ErrorKind, RpcError};
pub use event::*;
pub use host::*;
pub use id::{AppId, InvalidAppId};
pub use limits::{InvalidLimit, Limit, LimitChanges, LimitValues, Limits};
pub use listing::*;
pub use message::{Incoming, Message, Notification, Outcome, Request, RequestId, Response};
pub use operation::*;
pub use socket_lock::SocketLock;

/// The version of this protocol. A client of another version is refused by `host.hello`.
pub const PROTOCOL_VERSION: u32 = 1;

/// The time as it is told and kept: to the millisecond, so that what was kept reads as it was told.
pub(crate) fn now() -> chrono::DateTime<chrono::Utc> {
    use chrono::SubsecRound as _;
    chrono::Utc::now().trunc_subsecs(3)
}
