//! The control socket, served: who may connect, reading requests, handling them, streaming
//! notifications.
//!
//! [`ControlSocket::bind`] takes the socket (`listener.rs`). [`ControlSocket::serve`] accepts connections,
//! at most as many as `connection_limit.rs` allows, and spawns a task for each (`connection.rs`), which
//! reads lines bounded in time and memory (`line_reader.rs`). `dispatch.rs` finds the handler of each
//! request's method and sends its result to the client (`client_handle.rs`); the handlers are
//! [`RequestHandler`]'s (`handlers/`). `metrics_listener.rs` serves the metrics to Prometheus, on an address of its
//! own.

mod call;
mod client_handle;
mod connection;
mod connection_limit;
mod dispatch;
mod groups;
mod handlers;
mod line_reader;
mod listener;
mod metrics_listener;
mod peer;

pub use groups::group_id;
pub use handlers::{HostFacts, RequestHandler};
pub use listener::ControlSocket;
pub use metrics_listener::{MAX_METRICS_CONNECTIONS, MetricsListener};
