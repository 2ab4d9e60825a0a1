//! The integration tests: the real daemon over the real socket, one binary so that it links once.

mod conformance;
mod control;
mod daemon;
mod environment;
mod lifecycle;
mod sagas;
