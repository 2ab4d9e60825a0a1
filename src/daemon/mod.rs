//! The composition root of the daemon: reads the configuration, takes the resources that one daemon has for
//! itself (directory, port, socket), starts the rooms below, and stops them in the reverse order.

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

/// Runs the program `nbappsd`, and returns its exit code.
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
            // When standard error is closed, nobody can be told.
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
            format!("cannot start the runtime: {error}"),
            "raise the limit of processes (ulimit -u)",
        )
    })?;
    runtime.block_on(startup::run(configuration))
}
