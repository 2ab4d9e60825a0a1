//! What the checks of the host know of the daemon, and the checks while no daemon runs (`nbappsd --doctor`).

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser as _;

use super::arguments::Arguments;
use super::configuration::Configuration;
use super::descriptors::Shares;
use super::error::ConfigurationError;
use super::loading::Loaded;
use super::say;
use super::sources::Environment;
use crate::control::group_id;
use crate::doctor::{self, Problem, Setup};
use crate::protocol::{Finding, FindingStatus};

/// The name of the check that the configuration passes before all others.
const CONFIGURATION: &str = "configuration";

/// What the checks need to know. `listen` is the address that the gateway listens on.
pub(super) fn setup(configuration: &Configuration, shares: &Shares, listen: SocketAddr) -> Setup {
    let group = configuration.socket_group.as_deref().and_then(|group| group_id(group).ok());
    Setup {
        data_directory: configuration.data_directory.clone(),
        socket: configuration.socket.clone(),
        socket_group: group.map(rustix::fs::Gid::as_raw),
        configuration_file: configuration.file.clone(),
        has_password: configuration.has_password_in_file,
        listen,
        public_url: configuration.public_url.clone(),
        main_location: configuration.main_location.clone(),
        table_prefix: configuration.table_prefix.clone(),
        database_connections: configuration.server_limits.connections,
        descriptors: shares.described(),
    }
}

/// Reads the configuration again, as the next start of this daemon does, and returns what is wrong with it.
pub(super) fn read_again() -> Vec<Problem> {
    let Ok(arguments) = Arguments::try_parse() else { return Vec::new() };
    match Configuration::load(&arguments, &Environment::of_process()) {
        Ok(loaded) => loaded.configuration.warnings.iter().map(|warning| likely_mistake(warning)).collect(),
        Err(errors) => errors.iter().map(problem).collect(),
    }
}

fn problem(error: &ConfigurationError) -> Problem {
    Problem { sentence: error.to_string(), hint: error.hint().to_owned(), is_error: true }
}

fn likely_mistake(warning: &str) -> Problem {
    let hint = "correct the name, or unset the variable".to_owned();
    Problem { sentence: warning.to_owned(), hint, is_error: false }
}

/// Checks what keeps the daemon from starting, and prints the findings as JSON.
pub(super) fn at_rest(loaded: Result<Loaded, Vec<ConfigurationError>>) -> ExitCode {
    let findings = match loaded {
        Ok(loaded) => match examine(&loaded.configuration) {
            Ok(findings) => findings,
            Err(error) => {
                say(&format!("error: the checks cannot run: {error}\n"));
                return ExitCode::FAILURE;
            }
        },
        Err(errors) => errors.iter().map(|error| invalid(&problem(error))).collect(),
    };
    let text = serde_json::to_string_pretty(&findings).unwrap_or_default() + "\n";
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: the output cannot be written: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn examine(configuration: &Configuration) -> std::io::Result<Vec<Finding>> {
    let shares = Shares::raise(configuration.gateway.max_connections);
    crate::database::set_limits(configuration.server_limits);
    let setup = setup(configuration, &shares, configuration.gateway.listen);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut findings = vec![valid(configuration)];
    findings.extend(configuration.warnings.iter().map(|warning| invalid(&likely_mistake(warning))));
    findings.extend(runtime.block_on(doctor::examine_at_rest(setup)));
    // A name that does not resolve must not delay the end.
    runtime.shutdown_background();
    Ok(findings)
}

fn valid(configuration: &Configuration) -> Finding {
    let sentence = match &configuration.file {
        Some(file) => format!("the configuration {} is valid", file.display()),
        None => "the configuration is valid: there is no file".to_owned(),
    };
    Finding::of_host(CONFIGURATION, FindingStatus::Ok, sentence)
}

fn invalid(problem: &Problem) -> Finding {
    let status = if problem.is_error { FindingStatus::Failed } else { FindingStatus::Warning };
    Finding::of_host(CONFIGURATION, status, &*problem.sentence).hint(&*problem.hint)
}
