//! The composition root of the daemon: reads the configuration, takes the resources that one daemon has for
//! itself (directory, port, socket), starts the rooms below, and stops them in the reverse order.

pub mod arguments;
mod checkup;
mod configuration;
mod descriptors;
mod directory;
mod error;
#[cfg(test)]
pub mod handbook;
mod keys;
mod loading;
mod logging;
mod nocobase;
mod readiness;
mod report;
mod settings;
mod sources;
mod startup;
mod values;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
pub use configuration::Configuration;
use error::StartupError;
use loading::Loaded;
use sources::Environment;

use crate::client::paths;

/// Runs the program `nbappsd`, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let loaded = Configuration::load(&arguments, &Environment::of_process());
    if arguments.doctor {
        return checkup::at_rest(loaded);
    }
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => {
            let hint = errors.first().map_or_else(String::new, |error| format!("hint: {}\n", error.hint()));
            let text: String = errors.iter().map(|error| format!("error: {error}\n")).collect();
            say(&(text + &hint));
            if !arguments.inspects() {
                let data_directory = arguments.data_dir.clone().unwrap_or_else(paths::data_directory);
                for error in &errors {
                    logging::record_failure(&data_directory, &StartupError::new(error, error.hint()));
                }
            }
            return ExitCode::FAILURE;
        }
    };
    if arguments.inspects() {
        return inspect(&arguments, &loaded);
    }
    match run(loaded.configuration) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = error.hint.as_deref().map_or_else(String::new, |hint| format!("hint: {hint}\n"));
            say(&format!("error: {error}\n{hint}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard error. When that is closed, nobody can be told.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Prints the configuration, or that it is valid, with what is likely to be a mistake.
fn inspect(arguments: &Arguments, loaded: &Loaded) -> ExitCode {
    for warning in &loaded.configuration.warnings {
        say(&format!("warning: {warning}\n"));
    }
    let text = match arguments.show_config {
        Some(format) => report::text(loaded, format),
        None => match &loaded.configuration.file {
            Some(file) => format!("the configuration is valid: {}\n", file.display()),
            None => "the configuration is valid: there is no file\n".to_owned(),
        },
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: the output cannot be written: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the daemon. A failure is in the daemon's own log when this returns.
fn run(configuration: Configuration) -> Result<(), StartupError> {
    let data_directory = configuration.data_directory.clone();
    run_with(configuration).inspect_err(|error| logging::record_failure(&data_directory, error))
}

fn run_with(configuration: Configuration) -> Result<(), StartupError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        StartupError::new(
            format!("cannot start the runtime: {error}"),
            "raise the limit of processes (ulimit -u)",
        )
    })?;
    runtime.block_on(startup::run(configuration))
}
