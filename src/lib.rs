//! nbapps: one host daemon, many independent data applications.
//!
//! The rooms, and what happens in each. Imports run downward only; [`protocol`] is the vocabulary
//! that the rooms around the control socket share, and imports nothing.
//!
//! | room | what happens there | may import |
//! |---|---|---|
//! | `bin/` | `main`: parse, call `cli` or `daemon`, turn the result into an exit code | cli, daemon |
//! | `cli` | the operator's side: commands, their help, what they print | client, protocol |
//! | `daemon` | the composition root: configuration, start-up order, signals, logging | all below |
//! | [`client`] | the socket from outside, as a library | protocol |
//! | `control` | the socket from inside: accept, dispatch, stream | supervisor, protocol |
//! | `gateway` | HTTP in front of all applications | supervisor, pages, app, protocol |
//! | `pages` | what a browser sees | app |
//! | `supervisor` | applications as a whole: registry, states, making and dropping | app, data, database, protocol |
//! | `app` | one application while it runs: API, sign-in, roles, collections, settings | data |
//! | `data` | the data model: collections, fields, associations, filters, records | database |
//! | `database` | the database engines behind one type | - |
//! | [`protocol`] | requests, answers, events and errors of the control socket | - |
//!
//! # The way of a command
//!
//! `nbapps create --id crm --start`: `bin/nbapps.rs` hands the arguments to `cli::main`, which
//! parses them in `cli/commands/create.rs` and builds a [`protocol::CreateApplication`].
//! [`client::Client`] connects (starting a daemon where none answers) and sends it as one line.
//! In the daemon, `control/connection.rs` reads the line, `control/dispatch.rs` finds the handler
//! of the method, and that calls `supervisor::Supervisor::create`. That checks everything, writes the row of the
//! registry (`supervisor/registry.rs`), has `supervisor/provision.rs` make the database through
//! `database::Database` and `app::install` the system tables and the root user, moves the
//! state along (`supervisor/lifecycle.rs`), and starts it. Each stage goes back as a `progress`
//! line; the answer is rendered by `cli/output/`.
//!
//! # The way of a request
//!
//! `GET /api/__app/crm/posts:list`: `gateway/listener.rs` accepts, `gateway/selector.rs` reads
//! which application is meant, `supervisor::Supervisor::visit` gives it (starting it on the
//! first visit), and `app::App::api` finds the action (`app/router.rs`, `app/resources/`), checks the
//! token (`app/auth/`) and what its roles open (`app/acl/`), and reads what is asked for
//! (`app/api/records/`). `data` makes a statement of it (`data/filter/`, `data/records/`), keeping
//! to what the roles open, and runs it on `database`; the answer goes back through the gateway's
//! layers.

// What a room offers to other rooms is `pub`, what it keeps to itself is not; that `pub` goes no
// further than the crate is said here.
#![allow(unreachable_pub)]

mod app;
mod cli;
pub mod client;
mod control;
mod daemon;
mod data;
mod database;
mod gateway;
mod pages;
pub mod protocol;
mod supervisor;

pub use cli::main as cli_main;
pub use daemon::main as daemon_main;

/// What this project's own tests and benchmarks need to look into the databases of a daemon. It changes without
/// notice; programs use [`client`] and [`protocol`].
#[doc(hidden)]
pub mod internals {
    pub use crate::database::{Database, DatabaseError, Engine, Location, Value};
    pub use crate::supervisor::SecretKey;
}

#[cfg(test)]
#[path = "../tests/servers/mod.rs"]
mod test_servers;
