//! Creating an application: a saga.
//!
//! 1. Everything that can be checked is checked; ID, domains and directory are reserved.
//! 2. The row is written, with what will be made: state `preparing`.
//! 3. Directory, mark and database are made: `initializing`.
//! 4. System tables and root user are made, in one transaction.
//! 5. The row becomes `initialized`, and the mark `unfinished` goes: from here on the application exists.
//!
//! What fails in between is taken back at once. What a crash leaves in between is taken back at
//! the next start ([`Supervisor::recover_creation`]): nobody was told that it exists. State and mark
//! must both say that it is unfinished: they are in two tables.

use std::sync::Arc;

use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::app::{self, Install};
use crate::data::DataSource;
use crate::database::Database;
use crate::protocol::{
    AppId, CreateApplication, Created, CreatedRootUser, ErrorKind, RpcError, StartMode, State, UpgradePolicy,
};

use super::boot::{DATABASE_PASSWORD, JWT_SECRET, new_jwt_secret};
use super::connection::{self, Wanted};
use super::damage::{self, Damage};
use super::domains;
use super::entry::Entry;
use super::failpoint::crash_point;
use super::failure::Failure;
use super::operations::Outcome;
use super::registry::Registration;
use super::root_account::RootAccount;
use super::state_machine::Standing;
use super::storage::Provision;
use super::{Stage, Stages, Supervisor, preflight};

/// What a creation over HTTP says beside what the socket knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras {
    /// NocoBase's options, kept as they were given.
    pub(crate) options: Map<String, Value>,
    pub(crate) icon: Option<String>,
    pub(crate) pinned: Option<bool>,
}

/// A creation that was checked.
struct Plan {
    id: AppId,
    wanted: Wanted,
    table_prefix: String,
    registration: Registration,
    account: RootAccount,
    jwt_secret: Option<Vec<u8>>,
    start: bool,
}

impl Supervisor {
    /// Creates one.
    pub async fn create(
        self: &Arc<Self>,
        create: CreateApplication,
        stages: Stages,
    ) -> Result<Created, RpcError> {
        self.create_with(create, Extras::default(), stages).await
    }

    pub(crate) async fn create_with(
        self: &Arc<Self>,
        create: CreateApplication,
        extras: Extras,
        stages: Stages,
    ) -> Result<Created, RpcError> {
        let (wait, dry_run, if_not_exists) = (create.wait, create.dry_run, create.if_not_exists);
        if let Some(entry) = create.id.as_ref().and_then(|id| self.find(id.as_str())) {
            return self.created_before(&entry, if_not_exists);
        }
        let mut plan = self.plan(create, extras)?;
        plan.wanted = self.survey(&plan.id, plan.wanted, &plan.table_prefix).boxed().await?;
        if dry_run {
            return self.describe_plan(&plan).await;
        }
        let id = plan.id.clone();
        let (registered, is_registered) = oneshot::channel();
        let supervisor = self.clone();
        let work = async move { Box::pin(supervisor.create_saga(plan, &stages, registered)).await };
        match self.operations.run("app.create", &id, wait, work).await {
            Ok((operation, Outcome::Done((entry, admin)))) => Ok(Created {
                application: self.describe(&entry),
                created: true,
                admin: Some(admin),
                operation: Some(operation),
                plan: Vec::new(),
            }),
            Ok((operation, Outcome::Detached)) => match is_registered.await {
                Ok((entry, admin)) => Ok(Created {
                    application: self.describe(&entry),
                    created: true,
                    admin: Some(admin),
                    operation: Some(operation),
                    plan: Vec::new(),
                }),
                // It ended before it came so far.
                Err(_) => Err(self.operations.wait(&operation, wait).await?.error.unwrap_or_else(|| {
                    RpcError::new(
                        ErrorKind::Internal,
                        format!("creating \"{id}\" broke off inside the daemon"),
                    )
                })),
            },
            // Two commands for one ID at once: the other was first.
            Err(error) if error.kind() == ErrorKind::AppExists && if_not_exists => {
                self.entry(&id).and_then(|entry| self.created_before(&entry, true))
            }
            Err(error) => Err(error),
        }
    }

    fn created_before(&self, entry: &Entry, if_not_exists: bool) -> Result<Created, RpcError> {
        if !if_not_exists {
            return Err(exists(&entry.id));
        }
        let application = self.describe(entry);
        Ok(Created { application, created: false, admin: None, operation: None, plan: Vec::new() })
    }

    fn plan(&self, create: CreateApplication, extras: Extras) -> Result<Plan, RpcError> {
        let id = create.id.unwrap_or_else(AppId::random);
        check_environment(create.environment.as_deref())?;
        let wanted = connection::wanted(&create.database, self.engine())?;
        let domains = domains::normalize(&create.domains)?;
        self.check_domains(&id, &domains)?;
        if create.jwt_secret.as_ref().is_some_and(|secret| secret.len() < 32) {
            return Err(RpcError::new(ErrorKind::InvalidSetting, "the JWT secret is shorter than 32 bytes")
                .hint("make one with: openssl rand -base64 48"));
        }
        let account = RootAccount::complete(&create.admin, &self.options.root)?;
        let mut options = extras.options;
        options.insert("autoStart".into(), json!(create.start_mode == StartMode::WithMain));
        options.insert("dbConnType".into(), json!(wanted.mode().nocobase_name()));
        if create.upgrade == UpgradePolicy::Manual {
            options.insert("autoUpgrade".into(), json!(false));
        }
        if let Some(seconds) = create.idle_stop_seconds {
            options.insert("idleStopSeconds".into(), json!(seconds));
        }
        let now = crate::protocol::now();
        let mut registration = Registration {
            name: create.name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| id.to_string()),
            id: id.clone(),
            cname: None,
            icon: extras.icon,
            pinned: extras.pinned,
            status: State::Preparing,
            options,
            sort: 0,
            created_at: now,
            updated_at: now,
            provision: None,
            jwt_secret: String::new(),
            damage: Damage::default(),
        };
        registration.set_domains(&domains);
        check_options(&registration.options)?;
        let limits = create.limits.into_iter().map(|(limit, value)| (limit, Some(value))).collect();
        registration.change_limits(&limits)?;
        let jwt_secret = create.jwt_secret.map(String::into_bytes);
        let table_prefix = create.database.table_prefix.unwrap_or_default();
        Ok(Plan { id, wanted, table_prefix, registration, account, jwt_secret, start: create.start })
    }

    async fn describe_plan(&self, plan: &Plan) -> Result<Created, RpcError> {
        let mut registration = plan.registration.clone();
        registration.provision = Some(self.provision(plan).await?);
        let location = self.location(&registration);
        location.check_names().map_err(|error| error.while_doing("planning its database"))?;
        self.check_unshared(&plan.id, &location).await?;
        let doing = match &plan.wanted {
            Wanted::Connection { create: false, .. } => "use",
            _ => "make",
        };
        let mode = plan.wanted.mode().as_str();
        let mut sentences = vec![
            format!("{doing} {location} ({}, {mode} mode)", location.engine().as_str()),
            format!(
                "make system tables and the root user {} <{}>",
                plan.account.user.username, plan.account.user.email
            ),
            format!("register the application \"{}\" at {}", plan.id, self.url(&plan.id)),
        ];
        sentences
            .extend(registration.domains().iter().map(|domain| format!("answer for the domain {domain}")));
        if plan.start {
            sentences.push("start it".to_owned());
        }
        let application =
            self.describe_registration(&registration, &location, Standing::now(State::NotFound));
        Ok(Created { application, created: false, admin: None, operation: None, plan: sentences })
    }

    async fn create_saga(
        self: Arc<Self>,
        plan: Plan,
        stages: &Stages,
        registered: oneshot::Sender<(Arc<Entry>, CreatedRootUser)>,
    ) -> Result<(Arc<Entry>, CreatedRootUser), RpcError> {
        let total = if plan.start { 4 } else { 3 };
        let tell = |name, done, message: &str| {
            // Nobody listening is no error.
            let _ = stages.send(Stage { name, done, total, message: message.to_owned() });
        };
        tell("register", 0, "registering");
        let (entry, _command) = self.register(&plan).await?;
        crash_point("create.registered");
        let _ = registered.send((entry.clone(), plan.account.shown()));
        tell("database", 1, "making the database");
        let source = match self.furnish(&entry, &plan, &tell).await {
            Ok(source) => source,
            Err(error) => return Err(self.take_back(&entry, error).await),
        };
        if plan.start {
            tell("start", 3, "starting");
            self.start_locked(&entry, Some(source)).await.map_err(|error| {
                // The password was generated for this answer: it must not be lost with it.
                let shown = json!({"created": self.describe(&entry), "admin": plan.account.shown()});
                error.details(shown)
            })?;
        } else {
            source.database().close().await;
        }
        Ok((entry, plan.account.shown()))
    }

    /// What will be made for it.
    async fn provision(&self, plan: &Plan) -> Result<Provision, RpcError> {
        let provision = self.premises.plan(&plan.id, &plan.wanted, &plan.table_prefix).await;
        let mut provision = provision.map_err(|error| error.while_doing("looking for a directory"))?;
        if let (Some(connection), Wanted::Connection { location, .. }) =
            (&mut provision.connection, &plan.wanted)
        {
            let password = location.server_database().and_then(|at| at.server.password.as_deref());
            connection.password =
                password.map(|password| self.key.seal(&plan.id, DATABASE_PASSWORD, password.as_bytes()));
        }
        Ok(provision)
    }

    /// Reserves ID, domains and directory, and writes the row.
    async fn register(&self, plan: &Plan) -> Result<(Arc<Entry>, OwnedMutexGuard<()>), RpcError> {
        let doing = || format!("registering \"{}\"", plan.id);
        let _reservations = self.reservations.lock().await;
        if self.find(plan.id.as_str()).is_some() {
            return Err(exists(&plan.id));
        }
        let domains = plan.registration.domains();
        self.check_domains(&plan.id, &domains)?;
        let mut registration = plan.registration.clone();
        registration.provision = Some(self.provision(plan).await?);
        registration.give_domains();
        let location = self.location(&registration);
        location.check_names().map_err(|error| error.while_doing(doing()))?;
        self.check_unshared(&plan.id, &location).await?;
        let sorts = self.all_entries().into_iter().map(|entry| entry.registration.load().sort);
        registration.sort = sorts.max().unwrap_or_default().saturating_add(1);
        let secret = plan.jwt_secret.clone().unwrap_or_else(|| new_jwt_secret().to_vec());
        registration.jwt_secret = self.key.seal(&plan.id, JWT_SECRET, &secret);
        self.registry.insert(&registration).await.map_err(|error| error.while_doing(doing()))?;
        let entry = self.new_entry(registration, location, State::NotFound);
        let command = entry.command.clone().lock_owned().await;
        entry.go(&self.events, State::Preparing, None);
        self.entries.pin().insert(plan.id.clone(), entry.clone());
        self.route_domains(&plan.id, &[], &domains);
        Ok((entry, command))
    }

    /// Makes what the application keeps its data in, and fills it.
    async fn furnish(
        &self,
        entry: &Entry,
        plan: &Plan,
        tell: &impl Fn(&'static str, u64, &str),
    ) -> Result<DataSource, RpcError> {
        let doing = |what: &str| format!("{what} of \"{}\"", plan.id);
        let registration = entry.registration.load_full();
        let Some(provision) = &registration.provision else {
            return Err(RpcError::new(ErrorKind::Internal, format!("\"{}\" has no provision", plan.id)));
        };
        let database = self.premises.make(provision, &entry.location).await;
        let database = database.map_err(|error| error.while_doing(doing("making the database")))?;
        let source = DataSource::new(database);
        if provision.connection.is_some()
            && let Err(error) = self.occupy(entry, &registration, &source).await
        {
            source.database().close().await;
            return Err(error);
        }
        entry.go(&self.events, State::Initializing, None);
        tell("tables", 2, "making system tables and the root user");
        let install = Install { title: registration.name.clone(), root: plan.account.user.clone() };
        let filled = async {
            let installed = app::install(&source, &install).await;
            installed.map_err(|error| error.while_doing(doing("making the system tables")))?;
            crash_point("create.installed");
            self.complete(entry).await
        };
        if let Err(error) = filled.await {
            source.database().close().await;
            return Err(error);
        }
        crash_point("create.completed");
        entry.go(&self.events, State::Initialized, None);
        Ok(source)
    }

    /// Makes sure that a database of another service is still unused, and takes it.
    async fn occupy(
        &self,
        entry: &Entry,
        registration: &Registration,
        source: &DataSource,
    ) -> Result<(), RpcError> {
        preflight::check_unused(source.database(), &entry.id).await?;
        let claimed = self.claim(registration).await?;
        entry.registration.store(Arc::new(claimed));
        crash_point("create.claimed");
        if let Some(provision) = &registration.provision {
            let settled = Database::clear_owner(&entry.location, &provision.key).await;
            settled.map_err(|error| error.while_doing(format!("making the database of \"{}\"", entry.id)))?;
        }
        Ok(())
    }

    /// Registers that the creation has come to its end.
    async fn complete(&self, entry: &Entry) -> Result<(), RpcError> {
        let mut registration = (*entry.registration.load_full()).clone();
        registration.status = State::Initialized;
        if let Some(provision) = &mut registration.provision {
            provision.unfinished = false;
        }
        let written = self.registry.complete(&registration).await;
        written.map_err(|error| error.while_doing(format!("registering \"{}\" as whole", entry.id)))?;
        entry.registration.store(Arc::new(registration));
        Ok(())
    }

    /// Removes what a failed creation made; gives the error to answer with.
    async fn take_back(&self, entry: &Entry, error: RpcError) -> RpcError {
        match self.undo_creation(&entry.registration.load()).await {
            Ok(()) => {
                self.entries.pin().remove(&entry.id);
                self.route_domains(&entry.id, &entry.registration.load().domains(), &[]);
                entry.go(&self.events, State::NotFound, None);
                self.end_log(&entry.id).await;
                error
            }
            Err(left) => {
                let reason = format!("{error}; taking it back failed too: {left}");
                entry.go(&self.events, State::Error, Some(reason.clone()));
                RpcError::new(error.kind(), reason).hint(format!(
                    "the next start of the daemon tries to take it back again, as does: nbapps delete {0} \
                     --purge; what cannot be removed is forgotten by: nbapps delete {0} --purge --keep-data",
                    entry.id
                ))
            }
        }
    }

    async fn undo_creation(&self, registration: &Registration) -> Result<(), RpcError> {
        let doing = format!("taking back the creation of \"{}\"", registration.id);
        if let Some(provision) = &registration.provision {
            let shared = self.shared(registration, (Some(&registration.id), None)).await?;
            let removed = self.premises.remove(provision, &self.location(registration), &shared).await;
            removed.map_err(|error| error.while_doing(&doing))?;
        }
        crash_point("recover.removed");
        self.registry.remove(registration).await.map_err(|error| error.while_doing(&doing))
    }

    /// At a start: takes back a creation that a crash cut short.
    pub(crate) async fn recover_creation(&self, registration: Registration) {
        let id = registration.id.clone();
        match self.undo_creation(&registration).await {
            Ok(()) => {
                tracing::warn!(%id, "took back a creation that was cut short");
                self.end_log(&id).await;
            }
            Err(error) => {
                tracing::error!(%id, %error, "a creation that was cut short cannot be taken back");
                let location = self.location(&registration);
                let entry = self.new_entry(registration, location, State::Preparing);
                entry.go(&self.events, State::Error, Some(error.message));
                self.entries.pin().insert(id, entry);
            }
        }
    }
}

fn exists(id: &AppId) -> RpcError {
    let error = RpcError::new(ErrorKind::AppExists, format!("there is an application \"{id}\" already"));
    if id.is_main() {
        return error.hint("\"main\" is the main application, which always exists; choose another ID");
    }
    error.hint(format!("choose another ID, or see what it is: nbapps show {id}; --if-not-exists accepts it"))
}

/// Whether options given over HTTP are what they will be read as.
pub(crate) fn check_options(options: &Map<String, Value>) -> Result<(), RpcError> {
    match damage::options_problems(options).into_iter().next() {
        Some(problem) => Err(RpcError::new(ErrorKind::InvalidSetting, problem)),
        None => Ok(()),
    }
}

fn check_environment(environment: Option<&str>) -> Result<(), RpcError> {
    match environment {
        None | Some("local") => Ok(()),
        Some(other) => Err(RpcError::new(
            ErrorKind::InvalidSetting,
            format!("there is no environment \"{other}\": this host runs applications in its own process"),
        )
        .hint("leave --environment out, or say local")),
    }
}
