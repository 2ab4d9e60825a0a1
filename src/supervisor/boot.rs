//! Opening the host's applications: the main one first, then the registry, then what a crash left
//! half done.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, Utc};
use rand::Rng;
use serde_json::Map;
use tokio::sync::Mutex;

use crate::app::system::DATA_SOURCES;
use crate::app::{self, Install};
use crate::data::{DataError, DataSource, Filter, Query};
use crate::database::{Database, DatabaseError, Engine};
use crate::protocol::{AppId, CreatedRootUser, ErrorKind, RpcError, State};

use super::damage::Damage;
use super::events::Events;
use super::failure::Failure;
use super::first_start::FirstStart;
use super::limits::Pace;
use super::operations::Operations;
use super::registry::{Inventory, Registration, Registry};
use super::reserve::Reserve;
use super::root_account::RootAccount;
use super::secrets::{KEY_FILE, SecretError, SecretKey};
use super::storage::Premises;
use super::{Supervisor, SupervisorOptions};

/// What a JWT secret is called where it is sealed.
pub(crate) const JWT_SECRET: &str = "JWT secret";
/// What a sealed password of a database is bound to.
pub(crate) const DATABASE_PASSWORD: &str = "databasePassword";

/// Why the applications cannot be opened at all.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct OpenError {
    /// What was tried, on what, what went wrong.
    pub sentence: String,
    /// What to do.
    pub hint: Option<String>,
}

impl From<RpcError> for OpenError {
    fn from(error: RpcError) -> Self {
        Self { sentence: error.message, hint: error.data.hint }
    }
}

impl From<SecretError> for OpenError {
    fn from(error: SecretError) -> Self {
        let hint = match &error {
            SecretError::Sealed { .. } | SecretError::Malformed { .. } | SecretError::NoFile { .. } => {
                Some(format!("bring {KEY_FILE} back as it was when the applications were made"))
            }
            SecretError::Missing { path } => Some(format!(
                "bring {KEY_FILE} back from a backup of the data directory, or of the machine that had it before, \
                 to {} with mode 600; under systemd it may be a credential of that name instead",
                path.display()
            )),
            SecretError::File { .. } | SecretError::Exposed { .. } => None,
        };
        Self { sentence: error.to_string(), hint }
    }
}

impl Supervisor {
    /// Opens (on the first start: makes) the main application, reads the registry, and finishes or
    /// takes back what a crash left half done. Gives the main application's root user when it was
    /// made now.
    pub async fn open(options: SupervisorOptions) -> Result<(Arc<Self>, Option<CreatedRootUser>), OpenError> {
        super::connection::check_prefix(Some(&options.table_prefix))?;
        let first = FirstStart::look(&options)?;
        let known = SecretKey::load(&options.data_directory)?;
        if known.is_none() {
            refuse_without_key(&options, &first).await?;
        }
        first.begin()?;
        let key = known.map_or_else(|| SecretKey::create(&options.data_directory), Ok)?;
        let premises = Premises::open(&options.data_directory, options.main_location.clone()).await;
        let premises = premises.map_err(|error| error.while_doing("opening the data directory"))?;
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
            premises,
            registry,
            entries: papaya::HashMap::new(),
            domains: papaya::HashMap::new(),
            reservations: Mutex::default(),
            events: Events::default(),
            operations: Operations::default(),
            unknown: Pace::default(),
            closing: AtomicBool::new(false),
        });
        let made_at =
            made_at(&source).await.map_err(|error| error.while_doing("reading the main application"))?;
        supervisor.start_main(secret, made_at, source).await?;
        Box::pin(supervisor.take_inventory(inventory)).await;
        supervisor.sweep_at_start().await;
        supervisor.spawn_caretakers();
        Ok((supervisor, created))
    }

    async fn start_main(
        self: &Arc<Self>,
        jwt_secret: String,
        made_at: DateTime<Utc>,
        source: DataSource,
    ) -> Result<(), OpenError> {
        let registration = main_registration(jwt_secret, made_at);
        let entry = self.new_entry(registration, self.options.main_location.clone(), State::Initialized);
        self.entries.pin().insert(AppId::main(), entry.clone());
        let _command = entry.command.lock().await;
        Ok(self.start_locked(&entry, Some(source)).await?)
    }

    async fn take_inventory(self: &Arc<Self>, inventory: Inventory) {
        let Inventory { mut applications, deleted } = inventory;
        self.settle_places(&mut applications);
        applications.iter_mut().for_each(|registration| self.examine(registration));
        let (cut_short, mut whole): (Vec<_>, Vec<_>) = applications.into_iter().partition(is_cut_short);
        self.settle_domains(&mut whole);
        for registration in whole {
            if registration.damage.is_none() {
                self.register_sound(registration).await;
            } else {
                self.register_damaged(registration);
            }
        }
        // Behind all others: what one of them has is not removed.
        for registration in cut_short {
            self.recover_creation(registration).await;
        }
        for deleted in deleted.into_iter().filter(|deleted| deleted.purging) {
            let name = deleted.registration.id.clone();
            match self.purge_entry(&deleted).await {
                Ok(removed) => tracing::info!(%name, ?removed, "finished a removal that was cut short"),
                Err(error) => {
                    tracing::error!(%name, %error, "a removal that was cut short cannot be finished")
                }
            }
        }
    }
}

/// Whether a creation has not come to its end. Two things must say so: what one wrong value says alone is
/// no reason to remove anything.
fn is_cut_short(registration: &Registration) -> bool {
    registration.damage.is_none()
        && matches!(registration.status, State::Preparing | State::Initializing)
        && registration.provision.as_ref().is_some_and(|provision| provision.unfinished)
}

impl Supervisor {
    /// Looks for what only the host can find wrong: secrets that its key does not open.
    pub(super) fn examine(&self, registration: &mut Registration) {
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

    /// Takes in an application that is to run when it is asked for.
    async fn register_sound(&self, mut registration: Registration) {
        let rest = match registration.status {
            State::Stopped => State::Stopped,
            said @ (State::Preparing | State::Initializing) => {
                // Its creation did come to its end: somebody else wrote that word.
                tracing::warn!(app = %registration.id, status = %said, "a wrong status in the registry was put right");
                match self.registry.set_status(&registration.id, State::Initialized).await {
                    Ok(()) => registration.status = State::Initialized,
                    Err(error) => tracing::error!(%error, "the registry cannot be written"),
                }
                State::Initialized
            }
            _ => State::Initialized,
        };
        let location = self.location(&registration);
        self.entries.pin().insert(registration.id.clone(), self.new_entry(registration, location, rest));
    }

    /// Takes in an application whose rows are damaged; it is in error, and what can be read of it holds.
    fn register_damaged(&self, registration: Registration) {
        let id = registration.id.clone();
        let reason = registration.damage.reason(&id);
        tracing::error!(app = %id, reason, "this application cannot run");
        let location = self.location(&registration);
        self.entries.pin().insert(id, self.new_entry(registration, location, State::Error));
    }
}

/// Fails when there is no key but a registry whose secrets need one: another key would be of no use,
/// and in the way of the right one.
async fn refuse_without_key(options: &SupervisorOptions, first: &FirstStart<'_>) -> Result<(), OpenError> {
    let doing = "looking for the registry";
    let database = match Database::open(&options.main_location).await {
        Err(DatabaseError::Missing(_)) => return first.refuse("is missing"),
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
                super::storage::ProvisionError::File { path: directory.to_owned(), doing: "made", error };
            error.while_doing("opening the main application's database")
        })?;
    }
    let doing = "opening the main application's database";
    let database = match Database::open(&options.main_location).await {
        Err(DatabaseError::Missing(_)) => {
            first.refuse("is missing")?;
            Database::open_or_create(&options.main_location).await
        }
        other => other,
    };
    let database = database.map_err(|error| error.while_doing(doing))?;
    let database = database.with_table_prefix(&options.table_prefix);
    let source = DataSource::new(database.clone());
    if !Registry::is_in(&source).await.map_err(|error| error.while_doing(doing))?
        && let Err(refusal) = first.refuse("has no registry in it (no table \"applicationProvisions\")")
    {
        database.close().await;
        return Err(refusal);
    }
    let unfit = database.encoding_problem().await.map_err(|error| error.while_doing(doing))?;
    if let Some((sentence, sql)) = unfit {
        if database.table_names().await.map_err(|error| error.while_doing(doing))?.is_empty() {
            return Err(RpcError::new(ErrorKind::InvalidSetting, format!("{doing} failed: {sentence}"))
                .hint(format!("make one that can, and name it in the configuration: {sql}"))
                .into());
        }
        // It is in use: it goes on as well as it can.
        tracing::warn!("{sentence}; one that can is made with: {sql}");
    }
    Ok(source)
}

/// Gives the main application's sealed secret, and its root user when both were made now. The
/// secret is written last, so that a start that was cut short is simply repeated.
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
    let made = installed.map_err(|error| error.while_doing("installing the main application"))?;
    if !made {
        // Its tables were there: no user was made, and the password of none is known.
        tracing::warn!(
            "the main application had no JWT secret in the registry and gets a new one: all its sign-ins have \
             ended; sign in with nbapps visit main --sign-in"
        );
    }
    let sealed = key.seal(&main, JWT_SECRET, &new_jwt_secret());
    let inserted = registry.insert_main_secret(&sealed).await;
    inserted.map_err(|error| error.while_doing("writing the registry"))?;
    Ok((sealed, made.then(|| account.shown())))
}

/// The main application's secret cannot be used: its row is damaged, or the key is another.
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
            "bring {KEY_FILE} back as it was when the applications were made, or the row from a backup; where the \
             key is the right one, a new secret is made, and the sign-ins of the main application end, after: \
             DELETE FROM {table} WHERE name = 'main'"
        )),
    }
}

/// When the main application was made: it has no row in the registry, but its first data source was
/// made with it.
async fn made_at(source: &DataSource) -> Result<DateTime<Utc>, DataError> {
    let first = Query::filter(Filter::eq("key", "main")).fields(&["createdAt"]);
    let found = source.find_one(&DATA_SOURCES, first).await?;
    let time = found.as_ref().and_then(|row| row.get("createdAt")?.as_str());
    let time = time.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
    Ok(time.map_or_else(crate::protocol::now, |time| time.to_utc()))
}

fn main_registration(jwt_secret: String, made_at: DateTime<Utc>) -> Registration {
    Registration {
        id: AppId::main(),
        name: "Main".to_owned(),
        cname: None,
        icon: None,
        pinned: None,
        status: State::Initialized,
        options: Map::from_iter([("autoStart".to_owned(), true.into())]),
        sort: 0,
        created_at: made_at,
        updated_at: made_at,
        provision: None,
        jwt_secret,
        damage: Damage::default(),
    }
}

/// 48 random bytes: more than HS256's key of 32 needs (RFC 7518, section 3.2).
pub(crate) fn new_jwt_secret() -> [u8; 48] {
    let mut secret = [0; 48];
    rand::rng().fill(&mut secret[..]);
    secret
}
