//! The control socket from inside: who may connect, reading requests, calling the supervisor,
//! streaming what follows.
//!
//! [`ControlSocket::bind`] takes the socket (`listener.rs`); [`ControlSocket::serve`] accepts and
//! gives each connection a task (`connection.rs`) that reads lines and answers each through
//! [`Host`] (`dispatch.rs`), which knows every method, with its parameters in their type
//! (`parameters.rs`) and the way back to the client (`link.rs`). What goes on after an answer, events and
//! followed logs, is in `streams.rs`.

mod connection;
mod dispatch;
mod groups;
mod link;
mod listener;
mod parameters;
mod peer;
mod streams;

pub use dispatch::{Host, HostFacts};
pub use groups::{UnknownGroup, group_id};
pub use listener::{BindError, ControlSocket};
pub use peer::Peer;
