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
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};
use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::app::{self, Install};
use crate::data::DataSource;
use crate::database::{Database, Location};
use crate::failpoint::crash_point;
use crate::protocol::{
    AccessLogSetting, AppId, CreateApplication, CreatedRootUser, ErrorKind, RpcError, StartMode, State,
    UpgradePolicy, check_inventory,
};

use super::entry::Entry;
use super::error_context::ErrorContext;
use super::registry::{Damage, Provision, Registration, options_problems};
use super::requested_database::{self, RequestedDatabase};
use super::root_account::RootAccount;
use super::secrets::{DATABASE_PASSWORD, JWT_SECRET, new_jwt_secret};
use super::{Stage, Stages, Supervisor, host_name, preflight, texts};

/// What a request over HTTP has beside the parameters of the control socket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras {
    /// NocoBase's options, stored as they were given.
    pub(crate) options: Map<String, Value>,
    pub(crate) icon: Option<String>,
    pub(crate) pinned: Option<bool>,
}

/// A checked creation.
#[derive(Clone)]
pub(super) struct CreationPlan {
    pub(super) id: AppId,
    pub(super) requested: RequestedDatabase,
    pub(super) table_prefix: String,
    pub(super) registration: Registration,
    pub(super) account: RootAccount,
    pub(super) jwt_secret: Option<Vec<u8>>,
}

/// An application that a creation made or found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) entry: Arc<Entry>,
    /// Its first user without the password, where this call creates it.
    pub(super) admin: Option<CreatedRootUser>,
    pub(super) started: bool,
}

impl Found {
    pub(super) fn existing(entry: Arc<Entry>, started: bool) -> Self {
        Self { entry, admin: None, started }
    }
}

/// Reports the stages of a creation, each with its number.
pub(super) struct Reporter<'a> {
    pub(super) stages: &'a Stages,
    pub(super) operation: &'a str,
    pub(super) done: AtomicU64,
    pub(super) total: u64,
}

impl Reporter<'_> {
    pub(super) fn report(&self, name: &'static str, message: &str) {
        let done = self.done.fetch_add(1, Ordering::Relaxed);
        let (message, operation) = (message.to_owned(), Some(self.operation.to_owned()));
        // Sending fails only without a listener.
        let _ = self.stages.send(Stage { name, done, total: self.total, message, operation });
    }
}

impl Supervisor {
    /// Checks a creation without looking at any database.
    pub(super) fn plan(
        &self,
        id: AppId,
        create: CreateApplication,
        extras: Extras,
    ) -> Result<CreationPlan, RpcError> {
        check_environment(create.environment.as_deref())?;
        let requested = requested_database::parse(&create.database, self.engine())?;
        let domains = host_name::normalize(&create.domains)?;
        self.check_domains(&id, &domains)?;
        for (what, text) in [("name", &create.name), ("icon", &extras.icon)] {
            texts::check(&format!("the application's {what}"), text.as_deref().unwrap_or_default())?;
        }
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
        if let Some(access_log) = create.access_log.and_then(AccessLogSetting::own) {
            options.insert("accessLog".into(), json!(access_log));
        }
        if let Some(inventory) = &create.inventory {
            options.insert("inventory".into(), json!(checked_inventory(inventory)?));
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
        let labels = create.labels.into_iter().map(|(key, value)| (key, Some(value))).collect();
        registration.change_labels(&labels)?;
        let jwt_secret = create.jwt_secret.map(String::into_bytes);
        let table_prefix = create.database.table_prefix.unwrap_or_default();
        Ok(CreationPlan { id, requested, table_prefix, registration, account, jwt_secret })
    }

    /// The registration that a plan leads to, and where its database will be.
    pub(super) async fn planned(&self, plan: &CreationPlan) -> Result<(Registration, Location), RpcError> {
        let mut registration = plan.registration.clone();
        registration.provision = Some(self.provision(plan).await?);
        let location = self.location(&registration);
        Ok((registration, location))
    }

    /// Creates an application. Returns it with its command, which is held, and its data source, which is open.
    pub(super) async fn create_saga(
        self: &Arc<Self>,
        plan: &CreationPlan,
        reporter: &Reporter<'_>,
        registered: Option<oneshot::Sender<Found>>,
    ) -> Result<(Arc<Entry>, OwnedMutexGuard<()>, DataSource), RpcError> {
        reporter.report("register", "registering");
        let (entry, command) = self.register(plan).await?;
        crash_point("create.registered");
        if let Some(registered) = registered {
            let admin = Some(plan.account.named());
            // A caller that waits for the end is not told.
            let _ = registered.send(Found { entry: entry.clone(), admin, started: false });
        }
        reporter.report("database", "creating the database");
        match self.create_storage(&entry, plan, reporter).await {
            Ok(source) => Ok((entry, command, source)),
            Err(error) => Err(self.roll_back(&entry, error).await),
        }
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
        reporter: &Reporter<'_>,
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
        reporter.report("tables", "creating system tables and the root user");
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
                tracing::warn!(app = %id, "rolled back a creation that was interrupted");
                self.remove_log(&id).await;
            }
            Err(error) => {
                tracing::error!(app = %id, %error, "a creation that was interrupted cannot be rolled back");
                let location = self.location(&registration);
                let entry = self.new_entry(registration, location, State::Preparing);
                entry.transition(&self.events, State::Error, Some(error.message));
                self.entries.pin().insert(id, entry);
            }
        }
    }
}

pub(super) fn exists_already(id: &AppId) -> RpcError {
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

/// The name of an inventory, if it is one.
pub(super) fn checked_inventory(name: &str) -> Result<&str, RpcError> {
    check_inventory(name).map_err(|error| RpcError::new(ErrorKind::InvalidSetting, error.to_string()))?;
    Ok(name)
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
