//! The integration tests: the real daemon over its real socket. One binary, so that it is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what went wrong by failing")]
#![allow(unreachable_pub, reason = "everything here is for this binary alone")]

mod access_log;
mod api_command;
mod apply;
mod autostart;
mod browser;
mod cli;
mod command_errors;
mod completion;
mod configuration;
mod conformance;
mod connections;
mod contexts;
mod control;
mod creations;
mod daemon;
mod damage;
mod database_shell;
mod descriptors;
mod dial;
mod doctor;
mod doctor_databases;
mod doctor_domains;
mod environment;
mod examples;
mod far;
mod far_completion;
mod faults;
mod file_sizes;
mod finding;
mod first_start;
mod gateway;
mod keys;
mod leftovers;
mod lifecycle;
mod limits;
mod logs;
mod metrics;
mod output;
mod pages;
mod places;
mod poolers;
mod properties;
mod replaced_files;
mod sagas;
mod schemas;
mod sdk;
mod secret_key;
#[path = "../servers/mod.rs"]
mod servers;
mod shell;
mod sign_in;
mod silent;
mod sql;
mod ssh_server;
mod statistics;
mod terminal;
mod top;
mod users;
mod waits;
mod which_daemon;
mod wire;
mod wrong_values;
