//! The integration tests: the real daemon over the real socket, one binary so that it links once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what went wrong by failing")]
#![allow(unreachable_pub, reason = "everything here is for this binary alone")]

mod autostart;
mod browser;
mod cli;
mod completion;
mod conformance;
mod control;
mod daemon;
mod environment;
mod examples;
mod gateway;
mod lifecycle;
mod pages;
mod sagas;
mod sign_in;
