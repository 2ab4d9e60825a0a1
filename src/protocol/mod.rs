//! The messages of the control socket.
//!
//! JSON-RPC 2.0, one message a line, UTF-8. [`methods`] lists every method with the types of its
//! parameters and result. The daemon's dispatch, the client's calls, `rpc.discover` and the page
//! `nbapps-protocol(7)` are all generated from that table.
//!
//! This room imports no other. The supervisor uses its types, too, so that an application is described
//! once.

mod access_log;
mod api_call;
mod application;
mod changes;
mod condition;
mod database_access;
mod error;
mod event;
mod examination;
mod field;
mod host;
mod id;
mod inventory;
mod key;
mod labels;
mod limits;
pub mod lines;
mod listing;
mod message;
pub mod methods;
mod operation;
mod running_daemon;
mod socket_lock;
mod stats;
pub(crate) mod time;
mod user;
mod value;
mod wait;

pub use access_log::*;
pub use api_call::*;
pub use application::*;
pub use changes::*;
pub use condition::{Comparison, Condition, ConditionField, InvalidCondition};
pub use database_access::{DatabaseAccess, ServerAccess};
pub use error::{ErrorData, ErrorKind, RpcError};
pub use event::*;
pub use examination::*;
pub use field::{ApplicationField, InvalidField, SortBy, SortValue, sort_applications};
pub use host::*;
pub(crate) use host::{DAEMON_LOG_FILE, LOG_DIRECTORY};
pub use id::{AppId, InvalidAppId};
pub use inventory::*;
pub use key::*;
pub use labels::{
    InvalidLabel, LabelChanges, Labels, MAX_LABEL_LENGTH, MAX_LABELS, check_label, check_label_key,
    check_labels,
};
pub use limits::{InvalidLimit, Limit, LimitChanges, LimitValues, Limits};
pub use listing::*;
pub use message::{Incoming, Message, Notification, Outcome, Request, RequestId, Response};
pub use operation::*;
pub use running_daemon::RunningDaemon;
pub use socket_lock::SocketLock;
pub use stats::*;
pub use user::*;
pub(crate) use value::Shown;
pub use wait::{Gone, Wait, WaitForState, Waited};

/// The version of this protocol. `host.hello` refuses a client of another version.
pub const PROTOCOL_VERSION: u32 = 1;

/// The current time to the millisecond, which is what messages and the registry keep.
pub(crate) fn now() -> chrono::DateTime<chrono::Utc> {
    use chrono::SubsecRound as _;
    chrono::Utc::now().trunc_subsecs(3)
}
