//! Opens the host's applications: the main one first, then the registry, then the others.
//!
//! Operations that a crash interrupted come last: an unfinished creation is rolled back, a begun purge is
//! finished.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use serde_json::Map;
use tokio::sync::Mutex;

use crate::app::system::DATA_SOURCES;
use crate::app::{self, Install};
use crate::data::{DataError, DataSource, Filter, Query};
use crate::database::{Database, DatabaseError, Engine};
use crate::protocol::{AppId, CreatedRootUser, ErrorKind, RpcError, State};

use super::error_context::ErrorContext;
use super::events::Events;
use super::first_passwords::FirstPasswords;
use super::first_start::FirstStart;
use super::limits::Pacer;
use super::metrics::MetricsState;
use super::open_error::OpenError;
use super::operations::Operations;
use super::registry::{Damage, Inventory, Registration, Registry};
use super::reserve::Reserve;
use super::root_account::RootAccount;
use super::secrets::{DATABASE_PASSWORD, JWT_SECRET, KEY_FILE, SecretError, SecretKey, new_jwt_secret};
use super::storage::Storage;
use super::{Supervisor, SupervisorOptions};

impl Supervisor {
    /// Opens the main application, which the first start creates, reads the registry, and completes or rolls
    /// back what a crash interrupted. Returns the main application's root user if this start created it.
    pub async fn open(options: SupervisorOptions) -> Result<(Arc<Self>, Option<CreatedRootUser>), OpenError> {
        super::requested_database::check_prefix(Some(&options.table_prefix))?;
        let first = FirstStart::inspect(&options)?;
        let known = SecretKey::load(&options.data_directory)?;
        if known.is_none() {
            require_no_secrets(&options, &first).await?;
        }
        first.begin()?;
        let key = known.map_or_else(|| SecretKey::create(&options.data_directory), Ok)?;
        let storage = Storage::open(&options.data_directory, options.main_location.clone()).await;
        let storage = storage.map_err(|error| error.while_doing("opening the data directory"))?;
        let source = open_main_database(&options, &first).await?;
        let reserve = Reserve::beside(&options.main_location);
        let registry = Registry::open(source.clone(), reserve, first.is_first()).await;
        let registry = registry.map_err(|error| error.while_doing("opening the registry"))?;
        let (secret, created) = install_main(&options, &registry, &source, &key).await?;
        first.end();
        let inventory = registry.inventory().await;
        let inventory = inventory.map_err(|error| error.while_doing("reading the registry"))?;
        let supervisor = Arc::new(Self {
            options,
            key,
            storage,
            registry,
            entries: papaya::HashMap::new(),
            domains: papaya::HashMap::new(),
            reservations: Mutex::default(),
            events: Events::default(),
            operations: Operations::default(),
            first_passwords: FirstPasswords::default(),
            unknown: Pacer::default(),
            connections: OnceLock::new(),
            metrics: MetricsState::default(),
            opened_at: crate::protocol::now(),
            closing: AtomicBool::new(false),
        });
        let created_at = created_at_of_main(&source).await;
        let created_at = created_at.map_err(|error| error.while_doing("reading the main application"))?;
        supervisor.start_main(secret, created_at, source).await?;
        Box::pin(supervisor.load_inventory(inventory)).await;
        supervisor.sweep_at_start().await;
        supervisor.spawn_background_tasks();
        Ok((supervisor, created))
    }

    async fn start_main(
        self: &Arc<Self>,
        jwt_secret: String,
        created_at: DateTime<Utc>,
        source: DataSource,
    ) -> Result<(), OpenError> {
        let registration = main_registration(jwt_secret, created_at);
        let entry = self.new_entry(registration, self.options.main_location.clone(), State::Initialized);
        self.entries.pin().insert(AppId::main(), entry.clone());
        let _command = entry.command.lock().await;
        Ok(self.start_locked(&entry, Some(source)).await?)
    }

    async fn load_inventory(self: &Arc<Self>, inventory: Inventory) {
        let Inventory { mut applications, deleted } = inventory;
        self.resolve_storage_claims(&mut applications);
        applications.iter_mut().for_each(|registration| self.check_secrets(registration));
        let (unfinished, mut complete): (Vec<_>, Vec<_>) = applications.into_iter().partition(is_unfinished);
        self.resolve_domain_claims(&mut complete);
        for registration in complete {
            if registration.damage.is_none() {
                self.register_sound(registration).await;
            } else {
                self.register_damaged(registration);
            }
        }
        // After the others, so that the roll-back leaves alone what one of them has.
        for registration in unfinished {
            self.recover_creation(registration).await;
        }
        for deleted in deleted.into_iter().filter(|deleted| deleted.purging) {
            let name = deleted.registration.id.clone();
            match self.purge_entry(&deleted).await {
                Ok(removed) => tracing::info!(app = %name, ?removed, "finished a purge that was interrupted"),
                Err(error) => {
                    tracing::error!(app = %name, %error, "a purge that was interrupted cannot be finished")
                }
            }
        }
    }
}

/// Whether a creation is unfinished. Its state and its provision must both say so: one wrong value alone must
/// not cause a removal.
fn is_unfinished(registration: &Registration) -> bool {
    registration.damage.is_none()
        && matches!(registration.status, State::Preparing | State::Initializing)
        && registration.provision.as_ref().is_some_and(|provision| provision.unfinished)
}

impl Supervisor {
    /// Adds to the damage the secrets that the host's key does not decrypt, and a mode that contradicts the
    /// database.
    pub(super) fn check_secrets(&self, registration: &mut Registration) {
        registration.check_mode();
        let damage = &mut registration.damage;
        if !registration.jwt_secret.is_empty()
            && damage.secret.is_empty()
            && let Err(error) = self.key.open(&registration.id, JWT_SECRET, &registration.jwt_secret)
        {
            damage.secret.push(error.to_string());
        }
        let connection = registration.provision.as_ref().and_then(|provision| provision.connection.as_ref());
        if let Some(sealed) = connection.and_then(|connection| connection.password.as_deref())
            && let Err(error) = self.key.open(&registration.id, DATABASE_PASSWORD, sealed)
        {
            damage.provision.push(error.to_string());
        }
    }

    /// Registers an application without damage. It is at rest until it is started.
    async fn register_sound(&self, mut registration: Registration) {
        let rest = match registration.status {
            State::Stopped => State::Stopped,
            said @ (State::Preparing | State::Initializing) => {
                // Its provision says that the creation was completed: somebody else wrote this state.
                tracing::warn!(app = %registration.id, status = %said, "a wrong status in the registry was corrected");
                match self.registry.set_status(&registration.id, State::Initialized).await {
                    Ok(()) => registration.status = State::Initialized,
                    Err(error) => {
                        tracing::error!(app = %registration.id, %error, "the registry cannot be written")
                    }
                }
                State::Initialized
            }
            _ => State::Initialized,
        };
        let location = self.location(&registration);
        self.entries.pin().insert(registration.id.clone(), self.new_entry(registration, location, rest));
    }

    /// Registers an application whose rows are damaged, in state `error`, with what could be read.
    fn register_damaged(&self, registration: Registration) {
        let id = registration.id.clone();
        let reason = registration.damage.reason(&id);
        tracing::error!(app = %id, reason, "the application cannot run");
        let location = self.location(&registration);
        self.entries.pin().insert(id, self.new_entry(registration, location, State::Error));
    }
}

/// Fails if the registry holds secrets although there is no key. A new key could not decrypt them, and would
/// take the place of the right one.
async fn require_no_secrets(options: &SupervisorOptions, first: &FirstStart<'_>) -> Result<(), OpenError> {
    let doing = "looking for the registry";
    let database = match Database::open(&options.main_location).await {
        Err(DatabaseError::Missing(_)) => return first.require_first("is missing"),
        other => other.map_err(|error| error.while_doing(doing))?,
    };
    let source = DataSource::new(database.with_table_prefix(&options.table_prefix));
    let found = Registry::holds_secrets(&source).await;
    source.database().close().await;
    if found.map_err(|error| error.while_doing(doing))? || !first.is_first() {
        return Err(SecretError::Missing { path: options.data_directory.join(KEY_FILE) }.into());
    }
    Ok(())
}

async fn open_main_database(
    options: &SupervisorOptions,
    first: &FirstStart<'_>,
) -> Result<DataSource, OpenError> {
    if let Some(directory) = options.main_location.directory() {
        let made = tokio::fs::create_dir_all(directory).await;
        made.map_err(|error| {
            let error =
                super::storage::StorageError::File { path: directory.to_owned(), doing: "created", error };
            error.while_doing("opening the main application's database")
        })?;
    }
    let doing = "opening the main application's database";
    let database = match Database::open(&options.main_location).await {
        Err(DatabaseError::Missing(_)) => {
            first.require_first("is missing")?;
            Database::open_or_create(&options.main_location).await
        }
        other => other,
    };
    let database = database.map_err(|error| error.while_doing(doing))?;
    let database = database.with_table_prefix(&options.table_prefix);
    let source = DataSource::new(database.clone());
    if !Registry::is_in(&source).await.map_err(|error| error.while_doing(doing))?
        && let Err(refused) =
            first.require_first("has no registry in it (no table \"applicationProvisions\")")
    {
        database.close().await;
        return Err(refused);
    }
    let unfit = database.encoding_problem().await.map_err(|error| error.while_doing(doing))?;
    if let Some((sentence, sql)) = unfit {
        if database.table_names().await.map_err(|error| error.while_doing(doing))?.is_empty() {
            return Err(RpcError::new(ErrorKind::InvalidSetting, format!("{doing} failed: {sentence}"))
                .hint(format!("create another one, and name it in the configuration: {sql}"))
                .into());
        }
        // It is in use already, and works for the texts that it can store.
        tracing::warn!("{sentence}; this creates a database that can: {sql}");
    }
    Ok(source)
}

/// Returns the main application's encrypted secret, and its root user if this start created both. The secret is
/// written last, so that the next start repeats an interrupted one.
async fn install_main(
    options: &SupervisorOptions,
    registry: &Registry,
    source: &DataSource,
    key: &SecretKey,
) -> Result<(String, Option<CreatedRootUser>), OpenError> {
    let main = AppId::main();
    match registry.main_secret().await {
        Ok(Some(sealed)) => match key.open(&main, JWT_SECRET, &sealed) {
            Ok(_) => return Ok((sealed, None)),
            Err(error) => return Err(main_secret_damaged(options, &error)),
        },
        Ok(None) => {}
        Err(error @ DataError::Unreadable { .. }) => return Err(main_secret_damaged(options, &error)),
        Err(error) => return Err(error.while_doing("reading the registry").into()),
    }
    let account = RootAccount::complete(&options.root, &options.root)?;
    let install = Install { title: "Main".to_owned(), root: account.user.clone() };
    let installed = app::install(source, &install).await;
    let is_new = installed.map_err(|error| error.while_doing("installing the main application"))?;
    if !is_new {
        // Its tables existed, so that no user was created and no password is known.
        tracing::warn!(
            "the main application had no JWT secret in the registry and got a new one, which ends all its sessions; \
             sign in with: nbapps visit main --sign-in"
        );
    }
    let sealed = key.seal(&main, JWT_SECRET, &new_jwt_secret());
    let inserted = registry.insert_main_secret(&sealed).await;
    inserted.map_err(|error| error.while_doing("writing the registry"))?;
    Ok((sealed, is_new.then(|| account.shown())))
}

/// The error for a main application whose secret cannot be used: its row is damaged, or the key is another.
fn main_secret_damaged(options: &SupervisorOptions, error: &dyn std::error::Error) -> OpenError {
    let table = format!("{}applicationProvisions", options.table_prefix);
    let table = match options.main_location.engine() {
        Engine::Mysql => format!("`{table}`"),
        Engine::Sqlite | Engine::Postgres => format!("\"{table}\""),
    };
    OpenError {
        sentence: format!(
            "the main application's JWT secret, jwtSecret in the row 'main' of applicationProvisions in {}, cannot \
             be used: {error}",
            options.main_location
        ),
        hint: Some(format!(
            "restore {KEY_FILE} as it was when the applications were created, or the row from a backup; if the key \
             is right, this gives a new secret and ends the sessions of the main application: \
             DELETE FROM {table} WHERE name = 'main'"
        )),
    }
}

/// Returns when the main application was created. It has no row in the registry; its first data source was
/// created with it.
async fn created_at_of_main(source: &DataSource) -> Result<DateTime<Utc>, DataError> {
    let first = Query::filter(Filter::eq("key", "main")).fields(&["createdAt"]);
    let found = source.find_one(&DATA_SOURCES, first).await?;
    let time = found.as_ref().and_then(|row| row.get("createdAt")?.as_str());
    let time = time.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
    Ok(time.map_or_else(crate::protocol::now, |time| time.to_utc()))
}

fn main_registration(jwt_secret: String, created_at: DateTime<Utc>) -> Registration {
    Registration {
        id: AppId::main(),
        name: "Main".to_owned(),
        cname: None,
        icon: None,
        pinned: None,
        status: State::Initialized,
        options: Map::from_iter([("autoStart".to_owned(), true.into())]),
        sort: 0,
        created_at,
        updated_at: created_at,
        provision: None,
        jwt_secret,
        damage: Damage::default(),
    }
}
