//! The control socket from inside: who may connect, reading requests, calling the supervisor,
//! streaming what follows.
//!
//! [`ControlSocket::bind`] takes the socket (`listener.rs`); [`ControlSocket::serve`] accepts, as far
//! as there is room (`room.rs`), and gives each connection a task (`connection.rs`) that reads lines,
//! bounded in time and memory (`lines.rs`), and answers each through
//! [`Host`] (`dispatch.rs`), which knows every method, with its parameters in their type
//! (`parameters.rs`) and the way back to the client (`link.rs`). What goes on after an answer, events and
//! followed logs, is in `streams.rs`.

mod connection;
mod dispatch;
mod groups;
mod lines;
mod link;
mod listener;
mod parameters;
mod peer;
mod room;
mod streams;

pub use dispatch::{Host, HostFacts};
pub use groups::{UnknownGroup, group_id};
pub use listener::{BindError, ControlSocket};
pub use peer::Peer;
