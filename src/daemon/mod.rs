//! The composition root: it reads the configuration, takes what must be the daemon's alone
//! (directory, port, socket), builds the rooms below and hands them to each other, and ends them in
//! the reverse order.

pub mod arguments;
mod configuration;
mod descriptors;
mod directory;
mod error;
mod limits;
mod logging;
mod readiness;
mod settings;
mod startup;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
pub use configuration::Configuration;
use error::StartupError;

/// Runs the daemon to its end; the program `nbappsd`.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}\n");
            if let Some(hint) = error.hint {
                text.push_str(&format!("hint: {hint}\n"));
            }
            // Nobody left to tell when stderr is closed.
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), StartupError> {
    let configuration = Configuration::load(arguments, |name| std::env::var(name).ok())
        .map_err(|error| StartupError::new(&error, error.hint()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        StartupError::new(
            format!("the threads cannot be started: {error}"),
            "raise the limit of processes (ulimit -u)",
        )
    })?;
    runtime.block_on(startup::run(configuration))
}
