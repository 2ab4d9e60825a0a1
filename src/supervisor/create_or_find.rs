//! `app.create`, from the call to its answer: makes the application, or finds it where that is allowed.
//!
//! Everything that takes time is part of the operation, the look at a database of another service too, so that the
//! caller's timeout holds from the first moment. The first user's generated password is in the answer, and kept
//! until somebody has seen it (`first_passwords.rs`).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::protocol::{AppId, Application, CreateApplication, Created, ErrorKind, RpcError, State, Wait};

use super::creation::{CreationPlan, Extras, Found, Reporter, exists_already};
use super::entry::Entry;
use super::error_context::ErrorContext;
use super::first_passwords::ShownPassword;
use super::operations::{OperationOutcome, Operations};
use super::requested_database::RequestedDatabase;
use super::state_machine::CurrentState;
use super::{Stages, Supervisor};

/// How long a creation that is not waited for may take to be registered before it is answered.
const REGISTRATION_TIMEOUT: Duration = Duration::from_millis(500);

/// The answer to a creation.
#[derive(Debug)]
pub struct CreationAnswer {
    /// The application, or why there is none.
    pub result: Result<Created, RpcError>,
    /// The first user's generated password, where `result` shows it.
    pub password: Option<ShownPassword>,
}

/// A creation as an operation: what it takes to make the application, or to find it.
struct Work {
    operation: String,
    caller: Option<u32>,
    id: AppId,
    create: CreateApplication,
    extras: Extras,
    /// Made before the operation, unless the application existed then.
    plan: Option<Arc<CreationPlan>>,
    stages: Stages,
    /// Told as soon as the application is registered or found.
    registered: Option<oneshot::Sender<Found>>,
}

impl Supervisor {
    /// Creates an application, or finds it where that is allowed. `caller` is the user ID of the client, who may
    /// see the generated password later when this answer is not delivered.
    pub async fn create(
        self: &Arc<Self>,
        create: CreateApplication,
        caller: Option<u32>,
        stages: Stages,
    ) -> CreationAnswer {
        let operation = Operations::new_id();
        let result = self.create_as(operation.clone(), caller, create, Extras::default(), stages).await;
        self.with_password(&operation, result)
    }

    /// Creates an application over HTTP.
    pub(crate) async fn create_with(
        self: &Arc<Self>,
        create: CreateApplication,
        extras: Extras,
        stages: Stages,
    ) -> Result<Created, RpcError> {
        let operation = Operations::new_id();
        let result = self.create_as(operation.clone(), None, create, extras, stages).await;
        let CreationAnswer { result, password } = self.with_password(&operation, result);
        if let Some(password) = password {
            password.delivered();
        }
        result
    }

    /// Adds the first user's password to the answer, where the application was created.
    fn with_password(&self, operation: &str, mut result: Result<Created, RpcError>) -> CreationAnswer {
        let shows = match &result {
            Ok(created) => created.created,
            Err(error) => is_of_start(error),
        };
        let password = shows.then(|| self.first_passwords.show(operation)).flatten();
        if password.is_none() {
            self.first_passwords.release(operation);
        }
        if let Some(admin) = password.as_ref().map(ShownPassword::admin) {
            match &mut result {
                Ok(created) => created.admin = Some(admin.clone()),
                Err(error) => {
                    if let Some(Value::Object(details)) = &mut error.data.details {
                        details.insert("admin".to_owned(), json!(admin));
                    }
                }
            }
        }
        CreationAnswer { result, password }
    }

    async fn create_as(
        self: &Arc<Self>,
        operation: String,
        caller: Option<u32>,
        create: CreateApplication,
        extras: Extras,
        stages: Stages,
    ) -> Result<Created, RpcError> {
        let id = create.id.clone().unwrap_or_else(AppId::random);
        let (wait, dry_run, start) = (create.wait, create.dry_run, create.start);
        let mut plan = None;
        match self.find(id.as_str()) {
            Some(_) if !create.if_not_exists => return Err(exists_already(&id)),
            Some(entry) if dry_run => return Ok(self.describe_existing(&entry, start)),
            Some(entry) if is_at_rest(&entry) && (!start || entry.state() == State::Running) => {
                return Ok(self.created(&Found::existing(entry, false), None));
            }
            Some(_) => {}
            None => plan = Some(Arc::new(self.plan(id.clone(), create.clone(), extras.clone())?)),
        }
        if let (true, Some(plan)) = (dry_run, &plan) {
            let described = Box::pin(self.describe_plan(plan, start));
            let described = tokio::time::timeout(Duration::from_millis(wait.timeout_ms), described).await;
            return described.unwrap_or_else(|_| Err(unchecked(&id, wait)));
        }
        if let Some(plan) = &plan {
            self.first_passwords.keep(&operation, caller, plan.account.shown());
            self.first_passwords.reserve(&operation);
        }
        let (registered, is_registered) = oneshot::channel();
        let work = Work {
            operation: operation.clone(),
            caller,
            id: id.clone(),
            create,
            extras,
            plan: plan.clone(),
            stages,
            registered: Some(registered),
        };
        let supervisor = self.clone();
        let work = async move { Box::pin(supervisor.create_or_find(work)).await };
        match self.operations.run_as(operation, "app.create", &id, wait, work).await? {
            (operation, OperationOutcome::Done(found)) => Ok(self.created(&found, Some(operation))),
            (operation, OperationOutcome::Detached) => {
                self.begun(operation, plan.as_deref(), is_registered).await
            }
        }
    }

    /// Answers a call that does not wait: with the application as soon as it is registered, or as it is planned
    /// where its database takes time to look at.
    async fn begun(
        &self,
        operation: String,
        plan: Option<&CreationPlan>,
        is_registered: oneshot::Receiver<Found>,
    ) -> Result<Created, RpcError> {
        match (tokio::time::timeout(REGISTRATION_TIMEOUT, is_registered).await, plan) {
            (Ok(Ok(found)), _) => Ok(self.created(&found, Some(operation))),
            (Err(_), Some(plan)) => {
                let (registration, location) = self.planned(plan).await?;
                let current = CurrentState::now(State::Preparing);
                Ok(Created {
                    application: self.describe_registration(&registration, &location, current),
                    created: true,
                    started: false,
                    admin: Some(plan.account.named()),
                    operation: Some(operation),
                    plan: Vec::new(),
                })
            }
            // It ended before it came so far.
            (Ok(Err(_)) | Err(_), _) => {
                let ended = self.operations.wait(&operation, Wait::default()).await?;
                Err(ended.error.unwrap_or_else(|| {
                    let sentence = format!("creating \"{}\" broke off inside the daemon", ended.app);
                    RpcError::new(ErrorKind::Internal, sentence)
                }))
            }
        }
    }

    fn created(&self, found: &Found, operation: Option<String>) -> Created {
        Created {
            application: self.describe(&found.entry),
            created: found.admin.is_some(),
            started: found.started,
            admin: found.admin.clone(),
            operation,
            plan: Vec::new(),
        }
    }

    /// Makes the application or finds it, and starts it if it is to run. Whoever creates, starts or stops it at
    /// the same time is waited for; where another creation fails, this one goes on.
    async fn create_or_find(self: Arc<Self>, mut work: Work) -> Result<Found, RpcError> {
        let found = loop {
            if let Some(entry) = self.find(work.id.as_str()) {
                match self.take_existing(entry, &mut work).await {
                    Some(found) => break found,
                    None => continue,
                }
            }
            match Box::pin(self.make(&mut work)).await {
                // Another one of this ID was registered meanwhile.
                Err(error) if error.kind() == ErrorKind::AppExists && work.create.if_not_exists => {}
                made => break made,
            }
        };
        let is_created = match &found {
            Ok(found) => found.admin.is_some(),
            Err(error) => is_of_start(error),
        };
        match is_created {
            true => self.first_passwords.end(&work.operation),
            false => self.first_passwords.forget(&work.operation),
        }
        found
    }

    /// Accepts an application that exists, and starts it if it is to run; `None` when it is gone meanwhile.
    async fn take_existing(
        self: &Arc<Self>,
        entry: Arc<Entry>,
        work: &mut Work,
    ) -> Option<Result<Found, RpcError>> {
        if !work.create.if_not_exists {
            return Some(Err(exists_already(&entry.id)));
        }
        if let Some(registered) = work.registered.take() {
            let _ = registered.send(Found::existing(entry.clone(), false));
        }
        let _command = entry.command.lock().await;
        if entry.state() == State::NotFound {
            return None;
        }
        let started = match work.create.start {
            true => self.start_by_operator(&entry).await,
            false => Ok(false),
        };
        Some(started.map(|started| Found::existing(entry.clone(), started)))
    }

    /// Makes the application, and starts it if it is to run.
    async fn make(self: &Arc<Self>, work: &mut Work) -> Result<Found, RpcError> {
        let plan = match &work.plan {
            Some(plan) => plan.clone(),
            None => {
                let plan = Arc::new(self.plan(work.id.clone(), work.create.clone(), work.extras.clone())?);
                self.first_passwords.keep(&work.operation, work.caller, plan.account.shown());
                work.plan.insert(plan).clone()
            }
        };
        let registered = work.registered.take();
        let is_elsewhere = matches!(plan.requested, RequestedDatabase::Connection { .. });
        let total = 3 + u64::from(is_elsewhere) + u64::from(work.create.start);
        let (stages, operation) = (&work.stages, work.operation.as_str());
        let reporter = Reporter { stages, operation, done: AtomicU64::new(0), total };
        if is_elsewhere {
            reporter.report("check", "looking at the database");
        }
        let requested =
            self.preflight_database(&plan.id, plan.requested.clone(), &plan.table_prefix).boxed().await?;
        let plan = CreationPlan { requested, ..(*plan).clone() };
        let admin = Some(plan.account.named());
        let (entry, _command, source) = self.create_saga(&plan, &reporter, registered).await?;
        if !work.create.start {
            source.database().close().await;
            return Ok(Found { entry, admin, started: false });
        }
        reporter.report("start", "starting");
        self.start_locked(&entry, Some(source)).await.map_err(|error| {
            let created = self.describe(&entry);
            error.details(json!({"created": created, "operation": work.operation}))
        })?;
        Ok(Found { entry, admin, started: true })
    }

    /// What a dry run of a creation answers.
    async fn describe_plan(&self, plan: &CreationPlan, start: bool) -> Result<Created, RpcError> {
        let requested =
            self.preflight_database(&plan.id, plan.requested.clone(), &plan.table_prefix).boxed().await?;
        let plan = &CreationPlan { requested, ..plan.clone() };
        let (registration, location) = self.planned(plan).await?;
        location.check_names().map_err(|error| error.while_doing("planning its database"))?;
        self.check_unshared(&plan.id, &location).await?;
        let doing = match &plan.requested {
            RequestedDatabase::Connection { create: false, .. } => "use",
            _ => "create",
        };
        let mode = plan.requested.mode().as_str();
        let mut sentences = vec![
            format!("{doing} {location} ({}, {mode} mode)", location.engine().as_str()),
            format!(
                "create system tables and the root user {} <{}>",
                plan.account.user.username, plan.account.user.email
            ),
            format!("register the application \"{}\" at {}", plan.id, self.url(&plan.id)),
        ];
        sentences
            .extend(registration.domains().iter().map(|domain| format!("answer for the domain {domain}")));
        if start {
            sentences.push("start it".to_owned());
        }
        let application =
            self.describe_registration(&registration, &location, CurrentState::now(State::NotFound));
        Ok(self.dry(application, sentences))
    }

    /// What a dry run answers about an application that exists.
    fn describe_existing(&self, entry: &Entry, start: bool) -> Created {
        let application = self.describe(entry);
        let mut sentences = vec![format!("leave the application \"{}\" as it is: it exists", entry.id)];
        if start && application.state != State::Running {
            sentences.push("start it".to_owned());
        }
        self.dry(application, sentences)
    }

    fn dry(&self, application: Application, plan: Vec<String>) -> Created {
        Created { application, created: false, started: false, admin: None, operation: None, plan }
    }
}

/// Whether no command holds it.
fn is_at_rest(entry: &Entry) -> bool {
    entry.command.try_lock().is_ok() && entry.state() != State::NotFound
}

/// Whether the application was created and then failed to start: only such an error says what was created.
fn is_of_start(error: &RpcError) -> bool {
    error.data.details.as_ref().is_some_and(|details| details.get("created").is_some())
}

/// A dry run ran out of time.
fn unchecked(id: &AppId, wait: Wait) -> RpcError {
    let seconds = wait.timeout_ms as f64 / 1000.0;
    let sentence = format!("what creating \"{id}\" would make could not be found out within {seconds} s");
    RpcError::new(ErrorKind::Timeout, sentence)
        .hint("check that the database's server answers, or give it longer: --timeout")
}
