//! The integration tests: the real daemon over the real socket, one binary so that it links once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what went wrong by failing")]
#![allow(clippy::duplicate_mod, reason = "what applications do is tried on every engine")]
#![allow(unreachable_pub, reason = "everything here is for this binary alone")]

mod autostart;
mod browser;
#[path = "browser.rs"]
mod browser_on_mariadb;
#[path = "browser.rs"]
mod browser_on_postgres;
mod cli;
mod completion;
mod conformance;
#[path = "conformance.rs"]
mod conformance_on_mariadb;
#[path = "conformance.rs"]
mod conformance_on_postgres;
mod connections;
mod control;
mod daemon;
mod damage;
#[path = "damage.rs"]
mod damage_on_mariadb;
#[path = "damage.rs"]
mod damage_on_postgres;
mod descriptors;
mod dial;
mod environment;
mod examples;
mod faults;
mod file_sizes;
mod first_start;
#[path = "first_start.rs"]
mod first_start_on_mariadb;
#[path = "first_start.rs"]
mod first_start_on_postgres;
mod gateway;
#[path = "gateway.rs"]
mod gateway_on_mariadb;
#[path = "gateway.rs"]
mod gateway_on_postgres;
mod leftovers;
mod lifecycle;
#[path = "lifecycle.rs"]
mod lifecycle_on_mariadb;
#[path = "lifecycle.rs"]
mod lifecycle_on_postgres;
mod limits;
#[path = "limits.rs"]
mod limits_on_mariadb;
#[path = "limits.rs"]
mod limits_on_postgres;
mod pages;
#[path = "pages.rs"]
mod pages_on_mariadb;
#[path = "pages.rs"]
mod pages_on_postgres;
mod places;
mod poolers;
mod properties;
#[path = "properties.rs"]
mod properties_on_mariadb;
#[path = "properties.rs"]
mod properties_on_postgres;
mod replaced_files;
mod sagas;
#[path = "sagas.rs"]
mod sagas_on_mariadb;
#[path = "sagas.rs"]
mod sagas_on_postgres;
mod schemas;
mod sdk;
#[path = "sdk.rs"]
mod sdk_on_mariadb;
#[path = "sdk.rs"]
mod sdk_on_postgres;
mod secret_key;
#[path = "secret_key.rs"]
mod secret_key_on_mariadb;
#[path = "secret_key.rs"]
mod secret_key_on_postgres;
#[path = "../servers/mod.rs"]
mod servers;
mod sign_in;
#[path = "sign_in.rs"]
mod sign_in_on_mariadb;
#[path = "sign_in.rs"]
mod sign_in_on_postgres;
mod silent;
mod sql;
mod wire;
mod wrong_values;
#[path = "wrong_values.rs"]
mod wrong_values_on_mariadb;
#[path = "wrong_values.rs"]
mod wrong_values_on_postgres;
