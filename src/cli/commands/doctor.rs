//! `nbapps doctor`: checks what breaks in practice, and says what to do about it.
//!
//! A running daemon checks itself (`host.doctor`). Where none answers, this command says why, and has `nbappsd --doctor`
//! check what keeps one from starting.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use tokio::process::Command;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::{Format, doctor};
use crate::cli::{complete, values};
use crate::client::autostart::find_daemon;
use crate::client::discovery::{Reason, Target};
use crate::client::{Address, Client, ClientError};
use crate::protocol::methods::HostDoctor;
use crate::protocol::{AppId, ErrorKind, Examination, Examine, Finding, FindingStatus, SocketLock};

/// How long a daemon of this machine may take to answer the greeting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much longer than the daemon this command waits.
const GRACE: Duration = Duration::from_secs(3);

/// How long `nbappsd --doctor` may take.
const AT_REST_TIMEOUT: Duration = Duration::from_secs(30);

/// The names of the checks that this command makes itself.
const DAEMON: &str = "daemon";
const VERSION: &str = "version";

/// Check what breaks in practice, and say what to do about it
///
/// Checks the host and every application: domains, the port, the proxy and its headers, databases with the rights,
/// versions and clocks of their servers, disks, file descriptors, the permissions of the key, the socket and database
/// files, applications in error, operations that failed lately, and versions that lag behind. Where no daemon answers,
/// it checks what keeps one from starting.
///
/// Nothing is changed, and no daemon is started. Exits with 1 if a check failed; warnings alone are no failure.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps doctor
  nbapps doctor crm --verbose
  nbapps doctor --thorough --timeout 10m
  nbapps doctor -o json | jq '.[] | select(.status == \"failed\")'")]
pub(crate) struct Doctor {
    /// Check only this application, with its database and its domains
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: Option<AppId>,

    /// Show passed and skipped checks, too, not only problems
    #[arg(short, long)]
    verbose: bool,

    /// Read every page of SQLite files, to find damage
    #[arg(long)]
    thorough: bool,

    /// Skip what was not checked after this time
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Doctor {
    /// Runs the checks and prints what they found.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let target = context.target()?;
        let findings = match self.examine(&target).await {
            Ok(findings) => findings,
            Err(error) if is_of_the_command(&error) => return Err(error.into()),
            Err(error) => without_daemon(&target, &error).await,
        };
        let console = &context.console;
        let is_shown = |finding: &&Finding| self.verbose || finding.status.is_problem();
        match console.format {
            Format::Name => {
                let shown: Vec<&Finding> = findings.iter().filter(is_shown).collect();
                console.list(&shown, |finding| finding.check.as_str(), String::new)?;
            }
            _ => console.list(
                &findings,
                |finding| finding.check.as_str(),
                || doctor::report(&findings, self.verbose, console),
            )?,
        }
        match findings.iter().any(|finding| finding.status == FindingStatus::Failed) {
            true => Err(CliError::Reported(Exit::Failed)),
            false => Ok(()),
        }
    }

    /// Has the daemon check itself.
    async fn examine(&self, target: &Target) -> Result<Vec<Finding>, ClientError> {
        let client = match &target.address {
            local @ Address::Socket(_) => Client::connect_within(local, CONNECT_TIMEOUT).await?,
            // `ssh` may ask for a password.
            remote @ Address::Ssh(_) => Client::connect(remote).await?,
        };
        let server = client.welcome().server.clone();
        let timeout_ms = values::milliseconds(self.timeout);
        let request = Examine { id: self.id.clone(), thorough: self.thorough, timeout_ms };
        let asked = client.call::<HostDoctor>(request);
        match tokio::time::timeout(self.timeout.saturating_add(GRACE), asked).await {
            Ok(Ok(examination)) => Ok(of_running(target, &server, examination)),
            // Of another version, which has no such method or describes findings in another way.
            Ok(Err(ClientError::Unexpected { .. })) => Ok(vec![other_version(&server)]),
            Ok(Err(error)) if error.kind() == Some(ErrorKind::MethodNotFound) => {
                Ok(vec![other_version(&server)])
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let waited = self.timeout.as_secs();
                let message =
                    format!("the daemon at {} did not end the checks within {waited} s", target.address);
                let finding = Finding::of_host(DAEMON, FindingStatus::Failed, message);
                Ok(vec![finding.hint("see whether its process is overloaded: nbapps daemon status")])
            }
        }
    }
}

/// Whether an error is about the command itself: then nothing was checked, and it is reported as by other commands.
fn is_of_the_command(error: &ClientError) -> bool {
    use ErrorKind::{AppNotFound, InvalidId, InvalidParams};
    matches!(error.kind(), Some(AppNotFound | InvalidId | InvalidParams))
        || matches!(error, ClientError::Discovery(_))
}

/// What a running daemon found, and that it runs and is of this program's version.
fn of_running(target: &Target, server: &str, examination: Examination) -> Vec<Finding> {
    let answers = format!("{server} answers at {}: {}", target.address, target.because());
    let mut findings = vec![Finding::of_host(DAEMON, FindingStatus::Ok, answers)];
    findings.extend(of_versions(env!("CARGO_PKG_VERSION"), &examination.version));
    findings.extend(examination.findings);
    findings
}

/// Compares the versions of this program and of the daemon; `None` if they are the same.
fn of_versions(own: &str, daemon: &str) -> Option<Finding> {
    let parse = |version: &str| semver::Version::parse(version).ok();
    let hint = match parse(own)?.cmp_precedence(&parse(daemon)?) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => {
            "restart the daemon after an upgrade: nbapps daemon stop, and then: nbapps daemon start"
        }
        std::cmp::Ordering::Less => "upgrade nbapps here to the daemon's version",
    };
    let message = format!("nbapps is of version {own}, and the daemon of version {daemon}");
    Some(Finding::of_host(VERSION, FindingStatus::Warning, message).hint(hint))
}

fn other_version(server: &str) -> Finding {
    let message = format!(
        "the daemon ({server}) cannot check itself for nbapps {}: it is of another version",
        env!("CARGO_PKG_VERSION")
    );
    Finding::of_host(VERSION, FindingStatus::Failed, message)
        .hint("use nbapps and nbappsd of the same version, and restart the daemon after an upgrade")
}

/// Why no daemon answers, and what keeps one from starting.
async fn without_daemon(target: &Target, error: &ClientError) -> Vec<Finding> {
    let mut findings = vec![unreachable(target, error)];
    if let Reason::NoneRunning { denied: Some(socket) } = &target.reason {
        let message =
            format!("the system's daemon at {} is open to its group, and not to this user", socket.display());
        let finding = Finding::of_host(DAEMON, FindingStatus::Warning, message);
        findings.push(
            finding.hint("have the system's administrator add this user to the group that owns the socket"),
        );
    }
    let Address::Socket(socket) = &target.address else { return findings };
    if error.is_absent() || matches!(error, ClientError::Silent { .. }) {
        let is_named = matches!(target.reason, Reason::Option(_) | Reason::Variable(_) | Reason::Context);
        match at_rest(is_named.then(|| socket.clone())).await {
            Ok(found) => findings.extend(found),
            Err(finding) => findings.push(*finding),
        }
    }
    findings
}

/// The finding that no daemon answers.
fn unreachable(target: &Target, error: &ClientError) -> Finding {
    let failed = |message: String| Finding::of_host(DAEMON, FindingStatus::Failed, message);
    if let (Address::Socket(socket), Reason::DataDirectory(directory)) = (&target.address, &target.reason)
        && error.is_absent()
    {
        let process = SocketLock::read(socket).map(|lock| lock.process);
        let known = process.map_or_else(String::new, |process| format!(" (process {process})"));
        let end =
            process.map_or_else(|| "end its process".to_owned(), |process| format!("kill -TERM {process}"));
        return failed(format!(
            "a daemon{known} runs on {}, and its control socket {} is gone",
            directory.display(),
            socket.display()
        ))
        .hint(format!("{end}, and start it again with: nbapps daemon start"));
    }
    let remote = match &target.address {
        Address::Ssh(host) if error.is_absent() => {
            Some(format!("; it is checked there with: {} nbapps doctor", host.command_line()))
        }
        Address::Ssh(_) | Address::Socket(_) => None,
    };
    let finding = failed(error.to_string());
    match (error.hint(), remote) {
        (Some(hint), remote) => finding.hint(hint + &remote.unwrap_or_default()),
        (None, _) => finding,
    }
}

/// What `nbappsd --doctor` finds, with the control socket that was named.
async fn at_rest(socket: Option<PathBuf>) -> Result<Vec<Finding>, Box<Finding>> {
    let failed = |message: String, hint: Option<String>| {
        let finding = Finding::of_host(DAEMON, FindingStatus::Failed, message);
        Box::new(Finding { hint, ..finding })
    };
    let program = find_daemon().map_err(|error| failed(error.to_string(), error.hint()))?;
    let mut command = Command::new(&program);
    command.arg("--doctor").stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(socket) = socket {
        command.arg("--socket").arg(socket);
    }
    let shown = program.display();
    let ended = match tokio::time::timeout(AT_REST_TIMEOUT, command.output()).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return Err(failed(format!("cannot run {shown}: {error}"), None)),
        Err(_) => {
            let message = format!("{shown} --doctor did not end within {} s", AT_REST_TIMEOUT.as_secs());
            return Err(failed(message, None));
        }
    };
    serde_json::from_slice(&ended.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&ended.stderr);
        let said = said.lines().next().unwrap_or("it printed nothing");
        let hint = "use nbapps and nbappsd of the same version".to_owned();
        failed(format!("{shown} --doctor failed: {said}"), Some(hint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_differ_say_which_side_to_upgrade() {
        assert_eq!(of_versions("0.2.0", "0.2.0"), None);
        assert_eq!(of_versions("0.2.0", "a"), None);
        let hint = |own, daemon| of_versions(own, daemon).and_then(|finding| finding.hint).unwrap();
        assert!(hint("0.10.0", "0.9.1").contains("restart the daemon"));
        assert!(hint("0.9.1", "0.10.0").contains("upgrade nbapps"));
    }

    #[test]
    fn a_socket_that_is_gone_is_told_from_a_daemon_that_is_gone() {
        let absent = ClientError::Unreachable {
            address: "/s".to_owned(),
            why: "there is no socket".to_owned(),
            cause: std::io::ErrorKind::NotFound,
        };
        let target = |reason| Target::new(Address::Socket("/nowhere/s".into()), reason);
        let gone = unreachable(&target(Reason::DataDirectory("/d".into())), &absent);
        assert!(gone.message.contains("runs on /d, and its control socket /nowhere/s is gone"), "{gone:?}");
        let none = unreachable(&target(Reason::NoneRunning { denied: None }), &absent);
        assert!(none.message.contains("there is no socket"), "{none:?}");
        assert_eq!(none.hint.as_deref(), Some("start a daemon with: nbapps daemon start"));
        let remote = Target::new("ssh://server".parse().unwrap(), Reason::Option("--host"));
        let remote = unreachable(&remote, &absent);
        assert!(remote.hint.unwrap().ends_with("ssh server nbapps doctor"));
    }
}
