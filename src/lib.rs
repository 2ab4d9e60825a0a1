//! nbapps: one host daemon, many independent data applications.
//!
//! # The rooms
//!
//! Each module at the top level is a room. Imports run downward only. Two rooms are public, for programs that
//! manage a daemon: [`client`] and [`protocol`]. The two programs of this package call [`cli_main`] and
//! [`daemon_main`].
//!
//! | room | its job | may import |
//! |---|---|---|
//! | `bin/` | `main` of the two programs | cli, daemon |
//! | `cli` | the command `nbapps`: its subcommands, their help, their output | client, protocol |
//! | `daemon` | the composition root: configuration, startup, shutdown, logging | all below |
//! | `control` | the control socket: accepts connections, dispatches requests, streams notifications; metrics for Prometheus | doctor, supervisor, protocol |
//! | `doctor` | checks of what breaks in practice | client, gateway, supervisor, app, data, database, protocol |
//! | [`client`] | a client of the control socket | protocol |
//! | `gateway` | the HTTP server in front of all applications | supervisor, pages, app, protocol |
//! | `pages` | the HTML pages of an application | app |
//! | `supervisor` | applications as a whole: registry, states, creation and deletion | app, data, database, protocol |
//! | `app` | a running application: API, sign-in, roles, collections, settings | data |
//! | `data` | the data model: collections, fields, associations, filters, records | database |
//! | `database` | the database engines behind one type | - |
//! | [`protocol`] | the messages of the control socket | - |
//!
//! # The path of a command
//!
//! `nbapps create crm --start`: `bin/nbapps.rs` calls [`cli_main`], which parses the command line in
//! `cli/commands/create.rs` and builds a [`protocol::CreateApplication`]. [`client::Client`] connects
//! (starting a daemon when none answers) and sends it as one line. In the daemon, `control/connection.rs`
//! reads the line and `control/dispatch.rs` finds the handler of the method (`control/handlers/`), which
//! calls `Supervisor::create`. That validates everything, writes the row of the registry
//! (`supervisor/registry/`), has `supervisor/storage.rs` create the database through
//! `database::Database` and `app::install` the system tables and the root user, changes the state
//! (`supervisor/state_machine.rs`), and starts the application. Each stage goes to the client as `progress`;
//! `cli/output/` prints the result.
//!
//! # The path of a request
//!
//! `GET /api/__app/crm/posts:list`: `gateway/listener.rs` accepts the connection, `gateway/router.rs` finds
//! the application that the request names, `Supervisor::visit` lends it (and starts it on the first visit),
//! and `App::api` finds the action (`app/router.rs`, `app/resources/`), checks the token (`app/auth/`) and
//! the permissions of its roles (`app/acl/`), and reads the records (`app/api/records/`). `data` builds a
//! statement (`data/filter/`, `data/records/`) that is limited to what the roles allow, and runs it on
//! `database`; the response goes back through the gateway's layers.

// Inside the rooms, `pub` marks what a room offers to others. The rooms themselves are private, so that the
// compiler finds what nothing uses.
#![allow(unreachable_pub)]

mod app;
mod cli;
pub mod client;
mod control;
mod daemon;
mod data;
mod database;
mod doctor;
mod failpoint;
mod gateway;
mod pages;
pub mod protocol;
#[cfg(test)]
mod rooms;
mod supervisor;

pub use cli::main as cli_main;
pub use daemon::main as daemon_main;

/// The databases, for this project's tests and benchmarks, which look at what a daemon has stored. Not part of
/// the public interface: other programs use [`client`] and [`protocol`].
#[doc(hidden)]
pub mod internals {
    pub use crate::database::{Database, DatabaseError, Engine, Location, Value};
    pub use crate::supervisor::SecretKey;
}

#[cfg(test)]
#[path = "../tests/servers/mod.rs"]
mod test_servers;
