//! The commands, one file each: the arguments with their help, and the function that runs the command.

pub(crate) mod api;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod daemon;
mod daemon_logs;
pub(crate) mod db;
pub(crate) mod delete;
mod dial;
pub(crate) mod events;
pub(crate) mod key;
mod lifecycle;
pub(crate) mod list;
mod log_lines;
pub(crate) mod logs;
pub(crate) mod operation;
pub(crate) mod rename;
pub(crate) mod restart;
pub(crate) mod show;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod undelete;
pub(crate) mod update;
pub(crate) mod user;
pub(crate) mod visit;
pub(crate) mod wait;
mod watch;
