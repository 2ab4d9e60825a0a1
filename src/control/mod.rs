//! The control socket from inside: who may connect, reading requests, calling the supervisor,
//! streaming what follows.
//!
//! [`ControlSocket::bind`] takes the socket (`listener.rs`); [`ControlSocket::serve`] accepts, as far
//! as there is room (`room.rs`), and gives each connection a task (`connection.rs`) that reads lines,
//! bounded in time and memory (`lines.rs`). `dispatch.rs` finds the handler of each request's method
//! and sends its result back to the client (`link.rs`); the handlers are [`RequestHandler`]'s
//! (`handlers/`).

mod call;
mod connection;
mod dispatch;
mod groups;
mod handlers;
mod lines;
mod link;
mod listener;
mod peer;
mod room;

pub use groups::group_id;
pub use handlers::{HostFacts, RequestHandler};
pub use listener::ControlSocket;
