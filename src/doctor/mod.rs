//! Checks what breaks in practice, and says what to do about it.
//!
//! [`Doctor::examine`] checks a running host, or one of its applications; [`examine_at_rest`] what keeps a daemon from
//! starting. All checks run at the same time, each within a time limit (`verdict.rs`). A check first observes and then
//! judges: what judges is a pure function from the observation to [`Verdict`](verdict::Verdict)s, with the tests beside
//! it. No check changes anything, and none takes more than a connection from the applications.
//!
//! | file | checks |
//! |---|---|
//! | `machine.rs` | disk, logs, file descriptors, clock |
//! | `files.rs` | permissions of the key, the socket, the configuration and database files |
//! | `host.rs` | configuration, the daemon's program, its port and the public URL |
//! | `domains.rs` | domains, and the proxy in front, by requests to itself (`http_probe.rs`) |
//! | `databases.rs`, `database_verdicts.rs` | servers, rights, encodings, versions, integrity |
//! | `applications.rs` | states, start modes, operations that failed |

mod applications;
mod database_observation;
mod database_verdicts;
mod databases;
mod domains;
mod files;
mod host;
mod http_probe;
mod machine;
mod verdict;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::database::Location;
use crate::gateway::GatewayWatch;
use crate::protocol::{AppId, DatabaseMode, Examination, Examine, Finding, Operation, RpcError, State};
use crate::supervisor::{Inspected, Supervisor};

use applications::{failed_lately, judge_failed, judge_start_mode, judge_state};
use database_observation::{DatabaseQuestion, Needs};
use databases::Servers;
use verdict::{Check, Subject, check};

pub use host::Problem;
pub use machine::Descriptors;

/// The least and the most time for all checks together.
const MIN_TIME: Duration = Duration::from_secs(1);
const MAX_TIME: Duration = Duration::from_secs(24 * 3600);

/// The time for the checks while no daemon runs.
const TIME_AT_REST: Duration = Duration::from_secs(20);

/// What the checks need to know of the daemon and its configuration.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The data directory.
    pub data_directory: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// The number of the group that may use it.
    pub socket_group: Option<u32>,
    /// The configuration file, if there is one.
    pub configuration_file: Option<PathBuf>,
    /// Whether the file holds a password.
    pub has_password: bool,
    /// The address that the gateway listens on.
    pub listen: SocketAddr,
    /// The URL of the gateway from outside, if one is configured.
    pub public_url: Option<String>,
    /// The location of the main application's database.
    pub main_location: Location,
    /// The prefix of its tables.
    pub table_prefix: String,
    /// The configured number of connections to one database server.
    pub database_connections: Option<u32>,
    /// The file descriptors of the process.
    pub descriptors: Descriptors,
}

/// Checks a running host.
#[derive(Debug)]
pub struct Doctor {
    setup: Arc<Setup>,
    supervisor: Arc<Supervisor>,
    watch: Arc<GatewayWatch>,
    started_at: DateTime<Utc>,
    /// Reads the configuration again and returns what is wrong with it.
    read_again: fn() -> Vec<Problem>,
}

/// What the checks of one examination share.
struct Shared {
    servers: Servers,
    domains: Semaphore,
    integrity: Semaphore,
    operations: Vec<Operation>,
    needs: Needs,
    thorough: bool,
}

impl Doctor {
    /// Checks the host of these applications. `read_again` reads the configuration again and returns what is wrong
    /// with it.
    #[must_use]
    pub fn new(
        setup: Setup,
        supervisor: Arc<Supervisor>,
        watch: Arc<GatewayWatch>,
        started_at: DateTime<Utc>,
        read_again: fn() -> Vec<Problem>,
    ) -> Self {
        Self { setup: Arc::new(setup), supervisor, watch, started_at, read_again }
    }

    /// Runs the checks of the whole host, or of one application.
    ///
    /// # Errors
    /// `app_not_found` if there is no such application.
    pub async fn examine(&self, examine: Examine) -> Result<Examination, RpcError> {
        if let Some(id) = &examine.id {
            self.supervisor.require(id)?;
        }
        let time = Duration::from_millis(examine.timeout_ms).clamp(MIN_TIME, MAX_TIME);
        let deadline = Instant::now() + time;
        let inspected = self.supervisor.inspect();
        let shared = Shared {
            servers: Servers::default(),
            domains: Semaphore::new(domains::MAX_AT_ONCE),
            integrity: Semaphore::new(1),
            operations: self.supervisor.operations().list(),
            needs: needs(&inspected),
            thorough: examine.thorough,
        };
        let mut checks = Vec::new();
        if examine.id.is_none() {
            checks.extend(self.of_host(&shared));
        }
        checks.extend(of_operations(&shared.operations, &inspected, examine.id.as_ref()));
        for inspected in &inspected {
            if examine.id.as_ref().is_none_or(|id| *id == inspected.application.id) {
                checks.extend(self.of_application(inspected, &shared));
            }
        }
        let findings = verdict::run(checks, deadline).await;
        Ok(Examination { version: env!("CARGO_PKG_VERSION").to_owned(), findings })
    }

    fn of_host<'a>(&'a self, shared: &'a Shared) -> Vec<Check<'a>> {
        let mut checks = host::of_machine(&self.setup, true);
        let (setup, started_at, read_again) = (Arc::clone(&self.setup), self.started_at, self.read_again);
        checks.push(Check::blocking(Subject::Host, check::CONFIGURATION, "the configuration", move || {
            host::judge_configuration(&read_again(), setup.configuration_file.as_deref(), Some(started_at))
        }));
        checks.push(Check::blocking(Subject::Host, check::VERSION, "the program", host::judge_program));
        checks.extend(host::of_gateway(&self.setup, &self.watch, &shared.domains));
        checks
    }

    fn of_application<'a>(&'a self, inspected: &'a Inspected, shared: &'a Shared) -> Vec<Check<'a>> {
        let application = &inspected.application;
        let subject = Subject::Application(application.id.clone());
        let state = async {
            let start_mode = judge_start_mode(application);
            std::iter::once(judge_state(application, &shared.operations)).chain(start_mode).collect()
        };
        let mut checks = vec![Check::new(subject.clone(), check::STATE, "its state", state)];
        for domain in &application.domains {
            let question = host::domain_question(&self.setup, domain, application.id.as_str());
            let what = format!("the domain {domain}");
            checks.push(Check::new(subject.clone(), check::DOMAIN, what, async move {
                let observed = domains::observe(&question, &self.watch, &shared.domains).await;
                domains::judge(&question, &observed)
            }));
        }
        let question = self.database_question(inspected, shared.needs);
        let what = format!("the database {}", question.location);
        let looking = databases::examine(question, &shared.servers);
        checks.push(Check::with_subjects(subject.clone(), check::DATABASE, what, looking));
        if shared.thorough && matches!(inspected.location, Location::Sqlite(_)) {
            let what = format!("every page of {}", inspected.location);
            let reading = databases::examine_integrity(inspected.location.clone(), &shared.integrity);
            checks.push(Check::new(subject, check::INTEGRITY, what, reading));
        }
        checks
    }

    fn database_question(&self, inspected: &Inspected, needs: Needs) -> DatabaseQuestion {
        let id = inspected.application.id.clone();
        DatabaseQuestion {
            needs: if id.is_main() { needs } else { Needs::default() },
            id,
            location: inspected.location.clone(),
            table_prefix: inspected.table_prefix.clone(),
            configured_connections: self.setup.database_connections,
            data_directory: self.setup.data_directory.clone(),
            may_be_missing: false,
        }
    }
}

/// The checks of operations that failed lately: those of an application that is gone are about the host.
fn of_operations<'a>(
    operations: &'a [Operation],
    inspected: &'a [Inspected],
    id: Option<&AppId>,
) -> Vec<Check<'a>> {
    let known = |app: &AppId| inspected.iter().any(|inspected| inspected.application.id == *app);
    let broken = inspected.iter().map(|inspected| &inspected.application);
    let in_error: Vec<&AppId> = broken
        .filter(|application| application.state == State::Error)
        .map(|application| &application.id)
        .collect();
    let failed = failed_lately(operations, Utc::now(), &in_error).into_iter();
    let wanted = failed.filter(|operation| id.is_none_or(|id| *id == operation.app));
    let checks = wanted.map(|operation| {
        let subject = match known(&operation.app) {
            true => Subject::Application(operation.app.clone()),
            false => Subject::Host,
        };
        Check::new(subject, check::OPERATIONS, "", std::future::ready(vec![judge_failed(operation)]))
    });
    checks.collect()
}

/// What the host needs to create for further applications like those that it has.
fn needs(inspected: &[Inspected]) -> Needs {
    let others = || inspected.iter().filter(|inspected| !inspected.application.id.is_main());
    let has = |mode| others().any(|inspected| inspected.application.database.mode == mode);
    Needs {
        databases: has(DatabaseMode::Database) || !has(DatabaseMode::Schema),
        schemas: has(DatabaseMode::Schema),
    }
}

/// Checks what keeps a daemon from starting, while none runs that answers.
pub async fn examine_at_rest(setup: Setup) -> Vec<Finding> {
    let servers = Servers::default();
    let has_begun = host::has_begun(&setup.data_directory);
    let setup = Arc::new(setup);
    let mut checks = host::of_machine(&setup, false);
    checks.push(host::of_listening(&setup));
    let main = Subject::Application(AppId::main());
    match &setup.main_location {
        Location::Sqlite(path) => {
            let (path, setup) = (path.clone(), Arc::clone(&setup));
            checks.push(Check::blocking(
                main,
                check::DATABASE,
                "the main application's database",
                move || host::judge_closed_database(&path, &setup.data_directory, has_begun),
            ));
        }
        location @ (Location::Postgres(_) | Location::Mysql(_)) => {
            let question = DatabaseQuestion {
                id: AppId::main(),
                location: location.clone(),
                table_prefix: setup.table_prefix.clone(),
                needs: Needs { databases: true, schemas: false },
                configured_connections: setup.database_connections,
                data_directory: setup.data_directory.clone(),
                may_be_missing: !has_begun,
            };
            let what = format!("the database {location}");
            checks.push(Check::with_subjects(
                main,
                check::DATABASE,
                what,
                databases::examine(question, &servers),
            ));
        }
    }
    verdict::run(checks, Instant::now() + TIME_AT_REST).await
}
