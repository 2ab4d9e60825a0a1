//! Creates an application, as a saga.
//!
//! 1. Check the request, and reserve the ID, the domains and the directory.
//! 2. Insert the row, with what will be created: state `preparing`.
//! 3. Create the directory, its mark and the database: `initializing`.
//! 4. Create the system tables and the root user, in one transaction.
//! 5. Update the row: state `initialized`, and no longer `unfinished`. From here on the application exists.
//!
//! A step that fails rolls back those before it. The next start rolls back what a crash interrupted
//! ([`Supervisor::recover_creation`]), since no client was told that the application exists. It does so only if
//! both tables agree: the state in one, `unfinished` in the other.

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

use super::entry::Entry;
use super::error_context::ErrorContext;
use super::failpoint::crash_point;
use super::operations::OperationOutcome;
use super::registry::{Damage, Provision, Registration, options_problems};
use super::requested_database::{self, RequestedDatabase};
use super::root_account::RootAccount;
use super::secrets::{DATABASE_PASSWORD, JWT_SECRET, new_jwt_secret};
use super::state_machine::CurrentState;
use super::{Stage, Stages, Supervisor, host_name, preflight};

/// What a request over HTTP has beside the parameters of the control socket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras {
    /// NocoBase's options, stored as they were given.
    pub(crate) options: Map<String, Value>,
    pub(crate) icon: Option<String>,
    pub(crate) pinned: Option<bool>,
}

/// A checked creation.
struct CreationPlan {
    id: AppId,
    requested: RequestedDatabase,
    table_prefix: String,
    registration: Registration,
    account: RootAccount,
    jwt_secret: Option<Vec<u8>>,
    start: bool,
}

impl Supervisor {
    /// Creates an application.
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
            return self.already_exists(&entry, if_not_exists);
        }
        let mut plan = self.plan(create, extras)?;
        plan.requested =
            self.preflight_database(&plan.id, plan.requested, &plan.table_prefix).boxed().await?;
        if dry_run {
            return self.describe_plan(&plan).await;
        }
        let id = plan.id.clone();
        let (registered, is_registered) = oneshot::channel();
        let supervisor = self.clone();
        let work = async move { Box::pin(supervisor.create_saga(plan, &stages, registered)).await };
        match self.operations.run("app.create", &id, wait, work).await {
            Ok((operation, OperationOutcome::Done((entry, admin)))) => Ok(Created {
                application: self.describe(&entry),
                created: true,
                admin: Some(admin),
                operation: Some(operation),
                plan: Vec::new(),
            }),
            Ok((operation, OperationOutcome::Detached)) => match is_registered.await {
                Ok((entry, admin)) => Ok(Created {
                    application: self.describe(&entry),
                    created: true,
                    admin: Some(admin),
                    operation: Some(operation),
                    plan: Vec::new(),
                }),
                // The operation ended before it had registered the application.
                Err(_) => Err(self.operations.wait(&operation, wait).await?.error.unwrap_or_else(|| {
                    RpcError::new(ErrorKind::Internal, format!("creating \"{id}\" failed inside the daemon"))
                })),
            },
            // Another command with this ID was faster.
            Err(error) if error.kind() == ErrorKind::AppExists && if_not_exists => {
                self.entry(&id).and_then(|entry| self.already_exists(&entry, true))
            }
            Err(error) => Err(error),
        }
    }

    fn already_exists(&self, entry: &Entry, if_not_exists: bool) -> Result<Created, RpcError> {
        if !if_not_exists {
            return Err(exists_already(&entry.id));
        }
        let application = self.describe(entry);
        Ok(Created { application, created: false, admin: None, operation: None, plan: Vec::new() })
    }

    fn plan(&self, create: CreateApplication, extras: Extras) -> Result<CreationPlan, RpcError> {
        let id = create.id.unwrap_or_else(AppId::random);
        check_environment(create.environment.as_deref())?;
        let requested = requested_database::parse(&create.database, self.engine())?;
        let domains = host_name::normalize(&create.domains)?;
        self.check_domains(&id, &domains)?;
        if create.jwt_secret.as_ref().is_some_and(|secret| secret.len() < 32) {
            return Err(RpcError::new(ErrorKind::InvalidSetting, "the JWT secret is shorter than 32 bytes")
                .hint("make one with: openssl rand -base64 48"));
        }
        let account = RootAccount::complete(&create.admin, &self.options.root)?;
        let mut options = extras.options;
        options.insert("autoStart".into(), json!(create.start_mode == StartMode::WithMain));
        options.insert("dbConnType".into(), json!(requested.mode().nocobase_name()));
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
        Ok(CreationPlan {
            id,
            requested,
            table_prefix,
            registration,
            account,
            jwt_secret,
            start: create.start,
        })
    }

    async fn describe_plan(&self, plan: &CreationPlan) -> Result<Created, RpcError> {
        let mut registration = plan.registration.clone();
        registration.provision = Some(self.provision(plan).await?);
        let location = self.location(&registration);
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
        if plan.start {
            sentences.push("start it".to_owned());
        }
        let application =
            self.describe_registration(&registration, &location, CurrentState::now(State::NotFound));
        Ok(Created { application, created: false, admin: None, operation: None, plan: sentences })
    }

    async fn create_saga(
        self: Arc<Self>,
        plan: CreationPlan,
        stages: &Stages,
        registered: oneshot::Sender<(Arc<Entry>, CreatedRootUser)>,
    ) -> Result<(Arc<Entry>, CreatedRootUser), RpcError> {
        let total = if plan.start { 4 } else { 3 };
        let tell = |name, done, message: &str| {
            // Sending fails only without a listener.
            let _ = stages.send(Stage { name, done, total, message: message.to_owned() });
        };
        tell("register", 0, "registering");
        let (entry, _command) = self.register(&plan).await?;
        crash_point("create.registered");
        let _ = registered.send((entry.clone(), plan.account.shown()));
        tell("database", 1, "creating the database");
        let source = match self.create_storage(&entry, &plan, &tell).await {
            Ok(source) => source,
            Err(error) => return Err(self.roll_back(&entry, error).await),
        };
        if plan.start {
            tell("start", 3, "starting");
            self.start_locked(&entry, Some(source)).await.map_err(|error| {
                // The generated password is in no other response, so that the error must contain it.
                let shown = json!({"created": self.describe(&entry), "admin": plan.account.shown()});
                error.details(shown)
            })?;
        } else {
            source.database().close().await;
        }
        Ok((entry, plan.account.shown()))
    }

    /// Plans what will be created for it.
    async fn provision(&self, plan: &CreationPlan) -> Result<Provision, RpcError> {
        let provision = self.storage.plan(&plan.id, &plan.requested, &plan.table_prefix).await;
        let mut provision = provision.map_err(|error| error.while_doing("looking for a directory"))?;
        if let (Some(connection), RequestedDatabase::Connection { location, .. }) =
            (&mut provision.connection, &plan.requested)
        {
            let password = location.server_database().and_then(|at| at.server.password.as_deref());
            connection.password =
                password.map(|password| self.key.seal(&plan.id, DATABASE_PASSWORD, password.as_bytes()));
        }
        Ok(provision)
    }

    /// Reserves the ID, the domains and the directory, and inserts the row.
    async fn register(&self, plan: &CreationPlan) -> Result<(Arc<Entry>, OwnedMutexGuard<()>), RpcError> {
        let doing = || format!("registering \"{}\"", plan.id);
        let _reservations = self.reservations.lock().await;
        if self.find(plan.id.as_str()).is_some() {
            return Err(exists_already(&plan.id));
        }
        let domains = plan.registration.domains();
        self.check_domains(&plan.id, &domains)?;
        let mut registration = plan.registration.clone();
        registration.provision = Some(self.provision(plan).await?);
        registration.assign_domains();
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
        entry.transition(&self.events, State::Preparing, None);
        self.entries.pin().insert(plan.id.clone(), entry.clone());
        self.route_domains(&plan.id, &[], &domains);
        Ok((entry, command))
    }

    /// Creates the application's storage, with the system tables and the root user.
    async fn create_storage(
        &self,
        entry: &Entry,
        plan: &CreationPlan,
        tell: &impl Fn(&'static str, u64, &str),
    ) -> Result<DataSource, RpcError> {
        let doing = |what: &str| format!("{what} of \"{}\"", plan.id);
        let registration = entry.registration.load_full();
        let Some(provision) = &registration.provision else {
            return Err(RpcError::new(ErrorKind::Internal, format!("\"{}\" has no provision", plan.id)));
        };
        let database = self.storage.create(provision, &entry.location).await;
        let database = database.map_err(|error| error.while_doing(doing("creating the database")))?;
        let source = DataSource::new(database);
        if provision.connection.is_some()
            && let Err(error) = self.claim_database(entry, &registration, &source).await
        {
            source.database().close().await;
            return Err(error);
        }
        entry.transition(&self.events, State::Initializing, None);
        tell("tables", 2, "creating system tables and the root user");
        let install = Install { title: registration.name.clone(), root: plan.account.user.clone() };
        let initialized = async {
            let installed = app::install(&source, &install).await;
            installed.map_err(|error| error.while_doing(doing("creating the system tables")))?;
            crash_point("create.installed");
            self.complete(entry).await
        };
        if let Err(error) = initialized.await {
            source.database().close().await;
            return Err(error);
        }
        crash_point("create.completed");
        entry.transition(&self.events, State::Initialized, None);
        Ok(source)
    }

    /// Checks that a given database is still unused, and takes possession of it.
    async fn claim_database(
        &self,
        entry: &Entry,
        registration: &Registration,
        source: &DataSource,
    ) -> Result<(), RpcError> {
        preflight::check_unused(source.database(), &entry.id).await?;
        let claimed = self.record_claim(registration).await?;
        entry.registration.store(Arc::new(claimed));
        crash_point("create.claimed");
        if let Some(provision) = &registration.provision {
            let settled = Database::clear_owner(&entry.location, &provision.key).await;
            settled
                .map_err(|error| error.while_doing(format!("creating the database of \"{}\"", entry.id)))?;
        }
        Ok(())
    }

    /// Registers the creation as complete.
    async fn complete(&self, entry: &Entry) -> Result<(), RpcError> {
        let mut registration = (*entry.registration.load_full()).clone();
        registration.status = State::Initialized;
        if let Some(provision) = &mut registration.provision {
            provision.unfinished = false;
        }
        let written = self.registry.complete(&registration).await;
        written.map_err(|error| error.while_doing(format!("registering \"{}\" as complete", entry.id)))?;
        entry.registration.store(Arc::new(registration));
        Ok(())
    }

    /// Rolls back a failed creation. Returns the error for the client.
    async fn roll_back(&self, entry: &Entry, error: RpcError) -> RpcError {
        match self.undo_creation(&entry.registration.load()).await {
            Ok(()) => {
                self.entries.pin().remove(&entry.id);
                self.route_domains(&entry.id, &entry.registration.load().domains(), &[]);
                entry.transition(&self.events, State::NotFound, None);
                self.remove_log(&entry.id).await;
                error
            }
            Err(left) => {
                let reason = format!("{error}; rolling it back failed, too: {left}");
                entry.transition(&self.events, State::Error, Some(reason.clone()));
                RpcError::new(error.kind(), reason).hint(format!(
                    "the next start of the daemon tries the roll-back again, as does: nbapps delete {0} --purge; this \
                     removes its entry alone and keeps the data: nbapps delete {0} --purge --keep-data",
                    entry.id
                ))
            }
        }
    }

    async fn undo_creation(&self, registration: &Registration) -> Result<(), RpcError> {
        let doing = format!("rolling back the creation of \"{}\"", registration.id);
        if let Some(provision) = &registration.provision {
            let shared = self.shared_storage(registration, (Some(&registration.id), None)).await?;
            let removed = self.storage.remove(provision, &self.location(registration), &shared).await;
            removed.map_err(|error| error.while_doing(&doing))?;
        }
        crash_point("recover.removed");
        self.registry.remove(registration).await.map_err(|error| error.while_doing(&doing))
    }

    /// Rolls back a creation that a crash interrupted, at a start of the daemon.
    pub(crate) async fn recover_creation(&self, registration: Registration) {
        let id = registration.id.clone();
        match self.undo_creation(&registration).await {
            Ok(()) => {
                tracing::warn!(%id, "rolled back a creation that was interrupted");
                self.remove_log(&id).await;
            }
            Err(error) => {
                tracing::error!(%id, %error, "a creation that was interrupted cannot be rolled back");
                let location = self.location(&registration);
                let entry = self.new_entry(registration, location, State::Preparing);
                entry.transition(&self.events, State::Error, Some(error.message));
                self.entries.pin().insert(id, entry);
            }
        }
    }
}

fn exists_already(id: &AppId) -> RpcError {
    let error = RpcError::new(ErrorKind::AppExists, format!("there is an application \"{id}\" already"));
    if id.is_main() {
        return error.hint("\"main\" is the main application, which always exists; choose another ID");
    }
    error.hint(format!("choose another ID, or see what it is: nbapps show {id}; --if-not-exists accepts it"))
}

/// Fails if options given over HTTP have an entry of a wrong type.
pub(crate) fn check_options(options: &Map<String, Value>) -> Result<(), RpcError> {
    match options_problems(options).into_iter().next() {
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
        .hint("leave --environment out, or use local")),
    }
}
